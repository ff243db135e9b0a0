package argocd_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
	"github.com/waybill-dev/waybill/internal/memnet"
)

// bubble starts a fake and a client of it for use in a synctest bubble; end leaves nothing running in it.
func bubble(t *testing.T, r *repo, o argocdtest.Options) (s *argocdtest.Server, c *argocd.Client, end func()) {
	t.Helper()
	l := memnet.Listen()
	o.Source, o.Listener = r.source, l
	if o.Apps == nil {
		o.Apps = []argocdtest.App{{Name: "shop"}}
	}
	s, err := argocdtest.Start(&o)
	require.NoError(t, err)
	transport := l.Transport()
	c, err = argocd.New(s.URL, &argocd.Options{
		HTTPClient: &http.Client{Transport: transport},
		Token:      func(context.Context) (string, error) { return s.Token, nil },
	})
	require.NoError(t, err)
	return s, c, func() {
		s.Close()
		transport.CloseIdleConnections()
	}
}

// truth is a log of what really ran, by the fake's own account of its live resources.
type truth struct {
	mu     sync.Mutex
	states []truthState
}

type truthState struct {
	at     time.Time
	images []string
	health argocd.HealthCode
	app    argocd.Application
}

func (l *truth) note(a *argocd.Application) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states = append(l.states, truthState{time.Now(), a.Status.Summary.Images, a.Status.Health.Status, *a})
}

// sawHealthy reports whether in the last moment before now exactly one of the images ran, Healthy.
func (l *truth) sawHealthy(images []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := time.Now().Add(-100 * time.Millisecond)
	for i, s := range slices.Backward(l.states) {
		if i+1 < len(l.states) && l.states[i+1].at.Before(since) {
			return false
		}
		if s.health == argocd.Healthy && len(s.images) == 1 && slices.Contains(images, s.images[0]) {
			return true
		}
	}
	return false
}

var oneSchedule = flag.Int("schedule", -1, "run the one random schedule of this seed")

// TestSchedules runs waits through random schedules of faults, other people and health, each from a seed, and
// holds the outcome against what really ran: no false success, no false failure. All 10,000 take two minutes: the
// integration part of .ci/run runs them; with the race detector, as its quick part has it, there are 500.
func TestSchedules(t *testing.T) {
	if *oneSchedule >= 0 {
		synctest.Test(t, func(t *testing.T) { t.Log(schedule(t, uint64(*oneSchedule))) })
		return
	}
	schedules := 10_000
	if testing.Short() || raceDetector {
		schedules = 500
	}
	const parts = 4
	var mu sync.Mutex
	outcomes := map[string]int{}
	t.Run("parts", func(t *testing.T) {
		for part := range parts {
			t.Run(strconv.Itoa(part), func(t *testing.T) {
				t.Parallel()
				for seed := part; seed < schedules; seed += parts {
					var outcome string
					synctest.Test(t, func(t *testing.T) { outcome = schedule(t, uint64(seed)) })
					mu.Lock()
					outcomes[outcome]++
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("outcomes of %d schedules: %v", schedules, outcomes)
}

func schedule(t *testing.T, seed uint64) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	chance := func(percent int) bool { return rng.IntN(100) < percent }
	between := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(rng.Int64N(int64(hi-lo)+1)) }

	r := &repo{}
	before := r.push("example.com/shop:before")
	app := argocdtest.App{Name: "shop", AutoSync: chance(40), SelfHeal: chance(50)}

	// How our image does.
	fate := []string{"good", "good", "good", "flaky", "broken", "stuck"}[rng.IntN(6)]
	progress := between(0, 20*time.Second)
	flaw := between(time.Millisecond, 50*time.Second)
	script := map[string][]argocdtest.Step{
		"good":   {{Health: argocd.Progressing}, {After: progress, Health: argocd.Healthy}},
		"flaky":  {{Health: argocd.Progressing}, {After: progress, Health: argocd.Degraded, Message: "probe failed"}, {After: flaw, Health: argocd.Healthy}},
		"broken": {{Health: argocd.Progressing}, {After: progress, Health: argocd.Degraded, Message: "image cannot be pulled"}},
		"stuck":  {{Health: argocd.Progressing}},
	}
	log := &truth{}
	s, c, end := bubble(t, r, argocdtest.Options{
		Apps: []argocdtest.App{app}, Pause: between(time.Millisecond, 3*time.Second), Poll: between(10*time.Second, 3*time.Minute),
		Health: func(_ string, res argocdtest.Resource) []argocdtest.Step {
			if slices.Contains(res.Images, "example.com/shop:ours") {
				return script[fate]
			}
			return nil
		},
		OnChange: log.note,
	})
	defer end()

	// The time before: the old image runs.
	if chance(90) {
		_, err := c.SyncAndWait(t.Context(), "shop", argocd.Want{Revisions: []string{before}}, nil)
		require.NoError(t, err)
		time.Sleep(between(0, 5*time.Second))
	}

	ours := r.push("example.com/shop:ours")
	accepted := []string{"example.com/shop:ours"}
	want := argocd.Want{Revisions: []string{ours}}
	lineage := chance(60)
	if lineage {
		want.Descends = r.descends
	}
	if chance(70) && !lineage {
		want.Images = []string{"example.com/shop:ours"}
	}

	var faults []argocdtest.Fault
	for range rng.IntN(5) {
		faults = append(faults, []argocdtest.Fault{
			{Op: "refresh", Stale: true, Times: 1 + rng.IntN(5)},
			{Op: "refresh", Delay: between(0, 40*time.Second)},
			{Op: "get", Status: 503, Times: 1 + rng.IntN(3)},
			{Op: "refresh", Status: 500, Times: 1 + rng.IntN(3), Skip: rng.IntN(3)},
			{Op: "get", Drop: true},
			{Op: "sync", Drop: true},
			{Op: "sync", Status: 502, Message: "bad gateway"},
			{Op: "sync", Status: 401, Message: "invalid session: token is expired"},
			{Op: "sync", Busy: true},
			{Op: "sync", Replace: true},
			{Op: "sync", Delay: between(0, 10*time.Second)},
			{Op: "watch", CutAfter: 1 + rng.IntN(6), Times: 1 + rng.IntN(10)},
			{Op: "watch", Silent: true, Times: 1 + rng.IntN(3)},
			{Op: "watch", NoHeader: true, Times: 1 + rng.IntN(3)},
			{Op: "watch", Status: 503, Times: 1 + rng.IntN(5)},
		}[rng.IntN(15)])
	}
	s.Fail(faults...)

	// Company: newer commits, and syncs by others, in the first minute.
	company := 0
	if chance(50) {
		company = 1 + rng.IntN(3)
	}
	newer := false
	unreadable := time.Duration(0) // how long a newer commit is broken
	var others sync.WaitGroup
	if chance(15) {
		newer, unreadable = true, between(0, 30*time.Second)
		delay := between(0, time.Minute)
		others.Go(func() {
			time.Sleep(delay)
			r.push(brokenCommit)
			time.Sleep(unreadable)
			r.push("example.com/shop:newer")
		})
	}
	for range company {
		push, delay, target := chance(50), between(0, time.Minute), []string{"HEAD", ours, before}[rng.IntN(3)]
		if push {
			newer = true
		}
		others.Go(func() {
			time.Sleep(delay)
			if push {
				r.push("example.com/shop:newer")
			} else if !app.AutoSync {
				s.SyncByOther("shop", target)
			}
		})
	}
	if lineage && newer {
		accepted = append(accepted, "example.com/shop:newer")
	}
	if chance(10) {
		s.Block(true)
		delay := between(time.Second, time.Minute)
		others.Go(func() { time.Sleep(delay); s.Block(false) })
	}

	_, err := c.SyncAndWait(t.Context(), "shop", want, &argocd.WaitOptions{
		WaitForWindow: true, Timeout: 15 * time.Minute, TerminateOther: chance(20),
		AutoSyncGrace: []time.Duration{0, -1, time.Minute}[rng.IntN(3)],
	})
	succeeded := err == nil && log.sawHealthy(accepted)
	others.Wait()

	story := fmt.Sprintf("-schedule %d: image %s, auto-sync %t, lineage %t, newer %t, broken for %v, company %d, faults %+v: %v", seed, fate, app.AutoSync, lineage, newer, unreadable, company, faults, err)
	var e *argocd.Error
	if errors.As(err, &e) && e.Report != nil {
		story += "\n" + e.Report.String()
	}
	if err == nil {
		require.True(t, succeeded, "false success: "+story)
		return "success"
	}
	require.NotNil(t, e, story)
	require.NotNil(t, e.Report, story)
	switch {
	case fate == "broken" && (errors.Is(err, argocd.ErrDegraded) || errors.Is(err, argocd.ErrTimeout)):
		return "degraded"
	case fate == "stuck" && errors.Is(err, argocd.ErrTimeout):
		return "never healthy"
	case errors.Is(err, argocd.ErrDenied) && denials(faults) > 1:
		return "denied" // one refused token is asked for anew, two in a row are final
	case errors.Is(err, argocd.ErrComparison) && unreadable > 9*time.Second: // times are to the second
		return "unreadable"
	case newer && !lineage && errors.Is(err, argocd.ErrTimeout):
		return "overtaken" // by a commit of which nobody says that it contains ours
	}
	require.Fail(t, "false failure: "+story)
	return ""
}

func denials(faults []argocdtest.Fault) (n int) {
	for _, f := range faults {
		if f.Status == http.StatusUnauthorized {
			n++
		}
	}
	return n
}
