//go:build unix

package image_test

import (
	"os"
	"path/filepath"
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
