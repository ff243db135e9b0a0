// Package acr is the login for Azure Container Registry with an identity of Microsoft Entra ID: a service
// principal, a managed identity or a workload identity. It speaks the three requests that takes itself and
// needs no Azure SDK.
//
//	keychain, err := acr.New(&acr.Options{Token: acr.WorkloadIdentity{Tenant: t, ClientID: id, TokenFile: f}.Token})
//	client, err := image.New(&image.Options{Keychain: image.Keychains(image.DockerConfigFromEnv(), keychain)})
//
// # Errors
//
// Login returns [*image.Error] of kind [image.ErrDenied] when an identity or its access is refused, and of
// kind [image.ErrUnavailable] when the identity service cannot be reached after all tries. Messages hold no
// token and no secret.
package acr

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/internal/flight"
	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
)

// Options are the options of [New].
type Options struct {
	// Token returns an access token of Entra ID for Azure Container Registry: one of [ServicePrincipal],
	// [ManagedIdentity], [WorkloadIdentity], or a function of your own. Required.
	Token func(ctx context.Context) (string, error)

	Tenant string // of the registry; only needed when the identity is of several tenants

	// Hosts are registries beside *.azurecr.io, *.azurecr.cn and *.azurecr.us, by exact host and port.
	Hosts []string

	HTTPClient        *http.Client // nil means one with a bound on each phase
	AllowInsecureHTTP bool         // exchange over plain HTTP, for Hosts on a loopback address
}

// Keychain is an [image.Keychain] for Azure Container Registry. A login is kept until shortly before it ends.
type Keychain struct {
	opts      Options
	http      *http.Client
	exchanges flight.Group[string, login]

	mu     sync.Mutex
	logins map[string]login
}

type login struct {
	refresh string
	expires time.Time
}

// New returns a keychain. It does no I/O. It fails with [image.ErrInvalid] when the Token function is missing.
func New(o *Options) (*Keychain, error) {
	if o == nil || o.Token == nil {
		return nil, &image.Error{Op: "acr", Kind: image.ErrInvalid, Err: errors.New("option Token is required")}
	}
	return &Keychain{opts: *o, http: httpx.Client(o.HTTPClient), logins: map[string]login{}}, nil
}

// slack is how long before its end a login is renewed.
const slack = 5 * time.Minute

// Login exchanges the identity's token for a login of the registry. For hosts that are not of Azure it returns
// no login and asks nobody.
func (k *Keychain) Login(ctx context.Context, registry string) (image.Login, error) {
	if !k.covers(registry) {
		return image.Login{}, nil
	}
	l, err := k.exchanges.Do(ctx, registry, func(ctx context.Context) (login, error) {
		k.mu.Lock()
		l, ok := k.logins[registry]
		k.mu.Unlock()
		if ok && time.Until(l.expires) > slack {
			return l, nil
		}
		l, err := k.exchange(ctx, registry)
		if err == nil {
			k.mu.Lock()
			k.logins[registry] = l
			k.mu.Unlock()
		}
		return l, err
	})
	if err != nil {
		return image.Login{}, wrap(registry, err)
	}
	return image.Login{IdentityToken: l.refresh}, nil
}

func (k *Keychain) covers(registry string) bool {
	for _, suffix := range []string{".azurecr.io", ".azurecr.cn", ".azurecr.us"} {
		if strings.HasSuffix(registry, suffix) {
			return true
		}
	}
	return slices.Contains(k.opts.Hosts, registry)
}

func (k *Keychain) exchange(ctx context.Context, registry string) (login, error) {
	access, err := k.opts.Token(ctx)
	if err != nil {
		return login{}, err
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {registry}, "access_token": {access}}
	if k.opts.Tenant != "" {
		form.Set("tenant", k.opts.Tenant)
	}
	scheme := "https"
	if k.opts.AllowInsecureHTTP && httpx.IsLoopback(registry) {
		scheme = "http"
	}
	reply, err := ask(ctx, k.http, func(ctx context.Context) (*http.Request, error) {
		return postForm(ctx, scheme+"://"+registry+"/oauth2/exchange", form)
	})
	if err != nil {
		return login{}, err
	}
	if reply.RefreshToken == "" {
		return login{}, &failure{image.ErrRegistry, errors.New("the exchange returned no refresh token")}
	}
	return login{reply.RefreshToken, expiry(reply.RefreshToken)}, nil
}

// expiry reads the end of a token from its claims; they are not verified, as the registry does that. A token
// that does not say is taken for an hour.
func expiry(token string) time.Time {
	parts := strings.Split(token, ".")
	var claims struct{ Exp int64 }
	if len(parts) == 3 {
		if raw, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(raw, &claims) == nil && claims.Exp > 0 {
			return time.Unix(claims.Exp, 0)
		}
	}
	return time.Now().Add(time.Hour)
}

// scope is what an access token is for; resource is the same for the older interface of managed identities.
const (
	resource = "https://containerregistry.azure.net/"
	scope    = resource + ".default"
)

// defaultAuthority is Entra ID of the public cloud.
const defaultAuthority = "https://login.microsoftonline.com"

// ServicePrincipal is an application with a client secret.
type ServicePrincipal struct {
	Tenant     string
	ClientID   string
	Secret     func(ctx context.Context) (string, error) // fetched at each login
	Authority  string                                    // empty means the public cloud's, https://login.microsoftonline.com
	HTTPClient *http.Client
}

// Token gets an access token. It is a function for [Options].
func (p ServicePrincipal) Token(ctx context.Context) (string, error) {
	secret, err := p.Secret(ctx)
	if err != nil {
		return "", err
	}
	return clientCredentials(ctx, p.HTTPClient, p.Authority, p.Tenant, url.Values{"client_id": {p.ClientID}, "client_secret": {secret}})
}

// WorkloadIdentity is a Kubernetes service account, or another identity with a token in a file, that Entra ID
// has been told to trust.
type WorkloadIdentity struct {
	Tenant     string
	ClientID   string
	TokenFile  string // read at each login, as its token changes
	Authority  string // empty means the public cloud's
	HTTPClient *http.Client
}

// WorkloadIdentityFromEnv is the identity that the workload identity webhook describes in AZURE_TENANT_ID,
// AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE and AZURE_AUTHORITY_HOST.
func WorkloadIdentityFromEnv() WorkloadIdentity {
	//nolint:forbidigo // a FromEnv function
	return WorkloadIdentity{
		Tenant: os.Getenv("AZURE_TENANT_ID"), ClientID: os.Getenv("AZURE_CLIENT_ID"),
		TokenFile: os.Getenv("AZURE_FEDERATED_TOKEN_FILE"), Authority: os.Getenv("AZURE_AUTHORITY_HOST"),
	}
}

// Token gets an access token. It is a function for [Options].
func (w WorkloadIdentity) Token(ctx context.Context) (string, error) {
	f, err := os.Open(w.TokenFile)
	if err != nil {
		return "", &failure{image.ErrDenied, fmt.Errorf("token of the workload identity: %w", err)}
	}
	defer f.Close()
	assertion, err := httpx.ReadAll(f, 64<<10, w.TokenFile)
	if err != nil {
		return "", err
	}
	return clientCredentials(ctx, w.HTTPClient, w.Authority, w.Tenant, url.Values{
		"client_id":             {w.ClientID},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {strings.TrimSpace(string(assertion))},
	})
}

func clientCredentials(ctx context.Context, c *http.Client, authority, tenant string, form url.Values) (string, error) {
	if authority == "" {
		authority = defaultAuthority
	}
	form.Set("grant_type", "client_credentials")
	form.Set("scope", scope)
	endpoint := strings.TrimSuffix(authority, "/") + "/" + url.PathEscape(tenant) + "/oauth2/v2.0/token"
	return accessToken(ctx, c, func(ctx context.Context) (*http.Request, error) { return postForm(ctx, endpoint, form) })
}

// ManagedIdentity is the identity of the virtual machine or pod that this runs on, asked of the instance
// metadata service.
type ManagedIdentity struct {
	ClientID   string       // of a user-assigned identity; empty means the system-assigned one
	Endpoint   string       // empty means http://169.254.169.254
	HTTPClient *http.Client // nil means one that uses no proxy
}

// Token gets an access token. It is a function for [Options].
func (m ManagedIdentity) Token(ctx context.Context) (string, error) {
	endpoint := m.Endpoint
	if endpoint == "" {
		endpoint = "http://169.254.169.254"
	}
	query := url.Values{"api-version": {"2018-02-01"}, "resource": {resource}}
	if m.ClientID != "" {
		query.Set("client_id", m.ClientID)
	}
	return accessToken(ctx, direct(m.HTTPClient), func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/metadata/identity/oauth2/token?"+query.Encode(), nil)
		if err == nil {
			req.Header.Set("Metadata", "true")
		}
		return req, err
	})
}

// direct is c, or a client that asks no proxy: the metadata service answers this machine only, and a proxy
// would read the token.
func direct(c *http.Client) *http.Client {
	if c != nil && c.Transport != nil {
		return c
	}
	t := httpx.Transport()
	t.Proxy = nil
	own := http.Client{}
	if c != nil {
		own = *c
	}
	own.Transport = t
	return &own
}

func accessToken(ctx context.Context, c *http.Client, request func(context.Context) (*http.Request, error)) (string, error) {
	reply, err := ask(ctx, httpx.Client(c), request)
	if err == nil && reply.AccessToken == "" {
		err = &failure{image.ErrDenied, errors.New("the identity service returned no access token")}
	}
	if err != nil {
		return "", err
	}
	return reply.AccessToken, nil
}

func postForm(ctx context.Context, endpoint string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, err
}

// tokens is what the identity service and the exchange answer.
type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Error        string `json:"error"` // an OAuth 2 error code
}

// ask sends a request, again while that may help.
func ask(ctx context.Context, c *http.Client, request func(context.Context) (*http.Request, error)) (*tokens, error) {
	var got *tokens
	err := retry.Do(ctx, retry.Policy{}, func(ctx context.Context, _ int) (err error) {
		got, err = askOnce(ctx, c, request)
		return err
	})
	return got, err
}

func askOnce(ctx context.Context, c *http.Client, request func(context.Context) (*http.Request, error)) (*tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := request(ctx)
	if err != nil {
		return nil, &failure{image.ErrInvalid, httpx.RedactError(err)}
	}
	where := req.Method + " " + httpx.RedactURL(req.URL)
	resp, err := c.Do(req)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, httpx.RedactError(err)
		}
		return nil, retry.Again(&failure{image.ErrUnavailable, httpx.RedactError(err)})
	}
	defer resp.Body.Close()
	body, err := httpx.ReadAll(resp.Body, 256<<10, "reply of "+where)
	if err != nil {
		return nil, retry.Again(&failure{image.ErrUnavailable, err})
	}
	var reply tokens
	decodeErr := json.Unmarshal(body, &reply)
	switch {
	case httpx.RetryableStatus(resp.StatusCode):
		after, _ := httpx.RetryAfter(resp.Header, time.Now())
		return nil, retry.AgainAfter(&failure{image.ErrUnavailable, fmt.Errorf("%s: status %d", where, resp.StatusCode)}, after)
	case resp.StatusCode != http.StatusOK:
		return nil, &failure{image.ErrDenied, fmt.Errorf("%s: status %d %.100s", where, resp.StatusCode, reply.Error)}
	case decodeErr != nil:
		return nil, &failure{image.ErrRegistry, fmt.Errorf("%s: the reply is no JSON object", where)} // the cause may quote a token
	}
	return &reply, nil
}

// failure carries a kind up to Login, which makes one [*image.Error] of it.
type failure struct{ kind, err error }

func (f *failure) Error() string   { return f.err.Error() }
func (f *failure) Unwrap() []error { return []error{f.kind, f.err} }

func wrap(registry string, err error) error {
	e := &image.Error{Op: "acr login", Ref: registry, Err: err}
	if f, ok := errors.AsType[*failure](err); ok {
		e.Kind, e.Err = f.kind, f.err
	}
	return e
}
