//go:build unix

package image_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
)

func TestBuild_reproducibleModes(t *testing.T) {
	want := digestOfTree(t, oddTree(t))
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := oddTree(t)
	require.NoError(t, os.Chmod(filepath.Join(dir, "a"), 0o664))
	assert.Equal(t, want, digestOfTree(t, dir))
}

func TestBuild_namedPipe(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	_, err := image.Build(t.Context(), image.Spec{Layers: []image.Source{image.Dir(dir)}}, out(t), nil)
	require.ErrorIs(t, err, image.ErrInvalid)
	assert.ErrorContains(t, err, "named pipe")
}

// A layout from elsewhere may have anything in it, and opening a pipe would wait for ever.
func TestOpen_noRegularFile(t *testing.T) {
	for _, replaced := range []string{"index.json", "oci-layout", "blob"} {
		for _, kind := range []string{"pipe", "directory", "link out"} {
			t.Run(replaced+" "+kind, func(t *testing.T) {
				l := build(t, image.Files{"a": nil})
				name := filepath.Join(l.Dir(), replaced)
				if replaced == "blob" {
					name = filepath.Join(l.Dir(), "blobs/sha256", strings.TrimPrefix(l.Blobs()[1].Digest, "sha256:"))
				}
				require.NoError(t, os.Remove(name))
				switch kind {
				case "pipe":
					require.NoError(t, syscall.Mkfifo(name, 0o644))
				case "directory":
					require.NoError(t, os.Mkdir(name, 0o755))
				case "link out":
					require.NoError(t, os.Symlink("/etc/passwd", name))
				}
				_, err := image.Open(t.Context(), l.Dir(), nil)
				require.ErrorIs(t, err, image.ErrInvalid)
				if replaced == "blob" {
					require.ErrorIs(t, l.Verify(t.Context()), image.ErrInvalid)
				}
			})
		}
	}
}
