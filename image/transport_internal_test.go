package image

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

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
