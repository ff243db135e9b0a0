package scan_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
)

var here = scan.Target{Kind: scan.Dir, Path: "."}

func job(steps ...scantest.Step) scan.Job {
	return scan.Job{Scanner: scantest.New("probe", steps...), Target: here}
}

func TestRun_resultPerJob(t *testing.T) {
	disk := errors.New("disk on fire")
	jobs := []scan.Job{
		job(scantest.Clean()),
		job(scantest.Found(report.Finding{Rule: "R1", Message: "m"})),
		job(scantest.Broken(disk)),
		job(scantest.Skip("no Go here")),
		job(scantest.Panic("boom")),
		{Target: here},
		{Scanner: (*scantest.Scanner)(nil), Target: here},
		{Scanner: scantest.New("probe"), Target: scan.Target{Kind: "disk", Path: "x"}},
	}
	results, err := scan.Run(t.Context(), jobs, nil)
	require.Len(t, results, len(jobs))

	var got []scan.Status
	for i, r := range results {
		got = append(got, r.Status)
		require.NotNil(t, r.Report, "job %d", i)
		if r.Status == scan.Skipped || r.Status == scan.Failed {
			assert.NotEmpty(t, r.Reason, "job %d", i)
			assert.Error(t, r.Err, "job %d", i)
		} else {
			assert.Empty(t, r.Reason)
			assert.NoError(t, r.Err)
		}
	}
	assert.Equal(t, []scan.Status{scan.Clean, scan.Findings, scan.Failed, scan.Skipped, scan.Failed, scan.Failed, scan.Failed, scan.Failed}, got)

	require.ErrorIs(t, err, disk)
	require.ErrorIs(t, err, scan.ErrBroken)
	require.ErrorIs(t, err, scan.ErrConfig)
	require.ErrorIs(t, err, scan.ErrTarget)
	require.NotErrorIs(t, err, scan.ErrSkipped)
	require.ErrorIs(t, results[3].Err, scan.ErrSkipped)
	assert.Contains(t, results[4].Reason, "panic: boom")
	assert.Equal(t, report.StatusFailed, results[2].Report.Runs[0].Status, "the report of a failed scan says so")
	assert.Equal(t, scan.Failed, scan.StatusOf(results[2].Report))
}

// A result that does not hold together must not pass for clean.
func TestRun_inconsistent(t *testing.T) {
	completed := &report.Report{Runs: []report.Run{{Tool: "x", Status: report.StatusCompleted}}}
	for name, tc := range map[string]struct {
		res  *scan.Result
		err  error
		says string
	}{
		"nothing":                 {nil, nil, "no result and no error"},
		"no status":               {&scan.Result{Report: completed}, nil, `status ""`},
		"failed without an error": {&scan.Result{Status: scan.Failed, Report: completed}, nil, `status "failed"`},
		"no report":               {&scan.Result{Status: scan.Clean}, nil, "no report"},
		"report without a run":    {&scan.Result{Status: scan.Clean, Report: &report.Report{}}, nil, "did not complete"},
		"run that failed":         {&scan.Result{Status: scan.Clean, Report: &report.Report{Runs: []report.Run{{Tool: "x", Status: report.StatusFailed}}}}, nil, "did not complete"},
		"clean with findings": {&scan.Result{Status: scan.Clean, Report: &report.Report{
			Runs: completed.Runs, Findings: []report.Finding{{Rule: "R"}},
		}}, nil, "has findings"},
		"clean with an error": {&scan.Result{Status: scan.Clean, Report: completed}, errors.New("late"), "late"},
	} {
		t.Run(name, func(t *testing.T) {
			s := scantest.New("probe", func(context.Context, *scantest.Scanner, scan.Target) (*scan.Result, error) { return tc.res, tc.err })
			results, err := scan.Run(t.Context(), []scan.Job{{Scanner: s, Target: here}}, nil)
			require.ErrorContains(t, err, tc.says)
			assert.Equal(t, scan.Failed, results[0].Status)
			assert.Equal(t, scan.Failed, scan.StatusOf(results[0].Report))
		})
	}
	assert.Equal(t, report.StatusCompleted, completed.Runs[0].Status, "the scanner's own report is left alone")
}

func TestRun_keepsWhatWasFoundBeforeTheFailure(t *testing.T) {
	s := scantest.New("probe", func(_ context.Context, _ *scantest.Scanner, tg scan.Target) (*scan.Result, error) {
		r := &report.Report{Runs: []report.Run{{Tool: "probe", Status: report.StatusCompleted}}, Findings: []report.Finding{{Rule: "R1"}}}
		return &scan.Result{Target: tg, Status: scan.Failed, Report: r}, errors.New("cut short")
	})
	results, err := scan.Run(t.Context(), []scan.Job{{Scanner: s, Target: here}}, nil)
	require.Error(t, err)
	assert.Len(t, results[0].Report.Findings, 1)
	assert.Equal(t, report.StatusFailed, results[0].Report.Runs[0].Status)
}

func TestRun_concurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		step := func(ctx context.Context, s *scantest.Scanner, tg scan.Target) (*scan.Result, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return scantest.Clean()(ctx, s, tg)
		}
		jobs := make([]scan.Job, 10)
		for i := range jobs {
			jobs[i] = job(step)
		}
		start := time.Now()
		results, err := scan.Run(t.Context(), jobs, &scan.Options{Concurrency: 3})
		require.NoError(t, err)
		assert.Len(t, results, 10)
		assert.Equal(t, int32(3), most.Load())
		assert.Equal(t, 4*time.Second, time.Since(start))
		assert.Equal(t, time.Second, results[0].Took)
	})
}

func TestRun_timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs := []scan.Job{job(scantest.Hang()), job(scantest.Clean())}
		jobs[0].Timeout = time.Minute
		results, err := scan.Run(t.Context(), jobs, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, scan.Failed, results[0].Status)
		assert.Contains(t, results[0].Reason, "not done within 1m0s")
		assert.Equal(t, scan.Clean, results[1].Status)
	})
}

func TestRun_cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		waiting := scantest.New("waiting")
		jobs := []scan.Job{job(scantest.Hang()), {Scanner: waiting, Target: here}}
		results, err := scan.Run(ctx, jobs, &scan.Options{Concurrency: 1})
		require.ErrorIs(t, err, context.Canceled)
		for _, r := range results {
			assert.Equal(t, scan.Failed, r.Status)
			require.ErrorIs(t, r.Err, context.Canceled)
		}
		assert.Empty(t, waiting.Scans(), "a job that was not started when the run was cancelled is not started")
	})
}

func TestRun_progress(t *testing.T) {
	var events []scan.Event
	jobs := []scan.Job{job(scantest.Clean()), job(scantest.Broken(errors.New("x"))), job(scantest.Skip("y"))}
	_, err := scan.Run(t.Context(), jobs, &scan.Options{Progress: func(e scan.Event) { events = append(events, e) }})
	require.Error(t, err)
	require.Len(t, events, 6)
	done := 0
	for _, e := range events {
		if e.Result != nil {
			done++
		}
		assert.Equal(t, done, e.Done)
	}
}

func TestRun_noJobs(t *testing.T) {
	results, err := scan.Run(t.Context(), nil, nil)
	require.NoError(t, err)
	assert.Empty(t, results)
}

func TestStatusOf(t *testing.T) {
	run := []report.Run{{Tool: "x", Status: report.StatusCompleted}}
	for name, tc := range map[string]struct {
		r    *report.Report
		want scan.Status
	}{
		"nil":         {nil, scan.Failed},
		"no run":      {&report.Report{}, scan.Failed},
		"clean":       {&report.Report{Runs: run}, scan.Clean},
		"not said":    {&report.Report{Runs: []report.Run{{Tool: "x"}}}, scan.Failed},
		"no results":  {&report.Report{Runs: []report.Run{{Tool: "x", Status: report.StatusNoResults}}}, scan.Failed},
		"finding":     {&report.Report{Runs: run, Findings: []report.Finding{{Rule: "R"}}}, scan.Findings},
		"suppressed":  {&report.Report{Runs: run, Findings: []report.Finding{{Rule: "R", Suppressed: &report.Suppression{}}}}, scan.Clean},
		"absent":      {&report.Report{Runs: run, Findings: []report.Finding{{Rule: "R", State: report.StateAbsent}}}, scan.Clean},
		"passed rule": {&report.Report{Runs: run, Findings: []report.Finding{{Rule: "R", Kind: report.KindPass}}}, scan.Clean},
		"review":      {&report.Report{Runs: run, Findings: []report.Finding{{Rule: "R", Kind: report.KindReview}}}, scan.Findings},
		"failed test": {&report.Report{Runs: run, Tests: &report.Tests{Suites: []report.TestSuite{{Cases: []report.TestCase{{Status: report.TestFailed}}}}}}, scan.Findings},
		"passed test": {&report.Report{Runs: run, Tests: &report.Tests{Suites: []report.TestSuite{{Cases: []report.TestCase{{Status: report.TestPassed}}}}}}, scan.Clean},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, scan.StatusOf(tc.r)) })
	}
}

func TestError(t *testing.T) {
	cause := errors.New("exit code 3")
	err := &scan.Error{Op: "scan", Scanner: "trivy", Target: "dir:new\nline", Kind: scan.ErrBroken, Err: cause, Stderr: "first\nlast words\n"}
	assert.Equal(t, `scan: trivy: scan "dir:new\nline": scanner failed: exit code 3 (standard error ends: last words)`, err.Error())
	require.ErrorIs(t, err, cause)
	require.ErrorIs(t, err, scan.ErrBroken)

	err = &scan.Error{Op: "new", Kind: scan.ErrConfig, Err: errors.Join(errors.New("no URL"), errors.New("no\nToken"))}
	assert.Equal(t, "scan: new: bad configuration: no URL; no; Token", err.Error(), "one line, whatever the causes are")
}

// Run adds less than 50 ms to the scanners' own time; the best of many runs, as the machine may be busy.
func TestRun_addsLittle(t *testing.T) {
	jobs := make([]scan.Job, 100)
	for i := range jobs {
		jobs[i] = job(scantest.Clean())
	}
	best := time.Hour
	for range 20 {
		start := time.Now()
		_, err := scan.Run(t.Context(), jobs, nil)
		require.NoError(t, err)
		best = min(best, time.Since(start))
	}
	t.Logf("100 jobs took %v", best)
	assert.Less(t, best, 50*time.Millisecond)
}

// What Run adds to the scanners' own time.
func BenchmarkRun(b *testing.B) {
	jobs := make([]scan.Job, 8)
	for i := range jobs {
		jobs[i] = job(scantest.Clean())
	}
	for b.Loop() {
		if _, err := scan.Run(b.Context(), jobs, nil); err != nil {
			b.Fatal(err)
		}
	}
}
