// Package junit reads JUnit XML, in the dialects of Ant, Maven Surefire, Gradle, pytest, Jest, gotestsum and
// their kin: a testsuites or a testsuite at the root, suites in suites, counts that are missing or wrong.
//
// Tests are counted anew; what the attributes of a suite claim is not believed, but a suite that claims
// failures or errors it does not show has failed. What gitleaks writes about each secret is masked.
//
// # Errors
//
// [Read] returns the errors of package report.
package junit

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

const (
	format    = "JUnit XML"
	maxText   = 64 << 10 // bytes kept of a failure
	maxCases  = 2_000_000
	maxSuites = 1_000_000
)

// Read reads a report. It has tests and no runs. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New(format, o)
	rd := reader{x: input.NewXML(r, b.Limits()), b: b, tests: &report.Tests{}}
	if err := rd.document(ctx); err != nil {
		return nil, b.Fail(err)
	}
	b.Report.Tests = rd.tests
	return b.Done(ctx)
}

type reader struct {
	x     *input.XML
	b     *input.Builder
	tests *report.Tests
	cases int
}

func (rd *reader) document(ctx context.Context) error {
	roots := 0
	for {
		tok, err := rd.x.Token()
		if errors.Is(err, io.EOF) && roots > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		roots++
		switch start.Name.Local {
		case "testsuites":
			err = rd.children(ctx)
		case "testsuite":
			err = rd.suite(ctx, start, "")
		default:
			err = &input.SyntaxError{Line: 1, Err: fmt.Errorf("the root element is %.40q, not testsuites or testsuite", start.Name.Local)}
		}
		if err != nil {
			return err
		}
	}
}

// children reads the suites of a testsuites element.
func (rd *reader) children(ctx context.Context) error {
	for {
		tok, err := rd.x.Token()
		if err != nil {
			return eof(err)
		}
		switch t := tok.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if t.Name.Local == "testsuite" {
				err = rd.suite(ctx, t, "")
			} else {
				err = rd.x.Skip()
			}
			if err != nil {
				return eof(err)
			}
		}
	}
}

func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return input.ErrTruncated
	}
	return err
}

func (rd *reader) suite(ctx context.Context, start xml.StartElement, parent string) error {
	if len(rd.tests.Suites) >= maxSuites {
		return &input.CapError{Cap: "suites", Limit: maxSuites}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	name := input.Attr(start, "name")
	if parent != "" && name != "" && !strings.HasPrefix(name, parent) {
		name = parent + "/" + name
	}
	at := len(rd.tests.Suites)
	rd.tests.Suites = append(rd.tests.Suites, report.TestSuite{
		Name:     name,
		Started:  timestamp(input.Attr(start, "timestamp")),
		Duration: duration(input.Attr(start, "time")),
	})
	file := input.Attr(start, "file")
	for {
		tok, err := rd.x.Token()
		if err != nil {
			return eof(err)
		}
		switch t := tok.(type) {
		case xml.EndElement:
			rd.settle(at, start)
			return nil
		case xml.StartElement:
			switch t.Name.Local {
			case "testsuite":
				err = rd.suite(ctx, t, name)
			case "testcase":
				var c report.TestCase
				if c, err = rd.testcase(t); err == nil {
					c.File = input.First(c.File, file)
					if c.Detail != "" && name == "gitleaks" {
						c.Detail = report.Mask // the whole finding, with the secret and the message of the commit
					}
					rd.tests.Suites[at].Cases = append(rd.tests.Suites[at].Cases, c)
				}
			case "error", "failure": // of the suite itself
				rd.tests.Suites[at].Status = report.TestError
				var text string
				text, err = rd.x.Text(maxText)
				rd.tests.Suites[at].Message = input.First(input.Attr(t, "message"), strings.TrimSpace(text))
			default:
				err = rd.x.Skip()
			}
			if err != nil {
				return eof(err)
			}
		}
	}
}

// settle compares what a suite claims with what it shows. Suites with suites inside claim for those too.
func (rd *reader) settle(at int, start xml.StartElement) {
	s := &rd.tests.Suites[at]
	var shown report.TestCounts
	for i := at; i < len(rd.tests.Suites); i++ {
		c := rd.tests.Suites[i].Counts()
		shown.Total += c.Total
		shown.Failed += c.Failed + c.Errors
	}
	claimed := number(input.Attr(start, "failures")) + number(input.Attr(start, "errors"))
	if claimed > 0 && shown.Failed == 0 && s.Status == "" {
		s.Status = report.TestFailed
		s.Message = fmt.Sprintf("the suite claims %d failures and errors and shows none", claimed)
	}
	if tests := input.Attr(start, "tests"); tests != "" && number(tests) != shown.Total {
		rd.b.Report.AddUnplaced("junit", "suite that claims another number of tests than it shows", 1)
	}
}

func (rd *reader) testcase(start xml.StartElement) (report.TestCase, error) {
	if rd.cases++; rd.cases > maxCases {
		return report.TestCase{}, &input.CapError{Cap: "tests", Limit: maxCases}
	}
	c := report.TestCase{
		Name:     input.Attr(start, "name"),
		Class:    input.Attr(start, "classname"),
		File:     input.Attr(start, "file"),
		Line:     number(input.Attr(start, "line")),
		Duration: duration(input.Attr(start, "time")),
		Status:   report.TestPassed,
	}
	// The old schema has no skipped element in some tools, but status="skipped" or "notrun".
	switch strings.ToLower(input.Attr(start, "status")) {
	case "skipped", "notrun", "disabled":
		c.Status = report.TestSkipped
	}
	for {
		tok, err := rd.x.Token()
		if err != nil {
			return c, eof(err)
		}
		switch t := tok.(type) {
		case xml.EndElement:
			return c, nil
		case xml.StartElement:
			if err := rd.outcome(&c, t); err != nil {
				return c, eof(err)
			}
		}
	}
}

// outcome reads a child of a testcase. The worst child decides.
func (rd *reader) outcome(c *report.TestCase, start xml.StartElement) error {
	var status report.TestStatus
	switch start.Name.Local {
	case "failure":
		status = report.TestFailed
	case "error":
		status = report.TestError
	case "skipped":
		status = report.TestSkipped
	case "flakyFailure", "flakyError":
		c.Flaky = true
		return rd.x.Skip()
	default: // system-out, system-err, properties, rerunFailure, attachments
		return rd.x.Skip()
	}
	text, err := rd.x.Text(maxText)
	if err != nil {
		return err
	}
	if c.Status == report.TestFailed || c.Status == report.TestError {
		return nil
	}
	c.Status = status
	c.Detail = strings.TrimSpace(text)
	c.Message = input.OneLine(input.First(input.Attr(start, "message"), input.Attr(start, "type"), c.Detail))
	return nil
}

func number(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// duration reads seconds, with a comma between thousands or as the decimal point.
func duration(s string) time.Duration {
	s = strings.TrimSpace(s)
	if strings.Contains(s, ".") {
		s = strings.ReplaceAll(s, ",", "")
	} else if i := strings.LastIndexByte(s, ','); i >= 0 {
		if len(s)-i-1 == 3 && strings.Count(s, ",") > 1 {
			s = strings.ReplaceAll(s, ",", "")
		} else {
			s = s[:i] + "." + s[i+1:]
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 1e9 {
		return 0
	}
	return time.Duration(math.Round(f * float64(time.Second)))
}

func timestamp(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}
