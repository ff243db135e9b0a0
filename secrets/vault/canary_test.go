package vault_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
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

// inputs are the places a secret goes in; each makes something fail with the canary in that place.
func inputs() map[string]func(t *testing.T, s *vaulttest.Server, canary string, log *slog.Logger) error {
	client := func(t *testing.T, s *vaulttest.Server, l vault.Login, log *slog.Logger) *vault.Client {
		t.Helper()
		c, err := vault.New(s.URL, l, &vault.Options{Attempts: 1, Logger: log})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		return c
	}
	// Whatever is asked, a proxy answers with what it was sent.
	echo := func(s *vaulttest.Server, canary string) {
		s.Fail(vaulttest.Fault{Status: http.StatusBadRequest, Body: jsonErrors("bad request: " + canary)})
	}
	type input = func(t *testing.T, s *vaulttest.Server, canary string, log *slog.Logger) error
	login := func(l func(canary string) vault.Login) input {
		return func(t *testing.T, s *vaulttest.Server, canary string, log *slog.Logger) error {
			t.Helper()
			echo(s, canary)
			return read(t.Context(), client(t, s, l(canary), log))
		}
	}
	return map[string]input{
		"token":     login(func(x string) vault.Login { return vault.Token(fixed(x), nil) }),
		"secret id": login(func(x string) vault.Login { return vault.AppRole("role", fixed(x), nil) }),
		"wrapping token": login(func(x string) vault.Login {
			return vault.AppRole("role", fixed(x), &vault.AppRoleOptions{Wrapped: true})
		}),
		"jwt": login(func(x string) vault.Login { return vault.JWT("role", fixed(x), nil) }),
		"password": login(func(x string) vault.Login {
			return vault.Login{Path: "auth/ldap/login/me", Body: func(context.Context) (map[string]any, error) { return map[string]any{"password": x}, nil }}
		}),
		"service account token": func(t *testing.T, s *vaulttest.Server, canary string, log *slog.Logger) error {
			t.Helper()
			echo(s, canary)
			file := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(file, []byte(canary), 0o600))
			return read(t.Context(), client(t, s, vault.Kubernetes("role", &vault.KubernetesOptions{TokenFile: file}), log))
		},
		"written value": func(t *testing.T, s *vaulttest.Server, canary string, log *slog.Logger) error {
			t.Helper()
			c := client(t, s, vault.Token(fixed(s.RootToken), nil), log)
			_, err := c.Mounts(t.Context(), plantedRef)
			require.NoError(t, err)
			echo(s, canary)
			_, err = c.Put(t.Context(), "secret/app", map[string]any{"a": secrets.NewValue(canary), "b": []any{canary}}, nil)
			return err
		},
		"stored value, bound to the wrong type": func(t *testing.T, s *vaulttest.Server, canary string, log *slog.Logger) error {
			t.Helper()
			_, err := s.Put("secret/app", map[string]any{"v": canary})
			require.NoError(t, err)
			var into struct {
				A int           `secret:"vault://secret/app#v"`
				B time.Duration `secret:"vault://secret/app#v"`
				C []int         `secret:"vault://secret/app#v"`
				D bool          `secret:"vault://secret/app#none"`
			}
			return resolver(t, client(t, s, vault.Token(fixed(s.RootToken), nil), log)).Bind(t.Context(), &into)
		},
		"reference": func(_ *testing.T, _ *vaulttest.Server, canary string, _ *slog.Logger) error {
			_, err := secrets.ParseRef(canary)
			return err
		},
		"address": func(_ *testing.T, _ *vaulttest.Server, canary string, _ *slog.Logger) error {
			_, err := vault.New("https://user:"+canary+"@vault.example.com", vault.Token(fixed("x"), nil), nil)
			return err
		},
		"reply that is no JSON": func(t *testing.T, s *vaulttest.Server, canary string, log *slog.Logger) error {
			t.Helper()
			s.Fail(vaulttest.Fault{Status: 200, Body: []byte(canary)})
			return read(t.Context(), client(t, s, vault.Token(fixed(s.RootToken), &vault.TokenOptions{Untouched: true}), log))
		},
	}
}

func TestCanaries(t *testing.T) {
	n := 0
	for name, in := range inputs() {
		for _, canary := range secretstest.Canaries() {
			t.Run(name, func(t *testing.T) {
				s := vaulttest.NewServer(t, nil)
				var logs bytes.Buffer
				err := in(t, s, canary, slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
				require.Error(t, err)
				noLeak(t, err, canary)
				assert.Empty(t, secretstest.Leaks(logs.String(), canary), logs.String())
				assert.Less(t, len(err.Error()), 4096)
			})
			n++
		}
	}
	t.Logf("%d canaries in %d inputs: %d errors and logs searched, no leak", len(secretstest.Canaries()), len(inputs()), n)
}
