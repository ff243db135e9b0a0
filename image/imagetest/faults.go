package imagetest

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Fault is something that goes wrong with a request. Give it to [Server.Fail].
type Fault struct {
	// Which requests: Method ("" is any), and a regular expression that Path must contain ("" is any).
	Method string
	Path   string
	Skip   int // so many matching requests pass first
	Times  int // how often it happens; 0 means once, -1 always

	Delay time.Duration // before anything else

	// AfterBytes is how much of the request's body is read before Status or Drop happen; what is read goes into
	// the upload session, if the request is for one, and stays there.
	AfterBytes int64

	Status int         // answer with this status instead; 401 comes with the registry's challenge, and ends all tokens
	Header http.Header // of that answer
	Body   string      // of that answer

	Drop     bool  // break the connection without an answer
	Truncate int64 // break the connection after so many bytes of the answer's body; 0 does not
	Corrupt  bool  // change the first byte of the answer's body

	// Replace is served instead of the answer's body, with the answer's status and headers.
	Replace []byte

	seen    int
	pattern *regexp.Regexp
}

// Fail scripts a fault. Faults are tried in the order they were given; the first that matches happens. It
// panics when Path is no regular expression, as that is a mistake in the test.
func (s *Server) Fail(f Fault) {
	f.pattern = regexp.MustCompile(f.Path)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// fault returns the fault for a request, nil for none.
func (s *Server) fault(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Method != "" && f.Method != r.Method || !f.pattern.MatchString(r.URL.Path) {
			continue
		}
		f.seen++
		times := f.Times
		if times == 0 {
			times = 1
		}
		if f.seen > f.Skip && (times < 0 || f.seen <= f.Skip+times) {
			return f
		}
	}
	return nil
}

// Request is a request the registry got.
type Request struct {
	Method   string
	Path     string
	Query    string      // raw
	Header   http.Header // without Authorization
	Auth     string      // "", "basic" or "bearer"
	Received int64       // bytes of the body that were read
	Status   int         // of the answer; 0 when the connection was broken
}

// Requests returns what the registry got so far, in order of arrival, token requests included.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// ResetRequests empties the log.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// serve logs a request, lets its fault happen, and hands it on.
func (s *Server) serve(rw http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		return
	}
	defer s.busy.Done()
	body := &countingBody{ReadCloser: r.Body}
	r.Body = body
	w := &recorder{ResponseWriter: rw, head: r.Method == http.MethodHead}
	broken := true
	index := s.log(r)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if index < len(s.requests) { // unless the log was emptied meanwhile
			s.requests[index].Received = body.n
			if !broken {
				s.requests[index].Status = w.status
			}
		}
	}()
	f := s.fault(r)
	if f != nil && !s.before(w, r, f, body) {
		broken = false
		return
	}
	if s.serveAzure(w, r) {
		broken = w.cut
	} else if r.URL.Path == "/token" && s.opts.Token {
		s.token(w, r)
	} else if s.authorized(w, r) {
		if err := s.handle(w, r); err != nil {
			if errors.Is(err, errCut) {
				panic(http.ErrAbortHandler)
			}
			writeError(w, err)
		}
	}
	if w.cut {
		panic(http.ErrAbortHandler)
	}
	broken = false
}

func (s *Server) log(r *http.Request) int {
	entry := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone()}
	scheme, _, _ := strings.Cut(entry.Header.Get("Authorization"), " ")
	entry.Auth = strings.ToLower(scheme)
	entry.Header.Del("Authorization")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, entry)
	return len(s.requests) - 1
}

var errCut = errors.New("connection cut")

// before does what a fault does to the request, and says whether the request is handled after it.
func (s *Server) before(w *recorder, r *http.Request, f *Fault, body *countingBody) bool {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		case <-s.stop:
		}
	}
	switch {
	case f.Drop:
		body.cutAfter, body.cuts = f.AfterBytes, true // the handler meets the cut
		if f.AfterBytes == 0 {
			panic(http.ErrAbortHandler)
		}
	case f.Status != 0:
		s.keep(r, io.LimitReader(body, f.AfterBytes))
		for k, v := range f.Header {
			w.Header()[http.CanonicalHeaderKey(k)] = v
		}
		if f.Status == http.StatusUnauthorized {
			s.ExpireTokens()
			s.challenge(w, needed(r))
		}
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
		return false
	}
	w.truncate, w.corrupt, w.replace = f.Truncate, f.Corrupt, f.Replace
	return true
}

// countingBody counts what is read of a request's body, and breaks it off for a [Fault].
type countingBody struct {
	io.ReadCloser
	n        int64
	cuts     bool
	cutAfter int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	if b.cuts {
		if b.n >= b.cutAfter {
			return 0, errCut
		}
		p = p[:min(int64(len(p)), b.cutAfter-b.n)]
	}
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

// recorder notes the status of an answer and does to its body what a [Fault] says.
type recorder struct {
	http.ResponseWriter
	head     bool
	status   int
	written  int64
	truncate int64
	corrupt  bool
	replace  []byte
	cut      bool
}

func (w *recorder) WriteHeader(status int) {
	w.status = status
	if w.replace != nil {
		w.Header().Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n := len(p)
	switch {
	case w.replace != nil:
		if w.written == 0 {
			_, _ = w.ResponseWriter.Write(w.replace)
		}
		w.written += int64(n)
		return n, nil
	case w.corrupt && w.written == 0 && n > 0:
		p = append([]byte{p[0] ^ 1}, p[1:]...)
	case w.truncate > 0 && w.written+int64(n) > w.truncate:
		w.cut = true
		p = p[:max(0, w.truncate-w.written)]
	}
	w.written += int64(n)
	_, err := w.ResponseWriter.Write(p)
	if f, ok := w.ResponseWriter.(http.Flusher); ok && w.cut {
		f.Flush()
	}
	return n, err
}
