package vaulttest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/vault"
)

// Backend is a Vault to run [Conformance] on: unsealed, with nothing of ours in it.
type Backend struct {
	Address   string
	RootToken string
	HTTP      *http.Client // trusts it
	// Seal and Unseal are nil where that cannot be done.
	Seal, Unseal func(t *testing.T)
	// Database is the configuration of a PostgreSQL for database/config, and Login reports whether a user can
	// log in to it. Both are empty for a Vault that makes credentials up.
	Database map[string]any
	Login    func(ctx context.Context, user, password string) error
	// Life is the first life of tokens and leases that the cases wait for; 0 means 2 s. On a busy machine
	// more is safer.
	Life time.Duration
}

// Conformance runs the same cases on any Vault, the fake and the real, and returns how many there were. It makes
// mounts, roles and policies of its own.
func Conformance(t *testing.T, b *Backend) int {
	t.Helper()
	s := &suite{b: b}
	type testCase struct {
		name string
		run  func(t *testing.T, s *suite)
	}
	// One after the other, for what they do meets everybody: they seal Vault, or look up all tokens there are, and Vault
	// revokes a token that is looked up in the moment of its login in which it has no lease yet.
	alone := []testCase{
		{"logs in anew when the token was revoked", testRevoked},
		{"issues anew under a new token", testDynamicRevokedToken},
		{"revokes its token on close", testClose},
	}
	if b.Seal != nil {
		alone = append(alone, testCase{"says sealed and recovers", testSeal})
	}
	together := []testCase{
		{"reads KV version 2 in both spellings", testReadV2},
		{"reads KV version 1", testReadV1},
		{"reads below a nested mount", testNestedMount},
		{"tells missing, deleted and destroyed apart", testGone},
		{"keeps as many versions as Vault does", testKeptVersions},
		{"tells denied from unauthenticated", testDenied},
		{"refuses paths that hold no secrets", testNoSecrets},
		{"keeps numbers", testNumbers},
		{"writes by check-and-set", testPut},
		{"updates until it wins", testUpdate},
		{"notices that a mount changed its version", testSwap},
		{"logs in by AppRole", testAppRole},
		{"logs in by wrapped AppRole once", testWrapped},
		{"logs in by JWT", testJWT},
		{"logs in by Kubernetes with the token of the day", testKubernetes},
		{"logs in by any other method", testUserpass},
		{"spends one use of a token when told the mount", testFewUses},
		{"renews a token past its first life", testRenew},
		{"logs in anew at the end of a token's life", testMaxTTL},
		{"gives up on a ready-made token that was revoked", testStaticRevoked},
		{"issues, renews and revokes dynamic secrets", testDynamic},
		{"replaces a dynamic secret before its end", testDynamicMax},
		{"leaves a batch token to end by itself", testBatch},
		{"writes a policy that is enough and no more", testPolicy},
		{"passes and refuses in preflight", testPreflight},
		{"logs in once for a crowd", testCrowd},
	}
	t.Run("cases", func(t *testing.T) {
		for _, c := range alone {
			t.Run(c.name, func(t *testing.T) { c.run(t, s) })
		}
		for _, c := range together {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, s)
			})
		}
	})
	return len(alone) + len(together)
}

type suite struct {
	b *Backend
	n atomic.Int64
}

// life returns a multiple of the life that cases wait for.
func (s *suite) life(times float64) time.Duration {
	unit := s.b.Life
	if unit == 0 {
		unit = 2 * time.Second
	}
	return time.Duration(times * float64(unit))
}

// ttl is life as Vault reads it.
func (s *suite) ttl(times float64) string { return fmt.Sprintf("%ds", int(s.life(times).Seconds())) }

// name returns a name nobody else uses.
func (s *suite) name(what string) string { return fmt.Sprintf("%s-%d", what, s.n.Add(1)) }

// api calls Vault as root and returns the reply's data, or auth, and its status.
func (s *suite) api(t *testing.T, method, path string, in map[string]any, header ...string) (map[string]any, int) {
	t.Helper()
	var body io.Reader = http.NoBody
	if in != nil {
		body = bytes.NewReader(mustJSON(in))
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.b.Address+"/v1/"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", s.b.RootToken)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.b.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		Data, Auth map[string]any
		WrapInfo   map[string]any `json:"wrap_info"`
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 0 {
		_ = json.Unmarshal(raw, &out)
	}
	for _, m := range []map[string]any{out.WrapInfo, out.Auth} {
		if m != nil {
			return m, resp.StatusCode
		}
	}
	return out.Data, resp.StatusCode
}

func (s *suite) must(t *testing.T, method, path string, in map[string]any, header ...string) map[string]any {
	t.Helper()
	out, status := s.api(t, method, path, in, header...)
	if status >= 300 {
		t.Fatalf("set-up: %s %s: status %d", method, path, status)
	}
	return out
}

func (s *suite) mountKV(t *testing.T, path string, version int) string {
	t.Helper()
	s.must(t, "POST", "sys/mounts/"+path, map[string]any{"type": "kv", "options": map[string]any{"version": strconv.Itoa(version)}})
	// A real Vault upgrades a new mount of version 2 in the background and refuses it until then.
	eventually(t, 10*time.Second, func() error {
		probe := path + "/data/probe"
		if version == 1 {
			probe = path + "/probe"
		}
		if _, status := s.api(t, "GET", probe, nil); status != http.StatusNotFound {
			return fmt.Errorf("mount %s answers %d", path, status)
		}
		return nil
	})
	return path
}

func (s *suite) putV2(t *testing.T, path string, data map[string]any) {
	t.Helper()
	mount, name, _ := strings.Cut(path, "/")
	s.must(t, "POST", mount+"/data/"+name, map[string]any{"data": data})
}

func (s *suite) policy(t *testing.T, rules string) string {
	t.Helper()
	name := s.name("policy")
	s.must(t, "PUT", "sys/policies/acl/"+name, map[string]any{"policy": rules})
	return name
}

func allow(path string, capabilities ...string) string {
	return fmt.Sprintf("path %q { capabilities = [\"%s\"] }\n", path, strings.Join(capabilities, `", "`))
}

func (s *suite) client(t *testing.T, login vault.Login, o *vault.Options) *vault.Client {
	t.Helper()
	if o == nil {
		o = &vault.Options{}
	}
	o.HTTPClient = s.b.HTTP
	c, err := vault.New(s.b.Address, login, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func constant(v string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return v, nil }
}

func (s *suite) root(t *testing.T) *vault.Client {
	t.Helper()
	return s.client(t, vault.Token(constant(s.b.RootToken), nil), nil)
}

// appRole makes an AppRole whose tokens have the parameters given, and returns a login for it.
func (s *suite) appRole(t *testing.T, parameters map[string]any) vault.Login {
	t.Helper()
	mount, role := s.approleMount(t), s.name("role")
	s.must(t, "POST", "auth/"+mount+"/role/"+role, parameters)
	roleID := s.must(t, "GET", "auth/"+mount+"/role/"+role+"/role-id", nil)["role_id"].(string)
	secretID := s.must(t, "POST", "auth/"+mount+"/role/"+role+"/secret-id", map[string]any{})["secret_id"].(string)
	return vault.AppRole(roleID, constant(secretID), &vault.AppRoleOptions{Mount: mount})
}

func (s *suite) approleMount(t *testing.T) string {
	t.Helper()
	mount := s.name("approle")
	s.must(t, "POST", "sys/auth/"+mount, map[string]any{"type": "approle"})
	return mount
}

func get(t *testing.T, c *vault.Client, ref string) (secrets.Value, secrets.Meta, error) {
	t.Helper()
	r, err := secrets.ParseRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	return c.Get(t.Context(), r)
}

func wantValue(t *testing.T, c *vault.Client, ref, want string) secrets.Meta {
	t.Helper()
	v, meta, err := get(t, c, ref)
	if err != nil {
		t.Fatalf("get %s: %v", ref, err)
	}
	if v.Expose() != want {
		t.Errorf("get %s: %s, want %s", ref, v.Expose(), want)
	}
	return meta
}

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v, want kind %q", err, kind)
	}
	for _, other := range []error{
		secrets.ErrNotFound, secrets.ErrDeleted, secrets.ErrDestroyed, secrets.ErrDenied, secrets.ErrUnauthenticated, secrets.ErrSealed,
		secrets.ErrThrottled, secrets.ErrUnavailable, secrets.ErrConflict, secrets.ErrWrongEngine, secrets.ErrMalformed, secrets.ErrInsecure, secrets.ErrInvalid,
	} {
		if !errors.Is(kind, other) && errors.Is(err, other) {
			t.Errorf("error %v is also of kind %q", err, other)
		}
	}
}

func wantGetKind(t *testing.T, c *vault.Client, ref string, kind error) {
	t.Helper()
	v, _, err := get(t, c, ref)
	wantKind(t, err, kind)
	if v.Len() != 0 {
		t.Errorf("get %s: a value beside an error", ref)
	}
}

// eventually calls f until it returns nil.
func eventually(t *testing.T, within time.Duration, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %v", within, err)
		case <-tick.C:
		}
	}
}

// throughout calls f for a while and fails as soon as it does.
func throughout(t *testing.T, d time.Duration, f func() error) {
	t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := f(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

func testReadV2(t *testing.T, s *suite) {
	m := s.mountKV(t, s.name("kv2"), 2)
	s.putV2(t, m+"/app", map[string]any{"password": "old"})
	s.putV2(t, m+"/app", map[string]any{"password": "new & <improved>"})
	c := s.root(t)
	meta := wantValue(t, c, "vault://"+m+"/app", `{"password":"new & <improved>"}`)
	if meta.Version != 2 || meta.Path != m+"/data/app" || time.Since(meta.Created).Abs() > time.Hour {
		t.Errorf("meta: %+v", meta)
	}
	wantValue(t, c, "vault://"+m+"/data/app", `{"password":"new & <improved>"}`)
	if meta := wantValue(t, c, "vault://"+m+"/app?version=1", `{"password":"old"}`); meta.Version != 1 {
		t.Errorf("meta: %+v", meta)
	}
	wantGetKind(t, c, "vault://"+m+"/app?version=9", secrets.ErrNotFound)
	wantGetKind(t, c, "vault://"+m, secrets.ErrBadRef)
}

func testReadV1(t *testing.T, s *suite) {
	m := s.mountKV(t, s.name("kv1"), 1)
	s.must(t, "POST", m+"/app", map[string]any{"password": "one"})
	c := s.root(t)
	wantValue(t, c, "vault://"+m+"/app", `{"password":"one"}`)
	wantGetKind(t, c, "vault://"+m+"/none", secrets.ErrNotFound)
	wantGetKind(t, c, "vault://"+m+"/app?version=1", secrets.ErrWrongEngine)
}

func testNestedMount(t *testing.T, s *suite) {
	top := s.name("team")
	m := s.mountKV(t, top+"/a/kv", 2)
	other := s.mountKV(t, top+"/b/kv", 1)
	s.must(t, "POST", m+"/data/deep/app", map[string]any{"data": map[string]any{"k": "v2"}})
	s.must(t, "POST", other+"/deep/app", map[string]any{"k": "v1"})
	c := s.root(t)
	wantValue(t, c, "vault://"+m+"/deep/app", `{"k":"v2"}`)
	wantValue(t, c, "vault://"+other+"/deep/app", `{"k":"v1"}`)
}

func testGone(t *testing.T, s *suite) {
	m := s.mountKV(t, s.name("kv2"), 2)
	c := s.root(t)
	wantGetKind(t, c, "vault://"+m+"/app", secrets.ErrNotFound)
	s.putV2(t, m+"/app", map[string]any{"k": "v"})
	s.must(t, "POST", m+"/delete/app", map[string]any{"versions": []int{1}})
	wantGetKind(t, c, "vault://"+m+"/app", secrets.ErrDeleted)
	s.must(t, "POST", m+"/undelete/app", map[string]any{"versions": []int{1}})
	wantValue(t, c, "vault://"+m+"/app", `{"k":"v"}`)
	s.must(t, "PUT", m+"/destroy/app", map[string]any{"versions": []int{1}})
	wantGetKind(t, c, "vault://"+m+"/app", secrets.ErrDestroyed)
	wantGetKind(t, c, "vault://"+m+"/app?version=1", secrets.ErrDestroyed)
}

func testKeptVersions(t *testing.T, s *suite) {
	m := s.mountKV(t, s.name("kv2"), 2)
	c := s.root(t)
	for i := range 11 {
		s.putV2(t, m+"/app", map[string]any{"k": strconv.Itoa(i + 1)})
	}
	wantGetKind(t, c, "vault://"+m+"/app?version=1", secrets.ErrNotFound)
	wantValue(t, c, "vault://"+m+"/app?version=2", `{"k":"2"}`)
	s.must(t, "POST", m+"/metadata/app", map[string]any{"max_versions": 2, "cas_required": true})
	wantValue(t, c, "vault://"+m+"/app?version=2", `{"k":"2"}`)
	if _, status := s.api(t, "POST", m+"/data/app", map[string]any{"data": map[string]any{"k": "12"}}); status != http.StatusBadRequest {
		t.Errorf("a write without check-and-set: status %d", status)
	}
	if n, err := c.Put(t.Context(), m+"/app", map[string]any{"k": "12"}, &vault.PutOptions{Version: 11}); n != 12 || err != nil {
		t.Errorf("version %d, error %v", n, err)
	}
	wantGetKind(t, c, "vault://"+m+"/app?version=10", secrets.ErrNotFound)
	wantValue(t, c, "vault://"+m+"/app?version=11", `{"k":"11"}`)
	if oldest := s.must(t, "GET", m+"/metadata/app", nil)["oldest_version"]; oldest != 11.0 {
		t.Errorf("oldest version %v", oldest)
	}
}

func testDenied(t *testing.T, s *suite) {
	m := s.mountKV(t, s.name("kv2"), 2)
	s.putV2(t, m+"/mine", map[string]any{"k": "v"})
	s.putV2(t, m+"/theirs", map[string]any{"k": "v"})
	c := s.client(t, s.appRole(t, map[string]any{"token_policies": s.policy(t, allow(m+"/data/mine", "read"))}), nil)
	wantValue(t, c, "vault://"+m+"/mine", `{"k":"v"}`)
	wantGetKind(t, c, "vault://"+m+"/theirs", secrets.ErrDenied)
	wantGetKind(t, c, "vault://"+s.name("nowhere")+"/x", secrets.ErrDenied)
	bad := s.client(t, vault.Token(constant("hvs.nonsense"), nil), nil)
	wantGetKind(t, bad, "vault://"+m+"/mine", secrets.ErrUnauthenticated)
	wrong := s.client(t, vault.AppRole("no-such-role", constant("nor-secret"), &vault.AppRoleOptions{Mount: s.approleMount(t)}), nil)
	wantGetKind(t, wrong, "vault://"+m+"/mine", secrets.ErrUnauthenticated)
}

func testNoSecrets(t *testing.T, s *suite) {
	c := s.root(t)
	wantGetKind(t, c, "vault://sys/seal-status", secrets.ErrBadRef)
	wantGetKind(t, c, "vault://auth/token/lookup-self", secrets.ErrBadRef)
}

func testNumbers(t *testing.T, s *suite) {
	m := s.mountKV(t, s.name("kv2"), 2)
	s.putV2(t, m+"/n", map[string]any{"a": 5432, "b": json.Number("1234567890123"), "c": 1.5, "d": true, "e": []any{1, "x"}})
	c := s.root(t)
	wantValue(t, c, "vault://"+m+"/n", `{"a":5432,"b":1234567890123,"c":1.5,"d":true,"e":[1,"x"]}`)

	// Beyond 2^53 it is the engine that decides: version 1 keeps the digits, version 2 does not.
	big := map[string]any{"n": json.Number("9007199254740993")}
	s.putV2(t, m+"/big", big)
	wantValue(t, c, "vault://"+m+"/big", `{"n":9007199254740992}`)
	one := s.mountKV(t, s.name("kv1"), 1)
	s.must(t, "POST", one+"/big", big)
	wantValue(t, c, "vault://"+one+"/big", `{"n":9007199254740993}`)
}

func testPut(t *testing.T, s *suite) {
	m := s.mountKV(t, s.name("kv2"), 2)
	c := s.root(t)
	put := func(data map[string]any, o *vault.PutOptions) (int, error) {
		return c.Put(t.Context(), m+"/app", data, o)
	}
	if n, err := put(map[string]any{"k": secrets.NewValue("first")}, nil); n != 1 || err != nil {
		t.Fatalf("first write: version %d, %v", n, err)
	}
	_, err := put(map[string]any{"k": "again"}, nil)
	wantKind(t, err, secrets.ErrConflict)
	if n, err := put(map[string]any{"k": "second"}, &vault.PutOptions{Version: 1}); n != 2 || err != nil {
		t.Errorf("second write: version %d, %v", n, err)
	}
	_, err = put(map[string]any{"k": "lost"}, &vault.PutOptions{Version: 1})
	wantKind(t, err, secrets.ErrConflict)
	wantValue(t, c, "vault://"+m+"/app?version=1", `{"k":"first"}`)
	wantValue(t, c, "vault://"+m+"/app", `{"k":"second"}`)
	if n, err := put(map[string]any{"k": "third"}, &vault.PutOptions{Overwrite: true}); n != 3 || err != nil {
		t.Errorf("overwriting: version %d, %v", n, err)
	}
	hidden := secrets.NewValue("deep")
	deep := map[string]any{"list": []any{hidden, 1}, "values": []secrets.Value{hidden}, "map": map[string]secrets.Value{"k": hidden}, "at": &hidden}
	if _, err := put(deep, &vault.PutOptions{Overwrite: true}); err != nil {
		t.Error(err)
	}
	wantValue(t, c, "vault://"+m+"/app", `{"at":"deep","list":["deep",1],"map":{"k":"deep"},"values":["deep"]}`)
	_, err = put(map[string]any{"k": struct{ V secrets.Value }{hidden}}, &vault.PutOptions{Overwrite: true})
	wantKind(t, err, secrets.ErrInvalid)
	one := s.mountKV(t, s.name("kv1"), 1)
	_, err = c.Put(t.Context(), one+"/app", map[string]any{"k": "v"}, nil)
	wantKind(t, err, secrets.ErrWrongEngine)
	if _, err := c.Put(t.Context(), one+"/app", map[string]any{"k": "v"}, &vault.PutOptions{Overwrite: true}); err != nil {
		t.Error(err)
	}
	wantValue(t, c, "vault://"+one+"/app", `{"k":"v"}`)
}

func testUpdate(t *testing.T, s *suite) {
	m := s.mountKV(t, s.name("kv2"), 2)
	c := s.root(t)
	add := func(old map[string]any) (map[string]any, error) {
		n := int64(0)
		if x, ok := old["n"].(json.Number); ok {
			n, _ = x.Int64()
		}
		return map[string]any{"n": n + 1}, nil
	}
	const writers = 3
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			if _, err := c.Update(t.Context(), m+"/count", add); err != nil {
				t.Errorf("update: %v", err)
			}
		})
	}
	wg.Wait()
	wantValue(t, c, "vault://"+m+"/count", fmt.Sprintf(`{"n":%d}`, writers))
	n, err := c.Update(t.Context(), m+"/count", func(old map[string]any) (map[string]any, error) { return old, nil })
	if n != writers || err != nil {
		t.Errorf("an update that changes nothing: version %d, %v", n, err)
	}
	s.must(t, "POST", m+"/delete/count", map[string]any{"versions": []int{writers}})
	_, err = c.Update(t.Context(), m+"/count", add)
	wantKind(t, err, secrets.ErrDeleted)
}

func testSwap(t *testing.T, s *suite) {
	m := s.mountKV(t, s.name("kv"), 1)
	s.must(t, "POST", m+"/app", map[string]any{"k": "one"})
	c := s.root(t)
	wantValue(t, c, "vault://"+m+"/app", `{"k":"one"}`)
	s.must(t, "DELETE", "sys/mounts/"+m, nil)
	s.mountKV(t, m, 2)
	s.putV2(t, m+"/app", map[string]any{"k": "two"})
	wantValue(t, c, "vault://"+m+"/app", `{"k":"two"}`)
	s.must(t, "DELETE", "sys/mounts/"+m, nil)
	s.mountKV(t, m, 1)
	s.must(t, "POST", m+"/app", map[string]any{"k": "three"})
	wantValue(t, c, "vault://"+m+"/app", `{"k":"three"}`)
}

// readable makes a secret and a policy that allows reading it.
func (s *suite) readable(t *testing.T) (ref, policy string) {
	t.Helper()
	m := s.mountKV(t, s.name("kv2"), 2)
	s.putV2(t, m+"/app", map[string]any{"k": "v"})
	return "vault://" + m + "/app", s.policy(t, allow(m+"/data/app", "read"))
}

func testAppRole(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	wantValue(t, s.client(t, s.appRole(t, map[string]any{"token_policies": policy}), nil), ref, `{"k":"v"}`)
	batch := s.appRole(t, map[string]any{"token_policies": policy, "token_type": "batch"}) // cannot be revoked
	wantValue(t, s.client(t, batch, nil), ref, `{"k":"v"}`)
	once := s.appRole(t, map[string]any{"token_policies": policy, "secret_id_num_uses": 1})
	wantValue(t, s.client(t, once, nil), ref, `{"k":"v"}`)
	wantGetKind(t, s.client(t, once, nil), ref, secrets.ErrUnauthenticated)
	wantValue(t, s.client(t, s.appRole(t, map[string]any{"policies": policy}), nil), ref, `{"k":"v"}`) // the old name
	if _, status := s.api(t, "PUT", "sys/policies/acl/"+s.name("policy"), map[string]any{"policy": allow("a", "red")}); status != http.StatusBadRequest {
		t.Errorf("a policy with a capability that is none: status %d", status)
	}
}

func testWrapped(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	mount, role := s.approleMount(t), s.name("role")
	s.must(t, "POST", "auth/"+mount+"/role/"+role, map[string]any{"token_policies": policy})
	roleID := s.must(t, "GET", "auth/"+mount+"/role/"+role+"/role-id", nil)["role_id"].(string)
	wrapping := s.must(t, "POST", "auth/"+mount+"/role/"+role+"/secret-id", map[string]any{}, "X-Vault-Wrap-TTL", "60")["token"].(string)
	login := vault.AppRole(roleID, constant(wrapping), &vault.AppRoleOptions{Mount: mount, Wrapped: true})
	wantValue(t, s.client(t, login, nil), ref, `{"k":"v"}`)
	wantGetKind(t, s.client(t, login, nil), ref, secrets.ErrUnauthenticated)
}

func testJWT(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	mount := s.name("jwt")
	s.must(t, "POST", "sys/auth/"+mount, map[string]any{"type": "jwt"})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	s.must(t, "POST", "auth/"+mount+"/config", map[string]any{
		"jwt_validation_pubkeys": []string{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}, "bound_issuer": "https://ci.example.com",
	})
	s.must(t, "POST", "auth/"+mount+"/role/ci", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"}, "token_policies": []string{policy},
	})
	now := time.Now()
	claims := map[string]any{"iss": "https://ci.example.com", "aud": "vault", "sub": "repo:team/app", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	o := &vault.JWTOptions{Mount: mount}
	wantValue(t, s.client(t, vault.JWT("ci", constant(SignJWT(key, claims)), o), nil), ref, `{"k":"v"}`)

	claims["aud"] = "somebody else"
	wantGetKind(t, s.client(t, vault.JWT("ci", constant(SignJWT(key, claims)), o), nil), ref, secrets.ErrUnauthenticated)
	claims["aud"], claims["exp"], claims["iat"] = "vault", now.Add(-time.Hour).Unix(), now.Add(-2*time.Hour).Unix()
	wantGetKind(t, s.client(t, vault.JWT("ci", constant(SignJWT(key, claims)), o), nil), ref, secrets.ErrUnauthenticated)
	wantGetKind(t, s.client(t, vault.JWT("ci", constant("no.jwt.at-all"), o), nil), ref, secrets.ErrUnauthenticated)
}

// SignJWT returns a JSON web token over claims, signed by ES256.
func SignJWT(key *ecdsa.PrivateKey, claims map[string]any) string {
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + enc.EncodeToString(mustJSON(claims))
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return ""
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + enc.EncodeToString(signature)
}

func testKubernetes(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	good := SignJWT(mustKey(t), map[string]any{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:deploy:runner", "iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "aud": []string{"vault"},
		"kubernetes.io": map[string]any{"namespace": "deploy", "serviceaccount": map[string]any{"name": "runner", "uid": "u-1"}},
	})
	var known atomic.Value
	known.Store(good)
	cluster := httptest.NewServer(tokenReview(&known))
	t.Cleanup(cluster.Close)
	mount := s.name("kubernetes")
	s.must(t, "POST", "sys/auth/"+mount, map[string]any{"type": "kubernetes"})
	s.must(t, "POST", "auth/"+mount+"/config", map[string]any{
		"kubernetes_host": cluster.URL, "disable_local_ca_jwt": true, "token_reviewer_jwt": "reviewer", "disable_iss_validation": true,
	})
	s.must(t, "POST", "auth/"+mount+"/role/app", map[string]any{
		"bound_service_account_names": "runner", "bound_service_account_namespaces": "deploy", "token_policies": policy, "token_ttl": s.ttl(1), "token_max_ttl": s.ttl(1),
	})
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	c := s.client(t, vault.Kubernetes("app", &vault.KubernetesOptions{Mount: mount, TokenFile: file}), nil)
	_, _, err := get(t, c, ref)
	if err == nil {
		t.Error("logged in without a token")
	}
	write(good)
	wantValue(t, c, ref, `{"k":"v"}`)

	// The kubelet rotates the token: from now on only the new one is known.
	rotated := SignJWT(mustKey(t), map[string]any{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:deploy:runner", "iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": time.Now().Add(2 * time.Hour).Unix(), "aud": []string{"vault"},
		"kubernetes.io": map[string]any{"namespace": "deploy", "serviceaccount": map[string]any{"name": "runner", "uid": "u-1"}},
	})
	known.Store(rotated)
	write(rotated)
	throughout(t, s.life(1.5), func() error { _, _, err := get(t, c, ref); return err })
}

func mustKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// tokenReview is the part of a Kubernetes API server that Vault asks.
func tokenReview(known *atomic.Value) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var review map[string]any
		_ = json.NewDecoder(req.Body).Decode(&review)
		spec, _ := review["spec"].(map[string]any)
		status := map[string]any{"authenticated": false, "error": "unknown token"}
		if spec["token"] == known.Load() && req.Header.Get("Authorization") == "Bearer reviewer" {
			status = map[string]any{"authenticated": true, "audiences": []string{"vault"}, "user": map[string]any{
				"username": "system:serviceaccount:deploy:runner", "uid": "u-1", "groups": []string{"system:serviceaccounts", "system:serviceaccounts:deploy", "system:authenticated"},
			}}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
	})
}

func testUserpass(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	mount := s.name("userpass")
	s.must(t, "POST", "sys/auth/"+mount, map[string]any{"type": "userpass"})
	s.must(t, "POST", "auth/"+mount+"/users/me", map[string]any{"password": "correct horse", "token_policies": policy})
	login := func(password string) vault.Login {
		return vault.Login{Path: "auth/" + mount + "/login/me", Body: func(context.Context) (map[string]any, error) {
			return map[string]any{"password": password}, nil
		}}
	}
	wantValue(t, s.client(t, login("correct horse"), nil), ref, `{"k":"v"}`)
	wantGetKind(t, s.client(t, login("wrong horse"), nil), ref, secrets.ErrUnauthenticated)
}

func testFewUses(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	token := s.must(t, "POST", "auth/token/create", map[string]any{"policies": []string{policy}, "num_uses": 1})["client_token"].(string)
	mount, _, _ := strings.Cut(strings.TrimPrefix(ref, "vault://"), "/")
	c := s.client(t, vault.Token(constant(token), &vault.TokenOptions{Untouched: true}), &vault.Options{KV: map[string]int{mount: 2}})
	wantValue(t, c, ref, `{"k":"v"}`)
	wantGetKind(t, c, ref, secrets.ErrUnauthenticated)
}

func testRenew(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	var logins atomic.Int32
	login := counted(s.appRole(t, map[string]any{"token_policies": policy, "token_ttl": s.ttl(1), "token_max_ttl": "1h"}), &logins)
	c := s.client(t, login, nil)
	throughout(t, s.life(2.5), func() error { _, _, err := get(t, c, ref); return err })
	if n := logins.Load(); n != 1 {
		t.Errorf("%d logins, want 1 and renewals", n)
	}
}

func counted(l vault.Login, n *atomic.Int32) vault.Login {
	body := l.Body
	l.Body = func(ctx context.Context) (map[string]any, error) { n.Add(1); return body(ctx) }
	return l
}

func testMaxTTL(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	var logins atomic.Int32
	login := counted(s.appRole(t, map[string]any{"token_policies": policy, "token_ttl": s.ttl(1), "token_max_ttl": s.ttl(1.5)}), &logins)
	c := s.client(t, login, nil)
	throughout(t, s.life(3.5), func() error { _, _, err := get(t, c, ref); return err })
	if n := logins.Load(); n < 2 || n > 6 {
		t.Errorf("%d logins in the time of 3.5 lives of at most 1.5", n)
	}
}

func testRevoked(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	var logins atomic.Int32
	c := s.client(t, counted(s.appRole(t, map[string]any{"token_policies": policy, "token_ttl": "1h"}), &logins), nil)
	wantValue(t, c, ref, `{"k":"v"}`)
	s.revokeTokensWith(t, policy)
	wantValue(t, c, ref, `{"k":"v"}`)
	if n := logins.Load(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

// revokeTokensWith revokes all tokens that have a policy.
func (s *suite) revokeTokensWith(t *testing.T, policy string) {
	t.Helper()
	accessors := s.accessorsWith(t, policy)
	if len(accessors) == 0 {
		t.Fatalf("set-up: no token with policy %s to revoke", policy)
	}
	for _, accessor := range accessors {
		s.must(t, "POST", "auth/token/revoke-accessor", map[string]any{"accessor": accessor})
	}
}

// accessorsWith returns the accessors of the tokens that have a policy of exactly this name.
func (s *suite) accessorsWith(t *testing.T, policy string) []any {
	t.Helper()
	keys, _ := s.must(t, "LIST", "auth/token/accessors", nil)["keys"].([]any)
	return slices.DeleteFunc(keys, func(accessor any) bool {
		info, status := s.api(t, "POST", "auth/token/lookup-accessor", map[string]any{"accessor": accessor})
		policies, _ := info["policies"].([]any)
		return status != http.StatusOK || !slices.Contains(policies, any(policy))
	})
}

func testStaticRevoked(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	token := s.must(t, "POST", "auth/token/create", map[string]any{"policies": []string{policy}, "ttl": "1h"})["client_token"].(string)
	c := s.client(t, vault.Token(constant(token), nil), nil)
	wantValue(t, c, ref, `{"k":"v"}`)
	s.must(t, "POST", "auth/token/revoke", map[string]any{"token": token})
	wantGetKind(t, c, ref, secrets.ErrUnauthenticated)
	wantGetKind(t, c, ref, secrets.ErrUnauthenticated)
}

// database sets up dynamic credentials and returns their path and a policy to read them.
func (s *suite) database(t *testing.T, ttl, maxTTL string) (path, policy string) {
	t.Helper()
	mount := s.name("database")
	s.must(t, "POST", "sys/mounts/"+mount, map[string]any{"type": "database"})
	config := map[string]any{"plugin_name": "postgresql-database-plugin", "allowed_roles": "app"}
	maps.Copy(config, s.b.Database)
	s.must(t, "POST", mount+"/config/pg", config)
	s.must(t, "POST", mount+"/roles/app", map[string]any{
		"db_name": "pg", "default_ttl": ttl, "max_ttl": maxTTL,
		"creation_statements": `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
	})
	path = mount + "/creds/app"
	return path, s.policy(t, allow(path, "read"))
}

// leases returns how many leases are alive at a path.
func (s *suite) leases(t *testing.T, path string) int {
	t.Helper()
	out, status := s.api(t, "LIST", "sys/leases/lookup/"+path, nil)
	if status == http.StatusNotFound {
		return 0
	}
	keys, _ := out["keys"].([]any)
	return len(keys)
}

type credential struct{ Username, Password string }

func readCredential(t *testing.T, c *vault.Client, path string) (credential, secrets.Meta) {
	t.Helper()
	v, meta, err := get(t, c, "vault://"+path)
	if err != nil {
		t.Fatalf("get %s: %v", path, err)
	}
	var out credential
	if err := json.Unmarshal(v.ExposeBytes(), &out); err != nil || out.Username == "" || out.Password == "" {
		t.Fatalf("get %s: no credential", path)
	}
	return out, meta
}

func testDynamic(t *testing.T, s *suite) {
	path, policy := s.database(t, s.ttl(1), "1h")
	c := s.client(t, s.appRole(t, map[string]any{"token_policies": policy}), nil)
	first, meta := readCredential(t, c, path)
	if left := time.Until(meta.Expires); left <= 0 || left > s.life(1.5) {
		t.Errorf("expires in %s", left)
	}
	throughout(t, s.life(2), func() error { // past its first life
		if now, _ := readCredential(t, c, path); now != first {
			return errors.New("another credential while the first is alive")
		}
		if s.b.Login != nil {
			return s.b.Login(t.Context(), first.Username, first.Password)
		}
		return nil
	})
	if n := s.leases(t, path); n != 1 {
		t.Errorf("%d leases, want 1", n)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s.noLeases(t, path)
	if s.b.Login != nil && s.b.Login(t.Context(), first.Username, first.Password) == nil {
		t.Error("the credential still works after Close")
	}
	wantGetKind(t, c, "vault://"+path, secrets.ErrClosed)
}

func testDynamicMax(t *testing.T, s *suite) {
	path, policy := s.database(t, s.ttl(1), s.ttl(1.5))
	c := s.client(t, s.appRole(t, map[string]any{"token_policies": policy}), nil)
	var invalidated atomic.Int32
	c.OnInvalid(func(r secrets.Ref) {
		if r.Path == path {
			invalidated.Add(1)
		}
	})
	first, _ := readCredential(t, c, path)
	eventually(t, s.life(3), func() error {
		now, _ := readCredential(t, c, path)
		if s.b.Login != nil {
			if err := s.b.Login(t.Context(), now.Username, now.Password); err != nil {
				t.Fatalf("a credential that does not work: %v", err)
			}
		}
		if now == first {
			return errors.New("still the first credential")
		}
		return nil
	})
	eventually(t, s.life(1), func() error { // a moment after the new one is to be had
		if invalidated.Load() == 0 {
			return errors.New("nobody was told")
		}
		return nil
	})
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s.noLeases(t, path)
}

func testDynamicRevokedToken(t *testing.T, s *suite) {
	path, policy := s.database(t, "1h", "2h")
	c := s.client(t, s.appRole(t, map[string]any{"token_policies": policy, "token_ttl": s.ttl(1), "token_max_ttl": "1h"}), nil)
	first, _ := readCredential(t, c, path)
	s.revokeTokensWith(t, policy)
	eventually(t, s.life(3), func() error { // the next renewal of the token notices
		if now, _ := readCredential(t, c, path); now == first {
			return errors.New("still the credential that was revoked with the token")
		}
		return nil
	})
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s.noLeases(t, path)
}

// noLeases waits for the leases of a closed client to be gone. Where its policy does not let it revoke them,
// they go with its token, which takes Vault a moment.
func (s *suite) noLeases(t *testing.T, path string) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		if n := s.leases(t, path); n != 0 {
			return fmt.Errorf("%d leases after Close", n)
		}
		return nil
	})
}

func testClose(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	c := s.client(t, s.appRole(t, map[string]any{"token_policies": policy}), nil)
	wantValue(t, c, ref, `{"k":"v"}`)
	if n := len(s.accessorsWith(t, policy)); n != 1 {
		t.Errorf("%d tokens, want 1", n)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(s.accessorsWith(t, policy)); n != 0 {
		t.Errorf("%d tokens after Close", n)
	}
	wantGetKind(t, c, ref, secrets.ErrClosed)
	if err := c.Close(t.Context()); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func testBatch(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	login := s.appRole(t, map[string]any{"token_policies": policy, "token_type": "batch"})
	c := s.client(t, login, nil)
	wantValue(t, c, ref, `{"k":"v"}`)
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	// The reason: Vault refuses to.
	body, err := login.Body(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, _ := s.must(t, "POST", login.Path, body)["client_token"].(string)
	if _, status := s.api(t, "POST", "auth/token/revoke-self", nil, "X-Vault-Token", token); status != http.StatusBadRequest {
		t.Errorf("revoking a batch token: status %d, want 400", status)
	}
}

func testPolicy(t *testing.T, s *suite) {
	two, one := s.mountKV(t, s.name("kv2"), 2), s.mountKV(t, s.name("kv1"), 1)
	s.putV2(t, two+"/app", map[string]any{"k": "v"})
	s.putV2(t, two+"/other", map[string]any{"k": "v"})
	s.must(t, "POST", one+"/app", map[string]any{"k": "v"})
	path, _ := s.database(t, s.ttl(1), "1h")
	refs := []string{"vault://" + two + "/app#k", "vault://" + one + "/app#k", "vault://" + path + "#username", "vault://" + path + "#password", "env://HOME"}
	rules, err := s.root(t).Policy(t.Context(), refs...)
	if err != nil {
		t.Fatal(err)
	}
	c := s.client(t, s.appRole(t, map[string]any{
		"token_policies": s.policy(t, rules), "token_no_default_policy": true, "token_ttl": s.ttl(1), "token_max_ttl": "1h",
	}), nil)
	throughout(t, s.life(1.5), func() error { // long enough for both renewals
		for _, ref := range refs[:4] {
			if _, _, err := get(t, c, strings.Split(ref, "#")[0]); err != nil {
				return err
			}
		}
		return nil
	})
	wantGetKind(t, c, "vault://"+two+"/other", secrets.ErrDenied)
	_, err = c.Put(t.Context(), two+"/app", map[string]any{"k": "w"}, &vault.PutOptions{Overwrite: true})
	wantKind(t, err, secrets.ErrDenied)
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := s.leases(t, path); n != 0 {
		t.Errorf("%d leases after Close", n)
	}
}

func testPreflight(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	c := s.client(t, s.appRole(t, map[string]any{"token_policies": policy}), nil)
	checks, err := c.Preflight(t.Context(), ref+"#k")
	if err != nil {
		t.Errorf("%v\n%+v", err, checks)
	}
	mount, _, _ := strings.Cut(strings.TrimPrefix(ref, "vault://"), "/")
	_, err = c.Preflight(t.Context(), ref+"#k", "vault://"+mount+"/other#k")
	wantKind(t, err, secrets.ErrDenied)
	_, err = s.root(t).Preflight(t.Context(), ref+"#k")
	wantKind(t, err, secrets.ErrInsecure)
	allowed := s.client(t, vault.Token(constant(s.b.RootToken), nil), &vault.Options{AllowRootToken: true})
	if _, err := allowed.Preflight(t.Context(), ref+"#k"); err != nil {
		t.Errorf("with AllowRootToken: %v", err)
	}
	wide := s.client(t, s.appRole(t, map[string]any{"token_policies": s.policy(t, allow(mount+"/*", "read", "update"))}), nil)
	checks, err = wide.Preflight(t.Context(), ref+"#k")
	excess := false
	for _, check := range checks {
		excess = excess || check.Name == "excess" && strings.Contains(check.Detail, "update")
	}
	if err != nil || !excess {
		t.Errorf("rights beyond reading: %v, %+v", err, checks)
	}
}

func testCrowd(t *testing.T, s *suite) {
	ref, policy := s.readable(t)
	var logins atomic.Int32
	c := s.client(t, counted(s.appRole(t, map[string]any{"token_policies": policy}), &logins), nil)
	r, err := secrets.NewResolver(map[string]secrets.Store{"vault": c}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if v, err := r.Get(t.Context(), ref+"#k"); err != nil || v.Expose() != "v" {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if n := logins.Load(); n != 1 {
		t.Errorf("%d logins for 1,000 callers", n)
	}
}

func testSeal(t *testing.T, s *suite) {
	ref, _ := s.readable(t)
	c := s.client(t, vault.Token(constant(s.b.RootToken), nil), &vault.Options{Attempts: 1})
	wantValue(t, c, ref, `{"k":"v"}`)
	s.b.Seal(t)
	wantGetKind(t, c, ref, secrets.ErrSealed)
	_, err := c.Preflight(t.Context())
	wantKind(t, err, secrets.ErrSealed)

	patient := s.client(t, vault.Token(constant(s.b.RootToken), nil), &vault.Options{Attempts: 100, MaxPause: 200 * time.Millisecond})
	done := make(chan error, 1)
	go func() { _, _, err := get(t, patient, ref); done <- err }()
	select {
	case err := <-done:
		t.Fatalf("did not wait for the unsealing: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.b.Unseal(t)
	if err := <-done; err != nil {
		t.Errorf("after the unsealing: %v", err)
	}
}
