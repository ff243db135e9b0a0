package argocdtest

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/gitops/argocd"
)

// Target is an Argo CD for [TestConformance], with two applications of one repository.
type Target struct {
	Client *argocd.Client
	Denied *argocd.Client // of the same server, with a token that it does not know

	Manual string // an application that syncs when asked
	Auto   string // one that syncs by itself

	// Push commits a Deployment called shop, with the one container image given, to the branch that the
	// application follows, and returns the commit. Calls come one at a time. A Deployment that is not to be
	// healthy gets stuck: Progressing, then Degraded within seconds. The image stands in the manifest as it is
	// given, so "[" makes one that cannot be read.
	Push func(ctx context.Context, app, image string, healthy bool) (string, error)

	// Descends reports whether a commit has another among its ancestors.
	Descends func(ctx context.Context, ancestor, rev string) (bool, error)
}

// TestConformance holds a server and a client of it to what the package argocd promises. It is run on this
// fake and on the real server, over REST and over gRPC.
func TestConformance(t *testing.T, target *Target) {
	t.Helper()
	s := &suite{Target: target}
	for _, c := range []struct {
		name string
		f    func(t *testing.T)
	}{
		{"not found", s.notFound},
		{"denied", s.denied},
		{"deploy and deploy again", s.deploy},
		{"nothing to do", s.nothingToDo},
		{"image is not of the revision", s.otherImage},
		{"ids and infos", s.infos},
		{"dry run", s.dryRun},
		{"chosen resources", s.resources},
		{"commit that does not exist", s.noSuchCommit},
		{"branch that does not exist", s.noSuchBranch},
		{"busy", s.busy},
		{"rollback", s.rollback},
		{"automated sync", s.automated},
		{"terminate nothing", s.terminate},
		{"never healthy", s.neverHealthy},
		{"manifests that cannot be read", s.unreadable},
		{"many writers", s.manyWriters},
	} {
		t.Run(c.name, c.f)
	}
}

type suite struct {
	*Target
	mu sync.Mutex // of Push
}

const image = "registry.example.com/shop:"

// patience is far more than a healthy server needs.
const patience = 2 * time.Minute

func (s *suite) push(t *testing.T, app, image string) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	rev, err := s.Push(t.Context(), app, image, true)
	if err != nil {
		t.Fatalf("push: %v", err)
	}
	return rev
}

func (s *suite) live(t *testing.T, app, rev, image string) *argocd.Deployed {
	t.Helper()
	d, err := s.Client.SyncAndWait(t.Context(), app, argocd.Want{Revisions: []string{rev}, Images: []string{image}}, &argocd.WaitOptions{Timeout: patience})
	if err != nil {
		t.Fatalf("SyncAndWait: %v%s", err, reportOf(err))
	}
	return d
}

func reportOf(err error) string {
	if e, ok := errors.AsType[*argocd.Error](err); ok && e.Report != nil {
		return "\n" + e.Report.String()
	}
	return ""
}

func is(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v%s", err, kind, reportOf(err))
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v%s", err, reportOf(err))
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func (s *suite) notFound(t *testing.T) {
	_, err := s.Client.Status(t.Context(), "no-such-app")
	is(t, err, argocd.ErrNotFound)
	_, err = s.Client.Sync(t.Context(), "no-such-app", nil)
	is(t, err, argocd.ErrNotFound)
	_, err = s.Client.SyncAndWait(t.Context(), "no-such-app", argocd.Want{}, &argocd.WaitOptions{Timeout: patience})
	is(t, err, argocd.ErrNotFound)
}

func (s *suite) denied(t *testing.T) {
	_, err := s.Denied.Status(t.Context(), s.Manual)
	is(t, err, argocd.ErrDenied)
	_, err = s.Denied.SyncAndWait(t.Context(), s.Manual, argocd.Want{}, &argocd.WaitOptions{Timeout: patience})
	is(t, err, argocd.ErrDenied)
}

func (s *suite) deploy(t *testing.T) {
	for _, tag := range []string{"deploy-1", "deploy-2"} {
		rev := s.push(t, s.Manual, image+tag)
		d := s.live(t, s.Manual, rev, image+tag)
		equal(t, "revision", strings.Join(d.Revisions, ","), rev)
		equal(t, "sync", d.Sync, argocd.Synced)
		equal(t, "health", d.Health, argocd.Healthy)
		equal(t, "syncs", d.Syncs, 1)
		if !slices.Contains(d.Images, image+tag) {
			t.Errorf("images: %v", d.Images)
		}
	}
	history, err := s.Client.History(t.Context(), s.Manual)
	ok(t, err)
	if len(history) < 2 {
		t.Errorf("history: %+v", history)
	}
	nodes, err := s.Client.Resources(t.Context(), s.Manual)
	ok(t, err)
	if !slices.ContainsFunc(nodes, func(n argocd.Node) bool { return n.Kind == "Deployment" && n.Name == "shop" }) {
		t.Errorf("resources: %+v", nodes)
	}
}

func (s *suite) nothingToDo(t *testing.T) {
	a, err := s.Client.Refresh(t.Context(), s.Manual, false)
	ok(t, err)
	d, err := s.Client.SyncAndWait(t.Context(), s.Manual, argocd.Want{Revisions: a.Revisions()}, &argocd.WaitOptions{Timeout: patience})
	ok(t, err)
	equal(t, "syncs", d.Syncs, 0)
}

func (s *suite) otherImage(t *testing.T) {
	rev := s.push(t, s.Manual, image+"other")
	_, err := s.Client.SyncAndWait(t.Context(), s.Manual, argocd.Want{Revisions: []string{rev}, Images: []string{image + "not-this"}}, &argocd.WaitOptions{Timeout: 3 * time.Second})
	is(t, err, argocd.ErrTimeout)
	is(t, err, context.DeadlineExceeded)
	if e, _ := errors.AsType[*argocd.Error](err); e.Report == nil || !slices.Equal(e.Report.Missing, []string{image + "not-this"}) {
		t.Errorf("report: %+v", e.Report)
	}
}

func (s *suite) infos(t *testing.T) {
	s.push(t, s.Manual, image+"infos")
	id := rand.Text()
	started, err := s.Client.Sync(t.Context(), s.Manual, &argocd.SyncOptions{
		ID: id, Infos: []argocd.Info{{Name: "run", Value: "42"}}, Retry: &argocd.Retry{Limit: 2, Base: time.Second}, Prune: true, Options: []string{"CreateNamespace=true"},
	})
	ok(t, err)
	equal(t, "id", started.ID, id)
	_, err = s.Client.Wait(t.Context(), s.Manual, argocd.Want{Images: []string{image + "infos"}}, &argocd.WaitOptions{Timeout: patience, Operation: id})
	ok(t, err)
	a, err := s.Client.Status(t.Context(), s.Manual)
	ok(t, err)
	op := a.Status.OperationState.Operation
	equal(t, "id of the operation", op.ID(), id)
	equal(t, "prune", op.Sync.Prune, true)
	if !slices.Contains(op.Info, argocd.Info{Name: "run", Value: "42"}) {
		t.Errorf("infos: %+v", op.Info)
	}
	if op.Retry == nil || op.Retry.Limit != 2 {
		t.Errorf("retry: %+v", op.Retry)
	}
}

func (s *suite) dryRun(t *testing.T) {
	s.push(t, s.Manual, image+"dry")
	before, err := s.Client.History(t.Context(), s.Manual)
	ok(t, err)
	started, err := s.Client.Sync(t.Context(), s.Manual, &argocd.SyncOptions{DryRun: true})
	ok(t, err)
	s.finished(t, s.Manual, started.ID)
	a, err := s.Client.Refresh(t.Context(), s.Manual, false)
	ok(t, err)
	equal(t, "history", len(a.Status.History), len(before))
	equal(t, "sync", a.Status.Sync.Status, argocd.OutOfSync)
}

// finished waits for the end of an operation, whatever becomes of the application.
func (s *suite) finished(t *testing.T, app, id string) *argocd.OperationState {
	t.Helper()
	for start := time.Now(); time.Since(start) < patience; {
		a, err := s.Client.Status(t.Context(), app)
		ok(t, err)
		if st := a.Status.OperationState; st != nil && st.Phase.Completed() && (id == "" || st.Operation.ID() == id) && !a.InProgress() {
			return st
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("the operation does not end")
	return nil
}

func (s *suite) resources(t *testing.T) {
	s.push(t, s.Manual, image+"chosen")
	started, err := s.Client.Sync(t.Context(), s.Manual, &argocd.SyncOptions{Resources: []argocd.Resource{{Group: "apps", Kind: "Deployment", Name: "shop"}}})
	ok(t, err)
	d, err := s.Client.Wait(t.Context(), s.Manual, argocd.Want{Images: []string{image + "chosen"}, AllowOutOfSync: true}, &argocd.WaitOptions{Timeout: patience, Operation: started.ID})
	ok(t, err)
	equal(t, "health", d.Health, argocd.Healthy)
}

// The server takes the sync on, and finds out later.
func (s *suite) noSuchCommit(t *testing.T) {
	none := strings.Repeat("0123456789", 4)
	started, err := s.Client.Sync(t.Context(), s.Manual, &argocd.SyncOptions{Revisions: []string{none}})
	ok(t, err)
	_, err = s.Client.Wait(t.Context(), s.Manual, argocd.Want{Revisions: []string{none}}, &argocd.WaitOptions{Timeout: patience, Operation: started.ID})
	is(t, err, argocd.ErrSyncFailed)
	if !strings.Contains(err.Error(), "not our ref") {
		t.Errorf("got %v", err)
	}
}

func (s *suite) noSuchBranch(t *testing.T) {
	_, err := s.Client.Sync(t.Context(), s.Manual, &argocd.SyncOptions{Revisions: []string{"no-such-branch"}})
	is(t, err, argocd.ErrRefused)
}

// Of several syncs at once one is taken on.
func (s *suite) busy(t *testing.T) {
	s.push(t, s.Manual, image+"busy")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = s.Client.Sync(t.Context(), s.Manual, nil) })
	}
	wg.Wait()
	refused := 0
	for _, err := range errs {
		if err != nil {
			is(t, err, argocd.ErrBusy)
			refused++
		}
	}
	if refused == 0 {
		t.Errorf("all %d syncs were taken on", len(errs))
	}
	s.finished(t, s.Manual, "")
}

func (s *suite) rollback(t *testing.T) {
	old := s.push(t, s.Manual, image+"old")
	s.live(t, s.Manual, old, image+"old")
	now := s.push(t, s.Manual, image+"new")
	s.live(t, s.Manual, now, image+"new")

	_, err := s.Client.Rollback(t.Context(), s.Manual, 999_999, nil)
	is(t, err, argocd.ErrNotFound)
	history, err := s.Client.History(t.Context(), s.Manual)
	ok(t, err)
	to := history[len(history)-2]
	started, err := s.Client.Rollback(t.Context(), s.Manual, to.ID, nil)
	ok(t, err)
	equal(t, "revision", strings.Join(started.Revisions, ","), old)
	d, err := s.Client.Wait(t.Context(), s.Manual, argocd.Want{Revisions: started.Revisions, Images: []string{image + "old"}, AllowOutOfSync: true}, &argocd.WaitOptions{Timeout: patience})
	ok(t, err)
	equal(t, "health", d.Health, argocd.Healthy)
	equal(t, "revision that runs", strings.Join(d.Revisions, ","), old)
}

func (s *suite) automated(t *testing.T) {
	rev := s.push(t, s.Auto, image+"auto")
	d, err := s.Client.Wait(t.Context(), s.Auto, argocd.Want{Revisions: []string{rev}, Images: []string{image + "auto"}}, &argocd.WaitOptions{Timeout: patience})
	ok(t, err)
	equal(t, "syncs", d.Syncs, 0)

	rev = s.push(t, s.Auto, image+"auto-2")
	d, err = s.Client.SyncAndWait(t.Context(), s.Auto, argocd.Want{Revisions: []string{rev}, Images: []string{image + "auto-2"}}, &argocd.WaitOptions{Timeout: patience})
	ok(t, err)
	equal(t, "health", d.Health, argocd.Healthy)

	_, err = s.Client.Sync(t.Context(), s.Auto, &argocd.SyncOptions{Revisions: []string{strings.Repeat("d", 40)}})
	is(t, err, argocd.ErrRefused)
	history, err := s.Client.History(t.Context(), s.Auto)
	ok(t, err)
	_, err = s.Client.Rollback(t.Context(), s.Auto, history[0].ID, nil)
	is(t, err, argocd.ErrRefused)
}

func (s *suite) terminate(t *testing.T) {
	was, err := s.Client.Terminate(t.Context(), s.Manual)
	ok(t, err)
	equal(t, "was there an operation", was, false)
}

func (s *suite) neverHealthy(t *testing.T) {
	s.mu.Lock()
	rev, err := s.Push(t.Context(), s.Manual, image+"stuck", false)
	s.mu.Unlock()
	ok(t, err)
	_, err = s.Client.SyncAndWait(t.Context(), s.Manual, argocd.Want{Revisions: []string{rev}}, &argocd.WaitOptions{Timeout: patience, DegradedGrace: time.Second})
	is(t, err, argocd.ErrDegraded)
	e, _ := errors.AsType[*argocd.Error](err)
	if !slices.ContainsFunc(e.Report.Resources, func(r argocd.ResourceReport) bool {
		return r.Kind == "Deployment" && r.Health == argocd.Degraded && r.Message != ""
	}) {
		t.Errorf("the report does not say what is wrong: %+v", e.Report.Resources)
	}
}

func (s *suite) unreadable(t *testing.T) {
	s.mu.Lock()
	rev, err := s.Push(t.Context(), s.Manual, "[", false)
	s.mu.Unlock()
	ok(t, err)
	_, err = s.Client.SyncAndWait(t.Context(), s.Manual, argocd.Want{Revisions: []string{rev}}, &argocd.WaitOptions{Timeout: patience})
	is(t, err, argocd.ErrComparison)
	e, _ := errors.AsType[*argocd.Error](err)
	if !slices.ContainsFunc(e.Report.Conditions, func(c argocd.Condition) bool {
		return c.Type == "ComparisonError" && strings.Contains(c.Message, "shop.yaml")
	}) {
		t.Errorf("the report does not name the file: %+v", e.Report.Conditions)
	}
}

func (s *suite) manyWriters(t *testing.T) {
	s.live(t, s.Manual, s.push(t, s.Manual, image+"writers"), image+"writers")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			s.mu.Lock()
			rev, err := s.Push(t.Context(), s.Manual, image+"writer-"+string(rune('a'+i)), true)
			s.mu.Unlock()
			if err != nil {
				t.Errorf("push: %v", err)
				return
			}
			if _, err := s.Client.SyncAndWait(t.Context(), s.Manual, argocd.Want{Revisions: []string{rev}, Descends: s.Descends}, &argocd.WaitOptions{Timeout: patience}); err != nil {
				t.Errorf("writer %d: %v%s", i, err, reportOf(err))
			}
		})
	}
	wg.Wait()
}
