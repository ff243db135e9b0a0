package html_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/html"
	"github.com/waybill-dev/waybill/report/internal/sample"
)

func page(tb testing.TB, s report.Source, o *html.Options) string {
	tb.Helper()
	var out bytes.Buffer
	require.NoError(tb, html.Write(tb.Context(), &out, s, o))
	return out.String()
}

func TestWrite(t *testing.T) {
	out := page(t, sample.Shop(t), &html.Options{Title: "Shop", Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: "severity high", Message: "1 critical finding"}}}})
	golden.Check(t, "testdata/shop.html", []byte(out))
	assert.Equal(t, out, page(t, sample.Shop(t), &html.Options{Title: "Shop", Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: "severity high", Message: "1 critical finding"}}}}))
}

func TestWrite_loadsNothing(t *testing.T) {
	out := page(t, sample.Shop(t), nil)
	for _, load := range []string{"src=", "@import", "url(", "<link", "<iframe", "fetch(", "XMLHttp"} {
		assert.NotContains(t, out, load)
	}
}

// Whatever stands in a report stays text.
func TestWrite_hostile(t *testing.T) {
	for _, evil := range sample.Evil {
		out := page(t, sample.Hostile(t, evil), &html.Options{
			Title: evil, Verdict: &report.Verdict{Reasons: []report.Reason{{Clause: evil, Message: evil}}},
			Tables: []html.Table{{Title: evil, Columns: []string{evil}, Rows: [][]string{{evil}}}},
		})
		assert.NotContains(t, out, "<script>alert")
		assert.NotContains(t, out, "<img")
		assert.NotContains(t, out, "<svg")
		assert.Equal(t, 2, strings.Count(out, "<script"), "%q", evil)
		assert.Equal(t, 2, strings.Count(out, "</script"), "%q", evil)
	}
}

func TestWrite_tables(t *testing.T) {
	out := page(t, &report.Report{}, &html.Options{Tables: []html.Table{
		{Title: "Steps", Columns: []string{"Step", "Seconds"}, Rows: [][]string{{"build", "7"}, {"push"}}},
	}})
	assert.Contains(t, out, "<h2>Steps</h2>")
	assert.Contains(t, out, "<tr><th>Step</th><th>Seconds</th></tr>")
	assert.Contains(t, out, "<tr><td>build</td><td>7</td></tr>\n<tr><td>push</td></tr>")
}

func TestWrite_leavesOutTheLeastSevere(t *testing.T) {
	// The worst first, and what is suppressed or absent after all that is open.
	order := []string{`"m":"libx`, "cmd/file10.go", "cmd/main.go", "web/Dockerfile", "cmd/file9.go", `"n":"libz"`}
	for limit := 1; limit <= len(order); limit++ {
		out := page(t, sample.Shop(t), &html.Options{MaxFindings: limit})
		for i, what := range order {
			assert.Equal(t, i < limit, strings.Contains(out, what), "%s of %d", what, limit)
		}
		assert.Equal(t, limit < len(order), strings.Contains(out, fmt.Sprintf("<b>%d findings are left out", len(order)-limit)), limit)
	}
}

// Where there is room for all, none is left out, whatever their severity.
func TestWrite_holdsAll(t *testing.T) {
	r := &report.Report{Runs: []report.Run{{Tool: "a"}}}
	for i := range 8 {
		r.Findings = append(r.Findings, report.Finding{Rule: "R", Location: report.Location{Path: fmt.Sprintf("f%d.go", i)}})
	}
	out := page(t, r, &html.Options{MaxFindings: 10})
	assert.Equal(t, 8, strings.Count(out, `.go"`))
	assert.NotContains(t, out, "left out")
}

func TestWrite_absentRun(t *testing.T) {
	out := page(t, &report.Report{Runs: []report.Run{{Tool: "grype", Status: report.StatusAbsent}, {Tool: "semgrep", Status: report.StatusFailed}}}, nil)
	assert.NotContains(t, out, "grype did not complete")
	assert.Contains(t, out, "semgrep did not complete")
}

func TestWrite_empty(t *testing.T) {
	out := page(t, &report.Report{}, nil)
	assert.Contains(t, out, `{"findings":[],"rules":[],"tools":[]}`)
}

func TestWrite_errors(t *testing.T) {
	sample.Errors(t, func(w interface{ Write([]byte) (int, error) }, s report.Source) error {
		return html.Write(t.Context(), w, s, nil)
	})
}

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
