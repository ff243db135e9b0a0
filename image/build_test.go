package image_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
)

// program writes the source of a small Go service and returns its directory.
func program(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	writeTree(tb, dir, map[string]string{
		"go.mod":  "module example.com/hello\n\ngo 1.26\n",
		"main.go": "package main\n\nimport \"fmt\"\n\nvar version = \"dev\"\n\nfunc main() { fmt.Println(\"hello\", version) }\n",
	})
	return dir
}

func writeTree(tb testing.TB, dir string, files map[string]string) {
	tb.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(tb, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(tb, os.WriteFile(path, []byte(content), 0o644))
	}
}

func TestBuild_goProgram(t *testing.T) {
	src := program(t)
	l, err := image.Build(t.Context(), image.Spec{
		Layers: []image.Source{image.GoProgram{Package: ".", Dir: src, Path: "/hello", LDFlags: []string{"-X", "main.version=1.2 beta"}}},
		User:   "65532", Ports: []string{"8080"}, Env: []string{"A=b"}, Revision: "abc",
	}, filepath.Join(t.TempDir(), "out"), nil)
	require.NoError(t, err)
	require.NoError(t, l.Verify(t.Context()))

	c, err := l.Config(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, []string{"/hello"}, c.Config.Entrypoint)
	assert.Equal(t, "65532", c.Config.User)
	assert.Equal(t, map[string]struct{}{"8080/tcp": {}}, c.Config.ExposedPorts)
	assert.Contains(t, c.Config.Env, "A=b")
	assert.Equal(t, "abc", c.Config.Labels["org.opencontainers.image.revision"])

	files := layerFiles(t, l, 0)
	require.Contains(t, files, "hello")
	assert.Contains(t, files["hello"], "1.2 beta")
	assert.NotContains(t, files["hello"], src, "no path of this machine")
}

func TestBuild_directory(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"etc/app.conf": "x=1", "bin/run": "#!/bin/sh\n"})
	require.NoError(t, os.Chmod(filepath.Join(dir, "bin/run"), 0o700))
	require.NoError(t, os.Symlink("run", filepath.Join(dir, "bin/start")))

	l, err := image.Build(t.Context(), image.Spec{Layers: []image.Source{image.Dir(dir)}, Cmd: []string{"/bin/run"}}, filepath.Join(t.TempDir(), "out"), nil)
	require.NoError(t, err)
	var got []string
	eachFile(t, l, 0, func(h *tar.Header, _ []byte) {
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name+" "+h.Linkname)
		assert.Zero(t, h.Uid+h.Gid)
		assert.Zero(t, h.ModTime.Unix())
	})
	assert.Equal(t, []string{
		"drwxr-xr-x bin/ ", "-rwxr-xr-x bin/run ", "Lrwxrwxrwx bin/start run", "drwxr-xr-x etc/ ", "-rw-r--r-- etc/app.conf ",
	}, got)
}

func layerFiles(tb testing.TB, l *image.Layout, n int) map[string]string {
	tb.Helper()
	files := map[string]string{}
	eachFile(tb, l, n, func(h *tar.Header, content []byte) { files[h.Name] = string(content) })
	return files
}

// eachFile reads a layer with the standard library, which knows nothing of how it was compressed.
func eachFile(tb testing.TB, l *image.Layout, n int, f func(*tar.Header, []byte)) {
	tb.Helper()
	m, err := l.Manifest(tb.Context(), "")
	require.NoError(tb, err)
	blob, err := os.Open(filepath.Join(l.Dir(), "blobs", "sha256", m.Layers[n].Digest.Hex))
	require.NoError(tb, err)
	defer blob.Close()
	gz, err := gzip.NewReader(blob)
	require.NoError(tb, err)
	tr := tar.NewReader(gz)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(tb, err)
		content, err := io.ReadAll(tr)
		require.NoError(tb, err)
		f(h, content)
	}
}
