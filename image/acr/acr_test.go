package acr_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/acr"
	"github.com/waybill-dev/waybill/image/imagetest"
)

const tenant, clientID = "tenant-1", "client-1"

func start(t *testing.T) *imagetest.Server {
	t.Helper()
	return imagetest.NewServer(t, &imagetest.Options{TLS: true, Azure: &imagetest.Azure{
		Tenant: tenant, ClientID: clientID, Secret: "hunter2", Assertion: "jwt-of-the-pod",
	}})
}

func secret(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

func TestKeychain_Login(t *testing.T) {
	reg := start(t)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("jwt-of-the-pod\n"), 0o600))
	stale := filepath.Join(t.TempDir(), "stale")
	require.NoError(t, os.WriteFile(stale, []byte("jwt-of-another"), 0o600))
	tests := []struct {
		name  string
		token func(context.Context) (string, error)
		want  error
	}{
		{"service principal", acr.ServicePrincipal{Tenant: tenant, ClientID: clientID, Secret: secret("hunter2"), Authority: reg.URL(), HTTPClient: reg.HTTPClient()}.Token, nil},
		{"managed identity", acr.ManagedIdentity{Endpoint: reg.URL(), HTTPClient: reg.HTTPClient()}.Token, nil},
		{"managed identity of the user", acr.ManagedIdentity{ClientID: clientID, Endpoint: reg.URL(), HTTPClient: reg.HTTPClient()}.Token, nil},
		{"workload identity", acr.WorkloadIdentity{Tenant: tenant, ClientID: clientID, TokenFile: file, Authority: reg.URL(), HTTPClient: reg.HTTPClient()}.Token, nil},
		{"wrong secret", acr.ServicePrincipal{Tenant: tenant, ClientID: clientID, Secret: secret("hunter3"), Authority: reg.URL(), HTTPClient: reg.HTTPClient()}.Token, image.ErrDenied},
		{"another pod", acr.WorkloadIdentity{Tenant: tenant, ClientID: clientID, TokenFile: stale, Authority: reg.URL(), HTTPClient: reg.HTTPClient()}.Token, image.ErrDenied},
		{"no token file", acr.WorkloadIdentity{Tenant: tenant, ClientID: clientID, TokenFile: "nowhere", Authority: reg.URL(), HTTPClient: reg.HTTPClient()}.Token, image.ErrDenied},
		{"unknown identity", acr.ManagedIdentity{ClientID: "other", Endpoint: reg.URL(), HTTPClient: reg.HTTPClient()}.Token, image.ErrDenied},
		{"token for something else", secret("nonsense"), image.ErrDenied},
	}
	l, err := image.Build(t.Context(), image.Spec{Layers: []image.Source{image.Files{"a": []byte("1")}}}, t.TempDir(), nil)
	require.NoError(t, err)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := acr.New(&acr.Options{Token: tt.token, Hosts: []string{reg.Host()}, HTTPClient: reg.HTTPClient()})
			require.NoError(t, err)
			c, err := image.New(&image.Options{Keychain: k, HTTPClient: reg.HTTPClient()})
			require.NoError(t, err)
			_, err = c.Push(t.Context(), l, []string{reg.Host() + "/app:1"}, nil)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.want)
			assert.NotContains(t, err.Error(), "hunter")
			assert.NotContains(t, err.Error(), "jwt-of")
		})
	}
}

func TestKeychain_Login_keepsTheLogin(t *testing.T) {
	reg := start(t)
	asked := 0
	identity := acr.ManagedIdentity{Endpoint: reg.URL(), HTTPClient: reg.HTTPClient()}
	k, err := acr.New(&acr.Options{Hosts: []string{reg.Host()}, HTTPClient: reg.HTTPClient(), Token: func(ctx context.Context) (string, error) {
		asked++
		return identity.Token(ctx)
	}})
	require.NoError(t, err)
	for range 3 {
		_, err := k.Login(t.Context(), reg.Host())
		require.NoError(t, err)
	}
	assert.Equal(t, 1, asked)
}

func TestKeychain_Login_survives(t *testing.T) {
	reg := start(t)
	reg.Fail(imagetest.Fault{Path: "/oauth2/exchange", Status: 503})
	reg.Fail(imagetest.Fault{Path: "/metadata/", Drop: true})
	k, err := acr.New(&acr.Options{
		Hosts: []string{reg.Host()}, HTTPClient: reg.HTTPClient(),
		Token: acr.ManagedIdentity{Endpoint: reg.URL(), HTTPClient: reg.HTTPClient()}.Token,
	})
	require.NoError(t, err)
	l, err := k.Login(t.Context(), reg.Host())
	require.NoError(t, err)
	assert.NotEmpty(t, l.IdentityToken)
}

func TestKeychain_Login_others(t *testing.T) {
	k, err := acr.New(&acr.Options{Token: func(context.Context) (string, error) {
		t.Error("the identity was asked for a registry that is not of Azure")
		return "", nil
	}})
	require.NoError(t, err)
	for _, host := range []string{"registry.example.com", "azurecr.io.example.com", "evilazurecr.io", "localhost:5000"} {
		l, err := k.Login(t.Context(), host)
		require.NoError(t, err)
		assert.Equal(t, image.Login{}, l)
	}
	_, err = acr.New(nil)
	require.ErrorIs(t, err, image.ErrInvalid)
}

// A slow identity service holds up nobody longer than they want to wait, and no other registry.
func TestKeychain_Login_patience(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	k, err := acr.New(&acr.Options{Token: func(context.Context) (string, error) {
		close(asked)
		<-release
		return "", errors.New("locked")
	}})
	require.NoError(t, err)
	first := make(chan error, 1)
	go func() {
		_, err := k.Login(context.Background(), "one.azurecr.io")
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = k.Login(ctx, "one.azurecr.io")
	require.ErrorIs(t, err, context.Canceled)
	close(release)
	require.ErrorContains(t, <-first, "locked")
}

// The metadata service is asked directly, whatever the environment says, as a proxy would read the token.
func TestManagedIdentity_Token_noProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the proxy was asked")
	}))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	for name, c := range map[string]*http.Client{"no client": nil, "client without transport": {Timeout: time.Minute}} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := acr.ManagedIdentity{Endpoint: "http://192.0.2.1", HTTPClient: c}.Token(ctx) // an address of nobody
		cancel()
		require.Error(t, err, name)
	}
}
