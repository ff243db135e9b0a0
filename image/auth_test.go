package image_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
)

func TestDockerConfig(t *testing.T) {
	bin := t.TempDir()
	helper := func(name, script string) {
		require.NoError(t, os.WriteFile(filepath.Join(bin, "docker-credential-"+name), []byte("#!/bin/sh\nread server\n"+script), 0o755))
	}
	helper("good", `echo "{\"ServerURL\":\"$server\",\"Username\":\"user of $server\",\"Secret\":\"s\"}"`)
	helper("token", `echo '{"Username":"<token>","Secret":"refresh"}'`)
	helper("none", `echo "credentials not found in native keychain"; exit 1`)
	helper("bad", `echo "keychain is locked"; exit 1`)
	helper("chatty", `echo "hunter2 but no JSON"`)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	auth := base64.StdEncoding.EncodeToString([]byte("u:p:with:colons"))
	tests := []struct {
		name, config, registry string
		want                   image.Login
		err                    string
	}{
		{"auth", `{"auths":{"r.test:5000":{"auth":"` + auth + `"}}}`, "r.test:5000", image.Login{User: "u", Password: "p:with:colons"}, ""},
		{"other port", `{"auths":{"r.test:5000":{"auth":"` + auth + `"}}}`, "r.test", image.Login{}, ""},
		{"below the domain", `{"auths":{"r.test":{"auth":"` + auth + `"}}}`, "x.r.test", image.Login{}, ""},
		{"URL", `{"auths":{"https://r.test/v1/":{"username":"u","password":"p"}}}`, "r.test", image.Login{User: "u", Password: "p"}, ""},
		{"hub", `{"auths":{"https://index.docker.io/v1/":{"auth":"` + auth + `"}}}`, "index.docker.io", image.Login{User: "u", Password: "p:with:colons"}, ""},
		{"identity token", `{"auths":{"r.test":{"identitytoken":"x"}}}`, "r.test", image.Login{IdentityToken: "x"}, ""},
		{"helper", `{"credHelpers":{"r.test":"good"},"credsStore":"bad"}`, "r.test", image.Login{User: "user of r.test", Password: "s"}, ""},
		{"helper with token", `{"credHelpers":{"r.test":"token"}}`, "r.test", image.Login{IdentityToken: "refresh"}, ""},
		{"store", `{"credsStore":"good"}`, "index.docker.io", image.Login{User: "user of https://index.docker.io/v1/", Password: "s"}, ""},
		{"store has nothing", `{"credsStore":"none","auths":{"r.test":{"auth":"` + auth + `"}}}`, "r.test", image.Login{User: "u", Password: "p:with:colons"}, ""},
		{"helper fails", `{"credsStore":"bad"}`, "r.test", image.Login{}, "keychain is locked"},
		{"helper prints nonsense", `{"credsStore":"chatty"}`, "r.test", image.Login{}, "did not print a login"},
		{"helper missing", `{"credsStore":"nowhere"}`, "r.test", image.Login{}, "docker-credential-nowhere"},
		{"helper is a path", `{"credsStore":"../../bin/sh"}`, "r.test", image.Login{}, "impossible"},
		{"two entries for one host", `{"auths":{"https://r.test/v1/":{"username":"old","password":"o"},"r.test":{"username":"u","password":"p"},"http://r.test/v2/":{"username":"older","password":"o"}}}`, "r.test", image.Login{User: "u", Password: "p"}, ""},
		{"two entries for the hub", `{"auths":{"docker.io":{"username":"other","password":"o"},"https://index.docker.io/v1/":{"username":"u","password":"p"}}}`, "index.docker.io", image.Login{User: "u", Password: "p"}, ""},
		{"damaged auth", `{"auths":{"r.test":{"auth":"aHVudGVyMg=="}}}`, "r.test", image.Login{}, "damaged"},
		{"no JSON", `hunter2`, "r.test", image.Login{}, "no docker configuration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			require.NoError(t, os.WriteFile(path, []byte(tt.config), 0o600))
			got, err := image.DockerConfig(path).Login(t.Context(), tt.registry)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				assert.NotContains(t, err.Error(), "hunter2")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
	got, err := image.DockerConfig("nowhere.json").Login(t.Context(), "r.test")
	require.NoError(t, err)
	assert.Zero(t, got)
}

// FuzzDockerConfig reads any bytes as docker's configuration: the same login each time, and none for a host that
// stands nowhere in it.
func FuzzDockerConfig(f *testing.F) {
	for _, s := range []string{"", "{", `{"auths":{"r.test":{"auth":"dTpw"}}}`, `{"auths":{"https://r.test/v1/":{"username":"u"},"r.test/":{"password":"p"}}}`, `{"auths":{"r.test":null}}`, `{"auths":[]}`} {
		f.Add([]byte(s), "r.test")
	}
	f.Fuzz(func(t *testing.T, raw []byte, registry string) {
		if bytes.Contains(bytes.ToLower(raw), []byte("cred")) || bytes.ContainsRune(raw, '\\') {
			return // would run a helper, or spell one with escapes
		}
		path := filepath.Join(t.TempDir(), "config.json")
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		l, err := image.DockerConfig(path).Login(t.Context(), registry)
		again, errAgain := image.DockerConfig(path).Login(t.Context(), registry)
		if l != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("%v, %v and then %v, %v", l, err, again, errAgain)
		}
		if l, _ := image.DockerConfig(path).Login(t.Context(), "absent.example.org:1"); l != (image.Login{}) && !bytes.Contains(raw, []byte("absent.example.org:1")) {
			t.Fatalf("a login for nobody: %v", l)
		}
	})
}

func TestClient_identityToken(t *testing.T) {
	reg := imagetest.NewServer(t, &imagetest.Options{User: "u", Password: "p", Token: true, IdentityToken: "refresh"})
	c := client(t, &image.Options{Keychain: image.Logins{reg.Host(): func(context.Context) (image.Login, error) {
		return image.Login{IdentityToken: "refresh"}, nil
	}}})
	_, err := c.Push(t.Context(), build(t, nil), []string{reg.Host() + "/app:1"}, nil)
	require.NoError(t, err)
}

// A password that changes while the client lives is fetched anew.
func TestClient_rotatedPassword(t *testing.T) {
	calls := 0
	reg := imagetest.NewServer(t, &imagetest.Options{User: "u", Password: "new"})
	k := image.Logins{reg.Host(): image.Password("u", func(context.Context) (string, error) {
		if calls++; calls == 1 {
			return "old", nil
		}
		return "new", nil
	})}
	c := client(t, &image.Options{Keychain: image.Keychains(image.Logins{}, k)})
	_, err := c.Exists(t.Context(), reg.Host()+"/app:1")
	require.ErrorIs(t, err, image.ErrDenied)
	ok, err := c.Exists(t.Context(), reg.Host()+"/app:1")
	require.NoError(t, err)
	assert.False(t, ok)
}

// spy is a server that must not see a login.
func spy(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("Authorization"), "a login went to another host")
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestClient_redirects(t *testing.T) {
	l := build(t, image.Files{"a": noise(1000)})
	reg := imagetest.NewServer(t, &imagetest.Options{User: "u", Password: "hunter2"})
	c := client(t, &image.Options{Keychain: image.Logins{reg.Host(): image.Static("u", "hunter2")}})
	_, err := c.Push(t.Context(), l, []string{reg.Host() + "/app:1"}, nil)
	require.NoError(t, err)
	layer := l.Blobs()[1].Digest

	t.Run("to a store", func(t *testing.T) {
		content, err := os.ReadFile(filepath.Join(l.Dir(), "blobs/sha256", strings.TrimPrefix(layer, "sha256:")))
		require.NoError(t, err)
		store := spy(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
		reg.Fail(imagetest.Fault{Method: "GET", Path: layer, Status: 307, Header: http.Header{"Location": {store.URL + "/blob?signature=s3cret"}}})
		_, err = c.Pull(t.Context(), reg.Host()+"/app:1", out(t), nil)
		require.NoError(t, err)
	})
	t.Run("the store fails", func(t *testing.T) {
		store := spy(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
		reg.Fail(imagetest.Fault{Method: "GET", Path: layer, Status: 307, Header: http.Header{"Location": {store.URL + "/blob?signature=s3cret"}}})
		_, err = c.Pull(t.Context(), reg.Host()+"/app:1", out(t), nil)
		require.ErrorIs(t, err, image.ErrDenied)
		assert.NotContains(t, err.Error(), "s3cret")
	})
	t.Run("in circles", func(t *testing.T) {
		reg.Fail(imagetest.Fault{Method: "GET", Path: layer, Status: 307, Times: 6, Header: http.Header{"Location": {"/v2/app/blobs/" + layer}}})
		_, err = c.Pull(t.Context(), reg.Host()+"/app:1", out(t), nil)
		require.ErrorIs(t, err, image.ErrRedirect)
	})
	t.Run("upload to elsewhere", func(t *testing.T) {
		sink := spy(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
		reg.Fail(imagetest.Fault{Method: "POST", Status: 202, Times: -1, Header: http.Header{"Location": {sink.URL + "/upload"}}})
		_, err := c.Push(t.Context(), l, []string{reg.Host() + "/fresh:1"}, nil)
		require.Error(t, err, "the registry has none of the blobs")
		assert.NotContains(t, err.Error(), "hunter2")
	})
}

func TestClient_tokenServer(t *testing.T) {
	thief := spy(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"t"}`) })
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="x"`, thief.URL))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(fake.Close)
	host := strings.TrimPrefix(fake.URL, "http://")
	c := client(t, &image.Options{Keychain: image.Logins{host: image.Static("u", "p")}})
	_, err := c.Exists(t.Context(), host+"/app:1")
	require.ErrorIs(t, err, image.ErrDenied)
	assert.ErrorContains(t, err, "TokenHosts")
}

func TestClient_plainHTTP(t *testing.T) {
	c := client(t, &image.Options{Attempts: 1})
	reg := imagetest.NewServer(t, &imagetest.Options{TLS: true})
	_, err := c.Exists(t.Context(), reg.Host()+"/app:1")
	require.ErrorIs(t, err, image.ErrUnavailable, "an unknown certificate is no reason to go without")
	for _, r := range reg.Requests() {
		t.Errorf("it was asked: %+v", r)
	}
}

func TestClient_references(t *testing.T) {
	c := client(t, nil)
	for _, ref := range []string{
		"", "UPPER/case:1", "host/../../etc:1", "host/app:tag with space", "host/app@sha256:short", "host/app:1@md5:abc",
		"http://host/app:1", "user:password@host/app:1", "host/app:1\r\nX: y", "host/app?x=1:1", "host/app:" + strings.Repeat("x", 200), strings.Repeat("a/", 600) + "b",
		"host/app@sha256:" + strings.Repeat("G", 64), "host/app%2f..:1", "-flag", "host:port/app", "::/00", ":5000/app",
	} {
		_, err := c.Resolve(t.Context(), ref)
		require.ErrorIs(t, err, image.ErrInvalid, ref)
		assert.Less(t, len(err.Error()), 4000)
	}
}

// Whoever writes a login into a reference does not find it in the log of the build.
func TestClient_loginInReference(t *testing.T) {
	l := build(t, image.Files{"a": nil})
	c := client(t, nil)
	for _, ref := range []string{
		"u:hunter2@host/app:1", "https://u:hunter2@host/app:1", "u:hunter2@host:5000", "https://u:hunter2@host", "u:hunter2@host/app@sha256:" + strings.Repeat("0", 64),
	} {
		_, err := c.Push(t.Context(), l, []string{ref}, nil)
		_, err2 := c.Copy(t.Context(), "host/app:1", ref, nil)
		_, err3 := image.Build(t.Context(), image.Spec{Base: ref}, out(t), nil)
		for _, err := range []error{err, err2, err3} {
			require.ErrorIs(t, err, image.ErrInvalid, ref)
			require.ErrorContains(t, err, "Keychain")
			assert.NotContains(t, err.Error(), "hunter2")
		}
	}
	for _, ref := range []string{"host/app@latest", "app@sha256:short", "host/app:1@sha256:short"} {
		_, err := c.Resolve(t.Context(), ref)
		assert.ErrorContains(t, err, ref, "what is no login is repeated")
	}
}

func TestNew_invalid(t *testing.T) {
	_, err := image.New(&image.Options{Jobs: -1, Attempts: -1, TokenHosts: []string{"https://x"}})
	require.ErrorIs(t, err, image.ErrInvalid)
	for _, field := range []string{"Jobs", "Attempts", "TokenHosts"} {
		assert.ErrorContains(t, err, field)
	}
}

func TestLogin_doesNotPrint(t *testing.T) {
	l := image.Login{User: "u", Password: "hunter2", IdentityToken: "hunter3"}
	for _, x := range []any{l, &l, struct{ L image.Login }{l}, []image.Login{l}, map[string]image.Login{"k": l}} {
		for verb := range strings.FieldsSeq("%v %+v %#v %s %q %x %d %c %U %t") {
			s := fmt.Sprintf(verb, x)
			assert.NotContains(t, s, "hunter", verb)
			assert.NotContains(t, s, "68756e746572", verb)
		}
		j, err := json.Marshal(x)
		require.NoError(t, err)
		assert.NotContains(t, string(j), "hunter")
		var logs bytes.Buffer
		slog.New(slog.NewJSONHandler(&logs, nil)).Info("m", "login", x)
		slog.New(slog.NewTextHandler(&logs, nil)).Info("m", "login", x)
		assert.NotContains(t, logs.String(), "hunter")
	}
}
