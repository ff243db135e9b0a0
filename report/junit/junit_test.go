package junit_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/report"
	reader "github.com/waybill-dev/waybill/report/format/junit"
	"github.com/waybill-dev/waybill/report/internal/sample"
	"github.com/waybill-dev/waybill/report/junit"
)

func write(tb testing.TB, s report.Source, o *junit.Options) []byte {
	tb.Helper()
	var out bytes.Buffer
	require.NoError(tb, junit.Write(tb.Context(), &out, s, o))
	return out.Bytes()
}

func TestWrite(t *testing.T) {
	golden.Check(t, "testdata/shop.xml", write(t, sample.Shop(t), nil))
	golden.Check(t, "testdata/tests.xml", write(t, sample.Shop(t), &junit.Options{SkipFindings: true}))
	golden.Check(t, "testdata/findings.xml", write(t, sample.Shop(t), &junit.Options{SkipTests: true}))
}

// What is written is read again as it was, and the counts in it are right: the reader counts a suite that
// claims otherwise.
func TestWrite_readAgain(t *testing.T) {
	want := sample.Shop(t)
	got, err := reader.Read(t.Context(), bytes.NewReader(write(t, want, &junit.Options{SkipFindings: true})), nil)
	require.NoError(t, err)
	assert.Equal(t, want.Tests.Counts(), got.Tests.Counts())
	all, err := reader.Read(t.Context(), bytes.NewReader(write(t, want, nil)), nil)
	require.NoError(t, err)
	assert.Empty(t, all.Unplaced)
}

func TestWrite_runsMixed(t *testing.T) {
	r := sample.Shop(t)
	sorted := write(t, r, &junit.Options{SkipTests: true})
	f := r.Findings
	r.Findings = []report.Finding{f[3], f[0], f[4], f[1], f[5], f[2]}
	assert.Equal(t, string(sorted), string(write(t, r, &junit.Options{SkipTests: true})))
}

// A tool of the baseline that does not run today has not failed.
func TestWrite_absentRun(t *testing.T) {
	r := sample.Shop(t)
	want := write(t, r, nil)
	r.Runs = append(r.Runs, report.Run{Tool: "grype", Status: report.StatusAbsent})
	r.Findings = append(r.Findings, report.Finding{Run: 4, Rule: "gone", State: report.StateAbsent})
	assert.Equal(t, string(want), string(write(t, r, nil)))
	r.Findings = append(r.Findings, report.Finding{Run: 4, Rule: "open"})
	assert.Contains(t, string(write(t, r, nil)), `<testsuite name="grype" tests="1" failures="1" errors="0"`)
}

// A result by which a tool says that all is well is no failure.
func TestWrite_passed(t *testing.T) {
	for _, kind := range []report.Kind{report.KindPass, report.KindNotApplicable, report.KindInformational} {
		out := string(write(t, &report.Report{
			Runs:     []report.Run{{Tool: "BinSkim", Status: report.StatusCompleted}},
			Findings: []report.Finding{{Rule: "BA2001", Kind: kind}, {Rule: "BA2002", Kind: report.KindReview}},
		}, nil))
		assert.Contains(t, out, `<testsuite name="BinSkim" tests="2" failures="1" errors="0" skipped="0"`, kind)
		assert.Contains(t, out, `<testcase name="BA2001" time="0.000"/>`, kind)
		assert.Equal(t, 1, strings.Count(out, "<failure"), kind)
	}
}

func TestWrite_time(t *testing.T) {
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tt := range map[string]struct {
		run  report.Run
		want string
	}{
		"both":     {report.Run{Started: day, Finished: day.Add(2 * time.Second)}, "2.000"},
		"no start": {report.Run{Finished: day}, "0.000"},
		"no end":   {report.Run{Started: day}, "0.000"},
	} {
		tt.run.Tool, tt.run.Status = "gosec", report.StatusCompleted
		out := write(t, &report.Report{Runs: []report.Run{tt.run}}, nil)
		assert.Contains(t, string(out), `skipped="0" time="`+tt.want+`"`, name)
	}
}

func TestWrite_hostile(t *testing.T) {
	for _, evil := range sample.Evil {
		out := write(t, sample.Hostile(t, evil), nil)
		assert.NotContains(t, string(out), "##", "%q", evil)
		dec := xml.NewDecoder(bytes.NewReader(out))
		elements := map[string]int{}
		for {
			tok, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, "%q makes\n%s", evil, out)
			if e, ok := tok.(xml.StartElement); ok {
				elements[e.Name.Local]++
			}
		}
		assert.Equal(t, map[string]int{"testsuites": 1, "testsuite": 4, "testcase": 6, "failure": 2, "error": 3, "skipped": 1}, elements, "%q", evil)
	}
}

func TestWrite_errors(t *testing.T) {
	sample.Errors(t, func(w interface{ Write([]byte) (int, error) }, s report.Source) error {
		return junit.Write(t.Context(), w, s, nil)
	})
}

func ExampleWrite() {
	r := &report.Report{Tests: &report.Tests{Suites: []report.TestSuite{{
		Name: "cart", Cases: []report.TestCase{{Name: "TestAdd", Status: report.TestFailed, Message: "got 3, want 2"}},
	}}}}
	if err := junit.Write(context.Background(), os.Stdout, r, nil); err != nil {
		fmt.Println(err)
	}
	// Output:
	// <?xml version="1.0" encoding="UTF-8"?>
	// <testsuites>
	//   <testsuite name="cart" tests="1" failures="1" errors="0" skipped="0" time="0.000">
	//     <testcase name="TestAdd" classname="cart" time="0.000">
	//       <failure message="got 3, want 2"/>
	//     </testcase>
	//   </testsuite>
	// </testsuites>
}
