package vault_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/vault"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

// inProcess carries requests to a handler without a network, so that a test can run on a clock of its own.
type inProcess struct{ h http.Handler }

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		req.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	p.h.ServeHTTP(rec, req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

// timeless returns a fake, a client of it that logs in by userpass, and a count of its logins. To be called in a
// synctest bubble.
func timeless(t *testing.T, user map[string]any) (*vaulttest.Server, *vault.Client, *atomic.Int32) {
	t.Helper()
	s := vaulttest.New(nil)
	root, err := vault.New("http://127.0.0.1:8200", vault.Token(fixed(s.RootToken), &vault.TokenOptions{Untouched: true}), &vault.Options{HTTPClient: &http.Client{Transport: inProcess{s}}})
	require.NoError(t, err)
	_, err = root.Put(t.Context(), "secret/app", map[string]any{"v": planted}, nil)
	require.NoError(t, err)
	require.NoError(t, root.Close(t.Context()))
	require.NoError(t, s.DatabaseRole("app", "1h", "4h"))
	do(t, s, "PUT", "sys/policies/acl/app", `{"policy":"path \"secret/*\" { capabilities = [\"read\"] } path \"database/*\" { capabilities = [\"read\"] } path \"sys/leases/revoke\" { capabilities = [\"update\"] }"}`)
	do(t, s, "POST", "sys/auth/userpass", `{"type":"userpass"}`)
	user["password"], user["token_policies"] = "s3same", "app"
	do(t, s, "POST", "auth/userpass/users/me", string(mustJSON(t, user)))
	var logins atomic.Int32
	login := vault.Login{Path: "auth/userpass/login/me", Body: func(context.Context) (map[string]any, error) {
		logins.Add(1)
		return map[string]any{"password": secrets.NewValue("s3same")}, nil
	}}
	c, err := vault.New("http://127.0.0.1:8200", login, &vault.Options{HTTPClient: &http.Client{Transport: inProcess{s}}, Attempts: 1})
	require.NoError(t, err)
	return s, c, &logins
}

func do(t *testing.T, s *vaulttest.Server, method, path, body string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, "/v1/"+path, strings.NewReader(body))
	req.Header.Set("X-Vault-Token", s.RootToken)
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	require.Less(t, rec.Code, 300, "%s %s: %s", method, path, rec.Body)
}

func TestSession_renewsForDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, logins := timeless(t, map[string]any{"token_ttl": "1h"})
		require.NoError(t, read(t.Context(), c))
		time.Sleep(48 * time.Hour)
		require.NoError(t, read(t.Context(), c))
		assert.EqualValues(t, 1, logins.Load())
		renewals := s.Count("", "auth/token/renew-self")
		assert.InDelta(t, 77, renewals, 8, "each at about two thirds of an hour, not all at the same moment")
		require.NoError(t, c.Close(t.Context()))
		assert.Zero(t, s.Tokens())
	})
}

func TestSession_keepsNoTokensThatHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, logins := timeless(t, map[string]any{"token_ttl": "1h", "token_max_ttl": "1h"})
		require.NoError(t, read(t.Context(), c))
		time.Sleep(48 * time.Hour)
		require.NoError(t, read(t.Context(), c))
		assert.Greater(t, logins.Load(), int32(40))
		assert.LessOrEqual(t, c.Tokens(), 2)
		require.NoError(t, c.Close(t.Context()))
		assert.Zero(t, s.Tokens(), "and those that had not are revoked")
	})
}

func TestSession_revokedTokenIsNoticedWithinOneRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, logins := timeless(t, map[string]any{"token_ttl": "768h"})
		require.NoError(t, read(t.Context(), c))
		s.RevokeTokens()
		time.Sleep(768 * time.Hour * 2 / 3)
		synctest.Wait()
		assert.EqualValues(t, 2, logins.Load(), "without anybody asking for a secret")
		require.NoError(t, c.Close(t.Context()))
	})
}

func TestSession_aVaultThatIsDownIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, logins := timeless(t, map[string]any{"token_ttl": "10h"})
		require.NoError(t, read(t.Context(), c))
		stop := s.Fail(vaulttest.Fault{Status: 500, Body: jsonErrors("down")})
		time.Sleep(7 * time.Hour) // renewals are due after 6 h to 6 h 40
		before := len(s.Requests())
		time.Sleep(time.Hour)
		assert.LessOrEqual(t, len(s.Requests())-before, 140, "no more than about one in 30 s")
		stop()
		time.Sleep(time.Minute)
		require.NoError(t, read(t.Context(), c))
		assert.EqualValues(t, 1, logins.Load(), "renewed as soon as it could be")
		require.NoError(t, c.Close(t.Context()))
	})
}

func TestSession_maximumReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, logins := timeless(t, map[string]any{"token_ttl": "1h", "token_max_ttl": "3h"})
		for range 24 * 60 {
			require.NoError(t, read(t.Context(), c))
			time.Sleep(time.Minute)
		}
		assert.InDelta(t, 9, logins.Load(), 2, "a login for each maximum, and no gap")
		require.NoError(t, c.Close(t.Context()))
		assert.Zero(t, s.Tokens())
	})
}

func TestSession_batchTokenIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, logins := timeless(t, map[string]any{"token_ttl": "1h", "token_type": "batch"})
		for range 5 * 60 {
			require.NoError(t, read(t.Context(), c))
			time.Sleep(time.Minute)
		}
		assert.Zero(t, s.Count("", "auth/token/renew-self"))
		assert.InDelta(t, 8, logins.Load(), 2)
		ref, err := secrets.ParseRef("vault://database/creds/app")
		require.NoError(t, err)
		_, _, err = c.Get(t.Context(), ref)
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()), "the token cannot be revoked")
		assert.Empty(t, s.Leases(), "its leases can")
	})
}

func TestSession_zeroTTLDoesNotLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(nil)
		do(t, s, "POST", "secret/data/app", `{"data":{"v":"`+planted+`"}}`)
		c, err := vault.New("http://127.0.0.1:8200", vault.Token(fixed(s.RootToken), nil), &vault.Options{HTTPClient: &http.Client{Transport: inProcess{s}}})
		require.NoError(t, err)
		require.NoError(t, read(t.Context(), c))
		n := len(s.Requests())
		time.Sleep(1000 * time.Hour)
		synctest.Wait()
		assert.Len(t, s.Requests(), n)
		require.NoError(t, c.Close(t.Context()))
		assert.Equal(t, 0, s.Count("", "auth/token/revoke-self"), "it is not ours")
	})
}

func TestSession_mayNotRenewItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, logins := timeless(t, map[string]any{"token_ttl": "1h", "token_no_default_policy": true})
		for range 6 * 60 {
			require.NoError(t, read(t.Context(), c))
			time.Sleep(time.Minute)
		}
		assert.Less(t, logins.Load(), int32(12))
		assert.Less(t, s.Count("", "auth/token/renew-self"), 15)
		_ = c.Close(t.Context())
	})
}

func TestLease_livesAndIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := timeless(t, map[string]any{"token_ttl": "1h"})
		r, err := secrets.NewResolver(map[string]secrets.Store{"vault": c}, &secrets.ResolverOptions{TTL: 10 * time.Minute, Refresh: true})
		require.NoError(t, err)
		seen := map[string]bool{}
		for range 12 * 60 {
			v, err := r.Get(t.Context(), "vault://database/creds/app#username")
			require.NoError(t, err)
			seen[v.Expose()] = true
			alive := false
			for _, l := range s.Leases() {
				alive = alive || l.Username == v.Expose()
			}
			require.True(t, alive, "what the resolver hands out works")
			time.Sleep(time.Minute)
		}
		assert.InDelta(t, 3.5, len(seen), 1.5, "one for each maximum of four hours")
		require.NoError(t, r.Close())
		require.NoError(t, c.Close(t.Context()))
		assert.Empty(t, s.Leases())
		assert.Zero(t, s.Tokens())
	})
}

func TestLease_diesWithItsTokenAndIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := timeless(t, map[string]any{"token_ttl": "1h"})
		var changes atomic.Int32
		r, err := secrets.NewResolver(map[string]secrets.Store{"vault": c}, &secrets.ResolverOptions{
			TTL: 24 * time.Hour, Refresh: true, OnChange: func(secrets.Change) { changes.Add(1) },
		})
		require.NoError(t, err)
		for _, key := range []string{"#username", "#password"} {
			_, err = r.Get(t.Context(), "vault://database/creds/app"+key)
			require.NoError(t, err)
		}
		assert.Len(t, s.Leases(), 1)
		s.RevokeTokens()
		assert.Empty(t, s.Leases())
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.EqualValues(t, 2, changes.Load(), "user and password, long before the TTL")
		assert.Len(t, s.Leases(), 1)
		require.NoError(t, r.Close())
		require.NoError(t, c.Close(t.Context()))
		assert.Empty(t, s.Leases())
	})
}
