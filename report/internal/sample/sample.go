// Package sample holds the reports that the tests of all writers write.
package sample

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

// Shop returns a report with one of everything.
func Shop(tb testing.TB) *report.Report {
	tb.Helper()
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &report.Report{
		Runs: []report.Run{
			{Tool: "gosec", Version: "2.30.0", Target: "./...", Status: report.StatusCompleted, Started: day, Finished: day.Add(12 * time.Second)},
			{Tool: "Trivy", Category: "image:web", Target: "registry.example.org/shop/web:1", Status: report.StatusCompleted},
			{Tool: "gitleaks", Status: report.StatusCompleted},
			{Tool: "semgrep", Status: report.StatusFailed, Reason: "rules could not be loaded"},
		},
		Findings: []report.Finding{
			{Run: 0, Rule: "G204", Title: "Subprocess launched with a variable", Severity: report.SeverityMedium, CWE: []string{"CWE-78"}, Location: report.Location{Path: "cmd/main.go", StartLine: 12, StartColumn: 9, EndLine: 12, EndColumn: 27, Snippet: "exec.Command(name)"}},
			{Run: 0, Rule: "G101", Title: "Hard-coded credentials", Severity: report.SeverityHigh, State: report.StateNew, Location: report.Location{Path: "cmd/file10.go", StartLine: 3, EndLine: 4}},
			{Run: 0, Rule: "G101", Title: "Hard-coded credentials", Severity: report.SeverityHigh, Location: report.Location{Path: "cmd/file9.go", StartLine: 3}, Suppressed: &report.Suppression{Kind: "external", Reason: "a test key", Expires: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)}},
			{Run: 1, Rule: "CVE-2099-0001", Title: "libx: buffer overflow", Message: "libx 1.0-r0: buffer overflow (fixed in 1.1-r0)", Severity: report.SeverityCritical, Score: 9.8, HelpURI: "https://example.org/CVE-2099-0001", Aliases: []string{"GHSA-xxxx-yyyy-0001"}, Package: &report.Package{PURL: "pkg:apk/alpine/libx@1.0-r0", Name: "libx", Installed: "1.0-r0", Fixed: "1.1-r0"}},
			{Run: 1, Rule: "CVE-2099-0002", Title: "gone", Severity: report.SeverityLow, State: report.StateAbsent, Package: &report.Package{Name: "libz"}},
			{Run: 1, Rule: "style-1", Title: "a matter of taste", Severity: report.SeverityInfo, Location: report.Location{Path: "web/Dockerfile", StartLine: 7}},
		},
		Tests: &report.Tests{Suites: []report.TestSuite{
			{Name: "shop/cart", Started: day, Duration: 1500 * time.Millisecond, Cases: []report.TestCase{
				{Name: "TestAdd", Class: "shop/cart", Status: report.TestPassed, Duration: 3 * time.Millisecond},
				{Name: "TestRemove", Class: "shop/cart", File: "cart_test.go", Line: 7, Status: report.TestFailed, Message: "got 3, want 2", Detail: "cart_test.go:7: got 3, want 2"},
				{Name: "TestStore", Status: report.TestSkipped, Message: "needs a database"},
			}},
			{Name: "shop/broken", Status: report.TestFailed, Message: "build failed:\nb.go:3: undefined: x"},
		}},
		Coverage: &report.Coverage{Files: []report.FileCoverage{
			{Path: "web/app.js", Lines: []report.LineCoverage{{Number: 1, Hits: 2, Branches: 4, BranchesCovered: 1}, {Number: 2}}},
			{Path: "cart/cart.go", Package: "example.org/shop/cart", Lines: []report.LineCoverage{{Number: 1, Hits: 2}, {Number: 2}, {Number: 3, Hits: 1}}},
		}},
	}
	r.AddUnplaced("gosec", "line is not a number", 2)
	require.NoError(tb, r.Normalize(tb.Context(), nil))
	return r
}

// Evil are texts that mean something to what shows a report.
var Evil = []string{
	`</script><script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `"><svg onload=alert(1)>`, `<!-- -->`, `]]>`, "&lt;script&gt;",
	"##vso[task.complete result=Succeeded;]", "a\n##vso[build.addbuildtag]x", "a\r\n##vso[task.setvariable variable=PATH]x", "##VSO[task.complete]", "##[error]x",
	"::error::x", "a\n::stop-commands::x", "a\r::set-output name=x::y", "%0A::error::x", "%0D%0A##vso[x]", "a]b;c=d", "a,b:c%25",
	"![x](https://evil.example/x.png)", "[x](javascript:alert(1))", "@everyone", "#1", "| a | b |", "`code`", "```\n# x", "https://evil.example", "www.evil.example",
	"=cmd|' /C calc'!A0", "+1+1", "-1", "@SUM(1)", "\t=1", "\u202egnp.exe", "\u2028", "\x00", "\xff", "\x1b[31m", "{{.}}", "${x}",
}

// Hostile returns a report whose every text is evil.
func Hostile(tb testing.TB, evil string) *report.Report {
	tb.Helper()
	r := &report.Report{
		Runs: []report.Run{
			{Tool: evil, Version: evil, Category: evil, Target: evil, Status: report.StatusFailed, Reason: evil, InformationURI: evil},
			{Tool: "x" + evil, Status: report.StatusNoResults, Reason: evil},
		},
		Findings: []report.Finding{{
			Rule: evil, Title: evil, Message: evil, Description: evil, HelpURI: evil, Severity: report.SeverityHigh,
			Location: report.Location{Path: evil, Snippet: evil, Logical: evil, Commit: evil, StartLine: 1}, CWE: []string{evil}, Aliases: []string{evil}, Tags: []string{evil},
			Package: &report.Package{Name: evil, PURL: evil, Installed: evil, Fixed: evil}, Fingerprints: map[string]string{evil: evil},
		}, {Rule: evil, Message: evil, HelpURI: "javascript:" + evil, Suppressed: &report.Suppression{Kind: "external", Reason: evil, By: evil, From: evil}}},
		Tests: &report.Tests{Suites: []report.TestSuite{
			{Name: evil, Cases: []report.TestCase{{Name: evil, Class: evil, File: evil, Status: report.TestFailed, Message: evil, Detail: evil}}},
			{Name: evil, Status: report.TestFailed, Message: evil},
		}},
		Coverage: &report.Coverage{Files: []report.FileCoverage{{Path: evil, Package: evil, Lines: []report.LineCoverage{{Number: 1}}}}},
		Unplaced: []report.Unplaced{{Tool: evil, Reason: evil, Count: 1}},
	}
	require.NoError(tb, r.Normalize(tb.Context(), nil))
	return r
}

// ErrGone is the error of [Broken] and [Full].
var ErrGone = errors.New("disk gone")

// Broken is a source that fails at its second finding.
type Broken struct{ *report.Report }

// All yields one finding and the error.
func (b Broken) All(context.Context) iter.Seq2[report.Finding, error] {
	return func(yield func(report.Finding, error) bool) {
		if yield(b.Findings[0], nil) {
			yield(report.Finding{}, ErrGone)
		}
	}
}

// Full is a writer that takes nothing.
type Full struct{}

// Write fails.
func (Full) Write([]byte) (int, error) { return 0, ErrGone }

// Errors checks that a writer gives back what goes wrong, typed.
func Errors(t *testing.T, write func(w interface{ Write([]byte) (int, error) }, s report.Source) error) {
	t.Helper()
	var e *report.Error
	err := write(Full{}, Shop(t))
	require.ErrorIs(t, err, ErrGone)
	require.ErrorAs(t, err, &e)
	err = write(discard{}, Broken{Shop(t)})
	require.ErrorIs(t, err, ErrGone)
	require.ErrorAs(t, err, &e)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
