// Package junit writes a report as JUnit XML, which every CI system shows: the tests, and the findings as
// tests that failed.
//
// Tests keep their suites. Each run of a scanner is a suite of its own, with a failed case for each open
// finding, a skipped one for each that is suppressed, and one that passed for each result by which the tool
// says that nothing is wrong. Findings that are absent are left out, and so are runs that only the baseline
// has. A run that did not complete has a case with an error, and a run without findings one that passed, so
// that it shows that the scanner ran.
//
// # Errors
//
// [Write] returns errors of type [*report.Error]: that of the source, of the context, or of the writer.
package junit

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/internal/tally"
	"github.com/waybill-dev/waybill/report/internal/xmlout"
)

// Options says what is written. The zero value means tests and findings.
type Options struct {
	SkipTests    bool
	SkipFindings bool
}

// Write writes the report. Findings are streamed. o may be nil.
func Write(ctx context.Context, w io.Writer, s report.Source, o *Options) error {
	if o == nil {
		o = &Options{}
	}
	out := &writer{xmlout.New(w)}
	out.Raw(xml.Header + "<testsuites>\n")
	head := s.Head()
	if head.Tests != nil && !o.SkipTests {
		for i := range head.Tests.Suites {
			out.suite(&head.Tests.Suites[i])
		}
	}
	if !o.SkipFindings {
		if err := out.findings(ctx, s, head.Runs); err != nil {
			return failed(err)
		}
	}
	out.Raw("</testsuites>\n")
	if err := out.Flush(); err != nil {
		return failed(err)
	}
	return nil
}

func failed(err error) error {
	if e := (*report.Error)(nil); errors.As(err, &e) {
		return err
	}
	return &report.Error{Op: "write", Subject: "JUnit XML", Err: err}
}

type writer struct{ *xmlout.Writer }

func (w *writer) attr(name, value string) {
	if value == "" {
		return
	}
	w.Raw(" " + name + `="`)
	w.Text(value)
	w.Raw(`"`)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func (w *writer) open(name string, c report.TestCounts, d time.Duration) {
	w.Raw("  <testsuite")
	w.attr("name", name)
	w.Raw(fmt.Sprintf(` tests="%d" failures="%d" errors="%d" skipped="%d"`, c.Total, c.Failed, c.Errors, c.Skipped))
	w.attr("time", seconds(d))
}

func (w *writer) suite(s *report.TestSuite) {
	counts := s.Counts()
	w.open(s.Name, counts, s.Duration)
	if !s.Started.IsZero() {
		w.attr("timestamp", s.Started.UTC().Format("2006-01-02T15:04:05"))
	}
	w.Raw(">\n")
	for i := range s.Cases {
		w.testcase(&s.Cases[i], s.Name)
	}
	if counts.Total > len(s.Cases) { // the suite broke though no case of it did
		w.testcase(&report.TestCase{Name: s.Name, Status: report.TestError, Message: oneLine(s.Message), Detail: s.Message}, s.Name)
	}
	w.Raw("  </testsuite>\n")
}

func (w *writer) testcase(c *report.TestCase, suite string) {
	w.Raw("    <testcase")
	w.attr("name", c.Name)
	if c.Class == "" {
		w.attr("classname", suite)
	} else {
		w.attr("classname", c.Class)
	}
	w.attr("file", c.File)
	if c.Line > 0 {
		w.attr("line", strconv.Itoa(c.Line))
	}
	w.attr("time", seconds(c.Duration))
	var element string
	switch c.Status {
	case report.TestPassed:
		w.Raw("/>\n")
		return
	case report.TestSkipped:
		element = "skipped"
	case report.TestFailed:
		element = "failure"
	default:
		element = "error"
	}
	w.Raw(">\n      <" + element)
	w.attr("message", c.Message)
	if c.Detail == "" {
		w.Raw("/>\n")
	} else {
		w.Raw(">")
		w.Text(c.Detail)
		w.Raw("</" + element + ">\n")
	}
	w.Raw("    </testcase>\n")
}

func oneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// findings writes a suite for each run. A source need not yield them run by run, so they are counted first,
// and read once more for each run only when they come mixed.
func (w *writer) findings(ctx context.Context, s report.Source, runs []report.Run) error {
	counts := make([]report.TestCounts, len(runs))
	sorted, last := true, 0
	for f, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		if f.Run < last {
			sorted = false
		}
		last = f.Run
		count(&counts[f.Run], &f)
	}
	// A run that only the baseline has did not take place.
	shown := func(run int) bool {
		return 0 <= run && run < len(runs) && (runs[run].Status != report.StatusAbsent || counts[run].Total > 0)
	}
	suite := -1 // that is open
	closeUpTo := func(run int) {
		for ; suite < run; suite++ {
			if shown(suite) {
				w.Raw("  </testsuite>\n")
			}
			if next := suite + 1; shown(next) {
				w.run(&runs[next], counts[next])
			}
		}
	}
	write := func(only int) error {
		for f, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			if only < 0 || f.Run == only {
				closeUpTo(f.Run)
				w.finding(&f)
			}
		}
		return nil
	}
	if sorted {
		if err := write(-1); err != nil {
			return err
		}
	} else {
		for i := range runs {
			if err := write(i); err != nil {
				return err
			}
		}
	}
	closeUpTo(len(runs))
	return nil
}

func count(c *report.TestCounts, f *report.Finding) {
	switch {
	case f.State == report.StateAbsent:
	case f.Suppressed != nil:
		c.Total++
		c.Skipped++
	case tally.Passed(f):
		c.Total++
		c.Passed++
	default:
		c.Total++
		c.Failed++
	}
}

// run opens the suite of a run, and says in it how the run ended where no finding does.
func (w *writer) run(r *report.Run, c report.TestCounts) {
	broken := tally.Broken(r)
	empty := c.Total == 0
	if broken {
		c.Total++
		c.Errors++
	} else if empty {
		c.Total++
		c.Passed++
	}
	name := r.Tool
	if r.Category != "" {
		name += " " + r.Category
	}
	w.open(name, c, elapsed(r))
	w.Raw(">\n")
	switch {
	case broken:
		w.testcase(&report.TestCase{Name: "the run completes", Status: report.TestError, Message: strings.TrimSpace(string(r.Status) + " " + r.Reason)}, r.Tool)
	case empty:
		w.testcase(&report.TestCase{Name: "nothing found", Status: report.TestPassed}, r.Tool)
	}
}

// elapsed is 0 when the beginning or the end is not known.
func elapsed(r *report.Run) time.Duration {
	if r.Started.IsZero() || r.Finished.Before(r.Started) {
		return 0
	}
	return r.Finished.Sub(r.Started)
}

func (w *writer) finding(f *report.Finding) {
	if f.State == report.StateAbsent {
		return
	}
	place := f.Location.Path
	if f.Location.StartLine > 0 {
		place = fmt.Sprintf("%s:%d", place, f.Location.StartLine)
	}
	if place == "" && f.Package != nil {
		place = strings.TrimSpace(f.Package.Name + " " + f.Package.Installed)
	}
	if place == "" {
		place = f.Location.Logical
	}
	c := report.TestCase{
		Name: strings.TrimSpace(f.Rule + " " + place), Class: f.Tool, File: f.Location.Path, Line: f.Location.StartLine,
		Status: report.TestFailed, Message: f.Severity.String() + ": " + oneLine(f.Message), Detail: detail(f, place),
	}
	if s := f.Suppressed; s != nil {
		c.Status, c.Message, c.Detail = report.TestSkipped, "suppressed: "+oneLine(s.Reason), ""
	} else if tally.Passed(f) {
		c.Status = report.TestPassed
	}
	w.testcase(&c, f.Tool)
}

func detail(f *report.Finding, place string) string {
	lines := []string{f.Message, "at: " + place}
	if f.Package != nil && f.Package.Fixed != "" {
		lines = append(lines, "fixed in: "+f.Package.Fixed)
	}
	if f.HelpURI != "" {
		lines = append(lines, "see: "+f.HelpURI)
	}
	return strings.Join(lines, "\n")
}
