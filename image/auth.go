package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
)

// Keychain finds the login for a registry. It is asked at each login, so that a secret may change while the
// client lives.
type Keychain interface {
	// Login returns the login for a registry, by its host and port as written in references ("index.docker.io"
	// for Docker Hub). The zero Login means that there is none, and access is anonymous.
	Login(ctx context.Context, registry string) (Login, error)
}

// Login is what a registry wants to know. Set either User and Password, or IdentityToken.
type Login struct {
	User     string
	Password string

	// IdentityToken is an OAuth 2 refresh token, as some credential helpers return it.
	IdentityToken string
}

// String hides the secrets.
func (l Login) String() string { return fmt.Sprintf("login of %q", l.User) }

// Format hides the secrets, whatever the verb.
func (l Login) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, l.String()) }

// MarshalText hides the secrets from encoders and structured logs.
func (l Login) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Logins is a [Keychain] of functions by exact host and port, called at each login. Static fits a fixed
// password, a function that asks a secret store fits one that changes.
type Logins map[string]func(ctx context.Context) (Login, error)

// Login calls the function for the registry.
func (m Logins) Login(ctx context.Context, registry string) (Login, error) {
	f := m[registry]
	if f == nil && registry == "index.docker.io" {
		f = m["docker.io"]
	}
	if f == nil {
		return Login{}, nil
	}
	return f(ctx)
}

// Static is a login that does not change.
func Static(user, password string) func(context.Context) (Login, error) {
	return func(context.Context) (Login, error) { return Login{User: user, Password: password}, nil }
}

// Password is a login with a fixed user and a password that is fetched at each login.
func Password(user string, password func(context.Context) (string, error)) func(context.Context) (Login, error) {
	return func(ctx context.Context) (Login, error) {
		p, err := password(ctx)
		return Login{User: user, Password: p}, err
	}
}

// Keychains asks one keychain after the other and takes the first login there is.
func Keychains(all ...Keychain) Keychain { return keychains(all) }

type keychains []Keychain

func (ks keychains) Login(ctx context.Context, registry string) (Login, error) {
	for _, k := range ks {
		if l, err := k.Login(ctx, registry); err != nil || l != (Login{}) {
			return l, err
		}
	}
	return Login{}, nil
}

// authState is what a registry has asked for and what it was given. It is guarded by host.mu, which is
// never held while a server is asked.
type authState struct {
	known     bool
	challenge challenge
	basic     string           // header value
	tokens    map[string]token // by joined scopes
}

type token struct {
	header  string
	expires time.Time
}

// challenge is a WWW-Authenticate header.
type challenge struct {
	scheme string // "basic" or "bearer"
	params map[string]string
}

// authorization is the header for a request: empty until the registry has asked for one.
func (h *host) authorization(ctx context.Context, scopes []string) (string, error) {
	h.mu.Lock()
	known := h.auth.known
	h.mu.Unlock()
	if !known {
		return "", nil
	}
	return h.authorize(ctx, scopes)
}

// login makes a new header after a 401. When another request has renewed it meanwhile, that one is taken.
func (h *host) login(ctx context.Context, scopes, headers []string, refused string) (string, error) {
	ch, err := parseChallenges(headers)
	if err != nil {
		return "", fail(ErrDenied, "%s: %w", h.endpoint, err)
	}
	key := strings.Join(scopes, " ")
	h.mu.Lock()
	h.auth.known, h.auth.challenge = true, ch
	if refused != "" && h.auth.tokens[key].header == refused {
		delete(h.auth.tokens, key)
	}
	if refused != "" && h.auth.basic == refused {
		h.auth.basic = ""
	}
	h.mu.Unlock()
	header, err := h.authorize(ctx, scopes)
	if err == nil && header == "" {
		return "", fail(ErrDenied, "%s wants a login and there is none for it", h.name)
	}
	return header, err
}

// tokenSlack is how long before its end a token is renewed, so that it does not end on the way.
const tokenSlack = 10 * time.Second

type authLock struct{ endpoint, scopes string }

// authorize answers the challenge with what is there, or fetches it. Who needs the same waits, as long as its
// context allows.
func (h *host) authorize(ctx context.Context, scopes []string) (string, error) {
	key := strings.Join(scopes, " ")
	unlock, err := h.client.lock(ctx, authLock{h.endpoint, key})
	if err != nil {
		return "", err
	}
	defer unlock()
	h.mu.Lock()
	ch, basic, t := h.auth.challenge, h.auth.basic, h.auth.tokens[key]
	h.mu.Unlock()
	if ch.scheme == "basic" {
		if basic != "" {
			return basic, nil
		}
		l, err := h.credentials(ctx)
		if err != nil || l.User == "" {
			return "", err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.auth.basic = basicHeader(l)
		return h.auth.basic, nil
	}
	if time.Until(t.expires) > tokenSlack {
		return t.header, nil
	}
	if t, err = h.fetchToken(ctx, ch, scopes); err != nil {
		return "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.auth.tokens[key] = t
	return t.header, nil
}

func basicHeader(l Login) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(l.User+":"+l.Password))
}

func (h *host) credentials(ctx context.Context) (Login, error) {
	if h.client.opts.Keychain == nil {
		return Login{}, nil
	}
	l, err := h.client.opts.Keychain.Login(ctx, h.name)
	if err == nil {
		return l, nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return Login{}, e // a keychain of this module has classified it
	}
	if ctx.Err() != nil {
		return Login{}, ctx.Err()
	}
	return Login{}, fail(ErrDenied, "login for %s: %w", h.name, err)
}

// fetchToken asks the token server that the registry named.
func (h *host) fetchToken(ctx context.Context, ch challenge, scopes []string) (token, error) {
	realm, err := h.realm(ctx, ch)
	if err != nil {
		return token{}, err
	}
	l, err := h.credentials(ctx)
	if err != nil {
		return token{}, err
	}
	var t token
	err = retry.Do(ctx, h.client.retry, func(ctx context.Context, _ int) error {
		t, err = h.askToken(ctx, realm, l, ch.params["service"], scopes)
		return err
	})
	if l == (Login{}) && errors.Is(err, ErrDenied) {
		return t, fail(ErrDenied, "%s wants a login and there is none for it: %w", h.name, err)
	}
	return t, err
}

// realm is where tokens are, if it is a place that may see the login.
func (h *host) realm(ctx context.Context, ch challenge) (*url.URL, error) {
	realm, err := url.Parse(ch.params["realm"])
	if err != nil || realm.Host == "" || realm.User != nil {
		return nil, fail(ErrRegistry, "%s names an unusable token server", h.endpoint)
	}
	here := &url.URL{Scheme: h.currentScheme(), Host: h.endpoint}
	if realm, err = h.hop(ctx, here, realm.String()); err != nil {
		return nil, err
	}
	if realm.Host != h.endpoint && !relatedHosts(realm.Hostname(), here.Hostname()) &&
		!slices.Contains(h.client.opts.TokenHosts, realm.Host) && !slices.Contains(h.client.opts.TokenHosts, realm.Hostname()) {
		return nil, fail(ErrDenied, "%s sends to %s for a token, which is not below the same domain; list it in Options.TokenHosts if it may see the login", h.endpoint, realm.Host)
	}
	return realm, nil
}

// relatedHosts reports whether two names share a parent domain of at least two labels, or one is the
// other's parent. Addresses are related to nothing.
func relatedHosts(a, b string) bool {
	if net.ParseIP(a) != nil || net.ParseIP(b) != nil {
		return false
	}
	parent := func(s string) string {
		if _, rest, ok := strings.Cut(s, "."); ok && strings.Contains(rest, ".") {
			return rest
		}
		return s
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	return strings.Contains(a, ".") && (parent(a) == parent(b) || parent(a) == b || a == parent(b))
}

func (h *host) askToken(ctx context.Context, realm *url.URL, l Login, service string, scopes []string) (token, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	asked := time.Now()
	params := url.Values{"scope": scopes}
	if service != "" {
		params.Set("service", service)
	}
	req, err := tokenRequest(h.restrict(ctx, realm), realm, l, params)
	if err != nil {
		return token{}, fail(ErrRegistry, "%w", httpx.RedactError(err))
	}
	resp, err := h.client.http.Do(req)
	if err != nil {
		return token{}, h.failure(ctx, req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return token{}, h.refusal(request{method: req.Method}, resp)
	}
	body, err := httpx.ReadAll(resp.Body, 256<<10, "token reply of "+realm.Host)
	if err != nil {
		return token{}, fail(ErrRegistry, "%w", err)
	}
	var reply struct {
		Token       string
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return token{}, fail(ErrRegistry, "token reply of %s is no JSON object", realm.Host) // the cause may quote a token
	}
	if reply.Token == "" {
		reply.Token = reply.AccessToken
	}
	if reply.Token == "" || strings.ContainsAny(reply.Token, " \r\n") {
		return token{}, fail(ErrRegistry, "token reply of %s holds no usable token", realm.Host)
	}
	if reply.ExpiresIn <= 0 {
		reply.ExpiresIn = 60 // what the token specification says of a reply without it
	}
	lifetime := time.Duration(min(reply.ExpiresIn, 24*3600)) * time.Second
	return token{header: "Bearer " + reply.Token, expires: asked.Add(lifetime)}, nil
}

// tokenRequest is a GET with the login in the header, or for an identity token the OAuth 2 form.
func tokenRequest(ctx context.Context, realm *url.URL, l Login, params url.Values) (*http.Request, error) {
	if l.IdentityToken != "" {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {l.IdentityToken}, "client_id": {userAgent},
			"service": params["service"], "scope": {strings.Join(params["scope"], " ")},
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return req, err
	}
	u := *realm
	query := u.Query()
	maps.Copy(query, params)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err == nil && l.User != "" {
		req.SetBasicAuth(l.User, l.Password)
	}
	return req, err
}

// parseChallenges picks the challenge to answer: bearer before basic.
func parseChallenges(headers []string) (challenge, error) {
	var found []challenge
	for _, header := range headers {
		found = append(found, parseChallenge(header))
	}
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range found {
			if c.scheme == scheme {
				return c, nil
			}
		}
	}
	return challenge{}, errors.New("wants a login and does not say which kind (no Basic or Bearer challenge)")
}

// parseChallenge reads `Scheme key="value",key=value`.
func parseChallenge(header string) challenge {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	c := challenge{scheme: strings.ToLower(scheme), params: map[string]string{}}
	for rest = strings.TrimLeft(rest, " ,"); rest != ""; rest = strings.TrimLeft(rest, " ,") {
		key, value, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		key = strings.ToLower(strings.TrimSpace(key))
		if quoted, isQuoted := strings.CutPrefix(value, `"`); isQuoted {
			c.params[key], rest = unquote(quoted)
		} else {
			c.params[key], rest, _ = strings.Cut(value, ",")
		}
	}
	return c
}

// unquote reads up to the closing quote and returns what is left behind it.
func unquote(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
