package gitops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
)

// Options says how to reach a repository. The zero value reads and writes without credentials.
type Options struct {
	// Branch to work on, without "refs/heads/". Empty means the one the remote HEAD points to.
	Branch string

	// Token returns the password or token for https. It is called once for each attempt, so a token may
	// change while the program runs. An empty token is sent as none.
	Token func(ctx context.Context) (string, error)

	// User goes with Token. Empty means the one in the URL, if any, or else "git", which GitHub, GitLab and
	// Azure DevOps take with any token.
	User string

	// SSHKey returns a private key in PEM or OpenSSH form, without passphrase, for ssh.
	SSHKey func(ctx context.Context) (string, error)

	// KnownHosts is the content of a known_hosts file, @cert-authority and @revoked included. It is required for
	// ssh, and needs a temporary file: in TMPDIR, or else /dev/shm.
	KnownHosts []byte

	// HTTPClient is used for http and https; its redirects are followed only to the same host. Nil means a
	// client with a deadline for each phase of a request.
	HTTPClient *http.Client

	// AllowInsecureHTTP allows http to hosts other than this machine.
	AllowInsecureHTTP bool

	// Attempts bounds how often a bump is tried when others push first or the server is unavailable; 0 means
	// 20. Pauses between attempts are random and grow to at most 5 s.
	Attempts int

	// Timeout bounds one exchange with the server; 0 means 2 minutes.
	Timeout time.Duration

	// MaxBytes caps the objects fetched in one attempt, inflated; 0 means 512 MiB.
	MaxBytes int64

	// OnRetry, when set, is called before each pause with the number of the attempt that failed, from 1.
	OnRetry func(attempt int, err error, pause time.Duration)
}

// Repo is a repository on a git server. It is safe for concurrent use; bumps of one Repo take turns, as they
// could only get into each other's way. It remembers a few trees, so that a further bump fetches less.
type Repo struct {
	name     string // for messages: the URL without secrets
	endpoint endpoint
	o        Options
	policy   retry.Policy

	turn  chan struct{}                // holds a token while nobody bumps
	known atomic.Pointer[gitobj.Store] // never changed, only replaced
}

// endpoint is where a repository is.
type endpoint struct {
	scheme string // http, https, ssh
	host   string // with port, if one is given
	user   string // from the URL, if it names one
	path   string
	url    string // http, https
}

// New returns the repository at an https, http or ssh URL, or at user@host:path. It does no I/O. All that is
// wrong with the options is reported at once, as [ErrOptions].
func New(rawURL string, o *Options) (*Repo, error) {
	r := &Repo{turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	if o != nil {
		r.o = *o
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	var err error
	if r.endpoint, err = parseEndpoint(rawURL); err != nil {
		bad("url: %w", err)
	}
	r.name = r.endpoint.String()
	switch r.endpoint.scheme {
	case "ssh":
		if r.o.SSHKey == nil {
			bad("SSHKey: required for ssh")
		}
		if len(r.o.KnownHosts) == 0 {
			bad("KnownHosts: required for ssh; ssh-keyscan shows the keys of a host, its operator says whether they are right")
		}
		if r.o.Token != nil {
			bad("Token: not used with ssh, SSHKey is")
		}
	case "http", "https":
		if r.o.SSHKey != nil {
			bad("SSHKey: not used with %s, Token is", r.endpoint.scheme)
		}
		if r.endpoint.scheme == "http" && !r.o.AllowInsecureHTTP && !httpx.IsLoopback(r.endpoint.host) {
			bad("url: plain http to %s; use https or set AllowInsecureHTTP", r.endpoint.host)
		}
	}
	if r.o.Branch != "" {
		if err := checkBranch(r.o.Branch); err != nil {
			bad("Branch: %w", err)
		}
	}
	for name, value := range map[string]int64{"Attempts": int64(r.o.Attempts), "Timeout": int64(r.o.Timeout), "MaxBytes": r.o.MaxBytes} {
		if value < 0 {
			bad("%s: negative", name)
		}
	}
	if len(errs) > 0 {
		return nil, &Error{Op: "open", Repo: r.name, Kind: ErrOptions, Err: errors.Join(errs...)}
	}
	r.o.User = cmp.Or(r.o.User, r.endpoint.user, "git")
	if r.o.Timeout == 0 {
		r.o.Timeout = 2 * time.Minute
	}
	if r.o.MaxBytes == 0 {
		r.o.MaxBytes = 512 << 20
	}
	if r.o.Attempts == 0 {
		r.o.Attempts = 20
	}
	r.o.HTTPClient = httpx.ClientFor(r.o.HTTPClient, r.o.Timeout)
	r.policy = retry.Policy{Attempts: r.o.Attempts, Base: 50 * time.Millisecond, Max: maxPause, OnRetry: r.o.OnRetry}
	return r, nil
}

func (e endpoint) String() string {
	if e.scheme == "ssh" {
		return "ssh://" + e.host + "/" + strings.TrimPrefix(e.path, "/")
	}
	return httpx.RedactRawURL(e.url)
}

// parseEndpoint reads a URL, or the short form of ssh: user@host:path.
func parseEndpoint(raw string) (endpoint, error) {
	if strings.IndexFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }) >= 0 {
		return endpoint{}, errors.New("it holds spaces or control characters")
	}
	if !strings.Contains(raw, "://") {
		userHost, p, found := strings.Cut(raw, ":")
		user, host, hasUser := strings.Cut(userHost, "@")
		if !found || !hasUser || strings.Contains(userHost, "/") {
			return endpoint{}, errors.New("want https://host/path, ssh://user@host/path or user@host:path")
		}
		return sshEndpoint(user, host, p)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, errors.New("it cannot be parsed")
	}
	switch u.Scheme {
	case "ssh":
		if hasPassword(u) {
			return endpoint{}, errors.New("a password in the URL; use SSHKey")
		}
		return sshEndpoint(u.User.Username(), u.Host, u.Path)
	case "http", "https":
		switch {
		case hasPassword(u):
			return endpoint{}, errors.New("a password in the URL; use Token and User")
		case u.Host == "" || strings.Trim(u.Path, "/") == "":
			return endpoint{}, errors.New("no host or no path")
		case u.RawQuery != "" || u.Fragment != "":
			return endpoint{}, errors.New("a query or fragment")
		}
		user := u.User.Username() // Azure DevOps shows clone URLs with one
		u.User = nil
		return endpoint{scheme: u.Scheme, host: u.Host, user: user, url: strings.TrimSuffix(u.String(), "/")}, nil
	}
	return endpoint{}, fmt.Errorf("scheme %q; want https, http or ssh", u.Scheme)
}

func hasPassword(u *url.URL) bool {
	_, set := u.User.Password()
	return set
}

func sshEndpoint(user, host, p string) (endpoint, error) {
	if user == "" {
		user = "git"
	}
	// A host or path that begins with a dash would be an option to whatever reads it.
	for what, s := range map[string]string{"user": user, "host": host, "path": strings.TrimLeft(p, "/")} {
		if s == "" || s[0] == '-' {
			return endpoint{}, fmt.Errorf("no %s, or one that begins with a dash", what)
		}
	}
	return endpoint{scheme: "ssh", host: host, user: user, path: p}, nil
}

// checkBranch follows the rules of git check-ref-format.
func checkBranch(name string) error {
	switch {
	case strings.HasPrefix(name, "-"), strings.HasPrefix(name, "refs/"), name == "HEAD", name == "@",
		strings.Contains(name, ".."), strings.Contains(name, "@{"), strings.Contains(name, "//"),
		strings.HasPrefix(name, "/"), strings.HasSuffix(name, "/"), strings.HasSuffix(name, "."),
		strings.ContainsAny(name, ` ~^:?*[\`),
		strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0:
		return fmt.Errorf("%q is not the name of a branch", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || path.Ext(part) == ".lock" {
			return fmt.Errorf("%q is not the name of a branch", name)
		}
	}
	return nil
}

// client is one connection to the server, for one attempt.
type client struct {
	transport transport
	advert    *advert
}

// connect opens a connection and reads the references.
func (r *Repo) connect(ctx context.Context) (*client, error) {
	var t transport
	var err error
	if r.endpoint.scheme == "ssh" {
		t, err = r.dialSSH(ctx)
	} else {
		t, err = r.dialHTTP(ctx)
	}
	if err != nil {
		return nil, err
	}
	c := &client{transport: t}
	if err := c.read(ctx, r.o.Branch); err != nil {
		_ = t.close()
		return nil, err
	}
	return c, nil
}

func (c *client) read(ctx context.Context, branch string) error {
	if branch != "" {
		branch = "refs/heads/" + branch
	}
	reply, err := c.transport.advertise(ctx, uploadPack)
	if err != nil {
		return err
	}
	defer reply.Close()
	c.advert, err = readAdvert(reply, branch)
	return err
}
