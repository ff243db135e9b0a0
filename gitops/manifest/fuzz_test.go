package manifest_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
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
	})
}

// FuzzParseAll holds what is passed over unparsed against the parser: nothing else comes out when all is parsed,
// except for the errors of documents in which the image does not stand.
func FuzzParseAll(f *testing.F) {
	names, err := filepath.Glob("testdata/set/*/in.yaml")
	if err != nil || len(names) == 0 {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, image := range []string{"reg.io/web", "web", "reg.io/team/web", "ghcr.io/acme/shop", "busybox", "bitnami/redis"} {
			f.Add(data, image, "v2")
			f.Add(data, image, "new.io/web:v1")
			f.Add(data, "gone.io/"+image, "reg.io/web:v1")
		}
	}
	for _, in := range []string{
		"image: \"reg.io/\\x77eb\"", "image: \"reg.io\\/web\"", "image: \"reg.io/\\\n  web\"", "registry: reg.io/team\nrepository: web\ntag: 1", "image: DOCKER.io/library/web",
		"{\"image\":\"\\u0072eg.io/web\"}", "images: [web=reg.io/web]", "a: reg.io/team\nb: c: d\n---\nimage: reg.io/web", "\xff\xfei\x00", "image: reg.io/web-web/web.web/web",
	} {
		f.Add([]byte(in), "reg.io/web", "v2")
		f.Add([]byte(in), "reg.io/team/web", "@"+digest)
	}
	f.Fuzz(func(t *testing.T, in []byte, image, to string) {
		for _, name := range []string{"f.yaml", "kustomization.yaml"} {
			edits := []manifest.Edit{{Image: image, To: to}}
			quick, err := manifest.NewEditor(edits, nil)
			if err != nil {
				return
			}
			all, err := manifest.NewEditor(edits, &manifest.Options{ParseAll: true})
			if err != nil {
				t.Fatal(err)
			}
			wantOut, wantCh, wantErr := all.File(name, in)
			out, ch, err := quick.File(name, in)
			switch {
			case err != nil && wantErr == nil:
				t.Fatalf("an error that parsing all does not find: %v\n%q", err, in)
			case wantErr != nil && (errors.Is(wantErr, manifest.ErrSyntax) || errors.Is(wantErr, manifest.ErrTemplate) || errors.Is(wantErr, manifest.ErrTooLarge) || errors.Is(wantErr, manifest.ErrUnsupported) && !wantedIn(wantErr)):
				return
			case wantErr != nil:
				if err == nil || err.Error() != wantErr.Error() {
					t.Fatalf("got %v, want %v\n%q", err, wantErr, in)
				}
				return
			}
			if !bytes.Equal(out, wantOut) || !reflect.DeepEqual(ch, wantCh) || errors.Is(quick.Check(), manifest.ErrNotFound) != errors.Is(all.Check(), manifest.ErrNotFound) {
				t.Fatalf("otherwise than when all is parsed: %q\n%q\n%q", in, out, wantOut)
			}
		}
	})
}

// wantedIn reports whether the error is about a place where the image stands.
func wantedIn(err error) bool {
	e, ok := errors.AsType[*manifest.Error](err)
	return ok && e.Image != ""
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
