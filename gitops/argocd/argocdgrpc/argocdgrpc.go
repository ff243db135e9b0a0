// Package argocdgrpc brings the client of the package argocd over Argo CD's gRPC API, directly or as
// gRPC-web, with the official messages of github.com/argoproj/argo-cd/v2. Argo CD 2.14 and 3.x speak them.
//
// It is for those whose network lets gRPC through and nothing else, or whose other code holds the official
// types; everybody else is better off with argocd.New, which needs none of the thousand packages that this
// module brings. It is a module of its own for that reason, and its go.mod names the replacements that a
// module importing it must repeat.
//
// Of the official client it uses the messages and the names of the calls, not the constructor: that one reads
// the environment and a configuration file, connects without a deadline, ends the process on some errors, and
// serves gRPC-web through a socket in the temporary directory. Here a connection is made by the first call,
// every call ends with its context, and after [Client.Close] nothing is left running.
//
// # Errors
//
// Errors are those of the package argocd: an [*argocd.Error] with a kind, and an [*argocd.StatusError] when
// the server answered.
package argocdgrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/internal/httpx"
)

// Options of a [Client]. The zero value speaks gRPC over TLS to a server with a publicly trusted certificate.
type Options struct {
	// Token returns the bearer token. It is called for every request, and once more when the server calls a
	// token invalid. nil sends none.
	Token func(ctx context.Context) (string, error)

	// Project of the applications, "" for "default".
	Project string

	// Web speaks gRPC-web over HTTP, which any proxy passes on.
	Web bool

	// AllowInsecureHTTP permits http:// to other hosts than this one. The token travels in the clear.
	AllowInsecureHTTP bool

	// TLS holds the certificate authorities and the client certificate; nil for the system's authorities.
	// With Web and an HTTPClient it must be nil.
	TLS *tls.Config

	// HTTPClient is used with Web, and only there; nil is a client with bounds on each phase of a request.
	// Its Timeout must be zero, as it would cut streams.
	HTTPClient *http.Client

	// RequestTimeout bounds a single request, a refresh included; 0 for 30 s.
	RequestTimeout time.Duration
}

// Client is an [argocd.Client] that holds a connection.
type Client struct {
	*argocd.Client

	close func() error
}

// Close ends the connection and what is under way on it.
func (c *Client) Close() error { return c.close() }

// maxMessage bounds one message from the server, in bytes.
const maxMessage = 64 << 20

// New returns a client of the Argo CD at server: "https://argocd.example.com", with "http://" for plain text
// and, with Web, perhaps a root path. It connects when first used.
func New(server string, o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	u, err := url.Parse(server)
	if err == nil {
		err = o.check(u)
	} else {
		err = errors.New("server: not a URL")
	}
	if err != nil {
		return nil, &argocd.Error{Op: "new", Kind: argocd.ErrInvalid, Err: err}
	}
	api := &api{token: o.Token, secure: u.Scheme == "https"}
	var done func() error
	if o.Web {
		conn := newWebConn(u, o)
		api.conn, done = conn, conn.close
	} else {
		conn, err := dial(u, o)
		if err != nil {
			return nil, &argocd.Error{Op: "new", Kind: argocd.ErrInvalid, Err: err}
		}
		api.conn, done = conn, conn.Close
	}
	return &Client{Client: argocd.NewFromAPI(api, o.Project, o.RequestTimeout), close: done}, nil
}

func (o *Options) check(u *url.URL) error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", field, fmt.Errorf(format, args...)))
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		bad("server", "%q is not an http or https URL with a host", httpx.RedactURL(u))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		bad("server", "the URL must not have user, query or fragment; a token goes into Options.Token")
	case u.Scheme == "http" && !o.AllowInsecureHTTP && !httpx.IsLoopback(u.Host):
		bad("server", "%s is plain text; use https, or set Options.AllowInsecureHTTP", httpx.RedactURL(u))
	case !o.Web && strings.Trim(u.Path, "/") != "":
		bad("server", "%s has a path, which only gRPC-web can serve; set Options.Web", httpx.RedactURL(u))
	}
	if !o.Web && o.HTTPClient != nil {
		bad("HTTPClient", "is for Web only")
	}
	if o.HTTPClient != nil && o.TLS != nil {
		bad("TLS", "set it on the transport of HTTPClient")
	}
	if o.HTTPClient != nil && o.HTTPClient.Timeout != 0 {
		bad("HTTPClient", "its Timeout would cut streams; use RequestTimeout")
	}
	if o.RequestTimeout < 0 {
		bad("RequestTimeout", "negative")
	}
	return errors.Join(errs...)
}

func dial(u *url.URL, o *Options) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if u.Scheme == "https" {
		creds = credentials.NewTLS(o.TLS)
	}
	host := u.Host
	if u.Port() == "" {
		host += map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
	}
	return grpc.NewClient(host,
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDisableRetry(), // argocd tries again where that is right
		grpc.WithDisableServiceConfig(),
	)
}
