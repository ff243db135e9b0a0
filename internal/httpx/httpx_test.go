package httpx_test

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/httpx"
)

func TestClient_redirects(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the other host was asked")
	}))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	mux.HandleFunc("/home", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/ok", func(http.ResponseWriter, *http.Request) {})
	srv := httptest.NewServer(mux)
	defer srv.Close()

	get := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		require.NoError(t, err)
		resp, err := httpx.Client(nil).Do(req) //nolint:bodyclose // Drain closes it
		if err != nil {
			return err
		}
		httpx.Drain(resp.Body)
		return nil
	}
	assert.NoError(t, get("/home"))
	assert.ErrorIs(t, get("/away"), httpx.ErrRedirect)
	assert.ErrorIs(t, get("/loop"), httpx.ErrRedirect)
}

func TestClientFor(t *testing.T) {
	headTimeout := func(c *http.Client) time.Duration {
		return c.Transport.(*http.Transport).ResponseHeaderTimeout
	}
	assert.Equal(t, 2*time.Minute, headTimeout(httpx.ClientFor(nil, 2*time.Minute)))
	assert.Equal(t, 2*time.Minute, headTimeout(httpx.ClientFor(&http.Client{}, 2*time.Minute)))
	assert.Equal(t, time.Minute, headTimeout(httpx.ClientFor(nil, time.Second)))
	own := &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: time.Second}}
	assert.Equal(t, time.Second, headTimeout(httpx.ClientFor(own, time.Hour)), "the caller's is left as it is")
}

func TestSameHost(t *testing.T) {
	tests := []struct {
		from, to string
		ok       bool
	}{
		{"https://a.test/x", "https://a.test/y", true},
		{"https://a.test/x", "https://A.test:443/y", true},
		{"http://a.test/x", "https://a.test/x", false}, // another port
		{"https://a.test/x", "http://a.test/x", false},
		{"https://a.test/x", "https://b.test/x", false},
		{"http://a.test:1/x", "http://a.test:2/x", false},
	}
	for _, tt := range tests {
		from, _ := url.Parse(tt.from)
		to, _ := url.Parse(tt.to)
		err := httpx.SameHost(&http.Request{URL: to}, []*http.Request{{URL: from}})
		assert.Equal(t, tt.ok, err == nil, "%s -> %s: %v", tt.from, tt.to, err)
	}
}

func TestReadAll(t *testing.T) {
	b, err := httpx.ReadAll(strings.NewReader("12345"), 5, "reply")
	require.NoError(t, err)
	assert.Equal(t, "12345", string(b))

	_, err = httpx.ReadAll(bytes.NewReader(make([]byte, 6)), 5, "reply")
	var tooLarge *httpx.TooLargeError
	require.ErrorAs(t, err, &tooLarge)
	assert.Equal(t, int64(5), tooLarge.Limit)
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"", 0, false},
		{"3", 3 * time.Second, true},
		{"0.5", 500 * time.Millisecond, true},
		{"Fri, 02 Jan 2026 03:04:15 GMT", 10 * time.Second, true},
		{"Fri, 02 Jan 2026 03:04:00 GMT", 0, true},
		{"soon", 0, false},
		{"-1", 0, false},
		{"1e300", 0, false},
		{"NaN", 0, false},
	}
	for _, tt := range tests {
		got, ok := httpx.RetryAfter(http.Header{"Retry-After": {tt.value}}, now)
		assert.Equal(t, tt.want, got, tt.value)
		assert.Equal(t, tt.ok, ok, tt.value)
	}
}

func TestRedactError(t *testing.T) {
	cause := &net.OpError{Op: "dial", Err: errors.New("refused")}
	err := httpx.RedactError(&url.Error{Op: "Get", URL: "https://user:hunter2@host.test/p?token=hunter2#hunter2", Err: cause})
	assert.NotContains(t, err.Error(), "hunter2")
	assert.Contains(t, err.Error(), "https://host.test/p")
	var op *net.OpError
	assert.ErrorAs(t, err, &op)
	assert.NotContains(t, httpx.RedactRawURL("http://hunter2\x7f"), "hunter2")
}

func TestIsLoopback(t *testing.T) {
	for _, host := range []string{"localhost", "LOCALHOST:80", "127.0.0.1", "127.1.2.3:99", "[::1]:5", "::1"} {
		assert.True(t, httpx.IsLoopback(host), host)
	}
	for _, host := range []string{"", "example.test", "10.0.0.1", "localhost.example.test", "[fe80::1]:5"} {
		assert.False(t, httpx.IsLoopback(host), host)
	}
}
