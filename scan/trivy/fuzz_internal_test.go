package trivy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A layout is what somebody else wrote. Whatever it says, each view has one image, and shows no file but blobs of the
// layout.
func FuzzLayoutSubjects(f *testing.F) {
	const digest = `"digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","size":1`
	for _, s := range []string{
		`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",` + digest + `,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]}`,
		`{"manifests":[{` + digest + `},{` + digest + `,"platform":{"os":"unknown","architecture":"unknown"}},{` + digest + `,"annotations":{"org.opencontainers.image.ref.name":"web:1"}}]}`,
		`{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:blob"}]}`,
		`{"manifests":[{"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","digest":"../..:/etc/passwd"}]}`,
		`{"manifests":[{"mediaType":"x.image.index","digest":"sha256:../../index.json"}]}`,
		`{"manifests":[null,{}]}`, `{"manifests":{}}`, `{"Manifests":[{"Digest":1}]}`, `{}`, `[]`, `{"manifests":[`, "", "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(s), []byte(`{"manifests":[{`+digest+`}]}`))
	}
	f.Fuzz(func(t *testing.T, index, blob []byte) {
		layout, tmp := t.TempDir(), t.TempDir()
		blobs := filepath.Join(layout, "blobs", "sha256")
		require.NoError(t, os.MkdirAll(blobs, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(layout, "index.json"), index, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(blobs, "blob"), blob, 0o600))

		subjects, err := layoutSubjects(layout, tmp, "")
		if err != nil {
			require.Empty(t, subjects)
			return
		}
		require.NotEmpty(t, subjects)
		require.LessOrEqual(t, len(subjects), maxImages)
		for _, s := range subjects {
			view := filepath.Join(tmp, s.args[len(s.args)-1])
			b, err := os.ReadFile(filepath.Join(view, "index.json"))
			require.NoError(t, err)
			manifests, err := parseIndex(b)
			require.NoError(t, err)
			require.Len(t, manifests, 1)
			require.True(t, manifests[0].isImage() && !manifests[0].isIndex())
			link, err := os.Readlink(filepath.Join(view, "blobs"))
			require.NoError(t, err)
			require.Equal(t, filepath.Join(layout, "blobs"), link)
		}
	})
}

func FuzzBlobPath(f *testing.F) {
	for _, s := range []string{"sha256:ab", "sha256:", ":ab", "../x:y", "sha256:..", "sha256:a/b", `sha256:a\b`, "a:b:c", ".:.", "sha256:C:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, digest string) {
		path, err := blobPath("layout", digest)
		if err != nil {
			return
		}
		rel, err := filepath.Rel(filepath.Join("layout", "blobs"), path)
		require.NoError(t, err)
		require.False(t, rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)), "%q is outside", path)
	})
}

func FuzzInspect(f *testing.F) {
	for _, s := range []string{
		`{"SchemaVersion":2,"Metadata":{"OS":{"Family":"alpine","Name":"3.10","EOSL":true}},"Results":[{"Packages":[{"Name":"a"}]}]}`, `{"Results":[]}`, `{"Results":[{"Packages":[1]}]}`, `[]`, `{"Metadata":`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := inspect(b); err == nil {
			require.True(t, json.Valid(b))
		}
	})
}
