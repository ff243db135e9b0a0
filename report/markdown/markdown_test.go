package markdown_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/markdown"
)

func shop(t testing.TB) *report.Report {
	t.Helper()
	r := &report.Report{
		Runs: []report.Run{
			{Tool: "gosec", Status: report.StatusCompleted},
			{Tool: "Trivy", Status: report.StatusFailed, Reason: "database too old"},
		},
		Findings: []report.Finding{
			{Run: 0, Rule: "G204", Title: "Subprocess launched with a variable", Severity: report.SeverityMedium, Location: report.Location{Path: "cmd/main.go", StartLine: 12}},
			{Run: 0, Rule: "G101", Title: "Hard-coded credentials", Severity: report.SeverityHigh, State: report.StateNew, Location: report.Location{Path: "cmd/a_b.go", StartLine: 3}},
			{Run: 0, Rule: "G101", Title: "accepted", Severity: report.SeverityHigh, Suppressed: &report.Suppression{Reason: "a test key"}},
			{Run: 1, Rule: "CVE-2099-0001", Message: "libx 1.0-r0: buffer overflow", Severity: report.SeverityCritical, HelpURI: "https://example.org/CVE-2099-0001", Package: &report.Package{Name: "libx"}},
			{Run: 1, Rule: "CVE-2099-0002", Title: "gone", Severity: report.SeverityLow, State: report.StateAbsent},
		},
		Tests: &report.Tests{Suites: []report.TestSuite{
			{Name: "shop/cart", Cases: []report.TestCase{{Name: "TestAdd", Status: report.TestPassed}, {Name: "TestRemove", Status: report.TestFailed, Message: "got 3, want 2"}}},
			{Name: "shop/broken", Status: report.TestFailed, Message: "build failed"},
		}},
		Coverage: &report.Coverage{Files: []report.FileCoverage{{Path: "a.go", Lines: []report.LineCoverage{{Number: 1, Hits: 1}, {Number: 2}}}}},
	}
	r.AddUnplaced("gosec", "line is not a number", 2)
	require.NoError(t, r.Normalize(t.Context(), nil))
	return r
}

func write(t testing.TB, s report.Source, o *markdown.Options) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, markdown.Write(t.Context(), &out, s, o))
	return out.String()
}

func TestWrite(t *testing.T) {
	golden.Check(t, "testdata/shop.md", []byte(write(t, shop(t), &markdown.Options{Title: "Shop", Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: "severity high", Message: "1 critical finding"}}}})))
}

func TestWrite_staysBelowTheCap(t *testing.T) {
	r := &report.Report{Runs: []report.Run{{Tool: "gosec", Status: report.StatusCompleted}}}
	for i := range 3000 {
		r.Findings = append(r.Findings, report.Finding{Rule: fmt.Sprintf("G%d", i), Message: strings.Repeat("é*", 400), Severity: report.SeverityHigh})
	}
	require.NoError(t, r.Normalize(t.Context(), nil))
	for _, limit := range []int{0, 1, 5000, 20_000} {
		out := write(t, r, &markdown.Options{MaxFindings: 2000, MaxBytes: limit})
		most := max(1000, limit)
		if limit == 0 {
			most = markdown.CommentBytes
		}
		assert.LessOrEqual(t, len(out), most)
		assert.Contains(t, out, "did not fit here")
	}
}

func TestWrite_hostile(t *testing.T) {
	for _, evil := range []string{
		"##vso[task.complete result=Succeeded;]", "::error::x", "a\n##vso[build.addbuildtag]x", "a\r::stop-commands::x",
		"<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "![x](https://evil.example/x.png)", "[x](javascript:alert(1))",
		"@everyone", "#1", "| a | b |", "`code`", "```\n", "https://evil.example", "www.evil.example", "\u202egnp.exe", "</details>", "\\`x\\`", "<!-- x",
	} {
		r := &report.Report{
			Runs: []report.Run{{Tool: evil, Status: report.StatusFailed, Reason: evil}},
			Findings: []report.Finding{{
				Rule: evil, Message: evil, HelpURI: "https://x/(" + evil, Location: report.Location{Path: evil}, Tool: evil,
			}},
			Tests:    &report.Tests{Suites: []report.TestSuite{{Name: evil, Cases: []report.TestCase{{Name: evil, Status: report.TestFailed, Message: evil}}}}},
			Unplaced: []report.Unplaced{{Tool: evil, Reason: evil, Count: 1}},
		}
		out := write(t, r, &markdown.Options{Title: evil, Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: "severity high", Message: evil}}}})
		for _, bad := range []string{"##vso[", "::error", "::stop", "<img", "<script", "](java", "![", "@every", "\u202e", "https://evil", "www.evil"} {
			if strings.Contains(out, bad) && !inCode(out, bad) {
				t.Errorf("%q lets %q through:\n%s", evil, bad, out)
			}
		}
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "| ") {
				assert.Contains(t, []int{5, 9}, strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"), line)
			}
		}
	}
}

// inCode reports whether every occurrence of what stands in a code span, where it is text.
func inCode(out, what string) bool {
	for line := range strings.Lines(out) {
		for i, span := range strings.Split(line, "`") {
			if i%2 == 0 && strings.Contains(span, what) {
				return false
			}
		}
	}
	return !strings.Contains(what, "##vso") && !strings.Contains(what, "::")
}

type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

func TestWrite_error(t *testing.T) {
	cause := errors.New("disk gone")
	err := markdown.Write(t.Context(), full{cause}, shop(t), nil)
	require.ErrorIs(t, err, cause)
	var e *report.Error
	require.ErrorAs(t, err, &e)
}

func ExampleWrite() {
	r := &report.Report{
		Runs:     []report.Run{{Tool: "gosec", Status: report.StatusCompleted}},
		Findings: []report.Finding{{Tool: "gosec", Rule: "G204", Message: "Subprocess launched with a variable", Severity: report.SeverityMedium, Location: report.Location{Path: "main.go", StartLine: 7}}},
	}
	if err := markdown.Write(context.Background(), os.Stdout, r, &markdown.Options{Title: "Shop"}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// # Shop
	//
	// | Tool | Critical | High | Medium | Low | Info | Unknown | Total |
	// |---|--:|--:|--:|--:|--:|--:|--:|
	// | gosec | 0 | 0 | 1 | 0 | 0 | 0 | 1 |
	//
	// ## Findings
	//
	// | Severity | Rule | Finding | Place |
	// |---|---|---|---|
	// | medium | G204 | Subprocess launched with a variable | `main.go:7` |
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"plain", "a\xff:", "##vso[x]", "1. @a", ":\xe2\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := markdown.Escape(s)
		for _, bad := range []string{"##vso[", "::", "<script", "\n", "\r"} {
			require.NotContains(t, out, bad)
		}
	})
}
