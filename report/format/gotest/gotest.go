// Package gotest reads the output of go test -json, as it streams out of go: packages interleaved, lines of
// other programs in between.
//
// Every test counts, subtests and their parents too. A test without an end (a panic, a timeout, a killed
// process) has failed, and so has a package without one. A package that did not build is a failed suite.
// Output is kept for tests that did not pass, head and tail of it.
//
// # Errors
//
// [Read] returns the errors of package report.
package gotest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

const (
	format      = "go test -json"
	maxPackages = 100_000 // and builds
	maxCases    = 2_000_000
)

// event is a line, in the words of cmd/test2json.
type event struct {
	Time        string
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// Read reads the stream to its end. The report has tests and no runs. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New(format, o)
	rd := reader{b: b, tests: &report.Tests{}, suites: map[string]*suite{}, builds: map[string]*clip{}}
	for n, line := range input.Lines(r) {
		if line.Err != nil {
			return nil, b.Fail(line.Err)
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return nil, b.Fail(context.Cause(ctx))
		}
		if err := rd.line(line); err != nil {
			return nil, b.Fail(&input.SyntaxError{Line: n, Err: err})
		}
		if len(rd.suites)+len(rd.builds) > maxPackages {
			return nil, b.Fail(&input.CapError{Cap: "packages", Limit: maxPackages})
		}
		if rd.cases > maxCases {
			return nil, b.Fail(&input.CapError{Cap: "tests", Limit: maxCases})
		}
	}
	if rd.events == 0 {
		if rd.other > 0 {
			return nil, b.Fail(&input.SyntaxError{Line: 1, Err: errors.New("no line is an event of go test -json")})
		}
		return nil, b.Fail(input.ErrEmpty)
	}
	if rd.other > 0 {
		b.Report.AddUnplaced("go test", "line that is no event", rd.other)
	}
	rd.finish()
	b.Report.Tests = rd.tests
	return b.Done(ctx)
}

type reader struct {
	b      *input.Builder
	tests  *report.Tests
	order  []*suite
	suites map[string]*suite
	builds map[string]*clip // output of the compiler by import path
	events int
	other  int
	cases  int
}

type suite struct {
	report.TestSuite
	open   map[string]*open // tests that have not ended
	output clip
	ended  bool
	failed bool
}

type open struct {
	index  int // in Cases
	output clip
}

func (rd *reader) line(line input.Line) error {
	text := bytes.TrimSpace(line.Text)
	if len(text) == 0 {
		return nil
	}
	var e event
	if text[0] != '{' {
		rd.other++
		return nil
	}
	if err := json.Unmarshal(text, &e); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); !errors.As(err, &wrong) {
			if line.Last {
				return input.ErrTruncated
			}
			rd.other++
			return nil
		}
		rd.b.Report.AddUnplaced("go test", "member of the wrong type", 1)
	}
	if e.Action == "" {
		rd.other++
		return nil
	}
	rd.events++
	rd.event(e)
	return nil
}

func (rd *reader) event(e event) {
	switch e.Action {
	case "build-output":
		rd.build(e.ImportPath).write(e.Output)
		return
	case "build-fail":
		rd.build(e.ImportPath).failed = true
		return
	case "attr", "pause", "cont", "artifacts":
		return
	}
	s := rd.suite(e)
	if e.Test == "" {
		rd.packageEvent(s, e)
		return
	}
	switch e.Action {
	case "run":
		rd.start(s, e.Test)
	case "output":
		if t := s.open[e.Test]; t != nil {
			t.output.write(e.Output)
		}
	case "pass", "bench":
		rd.end(s, e, report.TestPassed)
	case "fail":
		rd.end(s, e, report.TestFailed)
	case "skip":
		rd.end(s, e, report.TestSkipped)
	default:
		rd.b.Report.AddUnplaced("go test", "action not known", 1)
	}
}

func (rd *reader) packageEvent(s *suite, e event) {
	switch e.Action {
	case "start":
		s.ended = false
	case "output":
		s.output.write(e.Output)
	case "pass", "skip", "bench":
		rd.endPackage(s, e)
	case "fail":
		s.failed = true
		if e.FailedBuild != "" {
			s.Message = "build failed"
			out := rd.builds[e.FailedBuild]
			// With coverage, go may name the build of another package.
			for _, own := range []string{e.Package, e.Package + " [" + e.Package + ".test]"} {
				if b := rd.builds[own]; b != nil && b.failed {
					out = b
				}
			}
			if out != nil {
				s.Message += ":\n" + out.text()
			}
		}
		rd.endPackage(s, e)
	default:
		rd.b.Report.AddUnplaced("go test", "action not known", 1)
	}
}

func (rd *reader) build(path string) *clip {
	out := rd.builds[path]
	if out == nil {
		out = &clip{}
		rd.builds[path] = out
	}
	return out
}

func (rd *reader) suite(e event) *suite {
	s := rd.suites[e.Package]
	if s == nil {
		s = &suite{TestSuite: report.TestSuite{Name: e.Package}, open: map[string]*open{}}
		s.Started, _ = time.Parse(time.RFC3339Nano, e.Time)
		rd.suites[e.Package] = s
		rd.order = append(rd.order, s)
	}
	return s
}

func (rd *reader) start(s *suite, test string) *open {
	rd.cases++
	t := &open{index: len(s.Cases)}
	s.Cases = append(s.Cases, report.TestCase{Name: test, Class: s.Name})
	s.open[test] = t
	return t
}

func (rd *reader) end(s *suite, e event, status report.TestStatus) {
	t := s.open[e.Test]
	if t == nil { // an end without a start
		t = rd.start(s, e.Test)
	}
	delete(s.open, e.Test)
	c := &s.Cases[t.index]
	c.Status = status
	c.Duration = seconds(e.Elapsed)
	if status != report.TestPassed {
		explain(c, &t.output)
	}
}

func seconds(s float64) time.Duration {
	if s < 0 || s > 1e9 {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

func (rd *reader) endPackage(s *suite, e event) {
	s.ended = true
	s.Duration += seconds(e.Elapsed)
	rd.abandon(s)
}

// abandon fails the tests of a package that ended before they did.
func (rd *reader) abandon(s *suite) {
	for name, t := range s.open {
		c := &s.Cases[t.index]
		c.Status = report.TestFailed
		explain(c, &t.output)
		c.Message = "did not end: the test panicked, timed out or was killed"
		if at := bytes.Index(t.output.head, []byte("panic: ")); at >= 0 {
			c.Message = input.OneLine(string(t.output.head[at:]))
		}
		delete(s.open, name)
	}
}

func (rd *reader) finish() {
	for _, s := range rd.order {
		if !s.ended {
			rd.abandon(s)
			s.failed = true
			s.Message = "the output ends before the package did"
		}
		if s.failed {
			s.Status = report.TestFailed
			if s.Message == "" && s.Counts().Failed == 0 {
				s.Message = s.output.text()
			}
		}
		rd.tests.Suites = append(rd.tests.Suites, s.TestSuite)
	}
	// A build that failed before go knew of a package.
	for path, out := range rd.builds {
		name, _, _ := strings.Cut(path, " ")
		if rd.suites[name] == nil && len(rd.order) == 0 {
			rd.tests.Suites = append(rd.tests.Suites, report.TestSuite{Name: name, Status: report.TestFailed, Message: "build failed:\n" + out.text()})
		}
	}
}

var sourceLine = regexp.MustCompile(`(?m)^\s*(\S+\.go):(\d+): ?(.*)$`)

// explain takes message, file and line from the output of a test.
func explain(c *report.TestCase, out *clip) {
	c.Detail = out.text()
	m := sourceLine.FindStringSubmatch(c.Detail)
	if m == nil {
		if at := strings.Index(c.Detail, "panic: "); at >= 0 {
			c.Message = input.OneLine(c.Detail[at:])
		}
		return
	}
	c.File = m[1]
	c.Line, _ = strconv.Atoi(m[2])
	c.Message = input.OneLine(m[3])
	if strings.TrimSpace(c.Message) == "" {
		c.Message = assertion(c.Detail)
	}
}

var testifyError = regexp.MustCompile(`(?m)^\s*Error:\s*(\S.*)$`)

// assertion finds what testify prints some lines below the place.
func assertion(detail string) string {
	if m := testifyError.FindStringSubmatch(detail); m != nil {
		return input.OneLine(m[1])
	}
	return ""
}

// clip keeps the head and the tail of a text.
type clip struct {
	head, tail []byte
	cut        bool
	failed     bool // of a build
}

const clipBytes = 16 << 10 // of head, and of tail

func (c *clip) write(s string) {
	if room := clipBytes - len(c.head); room > 0 {
		n := min(room, len(s))
		c.head = append(c.head, s[:n]...)
		s = s[n:]
	}
	if len(s) > clipBytes {
		s, c.cut = s[len(s)-clipBytes:], true
	}
	if c.tail = append(c.tail, s...); len(c.tail) > 2*clipBytes {
		c.tail, c.cut = append(c.tail[:0], c.tail[len(c.tail)-clipBytes:]...), true
	}
}

func (c *clip) text() string {
	s := string(c.head)
	if c.cut {
		s += "\n[…]\n"
	}
	return strings.ToValidUTF8(strings.TrimRight(s+string(c.tail), "\n"), "\ufffd")
}
