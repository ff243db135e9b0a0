package image_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
)

// noise is content that does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}

const layerBytes = 4 << 20

// bytesReceived is how many bytes of blobs the registry read.
func bytesReceived(reg *imagetest.Server) (n int64) {
	for _, r := range reg.Requests() {
		if r.Method == http.MethodPut || r.Method == http.MethodPatch {
			n += r.Received
		}
	}
	return n
}

func TestClient_Push_survives(t *testing.T) {
	t.Parallel()
	const sessions = "/blobs/uploads/."
	tests := []struct {
		name  string
		fault imagetest.Fault
		most  int64 // bytes the registry may have read
	}{
		// The token ends while the body is on its way. The body is sent again from its start, and once more in a new
		// session when the digest shows that the first bytes were kept.
		{"401 in mid-upload", imagetest.Fault{Method: "PUT", Path: sessions, Status: 401, AfterBytes: layerBytes / 2}, 11 * layerBytes / 4},
		{"401 at the end", imagetest.Fault{Method: "PUT", Path: sessions, Status: 401, AfterBytes: layerBytes}, 13 * layerBytes / 4},
		// The session keeps what arrived, so the rest is enough.
		{"reset at half", imagetest.Fault{Method: "PUT", Path: sessions, Drop: true, AfterBytes: layerBytes / 2}, 5 * layerBytes / 4},
		{"reset at once", imagetest.Fault{Method: "PUT", Path: sessions, Drop: true}, 5 * layerBytes / 4},
		{"429 with Retry-After", imagetest.Fault{Method: "PUT", Path: sessions, Status: 429, Header: http.Header{"Retry-After": {"0"}}}, 2 * layerBytes},
		{"502 at half", imagetest.Fault{Method: "PUT", Path: sessions, Status: 502, AfterBytes: layerBytes / 2}, 5 * layerBytes / 4},
		{"502 for a while", imagetest.Fault{Status: 502, Times: 3}, 2 * layerBytes},
		{"500 on the manifest", imagetest.Fault{Method: "PUT", Path: "/manifests/", Status: 500}, 2 * layerBytes},
		{"503 on the token", imagetest.Fault{Path: "^/token", Status: 503}, 2 * layerBytes},
		{"slow", imagetest.Fault{Method: "PUT", Path: sessions, Delay: 50 * time.Millisecond, Times: -1}, 2 * layerBytes},
		{"lost session", imagetest.Fault{Method: "PUT", Path: sessions, Status: 404, AfterBytes: layerBytes}, 5 * layerBytes / 2},
		{"connection lost on HEAD", imagetest.Fault{Method: "HEAD", Drop: true}, 2 * layerBytes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg := imagetest.NewServer(t, &imagetest.Options{User: "u", Password: "p", Token: true})
			c := client(t, &image.Options{Keychain: image.Logins{reg.Host(): image.Static("u", "p")}})
			l := build(t, image.Files{"noise": noise(layerBytes)})
			reg.Fail(tt.fault)

			p, err := c.Push(t.Context(), l, []string{reg.Host() + "/app:1"}, nil)
			require.NoError(t, err)
			assert.Equal(t, l.Digest(), p.Digest)
			assert.LessOrEqual(t, bytesReceived(reg), tt.most)
			got, err := c.Pull(t.Context(), p.Ref, t.TempDir(), nil)
			require.NoError(t, err)
			assert.Equal(t, l.Digest(), got.Digest())
		})
	}
}

func TestClient_Push_givesUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault imagetest.Fault
		want  error
	}{
		{"always 503", imagetest.Fault{Status: 503, Times: -1}, image.ErrUnavailable},
		{"asked to wait an hour", imagetest.Fault{Status: 429, Times: -1, Header: http.Header{"Retry-After": {"3600"}}}, image.ErrUnavailable},
		{"connections break", imagetest.Fault{Drop: true, Times: -1}, image.ErrUnavailable},
		{"forbidden", imagetest.Fault{Method: "POST", Status: 403, Times: -1}, image.ErrDenied},
		{"too large", imagetest.Fault{Method: "PUT", Status: 413, Times: -1}, image.ErrTooLarge},
		{"nonsense", imagetest.Fault{Method: "POST", Status: 418, Times: -1}, image.ErrRegistry},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg := imagetest.NewServer(t, nil)
			reg.Fail(tt.fault)
			_, err := client(t, &image.Options{Attempts: 2}).Push(t.Context(), build(t, nil), []string{reg.Host() + "/app:1"}, nil)
			require.ErrorIs(t, err, tt.want)
			e := new(image.Error)
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "push", e.Op)
			assert.Equal(t, 1, strings.Count(err.Error(), "image: "), "wrapped once: %v", err)
		})
	}
}

func TestClient_Push_stall(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	reg.Fail(imagetest.Fault{Method: "PUT", Path: "uploads/.", Delay: time.Hour})
	c := client(t, &image.Options{StallTimeout: 2 * time.Second})
	_, err := c.Push(t.Context(), build(t, image.Files{"a": noise(layerBytes)}), []string{reg.Host() + "/app:1"}, nil)
	require.NoError(t, err, "a transfer that does not move is tried again")
}

func TestClient_Push_cancelled(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	l := build(t, image.Files{"a": noise(layerBytes)})
	_, err := client(t, nil).Push(ctx, l, []string{reg.Host() + "/app:1"}, &image.PushOptions{Progress: func(image.Progress) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
}

func TestClient_Push_tagMovedMeanwhile(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	c := client(t, nil)
	mine, theirs := build(t, image.Files{"a": []byte("1")}), build(t, image.Files{"a": []byte("2")})
	_, err := c.Push(t.Context(), theirs, []string{reg.Host() + "/app:other"}, nil)
	require.NoError(t, err)
	// The second HEAD of the tag is the one after the write; the registry then names another digest.
	reg.Fail(imagetest.Fault{Method: "HEAD", Path: "/manifests/1$", Skip: 2, Status: 200, Header: http.Header{"Docker-Content-Digest": {theirs.Digest()}}})
	_, err = c.Push(t.Context(), mine, []string{reg.Host() + "/app:1"}, nil)
	require.ErrorIs(t, err, image.ErrTagExists)
	assert.ErrorContains(t, err, theirs.Digest())
}

func TestClient_Push_immutableTag(t *testing.T) {
	reg := imagetest.NewServer(t, &imagetest.Options{ImmutableTags: true})
	c := client(t, nil)
	ref := []string{reg.Host() + "/app:1"}
	_, err := c.Push(t.Context(), build(t, image.Files{"a": []byte("1")}), ref, nil)
	require.NoError(t, err)
	_, err = c.Push(t.Context(), build(t, image.Files{"a": []byte("2")}), ref, &image.PushOptions{MoveTag: true})
	require.ErrorIs(t, err, image.ErrTagExists)
}

func TestClient_Push_sharedBlobs(t *testing.T) {
	reg := imagetest.NewServer(t, &imagetest.Options{User: "u", Password: "p", Token: true})
	c := client(t, &image.Options{Keychain: image.Logins{reg.Host(): image.Static("u", "p")}})
	base := build(t, image.Files{"base": noise(layerBytes)})
	var refs []string
	for _, name := range []string{"/a:1", "/b:1", "/b:2", "/c/d:1"} {
		refs = append(refs, reg.Host()+name)
	}
	p, err := c.Push(t.Context(), base, refs, nil)
	require.NoError(t, err)
	require.Len(t, p.Refs, 4)
	count := map[image.BlobStatus]int{}
	for _, b := range p.Blobs {
		count[b.Status]++
	}
	assert.Equal(t, map[image.BlobStatus]int{image.BlobUploaded: 2, image.BlobMounted: 4}, count)
	assert.Less(t, bytesReceived(reg), int64(layerBytes*5/4))
	for _, ref := range refs {
		ok, err := c.Exists(t.Context(), ref)
		require.NoError(t, err)
		assert.True(t, ok)
	}
}

func TestClient_Push_progress(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	l := build(t, image.Files{"noise": noise(layerBytes)})
	last := map[string]image.Progress{}
	p, err := client(t, nil).Push(t.Context(), l, []string{reg.Host() + "/app:1"}, &image.PushOptions{Progress: func(p image.Progress) { last[p.Digest] = p }})
	require.NoError(t, err)
	for _, b := range p.Blobs {
		assert.Equal(t, image.Progress{Repository: reg.Host() + "/app", Digest: b.Digest, Bytes: b.Bytes, Total: b.Bytes}, last[b.Digest])
	}
}

func TestClient_wrongBytes(t *testing.T) {
	t.Parallel()
	manifest := "/manifests/"
	tests := []struct {
		name  string
		fault imagetest.Fault
		want  error
	}{
		{"manifest changed", imagetest.Fault{Method: "GET", Path: manifest, Corrupt: true, Times: -1}, image.ErrDigest},
		{"manifest cut off", imagetest.Fault{Method: "GET", Path: manifest, Truncate: 20, Times: -1}, image.ErrUnavailable},
		{"manifest of 5 MiB", imagetest.Fault{Method: "GET", Path: manifest, Replace: bytes.Repeat([]byte(" "), 5<<20), Times: -1}, image.ErrTooLarge},
		{"blob changed", imagetest.Fault{Method: "GET", Path: "/blobs/", Corrupt: true, Times: -1}, image.ErrDigest},
		{"blob cut off", imagetest.Fault{Method: "GET", Path: "/blobs/", Truncate: 20, Times: -1}, image.ErrUnavailable},
		{"blob too long", imagetest.Fault{Method: "GET", Path: "/blobs/", Replace: noise(layerBytes), Times: -1}, image.ErrDigest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg := imagetest.NewServer(t, nil)
			c := client(t, &image.Options{Attempts: 2})
			ref := reg.Host() + "/app:1"
			_, err := c.Push(t.Context(), build(t, image.Files{"a": noise(1000)}), []string{ref}, nil)
			require.NoError(t, err)
			reg.Fail(tt.fault)
			dir := t.TempDir()
			_, err = c.Pull(t.Context(), ref, dir, nil)
			require.ErrorIs(t, err, tt.want)
			_, err = image.Open(t.Context(), dir, nil)
			assert.ErrorIs(t, err, image.ErrNotFound, "a failed pull leaves no layout")
		})
	}
}

func TestClient_Pull_resumes(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	c := client(t, nil)
	l := build(t, image.Files{"a": noise(layerBytes)})
	p, err := c.Push(t.Context(), l, []string{reg.Host() + "/app:1"}, nil)
	require.NoError(t, err)
	reg.Fail(imagetest.Fault{Method: "GET", Path: "/blobs/", Truncate: layerBytes / 2, Skip: 1})
	got, err := c.Pull(t.Context(), p.Ref, t.TempDir(), nil)
	require.NoError(t, err)
	assert.NoError(t, got.Verify(t.Context()))
}

// A proxy's page in place of a manifest is not the caller's fault.
func TestClient_Resolve_noManifest(t *testing.T) {
	for _, mediaType := range []string{"text/html", "application/vnd.oci.image.manifest.v1+json"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write([]byte("<html>log in</html>"))
		}))
		t.Cleanup(s.Close)
		_, err := client(t, nil).Resolve(t.Context(), s.Listener.Addr().String()+"/app:1")
		require.ErrorIs(t, err, image.ErrRegistry, mediaType)
		assert.NotErrorIs(t, err, image.ErrInvalid)
	}
}
