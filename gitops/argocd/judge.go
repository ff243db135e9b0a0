package argocd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Pauses of the judgement that are not the caller's to choose.
const (
	settle         = 10 * time.Second       // an application that stays OutOfSync after a successful sync, or unreadable
	terminatedWait = 5 * time.Second        // for the operation of whoever terminated ours
	firstRefresh   = 250 * time.Millisecond // between refreshes, doubled up to
	longestRefresh = 5 * time.Second
	patience       = 10 * time.Second // with a server that has not answered yet
	terminateAgain = 2 * time.Second  // the operation takes a moment to end
	maxSyncs       = 10               // operations that one wait starts
	maxFailed      = 3                // of them, that meet manifests that cannot be had
)

// verdict is what to do about the present state: be done, fail, or wait, perhaps asking for something.
type verdict struct {
	done *Deployed
	err  error
	why  string    // what is being waited for
	ask  request   // to send
	at   time.Time // not before this
	look time.Time // judge again at this time, even if nothing happens
}

func fail(kind error, format string, args ...any) verdict {
	return verdict{err: &kindError{kind, fmt.Errorf(format, args...)}, why: "nothing any more"}
}

// judge decides by the newest state. It is the one place where success and failure are decided, and reads
// from top to bottom: our operation, any operation, the revision, the health, the images.
func (w *waiter) judge(ctx context.Context, now time.Time) verdict {
	a := w.last
	if w.gone {
		return verdict{why: "certainty that the application was deleted", ask: get}
	}
	if a == nil || len(w.want.Revisions) == 0 && !w.refreshed {
		return w.askRefresh(now, "the first answer")
	}
	if a.Metadata.DeletionTimestamp != nil {
		return fail(ErrNotFound, "the application is being deleted")
	}
	if n := max(1, len(a.Spec.Sources)); len(w.want.Revisions) > 1 && len(w.want.Revisions) != n {
		return fail(ErrInvalid, "Revisions: %d are wanted, and the application has %d sources", len(w.want.Revisions), n)
	}
	state := a.Status.OperationState
	if w.act && w.unsure > 0 && a.hasOperation(w.sync.ID) {
		w.following, w.unsure = w.sync.ID, 0 // it arrived, and the answer was lost
		w.syncs++
	}
	if op := w.opts.Operation; op != "" && state != nil && state.Operation.ID() == op && state.Operation.Sync != nil && state.Operation.Sync.DryRun {
		return fail(ErrInvalid, "Operation: %s is a dry run, which makes nothing live; Client.Status has its result", op)
	}
	if w.following != "" {
		if v, over := w.followed(a, state, now); over {
			return v
		}
	}
	if a.InProgress() {
		return w.inProgress(ctx, a)
	}

	c := a.condition("ComparisonError")
	if c != nil && w.refreshed && unreadable(c.Message) {
		return w.unreadable(a, now, c.Message)
	}
	w.unreadableSince = time.Time{}
	compared, applied := a.Revisions(), []string(nil)
	seen := w.accepts(ctx, compared)
	if state != nil && state.Phase == Succeeded && state.Operation.Sync != nil && !state.Operation.Sync.DryRun &&
		(state.whole() || w.want.AllowOutOfSync) && w.accepts(ctx, state.revisions()) {
		applied = state.revisions()
	}
	if w.seenAt.IsZero() && (seen || applied != nil) {
		w.seenAt = now
	}
	var running []string
	switch {
	case a.Status.Sync.Status == Synced && seen:
		running = compared
	case applied != nil && w.want.AllowOutOfSync:
		running = applied
	case applied != nil && w.trusted && len(w.want.Revisions) > 0 && len(compared) > 0 && !slices.Equal(applied, compared):
		running = applied // our revision was applied, and the target has moved on since
	}
	switch {
	case running == nil && (!seen || a.Status.Sync.Status != OutOfSync):
		w.liveAt, w.autoSince = time.Time{}, time.Time{}
		return w.askRefresh(now, w.unseen(a))
	case running == nil:
		w.liveAt = time.Time{}
		return w.outOfSync(a, now)
	case !w.trusted:
		return w.askRefresh(now, "a comparison from after the end of the operation")
	}
	if w.liveAt.IsZero() {
		w.liveAt = now
	}
	return w.health(a, running, now)
}

// followed judges the operation that was ours to follow. over is false when there is more to look at.
func (w *waiter) followed(a *Application, state *OperationState, now time.Time) (v verdict, over bool) {
	switch {
	case a.Operation.ID() == w.following:
	case state != nil && state.Operation.ID() == w.following:
		switch {
		case state.Phase != Failed && state.Phase != Errored:
			w.terminatedSince = time.Time{}
		case w.act && (unreadable(state.Message) || strings.Contains(state.Message, "ComparisonError")) && w.failed < maxFailed:
			// Perhaps those of a newer commit, which the target is at by now, or the repository was out of
			// reach for a moment. The comparison tells.
			if !w.trusted {
				return w.askRefresh(now, "manifests that can be read: "+cut(state.Message)), true
			}
			w.following = ""
			w.failed++
		case !strings.Contains(state.Message, "Operation terminated") || a.Operation != nil:
			return fail(ErrSyncFailed, "%s: %s", state.Phase, cut(state.Message)), true
		default: // by somebody who may be about to sync something newer
			if w.terminatedSince.IsZero() {
				w.terminatedSince = now
			}
			if deadline := w.terminatedSince.Add(terminatedWait); now.Before(deadline) {
				return verdict{why: "whatever follows the termination of the operation", look: deadline}, true
			}
			return fail(ErrSyncFailed, "the operation was terminated by somebody"), true
		}
	default:
		if !w.act && len(w.want.Revisions) == 0 {
			return fail(ErrPreempted, "operation %s is not there any more, and no revision says what to look for instead", w.following), true
		}
		if w.act { // else it may only not be seen yet: the server reads a cache, which can be older than the operation
			w.following = ""
		}
		w.terminatedSince = time.Time{}
	}
	return verdict{}, false
}

func (w *waiter) inProgress(ctx context.Context, a *Application) verdict {
	w.autoSince, w.degradedSince, w.liveAt = time.Time{}, time.Time{}, time.Time{}
	w.refreshAsks = 0
	state := a.Status.OperationState
	ours := w.following != "" && a.hasOperation(w.following)
	v := verdict{why: cond(ours, "our operation", "the operation of somebody else") + " to finish"}
	if state != nil && state.Message != "" {
		v.why += ": " + cut(state.Message)
	}
	if !ours && w.opts.TerminateOther {
		revs := a.Operation.revisions()
		if revs == nil && state != nil {
			revs = state.Operation.revisions()
		}
		if len(w.want.Revisions) == 0 || !w.accepts(ctx, revs) {
			v.ask, v.at = terminate, w.nextTerminate
		}
	}
	return v
}

// unseen says what is awaited while the server has not compared with the wanted revision.
func (w *waiter) unseen(a *Application) string {
	why := fmt.Sprintf("the server to compare with %s (it is %s at %s)", cond(len(w.want.Revisions) == 0, "its target", strings.Join(w.want.Revisions, ", ")),
		orUnknown(string(a.Status.Sync.Status)), orUnknown(strings.Join(a.Revisions(), ", ")))
	if c := a.condition("ComparisonError"); c != nil {
		why += ": " + cut(c.Message)
	}
	return why
}

// unreadable gives a commit that mends the manifests, or that the server has not seen yet, a moment: two
// comparisons that far apart have to say the same.
func (w *waiter) unreadable(a *Application, now time.Time, message string) verdict {
	compared := comparedAt(a)
	if w.unreadableSince.IsZero() {
		w.unreadableSince = compared
	}
	if compared.Sub(w.unreadableSince) >= settle {
		return fail(ErrComparison, "for %s: %s", settle, cut(message))
	}
	return w.askRefresh(now, "manifests that can be read: "+cut(message))
}

// comparedAt is the server's time of the comparison, zero when there was none.
func comparedAt(a *Application) time.Time {
	if a.Status.ReconciledAt == nil {
		return time.Time{}
	}
	return *a.Status.ReconciledAt
}

// unreadable reports whether a ComparisonError is about what the repository holds, which stays so until
// somebody commits, and not about reaching it.
func unreadable(message string) bool {
	for _, said := range []string{"code = FailedPrecondition", "code = InvalidArgument", "Manifest generation error", "app path does not exist"} {
		if strings.Contains(message, said) {
			return true
		}
	}
	return false
}

// outOfSync judges an application that is known to differ from an accepted revision while nothing runs.
func (w *waiter) outOfSync(a *Application, now time.Time) verdict {
	state := a.Status.OperationState
	tried := state != nil && state.whole() && (slices.Equal(state.revisions(), a.Revisions()) || slices.Equal(state.Operation.revisions(), a.Revisions()))
	ours := w.following != "" && state != nil && state.Operation.ID() == w.following
	if tried && state.Phase == Succeeded && state.FinishedAt != nil {
		if !w.trusted { // Succeeded comes before Synced
			return w.askRefresh(now, "a comparison from after the end of the operation")
		}
		if ours { // by the server's own times: an answer that is late, or old, proves nothing
			resources, onlyPruning := differing(a)
			switch since := comparedAt(a).Sub(*state.FinishedAt); {
			case onlyPruning && since > 0:
				return fail(ErrOutOfSync, "the sync succeeded, and these are not in the repository any more and were not pruned: %s", resources)
			case since >= settle:
				return fail(ErrOutOfSync, "the sync succeeded %s before, and these still differ: %s", since, resources)
			}
			return w.askRefresh(now, "the differences to go away after the sync: "+resources)
		}
	}
	if !w.act {
		if c := a.condition("SyncError"); tried && state.Phase != Succeeded && a.AutoSync() && c != nil {
			return fail(ErrSyncFailed, "the automated sync failed and will not be tried again: %s", cut(c.Message))
		}
		return verdict{why: "somebody to sync"}
	}
	if a.AutoSync() && !tried && a.condition("SyncError") == nil {
		if w.autoSince.IsZero() {
			w.autoSince = now
		}
		if deadline := w.autoSince.Add(w.opts.AutoSyncGrace); now.Before(deadline) {
			return verdict{why: "the automated sync to start", look: deadline}
		}
	}
	if w.syncs >= maxSyncs {
		return fail(ErrPreempted, "%d syncs of ours were replaced by others", w.syncs)
	}
	return verdict{why: "the server to take on the sync", ask: doSync, at: w.windowUntil}
}

// differing lists the resources that differ, and reports whether all of them only need pruning.
func differing(a *Application) (list string, onlyPruning bool) {
	var names []string
	onlyPruning = true
	for _, r := range a.Status.Resources {
		if r.Status != OutOfSync {
			continue
		}
		onlyPruning = onlyPruning && r.RequiresPruning
		if len(names) < 10 {
			names = append(names, r.Kind+" "+r.Name)
		}
	}
	return strings.Join(names, ", "), onlyPruning && len(names) > 0
}

// health judges an application that runs an accepted revision.
func (w *waiter) health(a *Application, running []string, now time.Time) verdict {
	w.refreshAsks = 0
	code := a.Status.Health.Status
	if code != Degraded {
		w.degradedSince = time.Time{}
	}
	switch {
	case code == Healthy, code == Suspended && w.opts.AllowSuspended:
		return w.images(a, running, now)
	case code == Degraded:
		if w.degradedSince.IsZero() {
			w.degradedSince = now
		}
		deadline := w.degradedSince.Add(w.opts.DegradedGrace)
		if !now.Before(deadline) {
			return fail(ErrDegraded, "for %s at %s%s", w.opts.DegradedGrace, strings.Join(running, ", "), messages(a))
		}
		return verdict{why: "a Degraded application to recover" + messages(a), look: deadline}
	}
	return verdict{why: "the application to be Healthy; it is " + orUnknown(string(code)) + messages(a)}
}

func messages(a *Application) string {
	var b strings.Builder
	for _, r := range a.Status.Resources {
		if r.Health != nil && r.Health.Message != "" && r.Health.Status != Healthy && b.Len() < 500 {
			fmt.Fprintf(&b, "; %s %s: %s", r.Kind, r.Name, cut(r.Health.Message))
		}
	}
	return b.String()
}

func (w *waiter) images(a *Application, running []string, now time.Time) verdict {
	shown := a.Status.Summary.Images
	if missing := missingImages(w.want.Images, shown); len(missing) > 0 {
		why := "the images to run: " + strings.Join(missing, ", ")
		if w.managedFor != a.Metadata.ResourceVersion {
			return verdict{why: why, ask: managed}
		}
		if still := missingImages(missing, w.managed); len(still) > 0 {
			return verdict{why: why}
		}
		shown = append(slices.Clone(shown), missing...)
	}
	d := &Deployed{
		App: w.app, Revisions: running, Images: shown, Sync: a.Status.Sync.Status, Health: a.Status.Health.Status,
		HistoryID: -1, Syncs: w.syncs,
		Took: Took{Refresh: w.seenAt.Sub(w.start), Sync: w.liveAt.Sub(w.seenAt), Healthy: now.Sub(w.liveAt), Total: now.Sub(w.start)},
	}
	if n := len(a.Status.History); n > 0 {
		d.HistoryID = a.Status.History[n-1].ID
	}
	if s := a.Status.OperationState; s != nil && w.act && s.Operation.ID() == w.sync.ID {
		d.Operation = w.sync.ID
	}
	return verdict{done: d}
}

// askRefresh asks for a refresh, the first at once, each further one in a row after a longer pause.
func (w *waiter) askRefresh(now time.Time, why string) verdict {
	v := verdict{why: why, ask: refresh}
	if w.refreshAsks > 0 {
		v.at = w.lastRefresh.Add(min(firstRefresh<<min(w.refreshAsks-1, 10), longestRefresh))
	}
	return v
}
