package vault

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
	"github.com/waybill-dev/waybill/secrets"
)

// request is one call of the HTTP API.
type request struct {
	op, ref string // for errors
	method  string
	path    string // below /v1/
	query   url.Values
	body    any
	token   secrets.Value
	root    bool // without the namespace
	effect  bool // has one that must not happen twice
	once    bool // is not repeated: the caller does that
}

// send performs r, again while Vault asks for patience, and returns the reply. The reply is nil for one without
// a body, and set beside an error where Vault sends both.
func (c *Client) send(ctx context.Context, r request) (*api.Secret, error) {
	var reply *api.Secret
	policy := c.retry
	if r.once {
		policy.Attempts = 1
	}
	err := retry.Do(ctx, policy, func(ctx context.Context, _ int) error {
		var err error
		reply, err = c.try(ctx, r)
		return err
	})
	if err == nil {
		return reply, nil
	}
	if e, last := err.(*secrets.Error); last { //nolint:errorlint // what try returned, not something around it
		return reply, e
	}
	// Patience ended in a pause: err joins the last failure and the context's.
	e := secrets.Error{Op: r.op, Ref: r.ref}
	if last, ok := errors.AsType[*secrets.Error](err); ok {
		e = *last
	}
	ended := ctx.Err()
	if ended == nil {
		ended = context.DeadlineExceeded // it would pass during the pause
	}
	e.Err = &endedError{last: e.Err, ctx: ended}
	return reply, &e
}

// endedError is the last failure before a context ended.
type endedError struct{ last, ctx error }

func (e *endedError) Error() string   { return fmt.Sprintf("%v (no further try: %v)", e.last, e.ctx) }
func (e *endedError) Unwrap() []error { return []error{e.last, e.ctx} }

func (c *Client) try(ctx context.Context, r request) (*api.Secret, error) {
	a := c.api
	if r.root {
		a = c.plain
	}
	req := a.NewRequest(r.method, "/v1/"+r.path)
	if r.query != nil {
		req.Params = r.query
	}
	req.ClientToken = r.token.Expose()
	if r.body != nil {
		if err := req.SetJSONBody(r.body); err != nil {
			return nil, &secrets.Error{Op: r.op, Ref: r.ref, Kind: secrets.ErrInvalid, Err: errors.New("the data cannot be written as JSON")}
		}
	}
	if r.effect {
		c.http.CloseIdleConnections() // it is not sent again when an old connection turns out to be dead
		ctx = context.WithValue(ctx, noReplay{}, true)
	}
	tryCtx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	resp, err := a.RawRequestWithContext(tryCtx, req) //nolint:staticcheck // the only call that shows status and headers
	var reply *api.Secret
	if resp != nil && resp.Body != nil {
		defer httpx.Drain(resp.Body)
		var parseErr error
		if reply, parseErr = parse(resp); err == nil {
			err = parseErr
		}
	}
	if err == nil {
		return reply, nil
	}
	e := c.classify(r, resp, reply, err)
	if ctx.Err() == nil && e.Retryable() && (!r.effect || untouched(e, resp, err)) {
		return reply, retry.AgainAfter(e, e.After)
	}
	return reply, e
}

// parse reads the reply, also of an error: Vault says there what became of a deleted version.
func parse(resp *api.Response) (*api.Secret, error) {
	if resp.StatusCode == http.StatusNoContent {
		return nil, nil //nolint:nilnil // no body is what 204 means
	}
	s, err := api.ParseSecret(resp.Body)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &typ) { // both quote what they read
		err = errNotJSON
	}
	return s, err
}

var errNotJSON = errors.New("the reply is not what Vault would send; is there a proxy in between?")

// untouched reports whether a failed request surely had no effect: it never reached Vault, or Vault turned it
// away at the door.
func untouched(e *secrets.Error, resp *api.Response, err error) bool {
	if resp != nil {
		switch resp.StatusCode {
		case http.StatusTooManyRequests, http.StatusPreconditionFailed, 472, 473:
			return true
		}
		return errors.Is(e.Kind, secrets.ErrSealed) // any other 503 may be a proxy's that lost the reply
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// classify makes the error of a failed request.
func (c *Client) classify(r request, resp *api.Response, reply *api.Secret, err error) *secrets.Error {
	e := &secrets.Error{Op: r.op, Ref: r.ref}
	var upstream *api.ResponseError
	if !errors.As(err, &upstream) {
		e.Kind, e.Err = transportKind(err), httpx.RedactError(err)
		return e
	}
	e.After, _ = httpx.RetryAfter(resp.Header, time.Now())
	e.Kind = statusKind(upstream.StatusCode, strings.Join(upstream.Errors, "\n"), reply)
	e.Err = &replyError{ResponseError: cleaned(upstream, r), after: e.After}
	return e
}

// statusKind knows Vault's replies. Where the status does not tell, its words do; a test holds them to Vault 1.21.
func statusKind(status int, text string, reply *api.Secret) error {
	says := func(s string) bool { return strings.Contains(text, s) }
	if says("past the max TTL") {
		return secrets.ErrInvalid // of a renewal, whatever the status
	}
	switch status {
	case http.StatusBadRequest:
		switch {
		case says("check-and-set parameter"):
			return secrets.ErrConflict
		case says("lease not found"), says("unknown role"):
			return secrets.ErrNotFound
		case says("missing client token"):
			return secrets.ErrUnauthenticated
		}
		return secrets.ErrInvalid
	case http.StatusUnauthorized:
		return secrets.ErrUnauthenticated
	case http.StatusForbidden:
		if says("invalid token") {
			return secrets.ErrUnauthenticated
		}
		return secrets.ErrDenied
	case http.StatusNotFound:
		if reply != nil && strings.Contains(strings.Join(reply.Warnings, "\n"), "versioned K/V") {
			return secrets.ErrWrongEngine
		}
		return missing(reply)
	case http.StatusMethodNotAllowed:
		return secrets.ErrWrongEngine
	case http.StatusTooManyRequests:
		return secrets.ErrThrottled
	case http.StatusPreconditionFailed, 472, 473:
		return secrets.ErrUnavailable // a standby that has not caught up, or may not answer
	case http.StatusServiceUnavailable:
		if says("sealed") {
			return secrets.ErrSealed
		}
	}
	if status >= 500 || status == http.StatusRequestTimeout {
		return secrets.ErrUnavailable
	}
	return secrets.ErrMalformed
}

// missing tells a version that was deleted or destroyed from one that never was.
func missing(reply *api.Secret) error {
	if reply != nil {
		if m, ok := reply.Data["metadata"].(map[string]any); ok {
			if destroyed, _ := m["destroyed"].(bool); destroyed {
				return secrets.ErrDestroyed
			}
			if at, _ := m["deletion_time"].(string); at != "" {
				return secrets.ErrDeleted
			}
		}
	}
	return secrets.ErrNotFound
}

func transportKind(err error) error {
	var (
		tooLarge  *httpx.TooLargeError
		unknownCA x509.UnknownAuthorityError
		badHost   x509.HostnameError
		badCert   x509.CertificateInvalidError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &tooLarge):
		return secrets.ErrTooLarge
	case errors.Is(err, errNotJSON):
		return secrets.ErrMalformed
	case errors.Is(err, httpx.ErrRedirect), errors.As(err, &unknownCA), errors.As(err, &badHost), errors.As(err, &badCert):
		return secrets.ErrInsecure
	case errors.As(err, &op) && op.Op == "remote error" && strings.Contains(err.Error(), "certificate"):
		return secrets.ErrUnauthenticated // the server turned down our certificate, or misses one; a TLS alert has no type
	}
	return secrets.ErrUnavailable
}

// replyError shows a reply of Vault in one line; the library's own is several.
type replyError struct {
	*api.ResponseError
	after time.Duration
}

func (e *replyError) Unwrap() error { return e.ResponseError }

func (e *replyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: status %d", e.HTTPMethod, httpx.RedactRawURL(e.URL), e.StatusCode)
	for _, line := range e.Errors {
		b.WriteString(": " + strings.Join(strings.Fields(line), " "))
	}
	if e.after > 0 {
		fmt.Fprintf(&b, " (asks to wait %s)", e.after)
	}
	return b.String()
}

// cleaned returns a copy of a reply's error that may be shown: no query, no foreign body, which may echo the
// request, and nothing of what was sent.
func cleaned(e *api.ResponseError, r request) *api.ResponseError {
	out := *e
	out.URL = httpx.RedactRawURL(e.URL)
	out.Errors = nil
	if e.RawError {
		out.RawError = false
		return &out
	}
	hide := secrets.NewRedactor()
	_ = hide.Add("token", r.token)
	teach(hide, r.body)
	for _, line := range e.Errors[:min(len(e.Errors), 5)] {
		line = hide.Redact(line)
		if len(line) > 500 {
			line = strings.ToValidUTF8(line[:500], "") + "…"
		}
		out.Errors = append(out.Errors, line)
	}
	return &out
}

func teach(hide *secrets.Redactor, body any) {
	switch x := body.(type) {
	case string:
		_ = hide.Add("body", secrets.NewValue(x)) // too short to mask is too short to tell
	case map[string]any:
		for _, v := range x {
			teach(hide, v)
		}
	case []any:
		for _, v := range x {
			teach(hide, v)
		}
	}
}

// cappedTransport bounds every reply, after decompression, and keeps net/http from repeating by itself what has
// an effect.
type cappedTransport struct {
	http.RoundTripper
	limit int64
}

// noReplay marks the context of a request that must not be sent twice.
type noReplay struct{}

// emptyBody is no body on the wire. But as it cannot be had again, net/http does not send its request anew when
// the connection breaks, as it does with a GET that has none: reading a dynamic secret makes one.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }

func (t *cappedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Context().Value(noReplay{}) != nil && (req.Body == nil || req.Body == http.NoBody) {
		req = req.Clone(req.Context())
		req.Body, req.GetBody = emptyBody{}, nil
	}
	resp, err := t.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = &cappedBody{ReadCloser: resp.Body, left: t.limit, limit: t.limit, what: "reply of " + req.Method + " " + httpx.RedactURL(req.URL)}
	}
	return resp, err
}

// CloseIdleConnections lets http.Client reach through.
func (t *cappedTransport) CloseIdleConnections() {
	if c, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type cappedBody struct {
	io.ReadCloser
	left, limit int64
	what        string
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, &httpx.TooLargeError{What: b.what, Limit: b.limit}
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, &httpx.TooLargeError{What: b.what, Limit: b.limit}
	}
	return n, err
}
