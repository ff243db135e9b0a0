package argocd_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

// TestWait_races holds SyncAndWait in one race after the other. The old image runs when each begins, and the
// time is the bubble's.
func TestWait_races(t *testing.T) {
	const ours = "example.com/shop:ours"
	type world struct {
		r   *repo
		s   *argocdtest.Server
		c   *argocd.Client
		rev string
	}
	later := func(d time.Duration, f func()) { time.AfterFunc(d, f) }
	for name, tc := range map[string]struct {
		app    argocdtest.App
		health []argocdtest.Step // of our image
		pause  time.Duration     // of the steps of an operation
		faults []argocdtest.Fault
		before func(w *world)
		want   func(w *world, want *argocd.Want)
		opts   argocd.WaitOptions
		kind   error // nil for success
		says   string
		within time.Duration // of the bubble's time; 0 for a minute
		after  func(t *testing.T, w *world, d *argocd.Deployed)
	}{
		"stale: Synced and Healthy at the revision before": {
			faults: []argocdtest.Fault{{Op: "refresh", Stale: true, Times: 5}},
		},
		"automated sync does it": {
			app: argocdtest.App{AutoSync: true},
			after: func(t *testing.T, _ *world, d *argocd.Deployed) {
				t.Helper()
				assert.Zero(t, d.Syncs)
				assert.Empty(t, d.Operation)
			},
		},
		"automated sync fails, and does not try again": {
			app:    argocdtest.App{AutoSync: true},
			faults: []argocdtest.Fault{{Op: "operation", Message: "webhook refused", Times: 6}}, // it is retried five times
			after: func(t *testing.T, _ *world, d *argocd.Deployed) {
				t.Helper()
				assert.Equal(t, 1, d.Syncs)
			},
		},
		"automated sync is blocked by a window that ends": {
			app:    argocdtest.App{AutoSync: true},
			before: func(w *world) { w.s.Block(true); later(40*time.Second, func() { w.s.Block(false) }) },
			opts:   argocd.WaitOptions{WaitForWindow: true},
			within: 2 * time.Minute,
		},
		"a sync window": {
			before: func(w *world) { w.s.Block(true) },
			kind:   argocd.ErrBlocked, says: "blocked by sync window",
		},
		"another operation is in progress": {
			pause:  2 * time.Second,
			before: func(w *world) { w.s.SyncByOther("shop", sha(0)) },
			after: func(t *testing.T, _ *world, d *argocd.Deployed) {
				t.Helper()
				assert.Equal(t, 1, d.Syncs)
			},
		},
		"another operation begins first": {faults: []argocdtest.Fault{{Op: "sync", Busy: true}}},
		"another operation does our work": {
			pause:  2 * time.Second,
			before: func(w *world) { w.s.SyncByOther("shop", w.rev) },
			after: func(t *testing.T, _ *world, d *argocd.Deployed) {
				t.Helper()
				assert.Zero(t, d.Syncs)
			},
		},
		"another operation that is in the way is ended": {
			pause:  time.Minute / 2,
			before: func(w *world) { w.s.SyncByOther("shop", sha(0)); time.Sleep(time.Second) },
			opts:   argocd.WaitOptions{TerminateOther: true},
			within: 4 * time.Minute,
		},
		"our operation is replaced": {
			faults: []argocdtest.Fault{{Op: "sync", Replace: true, Times: 2}},
			after: func(t *testing.T, _ *world, d *argocd.Deployed) {
				t.Helper()
				assert.GreaterOrEqual(t, d.Syncs, 1)
			},
		},
		"our operation is replaced again and again": {
			faults: []argocdtest.Fault{{Op: "sync", Replace: true, Times: -1}},
			// The others sync to what the server last compared with, which is ours too.
		},
		"our operation is terminated": {
			pause:  3 * time.Second,
			before: func(w *world) { later(5*time.Second, func() { _, _ = w.c.Terminate(context.Background(), "shop") }) },
			kind:   argocd.ErrSyncFailed, says: "terminated",
		},
		"the answer to our sync is lost":    {faults: []argocdtest.Fault{{Op: "sync", Drop: true}}},
		"our sync meets an ailing server":   {faults: []argocdtest.Fault{{Op: "sync", Status: 502, Times: 3}}},
		"our sync is retried by the server": {faults: []argocdtest.Fault{{Op: "operation", Message: "conflict", Times: 2}}, opts: argocd.WaitOptions{Sync: &argocd.SyncOptions{Retry: &argocd.Retry{Limit: 3}}}},
		"our sync fails":                    {faults: []argocdtest.Fault{{Op: "operation", Message: "Deployment is invalid"}}, kind: argocd.ErrSyncFailed, says: "Deployment is invalid"},
		"a stream that is cut":              {faults: []argocdtest.Fault{{Op: "watch", CutAfter: 1, Times: -1}}},
		"a stream that goes silent":         {faults: []argocdtest.Fault{{Op: "watch", Silent: true, Times: -1}}},
		"a stream that never sends headers": {faults: []argocdtest.Fault{{Op: "watch", NoHeader: true, Times: -1}}},
		"a stream that is refused":          {faults: []argocdtest.Fault{{Op: "watch", Status: 503, Times: -1}}},
		"a server that is gone for half a minute": {
			before: func(w *world) {
				w.s.Fail(argocdtest.Fault{Op: "get", Status: 503, Times: 3}, argocdtest.Fault{Op: "watch", Status: 503, Times: 3})
			},
		},
		"a refresh that takes a minute": {faults: []argocdtest.Fault{{Op: "refresh", Delay: time.Minute}}, within: 2 * time.Minute},
		"Degraded in passing": {
			health: []argocdtest.Step{{Health: argocd.Progressing}, {After: time.Second, Health: argocd.Degraded}, {After: 30 * time.Second, Health: argocd.Healthy}},
		},
		"Degraded for good": {
			health: []argocdtest.Step{{Health: argocd.Degraded, Message: "image cannot be pulled"}},
			kind:   argocd.ErrDegraded, says: "image cannot be pulled", within: 65 * time.Second,
		},
		"Progressing for ever": {
			health: []argocdtest.Step{{Health: argocd.Progressing}},
			opts:   argocd.WaitOptions{Timeout: 30 * time.Second},
			kind:   argocd.ErrTimeout, says: "the application to be Healthy; it is Progressing",
		},
		"Suspended is not Healthy": {
			health: []argocdtest.Step{{Health: argocd.Suspended}},
			opts:   argocd.WaitOptions{Timeout: 30 * time.Second},
			kind:   argocd.ErrTimeout, says: "it is Suspended",
		},
		"Suspended is good enough": {
			health: []argocdtest.Step{{Health: argocd.Suspended}},
			opts:   argocd.WaitOptions{AllowSuspended: true},
		},
		"a newer commit that contains ours": {
			before: func(w *world) { w.r.push("example.com/shop:newer") },
			want:   func(w *world, want *argocd.Want) { want.Descends, want.Images = w.r.descends, nil },
			after: func(t *testing.T, _ *world, d *argocd.Deployed) {
				t.Helper()
				assert.Equal(t, []string{sha(2)}, d.Revisions)
			},
		},
		"a newer commit of which nobody knows": {
			before: func(w *world) { w.r.push("example.com/shop:newer") },
			opts:   argocd.WaitOptions{Timeout: 30 * time.Second},
			kind:   argocd.ErrTimeout, says: "the server to compare with " + sha(1),
		},
		"nobody can tell whether a newer commit contains ours": {
			before: func(w *world) { w.r.push("example.com/shop:newer") },
			want: func(_ *world, want *argocd.Want) {
				want.Descends = func(context.Context, string, string) (bool, error) { return false, errors.New("git is down") }
			},
			opts: argocd.WaitOptions{Timeout: 30 * time.Second},
			kind: argocd.ErrTimeout, says: "git is down",
		},
		"a commit that is not there": {
			want: func(_ *world, want *argocd.Want) {
				want.Revisions = []string{"0123456789012345678901234567890123456789"}
			},
			opts: argocd.WaitOptions{Timeout: 30 * time.Second},
			kind: argocd.ErrTimeout, says: "0123456789012345678901234567890123456789",
		},
		"an abbreviated commit": {want: func(w *world, want *argocd.Want) { want.Revisions = []string{w.rev[:38]} }},
		"no revision at all":    {want: func(_ *world, want *argocd.Want) { want.Revisions = nil }},
		"two revisions for one source": {
			want: func(w *world, want *argocd.Want) { want.Revisions = []string{w.rev, w.rev} },
			kind: argocd.ErrInvalid, says: "the application has 1 sources",
		},
		"manifests that cannot be read": {
			before: func(w *world) { w.rev = w.r.push(brokenCommit) },
			kind:   argocd.ErrComparison, says: "broken.yaml", within: 15 * time.Second,
		},
		"manifests that are mended": {
			before: func(w *world) {
				w.rev = w.r.push(brokenCommit)
				later(5*time.Second, func() { w.r.push(ours) })
			},
			want:   func(w *world, want *argocd.Want) { want.Descends = w.r.descends },
			within: 12 * time.Second,
		},
		"manifests that are mended before a slow server has looked again": {
			before: func(w *world) {
				w.rev = w.r.push(brokenCommit)
				later(5*time.Second, func() { w.r.push(ours) })
			},
			faults: []argocdtest.Fault{{Op: "refresh", Skip: 1, Delay: 25 * time.Second}, {Op: "watch", Silent: true, Times: -1}},
			want:   func(w *world, want *argocd.Want) { want.Descends = w.r.descends },
		},
		"a directory that is not there": {
			before: func(w *world) {
				w.s.Delete("shop")
				w.s.Add(argocdtest.App{Name: "shop", Path: "nowhere"})
			},
			kind: argocd.ErrComparison, says: "app path does not exist", within: 15 * time.Second,
		},
		"manifests in every style": {
			before: func(w *world) {
				w.r.add("flow.yaml", "{apiVersion: v1, kind: List, items: [{apiVersion: batch/v1, kind: Job, metadata: {name: once}, spec: {template: {spec: {containers: [{image: \"example.com/once:1\"}]}}}}]}\n")
			},
			want: func(_ *world, want *argocd.Want) { want.Images = []string{ours, "example.com/once:1"} },
		},
		"a repository that is out of reach": {
			before: func(w *world) {
				w.r.unreachable(errors.New("rpc error: code = Unavailable desc = dial tcp: connection refused"))
			},
			opts: argocd.WaitOptions{Timeout: 30 * time.Second},
			kind: argocd.ErrTimeout, says: "connection refused",
		},
		"a repository that is out of reach for half a minute": {
			before: func(w *world) {
				w.r.unreachable(errors.New("rpc error: code = Unavailable desc = dial tcp: connection refused"))
				later(30*time.Second, func() { w.r.unreachable(nil) })
			},
		},
		"a repository that is out of reach for the sync": {
			pause: 2 * time.Second,
			before: func(w *world) {
				later(time.Second, func() {
					w.r.unreachable(errors.New("rpc error: code = Unavailable desc = dial tcp: connection refused"))
				})
				later(6*time.Second, func() { w.r.unreachable(nil) })
			},
			after: func(t *testing.T, _ *world, d *argocd.Deployed) {
				t.Helper()
				assert.Equal(t, 2, d.Syncs)
			},
		},
		"a repository that is out of reach when its branch is asked for": {
			app:    argocdtest.App{AutoSync: true},
			opts:   argocd.WaitOptions{AutoSyncGrace: -1},
			faults: []argocdtest.Fault{{Op: "sync", Status: http.StatusBadRequest, Message: "error resolving repo revision: rpc error: code = Unknown desc = dial tcp: connection refused", Times: 2}},
		},
		"left-overs that nobody prunes": {
			before: func(w *world) {
				w.r.add("extra.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n")
				_, _ = w.c.SyncAndWait(context.Background(), "shop", argocd.Want{}, nil)
				w.r.remove("extra.yaml")
				w.rev = w.r.push(ours)
			},
			kind: argocd.ErrOutOfSync, says: "ConfigMap extra",
		},
		"left-overs that are pruned": {
			before: func(w *world) {
				w.r.add("extra.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n")
				_, _ = w.c.SyncAndWait(context.Background(), "shop", argocd.Want{}, nil)
				w.r.remove("extra.yaml")
				w.rev = w.r.push(ours)
			},
			opts: argocd.WaitOptions{Sync: &argocd.SyncOptions{Prune: true}},
		},
		"an image that runs only when its time comes": {
			before: func(w *world) {
				w.r.add("job.yaml", "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: nightly\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n            - name: nightly\n              image: example.com/nightly:7\n")
			},
			want: func(_ *world, want *argocd.Want) { want.Images = []string{ours, "example.com/nightly:7"} },
			after: func(t *testing.T, _ *world, d *argocd.Deployed) {
				t.Helper()
				assert.Equal(t, []string{ours, "example.com/nightly:7"}, d.Images)
			},
		},
		"an image that runs nowhere": {
			want: func(_ *world, want *argocd.Want) { want.Images = []string{"example.com/nightly:8"} },
			opts: argocd.WaitOptions{Timeout: 30 * time.Second},
			kind: argocd.ErrTimeout, says: "the images to run: example.com/nightly:8",
		},
		"the application is deleted": {
			pause:  5 * time.Second,
			before: func(w *world) { later(4*time.Second, func() { w.s.Delete("shop") }) },
			kind:   argocd.ErrNotFound,
		},
		"the application is made anew": {
			pause: 3 * time.Second,
			before: func(w *world) {
				later(4*time.Second, func() { w.s.Delete("shop"); w.s.Add(argocdtest.App{Name: "shop"}) })
			},
		},
		"the token is refused once": {faults: []argocdtest.Fault{{Op: "sync", Status: http.StatusUnauthorized, Message: "token is expired"}}},
		"the token is refused": {
			faults: []argocdtest.Fault{{Op: "sync", Status: http.StatusUnauthorized, Message: "token is expired", Times: -1}},
			kind:   argocd.ErrDenied, says: "token is expired",
		},
		"syncing is not allowed": {
			faults: []argocdtest.Fault{{Op: "sync", Status: http.StatusForbidden, Message: "permission denied: applications, sync, default/shop, sub: ci"}},
			kind:   argocd.ErrDenied, says: "applications, sync",
		},
		"the server is gone": {
			faults: []argocdtest.Fault{{Status: 503, Times: -1}},
			kind:   argocd.ErrUnavailable,
		},
		"the server is gone, and time is short": {
			faults: []argocdtest.Fault{{Status: 503, Times: -1}},
			opts:   argocd.WaitOptions{Timeout: 3 * time.Second},
			kind:   argocd.ErrUnavailable, says: "timed out",
		},
		"the server goes meanwhile": {
			health: []argocdtest.Step{{Health: argocd.Progressing}},
			before: func(w *world) { later(5*time.Second, func() { w.s.Fail(argocdtest.Fault{Status: 503, Times: -1}) }) },
			opts:   argocd.WaitOptions{Timeout: 25 * time.Second},
			kind:   argocd.ErrUnavailable, says: "timed out",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{r: &repo{}}
				w.r.push("example.com/shop:before")
				tc.app.Name = "shop"
				var end func()
				w.s, w.c, end = bubble(t, w.r, argocdtest.Options{
					Apps: []argocdtest.App{tc.app}, Pause: tc.pause,
					Health: func(_ string, res argocdtest.Resource) []argocdtest.Step {
						if len(res.Images) == 1 && res.Images[0] == ours {
							return tc.health
						}
						return nil
					},
				})
				defer end()
				_, err := w.c.SyncAndWait(t.Context(), "shop", argocd.Want{Revisions: []string{sha(0)}}, nil)
				require.NoError(t, err)
				w.rev = w.r.push(ours)
				if tc.before != nil {
					tc.before(w)
				}
				w.s.Fail(tc.faults...)
				want := argocd.Want{Revisions: []string{w.rev}, Images: []string{ours}}
				if tc.want != nil {
					tc.want(w, &want)
				}
				start := time.Now()
				d, err := w.c.SyncAndWait(t.Context(), "shop", want, &tc.opts)
				within := tc.within
				if within == 0 {
					within = time.Minute
				}
				assert.LessOrEqual(t, time.Since(start), within)
				if tc.kind != nil {
					require.ErrorIs(t, err, tc.kind)
					require.ErrorContains(t, err, tc.says)
					var e *argocd.Error
					require.ErrorAs(t, err, &e)
					require.NotNil(t, e.Report)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, argocd.Synced, d.Sync)
				if tc.after != nil {
					tc.after(t, w, d)
				}
			})
		})
	}
}

func (r *repo) add(name, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.extra == nil {
		r.extra = fstest.MapFS{}
	}
	r.extra[name] = &fstest.MapFile{Data: []byte(text)}
}

func (r *repo) unreachable(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = err
}

func (r *repo) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.extra, name)
}

// A wait that is cancelled says so, and what it waited for.
func TestWait_cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &repo{}
		r.push("example.com/shop:1")
		_, c, end := bubble(t, r, argocdtest.Options{})
		defer end()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		_, err := c.Wait(ctx, "shop", argocd.Want{}, nil)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "waiting for somebody to sync")
		assert.NotErrorIs(t, err, argocd.ErrTimeout)
	})
}

// Wait follows an operation by its id, and says when it is not there any more.
func TestWait_operation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &repo{}
		rev := r.push("example.com/shop:1")
		s, c, end := bubble(t, r, argocdtest.Options{Pause: time.Second})
		defer end()
		started, err := c.Sync(t.Context(), "shop", &argocd.SyncOptions{ID: "run-42"})
		require.NoError(t, err)
		assert.Equal(t, "run-42", started.ID)
		var states []string
		_, err = c.Wait(t.Context(), "shop", argocd.Want{Revisions: []string{rev}}, &argocd.WaitOptions{
			Operation: "run-42", OnStatus: func(_ *argocd.Application, waitingFor string) { states = append(states, waitingFor) },
		})
		require.NoError(t, err)
		assert.Contains(t, states, "our operation to finish")

		s.SyncByOther("shop", rev)
		_, err = c.Wait(t.Context(), "shop", argocd.Want{}, &argocd.WaitOptions{Operation: "run-42"})
		require.ErrorIs(t, err, argocd.ErrPreempted)

		_, err = c.Wait(t.Context(), "shop", argocd.Want{Revisions: []string{rev}}, nil)
		require.NoError(t, err)
		dry, err := c.Sync(t.Context(), "shop", &argocd.SyncOptions{DryRun: true})
		require.NoError(t, err)
		_, err = c.Wait(t.Context(), "shop", argocd.Want{}, &argocd.WaitOptions{Operation: dry.ID})
		require.ErrorIs(t, err, argocd.ErrInvalid)
		require.ErrorContains(t, err, "is a dry run")
	})
}

// What the server answers first can be older than the operation: it reads a cache. A wait that did not see the
// operation yet still follows it.
func TestWait_operationSeenLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &repo{}
		r.push("example.com/shop:1")
		s, c, end := bubble(t, r, argocdtest.Options{Pause: time.Second})
		defer end()
		s.Fail(argocdtest.Fault{Op: "operation", Message: "not our ref"})
		begin := time.Now()
		waited := make(chan error, 1)
		go func() {
			_, err := c.Wait(t.Context(), "shop", argocd.Want{Revisions: []string{sha(7)}}, &argocd.WaitOptions{Timeout: time.Minute, Operation: "late"})
			waited <- err
		}()
		<-time.After(5 * time.Second) // the first answers have none
		_, err := c.Sync(t.Context(), "shop", &argocd.SyncOptions{ID: "late"})
		require.NoError(t, err)
		err = <-waited
		require.ErrorIs(t, err, argocd.ErrSyncFailed)
		require.ErrorContains(t, err, "not our ref")
		assert.Less(t, time.Since(begin), 15*time.Second)
	})
}

// What an answer to a sync that was lost leaves behind: the same id, started once.
func TestSync_lostAnswer(t *testing.T) {
	r := &repo{}
	r.push("example.com/shop:1")
	s, c := newServer(t, r, argocdtest.Options{Pause: 50 * time.Millisecond})
	s.Fail(argocdtest.Fault{Op: "sync", Drop: true})
	started, err := c.Sync(t.Context(), "shop", &argocd.SyncOptions{ID: "once"})
	require.NoError(t, err)
	assert.Equal(t, "once", started.ID)
	_, err = c.Wait(t.Context(), "shop", argocd.Want{}, &argocd.WaitOptions{Operation: "once"})
	require.NoError(t, err)
	history, err := c.History(t.Context(), "shop")
	require.NoError(t, err)
	assert.Len(t, history, 1)
}

// TestWait_reaction holds the wait to 100 ms from the event that decides, of which a bubble's time is the measure:
// what asks every now and then shows in it, and what the machine is busy with does not. BenchmarkReaction has the
// figure of a real clock.
func TestWait_reaction(t *testing.T) {
	for name, tc := range map[string]struct {
		decide func(s *argocdtest.Server)
		kind   error
	}{
		"Healthy":  {func(s *argocdtest.Server) { s.SetHealth("shop", "Deployment", "shop", argocd.Healthy, "") }, nil},
		"Degraded": {func(s *argocdtest.Server) { s.SetHealth("shop", "Deployment", "shop", argocd.Degraded, "crash") }, argocd.ErrDegraded},
		"deleted":  {func(s *argocdtest.Server) { s.Delete("shop") }, argocd.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &repo{}
				rev := r.push("example.com/shop:1")
				s, c, end := bubble(t, r, argocdtest.Options{Health: func(string, argocdtest.Resource) []argocdtest.Step {
					return []argocdtest.Step{{Health: argocd.Progressing}}
				}})
				defer end()
				decided := make(chan time.Time, 1)
				time.AfterFunc(100*time.Second+123*time.Millisecond, func() {
					decided <- time.Now()
					tc.decide(s)
				})
				_, err := c.SyncAndWait(t.Context(), "shop", argocd.Want{Revisions: []string{rev}, Images: []string{"example.com/shop:1"}}, &argocd.WaitOptions{
					DegradedGrace: -1, Poll: time.Hour,
				})
				require.ErrorIs(t, err, tc.kind)
				assert.Less(t, time.Since(<-decided), 100*time.Millisecond)
			})
		})
	}
}

// BenchmarkReaction measures from the event that decides to the return of the wait, over a real connection,
// beside a loop that asks once a second, which is what a script around the argocd command would do.
func BenchmarkReaction(b *testing.B) {
	run := func(b *testing.B, wait func(ctx context.Context, c *argocd.Client, rev string) error) {
		b.Helper()
		var total time.Duration
		n := 0
		for b.Loop() {
			b.StopTimer()
			r := &repo{}
			rev := r.push(fmt.Sprintf("example.com/shop:%d", n))
			progressing := make(chan struct{}, 100)
			s, c := newServer(b, r, argocdtest.Options{
				Health: func(string, argocdtest.Resource) []argocdtest.Step {
					return []argocdtest.Step{{Health: argocd.Progressing}}
				},
				OnChange: func(a *argocd.Application) {
					if a.Status.Sync.Status == argocd.Synced {
						progressing <- struct{}{}
					}
				},
			})
			_, err := c.Sync(b.Context(), "shop", nil)
			require.NoError(b, err)
			<-progressing
			done := make(chan error, 1)
			go func() { done <- wait(b.Context(), c, rev) }()
			pause(b, time.Duration(300+n*137%1000)*time.Millisecond)
			b.StartTimer()
			start := time.Now()
			s.SetHealth("shop", "Deployment", "shop", argocd.Healthy, "")
			require.NoError(b, <-done)
			total += time.Since(start)
			n++
		}
		b.ReportMetric(float64(total.Microseconds())/1000/float64(n), "ms/reaction")
	}
	b.Run("Wait", func(b *testing.B) {
		run(b, func(ctx context.Context, c *argocd.Client, rev string) error {
			_, err := c.Wait(ctx, "shop", argocd.Want{Revisions: []string{rev}}, nil)
			return err
		})
	})
	b.Run("ask each second", func(b *testing.B) {
		run(b, func(ctx context.Context, c *argocd.Client, _ string) error {
			for {
				a, err := c.Status(ctx, "shop")
				if err != nil || a.Status.Health.Status == argocd.Healthy {
					return err
				}
				pause(b, time.Second)
			}
		})
	})
}

func pause(tb testing.TB, d time.Duration) {
	tb.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-tb.Context().Done():
	}
}
