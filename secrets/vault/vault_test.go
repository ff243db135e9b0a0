package vault_test

import (
	"context"
	"flag"
	"testing"

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
