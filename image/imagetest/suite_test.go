package imagetest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/image/imagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServer(t *testing.T) {
	for name, o := range map[string]*imagetest.Options{"plain": nil, "TLS": {TLS: true}, "without referrers": {NoReferrers: true}} {
		t.Run(name, func(t *testing.T) {
			s := imagetest.NewServer(t, o)
			c := s.HTTPClient()
			t.Cleanup(c.CloseIdleConnections)
			imagetest.TestRegistry(t, imagetest.Registry{URL: s.URL(), Client: c, Repo: "suite"})
		})
	}
}

// What the distribution specification says and not every registry does: order of pieces, pages of tags.
func TestServer_strict(t *testing.T) {
	s := imagetest.NewServer(t, nil)
	c := s.HTTPClient()
	t.Cleanup(c.CloseIdleConnections)
	do := func(method, path string, header http.Header, body string) (int, http.Header, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header = header
		resp, err := c.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, resp.Header, string(got)
	}
	_, header, _ := do("POST", "/v2/app/blobs/uploads/", http.Header{}, "")
	status, _, _ := do("PATCH", header.Get("Location"), http.Header{"Content-Range": {"5-9"}}, "56789")
	assert.Equal(t, 416, status)

	const index = "application/vnd.oci.image.index.v1+json"
	for _, tag := range []string{"c", "a", "b"} {
		status, _, _ := do("PUT", "/v2/app/manifests/"+tag, http.Header{"Content-Type": {index}}, `{"manifests":[]}`)
		require.Equal(t, 201, status)
	}
	_, header, body := do("GET", "/v2/app/tags/list?n=2", nil, "")
	assert.JSONEq(t, `{"name":"app","tags":["a","b"]}`, body)
	assert.Equal(t, `</v2/app/tags/list?last=b&n=2>; rel="next"`, header.Get("Link"))
	_, _, body = do("GET", "/v2/app/tags/list?last=b&n=2", nil, "")
	assert.JSONEq(t, `{"name":"app","tags":["c"]}`, body)
}

// A session may end while a body for it is on its way.
func TestServer_sessionEnds(t *testing.T) {
	for _, method := range []string{http.MethodPatch, http.MethodPut} {
		t.Run(method, func(t *testing.T) {
			s := imagetest.NewServer(t, nil)
			transport := &http.Transport{ExpectContinueTimeout: time.Hour} // the body goes when the server reads it
			t.Cleanup(transport.CloseIdleConnections)
			do := func(method, path string, body io.Reader) (int, http.Header) {
				req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, body)
				assert.NoError(t, err)
				req.Header.Set("Expect", "100-continue")
				resp, err := transport.RoundTrip(req)
				if !assert.NoError(t, err) { // no require: one of them runs beside the test
					return 0, nil
				}
				assert.NoError(t, resp.Body.Close())
				return resp.StatusCode, resp.Header
			}
			_, header := do(http.MethodPost, "/v2/app/blobs/uploads/", nil)
			session := header.Get("Location")
			body, w := io.Pipe()
			go func() {
				_, _ = w.Write([]byte("begun"))
				do(http.MethodDelete, session, nil)
				_ = w.Close()
			}()
			status, _ := do(method, session, body)
			assert.Equal(t, http.StatusNotFound, status)
			status, _ = do(http.MethodGet, session, nil)
			assert.Equal(t, http.StatusNotFound, status)
		})
	}
}

// What is read before a fault stays in the session, as the registry may have had it when it failed.
func TestFault_AfterBytes(t *testing.T) {
	s := imagetest.NewServer(t, nil)
	c := s.HTTPClient()
	t.Cleanup(c.CloseIdleConnections)
	do := func(method, path, body string) (int, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
		require.NoError(t, err)
		resp, err := c.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode, resp.Header
	}
	s.Fail(imagetest.Fault{Method: http.MethodPatch, Status: http.StatusBadGateway, AfterBytes: 3})
	_, header := do(http.MethodPost, "/v2/app/blobs/uploads/", "")
	session := header.Get("Location")
	status, _ := do(http.MethodPatch, session, "12345")
	assert.Equal(t, http.StatusBadGateway, status)
	_, header = do(http.MethodGet, session, "")
	assert.Equal(t, "0-2", header.Get("Range"))
}

// A registry that lies in one point must not pass.
func TestChecks_liars(t *testing.T) {
	t.Parallel()
	lies := map[string]imagetest.Fault{
		"stores what it does not check":  {Method: "PUT", Path: "/blobs/uploads/", Status: 201},
		"takes manifests without blobs":  {Method: "PUT", Path: "/manifests/v1", Status: 201},
		"other bytes of a blob":          {Method: "GET", Path: "/blobs/sha256", Corrupt: true},
		"other bytes of a manifest":      {Method: "GET", Path: "/manifests/", Corrupt: true},
		"other digest of a manifest":     {Method: "HEAD", Path: "/manifests/", Status: 200, Header: http.Header{"Docker-Content-Digest": {"sha256:0"}}},
		"mounts what it does not have":   {Method: "POST", Path: "/to/blobs/uploads/", Status: 201},
		"has every blob":                 {Method: "HEAD", Path: "/two/blobs/", Status: 200},
		"has every manifest":             {Method: "GET", Path: "/manifests/none", Status: 200},
		"deletes nothing":                {Method: "DELETE", Status: 202},
		"forgets the state of an upload": {Method: "GET", Path: "/blobs/uploads/", Status: 204},
		"no referrers":                   {Path: "/referrers/", Status: 200, Body: `{"manifests":[]}`, Header: http.Header{"Content-Type": {"application/vnd.oci.image.index.v1+json"}}},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lie.Times = -1
			s := imagetest.NewServer(t, nil)
			s.Fail(lie)
			c := s.HTTPClient()
			t.Cleanup(c.CloseIdleConnections)
			caught := 0
			for _, check := range imagetest.Checks() {
				if check.Run(t.Context(), imagetest.Registry{URL: s.URL(), Client: c, Repo: "suite"}) != nil {
					caught++
				}
			}
			assert.Positive(t, caught)
		})
	}
}
