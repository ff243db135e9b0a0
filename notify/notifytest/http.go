package notifytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// HTTPOptions of an [HTTPServer].
type HTTPOptions struct {
	Addr string // where to listen; default 127.0.0.1:0
	TLS  bool   // https, with a certificate that HTTPServer.RootCAs trusts

	// Token is what Slack's chat.postMessage wants as bearer token; default "xoxb-test".
	Token string

	// Status is what a generic webhook answers; default 200.
	Status int
}

// HTTPFault makes an HTTPServer misbehave.
type HTTPFault struct {
	Skip int  // lets so many requests pass first
	Once bool // strikes a single time

	Keep   bool // does what was asked all the same, before it fails
	Delay  time.Duration
	Status int // answered instead; 0 with none of the below: nothing is changed but the delay
	Header http.Header
	Body   string

	CloseEarly bool          // closes the connection before the request's body is read
	Close      bool          // closes it after the body, without an answer
	Silent     bool          // never answers
	Drip       time.Duration // answers 200 one byte at a time with this pause between them, for ever
	Do         func()        // called when it strikes, after Keep
}

// Post is a request an HTTPServer got.
type Post struct {
	Method   string
	Path     string // with the query
	Header   http.Header
	Body     []byte
	Problems []string // what the channel's documented limits and schema have against the body
	Taken    bool     // the message is where people read it, whatever was answered
}

// HTTPServer stands in for a channel over HTTP: it checks what is posted as the real one would and keeps it.
type HTTPServer struct {
	// URL is the address to post to: for Slack's webhook, Teams and generic webhooks with a secret in it.
	URL     string
	APIURL  string         // Slack only: chat.postMessage
	Token   string         // Slack only: the bearer token for it
	Secret  string         // the part of URL that must not be seen anywhere
	RootCAs *x509.CertPool // with TLS

	kind   channel
	o      HTTPOptions
	srv    *http.Server
	done   chan struct{}
	served chan struct{}

	mu     sync.Mutex
	posts  []Post
	faults []*HTTPFault
	seq    int
}

// channel is what makes one service's server differ from another's.
type channel struct {
	name  string
	path  string // of the webhook; the secret comes after it
	query string // and this after the secret
	check func(body []byte) []string
	reply func(s *HTTPServer, w http.ResponseWriter, r *http.Request, p *Post)
}

// NewSlackServer starts a server for Slack's incoming webhooks and chat.postMessage that ends with the test. o may be nil.
func NewSlackServer(tb testing.TB, o *HTTPOptions) *HTTPServer { return newHTTP(tb, slackChannel, o) }

// NewTeamsServer starts a server for Teams' workflow webhooks that ends with the test. o may be nil.
func NewTeamsServer(tb testing.TB, o *HTTPOptions) *HTTPServer { return newHTTP(tb, teamsChannel, o) }

// NewWebhookServer starts a server for generic webhooks, which takes any JSON, that ends with the test. o may be nil.
func NewWebhookServer(tb testing.TB, o *HTTPOptions) *HTTPServer {
	return newHTTP(tb, webhookChannel, o)
}

// StartSlack is NewSlackServer without a test; end it with Close.
func StartSlack(o *HTTPOptions) (*HTTPServer, error) { return startHTTP(slackChannel, o) }

// StartTeams is NewTeamsServer without a test; end it with Close.
func StartTeams(o *HTTPOptions) (*HTTPServer, error) { return startHTTP(teamsChannel, o) }

// StartWebhook is NewWebhookServer without a test; end it with Close.
func StartWebhook(o *HTTPOptions) (*HTTPServer, error) { return startHTTP(webhookChannel, o) }

func newHTTP(tb testing.TB, kind channel, o *HTTPOptions) *HTTPServer {
	tb.Helper()
	s, err := startHTTP(kind, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func startHTTP(kind channel, o *HTTPOptions) (*HTTPServer, error) {
	s := &HTTPServer{kind: kind, done: make(chan struct{}), served: make(chan struct{})}
	if o != nil {
		s.o = *o
	}
	if s.o.Addr == "" {
		s.o.Addr = "127.0.0.1:0"
	}
	if s.o.Token == "" {
		s.o.Token = "xoxb-test"
	}
	if s.o.Status == 0 {
		s.o.Status = http.StatusOK
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", s.o.Addr)
	if err != nil {
		return nil, fmt.Errorf("notifytest: %w", err)
	}
	scheme := "http"
	addr := ln.Addr().String()
	if s.o.TLS {
		ca, err := newCA()
		if err != nil {
			_ = ln.Close()
			return nil, err
		}
		scheme, s.RootCAs = "https", ca.pool
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{ca.leaf}, MinVersion: tls.VersionTLS12})
	}
	s.Secret = "s3cr3t-hook-path"
	s.URL = scheme + "://" + addr + kind.path + s.Secret + kind.query
	s.APIURL, s.Token = scheme+"://"+addr+"/api/chat.postMessage", s.o.Token
	s.srv = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // clients leave in the middle: that is what it is for
	}
	go func() {
		defer close(s.served)
		_ = s.srv.Serve(ln)
	}()
	return s, nil
}

// Close ends the server and its connections.
func (s *HTTPServer) Close() error {
	s.mu.Lock()
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	s.mu.Unlock()
	err := s.srv.Close()
	<-s.served
	return err
}

// Fail adds faults. Each strikes at the first request it fits, in the order they were added.
func (s *HTTPServer) Fail(faults ...HTTPFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &f)
	}
}

// Heal takes all faults away.
func (s *HTTPServer) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Posts returns the requests so far, oldest first.
func (s *HTTPServer) Posts() []Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.posts)
}

// Taken returns those posts that people can read.
func (s *HTTPServer) Taken() []Post {
	return slices.DeleteFunc(s.Posts(), func(p Post) bool { return !p.Taken })
}

func (s *HTTPServer) strike() *HTTPFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Once {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return f
	}
	return nil
}

// maxPost bounds what is read of a request.
const maxPost = 64 << 20

func (s *HTTPServer) serve(w http.ResponseWriter, r *http.Request) {
	f := s.strike()
	if f != nil && f.CloseEarly {
		s.keep(Post{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone()})
		hangUp(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPost))
	if err != nil {
		return
	}
	p := Post{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: body}
	if f == nil || f.slow() {
		if f == nil || s.wait(r, f.Delay) {
			s.answer(w, r, &p)
		}
		s.keep(p) // before the answer leaves: the client may look at once
		return
	}
	if f.Keep {
		s.answer(discard{http.Header{}}, r, &p)
	}
	s.keep(p)
	if f.Do != nil {
		f.Do()
	}
	if !s.wait(r, f.Delay) {
		return
	}
	maps.Copy(w.Header(), f.Header)
	switch {
	case f.Close:
		hangUp(w)
	case f.Silent:
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
	case f.Drip > 0:
		for s.wait(r, f.Drip) {
			_, _ = w.Write([]byte("."))
			_ = http.NewResponseController(w).Flush()
		}
	case f.Status != 0:
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
	}
}

// slow reports whether the fault is a delay and nothing else.
func (f *HTTPFault) slow() bool {
	return f.Delay > 0 && !f.Keep && !f.Close && !f.Silent && f.Drip == 0 && f.Status == 0
}

func (s *HTTPServer) keep(p Post) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts = append(s.posts, p)
}

// answer does what the real service does with p.
func (s *HTTPServer) answer(w http.ResponseWriter, r *http.Request, p *Post) {
	isAPI := s.kind.name == "slack" && r.URL.Path == "/api/chat.postMessage"
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method_not_allowed", http.StatusMethodNotAllowed)
	case !isAPI && r.URL.RequestURI() != s.kind.path+s.Secret+s.kind.query:
		http.Error(w, "no_service", http.StatusNotFound)
	default:
		p.Problems = s.kind.check(p.Body)
		s.kind.reply(s, w, r, p)
	}
}

func (s *HTTPServer) wait(r *http.Request, d time.Duration) bool {
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.done:
	}
	return false
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func isJSON(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/json")
}
