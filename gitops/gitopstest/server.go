package gitopstest

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
)

// Options configures a server. The zero value lets everybody read and write, and allows partial clones.
type Options struct {
	// Users maps names to passwords or tokens. If there are any, every request needs one of them.
	Users map[string]string

	// ReadOnly lists users who may not push.
	ReadOnly []string

	// DisableFilter makes a server that knows no partial clone, as git is without uploadpack.allowFilter.
	DisableFilter bool

	// RequireMultiACK refuses clients that do not say multi_ack, as Azure DevOps does.
	RequireMultiACK bool

	// HideSymref leaves out where HEAD points to, as very old servers do.
	HideSymref bool

	// Latency is added to every reply.
	Latency time.Duration
}

// Server is a git server. It is safe for concurrent use.
type Server struct {
	URL string // repositories stand below it by name

	o    Options
	http *httptest.Server

	mu       sync.Mutex
	repos    map[string]*Repository
	requests []Request
	faults   []*Fault
}

// TB is the part of [testing.TB] that NewServer needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// NewServer starts a server that ends with the test.
func NewServer(tb TB, o *Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatalf("gitopstest: %v", err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// Start starts a server on a free port of this machine.
func Start(o *Options) (*Server, error) {
	s := &Server{repos: map[string]*Repository{}}
	if o != nil {
		s.o = *o
	}
	for _, name := range s.o.ReadOnly {
		if _, ok := s.o.Users[name]; !ok {
			return nil, fmt.Errorf("gitopstest: start: ReadOnly names %q, who is not among Users", name)
		}
	}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s, nil
}

// Close ends the server and all its connections.
func (s *Server) Close() error {
	s.http.CloseClientConnections()
	s.http.Close()
	return nil
}

// Create makes a repository whose branch main holds these files in one commit. Without files it is empty. A
// repository of that name is replaced.
func (s *Server) Create(name string, files map[string]string) *Repository {
	r := &Repository{server: s, name: name, head: "refs/heads/main", store: gitobj.New(maxRepository), refs: map[string]hash{}}
	if len(files) > 0 {
		r.Commit("main", "Initial commit", files)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[name] = r
	return r
}

// Request is one request the server has seen.
type Request struct {
	Repository string
	Service    string // "git-upload-pack" or "git-receive-pack"
	Advertise  bool   // the request for references in front of the service
	User       string // empty without credentials
	Status     int    // HTTP

	Wants, Haves []string // upload-pack: hashes
	Depth        int
	Filter       string
	Commands     []Command // receive-pack
	BytesIn      int64
	BytesOut     int64
}

// Command is one reference a push asked to move.
type Command struct {
	Ref, Old, New string // full name, hashes; a hash of zeros is none
	Status        string // "ok", or why not
}

// Requests returns what was asked so far, in order of the replies' ends.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Reset forgets the requests and the faults that are left.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.faults = nil, nil
}

// maxRequest bounds the body of a request.
const maxRequest = 1 << 30

// ServeHTTP makes a Server an [http.Handler], for those who want to wrap it.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	out := &countingWriter{ResponseWriter: w, status: http.StatusOK}
	seen := Request{Service: req.URL.Query().Get("service")}
	in := &countingReader{r: http.MaxBytesReader(w, req.Body, maxRequest)}
	defer func() {
		seen.Status, seen.BytesIn, seen.BytesOut = out.status, in.n, out.n
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, seen)
	}()
	if !sleep(req.Context(), s.o.Latency) {
		return
	}

	name, what := "", ""
	for _, suffix := range []string{"/info/refs", "/git-upload-pack", "/git-receive-pack"} {
		if n, ok := strings.CutSuffix(req.URL.Path, suffix); ok {
			name, what = strings.TrimPrefix(n, "/"), suffix[1:]
		}
	}
	seen.Repository = name
	seen.Advertise = what == "info/refs"
	if !seen.Advertise {
		seen.Service = what
	}
	user, ok := s.authenticate(req)
	seen.User = user
	switch {
	case !ok:
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(out, "authentication required", http.StatusUnauthorized)
		return
	case seen.Service != "git-upload-pack" && seen.Service != "git-receive-pack":
		http.Error(out, "only smart HTTP is spoken here", http.StatusForbidden)
		return
	case seen.Service == "git-receive-pack" && slices.Contains(s.o.ReadOnly, user):
		http.Error(out, "this user may not push", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	repo := s.repos[name]
	s.mu.Unlock()
	if repo == nil {
		http.Error(out, "repository not found", http.StatusNotFound)
		return
	}
	fault := s.fault(&seen)
	if !sleep(req.Context(), fault.Delay) {
		return
	}
	if fault.Status != 0 {
		if fault.RetryAfter != "" {
			w.Header().Set("Retry-After", fault.RetryAfter)
		}
		http.Error(out, "scripted fault", fault.Status)
		return
	}
	if fault.Cut > 0 {
		out.cut = fault.Cut
	}
	w.Header().Set("Cache-Control", "no-cache")
	if seen.Advertise {
		w.Header().Set("Content-Type", "application/x-"+seen.Service+"-advertisement")
		repo.advertise(out, seen.Service)
		return
	}
	var body io.Reader = in
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
			return
		}
		body = io.LimitReader(z, maxRequest)
	}
	w.Header().Set("Content-Type", "application/x-"+seen.Service+"-result")
	if seen.Service == "git-upload-pack" {
		repo.uploadPack(out, body, &seen)
	} else {
		repo.receivePack(out, body, &seen, fault)
	}
}

// authenticate returns the user of a request, and whether it may go on.
func (s *Server) authenticate(req *http.Request) (string, bool) {
	user, password, given := req.BasicAuth()
	if len(s.o.Users) == 0 {
		return user, true
	}
	want, known := s.o.Users[user]
	return user, given && known && want == password
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// hangUp closes the connection, in the middle of a reply if one has begun.
func hangUp() {
	panic(http.ErrAbortHandler) // how net/http wants to be told
}

// countingWriter counts a reply, and cuts it where a fault says so.
type countingWriter struct {
	http.ResponseWriter
	status int
	n      int64
	cut    int64
}

func (c *countingWriter) WriteHeader(code int) {
	c.status = code
	c.ResponseWriter.WriteHeader(code)
}

func (c *countingWriter) Write(p []byte) (int, error) {
	if c.cut > 0 && c.n+int64(len(p)) > c.cut {
		n, _ := c.ResponseWriter.Write(p[:c.cut-c.n])
		c.n += int64(n)
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		hangUp()
	}
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}
