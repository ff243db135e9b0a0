// Package post is what the channels over HTTP have in common: one POST to a URL that is a secret, to an address
// that is checked when the connection is made, and an error that says by its kind what to do.
package post

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/notify"
)

// maxReply bounds what is read of a reply.
const maxReply = 64 << 10

// Options of [New].
type Options struct {
	Client            *http.Client // nil: a new one
	AllowPrivate      bool
	AllowInsecureHTTP bool
	Timeout           time.Duration // for one request; 0 means 30 s
}

// Poster posts for one channel.
type Poster struct {
	channel string
	client  *http.Client
	o       Options
}

// Reply is a reply with a status of 200 to 299.
type Reply struct {
	Status int
	Body   []byte
}

// New returns a Poster for a channel, named in errors, or what is wrong with o.
func New(channel string, o Options) (*Poster, error) {
	if o.Timeout < 0 {
		return nil, errors.New("Options.Timeout: is negative")
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	base := http.Client{}
	if o.Client != nil {
		base = *o.Client
	}
	if base.Transport == nil {
		t := httpx.Transport()
		t.DialContext = nil
		t.DisableKeepAlives = true // messages are rare: an idle connection would only be found broken
		base.Transport = t
	}
	if !o.AllowPrivate {
		t, ok := base.Transport.(*http.Transport)
		if !ok {
			return nil, fmt.Errorf("Options.Client: a transport of type %T cannot be kept from private addresses; use an *http.Transport or set AllowPrivate", base.Transport)
		}
		if t.DialTLSContext != nil || t.DialTLS != nil || t.Dial != nil { //nolint:staticcheck // asked for, not used
			return nil, errors.New("Options.Client: a transport with Dial, DialTLS or DialTLSContext cannot be kept from private addresses; use DialContext or set AllowPrivate")
		}
		base.Transport = guard(t)
	}
	next := base.CheckRedirect
	base.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.Method != via[0].Method { // 301, 302, 303: the message would be gone and the answer 200
			return fmt.Errorf("%w: it would turn %s into %s", httpx.ErrRedirect, via[0].Method, req.Method)
		}
		if next != nil {
			return next(req, via)
		}
		return nil
	}
	return &Poster{channel: channel, client: httpx.Client(&base), o: o}, nil
}

// Resolve gets a URL that is a secret and checks it. The URL is not in the error.
func (p *Poster) Resolve(ctx context.Context, get func(context.Context) (string, error)) (*url.URL, error) {
	raw, err := get(ctx)
	if err != nil {
		return nil, p.Fail("get URL for", SecretKind(err), err)
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, p.Fail("send", notify.ErrInvalid, errors.New("what is configured as its URL is none"))
	case u.Scheme == "http" && !p.o.AllowInsecureHTTP && !httpx.IsLoopback(u.Host):
		return nil, p.Fail("send", notify.ErrInsecure, errors.New("its URL is http, not https"))
	}
	return u, nil
}

// SecretKind says what it means that a secret could not be got: a store that is down for a moment (its error says
// that it is retryable, as those of package secrets do) and a context that ended are no wrong credentials.
func SecretKind(err error) error {
	var later interface{ Retryable() bool }
	if errors.As(err, &later) && later.Retryable() || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return notify.ErrUnavailable
	}
	return notify.ErrDenied
}

// Post sends body as JSON. A reply outside 200 to 299 is an error; so is none.
func (p *Poster) Post(ctx context.Context, u *url.URL, header http.Header, body []byte) (*Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	sent := false // all of the request is on its way
	trace := &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) { sent = i.Err == nil }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, p.Fail("send", notify.ErrInvalid, errors.New("what is configured as its URL is none"))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "waybill")
	maps.Copy(req.Header, header)
	resp, err := p.client.Do(req) //nolint:bodyclose // Drain closes it
	if err != nil {
		return nil, p.broken(ctx, u, err, sent)
	}
	defer httpx.Drain(resp.Body)
	reply, err := httpx.ReadAll(resp.Body, maxReply, "the reply")
	if resp.StatusCode/100 != 2 { // whatever became of its body, the status says enough
		return nil, p.Refused(resp.StatusCode, resp.Header, reply)
	}
	if err != nil {
		if errors.As(err, new(*httpx.TooLargeError)) {
			return nil, p.Fail("send", notify.ErrAmbiguous, err)
		}
		return nil, p.broken(ctx, u, err, true)
	}
	return &Reply{Status: resp.StatusCode, Body: reply}, nil
}

// broken makes an error of a request that got no whole reply.
func (p *Poster) broken(ctx context.Context, u *url.URL, err error, sent bool) error {
	var (
		kind   = notify.ErrUnavailable
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, notify.ErrPrivateAddress):
		kind = notify.ErrPrivateAddress
	case errors.Is(err, httpx.ErrRedirect):
		kind = notify.ErrRejected
	case errors.As(err, &verify) || errors.As(err, &record):
		kind = notify.ErrInsecure
	case sent:
		kind = notify.ErrAmbiguous
	}
	if cerr := ctx.Err(); cerr != nil {
		return p.Fail("send", kind, cerr)
	}
	return p.Fail("send", kind, cause(err, u))
}

// cause is err without the request's URL. When something of the URL is left in it, which some errors of
// net/http repeat, only the kind of error is told.
func cause(err error, u *url.URL) error {
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	if b, ok := errors.AsType[*blocked](err); ok {
		return b
	}
	text := err.Error()
	secrets := append([]string{u.RawQuery, u.Fragment}, strings.Split(u.Path, "/")...)
	if u.User != nil {
		password, _ := u.User.Password()
		secrets = append(secrets, u.User.Username(), password)
	}
	for _, secret := range secrets {
		if len(secret) >= 6 && strings.Contains(text, secret) {
			return fmt.Errorf("%T", err)
		}
	}
	return err
}

// Refused makes an error of a reply with this status. Of its body only a code is shown, such as Slack's
// "invalid_payload": a server may repeat anything in it.
func (p *Poster) Refused(status int, header http.Header, body []byte) error {
	e := &notify.Error{Op: "send", Target: p.channel, Kind: KindOf(status), Err: fmt.Errorf("HTTP %d%s", status, suffix(Code(body)))}
	if notify.Retryable(e) {
		e.RetryAfter = RetryAfter(header, body, time.Now())
	}
	return e
}

// Fail makes an error of this channel.
func (p *Poster) Fail(op string, kind, err error) error {
	return &notify.Error{Op: op, Target: p.channel, Kind: kind, Err: err}
}

func suffix(code string) string {
	if code == "" {
		return ""
	}
	return " " + code
}

var codeShape = regexp.MustCompile(`^[a-z][a-z_]{2,50}$`)

// Code returns body if it looks like an error code, and not like anything else.
func Code(body []byte) string {
	s := strings.TrimSpace(string(body[:min(len(body), 64)]))
	if !codeShape.MatchString(s) {
		return ""
	}
	return s
}

// KindOf says what a status that is not 2xx means.
func KindOf(status int) error {
	switch {
	case status == http.StatusTooManyRequests:
		return notify.ErrRateLimited
	case httpx.RetryableStatus(status):
		return notify.ErrUnavailable
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired:
		return notify.ErrDenied
	case status == http.StatusNotFound || status == http.StatusGone:
		return notify.ErrGone
	case status == http.StatusRequestEntityTooLarge:
		return notify.ErrTooLarge
	}
	return notify.ErrRejected
}

// RetryAfter returns how long a server asks to wait, in any of the forms that are in use: Retry-After as seconds
// (also with a fraction) or as a date; the same in milliseconds in Retry-After-Ms or X-Ms-Retry-After-Ms; or
// retry_after in a JSON body, as seconds, at the top or in "parameters". Zero when it does not ask.
func RetryAfter(header http.Header, body []byte, now time.Time) time.Duration {
	if d, ok := httpx.RetryAfter(header, now); ok {
		return d
	}
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if ms, err := strconv.ParseFloat(strings.TrimSpace(header.Get(name)), 64); err == nil {
			return duration(ms / 1000)
		}
	}
	var b struct {
		RetryAfter json.Number `json:"retry_after"`
		Parameters struct {
			RetryAfter json.Number `json:"retry_after"`
		} `json:"parameters"`
	}
	if json.Unmarshal(body, &b) != nil {
		return 0
	}
	for _, n := range []json.Number{b.RetryAfter, b.Parameters.RetryAfter} {
		if s, err := n.Float64(); err == nil && s > 0 {
			return duration(s)
		}
	}
	return 0
}

// duration is s seconds; what is no number of seconds, or negative, is zero.
func duration(s float64) time.Duration {
	if !(s > 0 && s < 1e9) {
		return 0
	}
	return time.Duration(math.Round(s*1000)) * time.Millisecond
}
