package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/secrets"
)

// A Login gets a token: one POST to an auth method's login path. The functions here make the common ones; any
// other method is a Path and a Body, such as
//
//	vault.Login{Path: "auth/userpass/login/me", Body: func(ctx context.Context) (map[string]any, error) { … }}
type Login struct {
	// Path below /v1/, such as auth/approle/login.
	Path string
	// Body is called for each login, so that credentials that rotate are read anew.
	Body func(ctx context.Context) (map[string]any, error)

	unwrap func(ctx context.Context) (string, error) // AppRole: where the wrapping token comes from
	token  func(ctx context.Context) (string, error) // no login at all
	keep   bool                                      // token: neither look up nor renew
}

// TokenOptions configures [Token].
type TokenOptions struct {
	// Untouched neither looks the token up nor renews it, for tokens with few uses or without the right.
	Untouched bool
}

// Token uses a token made by somebody else. get is called again when Vault no longer knows the token; if it
// returns the same one, that is [secrets.ErrUnauthenticated]. Such a token is renewed, but not revoked by Close.
func Token(get func(ctx context.Context) (string, error), o *TokenOptions) Login {
	return Login{token: get, keep: o != nil && o.Untouched}
}

// AppRoleOptions configures [AppRole].
type AppRoleOptions struct {
	// Mount of the auth method; empty means "approle".
	Mount string
	// Wrapped says that the function returns a response-wrapping token in place of the secret id. It works
	// for one login; later ones fail until the function returns a new wrapping token.
	Wrapped bool
}

// AppRole logs in with a role id and a secret id, the latter asked for at each login.
func AppRole(roleID string, secretID func(ctx context.Context) (string, error), o *AppRoleOptions) Login {
	if o == nil {
		o = &AppRoleOptions{}
	}
	l := Login{Path: loginPath(o.Mount, "approle")}
	if o.Wrapped {
		l.unwrap = secretID
		l.Body = func(context.Context) (map[string]any, error) { return map[string]any{"role_id": roleID}, nil }
		return l
	}
	l.Body = func(ctx context.Context) (map[string]any, error) {
		id, err := secretID(ctx)
		return map[string]any{"role_id": roleID, "secret_id": id}, err
	}
	return l
}

// KubernetesOptions configures [Kubernetes].
type KubernetesOptions struct {
	// Mount of the auth method; empty means "kubernetes".
	Mount string
	// TokenFile holds the service account's token, read anew at each login as the kubelet rotates it; empty
	// means /var/run/secrets/kubernetes.io/serviceaccount/token.
	TokenFile string
}

// Kubernetes logs in as the pod's service account.
func Kubernetes(role string, o *KubernetesOptions) Login {
	if o == nil {
		o = &KubernetesOptions{}
	}
	file := o.TokenFile
	if file == "" {
		file = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	}
	return jwtLogin(loginPath(o.Mount, "kubernetes"), role, func(context.Context) (string, error) {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		b, err := httpx.ReadAll(f, 64<<10, file)
		return strings.TrimSpace(string(b)), err
	})
}

// JWTOptions configures [JWT].
type JWTOptions struct {
	// Mount of the auth method; empty means "jwt".
	Mount string
}

// JWT logs in with a JSON web token that an identity provider signed, asked for at each login; see
// [AzureDevOpsToken] and [GitHubToken].
func JWT(role string, token func(ctx context.Context) (string, error), o *JWTOptions) Login {
	if o == nil {
		o = &JWTOptions{}
	}
	return jwtLogin(loginPath(o.Mount, "jwt"), role, token)
}

func jwtLogin(path, role string, token func(ctx context.Context) (string, error)) Login {
	return Login{Path: path, Body: func(ctx context.Context) (map[string]any, error) {
		jwt, err := token(ctx)
		return map[string]any{"role": role, "jwt": jwt}, err
	}}
}

func loginPath(mount, method string) string {
	if mount = strings.Trim(mount, "/"); mount == "" {
		mount = method
	}
	return "auth/" + mount + "/login"
}

// AzureDevOpsToken returns a function for [JWT] that asks Azure Pipelines for the ID token of a service
// connection. requestURI is the pipeline variable System.OidcRequestUri, accessToken gives
// System.AccessToken. hc may be nil.
func AzureDevOpsToken(requestURI, serviceConnection string, accessToken func(ctx context.Context) (string, error), hc *http.Client) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, requestURI, http.NoBody)
		if err != nil {
			return "", httpx.RedactError(err)
		}
		q := req.URL.Query()
		q.Set("api-version", "7.1")
		q.Set("serviceConnectionId", serviceConnection)
		req.URL.RawQuery = q.Encode()
		req.Header.Set("Content-Type", "application/json")
		var reply struct {
			Token string `json:"oidcToken"`
		}
		err = idToken(req, accessToken, hc, &reply)
		return nonEmpty(reply.Token, err)
	}
}

// GitHubToken returns a function for [JWT] that asks GitHub Actions for the job's ID token. requestURL and
// requestToken are the values of ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN; audience may be
// empty. hc may be nil.
func GitHubToken(requestURL, audience string, requestToken func(ctx context.Context) (string, error), hc *http.Client) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if requestURL == "" {
			return "", &secrets.Error{Op: "ask for an ID token", Kind: secrets.ErrInvalid, Err: errors.New("ACTIONS_ID_TOKEN_REQUEST_URL is empty; the job needs permissions: id-token: write")}
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, requestURL, http.NoBody)
		if err != nil {
			return "", httpx.RedactError(err)
		}
		if audience != "" {
			q := req.URL.Query()
			q.Set("audience", audience)
			req.URL.RawQuery = q.Encode()
		}
		var reply struct {
			Token string `json:"value"`
		}
		err = idToken(req, requestToken, hc, &reply)
		return nonEmpty(reply.Token, err)
	}
}

// idToken sends req with a bearer token, over https or to this machine only, and reads the JSON it returns.
func idToken(req *http.Request, bearer func(ctx context.Context) (string, error), hc *http.Client, into any) error {
	if req.URL.Scheme != "https" && !httpx.IsLoopback(req.URL.Host) {
		return &secrets.Error{Op: "ask for an ID token", Ref: httpx.RedactURL(req.URL), Kind: secrets.ErrInsecure, Err: errors.New("not https")}
	}
	token, err := bearer(req.Context())
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	resp, err := httpx.Client(hc).Do(req) //nolint:bodyclose // httpx.Drain does
	if err != nil {
		return httpx.RedactError(err)
	}
	defer httpx.Drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: status %d", req.Method, httpx.RedactURL(req.URL), resp.StatusCode)
	}
	return decode(resp.Body, httpx.RedactURL(req.URL), into)
}

func nonEmpty(token string, err error) (string, error) {
	if err == nil && token == "" {
		err = errors.New("the reply holds no token")
	}
	return token, err
}
