package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
)

// httpTransport is git's smart HTTP, protocol version 0, which every server speaks.
type httpTransport struct {
	client   *http.Client
	url      string
	user     string
	token    string
	timeout  time.Duration
	distance time.Duration
}

func (r *Repo) dialHTTP(ctx context.Context) (transport, error) {
	t := &httpTransport{client: r.o.HTTPClient, url: r.endpoint.url, user: r.o.User, timeout: r.o.Timeout}
	if r.o.Token != nil {
		token, err := r.o.Token(ctx)
		if err != nil {
			return nil, faultf(ErrDenied, "no token: %w", err)
		}
		t.token = token
	}
	return t, nil
}

// wantsAny: over HTTP a server keeps nothing between requests, so it lets trees and blobs be asked for by hash.
func (t *httpTransport) wantsAny(map[string]string) bool { return true }

func (t *httpTransport) rtt() time.Duration { return t.distance }

func (t *httpTransport) close() error { return nil }

func (t *httpTransport) advertise(ctx context.Context, service string) (io.ReadCloser, error) {
	var sent time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// Not WroteRequest: over HTTP/2 the answer may be there before it is called.
		GotConn:              func(httptrace.GotConnInfo) { sent = time.Now() },
		GotFirstResponseByte: func() { t.distance = time.Since(sent) },
	})
	return t.do(ctx, http.MethodGet, "/info/refs?service="+service, service, "advertisement", nil)
}

func (t *httpTransport) exchange(ctx context.Context, service string, request []byte) (io.ReadCloser, error) {
	return t.do(ctx, http.MethodPost, "/"+service, service, "result", request)
}

func (t *httpTransport) do(ctx context.Context, method, suffix, service, what string, request []byte) (io.ReadCloser, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, fmt.Errorf("no complete answer within Options.Timeout, %v", t.timeout))
	req, err := http.NewRequestWithContext(ctx, method, t.url+suffix, bytes.NewReader(request))
	if err != nil {
		cancel()
		return nil, faultf(ErrOptions, "%w", httpx.RedactError(err))
	}
	req.Header.Set("User-Agent", "git/waybill") // some servers speak git only to agents called git/…
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-"+service+"-request")
		req.Header.Set("Accept", "application/x-"+service+"-result")
	}
	if t.token != "" {
		req.SetBasicAuth(t.user, t.token)
	}
	resp, err := t.client.Do(req) //nolint:bodyclose // closed by the body returned below, or drained
	if err != nil {
		err = unreachable(ctx, err)
		cancel()
		return nil, err
	}
	if err := t.check(resp, service, "application/x-"+service+"-"+what); err != nil {
		httpx.Drain(resp.Body)
		cancel()
		return nil, err
	}
	t.adopt(resp.Request.URL)
	return &body{resp.Body, ctx, cancel}, nil
}

// adopt goes on where a redirect of the advertisement led: servers that answer for "group/app" with the address
// of "group/app.git" take requests only there.
func (t *httpTransport) adopt(u *url.URL) {
	at := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if base, ok := strings.CutSuffix(at.String(), "/info/refs"); ok {
		t.url = base
	}
}

// unreachable classifies an error of the HTTP client.
func unreachable(ctx context.Context, err error) error {
	err = httpx.RedactError(err)
	switch {
	case errors.Is(err, httpx.ErrRedirect):
		return faultf(ErrOptions, "%w; use the address it points to", err)
	case errors.Is(ctx.Err(), context.Canceled):
		return err
	case ctx.Err() != nil:
		return faultf(ErrUnavailable, "%w: %w", err, context.Cause(ctx))
	}
	return faultf(ErrUnavailable, "%w", err)
}

// check classifies a reply by its status and type.
func (t *httpTransport) check(resp *http.Response, service, contentType string) error {
	who := "with credentials"
	if t.token == "" {
		who = "without credentials"
	}
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized:
		return faultf(ErrDenied, "HTTP 401 for %s, asked %s", service, who)
	case code == http.StatusForbidden:
		return faultf(ErrDenied, "HTTP 403 for %s, asked %s", service, who)
	case code == http.StatusNotFound, code == http.StatusGone:
		return faultf(ErrNotFound, "HTTP %d for %s, asked %s: no such repository, or not for these credentials", code, service, who)
	case httpx.RetryableStatus(code):
		return faultf(ErrUnavailable, "HTTP %d for %s", code, service)
	case code != http.StatusOK:
		return faultf(ErrProtocol, "HTTP %d for %s", code, service)
	}
	if got, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); got != contentType {
		return faultf(ErrProtocol, "content type %q instead of %q: not a git repository over smart HTTP", oneLine(got), contentType)
	}
	return nil
}

// body ends its context when it is closed, and says why a read failed.
type body struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // the deadline of this body
	cancel context.CancelFunc
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return n, err
	case b.ctx.Err() != nil:
		// The cause alone: over HTTP/2 err is the context's own, and would pass for the end of the caller's context.
		return n, context.Cause(b.ctx)
	}
	// Wrapped, as the reader of lines takes a bare [io.ErrUnexpectedEOF] for a length that makes no sense.
	return n, fmt.Errorf("the connection broke: %w", err)
}

func (b *body) Close() error {
	httpx.Drain(b.ReadCloser)
	b.cancel()
	return nil
}
