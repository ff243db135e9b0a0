package html_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/html"
)

// shop is a report with one of everything.
func shop(t testing.TB) *report.Report {
	t.Helper()
	r := &report.Report{
		Runs: []report.Run{
			{Tool: "gosec", Version: "2.30.0", Target: "./...", Status: report.StatusCompleted},
			{Tool: "Trivy", Target: "registry.example.org/shop/web:1", Status: report.StatusCompleted},
			{Tool: "semgrep", Status: report.StatusFailed, Reason: "rules could not be loaded"},
		},
		Findings: []report.Finding{
			{Run: 0, Rule: "G204", Title: "Subprocess launched with a variable", Severity: report.SeverityMedium, CWE: []string{"CWE-78"}, Location: report.Location{Path: "cmd/main.go", StartLine: 12, Snippet: "exec.Command(name)"}},
			{Run: 0, Rule: "G101", Title: "Hard-coded credentials", Severity: report.SeverityHigh, Location: report.Location{Path: "cmd/file10.go", StartLine: 3}, State: report.StateNew},
			{Run: 0, Rule: "G101", Title: "Hard-coded credentials", Severity: report.SeverityHigh, Location: report.Location{Path: "cmd/file9.go", StartLine: 3}, Suppressed: &report.Suppression{Kind: "external", Reason: "a test key", Expires: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)}},
			{Run: 1, Rule: "CVE-2099-0001", Title: "libx: buffer overflow", Message: "libx 1.0-r0: buffer overflow (fixed in 1.1-r0)", Severity: report.SeverityCritical, Score: 9.8, HelpURI: "https://example.org/CVE-2099-0001", Package: &report.Package{PURL: "pkg:apk/alpine/libx@1.0-r0", Name: "libx", Installed: "1.0-r0", Fixed: "1.1-r0"}},
			{Run: 1, Rule: "CVE-2099-0002", Title: "gone", Severity: report.SeverityLow, State: report.StateAbsent, Package: &report.Package{Name: "libz"}},
		},
		Tests: &report.Tests{Suites: []report.TestSuite{{Name: "shop/cart", Cases: []report.TestCase{
			{Name: "TestAdd", Status: report.TestPassed},
			{Name: "TestRemove", Status: report.TestFailed, Message: "got 3, want 2", Detail: "cart_test.go:7: got 3, want 2"},
		}}}},
		Coverage: &report.Coverage{Files: []report.FileCoverage{{Path: "cart/cart.go", Lines: []report.LineCoverage{{Number: 1, Hits: 2}, {Number: 2}, {Number: 3, Hits: 1}}}}},
	}
	r.AddUnplaced("gosec", "line is not a number", 2)
	require.NoError(t, r.Normalize(t.Context(), nil))
	return r
}

func page(t testing.TB, s report.Source, o *html.Options) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, html.Write(t.Context(), &out, s, o))
	return out.String()
}

func TestWrite(t *testing.T) {
	out := page(t, shop(t), &html.Options{Title: "Shop", Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: "severity high", Message: "1 critical finding"}}}})
	golden.Check(t, "testdata/shop.html", []byte(out))
	assert.Equal(t, out, page(t, shop(t), &html.Options{Title: "Shop", Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: "severity high", Message: "1 critical finding"}}}}))
}

func TestWrite_loadsNothing(t *testing.T) {
	out := page(t, shop(t), nil)
	for _, load := range []string{"src=", "@import", "url(", "<link", "<iframe", "fetch(", "XMLHttp"} {
		assert.NotContains(t, out, load)
	}
}

// Whatever stands in a report stays text.
func TestWrite_hostile(t *testing.T) {
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(1)>"'` + "`" + `<!--` + "\u2028\x00"
	r := &report.Report{
		Runs: []report.Run{{Tool: evil, Version: evil, Target: evil, Status: report.StatusFailed, Reason: evil}},
		Findings: []report.Finding{{
			Rule: evil, Title: evil, Message: evil, Description: evil, HelpURI: "javascript:alert(1)",
			Location: report.Location{Path: evil, Snippet: evil, Logical: evil}, CWE: []string{evil}, Aliases: []string{evil},
			Package: &report.Package{Name: evil, PURL: evil, Installed: evil, Fixed: evil}, Suppressed: &report.Suppression{Reason: evil, By: evil},
		}},
		Tests:    &report.Tests{Suites: []report.TestSuite{{Name: evil, Cases: []report.TestCase{{Name: evil, Status: report.TestFailed, Message: evil, Detail: evil}}}}},
		Coverage: &report.Coverage{Files: []report.FileCoverage{{Path: evil, Lines: []report.LineCoverage{{Number: 1}}}}},
		Unplaced: []report.Unplaced{{Tool: evil, Reason: evil, Count: 1}},
	}
	out := page(t, r, &html.Options{Title: evil, Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: "severity high", Message: evil}}}})
	assert.NotContains(t, out, "<script>alert")
	assert.NotContains(t, out, "<img")
	assert.Equal(t, 2, strings.Count(out, "<script"))
	assert.Equal(t, 2, strings.Count(out, "</script"))
}

func TestWrite_leavesOutTheLeastSevere(t *testing.T) {
	out := page(t, shop(t), &html.Options{MaxFindings: 2})
	assert.Contains(t, out, "3 findings of lower severity are left out")
	assert.Contains(t, out, `"id":"CVE-2099-0001"`)
	assert.Contains(t, out, "file10.go")
	assert.NotContains(t, out, "file9.go")
	assert.NotContains(t, out, "G204\",")
}

func TestWrite_empty(t *testing.T) {
	out := page(t, &report.Report{}, nil)
	assert.Contains(t, out, `{"findings":[],"rules":[],"tools":[]}`)
}

type broken struct {
	report.Report
	err error
}

func (b *broken) All(context.Context) iter.Seq2[report.Finding, error] {
	return func(yield func(report.Finding, error) bool) { yield(report.Finding{}, b.err) }
}

func TestWrite_errors(t *testing.T) {
	cause := errors.New("disk gone")
	var e *report.Error
	err := html.Write(t.Context(), io.Discard, &broken{err: cause}, nil)
	require.ErrorIs(t, err, cause)
	require.ErrorAs(t, err, &e)
	err = html.Write(t.Context(), full{cause}, shop(t), nil)
	require.ErrorIs(t, err, cause)
	require.ErrorAs(t, err, &e)
}

type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

func ExampleWrite() {
	r := &report.Report{
		Runs:     []report.Run{{Tool: "gosec", Status: report.StatusCompleted}},
		Findings: []report.Finding{{Rule: "G204", Message: "Subprocess launched with a variable", Severity: report.SeverityMedium}},
	}
	var page strings.Builder
	if err := html.Write(context.Background(), &page, r, &html.Options{Title: "Shop"}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Contains(page.String(), "<title>Shop</title>"))
	// Output: true
}
