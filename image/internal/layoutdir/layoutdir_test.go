package layoutdir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image/internal/layoutdir"
)

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		files []string
		takes bool
	}{
		"empty":                    {nil, true},
		"a layout":                 {[]string{"oci-layout", "index.json", "notes.txt"}, true},
		"the beginning of one":     {[]string{"blobs", ".tmp-1"}, true},
		"something else":           {[]string{"notes.txt"}, false},
		"something else and blobs": {[]string{"blobs", "notes.txt"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range tt.files {
				require.NoError(t, os.WriteFile(filepath.Join(dir, f), nil, 0o600))
			}
			assert.Equal(t, tt.takes, layoutdir.Check(dir) == nil)
		})
	}
	assert.NoError(t, layoutdir.Check(filepath.Join(t.TempDir(), "new")))
	assert.Error(t, layoutdir.Check(""))
}
