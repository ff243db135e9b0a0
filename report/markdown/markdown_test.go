package markdown_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/internal/sample"
	"github.com/waybill-dev/waybill/report/markdown"
)

func write(tb testing.TB, s report.Source, o *markdown.Options) string {
	tb.Helper()
	var out bytes.Buffer
	require.NoError(tb, markdown.Write(tb.Context(), &out, s, o))
	return out.String()
}

func TestWrite(t *testing.T) {
	golden.Check(t, "testdata/shop.md", []byte(write(t, sample.Shop(t), &markdown.Options{Title: "Shop", Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: "severity high", Message: "1 critical finding"}}}})))
}

func TestWrite_nothingWrong(t *testing.T) {
	r := sample.Shop(t)
	want := write(t, r, nil)
	r.Runs = append(r.Runs, report.Run{Tool: "grype", Status: report.StatusAbsent})
	assert.Equal(t, want, write(t, r, nil), "a tool of the baseline that does not run today has not failed")
	r.Findings = append(r.Findings, report.Finding{Rule: "BA2001", Kind: report.KindPass})
	assert.NotContains(t, write(t, r, nil), "BA2001", "a result that says that all is well is not listed")
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
	for _, evil := range sample.Evil {
		r := sample.Hostile(t, evil)
		r.Findings[0].HelpURI = "https://x/(" + evil
		out := write(t, r, &markdown.Options{Title: evil, Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: evil, Message: evil}}}})
		for _, bad := range []string{"##vso[", "##VSO[", "##[", "::error", "::stop", "::set", "<img", "<svg", "<script", "](java", "![", "@every", "\u202e", "\x1b", "https://evil", "www.evil"} {
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

func TestWrite_errors(t *testing.T) {
	sample.Errors(t, func(w interface{ Write([]byte) (int, error) }, s report.Source) error {
		return markdown.Write(t.Context(), w, s, nil)
	})
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
