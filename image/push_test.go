package image_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
)

// build makes a small image out of files.
func build(tb testing.TB, files image.Files) *image.Layout {
	tb.Helper()
	l, err := image.Build(tb.Context(), image.Spec{Layers: []image.Source{files}, Platforms: []string{"linux/amd64"}}, filepath.Join(tb.TempDir(), "layout"), nil)
	require.NoError(tb, err)
	return l
}

func client(tb testing.TB, o *image.Options) *image.Client {
	tb.Helper()
	c, err := image.New(o)
	require.NoError(tb, err)
	tb.Cleanup(c.CloseIdleConnections)
	return c
}

func TestClient_Push(t *testing.T) {
	tests := []struct {
		name   string
		server imagetest.Options
		client image.Options
	}{
		{"open", imagetest.Options{}, image.Options{}},
		{"tls", imagetest.Options{TLS: true}, image.Options{}},
		{"basic", imagetest.Options{User: "u", Password: "p"}, image.Options{}},
		{"token", imagetest.Options{User: "u", Password: "p", Token: true, TLS: true}, image.Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg := imagetest.NewServer(t, &tt.server)
			tt.client.HTTPClient = reg.HTTPClient()
			tt.client.Keychain = image.Logins{reg.Host(): image.Static("u", "p")}
			c := client(t, &tt.client)
			l := build(t, image.Files{"a": []byte("1")})
			ref := reg.Host() + "/shop/cart:1"

			p, err := c.Push(t.Context(), l, []string{ref}, nil)
			require.NoError(t, err)
			assert.Equal(t, ref+"@"+l.Digest(), p.Ref)
			assert.Equal(t, l.Digest(), p.Digest)
			assert.Equal(t, []string{"linux/amd64"}, p.Platforms)
			assert.Equal(t, image.RefCreated, p.Refs[0].Status)
			require.Len(t, p.Blobs, 2)
			for _, b := range p.Blobs {
				assert.Equal(t, image.BlobUploaded, b.Status)
			}

			r, err := c.Resolve(t.Context(), ref)
			require.NoError(t, err)
			assert.Equal(t, l.Digest(), r.Digest)
			assert.Equal(t, []string{"linux/amd64"}, r.Platforms)

			reg.ResetRequests()
			p, err = c.Push(t.Context(), l, []string{ref}, nil)
			require.NoError(t, err)
			assert.Equal(t, image.RefUnchanged, p.Refs[0].Status)
			for _, r := range reg.Requests() {
				assert.Equal(t, http.MethodHead, r.Method, "%s %s", r.Method, r.Path)
			}
		})
	}
}

func TestClient_Push_tagGuard(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	c := client(t, nil)
	one, two := build(t, image.Files{"a": []byte("1")}), build(t, image.Files{"a": []byte("2")})
	ref := reg.Host() + "/shop/cart:1"
	_, err := c.Push(t.Context(), one, []string{ref}, nil)
	require.NoError(t, err)

	reg.ResetRequests()
	_, err = c.Push(t.Context(), two, []string{ref}, nil)
	require.ErrorIs(t, err, image.ErrTagExists)
	for _, r := range reg.Requests() {
		assert.Equal(t, http.MethodHead, r.Method, "nothing is sent before the guard")
	}

	p, err := c.Push(t.Context(), two, []string{ref}, &image.PushOptions{MoveTag: true})
	require.NoError(t, err)
	assert.Equal(t, image.RefMoved, p.Refs[0].Status)
	assert.Equal(t, one.Digest(), p.Refs[0].Previous)
}

func TestClient_Push_wrongPassword(t *testing.T) {
	reg := imagetest.NewServer(t, &imagetest.Options{User: "u", Password: "p", Token: true})
	c := client(t, &image.Options{Keychain: image.Logins{reg.Host(): image.Static("u", "hunter2")}})
	_, err := c.Push(t.Context(), build(t, nil), []string{reg.Host() + "/a:1"}, nil)
	require.ErrorIs(t, err, image.ErrDenied)
	assert.NotContains(t, err.Error(), "hunter2")
}

// A token server calls a login wrong that was never sent.
func TestClient_Push_noLogin(t *testing.T) {
	for _, token := range []bool{false, true} {
		reg := imagetest.NewServer(t, &imagetest.Options{User: "u", Password: "p", Token: token})
		_, err := client(t, nil).Push(t.Context(), build(t, nil), []string{reg.Host() + "/a:1"}, nil)
		require.ErrorIs(t, err, image.ErrDenied)
		assert.ErrorContains(t, err, reg.Host()+" wants a login and there is none for it")
	}
}

func TestClient_PushAll(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	base := build(t, image.Files{"base": noise(layerBytes)})
	var jobs []image.PushJob
	for i := range 11 {
		l, err := image.Build(t.Context(), image.Spec{
			BaseLayout: base, Platforms: []string{"linux/amd64"}, Layers: []image.Source{image.Files{"service": []byte{byte(i)}}},
		}, filepath.Join(t.TempDir(), "layout"), nil)
		require.NoError(t, err)
		jobs = append(jobs, image.PushJob{Layout: l, Refs: []string{fmt.Sprintf("%s/service%d:1", reg.Host(), i)}})
	}
	jobs = append(jobs, image.PushJob{Layout: base, Refs: []string{"NO reference"}}, image.PushJob{Layout: &image.Layout{}, Refs: jobs[0].Refs})
	c := client(t, nil)
	results, err := c.PushAll(t.Context(), jobs, nil)
	require.ErrorIs(t, err, image.ErrInvalid)
	assert.ErrorContains(t, err, "NO reference")
	require.Len(t, results, 13)
	uploads := map[string]int{}
	for i, p := range results[:11] {
		require.NotNil(t, p, i)
		for _, b := range p.Blobs {
			if b.Status == image.BlobUploaded {
				uploads[b.Digest]++
			}
		}
	}
	assert.Nil(t, results[11])
	assert.Nil(t, results[12])
	for digest, n := range uploads {
		assert.Equal(t, 1, n, "%s is sent once", digest)
	}

	// When everything is there, one HEAD for each image is all.
	reg.ResetRequests()
	_, err = client(t, nil).PushAll(t.Context(), jobs[:11], nil)
	require.NoError(t, err)
	heads := 0
	for _, r := range reg.Requests() {
		assert.Equal(t, http.MethodHead, r.Method)
		heads++
	}
	assert.Equal(t, 11, heads)
}

// All references are tried, and the result says which of them were set.
func TestClient_Push_someFail(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	reg.Fail(imagetest.Fault{Method: http.MethodPut, Path: "^/v2/b/manifests/", Status: http.StatusForbidden, Times: -1})
	c := client(t, nil)
	l := build(t, image.Files{"a": []byte("1")})
	var refs []string
	for _, name := range []string{"/a:1", "/b:1", "/c:1"} {
		refs = append(refs, reg.Host()+name)
	}
	p, err := c.Push(t.Context(), l, refs, nil)
	require.ErrorIs(t, err, image.ErrDenied)
	require.ErrorContains(t, err, refs[1]+": PUT ")
	require.NotNil(t, p)
	assert.Equal(t, []string{"linux/amd64"}, p.Platforms)
	require.Len(t, p.Refs, 3)
	for i, want := range []image.RefStatus{image.RefCreated, "", image.RefCreated} {
		assert.Equal(t, image.PushedRef{Ref: refs[i] + "@" + l.Digest(), Status: want}, p.Refs[i])
		ok, err := c.Exists(t.Context(), refs[i])
		require.NoError(t, err)
		assert.Equal(t, want != "", ok)
	}

	p, err = c.Push(t.Context(), l, refs[1:2], nil)
	require.ErrorIs(t, err, image.ErrDenied)
	assert.Nil(t, p, "nothing was set")
	results, err := c.PushAll(t.Context(), []image.PushJob{{Layout: l, Refs: refs}, {Layout: l, Refs: refs[1:2]}}, nil)
	require.ErrorIs(t, err, image.ErrDenied)
	assert.Equal(t, image.RefUnchanged, results[0].Refs[0].Status)
	assert.Nil(t, results[1])
}

// What changed on disk after it was opened, or scanned, does not reach a registry under the old name.
func TestClient_Push_changedLayer(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	l := build(t, image.Files{"a": noise(1000)})
	layer := l.Blobs()[1].Digest
	path := filepath.Join(l.Dir(), "blobs/sha256", strings.TrimPrefix(layer, "sha256:"))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	content[len(content)/2] ^= 1
	require.NoError(t, os.WriteFile(path, content, 0o644))
	_, err = client(t, nil).Push(t.Context(), l, []string{reg.Host() + "/app:1"}, nil)
	require.ErrorIs(t, err, image.ErrDigest)
	ok, err := client(t, nil).Exists(t.Context(), reg.Host()+"/app:1")
	require.NoError(t, err)
	assert.False(t, ok)
	require.NoError(t, os.WriteFile(path, content[1:], 0o644))
	_, err = client(t, nil).Push(t.Context(), l, []string{reg.Host() + "/app:1"}, nil)
	require.ErrorIs(t, err, image.ErrDigest, "and what was cut off is not even sent")
}

// A client that lives long remembers blobs that a registry has meanwhile thrown away.
func TestClient_Push_forgotten(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	c := client(t, nil)
	l, err := image.Build(t.Context(), image.Spec{Layers: []image.Source{image.Files{"a": noise(1000)}}, Platforms: []string{"linux/amd64", "linux/arm64"}}, out(t), nil)
	require.NoError(t, err)
	ref := reg.Host() + "/app:1"
	clean := func(repo string) {
		for _, path := range reg.Requests() {
			if path.Method == http.MethodPut && strings.Contains(path.Path, "/manifests/") {
				remove(t, reg, path.Path)
			}
		}
		for _, b := range l.Blobs() {
			remove(t, reg, "/v2/"+repo+"/blobs/"+b.Digest)
		}
		for _, content := range []string{"{}", "sbom"} {
			sum := sha256.Sum256([]byte(content))
			remove(t, reg, "/v2/"+repo+"/blobs/sha256:"+hex.EncodeToString(sum[:]))
		}
	}
	for round := range 2 {
		p, err := c.Push(t.Context(), l, []string{ref, reg.Host() + "/app:2"}, nil)
		require.NoError(t, err)
		require.Len(t, p.Blobs, len(l.Blobs()))
		for _, b := range p.Blobs {
			assert.Equal(t, image.BlobUploaded, b.Status, "round %d", round)
		}
		_, err = c.Attach(t.Context(), ref, "application/vnd.cyclonedx+json", strings.NewReader("sbom"))
		require.NoError(t, err)
		got, err := c.Pull(t.Context(), ref, out(t), nil)
		require.NoError(t, err)
		assert.Equal(t, l.Digest(), got.Digest())
		clean("app")
		ok, err := c.Exists(t.Context(), ref)
		require.NoError(t, err)
		require.False(t, ok)
	}
}

func remove(t *testing.T, reg *imagetest.Server, path string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, reg.URL()+path, nil)
	require.NoError(t, err)
	resp, err := reg.HTTPClient().Do(req)
	require.NoError(t, err)
	_ = resp.Body.Close()
}
