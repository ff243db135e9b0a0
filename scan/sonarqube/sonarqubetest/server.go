// Package sonarqubetest is a SonarQube server for tests: it answers the web API that package sonarqube and other
// clients use, and computes its quality gate from the tests, coverage and findings submitted to it.
//
// Instead of sonar-scanner's upload, which is private to the server, [Server.Submit] takes an analysis as a
// [report.Report]. The answers were compared with those of a SonarQube 25.11 server; [TestBackend] is the suite
// both pass.
package sonarqubetest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/report"
)

// Options for [NewServer]. The zero value is a server of version 25.11 with [DefaultGate].
type Options struct {
	Version string      // "" is 25.11.0.114957
	Token   string      // "" is "squ_test"
	Gate    []Condition // nil is DefaultGate, empty is no gate
	Pending int         // how often a task is asked about before it is done; 0 is once, below 0 never
}

// Condition of a quality gate: it fails when the metric is less (LT) or greater (GT) than Error.
type Condition struct {
	Metric string  // such as "coverage", "test_failures", "violations", "vulnerabilities"
	Op     string  // "LT" or "GT"
	Error  float64 // threshold
}

// DefaultGate wants passing tests, 80 % of lines covered, and no issue and no unreviewed hotspot.
func DefaultGate() []Condition {
	return []Condition{
		{"test_failures", "GT", 0}, {"test_errors", "GT", 0}, {"coverage", "LT", 80}, {"violations", "GT", 0}, {"security_hotspots", "GT", 0},
	}
}

// Analysis is what a scanner would upload.
type Analysis struct {
	Project     string
	Branch      string         // "" is the main branch
	PullRequest string         // key; "" is none
	Report      *report.Report // tests, coverage, findings; those of report.KindReview are security hotspots

	Empty  bool   // the scanner found no file of a language the server knows
	Fail   string // the server fails to process it, with this message
	Cancel bool   // somebody cancels it
	Hang   bool   // it is never done
}

// Request is a request the server got.
type Request struct {
	Method, Path string
	Query        url.Values
	Auth         string // "bearer", "basic" or ""
}

// Fault spoils answers.
type Fault struct {
	Path   string // of the API, such as "/api/ce/task"; "" is every path
	Times  int    // how many answers; 0 is one, below 0 all
	Status int    // answer with this status
	Header http.Header
	Body   string        // and this body
	Delay  time.Duration // wait before the answer, at most until the client gives up
	Drop   bool          // close the connection without an answer
	Cut    bool          // send half of the proper answer
}

// Server is a SonarQube server for tests. Make one with [NewServer] or [Start].
type Server struct {
	URL   string
	Token string

	o   Options
	srv *httptest.Server

	mu       sync.Mutex
	tasks    map[string]*task
	branches map[branchKey]*branch
	requests []Request
	faults   []*Fault
}

type branchKey struct{ project, branch, pullRequest string }

// branch is what the server knows of a branch or pull request: the state after its last analysis.
type branch struct {
	issues, hotspots []entry
	files            []string
	measures         map[string]float64
}

type task struct {
	id, analysis string
	a            Analysis
	asked        int
	done         bool
	gate         map[string]any // as it was when the task was done
}

// TB is the part of [testing.TB] that NewServer needs.
type TB interface {
	Helper()
	Cleanup(f func())
	Fatalf(format string, args ...any)
}

// NewServer starts a server that ends with the test.
func NewServer(tb TB, o *Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatalf("sonarqubetest: %v", err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// Start starts a server on a free port of 127.0.0.1. Close ends it.
func Start(o *Options) (*Server, error) {
	if o == nil {
		o = &Options{}
	}
	s := &Server{o: *o, tasks: map[string]*task{}, branches: map[branchKey]*branch{}}
	s.o.Version = cmp.Or(o.Version, "25.11.0.114957")
	s.o.Token = cmp.Or(o.Token, "squ_test")
	if s.o.Gate == nil {
		s.o.Gate = DefaultGate()
	}
	for _, c := range s.o.Gate {
		if c.Op != "LT" && c.Op != "GT" {
			return nil, fmt.Errorf("the condition on %s has the operator %q, not LT or GT", c.Metric, c.Op)
		}
	}
	s.srv = httptest.NewServer(s)
	s.URL, s.Token = s.srv.URL, s.o.Token
	return s, nil
}

// Close ends the server. It returns nil.
func (s *Server) Close() error {
	s.srv.CloseClientConnections()
	s.srv.Close()
	return nil
}

// Submit hands in an analysis and returns the task that processes it. A project, branch or pull request is made
// when it is first analysed.
func (s *Server) Submit(a Analysis) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id = fmt.Sprintf("task-%d", len(s.tasks)+1)
	s.tasks[id] = &task{id: id, analysis: fmt.Sprintf("analysis-%d", len(s.tasks)+1), a: a}
	key := branchKey{a.Project, a.Branch, a.PullRequest}
	if s.branches[key] == nil {
		s.branches[key] = &branch{measures: map[string]float64{}}
	}
	return id
}

// WriteReportTask leaves in dir what sonar-scanner leaves behind after it has uploaded an analysis:
// .scannerwork/report-task.txt.
func (s *Server) WriteReportTask(dir, id string) error {
	s.mu.Lock()
	t := s.tasks[id]
	s.mu.Unlock()
	if t == nil {
		return fmt.Errorf("sonarqubetest: no task %q", id)
	}
	lines := []string{
		"projectKey=" + t.a.Project, "serverUrl=" + s.URL, "serverVersion=" + s.o.Version,
		"dashboardUrl=" + s.URL + "/dashboard?id=" + url.QueryEscape(t.a.Project), "ceTaskId=" + id, "ceTaskUrl=" + s.URL + "/api/ce/task?id=" + id,
	}
	path := filepath.Join(dir, ".scannerwork", "report-task.txt")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// Requests returns the requests so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Inject spoils the next answers. Faults for the same path are used up one after the other.
func (s *Server) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// fault takes the fault for a request, nil when there is none.
func (s *Server) fault(path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times != 0 && (f.Path == "" || f.Path == path) {
			f.Times--
			return f
		}
	}
	return nil
}

// ServeHTTP answers the web API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	auth, ok := s.authenticate(r)
	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.URL.Query(), auth})
	s.mu.Unlock()

	rec := httptest.NewRecorder()
	s.answer(rec, r, ok)
	f := s.fault(r.URL.Path)
	if f == nil {
		f = &Fault{}
	}
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Cut:
		body := rec.Body.Bytes()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		maps.Copy(w.Header(), f.Header)
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	default:
		maps.Copy(w.Header(), rec.Header())
		maps.Copy(w.Header(), f.Header)
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}
}

// authenticate: servers before version 10 take a token as a user name only, later ones as a bearer token, too.
func (s *Server) authenticate(r *http.Request) (kind string, ok bool) {
	if user, password, basic := r.BasicAuth(); basic {
		return "basic", user == s.o.Token && password == ""
	}
	if token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); bearer {
		return "bearer", token == s.o.Token && !strings.HasPrefix(s.o.Version, "9.") && !strings.HasPrefix(s.o.Version, "8.")
	}
	return "", false
}
