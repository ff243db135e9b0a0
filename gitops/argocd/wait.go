package argocd

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// Want is what must be live. The zero value asks for the newest revision of the application's target, as it
// is at the start.
type Want struct {
	// Revisions are full commit hashes (or chart versions), one for each source; "" takes any. A single one
	// may stand for any source of an application with several.
	Revisions []string

	// Images must run, by repository and digest, or by repository and tag where no digest is given.
	Images []string

	// Descends reports whether rev has ancestor among its ancestors. With it a newer revision that contains
	// the wanted one also does: others push to the same branch. Without it nothing but the wanted one does.
	// It may be called often; what it found is remembered.
	Descends func(ctx context.Context, ancestor, rev string) (bool, error)

	// AllowOutOfSync is for a rollback, or a sync of chosen resources: what counts is the revision of the
	// last operation, not whether the application is at its target.
	AllowOutOfSync bool
}

// WaitOptions bound a wait. The zero value is ready to use.
type WaitOptions struct {
	// Timeout of the whole; 0 for 10 minutes. An earlier deadline of the context holds too.
	Timeout time.Duration

	// DegradedGrace is how long the wanted revision may be Degraded before the wait gives up, as many
	// rollouts are Degraded in passing; 0 for one minute, negative for none.
	DegradedGrace time.Duration

	// AutoSyncGrace is how long SyncAndWait leaves an application that syncs by itself to do so before it
	// asks for the sync; 0 for 10 s, negative for none.
	AutoSyncGrace time.Duration

	// Poll is the pause between looks at the application besides the stream of its changes, which proxies
	// cut or silence; 0 for 15 s.
	Poll time.Duration

	AllowSuspended bool // a Suspended application does too: a rollout that waits for somebody
	TerminateOther bool // end an operation of somebody else that is in the way, rather than wait for it
	WaitForWindow  bool // wait for the end of a sync window that forbids syncing, rather than give up

	// Operation, in Wait, is the id of the operation to follow: its failure ends the wait. A dry run is
	// ErrInvalid, as nothing comes to be live by it.
	Operation string

	// Sync, in SyncAndWait, is how to sync. Its Revisions, Resources and DryRun must be empty.
	Sync *SyncOptions

	// OnStatus, when set, is called with each newer state of the application and what is being waited for.
	// It must not block.
	OnStatus func(a *Application, waitingFor string)
}

// Deployed is what is live now.
type Deployed struct {
	App       string
	Revisions []string // that run: the wanted ones or descendants
	Images    []string // of the pods, and the wanted ones that no pod was seen to run yet but a live resource describes
	Sync      SyncCode
	Health    HealthCode
	HistoryID int64  // of the newest entry of the history, for a later [Client.Rollback]; -1 when there is none
	Operation string // id of our operation that did it; "" when somebody else's did, or none was needed
	Syncs     int    // operations that were started
	Took      Took
}

// Took is where the time went.
type Took struct {
	Refresh time.Duration // until the server had seen the revision
	Sync    time.Duration // from then until it was applied
	Healthy time.Duration // from then until it was Healthy
	Total   time.Duration
}

// SyncAndWait refreshes the application, syncs it unless it does so by itself, and waits until what is wanted
// is live and Healthy. When that is so already nothing is synced.
//
// It is made for company: an operation of somebody else is waited for and, when it did not bring the wanted
// revision, followed by our own; a newer revision counts when it descends from the wanted one. A sync that
// found the repository out of reach, or a newer commit broken, is followed by another, three times at most.
//
// The error is ErrSyncFailed, ErrComparison, ErrOutOfSync, ErrDegraded, ErrTimeout, ErrBlocked, ErrRefused,
// ErrPreempted, ErrNotFound, ErrDenied or ErrUnavailable, with a [*Report].
func (c *Client) SyncAndWait(ctx context.Context, app string, w Want, o *WaitOptions) (*Deployed, error) {
	return c.wait(ctx, "sync and wait", app, w, o, true)
}

// Wait is [Client.SyncAndWait] that starts nothing, for applications that sync by themselves or are synced by
// somebody else.
func (c *Client) Wait(ctx context.Context, app string, w Want, o *WaitOptions) (*Deployed, error) {
	return c.wait(ctx, "wait", app, w, o, false)
}

func (c *Client) wait(ctx context.Context, op, app string, want Want, o *WaitOptions, act bool) (*Deployed, error) {
	ref, err := c.ref(app)
	if err != nil {
		return nil, wrap(op, app, err)
	}
	opts := WaitOptions{}
	if o != nil {
		opts = *o
	}
	if err := opts.check(want, act); err != nil {
		return nil, wrap(op, app, err)
	}
	opts.Timeout = orDefault(opts.Timeout, 10*time.Minute)
	opts.DegradedGrace = orDefault(opts.DegradedGrace, time.Minute)
	opts.AutoSyncGrace = orDefault(opts.AutoSyncGrace, 10*time.Second)
	opts.Poll = orDefault(opts.Poll, 15*time.Second)
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	w := &waiter{
		c: c, ref: ref, app: app, want: want, opts: opts, act: act, start: time.Now(),
		following: opts.Operation, trusted: true, descends: map[[2]string]bool{},
	}
	if act {
		sync := SyncOptions{}
		if opts.Sync != nil {
			sync = *opts.Sync
		}
		if sync.ID == "" {
			sync.ID = rand.Text()
		}
		w.sync = sync
	}
	d, err := w.run(ctx)
	if err != nil {
		return nil, &Error{Op: op, App: app, Kind: exported(kindOf(err)), Err: err, Report: w.report(ctx)}
	}
	return d, nil
}

func (o *WaitOptions) check(want Want, act bool) error {
	var errs []error
	if o.Timeout < 0 {
		errs = append(errs, field("Timeout", "negative"))
	}
	if o.Poll < 0 {
		errs = append(errs, field("Poll", "negative"))
	}
	if act && o.Operation != "" {
		errs = append(errs, field("Operation", "only Wait follows a given operation"))
	}
	if act && want.AllowOutOfSync {
		errs = append(errs, field("AllowOutOfSync", "only Wait takes it, as SyncAndWait syncs the whole application to its target"))
	}
	if !act && o.Sync != nil {
		errs = append(errs, field("Sync", "Wait does not sync"))
	}
	if !act && o.TerminateOther {
		errs = append(errs, field("TerminateOther", "Wait ends nothing"))
	}
	if s := o.Sync; s != nil {
		if len(s.Revisions) > 0 || len(s.Resources) > 0 || s.DryRun {
			errs = append(errs, field("Sync", "Revisions, Resources and DryRun must be empty; use Client.Sync and Client.Wait"))
		}
		errs = append(errs, s.check())
	}
	for i, rev := range want.Revisions {
		if strings.ContainsAny(rev, " \t\n") || strings.HasPrefix(rev, "-") {
			errs = append(errs, field(fmt.Sprintf("Revisions[%d]", i), "%q is not a revision", rev))
		}
	}
	for i, image := range want.Images {
		if _, err := parseImage(image); err != nil {
			errs = append(errs, field(fmt.Sprintf("Images[%d]", i), "%w", err))
		}
	}
	return invalid(errs...)
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}
