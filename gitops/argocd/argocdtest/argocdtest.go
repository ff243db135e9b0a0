// Package argocdtest is a fake Argo CD in process: its REST API over HTTP, with a small controller behind it
// that compares, syncs and moves the health of what it "runs".
//
// Applications are plain manifests, in YAML of any style or JSON, from a tree of files that the test provides for
// each revision ([Options].Source). Whether an application is OutOfSync is computed from them; a sync applies them; pods
// take a moment to be Healthy, or do what the test scripts. Operations go through the states, and in the
// order, in which the real controller shows them: Succeeded before Synced, Synced before Healthy.
//
// What a test wants to go wrong it scripts with [Server.Fail]; what was asked of the server it reads from
// [Server.Requests].
//
// # Errors
//
// [Start] returns an error when the options are incomplete or no port can be had. A request is answered with
// the status, the code and the text that Argo CD 2.14 and 3.3 answer with. A revision that Source does not
// know, and manifests that cannot be read, become an operation in phase Error and a ComparisonError
// condition, as with the real server.
package argocdtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/gitops/argocd"
)

// TB is the part of [testing.TB] that the package needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Options of a server. Source is required.
type Options struct {
	// Source returns the files of a revision (a branch, "HEAD" or a commit) and the commit it stands for.
	// It must be safe for concurrent use.
	Source func(ctx context.Context, revision string) (fs.FS, string, error)

	// Apps that exist from the start. More come by [Server.Add].
	Apps []App

	// Token that requests must bear; "" lets everybody in.
	Token string

	// Health scripts how a resource does from the moment it was applied; nil, or an empty result, is
	// Progressing at once and Healthy 20 ms later for what runs pods, and Healthy at once for the rest.
	Health func(app string, r Resource) []Step

	// Pause before each step of an operation; 0 for 2 ms.
	Pause time.Duration

	// Poll is how often the controller compares without being asked; 0 for 3 minutes.
	Poll time.Duration

	// OnChange, when set, is called with each new state of an application, in order. It must not call the
	// server.
	OnChange func(*argocd.Application)

	// Listener to serve on; nil for a free port of 127.0.0.1.
	Listener net.Listener
}

// App is an application.
type App struct {
	Name           string
	Project        string // "" is default
	Namespace      string // that it deploys to; "" is default
	Path           string // of its manifests in the tree; "" is the root
	TargetRevision string // "" is HEAD
	RepoURL        string // shown only; "" is https://git.example.com/deploy.git
	AutoSync       bool
	Prune          bool // of the automated sync
	SelfHeal       bool
}

// Resource is one manifest.
type Resource struct {
	Group, Version, Kind, Namespace, Name string

	Images []string // of its containers
}

// Step is a health that a resource takes on some time after the step before.
type Step struct {
	After   time.Duration
	Health  argocd.HealthCode
	Message string
}

// Request is a request that the server got.
type Request struct {
	Method string
	Path   string // below /api/v1
	Query  string
	Body   string // as sent
}

// Server is a running fake.
type Server struct {
	URL   string
	Token string // that it asks for

	opts   Options
	http   *http.Server
	ctx    context.Context //nolint:containedctx // the lifetime of the server, not of a call
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.Mutex
	apps     map[string]*app
	made     int // applications
	version  int // resource version, of all applications
	watchers map[*watcher]bool
	requests []Request
	faults   []*Fault
	blocked  bool
}

// NewServer starts a server that ends with the test.
func NewServer(tb TB, o *Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// Start starts a server, which the caller closes.
func Start(o *Options) (*Server, error) {
	if o == nil || o.Source == nil {
		return nil, errors.New("argocdtest: Options.Source is required")
	}
	if slices.ContainsFunc(o.Apps, func(a App) bool { return a.Name == "" }) {
		return nil, errors.New("argocdtest: Options.Apps: an application needs a name")
	}
	l := o.Listener
	if l == nil {
		var err error
		if l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("argocdtest: %w", err)
		}
	}
	s := &Server{
		URL: "http://" + l.Addr().String(), Token: o.Token, opts: *o,
		apps: map[string]*app{}, version: 100, watchers: map[*watcher]bool{},
	}
	s.opts.Pause = orDefault(o.Pause, 2*time.Millisecond)
	s.opts.Poll = orDefault(o.Poll, 3*time.Minute)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, a := range o.Apps {
		s.Add(a)
	}
	s.http = &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	s.tasks.Go(func() { _ = s.http.Serve(l) })
	return s, nil
}

// Close ends the server, its streams and its controller, and waits for them.
func (s *Server) Close() error {
	s.cancel()
	err := s.http.Close()
	s.tasks.Wait()
	return err
}

// Add makes an application, which starts OutOfSync with nothing deployed. One of the same name is replaced.
func (s *Server) Add(a App) {
	if a.Project == "" {
		a.Project = "default"
	}
	if a.Namespace == "" {
		a.Namespace = "default"
	}
	if a.TargetRevision == "" {
		a.TargetRevision = "HEAD"
	}
	if a.RepoURL == "" {
		a.RepoURL = "https://git.example.com/deploy.git"
	}
	if a.Path == "" {
		a.Path = "."
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	ap := newApp(a, s.made)
	s.apps[a.Name] = ap
	s.publish(ap, "ADDED")
	s.tasks.Go(func() {
		tick := time.NewTicker(s.opts.Poll)
		defer tick.Stop()
		for {
			_ = s.reconcile(s.ctx, ap)
			select {
			case <-s.ctx.Done():
				return
			case <-ap.gone:
				return
			case <-tick.C:
			}
		}
	})
}

// Delete removes an application.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ap := s.apps[name]; ap != nil {
		delete(s.apps, name)
		close(ap.gone)
		s.publish(ap, "DELETED")
	}
}

// Application returns an application as the API shows it, or nil.
func (s *Server) Application(name string) *argocd.Application {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ap := s.apps[name]; ap != nil {
		return ap.view()
	}
	return nil
}

// Live returns what was applied for an application, by kind and name.
func (s *Server) Live(name string) []Resource {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Resource
	if ap := s.apps[name]; ap != nil {
		for _, key := range sortedKeys(ap.live) {
			all = append(all, ap.live[key].Resource)
		}
	}
	return all
}

// SetHealth gives a resource of an application a health, until it is applied anew.
func (s *Server) SetHealth(name, kind, resource string, code argocd.HealthCode, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ap := s.apps[name]
	if ap == nil {
		return
	}
	for _, l := range ap.live {
		if l.Kind == kind && l.Name == resource {
			l.generation++ // ends the script
			l.setHealth(code, message)
		}
	}
	s.publish(ap, "MODIFIED")
}

// Block makes a sync window forbid every sync, or lifts it.
func (s *Server) Block(blocked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = blocked
}

// SyncByOther starts a sync to a revision in somebody else's name and reports whether nothing was in its way.
func (s *Server) SyncByOther(name, revision string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ap := s.apps[name]
	return ap != nil && s.setOperation(ap, &argocd.Operation{
		Sync: &argocd.SyncOperation{Revision: revision}, InitiatedBy: argocd.Initiator{Username: "somebody"},
	})
}

// Requests returns what was asked so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}
