package scan

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/report"
)

// Job is one scanner on one target.
type Job struct {
	Scanner Scanner
	Target  Target
	Timeout time.Duration // 0 takes Options.Timeout
}

// Options for [Run]. The zero value is ready to use.
type Options struct {
	Concurrency int           // jobs at once; 0 is the number of CPUs
	Timeout     time.Duration // for each job that names none; 0 is 30 minutes
	Progress    func(Event)   // called when a job starts and when it ends, never twice at once; may be nil
}

// Event is a step of a [Run].
type Event struct {
	Job    int     // counts into the jobs
	Done   int     // jobs that have ended, this one included
	Result *Result // nil when the job starts; must not be changed
}

const defaultTimeout = 30 * time.Minute

// Run does the jobs, some at once, and returns one Result per job in the order of the jobs: always as many
// as there are jobs, each with a Status and a Report. One job that fails does not touch the others. The
// error joins the errors of those that failed (skipping is no failure); it is nil when none did.
//
// When ctx ends, jobs under way are cancelled and waited for, and those not yet started fail. A scanner that
// panics, or breaks the rules of [Scanner], has failed.
func Run(ctx context.Context, jobs []Job, o *Options) ([]Result, error) {
	if o == nil {
		o = &Options{}
	}
	r := runner{jobs: jobs, timeout: o.Timeout, progress: o.Progress}
	if r.timeout <= 0 {
		r.timeout = defaultTimeout
	}
	workers := o.Concurrency
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}

	results := make([]Result, len(jobs))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, len(jobs)) {
		wg.Go(func() {
			for i := range next {
				r.started(i)
				results[i] = r.do(ctx, jobs[i])
				r.ended(i, &results[i])
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	wg.Wait()

	var errs []error
	for _, res := range results {
		if res.Status == Failed {
			errs = append(errs, res.Err)
		}
	}
	return results, errors.Join(errs...)
}

type runner struct {
	jobs     []Job
	timeout  time.Duration
	progress func(Event)

	mu   sync.Mutex // one call of progress at a time
	done int
}

func (r *runner) started(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress != nil {
		r.progress(Event{Job: i, Done: r.done})
	}
}

func (r *runner) ended(i int, res *Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.progress != nil {
		r.progress(Event{Job: i, Done: r.done, Result: res})
	}
}

// do runs one job and turns whatever comes of it into a Result that keeps the promises of [Run].
func (r *runner) do(ctx context.Context, j Job) Result {
	if j.Scanner == nil {
		return settle(j, "", nil, &Error{Op: "run job", Target: j.Target.String(), Kind: ErrConfig, Err: errors.New("no scanner")}, 0)
	}
	name, err := named(j.Scanner)
	if err != nil {
		return settle(j, "", nil, &Error{Op: "run job", Target: j.Target.String(), Kind: ErrConfig, Err: err}, 0)
	}
	if err := ctx.Err(); err != nil {
		return settle(j, name, nil, &Error{Op: "scan", Scanner: name, Target: j.Target.String(), Kind: ErrBroken, Err: fmt.Errorf("not started: %w", err)}, 0)
	}
	if err := j.Target.Check(); err != nil {
		return settle(j, name, nil, err, 0)
	}
	timeout := j.Timeout
	if timeout <= 0 {
		timeout = r.timeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done within %v: %w", timeout, context.DeadlineExceeded))
	defer cancel()
	start := time.Now()
	res, err := guarded(ctx, j.Scanner, name, j.Target)
	return settle(j, name, res, err, time.Since(start))
}

// named calls Name and makes an error of a panic: that of a nil pointer to a scanner, say.
func named(s Scanner) (name string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the scanner, a %T, cannot say its name: panic: %v", s, v)
		}
	}()
	return s.Name(), nil
}

// guarded calls Scan and makes an error of a panic.
func guarded(ctx context.Context, s Scanner, name string, t Target) (res *Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			stack, _, _ := strings.Cut(string(debug.Stack()), "\n\n")
			res, err = nil, &Error{Op: "scan", Scanner: name, Target: t.String(), Kind: ErrBroken, Err: fmt.Errorf("panic: %v", v), Stderr: stack}
		}
	}()
	return s.Scan(ctx, t)
}

// settle makes a Result that keeps the promises of [Run] of whatever Scan returned. It fails what does not
// fit together: a scanner that says clean while its own report says otherwise has a mistake somewhere, and
// the safe reading is that nothing is known.
func settle(j Job, name string, res *Result, err error, took time.Duration) Result {
	out := Result{}
	if res != nil {
		out = *res
	}
	out.Scanner, out.Target = name, j.Target
	if out.Took == 0 {
		out.Took = took
	}
	if err == nil {
		if cause := inconsistent(res); cause != nil {
			err = &Error{Op: "scan", Scanner: name, Target: j.Target.String(), Kind: ErrBroken, Err: cause}
		}
	}
	switch {
	case err == nil:
		return out
	case errors.Is(err, ErrSkipped):
		out.Status, out.Report = Skipped, &report.Report{}
	default:
		out.Status, out.Report = Failed, failedReport(&out, err)
	}
	out.Err, out.Reason = err, err.Error()
	return out
}

// inconsistent says what is wrong with the result of a scan that returned no error.
func inconsistent(res *Result) error {
	switch {
	case res == nil:
		return errors.New("no result and no error")
	case res.Status != Clean && res.Status != Findings:
		return fmt.Errorf("status %q without an error", res.Status)
	case res.Report == nil:
		return errors.New("no report and no error")
	}
	if s := StatusOf(res.Report); s == Failed {
		return errors.New("the report says that the scan did not complete")
	} else if s == Findings && res.Status == Clean {
		return errors.New("status clean, but the report has findings")
	}
	return nil
}

// failedReport returns what was found until a scan failed, its runs marked so that a gate fails on them.
func failedReport(res *Result, err error) *report.Report {
	var r report.Report
	if res.Report != nil {
		r = *res.Report
	}
	r.Runs = slices.Clone(r.Runs)
	if len(r.Runs) == 0 {
		r.Runs = []report.Run{{Tool: res.Scanner, Version: res.Version, Target: res.Target.String()}}
	}
	for i := range r.Runs {
		if r.Runs[i].Status != report.StatusFailed {
			r.Runs[i].Status, r.Runs[i].Reason = report.StatusFailed, err.Error()
		}
	}
	return &r
}
