// Package imagetest is a registry for tests: the OCI distribution API in process, held in memory, with TLS,
// logins, scripted faults and a log of the requests. Any client can talk to it; crane, docker and skopeo do.
//
//	reg := imagetest.NewServer(t, nil)
//	pushed, err := client.Push(ctx, layout, []string{reg.Host() + "/shop/cart:1"}, nil)
//
// It keeps each repository's blobs apart, as registries do, so that a mount is a mount and a missing blob is
// missing. [Checks] is the suite that this registry and real ones pass alike.
package imagetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Options are the options of [Start] and [NewServer]. The zero value is an open registry over plain HTTP on a
// loopback address.
type Options struct {
	TLS bool // serve HTTPS with a certificate made for this server; see [Server.HTTPClient]

	// User and Password protect everything when User is set: by basic authentication, or with Token by
	// bearer tokens that the server hands out itself.
	User     string
	Password string
	Token    bool
	TokenTTL time.Duration // 0 means five minutes

	// IdentityToken is accepted by the token server as an OAuth 2 refresh token, beside the password.
	IdentityToken string

	Azure *Azure // logins as Azure Container Registry has them; implies Token

	ImmutableTags bool // a tag that exists is not moved (409)
	NoReferrers   bool // as registries from before version 1.1 of the specification
	NoMount       bool // a mount is answered with an upload session
	ReadOnly      bool // writes are refused (405)
}

// Server is a running registry.
type Server struct {
	opts Options
	http *http.Server
	ln   net.Listener
	cert *x509.Certificate
	stop chan struct{}  // closed by Close
	busy sync.WaitGroup // the accept loop and all handlers
	once sync.Once
	err  error

	mu       sync.Mutex
	repos    map[string]*repo
	sessions map[string]*session
	tokens   map[string]*grant
	faults   []*Fault
	requests []Request
}

// NewServer starts a registry that ends with the test.
func NewServer(tb testing.TB, o *Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatalf("imagetest: %v", err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// Start starts a registry. It must be closed.
func Start(o *Options) (*Server, error) {
	if o == nil {
		o = &Options{}
	}
	if o.Token && o.User == "" && o.Azure == nil {
		return nil, errors.New("imagetest: Options.Token needs a User")
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts: *o, ln: ln, stop: make(chan struct{}),
		repos: map[string]*repo{}, sessions: map[string]*session{}, tokens: map[string]*grant{},
	}
	if o.Azure != nil {
		s.opts.Token = true
	}
	if s.opts.TokenTTL == 0 {
		s.opts.TokenTTL = 5 * time.Minute
	}
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	serve := s.http.Serve
	if o.TLS {
		pair, leaf, err := certificate()
		if err != nil {
			_ = ln.Close()
			return nil, err
		}
		s.cert = leaf
		s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	s.busy.Go(func() { _ = serve(ln) })
	return s, nil
}

// Close ends the registry and every connection to it. Calling it again does nothing.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		close(s.stop) // under the lock, so that no handler begins to be waited for afterwards
		s.mu.Unlock()
		s.err = s.http.Close()
		s.busy.Wait()
	})
	return s.err
}

// Host is the registry's host and port, as references begin with it.
func (s *Server) Host() string { return s.ln.Addr().String() }

// URL is where the registry's API is.
func (s *Server) URL() string {
	if s.opts.TLS {
		return "https://" + s.Host()
	}
	return "http://" + s.Host()
}

// HTTPClient returns a client that trusts the server's certificate.
func (s *Server) HTTPClient() *http.Client {
	pool := x509.NewCertPool()
	if s.cert != nil {
		pool.AddCert(s.cert)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
}

// Certificate is the server's certificate, which is its own authority; nil without TLS.
func (s *Server) Certificate() *x509.Certificate { return s.cert }

func certificate() (tls.Certificate, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "imagetest"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		DNSNames:     []string{"localhost"},
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, leaf, err
}

// begin counts a handler, unless the server is being closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stop:
		return false
	default:
		s.busy.Add(1)
		return true
	}
}
