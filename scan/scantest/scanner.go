// Package scantest helps to test programs that use scanners, and scanners themselves.
//
// [New] makes a [scan.Scanner] that does what a script says and remembers what it was asked. [Script] makes
// a program that stands in for an external tool. [TestScanner] is the suite every scanner must pass.
package scantest

import (
	"context"
	"fmt"
	"sync"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
)

// Step is one answer of a scripted [Scanner].
type Step func(ctx context.Context, s *Scanner, t scan.Target) (*scan.Result, error)

// Scanner is a scanner that follows a script: each scan takes the next step, and the last step is repeated.
// It is safe for concurrent use.
type Scanner struct {
	name string

	mu    sync.Mutex
	steps []Step
	scans []scan.Target
}

var _ scan.Scanner = (*Scanner)(nil)

// New returns a scanner of the given name. Without steps every scan is [Clean].
func New(name string, steps ...Step) *Scanner {
	if len(steps) == 0 {
		steps = []Step{Clean()}
	}
	return &Scanner{name: name, steps: steps}
}

// Name returns the name given to [New].
func (s *Scanner) Name() string { return s.name }

// Scans returns the targets scanned so far, in order.
func (s *Scanner) Scans() []scan.Target {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]scan.Target(nil), s.scans...)
}

// Scan takes the next step of the script.
func (s *Scanner) Scan(ctx context.Context, t scan.Target) (*scan.Result, error) {
	s.mu.Lock()
	s.scans = append(s.scans, t)
	step := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	s.mu.Unlock()
	return step(ctx, s, t)
}

// Clean is a scan that finds nothing.
func Clean() Step { return Found() }

// Found is a scan that finds the given things. They are normalised as a scanner would.
func Found(findings ...report.Finding) Step {
	return func(ctx context.Context, s *Scanner, t scan.Target) (*scan.Result, error) {
		r := &report.Report{
			Runs:     []report.Run{{Tool: s.name, Version: "1.0.0", Target: t.String(), Status: report.StatusCompleted}},
			Findings: append([]report.Finding{}, findings...),
		}
		if err := r.Normalize(ctx, nil); err != nil {
			return nil, err
		}
		return &scan.Result{Scanner: s.name, Version: "1.0.0", Target: t, Status: scan.StatusOf(r), Report: r}, nil
	}
}

// Broken is a scan that fails because of err, with [scan.ErrBroken].
func Broken(err error) Step {
	return func(_ context.Context, s *Scanner, t scan.Target) (*scan.Result, error) {
		return nil, &scan.Error{Op: "scan", Scanner: s.name, Target: t.String(), Kind: scan.ErrBroken, Err: err}
	}
}

// Skip is a scan that has nothing to look at, for the given reason.
func Skip(reason string) Step {
	return func(_ context.Context, s *Scanner, t scan.Target) (*scan.Result, error) {
		return nil, &scan.Error{Op: "scan", Scanner: s.name, Target: t.String(), Kind: scan.ErrSkipped, Err: fmt.Errorf("%s", reason)}
	}
}

// Hang is a scan that lasts until its context ends.
func Hang() Step {
	return func(ctx context.Context, s *Scanner, t scan.Target) (*scan.Result, error) {
		<-ctx.Done()
		return nil, &scan.Error{Op: "scan", Scanner: s.name, Target: t.String(), Kind: scan.ErrBroken, Err: context.Cause(ctx)}
	}
}

// Panic is a scan that panics with v.
func Panic(v any) Step {
	return func(context.Context, *Scanner, scan.Target) (*scan.Result, error) { panic(v) }
}
