package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/internal/progress"
	"github.com/waybill-dev/waybill/examples/boutique/internal/telemetry"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/trivy"
)

// stages are the parts of a run, each of which may be a process on an agent of its own.
var stages = []string{"source", "image", "gitops", "deploy"}

// errStopped is a no: a gate's, or that of a deployment that does not get healthy. Nothing is broken.
var errStopped = errors.New("stopped")

// pipeline is one run, or one stage of one.
type pipeline struct {
	*config
	*clients
	standIns *standIns
	policy   policy
	services []service
	work     string // removed at the end

	record *record
	show   *progress.Progress
	trace  *telemetry.Telemetry

	opened  []*report.File
	sources []report.Source // what was found so far
	report  report.Source   // all of it, joined and compared with the baseline
	verdict report.Verdict
}

// run takes the source all the way, or through one stage, and tells people by one mail how that ended.
func (p *pipeline) run(ctx context.Context) error {
	ctx = p.trace.Begin(ctx, p.record.Build, p.record.Trace)
	if p.trace != nil {
		p.record.Trace = p.trace.Parent(ctx)
	}
	err := p.redactor.Error(p.all(ctx))
	p.conclude(ctx, err)

	calm, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute) // also when people have had enough
	defer cancel()
	err = errors.Join(err, p.papers(calm))
	if p.record.Outcome != passed {
		err = errors.Join(err, p.tell(calm), p.papers(calm))
	}
	p.trace.End(calm, map[outcome]telemetry.Result{
		stopped: telemetry.Failure, broken: telemetry.Error, cancelled: telemetry.Cancellation,
	}[p.record.Outcome])
	return err
}

// all does the stages that are wanted.
func (p *pipeline) all(ctx context.Context) error {
	if p.stage != "all" {
		p.record.Stage = p.stage // that says no, when what was handed over is not as it should be
	}
	if err := p.handedOver(ctx); err != nil {
		return err
	}
	for _, stage := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"source", p.check},
		{"image", p.ship},
		{"gitops", p.bump},
		{"deploy", p.deploy},
	} {
		if !p.wants(stage.name) {
			continue
		}
		p.record.Stage = stage.name
		if err := stage.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// conclude writes down how the run ended.
func (p *pipeline) conclude(ctx context.Context, err error) {
	r := p.record
	r.Finished = time.Now().UTC()
	switch {
	case err == nil && p.stage != "all" && p.stage != "deploy":
		r.Outcome = passed
	case err == nil && p.hold != "":
		r.Outcome, r.Reason = checked, p.hold
	case err == nil:
		r.Outcome = deployed
	case ctx.Err() != nil:
		r.Outcome, r.Reason = cancelled, "it was cancelled"
	case errors.Is(err, errStopped):
		r.Outcome, r.Reason = stopped, err.Error()
	default:
		r.Outcome, r.Reason = broken, err.Error()
	}
	for _, s := range r.Steps {
		if s.Result == "" && s.Executed != notRun && s.Name != "mail" && r.Outcome != passed {
			s.Executed, s.Reason = notRun, "the run ended before"
		}
	}
}

// ongoing is a step under way.
type ongoing struct {
	*step
	*progress.Step
}

// do does one step: it shows, times and traces it and writes down how it ended. A step that the plan leaves out
// is not done. parts is how often the step will count, 0 when it does not.
func (p *pipeline) do(ctx context.Context, name string, parts int, f func(context.Context, ongoing) error) error {
	s := p.record.step(name)
	st := ongoing{s, p.show.Start(s.Stage, name, parts)}
	if s.Executed == notRun {
		st.End("not run: " + s.Reason)
		return nil
	}
	ctx, end := p.trace.Task(ctx, name, p.record.Build+"/"+name, taskKinds[name])
	s.Started = time.Now().UTC()
	err := p.redactor.Error(f(ctx, st))
	s.Seconds = time.Since(s.Started).Round(time.Millisecond).Seconds()
	s.Detail = p.redactor.Redact(s.Detail)
	result := telemetry.Success
	switch {
	case err == nil && s.Executed == notRun:
		s.Detail, result = "", telemetry.Skip
		st.End("not run: " + s.Reason)
	case err == nil:
		s.Result = "ok"
		st.End(s.Detail)
	case ctx.Err() != nil:
		s.Result, result = "cancelled", telemetry.Cancellation
		st.End("cancelled")
	case errors.Is(err, errStopped):
		s.Result, result = "stopped", telemetry.Failure
		st.End(err.Error())
	default:
		s.Result, result = "broken", telemetry.Error
		st.End(err.Error())
	}
	if err != nil && s.Detail == "" {
		s.Detail = firstLine(err.Error())
	}
	end(result)
	return err
}

var taskKinds = map[string]string{"tests": "test", "build": "build", "sync": "deploy", "rollback": "deploy"}

// job is one step of scanning.
type job struct {
	step     string
	scanner  scan.Scanner
	targets  []scan.Target
	category func(scan.Target) string // tells runs of the same tool apart; may be nil
}

// scan does the jobs at the same time and adds what they found to the sources, in their order. All are tried.
func (p *pipeline) scan(ctx context.Context, jobs ...job) error {
	found, errs := make([][]report.Source, len(jobs)), make([]error, len(jobs))
	var all sync.WaitGroup
	for i, j := range jobs {
		all.Go(func() {
			errs[i] = p.do(ctx, j.step, len(j.targets), func(ctx context.Context, st ongoing) (err error) {
				found[i], err = j.run(ctx, st)
				return err
			})
		})
	}
	all.Wait()
	p.sources = append(p.sources, slices.Concat(found...)...)
	return errors.Join(errs...)
}

func (j job) run(ctx context.Context, st ongoing) ([]report.Source, error) {
	var list []scan.Job
	for _, t := range j.targets {
		list = append(list, scan.Job{Scanner: j.scanner, Target: t})
	}
	results, err := scan.Run(ctx, list, &scan.Options{Concurrency: runtime.NumCPU(), Progress: func(e scan.Event) {
		if e.Result != nil {
			st.Add(1)
		}
	}})
	var found []report.Source
	var notes []string // such as that a history is shallow
	skipped := "nothing to look at"
	for _, r := range results {
		if r.Status == scan.Skipped {
			skipped = r.Reason
			if e, ok := errors.AsType[*scan.Error](r.Err); ok && e.Err != nil {
				skipped = e.Err.Error()
			}
			continue
		}
		for i := range r.Report.Runs {
			if j.category != nil {
				r.Report.Runs[i].Category = j.category(r.Target)
			}
		}
		found = append(found, r.Report)
		notes = append(notes, r.Notes...)
	}
	if err == nil && len(found) == 0 {
		st.Executed, st.Reason = notRun, skipped
		return nil, nil
	}
	if err != nil {
		return found, err
	}
	once, err := report.Dedupe(ctx, report.Join(found...))
	if err != nil {
		return found, err
	}
	sum, err := report.Summarize(ctx, once)
	if sum.Tests != nil && sum.Findings == 0 {
		sum.Runs = nil // tests find nothing but themselves
	}
	st.Detail = findings(sum)
	if len(notes) > 0 {
		st.Detail = shorten(strings.TrimPrefix(st.Detail+"; "+strings.Join(slices.Compact(notes), "; "), "; "), 300)
	}
	return found, err
}

// gate judges everything found so far. broken is what went wrong in finding it, which no policy forgives.
func (p *pipeline) gate(ctx context.Context, name string, broken error) error {
	return p.do(ctx, name, 0, func(ctx context.Context, st ongoing) error {
		if err := p.judge(ctx, name == "source-gate"); err != nil {
			return errors.Join(broken, err)
		}
		if p.verdict.Pass && broken == nil {
			sum, err := report.Summarize(ctx, p.report)
			st.Detail = "pass: " + findings(sum)
			return err
		}
		if broken != nil && !slices.ContainsFunc(p.verdict.Reasons, p.judged) {
			return broken
		}
		return fmt.Errorf("%w by the %s gate: %s", errStopped, st.Stage, reasons(p.verdict))
	})
}

// judged reports whether a reason is about something that was found, and not about what could not be looked for.
func (p *pipeline) judged(r report.Reason) bool {
	switch r.Clause {
	case "runs", "requireTools":
		return false
	case "tests":
		return p.report.Head().Tests != nil
	case "coverage":
		return p.report.Head().Coverage != nil
	}
	return true
}

// judge joins what was found, compares it with the baseline, and asks the policy. While there are no images yet,
// nothing is required of what scans them.
func (p *pipeline) judge(ctx context.Context, sourceOnly bool) (err error) {
	if p.report, err = report.Dedupe(ctx, report.Join(p.sources...)); err != nil {
		return err
	}
	if p.baseline != "" {
		before, err := report.OpenSARIF(ctx, p.baseline, &report.Options{Root: p.source, Stale: true})
		if err != nil {
			return err
		}
		defer before.Close()
		if p.report, err = report.Compare(ctx, p.report, before, &report.CompareOptions{DropAbsent: true}); err != nil {
			return err
		}
	}
	policy := p.policy.Policy
	if sourceOnly {
		policy.RequireTools = slices.DeleteFunc(slices.Clone(policy.RequireTools), func(tool string) bool { return strings.EqualFold(tool, trivy.Name) })
	}
	if p.verdict, err = policy.Gate(ctx, p.report); err != nil {
		return err
	}
	for _, s := range p.record.Steps {
		if p.policy.Require[s.Name] == actual && s.Executed != actual && (s.Result != "" || p.wants(s.Stage)) {
			p.verdict.Pass = false
			p.verdict.Reasons = append(p.verdict.Reasons, report.Reason{
				Clause: "require", Message: fmt.Sprintf("%s has to be real, and is %s: %s", s.Name, s.Executed, s.Reason),
			})
		}
	}
	return nil
}

// path returns a place in the output directory.
func (c *config) path(elem ...string) string {
	return filepath.Join(append([]string{c.out}, elem...)...)
}
