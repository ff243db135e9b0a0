package argocd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waybill-dev/waybill/internal/retry"
)

// waiter is one wait. Its loop takes in states of the application, from a stream and from requests, keeps
// the newest, and asks [waiter.judge] what to make of it. At most one request is under way at a time, next to
// the stream, so that a slow reply never delays the reaction to an event.
type waiter struct {
	c     *Client
	ref   Ref
	app   string
	want  Want
	opts  WaitOptions
	act   bool        // may sync and terminate
	sync  SyncOptions // how; its ID is the id of all syncs of this wait
	start time.Time

	last         *Application // the newest state seen
	lastErr      error        // of the last request, when it failed
	failures     int          // requests in a row that failed
	failingSince time.Time    // the first of them
	nextTry      time.Time    // no request before this
	lastLook     time.Time    // end of the last request that succeeded
	lookFirst    bool         // the newest state is known to be old: ask before acting on it
	refreshed    bool         // a refresh was answered
	gone         bool         // the stream said that it was deleted
	why          string       // what is being waited for
	told         *Application // the state that OnStatus heard of last

	following string // id of the operation that must not fail, "" when none
	syncs     int    // operations started
	unsure    int    // syncs in a row of which nobody knows whether they arrived
	busy      int    // syncs in a row that met another operation
	failed    int    // syncs that met manifests that cannot be read

	// A comparison is trusted when it is from after the end of the last operation: before, it may still
	// tell of the time before the sync. Times are to the second, so an equal one proves nothing, and the
	// answer to a refresh that began after the end was seen does.
	opEnd     string // identity of the end of the last operation
	trusted   bool
	refreshes int // begun
	endedAt   int // value of refreshes when the end was seen

	refreshAsks     int // in a row
	lastRefresh     time.Time
	autoSince       time.Time
	degradedSince   time.Time
	unreadableSince time.Time // of the server's comparison
	terminatedSince time.Time
	windowUntil     time.Time
	nextTerminate   time.Time

	managedFor string   // resource version that managed is of
	managed    []string // images that the live resources describe

	seenAt, liveAt time.Time
	descends       map[[2]string]bool

	streamVersion atomic.Pointer[string]             // newest resource version that the stream brought
	dropStream    atomic.Pointer[context.CancelFunc] // cuts the present stream
}

type request string

const (
	none      request = ""
	get       request = "get"
	refresh   request = "refresh"
	doSync    request = "sync"
	terminate request = "terminate"
	managed   request = "managed resources"
)

type reply struct {
	to      request
	number  int // of a refresh
	app     *Application
	live    []string // of managed: the resources
	liveFor string   // of managed: the version of the application
	err     error
}

func (w *waiter) run(ctx context.Context) (*Deployed, error) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	events := make(chan Event)
	wg.Go(func() { w.stream(ctx, events) })
	replies := make(chan reply, 1) // room for the one under way, so that nobody waits for a reader that left
	underWay := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, w.ended(ctx)
		case <-timer.C:
		case ev := <-events:
			w.event(ev)
		case r := <-replies:
			underWay = false
			if ctx.Err() != nil {
				return nil, w.ended(ctx)
			}
			if err := w.reply(r); err != nil {
				return nil, err
			}
		}
		v := w.judge(ctx, time.Now())
		w.tell(v.why)
		if v.done != nil || v.err != nil {
			return v.done, v.err
		}
		wake := v.look
		if !underWay {
			var at time.Time
			if v.ask, at = w.due(v); v.ask != none && !time.Now().Before(at) {
				underWay = true
				send := w.prepare(v.ask)
				wg.Go(func() { replies <- send(ctx) })
			} else if wake.IsZero() || at.Before(wake) {
				wake = at
			}
		}
		if timer.Stop(); !wake.IsZero() {
			timer.Reset(time.Until(wake))
		}
	}
}

// due returns the next request and its time: what the verdict asks for or, failing that, a look every now and
// then.
func (w *waiter) due(v verdict) (request, time.Time) {
	if w.lookFirst {
		return get, w.nextTry
	}
	poll := w.lastLook.Add(w.opts.Poll)
	if v.ask == none || poll.Before(v.at) {
		return get, later(poll, w.nextTry)
	}
	return v.ask, later(v.at, w.nextTry)
}

func (w *waiter) tell(why string) {
	if w.opts.OnStatus != nil && w.last != nil && (w.last != w.told || w.why != why) {
		w.opts.OnStatus(w.last, why)
	}
	w.told, w.why = w.last, why
}

// prepare returns the request as a function that touches nothing of the waiter that changes.
func (w *waiter) prepare(ask request) func(ctx context.Context) reply {
	r := reply{to: ask}
	api, ref, timeout := w.c.api, w.ref, w.c.timeout
	var syncRequest SyncRequest
	switch ask {
	case refresh:
		w.refreshes++
		w.refreshAsks++
		r.number = w.refreshes
	case doSync:
		o := w.sync
		if !w.last.AutoSync() && len(w.last.Revisions()) == 1 {
			o.Revisions = w.last.Revisions() // what was judged is what is synced, even when the branch moves
		}
		syncRequest = o.request()
	case managed:
		r.liveFor = w.last.Metadata.ResourceVersion
	}
	return func(ctx context.Context) reply {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		switch ask {
		case get:
			r.app, r.err = api.Get(ctx, ref, NoRefresh)
		case refresh:
			r.app, r.err = api.Get(ctx, ref, NormalRefresh)
		case doSync:
			r.app, r.err = api.Sync(ctx, ref, syncRequest)
		case terminate:
			r.err = api.Terminate(ctx, ref)
		case managed:
			r.live, r.err = api.Managed(ctx, ref)
		}
		return r
	}
}

// reply takes in an answer. An error ends the wait.
func (w *waiter) reply(r reply) error {
	now := time.Now()
	w.lastErr = r.err
	kind := kindOf(r.err)
	unavailable := errors.Is(kind, ErrUnavailable)
	switch r.to {
	case refresh:
		w.lastRefresh = now
	case terminate:
		if errors.Is(kind, errIdle) {
			r.err, w.lastErr = nil, nil // it ended by itself
		}
	case doSync:
		w.unsure = cond(unavailable, w.unsure+1, 0)
		w.busy = cond(errors.Is(kind, ErrBusy), w.busy+1, 0)
		switch {
		case errors.Is(kind, ErrBusy), errors.Is(kind, errAutoSync): // what was judged is old: look, judge again
			w.lookFirst = true
			w.nextTry = now.Add(retry.Policy{Base: 50 * time.Millisecond, Max: 2 * time.Second}.Pause(w.busy))
			return nil
		case errors.Is(kind, ErrBlocked) && w.opts.WaitForWindow:
			w.windowUntil = now.Add(w.opts.Poll)
			return nil
		}
	}
	if unavailable {
		if w.failures++; w.failures == 1 {
			w.failingSince = now
		}
		w.nextTry = now.Add(retry.Policy{Max: 5 * time.Second}.Pause(w.failures))
		w.lookFirst = w.lookFirst || r.to == doSync || r.to == terminate
		if w.last == nil && w.failures >= 4 && now.Sub(w.failingSince) >= patience || w.unsure >= 5 {
			return r.err
		}
		return nil
	}
	if r.err != nil {
		return r.err
	}
	w.failures = 0
	w.lastLook = now
	switch r.to {
	case terminate:
		w.lookFirst, w.nextTerminate = true, now.Add(terminateAgain)
	case managed:
		w.managedFor = r.liveFor
		w.managed = nil
		for _, live := range r.live {
			w.managed = append(w.managed, containerImages(live)...)
		}
	case doSync:
		w.syncs++
		w.following = w.sync.ID
		w.see(r.app)
	case refresh:
		w.refreshed, w.lookFirst = true, false
		w.see(r.app)
		if r.number > w.endedAt {
			w.trusted = w.trusted || !reconciledBefore(w.last)
		}
	case get:
		w.lookFirst = false
		w.see(r.app)
		if v := w.streamVersion.Load(); w.last.newerThan(*cond(v == nil, new(string), v)) {
			// The stream should have brought this already: it may be silent. A new one costs little.
			if drop := w.dropStream.Load(); drop != nil {
				(*drop)()
			}
		}
	}
	return nil
}

func (w *waiter) event(ev Event) {
	if ev.Type == "DELETED" {
		w.gone = true // says the stream; it may have been made anew since, so judge asks
		return
	}
	w.see(&ev.Application)
}

// see keeps a when it is newer than what was seen, and notices the end of an operation.
func (w *waiter) see(a *Application) {
	if w.last != nil && !w.gone && !a.newerThan(w.last.Metadata.ResourceVersion) {
		return
	}
	w.last, w.gone = a, false
	s := a.Status.OperationState
	end := ""
	if s != nil && s.Phase.Completed() && s.FinishedAt != nil {
		end = fmt.Sprint(s.StartedAt.Unix(), s.FinishedAt.Unix(), s.Phase, s.Operation.ID(), s.Operation.revisions())
	}
	if end != w.opEnd {
		w.opEnd, w.trusted, w.endedAt = end, end == "", w.refreshes
	}
	if end != "" && a.Status.ReconciledAt != nil && a.Status.ReconciledAt.After(*s.FinishedAt) {
		w.trusted = true
	}
}

func reconciledBefore(a *Application) bool {
	s := a.Status.OperationState
	return s != nil && s.FinishedAt != nil && a.Status.ReconciledAt != nil && a.Status.ReconciledAt.Before(*s.FinishedAt)
}

// stream watches the application for as long as ctx lasts, through cuts.
func (w *waiter) stream(ctx context.Context, events chan<- Event) {
	pause := retry.Policy{Base: 100 * time.Millisecond, Max: 5 * time.Second}
	for failures := 0; ; {
		sctx, cancel := context.WithCancel(ctx)
		w.dropStream.Store(&cancel)
		got := false
		_ = w.c.api.Watch(sctx, w.ref, func(ev Event) { // what ails the server the requests find out too
			got = true
			w.streamVersion.Store(&ev.Application.Metadata.ResourceVersion)
			select {
			case events <- ev:
			case <-ctx.Done():
			}
		})
		dropped := sctx.Err() != nil
		cancel()
		if got || dropped {
			failures = 0
		}
		failures++
		if retry.Sleep(ctx, pause.Pause(failures)) != nil {
			return // the deadline lies within the pause, if it has not come yet
		}
	}
}

// ended is the error of a wait whose context ended.
func (w *waiter) ended(ctx context.Context) error {
	err := fmt.Errorf("waiting for %s: %w", cond(w.why == "", "the first answer", w.why), ctx.Err())
	if w.lastErr != nil {
		err = fmt.Errorf("%w (last request: %w)", err, w.lastErr)
	}
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &kindError{nil, err}
	}
	if w.last == nil || w.failures > 1 { // the server is to blame, not the application; one failure may be chance
		err = &kindError{ErrUnavailable, err}
	}
	return &kindError{ErrTimeout, err}
}

// report gathers what there is to say about a failure. It asks for the resource tree, which alone knows why a
// pod does not start, but not when the caller wants to be gone.
func (w *waiter) report(ctx context.Context) *Report {
	var nodes []Node
	if w.last != nil && !errors.Is(ctx.Err(), context.Canceled) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		nodes, _ = w.c.api.Resources(ctx, w.ref) // the report is good without
	}
	ours := w.sync.ID
	if !w.act {
		ours = w.opts.Operation
	}
	r := newReport(w.app, w.want, w.last, nodes, ours)
	r.WaitingFor = w.why
	r.Seconds = time.Since(w.start).Seconds()
	if w.lastErr != nil {
		r.LastError = w.lastErr.Error()
	}
	return r
}

// accepts reports whether the revisions are the wanted ones, or descend from them.
func (w *waiter) accepts(ctx context.Context, revs []string) bool {
	want := w.want.Revisions
	switch {
	case len(want) == 0:
		return true
	case len(revs) == 0:
		return false
	case len(want) == 1:
		return slices.ContainsFunc(revs, func(rev string) bool { return w.acceptsOne(ctx, want[0], rev) })
	case len(want) != len(revs):
		return false
	}
	for i, rev := range revs {
		if !w.acceptsOne(ctx, want[i], rev) {
			return false
		}
	}
	return true
}

func (w *waiter) acceptsOne(ctx context.Context, want, rev string) bool {
	if want == "" || want == rev {
		return true
	}
	if len(want) >= 7 && isHex(want) && isHex(rev) && strings.HasPrefix(rev, want) {
		return true
	}
	if w.want.Descends == nil || rev == "" {
		return false
	}
	known, ok := w.descends[[2]string{want, rev}]
	if !ok {
		var err error
		if known, err = w.want.Descends(ctx, want, rev); err != nil {
			w.lastErr = fmt.Errorf("whether %s descends from %s: %w", rev, want, err)
			return false
		}
		w.descends[[2]string{want, rev}] = known
	}
	return known
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func cond[T any](c bool, yes, no T) T {
	if c {
		return yes
	}
	return no
}
