package argocd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
)

// Options of a [Client] over REST.
type Options struct {
	// Token returns the bearer token: an account's API key or a session's. It is called for every request,
	// and once more when the server calls a token invalid. nil sends none.
	Token func(ctx context.Context) (string, error)

	// Project of the applications, "" for "default".
	Project string

	// AllowInsecureHTTP permits http:// to other hosts than this one. The token travels in the clear.
	AllowInsecureHTTP bool

	// HTTPClient is used for all requests: its transport holds the certificate authorities and the proxy.
	// Its Timeout must be zero, as it would cut streams. nil is a client with bounds on each phase of a
	// request.
	HTTPClient *http.Client

	// RequestTimeout bounds a single request, a refresh included; 0 for 30 s.
	RequestTimeout time.Duration
}

// New returns a client of the Argo CD at server, such as "https://argocd.example.com" or, below a root path,
// "https://example.com/argocd". It sends nothing yet.
func New(server string, o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	u, err := url.Parse(server)
	var errs []error
	switch {
	case err != nil:
		errs = append(errs, field("server", "not a URL"))
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		errs = append(errs, field("server", "%q is not an http or https URL with a host", httpx.RedactURL(u)))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		errs = append(errs, field("server", "the URL must not have user, query or fragment; a token goes into Options.Token"))
	case u.Scheme == "http" && !o.AllowInsecureHTTP && !httpx.IsLoopback(u.Host):
		errs = append(errs, field("server", "%s is plain HTTP; use https, or set Options.AllowInsecureHTTP", httpx.RedactURL(u)))
	}
	if o.HTTPClient != nil && o.HTTPClient.Timeout != 0 {
		errs = append(errs, field("HTTPClient", "its Timeout would cut streams; use RequestTimeout"))
	}
	if o.RequestTimeout < 0 {
		errs = append(errs, field("RequestTimeout", "negative"))
	}
	if o.Project != "" && !dnsName.MatchString(o.Project) {
		errs = append(errs, field("Project", "%q is not the name of a project", o.Project))
	}
	if err := invalid(errs...); err != nil {
		return nil, wrap("new", "", err)
	}
	api := &rest{base: strings.TrimSuffix(u.String(), "/") + "/api/v1", http: httpx.ClientFor(o.HTTPClient, o.RequestTimeout), token: o.Token}
	return NewFromAPI(api, o.Project, o.RequestTimeout), nil
}

// Bounds on what is read from the server.
const (
	maxReply  = 64 << 20 // bytes of one reply; an application with thousands of resources has a few MB
	maxEvent  = 16 << 20 // bytes of one message of a stream
	maxRefuse = 64 << 10 // bytes of a refusal
	maxText   = 2000     // bytes of a refusal's text that are kept
)

// rest is the [API] over REST.
type rest struct {
	base  string
	http  *http.Client
	token func(context.Context) (string, error)
}

func (c *rest) Get(ctx context.Context, r Ref, refresh RefreshMode) (*Application, error) {
	q := r.query()
	if refresh != NoRefresh {
		q.Set("refresh", string(refresh))
	}
	a := &Application{}
	return a, c.call(ctx, http.MethodGet, r.path(""), q, nil, a)
}

func (c *rest) Resources(ctx context.Context, r Ref) ([]Node, error) {
	var tree struct {
		Nodes []Node `json:"nodes"`
	}
	err := c.call(ctx, http.MethodGet, r.path("/resource-tree"), r.query(), nil, &tree)
	return tree.Nodes, err
}

func (c *rest) Managed(ctx context.Context, r Ref) ([]string, error) {
	var reply struct {
		Items []struct {
			LiveState string `json:"liveState"`
		} `json:"items"`
	}
	if err := c.call(ctx, http.MethodGet, r.path("/managed-resources"), r.query(), nil, &reply); err != nil {
		return nil, err
	}
	live := make([]string, len(reply.Items))
	for i, item := range reply.Items {
		live[i] = item.LiveState
	}
	return live, nil
}

func (c *rest) Sync(ctx context.Context, r Ref, req SyncRequest) (*Application, error) {
	body := struct {
		SyncRequest
		identity
	}{req, r.identity()}
	a := &Application{}
	return a, c.call(ctx, http.MethodPost, r.path("/sync"), nil, body, a)
}

func (c *rest) Rollback(ctx context.Context, r Ref, req RollbackRequest) (*Application, error) {
	body := struct {
		RollbackRequest
		identity
	}{req, r.identity()}
	a := &Application{}
	return a, c.call(ctx, http.MethodPost, r.path("/rollback"), nil, body, a)
}

func (c *rest) Terminate(ctx context.Context, r Ref) error {
	return c.call(ctx, http.MethodDelete, r.path("/operation"), r.query(), nil, nil)
}

func (c *rest) Watch(ctx context.Context, r Ref, f func(Event)) error {
	q := r.query()
	q.Set("name", r.Name)
	q["projects"] = []string{r.Project} // the one place where the parameter has another name
	resp, err := c.send(ctx, http.MethodGet, "/stream/applications", q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// One JSON object a line. The limit is set anew for each, so that it bounds a message and not the stream.
	limited := &io.LimitedReader{R: resp.Body, N: maxEvent}
	dec := json.NewDecoder(limited)
	for {
		var line struct {
			Result *Event    `json:"result"`
			Error  *apiError `json:"error"`
		}
		if err := dec.Decode(&line); err != nil {
			if limited.N <= 0 {
				return replyError(&httpx.TooLargeError{What: "event of the application stream", Limit: maxEvent})
			}
			return fmt.Errorf("application stream: %w", httpx.RedactError(err))
		}
		limited.N = maxEvent
		switch {
		case line.Error != nil:
			return line.Error.status(resp.StatusCode)
		case line.Result != nil:
			f(*line.Result)
		}
	}
}

// identity is how a body names the application.
type identity struct {
	AppNamespace string `json:"appNamespace,omitempty"`
	Project      string `json:"project"`
}

func (r Ref) identity() identity { return identity{r.Namespace, r.Project} }

func (r Ref) query() url.Values {
	q := url.Values{"project": {r.Project}}
	if r.Namespace != "" {
		q.Set("appNamespace", r.Namespace)
	}
	return q
}

func (r Ref) path(below string) string { return "/applications/" + url.PathEscape(r.Name) + below }

// call sends a request and decodes the reply into out, unless that is nil.
func (c *rest) call(ctx context.Context, method, path string, q url.Values, in, out any) error {
	resp, err := c.send(ctx, method, path, q, in) //nolint:bodyclose // Drain closes it
	if err != nil {
		return err
	}
	defer httpx.Drain(resp.Body)
	what := "reply of " + method + " " + path
	b, err := httpx.ReadAll(resp.Body, maxReply, what)
	if tooLarge, ok := errors.AsType[*httpx.TooLargeError](err); ok {
		return replyError(tooLarge)
	}
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return replyError(fmt.Errorf("%s: %w", what, err))
	}
	return nil
}

// send returns a reply with status 200, or an error. An invalid token is asked for once more: it may have
// been rotated since.
func (c *rest) send(ctx context.Context, method, path string, q url.Values, in any) (*http.Response, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	for again := false; ; again = true {
		token, err := c.bearer(ctx)
		if err != nil {
			return nil, err
		}
		resp, err := c.once(ctx, method, path, q, body, token)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusOK {
			return resp, nil
		}
		refused := refusal(resp)
		if resp.StatusCode != http.StatusUnauthorized || again || c.token == nil {
			return nil, refused
		}
	}
}

func (c *rest) bearer(ctx context.Context) (string, error) {
	if c.token == nil {
		return "", nil
	}
	token, err := c.token(ctx)
	if err != nil {
		return "", &kindError{ErrDenied, fmt.Errorf("getting the token: %w", err)}
	}
	return token, nil
}

func (c *rest) once(ctx context.Context, method, path string, q url.Values, body []byte, token string) (*http.Response, error) {
	target := c.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, httpx.RedactError(err)
	}
	req.Header.Set("Accept", "application/json")
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json") // without it the answer is 415, for DELETE too
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, httpx.RedactError(err)
	}
	return resp, nil
}

// apiError is a refusal as the gateway writes it: in replies with code and message, in streams with
// grpc_code and http_code.
type apiError struct {
	Code     Code   `json:"code"`
	GRPCCode Code   `json:"grpc_code"`
	HTTPCode int    `json:"http_code"`
	Message  string `json:"message"`
}

func (e *apiError) status(status int) *StatusError {
	s := &StatusError{Code: max(e.Code, e.GRPCCode), HTTP: max(status, e.HTTPCode), Message: cut(e.Message)}
	if s.Code == 0 {
		s.Code = codeOf(s.HTTP)
	}
	return s
}

// refusal reads a reply that is not 200 and closes it. Proxies answer in their own words, so only JSON is
// quoted.
func refusal(resp *http.Response) *StatusError {
	defer httpx.Drain(resp.Body)
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefuse))
	s := &StatusError{Code: codeOf(resp.StatusCode), HTTP: resp.StatusCode}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "application/json" {
		s.Message = fmt.Sprintf("a reply of type %q, so probably not from Argo CD", kind)
		return s
	}
	var flat apiError
	if json.Unmarshal(b, &flat) == nil && flat.Message != "" {
		return flat.status(resp.StatusCode)
	}
	var nested struct {
		Error apiError `json:"error"`
	}
	if json.Unmarshal(b, &nested) == nil && nested.Error.Message != "" {
		return nested.Error.status(resp.StatusCode)
	}
	s.Message = "no message"
	return s
}

func codeOf(status int) Code {
	switch {
	case status == http.StatusUnauthorized:
		return CodeUnauthenticated
	case status == http.StatusForbidden:
		return CodePermissionDenied
	case status == http.StatusNotFound:
		return CodeNotFound
	case httpx.RetryableStatus(status) || status >= 500:
		return CodeUnavailable
	}
	return CodeInvalidArgument
}

func replyError(err error) error { return &kindError{ErrReply, err} }

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
