package vault_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/vault"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" {
		_ = flag.Set("test.parallel", "32") // the cases wait for tokens to end, not for the processor
	}
	goleak.VerifyTestMain(m)
}

func fixed(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

// rooted returns a client with the root token, closed with the test.
func rooted(t *testing.T, s *vaulttest.Server, o *vault.Options) *vault.Client {
	t.Helper()
	if o == nil {
		o = &vault.Options{}
	}
	if o.HTTPClient == nil {
		o.HTTPClient = s.Client()
	}
	c, err := vault.New(s.URL, vault.Token(fixed(s.RootToken), nil), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(context.Background())) })
	return c
}

func resolver(t *testing.T, c *vault.Client) *secrets.Resolver {
	t.Helper()
	r, err := secrets.NewResolver(map[string]secrets.Store{"vault": c}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	return r
}

func TestClient_bothKVVersions(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	_, err := s.Put("secret/app", map[string]any{"password": "old"})
	require.NoError(t, err)
	_, err = s.Put("secret/app", map[string]any{"password": "hunter22", "port": 5432})
	require.NoError(t, err)
	_, err = s.Put("kv/app", map[string]any{"password": "one"})
	require.NoError(t, err)
	r := resolver(t, rooted(t, s, nil))
	for ref, want := range map[string]string{
		"vault://secret/app#password":           "hunter22",
		"vault://secret/data/app#password":      "hunter22",
		"vault://secret/app?version=1#password": "old",
		"vault://secret/app#port":               "5432",
		"vault://kv/app#password":               "one",
		"vault://kv/app":                        `{"password":"one"}`,
	} {
		v, err := r.Get(t.Context(), ref)
		require.NoError(t, err, ref)
		assert.Equal(t, want, v.Expose(), ref)
	}
	_, meta, err := r.Lookup(t.Context(), "vault://secret/data/app#password")
	require.NoError(t, err)
	assert.Equal(t, "secret/data/app", meta.Path)
	assert.Equal(t, 2, meta.Version)
	assert.False(t, meta.Created.IsZero())
}

func TestClient_dynamic(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	c := rooted(t, s, nil)
	ref, err := secrets.ParseRef("vault://database/creds/none")
	require.NoError(t, err)
	_, _, err = c.Get(t.Context(), ref)
	require.ErrorIs(t, err, secrets.ErrNotFound)
}

func TestClient_writesValuesWhereverTheyAre(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	c := rooted(t, s, nil)
	v := secrets.NewValue("hunter22")
	data := map[string]any{
		"plain": v, "map": map[string]any{"v": v}, "typed map": map[string]secrets.Value{"v": v}, "list": []any{v, 1, nil}, "typed list": []secrets.Value{v},
		"pointer": &v, "nil": (*secrets.Value)(nil), "bytes": []byte("hi"), "struct": struct{ A int }{7}, "numbers": []int{1}, "time": time.Unix(0, 0).UTC(),
	}
	const want = `{"bytes":"aGk=","list":["hunter22",1,null],"map":{"v":"hunter22"},"nil":null,"numbers":[1],"plain":"hunter22","pointer":"hunter22",` +
		`"struct":{"A":7},"time":"1970-01-01T00:00:00Z","typed list":["hunter22"],"typed map":{"v":"hunter22"}}`
	_, err := c.Put(t.Context(), "secret/put", data, nil)
	require.NoError(t, err)
	_, err = c.Update(t.Context(), "secret/update", func(map[string]any) (map[string]any, error) { return data, nil })
	require.NoError(t, err)
	for _, ref := range []string{"vault://secret/put", "vault://secret/update"} {
		got, err := resolver(t, c).Get(t.Context(), ref)
		require.NoError(t, err)
		assert.JSONEq(t, want, got.Expose())
	}
	itself := map[string]any{}
	itself["x"] = itself
	for name, x := range map[string]any{"struct": struct{ V secrets.Value }{v}, "wrapped": struct{ secrets.Value }{v}, "list": []any{struct{ V any }{v}}, "itself": itself} {
		_, err = c.Put(t.Context(), "secret/refused", map[string]any{"x": x}, nil)
		require.ErrorIs(t, err, secrets.ErrInvalid, name)
	}
}

func TestLogin_takesValues(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	do(t, s, "POST", "sys/auth/userpass", `{"type":"userpass"}`)
	do(t, s, "POST", "auth/userpass/users/me", `{"password":"hunter22"}`)
	c, err := vault.New(s.URL, vault.Login{Path: "auth/userpass/login/me", Body: func(context.Context) (map[string]any, error) {
		return map[string]any{"password": secrets.NewValue("hunter22")}, nil
	}}, &vault.Options{HTTPClient: s.Client()})
	require.NoError(t, err)
	_, err = c.Preflight(t.Context())
	require.NotErrorIs(t, err, secrets.ErrUnauthenticated)
	require.NoError(t, c.Close(t.Context()))
	assert.Equal(t, 1, s.Count("", "auth/token/revoke-self"), "it had logged in")
}

func TestClient_secretNamedData(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	_, err := s.Put("kv/data", map[string]any{"v": "one"})
	require.NoError(t, err)
	v, err := resolver(t, rooted(t, s, nil)).Get(t.Context(), "vault://kv/data#v")
	require.NoError(t, err)
	assert.Equal(t, "one", v.Expose())
}

// What is slow to be issued must not use up the time for revoking.
func TestClose_revokesAlsoWhenSomethingIsStillIssued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := timeless(t, map[string]any{"token_ttl": "1h"})
		require.NoError(t, read(t.Context(), c))
		s.Fail(vaulttest.Fault{Path: "database/", Delay: time.Minute})
		issued := make(chan struct{})
		go func() {
			defer close(issued)
			_, _, _ = c.Get(t.Context(), secrets.Ref{Scheme: "vault", Path: "database/creds/app"})
		}()
		synctest.Wait()
		require.NoError(t, c.Close(t.Context()))
		assert.Zero(t, s.Tokens())
		<-issued
		time.Sleep(2 * time.Minute)
	})
}

func TestClient_probesOfAVaultThatIsDownAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(nil)
		c, err := vault.New("http://127.0.0.1:8200", vault.Token(fixed(s.RootToken), &vault.TokenOptions{Untouched: true}), &vault.Options{HTTPClient: &http.Client{Transport: inProcess{s}}})
		require.NoError(t, err)
		s.Fail(vaulttest.Fault{Status: 500, Body: jsonErrors("down"), Delay: time.Second})
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				path := fmt.Sprint("secret/app", i)
				_, _, err := c.Get(t.Context(), secrets.Ref{Scheme: "vault", Path: path})
				assert.ErrorIs(t, err, secrets.ErrUnavailable)
				assert.ErrorContains(t, err, "vault://"+path+":")
			})
		}
		wg.Wait()
		assert.Len(t, s.Requests(), 4)
		require.NoError(t, c.Close(t.Context()))
	})
}

func TestClient_repeatsNoLoginBehindAProxy(t *testing.T) {
	for body, want := range map[string]int{`upstream connect error or disconnect/reset before headers`: 1, `{"errors":["Vault is sealed"]}`: 4} {
		synctest.Test(t, func(t *testing.T) {
			s := vaulttest.New(nil)
			c, err := vault.New("http://127.0.0.1:8200", vault.AppRole("r", fixed("s"), nil), &vault.Options{HTTPClient: &http.Client{Transport: inProcess{s}}})
			require.NoError(t, err)
			s.Fail(vaulttest.Fault{Status: 503, Body: []byte(body)})
			require.Error(t, read(t.Context(), c))
			assert.Equal(t, want, s.Count("", "auth/approle/login"), body)
			require.NoError(t, c.Close(t.Context()))
		})
	}
}
