package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
)

// handmade writes a layout by hand, which Build would not make.
func handmade(tb testing.TB, layers ...[]byte) string {
	tb.Helper()
	dir := tb.TempDir()
	type m = map[string]any
	put := func(mediaType string, b []byte) m {
		sum := sha256.Sum256(b)
		name := hex.EncodeToString(sum[:])
		writeTree(tb, dir, map[string]string{"blobs/sha256/" + name: string(b)})
		return m{"mediaType": mediaType, "digest": "sha256:" + name, "size": len(b)}
	}
	putJSON := func(mediaType string, v any) m {
		b, err := json.Marshal(v)
		require.NoError(tb, err)
		return put(mediaType, b)
	}
	descs, diffIDs := []m{}, []string{}
	for _, plain := range layers {
		sum := sha256.Sum256(plain)
		diffIDs = append(diffIDs, "sha256:"+hex.EncodeToString(sum[:]))
		var z bytes.Buffer
		gz := gzip.NewWriter(&z)
		_, err := gz.Write(plain)
		require.NoError(tb, err)
		require.NoError(tb, gz.Close())
		descs = append(descs, put("application/vnd.oci.image.layer.v1.tar+gzip", z.Bytes()))
	}
	config := putJSON("application/vnd.oci.image.config.v1+json", m{
		"os": "linux", "architecture": "amd64", "config": m{}, "rootfs": m{"type": "layers", "diff_ids": diffIDs},
	})
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	manifest := putJSON(manifestType, m{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": descs})
	index, err := json.Marshal(m{"schemaVersion": 2, "manifests": []m{manifest}})
	require.NoError(tb, err)
	writeTree(tb, dir, map[string]string{"index.json": string(index), "oci-layout": `{"imageLayoutVersion":"1.0.0"}`})
	return dir
}

func archive(tb testing.TB, entries ...tar.Header) []byte {
	tb.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, h := range entries {
		content := strings.Repeat("x", int(h.Size))
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		require.NoError(tb, tw.WriteHeader(&h))
		_, err := tw.Write([]byte(content))
		require.NoError(tb, err)
	}
	require.NoError(tb, tw.Close())
	return buf.Bytes()
}

func file(name string) tar.Header { return tar.Header{Name: name, Size: 1, Typeflag: tar.TypeReg} }
func dir(name string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}
}

func link(name, target string) tar.Header {
	return tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}
}

func TestLayout_Extract(t *testing.T) {
	tests := []struct {
		name   string
		layers [][]tar.Header
		want   string // names, directories with a slash
	}{
		{"one layer", [][]tar.Header{{dir("a/"), file("a/b"), link("c", "/a/b")}}, "a/ a/b c"},
		{"parents missing", [][]tar.Header{{file("a/b/c")}}, "a/ a/b/ a/b/c"},
		{"whiteout", [][]tar.Header{{file("a/b"), file("a/c")}, {file("a/.wh.b")}}, "a/ a/c"},
		{"opaque", [][]tar.Header{{file("a/b"), file("a/c/d")}, {file("a/.wh..wh..opq"), file("a/e")}}, "a/ a/e"},
		{"opaque comes last", [][]tar.Header{{file("a/b"), file("a/c/d")}, {file("a/c/e"), file("a/.wh..wh..opq")}}, "a/ a/c/ a/c/e"},
		{"whiteout spares its own layer", [][]tar.Header{{file("a")}, {file("a"), file(".wh.a")}}, "a"},
		{"file replaces directory", [][]tar.Header{{file("a/b")}, {file("a")}}, "a"},
		{"directory replaces file", [][]tar.Header{{file("a")}, {dir("a/")}}, "a/"},
		{"through an absolute link", [][]tar.Header{{dir("run/"), link("var/run", "/run")}, {file("var/run/pid")}}, "run/ run/pid var/ var/run"},
		{"through a relative link", [][]tar.Header{{dir("usr/lib/"), link("lib", "usr/lib")}, {file("lib/x")}}, "lib usr/ usr/lib/ usr/lib/x"},
		{"other case after deletion", [][]tar.Header{{file("A")}, {file(".wh.A"), file("a")}}, "a"},
		{"hard link", [][]tar.Header{{file("a"), {Name: "b", Linkname: "a", Typeflag: tar.TypeLink}}}, "a b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var layers [][]byte
			for _, l := range tt.layers {
				layers = append(layers, archive(t, l...))
			}
			l, err := image.Open(t.Context(), handmade(t, layers...), nil)
			require.NoError(t, err)
			root := filepath.Join(t.TempDir(), "root")
			require.NoError(t, l.Extract(t.Context(), root, nil))
			assert.Equal(t, tt.want, tree(t, root))
		})
	}
}

// tree lists what is below a directory.
func tree(tb testing.TB, root string) string {
	tb.Helper()
	var names []string
	require.NoError(tb, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(root, p); rel != "." {
			if d.IsDir() {
				rel += "/"
			}
			names = append(names, rel)
		}
		return err
	}))
	return strings.Join(names, " ")
}

func TestLayout_Extract_refuses(t *testing.T) {
	tests := []struct {
		name    string
		entries []tar.Header
		o       image.ExtractOptions
		want    error
	}{
		{"climbs", []tar.Header{file("../out")}, image.ExtractOptions{}, image.ErrUnsafe},
		{"climbs inside", []tar.Header{file("a/../../out")}, image.ExtractOptions{}, image.ErrUnsafe},
		{"absolute", []tar.Header{file("/out")}, image.ExtractOptions{}, image.ErrUnsafe},
		{"link climbs", []tar.Header{link("a", "../../out")}, image.ExtractOptions{}, image.ErrUnsafe},
		{"hard link climbs", []tar.Header{{Name: "a", Linkname: "../out", Typeflag: tar.TypeLink}}, image.ExtractOptions{}, image.ErrUnsafe},
		{"hard link to the outside", []tar.Header{{Name: "a", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}}, image.ExtractOptions{}, image.ErrUnsafe},
		{"hard link to nothing", []tar.Header{{Name: "a", Linkname: "b", Typeflag: tar.TypeLink}}, image.ExtractOptions{}, image.ErrInvalid},
		{"device", []tar.Header{{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}, image.ExtractOptions{}, image.ErrUnsafe},
		{"pipe", []tar.Header{{Name: "p", Typeflag: tar.TypeFifo}}, image.ExtractOptions{}, image.ErrUnsafe},
		{"case", []tar.Header{file("a/B"), file("a/b")}, image.ExtractOptions{}, image.ErrUnsafe},
		{"case of a directory", []tar.Header{file("a/x"), file("A/y")}, image.ExtractOptions{}, image.ErrUnsafe},
		{"below a file", []tar.Header{file("a"), file("a/b")}, image.ExtractOptions{}, image.ErrUnsafe},
		{"link loop", []tar.Header{link("a", "b"), link("b", "a"), file("a/c")}, image.ExtractOptions{}, image.ErrUnsafe},
		{"deletion of the parent", []tar.Header{file("a/b/c"), file("a/b/.wh...")}, image.ExtractOptions{}, image.ErrUnsafe},
		{"backslash", []tar.Header{file(`a\..\..\out`)}, image.ExtractOptions{}, image.ErrUnsafe},
		{"too many bytes", []tar.Header{{Name: "a", Size: 5000, Typeflag: tar.TypeReg}}, image.ExtractOptions{MaxBytes: 4000}, image.ErrTooLarge},
		{"too many entries", []tar.Header{file("a"), file("b"), file("c")}, image.ExtractOptions{MaxEntries: 2}, image.ErrTooLarge},
		{"name too deep", []tar.Header{file(strings.Repeat("a/", 256) + "b")}, image.ExtractOptions{}, image.ErrTooLarge},
		{"name too long", []tar.Header{file(strings.Repeat(strings.Repeat("a", 99)+"/", 41) + "b")}, image.ExtractOptions{}, image.ErrTooLarge},
		{"link too long", []tar.Header{link("a", strings.Repeat("b", 4097))}, image.ExtractOptions{}, image.ErrTooLarge},
		{"too deep by a link", []tar.Header{file(strings.Repeat("a/", 200) + "b"), link("l", strings.Repeat("a/", 200)), file("l/" + strings.Repeat("c/", 60) + "d")}, image.ExtractOptions{}, image.ErrTooLarge},
		{"too many directories", []tar.Header{file("a/b/c")}, image.ExtractOptions{MaxEntries: 2}, image.ErrTooLarge},
		{"bomb", []tar.Header{{Name: "a", Size: 64 << 20, Typeflag: tar.TypeReg}}, image.ExtractOptions{}, image.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := image.Open(t.Context(), handmade(t, archive(t, tt.entries...)), nil)
			require.NoError(t, err)
			outside := t.TempDir()
			err = l.Extract(t.Context(), filepath.Join(outside, "root"), &tt.o)
			require.ErrorIs(t, err, tt.want)
			entries, err := os.ReadDir(outside)
			require.NoError(t, err)
			assert.Len(t, entries, 1, "nothing is written outside the root")
		})
	}
}

// A file with holes stands for any number of zeros.
func TestLayout_Extract_holes(t *testing.T) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	content := make([]byte, 513)
	copy(content, "1\n0\n1\n") // one piece, at 0, of one byte
	require.NoError(t, tw.WriteHeader(&tar.Header{Name: "a", Size: 513, Typeflag: tar.TypeReg, PAXRecords: map[string]string{
		"XXX.sparse.major": "1", "XXX.sparse.minor": "0", "XXX.sparse.name": "a", "XXX.sparse.realsize": "1000000000000",
	}}))
	_, err := tw.Write(content)
	require.NoError(t, err)
	require.NoError(t, tw.Close())
	sparse := bytes.ReplaceAll(buf.Bytes(), []byte("XXX.sparse"), []byte("GNU.sparse")) // the package writes none
	l, err := image.Open(t.Context(), handmade(t, sparse), nil)
	require.NoError(t, err)
	require.ErrorIs(t, l.Extract(t.Context(), filepath.Join(t.TempDir(), "root"), nil), image.ErrUnsafe)
	_, err = image.Import(t.Context(), bytes.NewReader(sparse), out(t), nil)
	require.ErrorIs(t, err, image.ErrInvalid)
}

func TestLayout_Extract_manyEntries(t *testing.T) {
	entries := slices.Repeat([]tar.Header{dir("d/")}, 100_001)
	l, err := image.Open(t.Context(), handmade(t, archive(t, entries...)), nil)
	require.NoError(t, err)
	require.ErrorIs(t, l.Extract(t.Context(), filepath.Join(t.TempDir(), "root"), nil), image.ErrTooLarge)
}

// A link that is planted on the way between two layers must not lead the second one outside.
func TestLayout_Extract_throughLink(t *testing.T) {
	outside := t.TempDir()
	for _, target := range []string{outside, "/" + strings.Repeat("../", 20) + outside} {
		l, err := image.Open(t.Context(), handmade(t, archive(t, link("d", target)), archive(t, file("d/x"))), nil)
		require.NoError(t, err)
		root := filepath.Join(t.TempDir(), "root")
		require.NoError(t, l.Extract(t.Context(), root, nil))
		assert.Empty(t, tree(t, outside))
		assert.FileExists(t, filepath.Join(root, outside, "x"), "the link means the image's own root")
	}
}

func TestOpen_lies(t *testing.T) {
	blob := func(dir, contains string) string {
		matches, _ := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
		for _, m := range matches {
			if b, _ := os.ReadFile(m); bytes.Contains(b, []byte(contains)) {
				return m
			}
		}
		return ""
	}
	edit := func(contains, old, by string) func(dir string) error {
		return func(dir string) error {
			p := blob(dir, contains)
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			return os.WriteFile(p, bytes.Replace(b, []byte(old), []byte(by), 1), 0o644)
		}
	}
	write := func(name, content string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644) }
	}
	tests := []struct {
		name  string
		spoil func(dir string) error
		want  error
	}{
		{"no layout", func(dir string) error { return os.Remove(filepath.Join(dir, "oci-layout")) }, image.ErrNotFound},
		{"other version", write("oci-layout", `{"imageLayoutVersion":"2.0.0"}`), image.ErrInvalid},
		{"no JSON", write("index.json", "{"), image.ErrInvalid},
		{"no image", write("index.json", `{"schemaVersion":2,"manifests":[]}`), image.ErrInvalid},
		{"digest of a path", write("index.json", `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../../etc/passwd","size":1}]}`), image.ErrInvalid},
		{"huge index", write("index.json", strings.Repeat(" ", 5<<20)), image.ErrTooLarge},
		{"manifest changed", edit("layers", "layers", "Layers"), image.ErrDigest},
		{"config shorter", edit("diff_ids", "linux", "os"), image.ErrDigest},
		{"config changed", edit("diff_ids", "linux", "Linux"), image.ErrDigest},
		{"blob missing", func(dir string) error { return os.Remove(blob(dir, "\x1f\x8b")) }, image.ErrNotFound},
		{"blob cut off", func(dir string) error { return os.Truncate(blob(dir, "\x1f\x8b"), 10) }, image.ErrDigest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := handmade(t, archive(t, file("a")))
			require.NoError(t, tt.spoil(dir))
			_, err := image.Open(t.Context(), dir, nil)
			require.ErrorIs(t, err, tt.want)
		})
	}

	t.Run("layer changed", func(t *testing.T) {
		dir := handmade(t, archive(t, file("a")))
		l, err := image.Open(t.Context(), dir, nil)
		require.NoError(t, err)
		p := blob(dir, "\x1f\x8b")
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		b[len(b)-1] ^= 1
		require.NoError(t, os.WriteFile(p, b, 0o644))
		require.ErrorIs(t, l.Verify(t.Context()), image.ErrDigest)
	})
	t.Run("link out of the layout", func(t *testing.T) {
		dir := handmade(t, archive(t, file("a")))
		p := blob(dir, "\x1f\x8b")
		elsewhere := filepath.Join(t.TempDir(), "x")
		require.NoError(t, os.Rename(p, elsewhere))
		require.NoError(t, os.Symlink(elsewhere, p))
		_, err := image.Open(t.Context(), dir, nil)
		require.Error(t, err)
	})
	t.Run("diffID", func(t *testing.T) {
		dir := handmade(t, archive(t, file("a")), archive(t, file("b")))
		l, err := image.Open(t.Context(), dir, nil)
		require.NoError(t, err)
		require.NoError(t, l.Extract(t.Context(), t.TempDir(), nil))
	})
}

// FuzzOpen reads any bytes as the index of a layout that has blobs. What opens can be described and verified.
func FuzzOpen(f *testing.F) {
	dir := handmade(f, archive(f, file("a")))
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(f, err)
	f.Add(index)
	f.Add(bytes.ReplaceAll(index, []byte("sha256:"), []byte("sha256:../")))
	f.Add(bytes.ReplaceAll(index, []byte("manifest.v1"), []byte("index.v1")))
	f.Add(bytes.ReplaceAll(index, []byte(`"size":`), []byte(`"size":-`)))
	f.Add([]byte(`{"manifests":[null]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), raw, 0o644))
		l, err := image.Open(t.Context(), dir, nil)
		if err != nil {
			return
		}
		require.NoError(t, l.Verify(t.Context()))
		require.NotEmpty(t, l.Digest())
		_ = l.Blobs()
	})
}
