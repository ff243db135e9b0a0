package image

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
)

const userAgent = "waybill"

// host is one registry: where it is, how it is talked to, and the logins that worked.
type host struct {
	client   *Client
	name     string // as in references; logins go by it
	endpoint string // host and port of the API

	mu     sync.Mutex
	scheme string // found by the first request
	auth   authState
}

func newHost(c *Client, name, endpoint string) *host {
	return &host{client: c, name: name, endpoint: endpoint, auth: authState{tokens: map[string]token{}}}
}

// request is one call of the distribution API.
type request struct {
	method string
	path   string   // below the host, for instance "/v2/app/manifests/1", with its query; unused when url is set
	url    *url.URL // where an earlier reply sent us
	header http.Header
	scopes []string
	body   func() (io.ReadCloser, error) // called again for each try, as a body can be read once
	size   int64
	moved  func(n int64) // told how many bytes of the body have gone; may be nil
	ok     []int         // statuses that are no error

	patience time.Duration // beyond the stall timeout, for the reply when the whole body has gone
}

// reply is an answer without its body.
type reply struct {
	status int
	header http.Header
	url    *url.URL // the request's, after redirects
	size   int64    // of the body, -1 when unknown
}

// send sends a request, again and again while it is worth it, and drops the body of the answer.
func (h *host) send(ctx context.Context, r request) (*reply, error) {
	var got *reply
	err := retry.Do(ctx, h.client.retry, func(ctx context.Context, _ int) error {
		var err error
		got, err = h.once(ctx, r)
		return err
	})
	return got, err
}

// once is send with a single attempt.
func (h *host) once(ctx context.Context, r request) (*reply, error) {
	resp, err := h.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	httpx.Drain(resp.Body)
	return &reply{status: resp.StatusCode, header: resp.Header, url: resp.Request.URL, size: resp.ContentLength}, nil
}

// open sends a request one time; twice when the registry asks for a login or for a fresh one. Errors that
// may go away are marked for [retry.Do].
func (h *host) open(ctx context.Context, r request) (*http.Response, error) {
	target, err := h.target(ctx, r)
	if err != nil {
		return nil, err
	}
	used, err := h.authorization(ctx, r.scopes)
	if err != nil {
		return nil, err
	}
	resp, err := h.follow(ctx, r, target, used)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized && h.owns(resp.Request.URL) {
		challenges := resp.Header.Values("WWW-Authenticate")
		httpx.Drain(resp.Body)
		fresh, err := h.login(ctx, r.scopes, challenges, used)
		if err != nil {
			return nil, err
		}
		if resp, err = h.follow(ctx, r, target, fresh); err != nil {
			return nil, err
		}
	}
	if slices.Contains(r.ok, resp.StatusCode) {
		return resp, nil
	}
	defer httpx.Drain(resp.Body)
	return nil, h.refusal(r, resp)
}

// target is the URL of a request. The first one finds out whether the registry speaks TLS.
func (h *host) target(ctx context.Context, r request) (*url.URL, error) {
	if r.url != nil {
		return r.url, nil
	}
	scheme := h.currentScheme()
	if scheme == "" {
		var err error
		if scheme, err = h.findScheme(ctx); err != nil {
			return nil, err
		}
	}
	return url.Parse(scheme + "://" + h.endpoint + r.path)
}

// findScheme tries TLS first. Plain HTTP is used only where it is permitted and the registry has just shown
// that it speaks nothing else.
func (h *host) findScheme(ctx context.Context) (string, error) {
	if !h.client.opts.AllowInsecureHTTP && !httpx.IsLoopback(h.endpoint) {
		return h.setScheme("https"), nil
	}
	unlock, err := h.client.lock(ctx, schemeLock(h.endpoint))
	if err != nil {
		return "", err
	}
	defer unlock()
	if scheme := h.currentScheme(); scheme != "" {
		return scheme, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+h.endpoint+"/v2/", nil)
	if err != nil {
		return "", fail(ErrInvalid, "registry %q: %w", h.endpoint, httpx.RedactError(err))
	}
	resp, err := h.client.http.Do(req)
	switch {
	case err == nil:
		_ = resp.Body.Close()
		return h.setScheme("https"), nil
	case errors.Is(err, http.ErrSchemeMismatch):
		return h.setScheme("http"), nil
	}
	return "", h.failure(ctx, req.Method, req.URL, err)
}

type schemeLock string

func (h *host) setScheme(scheme string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.scheme = scheme
	return scheme
}

// owns reports whether a URL is of the registry's own API; credentials go nowhere else.
func (h *host) owns(u *url.URL) bool {
	return u.Host == h.endpoint && (u.Scheme == "https" || u.Scheme == h.currentScheme())
}

func (h *host) currentScheme() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.scheme
}

const maxRedirects = 5

// follow sends the request to target and, when it has no body, follows redirects.
func (h *host) follow(ctx context.Context, r request, target *url.URL, authorization string) (*http.Response, error) {
	for range maxRedirects {
		resp, err := h.roundTrip(ctx, r, target, authorization)
		if err != nil {
			return nil, err
		}
		redirect := resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified
		if !redirect || r.body != nil || !slices.Contains([]string{http.MethodGet, http.MethodHead}, r.method) {
			return resp, nil
		}
		location := resp.Header.Get("Location")
		httpx.Drain(resp.Body)
		if target, err = h.hop(ctx, target, location); err != nil {
			return nil, err
		}
	}
	return nil, fail(ErrRedirect, "%s %s: more than %d in a row", r.method, httpx.RedactURL(target), maxRedirects)
}

// hop resolves a Location header and refuses where it must not lead.
func (h *host) hop(ctx context.Context, from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if err != nil || location == "" || to.Host == "" {
		return nil, fail(ErrRegistry, "%s: unusable Location header", httpx.RedactURL(from))
	}
	to.User = nil
	switch {
	case to.Scheme != "https" && to.Scheme != "http", from.Scheme == "https" && to.Scheme != "https":
		return nil, fail(ErrRedirect, "from %s to %s: from https to %s", httpx.RedactURL(from), httpx.RedactURL(to), to.Scheme)
	case to.Host != from.Host && h.client.isPrivate(ctx, to.Hostname()) && !h.client.isPrivate(ctx, from.Hostname()):
		return nil, fail(ErrRedirect, "from %s to %s: from a public to a private address", httpx.RedactURL(from), httpx.RedactURL(to))
	}
	return to, nil
}

// isPrivate reports whether a host is, or has, an address that is not of the public network. A name that
// cannot be resolved here (because a proxy does it) counts as public.
func (c *Client) isPrivate(ctx context.Context, host string) bool {
	if httpx.IsLoopback(host) {
		return true
	}
	ips := []net.IP{net.ParseIP(host)}
	if ips[0] == nil {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		ips, _ = c.lookup(ctx, host)
	}
	return slices.ContainsFunc(ips, func(ip net.IP) bool {
		a, ok := netip.AddrFromSlice(ip)
		return ok && privateAddr(a)
	})
}

func privateAddr(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || sharedSpace.Contains(a)
}

// publicOnly marks the context of requests that a public registry sends elsewhere.
type publicOnly struct{}

// restrict marks ctx when target is not the registry itself and the registry is public. What a name stands for
// may change between the look at it in hop and the connection; the dialer sees the address it really gets.
// Through a proxy only the proxy's own address would be seen, so there the mark is left off.
func (h *host) restrict(ctx context.Context, target *url.URL) context.Context {
	name := (&url.URL{Host: h.endpoint}).Hostname()
	if target.Host == h.endpoint || h.client.isPrivate(ctx, name) {
		return ctx
	}
	if t, ok := h.client.http.Transport.(*http.Transport); ok && t.Proxy != nil {
		if proxy, err := t.Proxy(&http.Request{URL: target}); proxy != nil || err != nil {
			return ctx
		}
	}
	return context.WithValue(ctx, publicOnly{}, true)
}

// refusePrivate is the control function of the dialer.
func refusePrivate(ctx context.Context, _, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if ctx.Value(publicOnly{}) != nil && (err != nil || privateAddr(a.Addr())) {
		return fail(ErrRedirect, "to the private address %s", address)
	}
	return nil
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // carrier-grade NAT; cloud metadata services live there too

// roundTrip sends the request once, to one place.
func (h *host) roundTrip(ctx context.Context, r request, target *url.URL, authorization string) (*http.Response, error) {
	ctx, dog := watch(h.restrict(ctx, target), h.client.opts.StallTimeout)
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), nil)
	if err != nil {
		dog.stop()
		return nil, fail(ErrInvalid, "%w", httpx.RedactError(err))
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	req.Header.Set("User-Agent", userAgent)
	if authorization != "" && h.owns(target) {
		req.Header.Set("Authorization", authorization)
	}
	if r.body != nil {
		body, err := r.body()
		if err != nil {
			dog.stop()
			return nil, err
		}
		req.ContentLength = r.size // no GetBody: trying again is our own job, with a body that is watched
		// Handing files to the kernel to send by itself was tried: it saves us a little work, and costs a registry
		// on the same machine more than that.
		req.Body = &watched{ReadCloser: body, dog: dog, moved: r.moved, size: r.size, patience: r.patience}
		if r.size == 0 {
			_ = body.Close()
			req.Body = http.NoBody
			dog.wait(r.patience)
		}
	}
	resp, err := h.client.http.Do(req)
	if err != nil {
		err = h.failure(ctx, r.method, target, err)
		dog.stop()
		return nil, err
	}
	dog.wait(0)
	resp.Body = &watched{ReadCloser: resp.Body, dog: dog, ends: true}
	return resp, nil
}

// failure classifies an error of the transport.
func (h *host) failure(ctx context.Context, method string, target *url.URL, err error) error {
	if local, ok := errors.AsType[*kindError](err); ok { // from reading the body we send
		return local
	}
	cause := err
	if ue, ok := errors.AsType[*url.Error](err); ok {
		cause = ue.Err
	}
	if stalled := context.Cause(ctx); errors.Is(stalled, errStalled) {
		cause = stalled
	} else if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", method, httpx.RedactURL(target), ctx.Err())
	}
	failed := fail(ErrUnavailable, "%s %s: %w", method, httpx.RedactURL(target), cause)
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	dns, _ := errors.AsType[*net.DNSError](err)
	if badCertificate || errors.Is(err, http.ErrSchemeMismatch) || dns != nil && dns.IsNotFound {
		return failed // will be the same next time
	}
	return retry.Again(failed)
}

// refusal makes an error of a reply that was not asked for.
func (h *host) refusal(r request, resp *http.Response) error {
	e := &RegistryError{Method: r.method, URL: httpx.RedactURL(resp.Request.URL), Status: resp.StatusCode}
	if body, err := httpx.ReadAll(resp.Body, 64<<10, "error reply"); err == nil {
		var reply struct {
			Errors []struct{ Code, Message string }
		}
		if json.Unmarshal(body, &reply) == nil && len(reply.Errors) > 0 {
			e.Code, e.Detail = oneLine(reply.Errors[0].Code), oneLine(reply.Errors[0].Message)
		}
	}
	err := fail(kindOfStatus(e), "%w", e)
	if httpx.RetryableStatus(e.Status) {
		after, _ := httpx.RetryAfter(resp.Header, time.Now())
		return retry.AgainAfter(err, after)
	}
	return err
}

func kindOfStatus(e *RegistryError) error {
	switch {
	case httpx.RetryableStatus(e.Status), e.Status >= 500:
		return ErrUnavailable
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return ErrDenied
	case e.Code == "DIGEST_INVALID":
		return ErrDigest
	case e.Status == http.StatusNotFound:
		return ErrNotFound
	case e.Status == http.StatusRequestEntityTooLarge, e.Code == "SIZE_INVALID":
		return ErrTooLarge
	case e.Code == "TAG_INVALID" || e.Status == http.StatusConflict:
		return ErrTagExists // what registries with immutable tags say
	case e.Status == http.StatusMethodNotAllowed && e.Code == "UNSUPPORTED":
		return ErrDenied // a read-only registry
	}
	return ErrRegistry
}

// oneLine cuts text of a server to what fits a message.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// dog ends a transfer that stalls: each byte moved puts the end off again.
type dog struct {
	timer  *time.Timer
	after  time.Duration
	cancel context.CancelCauseFunc
}

var errStalled = errors.New("not a byte moved for the stall timeout")

func watch(ctx context.Context, after time.Duration) (context.Context, *dog) {
	ctx, cancel := context.WithCancelCause(ctx)
	d := &dog{after: after, cancel: cancel}
	d.timer = time.AfterFunc(after, func() { cancel(errStalled) })
	return ctx, d
}

// wait puts the end off, by more than usual when there is a reason for patience.
func (d *dog) wait(patience time.Duration) { d.timer.Reset(d.after + patience) }

func (d *dog) stop() {
	d.timer.Stop()
	d.cancel(nil)
}

// watched is a body under a dog's eyes.
type watched struct {
	io.ReadCloser
	dog   *dog
	ends  bool // with this body the exchange ends, and the dog may go
	n     int64
	moved func(int64)

	size     int64 // of a body that is sent
	patience time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.n += int64(n)
		var patience time.Duration
		if w.n == w.size {
			patience = w.patience
		}
		w.dog.wait(patience)
		if w.moved != nil {
			w.moved(w.n)
		}
	}
	return n, err
}

func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	if w.ends {
		w.dog.stop()
	}
	return err
}
