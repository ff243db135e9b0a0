// Package html writes a report as one self-contained HTML page: charts, and all findings to filter, search
// and sort, in light and dark.
//
// The page loads nothing and sends nothing; a Content-Security-Policy in it forbids both. Text of a report is
// shown as text, whatever it holds, and only http and https links become links. The same input gives the same
// bytes.
//
// # Errors
//
// [Write] returns errors of type [*report.Error]: that of the source, of the context, or of the writer.
package html

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/internal/tally"
)

// Options says what the page shows. The zero value is fine.
type Options struct {
	// Title is the heading; empty: "Report".
	Title string
	// MaxFindings is how many findings the page holds, the worst ones, and open ones before those that are
	// suppressed or absent; 0: 20,000. What is left out is said on the page.
	MaxFindings int
	// Verdict is shown beside the title when it is set.
	Verdict *report.Verdict
	// Tables are shown above the findings: what else a reader should know, such as the steps of the run.
	Tables []Table
}

// Table is text in rows and columns.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
}

const (
	defaultFindings = 20_000
	maxFailedTests  = 200
	maxDetail       = 8 << 10 // bytes of one text on the page
	maxMessage      = 2 << 10
	topRules        = 10
	topTools        = 12
	topFiles        = 12
)

//go:embed style.css
var style string

//go:embed app.js
var script string

//go:embed head.tmpl
var headText string

var head = template.Must(template.New("head").Funcs(template.FuncMap{"n": thousands}).Parse(headText))

// thousands writes 20004 as 20,004.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Write writes the page. It reads the findings of s twice. o may be nil.
func Write(ctx context.Context, w io.Writer, s report.Source, o *Options) error {
	if o == nil {
		o = &Options{}
	}
	t, err := tally.Of(ctx, s, 0)
	if err != nil {
		return failed(err)
	}
	fits := fit(t, o.MaxFindings)
	left := t.All.Total() - fits.open.Total() - fits.closed.Total()
	bw := bufio.NewWriterSize(w, 64<<10)
	if err := head.Execute(bw, newPage(t, o, left)); err != nil {
		return failed(err)
	}
	fmt.Fprintln(bw, `<script type="application/json" id="data">`)
	rows := &rows{w: bw, rules: map[string]int{}, tools: map[string]int{}}
	if err := rows.write(ctx, s, &fits); err != nil {
		return failed(err)
	}
	fmt.Fprintf(bw, "</script>\n<script>%s</script>\n</body>\n</html>\n", script)
	if err := bw.Flush(); err != nil {
		return failed(err)
	}
	return nil
}

func failed(err error) error {
	if e, ok := err.(*report.Error); ok { //nolint:errorlint // only an error that is ours already is not wrapped again
		return e
	}
	return &report.Error{Op: "write", Subject: "HTML", Err: err}
}

// room says how many findings of each severity the page takes: open ones, and suppressed and absent ones.
type room struct{ open, closed tally.Severities }

// fit makes room for at most limit findings.
func fit(t *tally.Tally, limit int) (r room) {
	if limit <= 0 {
		limit = defaultFindings
	}
	for _, sev := range report.Severities() {
		r.open[sev] = min(t.BySeverity[sev], limit)
		limit -= r.open[sev]
	}
	for _, sev := range report.Severities() {
		r.closed[sev] = min(t.All[sev]-t.BySeverity[sev], limit)
		limit -= r.closed[sev]
	}
	return r
}

// take takes the place of a finding, if there is one left.
func (r *room) take(f *report.Finding) bool {
	left := &r.open
	if f.Suppressed != nil || f.State == report.StateAbsent {
		left = &r.closed
	}
	sev := min(f.Severity, report.SeverityCritical)
	if left[sev] == 0 {
		return false
	}
	left[sev]--
	return true
}

type page struct {
	Title                    string
	Style                    template.CSS
	ScriptHash               string
	Verdict                  *report.Verdict
	Tables                   []Table
	Broken                   []report.Run
	Open, Suppressed, Absent int
	Severities               []named
	Tools, Rules             []bar
	Tests                    *report.TestCounts
	FailedTests              []failedTest
	MoreTests                int
	Coverage                 *coverage
	Runs                     []report.Run
	Unplaced                 []report.Unplaced
	LeftOut                  int
}

type named struct {
	Name  string
	Count int
}

type bar struct {
	Name, Label string
	Count       int
	Parts       []part
}

type part struct {
	Class   string
	Percent float64
}

type failedTest struct{ Name, Suite, Message, Detail string }

type coverage struct {
	report.CoverageCounts
	Worst []fileCoverage
	More  int
}

type fileCoverage struct {
	Path string
	report.CoverageCounts
}

func newPage(t *tally.Tally, o *Options, left int) *page {
	sum := sha256.Sum256([]byte(script))
	p := &page{
		Title:      o.Title,
		Style:      template.CSS(style), //nolint:gosec // our own file
		ScriptHash: "sha256-" + base64.StdEncoding.EncodeToString(sum[:]),
		Verdict:    o.Verdict,
		Tables:     o.Tables,
		Open:       t.Open, Suppressed: t.Suppressed, Absent: t.Absent,
		Tools:    bars(tally.Most(t.ByTool, topTools)),
		Rules:    bars(tally.Most(t.ByRule, topRules)),
		Runs:     t.Head.Runs,
		Unplaced: t.Head.Unplaced,
		LeftOut:  left,
	}
	if p.Title == "" {
		p.Title = "Report"
	}
	for _, sev := range report.Severities() {
		p.Severities = append(p.Severities, named{sev.String(), t.BySeverity[sev]})
	}
	for _, r := range t.Head.Runs {
		if tally.Broken(&r) {
			p.Broken = append(p.Broken, r)
		}
	}
	if t.Head.Tests != nil {
		counts := t.Head.Tests.Counts()
		p.Tests = &counts
		p.FailedTests, p.MoreTests = failedTests(t.Head.Tests)
	}
	if t.Head.Coverage != nil {
		p.Coverage = newCoverage(t.Head.Coverage)
	}
	return p
}

func bars(entries []tally.Named) []bar {
	out := make([]bar, 0, len(entries))
	for _, e := range entries {
		b := bar{Name: e.Name, Count: e.Total()}
		most := entries[0].Total()
		var label []string
		for _, sev := range report.Severities() {
			if n := e.Severities[sev]; n > 0 {
				b.Parts = append(b.Parts, part{sev.String(), math.Round(float64(n)*1000/float64(most)) / 10})
				label = append(label, fmt.Sprintf("%d %s", n, sev))
			}
		}
		if b.Name == "" {
			b.Name = "(none)"
		}
		b.Label = b.Name + ": " + strings.Join(label, ", ")
		out = append(out, b)
	}
	return out
}

func failedTests(tests *report.Tests) (list []failedTest, more int) {
	add := func(f failedTest) {
		if len(list) == maxFailedTests {
			more++
			return
		}
		f.Message, f.Detail = clip(f.Message, 300), clip(f.Detail, maxDetail)
		list = append(list, f)
	}
	for i := range tests.Suites {
		s := &tests.Suites[i]
		for _, c := range s.Cases {
			if c.Status != report.TestPassed && c.Status != report.TestSkipped {
				add(failedTest{c.Name, s.Name, c.Message, c.Detail})
			}
		}
		if counts := s.Counts(); counts.Total > len(s.Cases) { // the suite itself broke
			first, _, _ := strings.Cut(s.Message, "\n")
			add(failedTest{s.Name, "", first, s.Message})
		}
	}
	return list, more
}

func newCoverage(c *report.Coverage) *coverage {
	out := &coverage{CoverageCounts: c.Counts()}
	files := make([]fileCoverage, len(c.Files))
	for i := range c.Files {
		files[i] = fileCoverage{c.Files[i].Path, c.Files[i].Counts()}
	}
	slices.SortStableFunc(files, func(a, b fileCoverage) int {
		return (b.Lines - b.LinesCovered) - (a.Lines - a.LinesCovered)
	})
	out.Worst = files[:min(topFiles, len(files))]
	out.More = len(files) - len(out.Worst)
	return out
}

// row is a finding on the page; the names are short because there are many.
type row struct {
	Severity   int             `json:"s"`
	Score      float64         `json:"c,omitempty"`
	Rule       int             `json:"r"`
	Tool       int             `json:"o"`
	Title      string          `json:"t,omitempty"`
	Message    string          `json:"m,omitempty"`
	Path       string          `json:"p,omitempty"`
	Line       int             `json:"l,omitempty"`
	Logical    string          `json:"g,omitempty"`
	Snippet    string          `json:"n,omitempty"`
	State      string          `json:"st,omitempty"`
	Suppressed *rowSuppression `json:"x,omitempty"`
	Package    *rowPackage     `json:"k,omitempty"`
	CWE        []string        `json:"w,omitempty"`
	Aliases    []string        `json:"a,omitempty"`
	SaidBy     []string        `json:"b,omitempty"`
}

type rowSuppression struct {
	Reason  string `json:"r,omitempty"`
	By      string `json:"b,omitempty"`
	Expires string `json:"e,omitempty"`
}

type rowPackage struct {
	Name      string `json:"n,omitempty"`
	Installed string `json:"v,omitempty"`
	Fixed     string `json:"f,omitempty"`
	PURL      string `json:"u,omitempty"`
}

type ruleRow struct {
	ID          string `json:"id"`
	Title       string `json:"t,omitempty"`
	Description string `json:"d,omitempty"`
	URI         string `json:"u,omitempty"`
}

// rows streams the findings as JSON, in which encoding/json escapes what could end a script element.
type rows struct {
	w        *bufio.Writer
	rules    map[string]int
	ruleRows []ruleRow
	tools    map[string]int
	toolList []string
}

// write writes the findings that have a place, of each severity the first.
func (rs *rows) write(ctx context.Context, s report.Source, fits *room) error {
	n := 0
	if _, err := rs.w.WriteString(`{"findings":[`); err != nil {
		return err
	}
	for f, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		if !fits.take(&f) {
			continue
		}
		if n++; n > 1 {
			if _, err := rs.w.WriteString(",\n"); err != nil {
				return err
			}
		}
		out, err := json.Marshal(rs.row(&f))
		if err != nil {
			return err
		}
		if _, err := rs.w.Write(out); err != nil {
			return err
		}
	}
	tail, err := json.Marshal(struct {
		Rules []ruleRow `json:"rules"`
		Tools []string  `json:"tools"`
	}{append([]ruleRow{}, rs.ruleRows...), append([]string{}, rs.toolList...)})
	if err != nil {
		return err
	}
	_, err = rs.w.WriteString("]," + string(tail[1:]))
	return err
}

func (rs *rows) row(f *report.Finding) *row {
	r := &row{
		Severity: int(min(f.Severity, report.SeverityCritical)),
		Score:    f.Score,
		Rule:     rs.rule(f),
		Tool:     rs.tool(f.Tool),
		Message:  clip(f.Message, maxMessage),
		Path:     f.Location.Path,
		Line:     f.Location.StartLine,
		Logical:  f.Location.Logical,
		Snippet:  clip(f.Location.Snippet, maxMessage),
		State:    string(f.State),
		CWE:      f.CWE,
		Aliases:  f.Aliases,
	}
	if f.Title != rs.ruleRows[r.Rule].Title && f.Title != f.Message {
		r.Title = clip(f.Title, 300)
	}
	if s := f.Suppressed; s != nil {
		r.Suppressed = &rowSuppression{Reason: clip(s.Reason, maxMessage), By: s.By}
		if !s.Expires.IsZero() {
			r.Suppressed.Expires = s.Expires.UTC().Format("2006-01-02")
		}
	}
	if p := f.Package; p != nil {
		r.Package = &rowPackage{p.Name, p.Installed, p.Fixed, p.PURL}
	}
	for _, b := range f.SaidBy {
		r.SaidBy = append(r.SaidBy, b.Tool+" "+b.Rule)
	}
	return r
}

func (rs *rows) rule(f *report.Finding) int {
	key := f.Tool + "\x00" + f.Rule
	i, ok := rs.rules[key]
	if !ok {
		i = len(rs.ruleRows)
		rs.rules[key] = i
		rs.ruleRows = append(rs.ruleRows, ruleRow{f.Rule, clip(f.Title, 300), clip(f.Description, maxDetail), f.HelpURI})
	}
	return i
}

func (rs *rows) tool(name string) int {
	i, ok := rs.tools[name]
	if !ok {
		i = len(rs.toolList)
		rs.tools[name] = i
		rs.toolList = append(rs.toolList, name)
	}
	return i
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
