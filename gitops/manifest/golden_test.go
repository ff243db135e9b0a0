package manifest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/manifest"
	"github.com/waybill-dev/waybill/internal/golden"
)

// TestSet_golden edits every testdata/set/*/in.yaml by its edits.json and compares bytes and changes.
func TestSet_golden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/set/*")
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			in, err := os.ReadFile(filepath.Join(dir, "in.yaml"))
			require.NoError(t, err)
			raw, err := os.ReadFile(filepath.Join(dir, "edits.json"))
			require.NoError(t, err)
			var edits []manifest.Edit
			require.NoError(t, json.Unmarshal(raw, &edits))

			out, changes, err := manifest.Set("in.yaml", in, edits, nil)
			require.NoError(t, err)
			golden.Check(t, filepath.Join(dir, "want.yaml"), out)
			text, err := json.MarshalIndent(changes, "", "  ")
			require.NoError(t, err)
			golden.Check(t, filepath.Join(dir, "want.json"), append(text, '\n'))

			again, changes, err := manifest.Set("in.yaml", out, edits, nil)
			require.NoError(t, err)
			assert.Empty(t, changes)
			assert.True(t, bytes.Equal(out, again), "twice")

			parsed, _, err := manifest.Set("in.yaml", in, edits, &manifest.Options{ParseAll: true})
			require.NoError(t, err)
			assert.Equal(t, string(out), string(parsed), "ParseAll changes nothing")
		})
	}
}
