package image

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func FuzzImport(f *testing.F) {
	f.Add([]byte("nonsense"))
	f.Add(bytes.Repeat([]byte{0}, 1024))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := Import(t.Context(), bytes.NewReader(raw), t.TempDir(), nil)
		if err == nil {
			if err := l.Verify(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzExtract unpacks any bytes as a layer. Nothing may appear beside the root.
func FuzzExtract(f *testing.F) {
	for _, name := range []string{"a", "../a", "/a", "a/../../b", ".wh.x", "a/.wh..wh..opq", ".wh...", ".wh..wh..", "a\\b"} {
		for _, kind := range "015267" {
			f.Add(name, byte(kind), "b/../..", []byte("x"))
		}
	}
	f.Fuzz(func(t *testing.T, name string, kind byte, link string, content []byte) {
		var layer bytes.Buffer
		tw := tar.NewWriter(&layer)
		for _, h := range []*tar.Header{
			{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o755},
			{Name: "dir/link", Typeflag: tar.TypeSymlink, Linkname: link},
			{Name: name, Typeflag: kind, Linkname: link, Size: int64(len(content)), Mode: 0o644},
			{Name: "dir/link/" + name, Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o644},
		} {
			if h.Typeflag != tar.TypeReg {
				h.Size = 0
			}
			if tw.WriteHeader(h) == nil && h.Size > 0 {
				_, _ = tw.Write(content)
			}
		}
		_ = tw.Close()
		outside := t.TempDir()
		if err := os.Mkdir(filepath.Join(outside, "root"), 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(filepath.Join(outside, "root"))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		x := &extraction{ExtractOptions: ExtractOptions{}.withDefaults(), root: root, folded: map[string]string{}, fresh: map[string]bool{}}
		_ = x.entriesOf(t.Context(), tar.NewReader(&layer))
		_ = x.finishDirs()
		entries, err := os.ReadDir(outside)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%q %c %q: %v beside the root, %v", name, kind, link, entries, err)
		}
	})
}
