package leftover_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/leftover"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.xml", "x/b.xml", "x/y/c.xml", "x/y/c.json", ".git/d.xml"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	for _, tc := range []struct {
		patterns, want []string
	}{
		{[]string{"*.xml"}, []string{"a.xml"}},
		{[]string{"**/*.xml"}, []string{"a.xml", "x/b.xml", "x/y/c.xml"}},
		{[]string{"x/**/c.*", "**/y/*.json"}, []string{"x/y/c.json", "x/y/c.xml"}},
		{[]string{"./x/*.xml"}, []string{"x/b.xml"}},
	} {
		got, err := leftover.Find(dir, tc.patterns, time.Time{})
		require.NoError(t, err)
		assert.Equal(t, tc.want, got, "%q", tc.patterns)
	}
	_, err := leftover.Find(dir, []string{"*.xml", "*.txt"}, time.Time{})
	require.ErrorContains(t, err, `no file matches "*.txt"`)
	_, err = leftover.Find(dir, []string{"a.xml"}, time.Now().Add(time.Hour))
	require.ErrorContains(t, err, "a.xml is left over from")
	_, err = leftover.Find(filepath.Join(dir, "gone"), []string{"*"}, time.Time{})
	require.Error(t, err)
}

func TestCheck(t *testing.T) {
	require.NoError(t, leftover.Check("**/a[0-9].xml"))
	for _, bad := range []string{"a[", "../x", "/etc/passwd", ""} {
		require.Error(t, leftover.Check(bad), bad)
	}
}
