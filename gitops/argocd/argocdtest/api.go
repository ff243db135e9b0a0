package argocdtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/gitops/argocd"
)

// Handler returns the REST API, for a server of the caller's own.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, op string, h func(w http.ResponseWriter, r *http.Request, ap *app, f *Fault)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, op, h) })
	}
	const one = "/api/v1/applications/{name}"
	handle("GET "+one, "get", s.get)
	handle("POST "+one+"/sync", "sync", s.sync)
	handle("POST "+one+"/rollback", "rollback", s.rollback)
	handle("DELETE "+one+"/operation", "terminate", s.terminate)
	handle("GET "+one+"/resource-tree", "tree", s.tree)
	handle("GET "+one+"/managed-resources", "managed", s.managed)
	handle("GET /api/v1/stream/applications", "watch", s.watch)
	handle("GET /api/v1/applications", "list", s.list)
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"Version": "v3.3.9+waybill.fake"})
	})
	return mux
}

// body is the part of all request bodies that names the application, with the parts of sync and rollback.
type body struct {
	argocd.SyncRequest
	ID           int64  `json:"id"`
	Project      string `json:"project"`
	AppNamespace string `json:"appNamespace"`
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, op string, h func(http.ResponseWriter, *http.Request, *app, *Fault)) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if err != nil {
		refuse(w, http.StatusBadRequest, argocd.CodeInvalidArgument, err.Error())
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, strings.TrimPrefix(r.URL.Path, "/api/v1"), r.URL.RawQuery, string(b)})
	s.mu.Unlock()
	q := r.URL.Query()
	if op == "get" && q.Get("refresh") != "" {
		op = "refresh"
	}
	name := r.PathValue("name")
	if op == "watch" {
		name = q.Get("name")
	}
	f := s.fault(op, name)
	if f == nil {
		f = &Fault{}
	}
	if f.Delay > 0 && !s.wait(r, f.Delay) {
		return
	}
	if f.Status != 0 {
		refuse(w, f.Status, codeOf(f.Status), f.Message)
		return
	}
	if s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token {
		message := "no session information"
		if r.Header.Get("Authorization") != "" {
			message = "invalid session: signature is invalid"
		}
		if op == "watch" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"grpc_code": 16, "http_code": 401, "message": message, "http_status": "Unauthorized"}})
			return
		}
		refuse(w, http.StatusUnauthorized, argocd.CodeUnauthenticated, message)
		return
	}
	if r.Method != http.MethodGet && r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "Invalid content type", http.StatusUnsupportedMediaType)
		return
	}
	var in body
	if len(b) > 0 {
		if err := json.Unmarshal(b, &in); err != nil {
			refuse(w, http.StatusBadRequest, argocd.CodeInvalidArgument, err.Error())
			return
		}
	}
	var ap *app
	if op != "watch" && op != "list" {
		project := in.Project
		if r.Method != http.MethodPost {
			project = q.Get("project")
		}
		s.mu.Lock()
		ap = s.apps[name]
		s.mu.Unlock()
		if ap == nil || project != "" && project != ap.Project {
			if project == "" { // who does not name the project is not told what exists
				refuse(w, http.StatusForbidden, argocd.CodePermissionDenied, "permission denied")
			} else {
				refuse(w, http.StatusNotFound, argocd.CodeNotFound, fmt.Sprintf("applications.argoproj.io %q not found", name))
			}
			return
		}
	}
	r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, in))
	if op == "watch" {
		h(w, r, ap, f)
		return
	}
	answer := &answer{ResponseWriter: w, status: http.StatusOK}
	h(answer, r, ap, f)
	if f.Drop {
		abort()
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body.Bytes())
}

// answer holds a handler's answer back until it is whole, so that nothing is written under the lock.
type answer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (s *Server) wait(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.ctx.Done():
	}
	return false
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, ap *app, f *Fault) {
	if r.URL.Query().Get("refresh") != "" && !f.Stale {
		if err := s.reconcile(r.Context(), ap); err != nil {
			refuse(w, http.StatusGatewayTimeout, argocd.CodeDeadlineExceeded, "application refresh deadline exceeded")
			return
		}
	}
	s.show(w, ap)
}

func (s *Server) show(w http.ResponseWriter, ap *app) {
	s.mu.Lock()
	view := ap.view()
	s.mu.Unlock()
	reply(w, view)
}

func (s *Server) sync(w http.ResponseWriter, r *http.Request, ap *app, f *Fault) {
	in := bodyOf(r)
	if in.Revision != "" && !commit.MatchString(in.Revision) {
		_, sha, err := s.opts.Source(r.Context(), in.Revision)
		if err != nil {
			refuse(w, http.StatusBadRequest, argocd.CodeFailedPrecondition, fmt.Sprintf("error resolving repo revision: rpc error: code = Unknown desc = unable to resolve '%s' to a commit SHA", in.Revision))
			return
		}
		in.Revision = sha
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.blocked:
		refuse(w, http.StatusForbidden, argocd.CodePermissionDenied, "cannot sync: blocked by sync window")
		return
	case ap.AutoSync && in.Revision != "" && in.Revision != ap.TargetRevision && !in.DryRun:
		refuse(w, http.StatusBadRequest, argocd.CodeFailedPrecondition, fmt.Sprintf("Cannot sync to %s: auto-sync currently set to %s", in.Revision, ap.TargetRevision))
		return
	}
	op := &argocd.Operation{
		Sync:        &argocd.SyncOperation{Revision: in.Revision, Prune: in.Prune, DryRun: in.DryRun, Strategy: in.Strategy, Resources: in.Resources},
		InitiatedBy: argocd.Initiator{Username: "ci"}, Info: in.Infos, Retry: in.RetryStrategy,
	}
	if in.SyncOptions != nil {
		op.Sync.SyncOptions = in.SyncOptions.Items
	}
	other := &argocd.Operation{Sync: &argocd.SyncOperation{Revision: ap.revision}, InitiatedBy: argocd.Initiator{Username: "somebody"}}
	if f.Busy {
		s.setOperation(ap, other)
	}
	if !s.setOperation(ap, op) {
		busy(w)
		return
	}
	view := ap.view()
	if f.Replace {
		ap.operation = nil
		s.setOperation(ap, other)
	}
	reply(w, view)
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request, ap *app, _ *Fault) {
	in := bodyOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(ap.history, func(h argocd.HistoryEntry) bool { return h.ID == in.ID })
	switch {
	case ap.AutoSync:
		refuse(w, http.StatusBadRequest, argocd.CodeFailedPrecondition, "rollback cannot be initiated when auto-sync is enabled")
	case i < 0:
		refuse(w, http.StatusBadRequest, argocd.CodeInvalidArgument, fmt.Sprintf("application argocd/%s does not have deployment with id %d", ap.Name, in.ID))
	case !s.setOperation(ap, &argocd.Operation{
		Sync: &argocd.SyncOperation{
			Revision: ap.history[i].Revision, Source: ap.history[i].Source, Prune: in.Prune, DryRun: in.DryRun, Strategy: &argocd.SyncStrategy{Apply: &argocd.Force{}},
		},
		InitiatedBy: argocd.Initiator{Username: "ci"},
	}):
		busy(w)
	default:
		reply(w, ap.view())
	}
}

func (s *Server) terminate(w http.ResponseWriter, _ *http.Request, ap *app, _ *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ap.operation == nil {
		refuse(w, http.StatusBadRequest, argocd.CodeInvalidArgument, "Unable to terminate operation. No operation is in progress")
		return
	}
	ap.terminated = true
	reply(w, map[string]any{})
}

func (s *Server) tree(w http.ResponseWriter, _ *http.Request, ap *app, _ *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := []argocd.Node{}
	for _, r := range ap.resources() {
		n := argocd.Node{Group: r.Group, Version: r.Version, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, Health: r.Health}
		key := manifest{Resource: Resource{Group: r.Group, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}}.key()
		if l := ap.live[key]; l != nil {
			n.UID = fmt.Sprintf("%s-%d", ap.uid[:23], l.generation)
			n.Images = l.Images
		}
		nodes = append(nodes, n)
	}
	reply(w, map[string]any{"nodes": nodes})
}

func (s *Server) managed(w http.ResponseWriter, _ *http.Request, ap *app, _ *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []map[string]string{}
	for _, r := range ap.resources() {
		key := manifest{Resource: Resource{Group: r.Group, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}}.key()
		item := map[string]string{"group": r.Group, "kind": r.Kind, "namespace": r.Namespace, "name": r.Name, "targetState": "null", "liveState": "null"}
		if l := ap.live[key]; l != nil {
			item["liveState"] = l.text
		}
		if m, ok := ap.target[key]; ok {
			item["targetState"] = m.text
		}
		items = append(items, item)
	}
	reply(w, map[string]any{"items": items})
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, _ *app, _ *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	projects := append(r.URL.Query()["project"], r.URL.Query()["projects"]...)
	items := []*argocd.Application{}
	for _, name := range sortedKeys(s.apps) {
		if ap := s.apps[name]; len(projects) == 0 || slices.Contains(projects, ap.Project) {
			items = append(items, ap.view())
		}
	}
	reply(w, map[string]any{"metadata": map[string]string{"resourceVersion": strconv.Itoa(s.version)}, "items": items})
}

// watch streams changes. For an application that does not exist it stays silent for ever, without headers, as
// the real server does.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, _ *app, f *Fault) {
	if f.NoHeader {
		s.hang(r)
		return
	}
	q := r.URL.Query()
	since, _ := strconv.Atoi(q.Get("resourceVersion"))
	s.mu.Lock()
	stream := &watcher{name: q.Get("name"), events: make(chan argocd.Event, 1000+len(s.apps))}
	for _, name := range sortedKeys(s.apps) {
		ap := s.apps[name]
		if (stream.name == "" || stream.name == name) && ap.version >= since {
			stream.events <- argocd.Event{Type: "ADDED", Application: *ap.view()}
		}
	}
	s.watchers[stream] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, stream)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w)
	for sent := 0; ; {
		select {
		case <-r.Context().Done():
			return
		case <-s.ctx.Done():
			return
		case ev, open := <-stream.events:
			if !open {
				abort()
			}
			projects := append(q["project"], q["projects"]...)
			if len(projects) > 0 && !slices.Contains(projects, ev.Application.Spec.Project) {
				continue
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"result": ev})
			_ = flush.Flush()
			if sent++; f.CutAfter > 0 && sent >= f.CutAfter {
				abort() // in the middle of the chunked body
			}
			if f.Silent {
				s.hang(r)
				return
			}
		}
	}
}

func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.ctx.Done():
	}
}

func busy(w http.ResponseWriter) {
	refuse(w, http.StatusBadRequest, argocd.CodeFailedPrecondition, "another operation is already in progress")
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code argocd.Code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": message, "code": code, "message": message})
}

func codeOf(status int) argocd.Code {
	switch status {
	case http.StatusUnauthorized:
		return argocd.CodeUnauthenticated
	case http.StatusForbidden:
		return argocd.CodePermissionDenied
	case http.StatusNotFound:
		return argocd.CodeNotFound
	case http.StatusBadRequest:
		return argocd.CodeFailedPrecondition
	case http.StatusInternalServerError:
		return argocd.CodeUnknown
	}
	return argocd.CodeUnavailable
}

// abort cuts the connection.
func abort() {
	panic(http.ErrAbortHandler) // net/http's own way for a handler to break off
}

type bodyKey struct{}

func bodyOf(r *http.Request) body {
	in, _ := r.Context().Value(bodyKey{}).(body)
	return in
}
