package vault_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/secretstest"
	"github.com/waybill-dev/waybill/secrets/vault"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

const (
	planted    = "c4nary-valu3" // the secret that must stay one
	plantedRef = "vault://secret/app"
	dataPath   = "secret/data/app"
)

// fault is one thing that can go wrong.
type fault struct {
	name string
	// on makes it go wrong and returns the error of a Get, or of whatever it is about.
	on   func(t *testing.T, w *world) error
	kind error // nil: nothing may be noticed
}

// world is a fake Vault with a secret in it.
type world struct {
	*vaulttest.Server
	logs bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: vaulttest.NewServer(t, nil)}
	_, err := w.Put("secret/app", map[string]any{"v": planted})
	require.NoError(t, err)
	return w
}

// client returns a client with quick retries that logs into the world.
func (w *world) client(t *testing.T, o *vault.Options) *vault.Client {
	t.Helper()
	return w.clientAt(t, w.URL, vault.Token(fixed(w.RootToken), &vault.TokenOptions{Untouched: true}), o)
}

func (w *world) clientAt(t *testing.T, url string, login vault.Login, o *vault.Options) *vault.Client {
	t.Helper()
	if o == nil {
		o = &vault.Options{}
	}
	if o.Attempts == 0 {
		o.Attempts, o.MaxPause = 2, 20*time.Millisecond
	}
	o.KV = map[string]int{"secret": 2}
	o.Logger = slog.New(slog.NewJSONHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := vault.New(url, login, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func read(ctx context.Context, c *vault.Client) error {
	ref, err := secrets.ParseRef(plantedRef)
	if err != nil {
		return err
	}
	v, _, err := c.Get(ctx, ref)
	if err == nil && v.Expose() != `{"v":"`+planted+`"}` {
		return errors.New("not what was put there")
	}
	return err
}

// replies makes every read get a reply in place of the real one.
func replies(f vaulttest.Fault) func(t *testing.T, w *world) error {
	return func(t *testing.T, w *world) error {
		t.Helper()
		f.Path = dataPath
		w.Fail(f)
		return read(t.Context(), w.client(t, nil))
	}
}

// once makes the first read go wrong and the second work.
func once(f vaulttest.Fault) func(t *testing.T, w *world) error {
	f.Times = 1
	return replies(f)
}

func jsonErrors(texts ...string) []byte {
	b, _ := json.Marshal(map[string]any{"errors": texts})
	return b
}

// echo is what a proxy in between may send: the request, token and all.
func echo(t *testing.T, w *world) error {
	t.Helper()
	w.Fail(vaulttest.Fault{Path: dataPath, Status: 502, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>X-Vault-Token: " + w.RootToken + " " + planted)})
	return read(t.Context(), w.client(t, nil))
}

// overTLS serves the world over TLS with a certificate altered by change.
func (w *world) overTLS(t *testing.T, ca *testbed.Authority, change func(*x509.Certificate), clientCAs *x509.CertPool) string {
	t.Helper()
	pair, err := tls.X509KeyPair(ca.Issue(t, change))
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(w.Server)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if clientCAs != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clientCAs
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func (w *world) readAt(t *testing.T, url string, o *vault.Options) error {
	t.Helper()
	return read(t.Context(), w.clientAt(t, url, vault.Token(fixed(w.RootToken), &vault.TokenOptions{Untouched: true}), o))
}

func faults() []fault {
	return []fault{
		// The network.
		{"connection refused", func(t *testing.T, w *world) error {
			t.Helper()
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, l.Close())
			return w.readAt(t, "http://"+l.Addr().String(), nil)
		}, secrets.ErrUnavailable},
		{"name does not resolve", func(t *testing.T, w *world) error {
			t.Helper()
			tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "vault.example.com", IsNotFound: true}}
			}}
			return w.readAt(t, "https://vault.example.com", &vault.Options{HTTPClient: &http.Client{Transport: tr}})
		}, secrets.ErrUnavailable},
		{"certificate of an unknown authority", func(t *testing.T, w *world) error {
			t.Helper()
			return w.readAt(t, w.overTLS(t, testbed.NewAuthority(t, "theirs"), nil, nil), &vault.Options{RootCAs: testbed.NewAuthority(t, "ours").Pool()})
		}, secrets.ErrInsecure},
		{"certificate has expired", func(t *testing.T, w *world) error {
			t.Helper()
			ca := testbed.NewAuthority(t, "ca")
			return w.readAt(t, w.overTLS(t, ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, nil), &vault.Options{RootCAs: ca.Pool()})
		}, secrets.ErrInsecure},
		{"certificate for another name", func(t *testing.T, w *world) error {
			t.Helper()
			ca := testbed.NewAuthority(t, "ca")
			return w.readAt(t, w.overTLS(t, ca, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.example.com"} }, nil), &vault.Options{RootCAs: ca.Pool()})
		}, secrets.ErrInsecure},
		{"client certificate missing", func(t *testing.T, w *world) error {
			t.Helper()
			ca := testbed.NewAuthority(t, "ca")
			return w.readAt(t, w.overTLS(t, ca, nil, ca.Pool()), &vault.Options{RootCAs: ca.Pool()})
		}, secrets.ErrUnauthenticated},
		{"client certificate shown", func(t *testing.T, w *world) error {
			t.Helper()
			ca := testbed.NewAuthority(t, "ca")
			pair, err := tls.X509KeyPair(ca.Issue(t, nil))
			require.NoError(t, err)
			return w.readAt(t, w.overTLS(t, ca, nil, ca.Pool()), &vault.Options{RootCAs: ca.Pool(), ClientCertificate: func() (*tls.Certificate, error) { return &pair, nil }})
		}, nil},
		{"connection cut before the reply, always", replies(vaulttest.Fault{Drop: true}), secrets.ErrUnavailable},
		{"connection cut before the reply, once", once(vaulttest.Fault{Drop: true}), nil},
		{"connection cut amid the body, always", replies(vaulttest.Fault{Truncate: 150}), secrets.ErrUnavailable},
		{"connection cut amid the body, once", once(vaulttest.Fault{Truncate: 150}), nil},
		{"connection cut near the end of the body, once", once(vaulttest.Fault{Truncate: 300}), nil},
		{"reply later than the deadline", func(t *testing.T, w *world) error {
			t.Helper()
			w.Fail(vaulttest.Fault{Path: dataPath, Delay: 10 * time.Second})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			begin := time.Now()
			err := read(ctx, w.client(t, nil))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Less(t, time.Since(begin), 2*time.Second)
			return err
		}, secrets.ErrUnavailable},
		{"no reply at all, as with a blocked audit device", func(t *testing.T, w *world) error {
			t.Helper()
			w.Fail(vaulttest.Fault{Path: dataPath, Delay: 10 * time.Second})
			begin := time.Now()
			err := read(t.Context(), w.client(t, &vault.Options{Timeout: 100 * time.Millisecond}))
			assert.Less(t, time.Since(begin), 5*time.Second)
			return err
		}, secrets.ErrUnavailable},
		{"cancelled while waiting", func(t *testing.T, w *world) error {
			t.Helper()
			w.Fail(vaulttest.Fault{Path: dataPath, Delay: 10 * time.Second})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			err := read(ctx, w.client(t, nil))
			require.ErrorIs(t, err, context.Canceled)
			return err
		}, secrets.ErrUnavailable},
		{"the deadline ends the retries and the last status is kept", func(t *testing.T, w *world) error {
			t.Helper()
			w.Fail(vaulttest.Fault{Path: dataPath, Status: 503, Body: jsonErrors("Vault is sealed")})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := read(ctx, w.client(t, &vault.Options{Attempts: 1000}))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorContains(t, err, "status 503")
			return err
		}, secrets.ErrSealed},

		// Redirects.
		{"redirect to another host", func(t *testing.T, w *world) error {
			t.Helper()
			got := make(chan string, 1)
			other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("X-Vault-Token") }))
			t.Cleanup(other.Close)
			w.Fail(vaulttest.Fault{Path: dataPath, Status: 307, Header: http.Header{"Location": {other.URL + "/v1/" + dataPath}}})
			err := read(t.Context(), w.client(t, nil))
			assert.Empty(t, got, "nothing may reach the other host")
			return err
		}, secrets.ErrInsecure},
		{"redirect from https to http", func(t *testing.T, w *world) error {
			t.Helper()
			ca := testbed.NewAuthority(t, "ca")
			url := w.overTLS(t, ca, nil, nil)
			w.Fail(vaulttest.Fault{Path: dataPath, Status: 301, Header: http.Header{"Location": {"http" + strings.TrimPrefix(url, "https") + "/v1/" + dataPath}}})
			return w.readAt(t, url, &vault.Options{RootCAs: ca.Pool()})
		}, secrets.ErrInsecure},
		{"redirect on the same host", func(t *testing.T, w *world) error {
			t.Helper()
			w.Fail(vaulttest.Fault{Path: dataPath, Times: 1, Status: 307, Header: http.Header{"Location": {"/v1/" + dataPath}}})
			return read(t.Context(), w.client(t, nil))
		}, nil},

		// Statuses.
		{"400", replies(vaulttest.Fault{Status: 400, Body: jsonErrors("bad " + planted[:3])}), secrets.ErrInvalid},
		{"403", replies(vaulttest.Fault{Status: 403, Body: jsonErrors("1 error occurred:\n\t* permission denied\n\n")}), secrets.ErrDenied},
		{"404", replies(vaulttest.Fault{Status: 404, Body: jsonErrors()}), secrets.ErrNotFound},
		{"405", replies(vaulttest.Fault{Status: 405, Body: jsonErrors("unsupported operation")}), secrets.ErrWrongEngine},
		{"412, once", once(vaulttest.Fault{Status: 412, Body: jsonErrors("required index state not present")}), nil},
		{"412, always", replies(vaulttest.Fault{Status: 412, Body: jsonErrors("required index state not present")}), secrets.ErrUnavailable},
		{"429, once, with a short wait", once(vaulttest.Fault{Status: 429, Header: http.Header{"Retry-After": {"0"}}, Body: jsonErrors("request path quota exceeded")}), nil},
		{"429, once, with a date", once(vaulttest.Fault{Status: 429, Header: http.Header{"Retry-After": {time.Now().Add(-time.Second).UTC().Format(http.TimeFormat)}}}), nil},
		{"429 that asks for an hour", func(t *testing.T, w *world) error {
			t.Helper()
			w.Fail(vaulttest.Fault{Path: dataPath, Status: 429, Header: http.Header{"Retry-After": {"3600"}}, Body: jsonErrors("request path quota exceeded")})
			begin := time.Now()
			err := read(t.Context(), w.client(t, &vault.Options{Attempts: 100}))
			assert.Less(t, time.Since(begin), 2*time.Second)
			assert.Equal(t, 1, w.Count("GET", dataPath))
			e, ok := errors.AsType[*secrets.Error](err)
			require.True(t, ok)
			assert.Equal(t, time.Hour, e.After)
			return err
		}, secrets.ErrThrottled},
		{"472", replies(vaulttest.Fault{Status: 472}), secrets.ErrUnavailable},
		{"473, once", once(vaulttest.Fault{Status: 473}), nil},
		{"500, once, as when the leader changes", once(vaulttest.Fault{Status: 500, Body: jsonErrors("local node not active but active cluster node not found")}), nil},
		{"500, always", replies(vaulttest.Fault{Status: 500, Body: jsonErrors("internal error")}), secrets.ErrUnavailable},
		{"502 from a proxy that echoes the request", echo, secrets.ErrUnavailable},
		{"503, sealed", replies(vaulttest.Fault{Status: 503, Body: jsonErrors("Vault is sealed")}), secrets.ErrSealed},
		{"503, of something else", replies(vaulttest.Fault{Status: 503}), secrets.ErrUnavailable},
		{"sealed, then unsealed", func(t *testing.T, w *world) error {
			t.Helper()
			w.Seal()
			time.AfterFunc(300*time.Millisecond, w.Unseal)
			return read(t.Context(), w.client(t, &vault.Options{Attempts: 1000, MaxPause: 50 * time.Millisecond}))
		}, nil},

		// Bodies.
		{"HTML with status 200", replies(vaulttest.Fault{Status: 200, Body: []byte("<html>" + planted)}), secrets.ErrMalformed},
		{"empty body with status 200", replies(vaulttest.Fault{Status: 200, Body: []byte("")}), secrets.ErrMalformed},
		{"JSON of another shape", replies(vaulttest.Fault{Status: 200, Body: []byte(`{"data":["` + planted + `"]}`)}), secrets.ErrMalformed},
		{"JSON without data", replies(vaulttest.Fault{Status: 200, Body: []byte(`{"data":{"metadata":{"version":1}}}`)}), secrets.ErrMalformed},
		{"a body beyond the cap", replies(vaulttest.Fault{Status: 200, Body: bytes.Repeat([]byte("x"), 16<<20)}), secrets.ErrTooLarge},
		{"gzip bomb", func(t *testing.T, w *world) error {
			t.Helper()
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, err := z.Write(make([]byte, 32<<20))
			require.NoError(t, errors.Join(err, z.Close()))
			w.Fail(vaulttest.Fault{Path: dataPath, Status: 200, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: b.Bytes()})
			return read(t.Context(), w.client(t, nil))
		}, secrets.ErrTooLarge},
		{"invalid UTF-8", replies(vaulttest.Fault{Status: 200, Body: []byte("{\"data\":{\"data\":{\"v\":\"\xff\xfe\xfd\"}\xff")}), secrets.ErrMalformed},

		// Tokens and logins.
		{"token revoked, another at hand", func(t *testing.T, w *world) error {
			t.Helper()
			role := w.appRole(t, "1h")
			c := w.clientAt(t, w.URL, role, nil)
			require.NoError(t, read(t.Context(), c))
			require.Equal(t, 1, w.RevokeTokens())
			return read(t.Context(), c)
		}, nil},
		{"token revoked, no other at hand", func(t *testing.T, w *world) error {
			t.Helper()
			return read(t.Context(), w.clientAt(t, w.URL, vault.Token(fixed("hvs.revoked-long-ago"), nil), nil))
		}, secrets.ErrUnauthenticated},
		{"login refused", func(t *testing.T, w *world) error {
			t.Helper()
			return read(t.Context(), w.clientAt(t, w.URL, vault.AppRole("no-role", fixed("s3cret-id-canary"), &vault.AppRoleOptions{Mount: w.appRoleMount(t)}), nil))
		}, secrets.ErrUnauthenticated},
		{"login without effect on 500", func(t *testing.T, w *world) error {
			t.Helper()
			mount := w.appRoleMount(t)
			w.Fail(vaulttest.Fault{Path: "auth/" + mount + "/login", Status: 500, Body: jsonErrors("internal error")})
			err := read(t.Context(), w.clientAt(t, w.URL, vault.AppRole("r", fixed("s3cret-id-canary"), &vault.AppRoleOptions{Mount: mount}), &vault.Options{Attempts: 5}))
			assert.Equal(t, 1, w.Count("", "auth/"+mount+"/login"), "a login is not repeated: it may have made a token")
			return err
		}, secrets.ErrUnavailable},
		{"login whose reply echoes the secret id", func(t *testing.T, w *world) error {
			t.Helper()
			mount := w.appRoleMount(t)
			w.Fail(vaulttest.Fault{Path: "auth/" + mount + "/login", Status: 400, Body: jsonErrors("bad secret_id s3cret-id-canary")})
			return read(t.Context(), w.clientAt(t, w.URL, vault.AppRole("r", fixed("s3cret-id-canary"), &vault.AppRoleOptions{Mount: mount}), nil))
		}, secrets.ErrUnauthenticated},
		{"credential cannot be got", func(t *testing.T, w *world) error {
			t.Helper()
			return read(t.Context(), w.clientAt(t, w.URL, vault.Kubernetes("app", &vault.KubernetesOptions{TokenFile: filepath.Join(t.TempDir(), "none")}), nil))
		}, secrets.ErrUnauthenticated},
		{"service account token rotated on disk", func(t *testing.T, w *world) error {
			t.Helper()
			file := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(file, []byte("first\n"), 0o600))
			login := vault.Kubernetes("app", &vault.KubernetesOptions{TokenFile: file})
			for _, want := range []string{"first", "second"} {
				require.NoError(t, os.WriteFile(file, []byte(want+"\n"), 0o600))
				body, err := login.Body(t.Context())
				require.NoError(t, err)
				assert.Equal(t, want, body["jwt"])
			}
			return nil
		}, nil},
		{"wrapped secret id used twice", func(t *testing.T, w *world) error {
			t.Helper()
			return read(t.Context(), w.clientAt(t, w.URL, vault.AppRole("r", fixed("hvs.wrapping-token-used-up"), &vault.AppRoleOptions{Wrapped: true}), nil))
		}, secrets.ErrUnauthenticated},
		{"token with one use", func(t *testing.T, w *world) error {
			t.Helper()
			token := w.root(t, "POST", "auth/token/create", map[string]any{"policies": []string{"root"}, "num_uses": 1})["client_token"].(string)
			c := w.clientAt(t, w.URL, vault.Token(fixed(token), &vault.TokenOptions{Untouched: true}), nil)
			require.NoError(t, read(t.Context(), c))
			return read(t.Context(), c)
		}, secrets.ErrUnauthenticated},
		{"token that lives for ever is not renewed", func(t *testing.T, w *world) error {
			t.Helper()
			c := w.clientAt(t, w.URL, vault.Token(fixed(w.RootToken), nil), nil)
			err := read(t.Context(), c)
			assert.Equal(t, 0, w.Count("", "auth/token/renew-self"))
			assert.Equal(t, 1, w.Count("", "auth/token/lookup-self"))
			return err
		}, nil},

		// Secrets that change under us.
		{"deleted", func(t *testing.T, w *world) error {
			t.Helper()
			w.root(t, "DELETE", dataPath, nil)
			return read(t.Context(), w.client(t, nil))
		}, secrets.ErrDeleted},
		{"destroyed", func(t *testing.T, w *world) error {
			t.Helper()
			w.root(t, "PUT", "secret/destroy/app", map[string]any{"versions": []int{1}})
			return read(t.Context(), w.client(t, nil))
		}, secrets.ErrDestroyed},
		{"undeleted", func(t *testing.T, w *world) error {
			t.Helper()
			w.root(t, "DELETE", dataPath, nil)
			w.root(t, "PUT", "secret/undelete/app", map[string]any{"versions": []int{1}})
			return read(t.Context(), w.client(t, nil))
		}, nil},
		{"fifty writers at once", func(t *testing.T, w *world) error {
			t.Helper()
			c := w.client(t, nil)
			var wg sync.WaitGroup
			var mu sync.Mutex
			won, lost := 0, 0
			for range 50 {
				wg.Go(func() {
					_, err := c.Put(t.Context(), "secret/app", map[string]any{"v": planted}, &vault.PutOptions{Version: 1})
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						won++
					case errors.Is(err, secrets.ErrConflict):
						lost++
					}
				})
			}
			wg.Wait()
			assert.Equal(t, 1, won)
			assert.Equal(t, 49, lost)
			return read(t.Context(), c)
		}, nil},
		{"a write whose reply is lost is not repeated", func(t *testing.T, w *world) error {
			t.Helper()
			w.Fail(vaulttest.Fault{Method: "PUT", Path: dataPath, After: true, Drop: true})
			_, err := w.client(t, nil).Put(t.Context(), "secret/app", map[string]any{"v": planted}, &vault.PutOptions{Version: 1})
			assert.Equal(t, 1, w.Count("PUT", dataPath))
			return err
		}, secrets.ErrUnavailable},
		{"a dynamic secret whose reply is lost is not issued twice", func(t *testing.T, w *world) error {
			t.Helper()
			require.NoError(t, w.DatabaseRole("app", "1h", "2h"))
			w.Fail(vaulttest.Fault{Path: "database/creds", After: true, Drop: true})
			_, _, err := w.client(t, nil).Get(t.Context(), secrets.Ref{Scheme: "vault", Path: "database/creds/app"})
			assert.Equal(t, 1, w.Count("", "database/creds"))
			return err
		}, secrets.ErrUnavailable},
		{"a caller who leaves does not orphan a lease", func(t *testing.T, w *world) error {
			t.Helper()
			require.NoError(t, w.DatabaseRole("app", "1h", "2h"))
			w.Fail(vaulttest.Fault{Path: "database/creds", Delay: 300 * time.Millisecond})
			c := w.client(t, nil)
			_, err := c.Mounts(t.Context(), "vault://database/creds/app")
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, _, err = c.Get(ctx, secrets.Ref{Scheme: "vault", Path: "database/creds/app"})
			require.NoError(t, c.Close(t.Context()))
			assert.Equal(t, 1, w.Count("", "database/creds"))
			assert.Empty(t, w.Leases())
			return err
		}, secrets.ErrUnavailable},
		{"closed amid a renewal", func(t *testing.T, w *world) error {
			t.Helper()
			w.Fail(vaulttest.Fault{Path: "auth/token/renew-self", Delay: 30 * time.Second})
			c := w.clientAt(t, w.URL, w.appRole(t, "1s"), nil)
			require.NoError(t, read(t.Context(), c))
			require.Eventually(t, func() bool { return c.Renewing() }, 3*time.Second, 5*time.Millisecond)
			begin := time.Now()
			err := c.Close(t.Context())
			assert.Less(t, time.Since(begin), 100*time.Millisecond)
			assert.Equal(t, 0, w.Tokens())
			return err
		}, nil},
	}
}

func (w *world) root(t *testing.T, method, path string, in map[string]any) map[string]any {
	t.Helper()
	b, err := json.Marshal(in)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, w.URL+"/v1/"+path, bytes.NewReader(b))
	require.NoError(t, err)
	req.Header.Set("X-Vault-Token", w.RootToken)
	resp, err := w.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Less(t, resp.StatusCode, 300, "%s %s", method, path)
	var out struct{ Data, Auth map[string]any }
	_ = json.NewDecoder(resp.Body).Decode(&out)
	if out.Auth != nil {
		return out.Auth
	}
	return out.Data
}

func (w *world) appRoleMount(t *testing.T) string {
	t.Helper()
	w.root(t, "POST", "sys/auth/approle", map[string]any{"type": "approle"})
	return "approle"
}

// appRole returns a login whose tokens live for ttl and may read the secret.
func (w *world) appRole(t *testing.T, ttl string) vault.Login {
	t.Helper()
	w.appRoleMount(t)
	w.root(t, "PUT", "sys/policies/acl/app", map[string]any{"policy": `path "secret/*" { capabilities = ["read"] } path "database/*" { capabilities = ["read"] }`})
	w.root(t, "POST", "auth/approle/role/app", map[string]any{"token_policies": "app", "token_ttl": ttl, "token_max_ttl": "24h"})
	roleID := w.root(t, "GET", "auth/approle/role/app/role-id", nil)["role_id"].(string)
	secretID := w.root(t, "POST", "auth/approle/role/app/secret-id", nil)["secret_id"].(string)
	return vault.AppRole(roleID, fixed(secretID), nil)
}

// leftOut are the cases of the list that are not here, and why.
var leftOut = map[string]string{
	"clock jumps by an hour":                                 "left out: ends of life are kept on Go's monotonic clock, which such a jump does not move, and libfaketime does not reach a Go program",
	"bandwidth, slices, cut and reset streams, late replies": "`TestNetworkFaults_real`, on a real Vault through Toxiproxy",
	"tokens and leases at their maximum, leases of a revoked token, a mount that changes its version, 1,000 callers, sealing": "the conformance suite, on `vaulttest` and on a real Vault with PostgreSQL",
	"renewals over days, a Vault that stays down, tokens that never end":                                                      "`TestSession_*` and `TestLease_*`, on a clock of their own",
}

func TestFaults(t *testing.T) {
	list := faults()
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
			before := goleak.IgnoreCurrent()
			var w *world
			var err error
			t.Run("do", func(t *testing.T) { // its servers and clients end with it
				w = newWorld(t)
				err = f.on(t, w)
			})
			if f.kind == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, f.kind)
				e, ok := errors.AsType[*secrets.Error](err)
				require.True(t, ok)
				assert.Equal(t, f.kind, e.Kind)
			}
			for _, canary := range []string{planted, w.RootToken, "s3cret-id-canary", "hvs.revoked-long-ago", "hvs.wrapping-token-used-up"} {
				noLeak(t, err, canary)
				assert.Empty(t, secretstest.Leaks(w.logs.String(), canary), "log")
			}
			goleak.VerifyNone(t, before)
		})
	}
	t.Logf("secrets/vault faults: %d cases on the fake; left out: %d", len(list), len(leftOut))
	golden.Check(t, "FAULTS.md", faultTable(list))
}

// faultTable is the documentation of what is tested.
func faultTable(list []fault) []byte {
	var b bytes.Buffer
	b.WriteString("# Faults\n\nWhat can go wrong between a program and Vault, and what `secrets/vault` makes of it. This table is written by\n`TestFaults`, which plays each case on `vaulttest` and asserts the kind of error, that no goroutine is left, and\nthat neither the secret nor the token is in the error (any verb, down its tree) or in the log.\n\n| fault | outcome |\n|---|---|\n")
	for _, f := range list {
		outcome := "nothing is noticed"
		for name, kind := range kindNames {
			if f.kind != nil && errors.Is(f.kind, kind) {
				outcome = "`secrets." + name + "`"
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", f.name, outcome)
	}
	b.WriteString("\nElsewhere, or not at all:\n\n")
	for _, what := range slices.Sorted(maps.Keys(leftOut)) {
		fmt.Fprintf(&b, "- %s: %s\n", what, leftOut[what])
	}
	return b.Bytes()
}

var kindNames = map[string]error{
	"ErrUnavailable": secrets.ErrUnavailable, "ErrInsecure": secrets.ErrInsecure, "ErrUnauthenticated": secrets.ErrUnauthenticated, "ErrSealed": secrets.ErrSealed,
	"ErrInvalid": secrets.ErrInvalid, "ErrDenied": secrets.ErrDenied, "ErrNotFound": secrets.ErrNotFound, "ErrWrongEngine": secrets.ErrWrongEngine,
	"ErrThrottled": secrets.ErrThrottled, "ErrMalformed": secrets.ErrMalformed, "ErrTooLarge": secrets.ErrTooLarge, "ErrDeleted": secrets.ErrDeleted,
	"ErrDestroyed": secrets.ErrDestroyed, "ErrConflict": secrets.ErrConflict,
}

// noLeak looks for a canary in all that an error shows of itself, down its tree.
func noLeak(t *testing.T, err error, canary string) {
	t.Helper()
	if err == nil {
		return
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		assert.Empty(t, secretstest.Leaks(fmt.Sprintf(verb, err), canary), "%T by %s", err, verb)
	}
	for _, h := range []func(b *bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(h(&b)).Error("m", "err", err)
		assert.Empty(t, secretstest.Leaks(b.String(), canary), "%T in a log", err)
	}
	switch u := err.(type) { //nolint:errorlint // walks the tree itself
	case interface{ Unwrap() error }:
		noLeak(t, u.Unwrap(), canary)
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			noLeak(t, e, canary)
		}
	}
}
