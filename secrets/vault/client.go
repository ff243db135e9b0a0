package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/waybill-dev/waybill/internal/flight"
	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
	"github.com/waybill-dev/waybill/secrets"
)

// Options configures a [Client]. The zero value is ready to use.
type Options struct {
	// Namespace is the Vault Enterprise namespace all paths are in. Tested on vaulttest only.
	Namespace string

	// RootCAs are the authorities the server's certificate may come from; nil means the system's.
	RootCAs *x509.CertPool
	// ClientCertificate, when set, is asked for the certificate to show at each connection.
	ClientCertificate func() (*tls.Certificate, error)
	// ServerName is what the certificate must be for, when that is not the host of the address.
	ServerName string
	// HTTPClient is used in place of one of our own. Its redirect policy is narrowed to the same host. It
	// excludes RootCAs, ClientCertificate and ServerName.
	HTTPClient *http.Client

	// AllowInsecureHTTP permits plain HTTP to other hosts than this machine.
	AllowInsecureHTTP bool
	// AllowRootToken and AllowDevMode make Preflight accept these.
	AllowRootToken bool
	AllowDevMode   bool

	// KV gives the version, 1 or 2, of key-value mounts, by mount path, so that Vault need not be asked.
	KV map[string]int

	// Attempts is how often a request is tried while Vault is sealed, throttles or cannot be reached; 0 means 4.
	Attempts int
	// MaxPause bounds the pause between tries; a Vault that asks for more gets no further try. 0 means 10 s.
	MaxPause time.Duration
	// Timeout bounds each single try; 0 means 30 s.
	Timeout time.Duration
	// MaxReplyBytes bounds a reply; 0 means 8 MiB.
	MaxReplyBytes int64

	// Logger is told of logins, renewals and leases, never of values. nil means silence.
	Logger *slog.Logger
}

// A Client reads and writes secrets in one Vault. It is safe for concurrent use. Close it.
type Client struct {
	api   *api.Client
	plain *api.Client // without the namespace, for the paths that exist at the root only
	http  *http.Client
	login Login
	o     Options
	retry retry.Policy
	log   *slog.Logger

	logins flight.Group[struct{}, *session]
	probes flight.Group[string, mount]
	issues flight.Group[string, *lease]

	mu       sync.Mutex
	current  *session
	former   []*session       // replaced but perhaps still alive
	rejected secrets.Value    // a ready-made token that Vault no longer knows
	doubted  time.Time        // see mayDoubt
	mounts   map[string]mount // by path with a slash at the end
	leases   map[string]*lease
	retired  []*lease // replaced but perhaps still alive
	invalid  []func(secrets.Ref)
	closed   bool

	background context.Context //nolint:containedctx // ends with Close
	stop       context.CancelFunc
	running    sync.WaitGroup
	keeping    bool // the keeper runs
	wake       chan struct{}
}

// New returns a client of the Vault at address, such as https://vault.example.com:8200. It does not connect:
// the first call that needs a token logs in. Errors are of kind [secrets.ErrInvalid], or [secrets.ErrInsecure] for
// plain HTTP to another machine, and name all options that are wrong.
func New(address string, login Login, o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	c := &Client{login: login, o: *o, mounts: map[string]mount{}, leases: map[string]*lease{}, wake: make(chan struct{}, 1)}
	if err := c.validate(address); err != nil {
		return nil, err
	}
	if c.o.Timeout == 0 {
		c.o.Timeout = 30 * time.Second
	}
	if c.o.MaxReplyBytes == 0 {
		c.o.MaxReplyBytes = 8 << 20
	}
	c.retry = retry.Policy{Attempts: c.o.Attempts, Max: c.o.MaxPause}
	c.log = c.o.Logger
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	for path, version := range c.o.KV {
		path = strings.Trim(path, "/") + "/"
		c.mounts[path] = mount{path: path, engine: "kv", version: version, given: true}
	}
	c.http = c.httpClient()
	var err error
	if c.api, err = newAPI(address, c.http, c.o.Namespace); err == nil {
		c.plain, err = newAPI(address, c.http, "")
	}
	if err != nil {
		return nil, &secrets.Error{Op: "new vault client", Kind: secrets.ErrInvalid, Err: err}
	}
	c.background, c.stop = context.WithCancel(context.Background())
	return c, nil
}

func (c *Client) validate(address string) error {
	var errs []error
	u, err := url.Parse(address)
	insecure := false
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		errs = append(errs, errors.New("address: want https://host:port")) // not repeated: it may hold a password
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		errs = append(errs, errors.New("address: has userinfo, query or fragment"))
	case u.Scheme == "http" && !httpx.IsLoopback(u.Host) && !c.o.AllowInsecureHTTP:
		insecure = true
		errs = append(errs, fmt.Errorf("address: plain HTTP to %s; use https, or set AllowInsecureHTTP", u.Host))
	}
	if c.login.Path == "" && c.login.token == nil {
		errs = append(errs, errors.New("login: is empty"))
	}
	if c.o.HTTPClient != nil && (c.o.RootCAs != nil || c.o.ClientCertificate != nil || c.o.ServerName != "") {
		errs = append(errs, errors.New("HTTPClient: excludes RootCAs, ClientCertificate and ServerName"))
	}
	for path, version := range c.o.KV {
		if version != 1 && version != 2 {
			errs = append(errs, fmt.Errorf("KV: version %d of %q; there are 1 and 2", version, path))
		}
	}
	if c.o.Attempts < 0 || c.o.MaxPause < 0 || c.o.Timeout < 0 || c.o.MaxReplyBytes < 0 {
		errs = append(errs, errors.New("none of Attempts, MaxPause, Timeout and MaxReplyBytes may be negative"))
	}
	if len(errs) == 0 {
		return nil
	}
	kind := secrets.ErrInvalid
	if insecure && len(errs) == 1 {
		kind = secrets.ErrInsecure
	}
	return &secrets.Error{Op: "new vault client", Kind: kind, Err: errors.Join(errs...)}
}

func (c *Client) httpClient() *http.Client {
	base := c.o.HTTPClient
	if base == nil {
		t := httpx.Transport()
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.o.RootCAs, ServerName: c.o.ServerName}
		if get := c.o.ClientCertificate; get != nil {
			t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return get() }
		}
		base = &http.Client{Transport: t}
	}
	hc := httpx.Client(base)
	hc.Transport = &cappedTransport{hc.Transport, c.o.MaxReplyBytes}
	return hc
}

// newAPI returns a client of the wrapped library with everything switched off that it does by itself: reading
// the environment, repeating, redirecting, timing out.
func newAPI(address string, hc *http.Client, namespace string) (*api.Client, error) {
	a, err := api.NewClient(&api.Config{Address: address, HttpClient: hc, DisableRedirects: true})
	if err != nil {
		return nil, err
	}
	a.SetHeaders(http.Header{api.RequestHeaderName: {"true"}}) // drops VAULT_HEADERS and VAULT_NAMESPACE
	a.ClearToken()
	a.SetWrappingLookupFunc(func(string, string) string { return "" }) // whatever VAULT_WRAP_TTL says
	if namespace != "" {
		a.SetNamespace(namespace)
	}
	return a, nil
}

// FromEnv returns a client as Vault's own variables describe it: VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT,
// VAULT_CLIENT_CERT, VAULT_CLIENT_KEY, VAULT_TLS_SERVER_NAME; and, to log in, VAULT_TOKEN, or VAULT_ROLE_ID
// with VAULT_SECRET_ID. What o sets goes before the environment. VAULT_SKIP_VERIFY is refused.
func FromEnv(o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	opts := *o
	fail := func(kind, err error) (*Client, error) {
		return nil, &secrets.Error{Op: "vault client from environment", Kind: kind, Err: err}
	}
	env := func(name string) string {
		return os.Getenv("VAULT_" + name) //nolint:forbidigo // this is FromEnv
	}
	if v := env("SKIP_VERIFY"); v != "" && v != "0" && v != "false" {
		return fail(secrets.ErrInsecure, errors.New("VAULT_SKIP_VERIFY is set; name the authority in VAULT_CACERT instead"))
	}
	if env("ADDR") == "" {
		return fail(secrets.ErrInvalid, errors.New("VAULT_ADDR is not set"))
	}
	if opts.Namespace == "" {
		opts.Namespace = env("NAMESPACE")
	}
	if opts.HTTPClient == nil {
		if err := opts.tlsFromEnv(env); err != nil {
			return fail(secrets.ErrInvalid, err)
		}
	}
	var login Login
	switch {
	case env("TOKEN") != "":
		login = Token(func(context.Context) (string, error) { return env("TOKEN"), nil }, nil)
	case env("ROLE_ID") != "" && env("SECRET_ID") != "":
		login = AppRole(env("ROLE_ID"), func(context.Context) (string, error) { return env("SECRET_ID"), nil }, nil)
	default:
		return fail(secrets.ErrInvalid, errors.New("set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID"))
	}
	return New(env("ADDR"), login, &opts)
}

func (o *Options) tlsFromEnv(env func(string) string) error {
	if path := env("CACERT"); path != "" && o.RootCAs == nil {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("VAULT_CACERT: %w", err)
		}
		o.RootCAs = x509.NewCertPool()
		if !o.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("VAULT_CACERT: no certificate in %s", path)
		}
	}
	if cert, key := env("CLIENT_CERT"), env("CLIENT_KEY"); cert != "" && key != "" && o.ClientCertificate == nil {
		o.ClientCertificate = func() (*tls.Certificate, error) { // read at each handshake: they are rotated
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		}
	}
	if o.ServerName == "" {
		o.ServerName = env("TLS_SERVER_NAME")
	}
	return nil
}

// Close stops renewing, then revokes the dynamic secrets and the tokens this client obtained. It returns what
// could not be revoked. ctx bounds it, half of the time for what is still being issued; without a deadline of its
// own it has 10 seconds. Batch tokens, which Vault does not revoke, end by themselves. Calls after Close fail with
// [secrets.ErrClosed]; a second Close does nothing.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	c.stop()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
	}
	idle := make(chan struct{})
	go func() { c.running.Wait(); close(idle) }()
	deadline, _ := ctx.Deadline()
	patience := time.NewTimer(time.Until(deadline) / 2) // the other half is for the revoking
	defer patience.Stop()
	select {
	case <-idle:
	case <-patience.C: // what is still being issued is revoked when it arrives
	case <-ctx.Done():
	}
	err := c.revokeAll(ctx)
	c.http.CloseIdleConnections()
	return err
}

// Address returns the Vault's address, as given to New.
func (c *Client) Address() string { return c.api.Address() }
