package vault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/secretstest"
	"github.com/waybill-dev/waybill/secrets/vault"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

func TestStore(t *testing.T) {
	for _, mount := range []string{"secret", "kv"} {
		t.Run(mount, func(t *testing.T) {
			secretstest.TestStore(t, func(t *testing.T) *secretstest.Harness {
				t.Helper()
				s := vaulttest.NewServer(t, nil)
				return &secretstest.Harness{
					Store: rooted(t, s, nil), Scheme: "vault", Object: true, Versions: mount == "secret", Path: func(n string) string { return mount + "/" + n },
					Put: func(t *testing.T, path, text string) {
						t.Helper()
						_, err := s.Put(path, map[string]any{"value": text})
						require.NoError(t, err)
					},
				}
			})
		})
	}
}

func TestNew_namesAllThatIsWrong(t *testing.T) {
	for address, kind := range map[string]error{
		"http://vault.example.com:8200": secrets.ErrInsecure, "vault:8200": secrets.ErrInvalid, "": secrets.ErrInvalid, "ftp://x": secrets.ErrInvalid,
		"https://user:p4ssw0rd-canary@vault:8200": secrets.ErrInvalid, "https://vault:8200?token=p4ssw0rd-canary": secrets.ErrInvalid, "http://svc:p4ssw0rd-canary@127.0.0.1:82x0": secrets.ErrInvalid,
		"http://127.0.0.1.example.com": secrets.ErrInsecure,
	} {
		_, err := vault.New(address, vault.Token(fixed("x"), nil), nil)
		require.ErrorIs(t, err, kind, address)
		assert.Empty(t, secretstest.Leaks(err.Error(), "p4ssw0rd-canary"))
	}
	_, err := vault.New("nonsense", vault.Login{}, &vault.Options{KV: map[string]int{"kv": 3}, Attempts: -1, HTTPClient: http.DefaultClient, ServerName: "x"})
	for _, want := range []string{"address", "login", "KV", "Attempts", "HTTPClient"} {
		require.ErrorContains(t, err, want)
	}
	for _, address := range []string{"http://127.0.0.1:8200", "http://localhost:8200", "http://[::1]:8200", "https://vault.example.com"} {
		_, err := vault.New(address, vault.Token(fixed("x"), nil), nil)
		require.NoError(t, err, address)
	}
	_, err = vault.New("http://vault.example.com:8200", vault.Token(fixed("x"), nil), &vault.Options{AllowInsecureHTTP: true})
	require.NoError(t, err)
}

func TestNew_doesNotReadTheEnvironment(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	_, err := s.Put("secret/app", map[string]any{"v": planted})
	require.NoError(t, err)
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	t.Setenv("VAULT_TOKEN", "from-the-environment")
	t.Setenv("VAULT_NAMESPACE", "from-the-environment")
	t.Setenv("VAULT_WRAP_TTL", "5m")
	t.Setenv("VAULT_HEADERS", `{"X-Extra":"from-the-environment"}`)
	require.NoError(t, read(t.Context(), rooted(t, s, nil)))
	for _, r := range s.Requests() {
		assert.Empty(t, r.Namespace)
	}
}

func TestNamespace(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	_, err := s.Put("secret/app", map[string]any{"v": planted})
	require.NoError(t, err)
	c := rooted(t, s, &vault.Options{Namespace: "team-a", AllowRootToken: true})
	require.NoError(t, read(t.Context(), c))
	_, err = c.Preflight(t.Context(), plantedRef)
	require.NoError(t, err)
	for _, r := range s.Requests() {
		if r.Path == "sys/seal-status" {
			assert.Empty(t, r.Namespace, "it exists at the root only")
		} else {
			assert.Equal(t, "team-a", r.Namespace, r.Path)
		}
	}
}

func TestFromEnv(t *testing.T) {
	s := vaulttest.NewServer(t, &vaulttest.Options{TLS: true})
	_, err := s.Put("secret/app", map[string]any{"v": planted})
	require.NoError(t, err)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, s.CA(), 0o600))
	for _, name := range []string{"VAULT_ADDR", "VAULT_TOKEN", "VAULT_CACERT", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_SKIP_VERIFY", "VAULT_NAMESPACE"} {
		t.Setenv(name, "")
	}
	_, err = vault.FromEnv(nil)
	require.ErrorIs(t, err, secrets.ErrInvalid)
	assert.ErrorContains(t, err, "VAULT_ADDR")
	t.Setenv("VAULT_ADDR", s.URL)
	_, err = vault.FromEnv(nil)
	assert.ErrorContains(t, err, "VAULT_ROLE_ID")
	t.Setenv("VAULT_TOKEN", s.RootToken)
	t.Setenv("VAULT_CACERT", filepath.Join(t.TempDir(), "none"))
	_, err = vault.FromEnv(nil)
	assert.ErrorContains(t, err, "VAULT_CACERT")
	t.Setenv("VAULT_CACERT", ca)
	c, err := vault.FromEnv(nil)
	require.NoError(t, err)
	require.NoError(t, read(t.Context(), c))
	require.NoError(t, c.Close(t.Context()))
	t.Setenv("VAULT_SKIP_VERIFY", "true")
	_, err = vault.FromEnv(nil)
	require.ErrorIs(t, err, secrets.ErrInsecure)
}

// Nothing that prints a client or a resolver shows what they hold.
func TestClient_doesNotPrint(t *testing.T) {
	for _, canary := range secretstest.Canaries() {
		s := vaulttest.NewServer(t, nil)
		_, err := s.Put("secret/app", map[string]any{"v": canary})
		require.NoError(t, err)
		c := rooted(t, s, nil)
		r := resolver(t, c)
		v, err := r.Get(t.Context(), plantedRef+"#v")
		require.NoError(t, err)
		require.Equal(t, canary, v.Expose())
		var dump recorder
		assert.Equal(&dump, []any{c, r, v}, "what a failed assertion walks through by reflection")
		texts := []string{dump.text}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			texts = append(texts, fmt.Sprintf(verb, c), fmt.Sprintf(verb, r))
		}
		for _, text := range texts {
			assert.Empty(t, secretstest.Leaks(text, canary))
			assert.Empty(t, secretstest.Leaks(text, s.RootToken))
		}
	}
}

type recorder struct{ text string }

func (r *recorder) Errorf(format string, args ...any) { r.text += fmt.Sprintf(format, args...) }

func TestPreflight_devMode(t *testing.T) {
	s := vaulttest.NewServer(t, &vaulttest.Options{Storage: "inmem"})
	c := rooted(t, s, &vault.Options{AllowRootToken: true})
	_, err := c.Preflight(t.Context())
	require.ErrorIs(t, err, secrets.ErrInsecure)
	assert.ErrorContains(t, err, "dev mode")
	_, err = rooted(t, s, &vault.Options{AllowRootToken: true, AllowDevMode: true}).Preflight(t.Context())
	require.NoError(t, err)
}

func TestPolicy_refusesWildcards(t *testing.T) {
	c := rooted(t, vaulttest.NewServer(t, nil), nil)
	for _, ref := range []string{"vault://secret/a*", "vault://secret/+/b", `vault://secret/a"b`, "nonsense"} {
		_, err := c.Policy(t.Context(), ref)
		require.ErrorIs(t, err, secrets.ErrBadRef, ref)
	}
}

func TestIDTokens(t *testing.T) {
	var got *http.Request
	status := http.StatusOK
	reply := `{"oidcToken":"azure-jwt","value":"github-jwt"}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		w.WriteHeader(status)
		_, _ = w.Write([]byte(reply))
	}))
	defer s.Close()
	azure := vault.AzureDevOpsToken(s.URL+"/oidc?x=1", "conn-1", fixed("pipeline-canary-token"), nil)
	github := vault.GitHubToken(s.URL+"/id?y=2", "vault", fixed("pipeline-canary-token"), nil)

	token, err := azure(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "azure-jwt", token)
	assert.Equal(t, "POST", got.Method)
	assert.Equal(t, "api-version=7.1&serviceConnectionId=conn-1&x=1", got.URL.RawQuery)
	assert.Equal(t, "Bearer pipeline-canary-token", got.Header.Get("Authorization"))
	token, err = github(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "github-jwt", token)
	assert.Equal(t, "GET", got.Method)
	assert.Equal(t, "audience=vault&y=2", got.URL.RawQuery)

	for _, f := range []func(context.Context) (string, error){azure, github} {
		status, reply = 200, `{}`
		_, err = f(t.Context())
		require.ErrorContains(t, err, "no token")
		status = 401
		_, err = f(t.Context())
		require.ErrorContains(t, err, "401")
		assert.NotContains(t, err.Error(), "canary")
		status, reply = 200, `not json but canary`
		_, err = f(t.Context())
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "canary")
	}
	_, err = vault.GitHubToken("", "", fixed("x"), nil)(t.Context())
	require.ErrorContains(t, err, "id-token: write")
	_, err = vault.GitHubToken("http://ci.example.com/id", "", fixed("x"), nil)(t.Context())
	require.ErrorIs(t, err, secrets.ErrInsecure)
}

// FuzzReply sends any bytes as Vault's reply: a typed error or a value, never a panic, never both.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"data":{"v":"x"},"metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}`, `{"data":null}`, `{}`, ``, `null`, `[]`, `{"errors":["x"]}`,
		`{"data":{"data":null,"metadata":{"destroyed":true}}}`, `{"data":{"data":[],"metadata":1}}`, `{"data":{"metadata":{"version":"x"}}}`, "\xff",
	} {
		f.Add([]byte(seed), uint16(200))
		f.Add([]byte(seed), uint16(404))
	}
	s := vaulttest.New(nil)
	f.Fuzz(func(t *testing.T, body []byte, status uint16) {
		if status = status % 600; status < 200 {
			status += 200
		}
		stop := s.Fail(vaulttest.Fault{Status: int(status), Body: append([]byte{}, body...)})
		defer stop()
		c, err := vault.New("http://127.0.0.1:8200", vault.Token(fixed("token"), &vault.TokenOptions{Untouched: true}), &vault.Options{
			HTTPClient: &http.Client{Transport: inProcess{s}}, KV: map[string]int{"two": 2, "one": 1}, Attempts: 1, MaxPause: time.Nanosecond,
		})
		require.NoError(t, err)
		for _, path := range []string{"two/x", "one/x", "three/x"} {
			v, _, err := c.Get(t.Context(), secrets.Ref{Scheme: "vault", Path: path})
			if err != nil {
				require.Zero(t, v.Len())
				var e *secrets.Error
				require.ErrorAs(t, err, &e)
			} else {
				require.True(t, json.Valid(v.ExposeBytes()))
			}
		}
	})
}
