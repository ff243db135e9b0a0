package image

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHost_hop(t *testing.T) {
	c, err := New(nil)
	require.NoError(t, err)
	c.lookup = func(_ context.Context, host string) ([]net.IP, error) {
		ip := map[string]string{"public.test": "93.184.216.34", "store.test": "8.8.8.8", "inside.test": "10.0.0.7", "office.test": "192.168.1.1"}[host]
		if ip == "" {
			return nil, errors.New("no such host")
		}
		return []net.IP{net.ParseIP(ip)}, nil
	}
	tests := []struct {
		from, location string
		want           string // "" is refused
	}{
		{"https://public.test/v2/a", "/v2/b?x=1", "https://public.test/v2/b?x=1"},
		{"https://public.test/v2/a", "https://store.test/b", "https://store.test/b"},
		{"https://public.test/v2/a", "https://unknown.test/b", "https://unknown.test/b"},
		{"https://public.test/v2/a", "https://inside.test/b", ""},
		{"https://public.test/v2/a", "https://127.0.0.1/b", ""},
		{"https://public.test/v2/a", "https://localhost/b", ""},
		{"https://public.test/v2/a", "https://[::1]/b", ""},
		{"https://public.test/v2/a", "https://169.254.169.254/latest/meta-data", ""},
		{"https://public.test/v2/a", "https://[::ffff:10.0.0.1]/b", ""},
		{"https://public.test/v2/a", "https://[fd00::1]/b", ""},
		{"https://public.test/v2/a", "https://100.100.100.200/b", ""},
		{"https://public.test/v2/a", "https://0.0.0.0/b", ""},
		{"https://public.test/v2/a", "http://public.test/b", ""},
		{"https://public.test/v2/a", "file:///etc/passwd", ""},
		{"https://public.test/v2/a", "", ""},
		{"https://office.test/v2/a", "https://inside.test/b", "https://inside.test/b"}, // both are private
		{"http://127.0.0.1:5000/v2/a", "http://127.0.0.1:9000/b", "http://127.0.0.1:9000/b"},
		{"https://public.test/v2/a", "https://user:pw@store.test/b", "https://store.test/b"},
	}
	for _, tt := range tests {
		from, err := url.Parse(tt.from)
		require.NoError(t, err)
		got, err := newHost(c, "", "").hop(t.Context(), from, tt.location)
		if tt.want == "" {
			require.Error(t, err, tt.location)
			continue
		}
		require.NoError(t, err, tt.location)
		assert.Equal(t, tt.want, got.String())
	}
}

// A name may be public when it is looked at and private when it is connected to.
func TestHost_rebinding(t *testing.T) {
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.Host]++
		http.Redirect(w, r, "http://store.test/metadata", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	for address, want := range map[string]error{"93.184.216.34": ErrRedirect, "10.0.0.7": nil} { // of the registry
		c, err := New(&Options{AllowInsecureHTTP: true, Attempts: 1})
		require.NoError(t, err)
		c.lookup = func(_ context.Context, host string) ([]net.IP, error) {
			if host == "registry.test" {
				return []net.IP{net.ParseIP(address)}, nil
			}
			return []net.IP{net.ParseIP("8.8.8.8")}, nil
		}
		dialer := &net.Dialer{ControlContext: refusePrivate}
		c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, server.Listener.Addr().String()) // every name is this machine
		}}
		clear(asked)
		_, err = c.Resolve(t.Context(), "registry.test/app:1")
		c.CloseIdleConnections()
		require.ErrorIs(t, err, ErrRedirect)
		assert.Positive(t, asked["registry.test"])
		if want != nil {
			assert.Zero(t, asked["store.test"], "nothing was sent to the private address")
			assert.ErrorContains(t, err, "private address 127.0.0.1")
		} else {
			assert.Positive(t, asked["store.test"], "a private registry may send to its own kind")
		}
	}
}

// transportFunc is a registry that no network leads to.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func privateRepository(t *testing.T, o Options, f transportFunc) *repository {
	t.Helper()
	o.HTTPClient = &http.Client{Transport: f}
	c, err := New(&o)
	require.NoError(t, err)
	r := c.repository(reference{host: "127.0.0.1:5000", repo: "app", tag: "1"}, "pull,push")
	r.host.setScheme("https")
	return r
}

// A registry reads a large blob once more before it answers the request that ends the upload, and nothing moves
// meanwhile.
func TestUpload_put_patience(t *testing.T) {
	const size = 3 << 30
	for name, tt := range map[string]struct {
		size, sent int64
		want       error
	}{
		"body of a large blob":         {size, size - 1000, nil},
		"large blob that is all there": {size, size, nil},
		"small blob":                   {1000, 0, errStalled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				repo := privateRepository(t, Options{StallTimeout: time.Minute}, func(r *http.Request) (*http.Response, error) {
					_, err := io.Copy(io.Discard, r.Body)
					select {
					case <-time.After(4 * time.Minute):
						return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody, Request: r}, err
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
				})
				u := &upload{repo: repo, from: noughts{}, desc: v1.Descriptor{Size: tt.size}, sent: tt.sent, session: &url.URL{Scheme: "https", Host: "127.0.0.1:5000"}}
				require.ErrorIs(t, u.put(t.Context()), tt.want)
			})
		})
	}
	assert.Equal(t, 5*time.Minute, verification(maxPullBytes))
}

// noughts is content of zeros.
type noughts struct{ content }

func (noughts) blob(_ context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(strings.Repeat("0", int(d.Size-offset)))), nil
}

// A connection may break in the very read that still brings bytes.
func TestRemoteBlob_Read_brokenWithBytes(t *testing.T) {
	const blob = "all of the blob"
	for _, at := range []int{1, 7, len(blob)} {
		asked := 0
		repo := privateRepository(t, Options{}, func(r *http.Request) (*http.Response, error) {
			if asked++; asked == 1 {
				body := iotest.DataErrReader(io.MultiReader(strings.NewReader(blob[:at]), iotest.ErrReader(errors.New("reset"))))
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body), Request: r}, nil
			}
			header := http.Header{"Content-Range": {strings.Replace(r.Header.Get("Range"), "=", " ", 1)}}
			return &http.Response{StatusCode: http.StatusPartialContent, Header: header, Body: io.NopCloser(strings.NewReader(blob[at:])), Request: r}, nil
		})
		r, err := repo.blob(t.Context(), v1.Descriptor{Size: int64(len(blob))}, 0)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err, "broken at %d", at)
		assert.Equal(t, blob, string(got))
		require.NoError(t, r.Close())
	}
}

func TestRelatedHosts(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"auth.docker.io", "registry-1.docker.io"}:       true,
		{"gitlab.example.com", "registry.example.com"}:   true,
		{"gitlab.com", "registry.gitlab.com"}:            true,
		{"evil.com", "registry.example.com"}:             false,
		{"evil.com", "example.com"}:                      false,
		{"example.com.evil.org", "registry.example.com"}: false,
		{"10.0.0.1", "10.0.0.2"}:                         false,
		{"localhost", "registry.example.com"}:            false,
	} {
		assert.Equal(t, want, relatedHosts(pair[0], pair[1]), pair)
	}
}

func TestParseChallenge(t *testing.T) {
	c := parseChallenge(`Bearer realm="https://a.test/token?x=\"1\"", service=reg ,scope="repository:a/b:pull,push"`)
	assert.Equal(t, "bearer", c.scheme)
	assert.Equal(t, map[string]string{"realm": `https://a.test/token?x="1"`, "service": "reg ", "scope": "repository:a/b:pull,push"}, c.params)
	_, err := parseChallenges([]string{"Negotiate"})
	require.Error(t, err)
}

func FuzzParseChallenge(f *testing.F) {
	for _, s := range []string{"", "Basic", `Bearer realm="x`, `Bearer a=b,c="d",,e`, `Bearer =`, "Bearer \\", `Bearer a="\`} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { parseChallenge(s) })
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"", "a", "host:5000/a/b:c@sha256:0", "a@", ":", "@", "a:b:c", "host/../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseReference(s)
		if err != nil {
			return
		}
		// What was accepted cannot change the URL it is put into.
		u, err := url.Parse("https://" + r.endpoint() + "/v2/" + r.repo + "/manifests/" + r.identifier())
		if err != nil || u.Host != r.endpoint() || u.RawQuery != "" || u.User != nil || u.Path != "/v2/"+r.repo+"/manifests/"+r.identifier() {
			t.Fatalf("%q became %v, %v", s, u, err)
		}
		again, err := parseReference(r.String())
		if err != nil || again != r {
			t.Fatalf("%q -> %q -> %+v, %v", s, r, again, err)
		}
	})
}

func FuzzParseNode(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"sha256:x"},"layers":[]}`), false)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:x","size":-1}]}`), true)
	f.Fuzz(func(t *testing.T, raw []byte, index bool) {
		d := v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: hashOf(raw)}
		if index {
			d.MediaType = types.OCIImageIndex
		}
		n, err := parseNode(d, raw)
		if err == nil && (n.image == nil) == (n.index == nil) {
			t.Fatal("neither or both")
		}
	})
}

func TestKindOfStatus(t *testing.T) {
	for status, want := range map[int]error{
		http.StatusTooManyRequests: ErrUnavailable, http.StatusInsufficientStorage: ErrUnavailable, http.StatusForbidden: ErrDenied,
		http.StatusNotFound: ErrNotFound, http.StatusConflict: ErrTagExists, http.StatusRequestEntityTooLarge: ErrTooLarge, http.StatusTeapot: ErrRegistry,
	} {
		assert.Equal(t, want, kindOfStatus(&RegistryError{Status: status}))
	}
}
