package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
)

// Options are the options of [New]. The zero value talks HTTPS, without logins.
type Options struct {
	// HTTPClient brings the transport (proxy, certificate authorities) and the timeout for whole requests,
	// if any. Redirects are followed by this package's own rules. Nil means one with a bound on each phase.
	HTTPClient *http.Client

	// Keychain has the logins. Nil means anonymous access.
	Keychain Keychain

	// AllowInsecureHTTP permits plain HTTP to registries that do not speak TLS. Loopback addresses are
	// always permitted. A registry that speaks TLS is never talked to without it.
	AllowInsecureHTTP bool

	// TokenHosts are further hosts ("host" or "host:port") that may be asked for tokens with the login of a
	// registry. Without being listed it is only the registry's own host and those below the same parent
	// domain, as auth.example.com for registry.example.com.
	TokenHosts []string

	// Jobs is how many blobs move at the same time, over all calls; 0 means 4.
	Jobs int

	// Attempts is how often a request or an upload is tried, the first time included; 0 means 5.
	Attempts int

	// StallTimeout ends a transfer that does not move a byte for so long; it counts as a failed attempt.
	// 0 means a minute. At the end of a large blob, which the registry reads once more to verify it, up to five
	// minutes are added.
	StallTimeout time.Duration
}

// Client talks to registries. It remembers tokens, and which blobs are in which repository, so that one
// client for many pushes sends each blob to a registry once. It is safe for concurrent use.
type Client struct {
	opts   Options
	http   *http.Client
	jobs   chan struct{}
	retry  retry.Policy
	lookup func(ctx context.Context, host string) ([]net.IP, error)

	mu       sync.Mutex
	hosts    map[string]*host
	known    map[knownBlob][]string // repositories that have the blob
	inFlight map[any]chan struct{}  // locks by key, see lock
}

type knownBlob struct {
	endpoint string
	digest   v1.Hash
}

// New returns a client. It does no I/O. It fails with [ErrInvalid] when an option is out of range.
func New(o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	var errs []error
	for name, n := range map[string]int64{"Jobs": int64(o.Jobs), "Attempts": int64(o.Attempts), "StallTimeout": int64(o.StallTimeout)} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("option %s is negative", name))
		}
	}
	for _, h := range o.TokenHosts {
		if h == "" || strings.ContainsAny(h, "/@ ") {
			errs = append(errs, fmt.Errorf("option TokenHosts: %q is no host", h))
		}
	}
	if len(errs) > 0 {
		return nil, wrap("client", "", fail(ErrInvalid, "%w", errors.Join(errs...)))
	}
	c := &Client{opts: *o, hosts: map[string]*host{}, known: map[knownBlob][]string{}, inFlight: map[any]chan struct{}{}}
	c.opts.TokenHosts = slices.Clone(o.TokenHosts)
	if c.opts.Jobs == 0 {
		c.opts.Jobs = 4
	}
	if c.opts.Attempts == 0 {
		c.opts.Attempts = 5
	}
	if c.opts.StallTimeout == 0 {
		c.opts.StallTimeout = time.Minute
	}
	c.jobs = make(chan struct{}, c.opts.Jobs)
	c.retry = retry.Policy{Attempts: c.opts.Attempts, Max: 30 * time.Second}
	c.http = &http.Client{}
	if o.HTTPClient != nil {
		*c.http = *o.HTTPClient
	}
	if c.http.Transport == nil {
		t := httpx.Transport()
		t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, ControlContext: refusePrivate}).DialContext
		t.ResponseHeaderTimeout = 5 * time.Minute // registries verify a large layer before they answer
		c.http.Transport = t
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.lookup = func(ctx context.Context, host string) ([]net.IP, error) {
		return net.DefaultResolver.LookupIP(ctx, "ip", host)
	}
	return c, nil
}

// CloseIdleConnections closes connections that are kept for further requests.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// repository is a repository of a registry, with what requests to it are allowed to do.
type repository struct {
	client *Client
	host   *host
	ref    reference
	scope  string
}

func (c *Client) repository(ref reference, actions string) *repository {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[ref.endpoint()]
	if h == nil {
		h = newHost(c, ref.host, ref.endpoint())
		c.hosts[ref.endpoint()] = h
	}
	return &repository{client: c, host: h, ref: ref, scope: scopeOf(ref.repo, actions)}
}

func scopeOf(repo, actions string) string { return "repository:" + repo + ":" + actions }

// remember notes that a repository has a blob.
func (r *repository) remember(d v1.Hash) {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	key := knownBlob{r.host.endpoint, d}
	if !slices.Contains(r.client.known[key], r.ref.repo) {
		r.client.known[key] = append(r.client.known[key], r.ref.repo)
	}
}

// forget is the opposite of remember.
func (r *repository) forget(blobs []v1.Descriptor) {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	for _, d := range blobs {
		key := knownBlob{r.host.endpoint, d.Digest}
		r.client.known[key] = slices.DeleteFunc(r.client.known[key], func(repo string) bool { return repo == r.ref.repo })
	}
}

// whoHas returns the repositories known to have a blob.
func (r *repository) whoHas(d v1.Hash) []string {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	return slices.Clone(r.client.known[knownBlob{r.host.endpoint, d}])
}

// lock waits until nobody else holds key, or ctx ends.
func (c *Client) lock(ctx context.Context, key any) (unlock func(), err error) {
	for {
		c.mu.Lock()
		held, busy := c.inFlight[key]
		if !busy {
			mine := make(chan struct{})
			c.inFlight[key] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.inFlight, key)
				c.mu.Unlock()
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// slot waits for one of the client's transfer slots.
func (c *Client) slot(ctx context.Context) (release func(), err error) {
	select {
	case c.jobs <- struct{}{}:
		return func() { <-c.jobs }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
