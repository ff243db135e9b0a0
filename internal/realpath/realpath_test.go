package realpath_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/realpath"
)

func TestOf(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	t.Chdir(dir)
	require.NoError(t, os.Mkdir("real", 0o755))
	require.NoError(t, os.Symlink("real", "link"))
	require.NoError(t, os.Symlink("link", "link to link"))
	require.NoError(t, os.Symlink("gone", "dangling"))
	for _, path := range []string{"real", "./real/", "link", "link/", "link to link", filepath.Join(dir, "link")} {
		got, err := realpath.Of(path)
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, "real"), got, path)
	}
	for _, path := range []string{"dangling", "gone"} {
		_, err := realpath.Of(path)
		require.ErrorIs(t, err, os.ErrNotExist, path)
	}
}
