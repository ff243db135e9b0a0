// Package unittests runs tests and reads what they left behind: tests and coverage instead of findings.
//
// [NewGo] runs go test. [NewRunner] runs any other command whose tests write JUnit XML, and coverage as
// Cobertura, LCOV or a Go cover profile, or only reads such files of an earlier step.
//
// A failed test is [scan.Findings]: the scan did its work, and the answer is no. The same holds for a package
// that did not build, panicked or ran out of time; it is a failed suite of the report. Where nothing can be
// said (the runner did not start, wrote no report, or says that tests failed while its reports know of none)
// the scan is [scan.Failed]; where no test was run at all it is [scan.Skipped].
//
// Tests are the caller's own code and run with the caller's whole environment.
//
// # Errors
//
// Errors are [*scan.Error] with [scan.ErrTarget] (no such directory), [scan.ErrSkipped] (another kind of
// target, or no tests), [scan.ErrToolMissing], [scan.ErrToolVersion], [scan.ErrConfig], [scan.ErrBroken] (the
// runner failed otherwise than by failing tests) and [scan.ErrOutput] (reports missing, left over from
// before, or unreadable).
package unittests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
)

// Name of the scanners, in results.
const Name = "unittests"

// Scanner runs tests. Make one with [NewGo] or [NewRunner]; it is safe for concurrent use as far as the
// tests themselves are.
type Scanner struct {
	test func(ctx context.Context, dir string) (*outcome, error)
}

var _ scan.Scanner = (*Scanner)(nil)

// outcome is what a runner came to.
type outcome struct {
	tool, version string
	report        *report.Report
	notes         []string
	failed        bool // the runner's exit code says that something failed
	stderr        string
}

// Name returns "unittests".
func (s *Scanner) Name() string { return Name }

// Scan runs the tests of a [scan.Dir] or [scan.Git] target, in its directory.
func (s *Scanner) Scan(ctx context.Context, t scan.Target) (*scan.Result, error) {
	start := time.Now()
	fail := func(kind, err error) error {
		return &scan.Error{Op: "test", Scanner: Name, Target: t.String(), Kind: kind, Err: err}
	}
	if t.Kind != scan.Dir && t.Kind != scan.Git || t.Range != "" {
		return nil, fail(scan.ErrSkipped, fmt.Errorf("tests run in a directory, not in %s", t))
	}
	if info, err := os.Stat(t.Path); err != nil {
		return nil, fail(scan.ErrTarget, err)
	} else if !info.IsDir() {
		return nil, fail(scan.ErrTarget, errors.New("not a directory"))
	}
	out, err := s.test(ctx, t.Path)
	if err != nil {
		if _, ok := errors.AsType[*scan.Error](err); !ok {
			err = fail(scan.ErrBroken, err)
		}
		return nil, err
	}
	counts := out.report.Tests.Counts()
	if out.failed && counts.Failed+counts.Errors == 0 {
		return nil, &scan.Error{
			Op: "test", Scanner: Name, Target: t.String(), Kind: scan.ErrBroken, Stderr: out.stderr,
			Err: fmt.Errorf("%s failed, and its report names no failed test", out.tool),
		}
	}
	if counts.Total == counts.Skipped {
		return nil, fail(scan.ErrSkipped, fmt.Errorf("no test was run (%d were skipped)", counts.Skipped))
	}
	for _, u := range out.report.Unplaced {
		out.notes = append(out.notes, fmt.Sprintf("%s: %s (%d)", u.Tool, u.Reason, u.Count))
	}
	out.report.Runs = []report.Run{{
		Tool: out.tool, Version: out.version, Target: t.String(), Status: report.StatusCompleted,
		Started: start.UTC(), Finished: time.Now().UTC(),
	}}
	return &scan.Result{
		Scanner: Name, Version: out.version, Target: t, Status: scan.StatusOf(out.report),
		Notes: out.notes, Report: out.report, Took: time.Since(start),
	}, nil
}

// merge adds the tests and coverage of more to r.
func merge(r, more *report.Report) {
	if more.Tests != nil {
		if r.Tests == nil {
			r.Tests = &report.Tests{}
		}
		r.Tests.Suites = append(r.Tests.Suites, more.Tests.Suites...)
	}
	if more.Coverage != nil {
		if r.Coverage == nil {
			r.Coverage = &report.Coverage{}
		}
		r.Coverage.Files = append(r.Coverage.Files, more.Coverage.Files...)
	}
	for _, u := range more.Unplaced {
		r.AddUnplaced(u.Tool, u.Reason, u.Count)
	}
}

// joinFiles makes one entry of those several reports have of the same file. Statements are counted without
// saying which, so the entry with the most covered wins.
func joinFiles(c *report.Coverage) {
	if c == nil {
		return
	}
	slices.SortStableFunc(c.Files, func(a, b report.FileCoverage) int { return strings.Compare(a.Path, b.Path) })
	out := c.Files[:0]
	for _, f := range c.Files {
		if n := len(out); n > 0 && out[n-1].Path == f.Path {
			last := &out[n-1]
			last.Lines = append(slices.Clip(last.Lines), f.Lines...)
			last.Statements = max(last.Statements, f.Statements)
			last.StatementsCovered = max(last.StatementsCovered, f.StatementsCovered)
			continue
		}
		out = append(out, f)
	}
	c.Files = out
	for i := range c.Files {
		c.Files[i].Sort()
	}
}
