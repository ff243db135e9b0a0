package manifest_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/waybill-dev/waybill/gitops/manifest"
)

// FuzzSet edits anything: it either fails with a typed error or changes as many lines as it says, and the
// second time nothing.
func FuzzSet(f *testing.F) {
	for _, pattern := range []string{"testdata/set/*/in.yaml"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, "v2", false)
			for doc := range bytes.SplitSeq(data, []byte("\n---")) {
				f.Add(doc, "0x10", true)
			}
		}
	}
	f.Add([]byte("a: &a {image: reg.io/web}\nb: {<<: *a}"), "new.io/web:v1", true)
	f.Add([]byte("images: [{name: reg.io/web}]"), "@"+digest, false)
	f.Fuzz(func(t *testing.T, in []byte, to string, kustomization bool) {
		name := "f.yaml"
		if kustomization {
			name = "kustomization.yaml"
		}
		edits := []manifest.Edit{{Image: "reg.io/web", To: to}}
		out, ch, err := manifest.Set(name, in, edits, nil)
		if err != nil {
			if _, ok := errors.AsType[*manifest.Error](err); !ok {
				t.Fatalf("not a manifest.Error: %v", err)
			}
			if errors.Is(err, manifest.ErrProof) {
				t.Logf("proof: %v", err)
			}
			if out != nil || ch != nil {
				t.Fatal("an error and a result")
			}
			return
		}
		if len(ch) == 0 && !bytes.Equal(in, out) {
			t.Fatal("changed without a change")
		}
		if n := changedLines(in, out); n > len(ch) {
			t.Fatalf("%d lines changed by %d changes", n, len(ch))
		}
		again, ch, err := manifest.Set(name, out, edits, nil)
		if err != nil || len(ch) > 0 || !bytes.Equal(out, again) {
			t.Fatalf("not the same twice: %v, %v\n%q\n%q\n%q", err, ch, in, out, again)
		}
		quick, _, err := manifest.Set(name, in, edits, &manifest.Options{SkipUnrelated: true})
		if err != nil || !bytes.Equal(quick, out) {
			t.Fatalf("otherwise with SkipUnrelated: %v\n%q\n%q", err, out, quick)
		}
	})
}

// changedLines counts the lines of b that have no partner in a, by the longest common subsequence.
func changedLines(a, b []byte) int {
	as, bs := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	if len(as)*len(bs) > 1_000_000 {
		return 0
	}
	row := make([]int, len(bs)+1)
	for i := range as {
		diagonal := 0
		for j := range bs {
			above := row[j+1]
			if bytes.Equal(as[i], bs[j]) {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return len(bs) - row[len(bs)]
}
