package argocdtest

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/gitops/argocd"
)

// app is one application with what the controller knows of it. Fields are guarded by Server.mu.
type app struct {
	App
	uid     string
	created time.Time
	gone    chan struct{} // closed when it was deleted
	compare sync.Mutex    // one comparison at a time; taken before Server.mu
	live    map[string]*liveResource
	version int // resource version

	target       map[string]manifest // of the last comparison
	revision     string              // of the last comparison
	sync         argocd.SyncCode
	reconciledAt *time.Time
	conditions   []argocd.Condition
	operation    *argocd.Operation
	state        *argocd.OperationState
	history      []argocd.HistoryEntry
	terminated   bool // the running operation shall end
	runs         int  // operations started, to tell a run from one that replaced it
}

// liveResource is an applied manifest.
type liveResource struct {
	manifest
	generation int // of the health script
	health     argocd.Health
	oldImages  []string // of pods on their way out
}

func (l *liveResource) setHealth(code argocd.HealthCode, message string) {
	l.health = argocd.Health{Status: code, Message: message}
	if code == argocd.Healthy {
		l.oldImages = nil
	}
}

func newApp(a App, number int) *app {
	return &app{
		App: a, uid: fmt.Sprintf("00000000-0000-4000-8000-%012x", number), created: now(),
		gone: make(chan struct{}), live: map[string]*liveResource{}, sync: argocd.SyncUnknown,
	}
}

// now has the resolution of Kubernetes: a second.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// pause waits for the next step of an operation, and reports false when the server has ended.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

var commit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// load reads the manifests of a revision.
func (s *Server) load(ctx context.Context, ap *app, revision string) (map[string]manifest, string, error) {
	const failed = "Failed to load target state: failed to generate manifest for source 1 of 1: "
	tree, sha, err := s.opts.Source(ctx, revision)
	if err != nil {
		return nil, "", fmt.Errorf("%srpc error: code = Unknown desc = %w", failed, err)
	}
	manifests, err := readManifests(tree, ap.Path, ap.Namespace)
	if err != nil {
		return nil, "", fmt.Errorf("%s%w", failed, err)
	}
	return manifests, sha, nil
}

// reconcile compares the application with its target revision, and starts the automated sync where one is
// due.
func (s *Server) reconcile(ctx context.Context, ap *app) error {
	ap.compare.Lock()
	defer ap.compare.Unlock()
	manifests, sha, err := s.load(ctx, ap, ap.TargetRevision)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := now()
	ap.reconciledAt = &t
	ap.conditions = nil
	if err != nil {
		ap.sync, ap.revision = argocd.SyncUnknown, "" // there is no telling what it would be
		ap.conditions = append(ap.conditions, argocd.Condition{Type: "ComparisonError", Message: err.Error(), LastTransitionTime: &t})
		s.publish(ap, "MODIFIED")
		return nil
	}
	ap.target, ap.revision = manifests, sha
	ap.computeSync()
	s.autoSync(ap)
	s.publish(ap, "MODIFIED")
	return nil
}

func (ap *app) computeSync() {
	ap.sync = argocd.Synced
	for _, r := range ap.resources() {
		if r.Status != argocd.Synced {
			ap.sync = argocd.OutOfSync
		}
	}
}

// autoSync starts the automated sync unless this revision was tried already.
func (s *Server) autoSync(ap *app) {
	if !ap.AutoSync || ap.sync != argocd.OutOfSync || ap.operation != nil || s.blocked {
		return
	}
	if st := ap.state; st != nil && st.SyncResult != nil && st.SyncResult.Revision == ap.revision {
		if st.Phase != argocd.Succeeded {
			t := now()
			ap.conditions = append(ap.conditions, argocd.Condition{
				Type: "SyncError", Message: fmt.Sprintf("Failed last sync attempt to %s: %s", ap.revision, st.Message), LastTransitionTime: &t,
			})
			return
		}
		if !ap.SelfHeal {
			return
		}
	}
	s.setOperation(ap, &argocd.Operation{
		Sync: &argocd.SyncOperation{Revision: ap.revision, Prune: ap.Prune}, InitiatedBy: argocd.Initiator{Automated: true},
		Retry: &argocd.RetryStrategy{Limit: 5},
	})
}

// setOperation asks for an operation, and reports false when there is one.
func (s *Server) setOperation(ap *app, op *argocd.Operation) bool {
	if ap.operation != nil {
		return false
	}
	if op.Sync.Source == nil {
		op.Sync.Source = ap.source()
	}
	ap.operation, ap.state, ap.terminated = op, nil, false
	ap.runs++
	run := ap.runs
	s.publish(ap, "MODIFIED")
	s.tasks.Go(func() { s.operate(ap, *op, run) })
	return true
}

// operate takes an operation through its states.
func (s *Server) operate(ap *app, op argocd.Operation, run int) {
	revision := op.Sync.Revision
	if revision == "" {
		revision = ap.TargetRevision
	}
	// step publishes the next state, unless the operation was terminated or replaced meanwhile.
	step := func(change func(st *argocd.OperationState)) bool {
		if !s.pause(s.opts.Pause) {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if ap.runs != run || s.apps[ap.Name] != ap {
			return false
		}
		if ap.state == nil {
			ap.state = &argocd.OperationState{Operation: op, Phase: argocd.Running, StartedAt: now()}
		}
		st := *ap.state // published states are not changed
		if ap.terminated {
			st.Phase, st.Message = argocd.Failed, "Operation terminated"
		} else {
			change(&st)
		}
		ap.state = &st
		if st.Phase.Completed() {
			t := now()
			st.FinishedAt = &t
			ap.operation = nil
		}
		s.publish(ap, "MODIFIED")
		return !st.Phase.Completed()
	}
	if !step(func(*argocd.OperationState) {}) {
		return
	}
	for try := 0; ; try++ {
		manifests, sha, err := s.load(s.ctx, ap, revision)
		fault := s.fault("operation", ap.Name)
		retrying := false
		if !step(func(st *argocd.OperationState) {
			result := &argocd.SyncResult{Revision: sha, Source: ap.source()}
			st.SyncResult, st.FinishedAt = result, nil
			switch {
			case err != nil:
				st.Phase = argocd.Errored
				st.Message = "ComparisonError: " + err.Error()
			case fault != nil:
				st.Phase, st.Message = argocd.Failed, "one or more objects failed to apply, reason: "+fault.Message
				if op.Retry != nil && try < op.Retry.Limit {
					// Running with an end, and not ended.
					st.Phase, st.RetryCount, retrying = argocd.Running, try+1, true
					st.Message += fmt.Sprintf(". Retrying attempt #%d.", try+1)
					t := now()
					st.FinishedAt = &t
				}
			default:
				result.Resources = s.apply(ap, manifests, op.Sync)
				st.Message = "waiting for healthy state"
			}
		}) {
			break
		}
		if !retrying {
			step(func(st *argocd.OperationState) {
				st.Phase, st.Message = argocd.Succeeded, "successfully synced (all tasks run)"
				if !op.Sync.DryRun && len(op.Sync.Resources) == 0 {
					ap.remember(sha, st)
				}
			})
			break
		}
	}
	if s.pause(s.opts.Pause) {
		_ = s.reconcile(s.ctx, ap)
	}
}

func (ap *app) remember(sha string, st *argocd.OperationState) {
	started := st.StartedAt
	id := int64(0)
	if n := len(ap.history); n > 0 {
		id = ap.history[n-1].ID + 1
	}
	ap.history = append(ap.history, argocd.HistoryEntry{
		ID: id, Revision: sha, DeployedAt: now(), DeployStartedAt: &started, Source: ap.source(), InitiatedBy: st.Operation.InitiatedBy,
	})
	if len(ap.history) > 10 {
		ap.history = slices.Clone(ap.history[1:])
	}
}

// apply makes the live resources those of the manifests.
func (s *Server) apply(ap *app, manifests map[string]manifest, op *argocd.SyncOperation) []argocd.ResourceResult {
	selected := func(m manifest) bool {
		return len(op.Resources) == 0 || slices.ContainsFunc(op.Resources, func(r argocd.Resource) bool {
			return r.Kind == m.Kind && r.Name == m.Name && r.Group == m.Group && (r.Namespace == "" || r.Namespace == m.Namespace)
		})
	}
	var results []argocd.ResourceResult
	note := func(m manifest, status, message string) {
		results = append(results, argocd.ResourceResult{
			Group: m.Group, Version: m.Version, Kind: m.Kind, Namespace: m.Namespace, Name: m.Name, Status: status, Message: message, HookPhase: argocd.Running, SyncPhase: "Sync",
		})
	}
	for _, key := range sortedKeys(manifests) {
		m, old := manifests[key], ap.live[key]
		if !selected(m) {
			continue
		}
		verb := "unchanged"
		if old == nil || old.text != m.text {
			verb = "configured"
			if old == nil {
				verb = "created"
			}
			if !op.DryRun {
				s.deploy(ap, key, m, old)
			}
		}
		// As kubectl says it: "deployment.apps/web created", "service/web created".
		note(m, "Synced", strings.TrimSuffix(strings.ToLower(m.Kind)+"."+m.Group, ".")+"/"+m.Name+" "+verb)
	}
	for _, key := range sortedKeys(ap.live) {
		if m := ap.live[key].manifest; manifests[key].Kind == "" && selected(m) {
			if op.Prune && !op.DryRun {
				delete(ap.live, key)
			}
			note(m, cond(op.Prune, "Pruned", "PruneSkipped"), cond(op.Prune, "pruned", "ignored (requires pruning)"))
		}
	}
	return results
}

// deploy makes a manifest live and starts its health script.
func (s *Server) deploy(ap *app, key string, m manifest, old *liveResource) {
	l := &liveResource{manifest: m}
	if old != nil {
		l.oldImages = slices.Concat(old.Images, old.oldImages)
		l.generation = old.generation + 1
		old.generation = -1
	}
	ap.live[key] = l
	var steps []Step
	if s.opts.Health != nil {
		steps = s.opts.Health(ap.Name, m.Resource)
	}
	switch {
	case len(steps) > 0:
	case m.runsPods():
		steps = []Step{{Health: argocd.Progressing}, {After: 20 * time.Millisecond, Health: argocd.Healthy}}
	default:
		steps = []Step{{Health: argocd.Healthy}}
	}
	for len(steps) > 0 && steps[0].After <= 0 {
		l.setHealth(steps[0].Health, steps[0].Message)
		steps = steps[1:]
	}
	if l.health.Status == "" {
		l.setHealth(argocd.Progressing, "")
	}
	generation := l.generation
	s.tasks.Go(func() {
		for _, step := range steps {
			if !s.pause(step.After) {
				return
			}
			s.mu.Lock()
			current := l.generation == generation && ap.live[key] == l
			if current {
				l.setHealth(step.Health, step.Message)
				s.publish(ap, "MODIFIED")
			}
			s.mu.Unlock()
			if !current {
				return
			}
		}
	})
}

// resources returns the state of each resource, wanted or live.
func (ap *app) resources() []argocd.Resource {
	keys := slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for k := range ap.target {
			if !yield(k) {
				return
			}
		}
		for k := range ap.live {
			if !yield(k) {
				return
			}
		}
	}))
	var all []argocd.Resource
	for _, key := range keys {
		m, wanted := ap.target[key]
		l := ap.live[key]
		if l != nil {
			m = cond(wanted, m, l.manifest)
		}
		r := argocd.Resource{Group: m.Group, Version: m.Version, Kind: m.Kind, Namespace: m.Namespace, Name: m.Name, Status: argocd.OutOfSync}
		if l == nil {
			r.Health = &argocd.Health{Status: argocd.Missing}
		} else {
			health := l.health
			r.Health = &health
			r.RequiresPruning = !wanted
			if wanted && l.text == m.text {
				r.Status = argocd.Synced
			}
		}
		all = append(all, r)
	}
	return all
}

var worse = []argocd.HealthCode{argocd.Healthy, argocd.Suspended, argocd.Progressing, argocd.Missing, argocd.Degraded, argocd.HealthUnknown}

func (ap *app) source() *argocd.Source {
	return &argocd.Source{RepoURL: ap.RepoURL, Path: ap.Path, TargetRevision: ap.TargetRevision}
}

// view is the application as the API shows it: a copy.
func (ap *app) view() *argocd.Application {
	created := ap.created
	a := &argocd.Application{
		Metadata: argocd.Metadata{Name: ap.Name, Namespace: "argocd", UID: ap.uid, ResourceVersion: strconv.Itoa(ap.version), CreationTimestamp: &created},
		Spec: argocd.Spec{
			Project: ap.Project, Source: ap.source(), Destination: argocd.Destination{Server: "https://kubernetes.default.svc", Namespace: ap.Namespace},
		},
		Operation: ap.operation,
	}
	if ap.AutoSync {
		a.Spec.SyncPolicy = &argocd.SyncPolicy{Automated: &argocd.Automated{Prune: ap.Prune, SelfHeal: ap.SelfHeal}}
	}
	st := &a.Status
	st.Sync = argocd.SyncStatus{Status: ap.sync, Revision: ap.revision}
	st.ReconciledAt, st.OperationState = ap.reconciledAt, ap.state
	st.Conditions, st.History = slices.Clone(ap.conditions), slices.Clone(ap.history)
	st.Resources = ap.resources()
	st.Health.Status = argocd.Healthy
	for _, r := range st.Resources {
		if r.Health != nil && slices.Index(worse, r.Health.Status) > slices.Index(worse, st.Health.Status) {
			st.Health.Status = r.Health.Status
		}
	}
	for _, l := range ap.live {
		if l.runsPods() {
			st.Summary.Images = append(st.Summary.Images, slices.Concat(l.Images, l.oldImages)...)
		}
	}
	slices.Sort(st.Summary.Images)
	st.Summary.Images = slices.Compact(st.Summary.Images)
	return a
}

// watcher is one open stream.
type watcher struct {
	name   string
	events chan argocd.Event
}

// publish gives the application a new version and tells the streams. It is called with the lock held.
func (s *Server) publish(ap *app, kind string) {
	s.version++
	ap.version = s.version
	if s.opts.OnChange != nil {
		s.opts.OnChange(ap.view())
	}
	for w := range s.watchers {
		if w.name != "" && w.name != ap.Name {
			continue
		}
		select {
		case w.events <- argocd.Event{Type: kind, Application: *ap.view()}:
		default: // a reader this slow loses the stream
			delete(s.watchers, w)
			close(w.events)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func cond[T any](c bool, yes, no T) T {
	if c {
		return yes
	}
	return no
}
