// Package gosec reads the JSON report of gosec. Files that gosec could not compile make the run a failed one,
// since it found nothing there. Code is not taken over for rules about hard-coded credentials.
//
// # Errors
//
// [Read] returns the errors of package report.
package gosec

import (
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
	"github.com/waybill-dev/waybill/report/internal/secretrule"
)

type document struct {
	Issues       input.List[issue]
	GosecVersion string
	GolangErrors map[string][]struct {
		Line  input.Number `json:"line"`
		Error string       `json:"error"`
	} `json:"Golang errors"`
}

type issue struct {
	Severity   string `json:"severity"`
	Confidence string `json:"confidence"`
	CWE        *struct {
		ID  input.Text `json:"id"`
		URL string     `json:"url"`
	} `json:"cwe"`
	RuleID       string       `json:"rule_id"`
	Details      string       `json:"details"`
	File         string       `json:"file"`
	Code         string       `json:"code"`
	Line         input.Text   `json:"line"` // "12" or "12-14"
	Column       input.Number `json:"column"`
	NoSec        bool         `json:"nosec"`
	Suppressions []struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	} `json:"suppressions"`
}

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("gosec JSON", o)
	var d document
	if err := b.JSON(r, &d); err != nil {
		return nil, err
	}
	run := b.Run(report.Run{Tool: "gosec", Version: strings.TrimPrefix(d.GosecVersion, "v"), InformationURI: "https://github.com/securego/gosec"})
	if !d.Issues.Present {
		b.Report.Runs[run].Status = report.StatusNoResults
		b.Report.Runs[run].Reason = "the report has no list of issues"
	}
	if n := len(d.GolangErrors); n > 0 {
		first := slices.Min(slices.Collect(maps.Keys(d.GolangErrors)))
		reason := fmt.Sprintf("%d files could not be read, such as %s", n, first)
		if errs := d.GolangErrors[first]; len(errs) > 0 {
			reason += ": " + errs[0].Error
		}
		b.Failed(run, reason)
	}
	for i := range input.Each(b, run, "issue", d.Issues) {
		f := finding(b, run, i)
		if f.Category == report.CategorySecret {
			b.AddSecret(f, "", "")
			continue
		}
		b.Add(f)
	}
	return b.Done(ctx)
}

func finding(b *input.Builder, run int, i issue) report.Finding {
	f := report.Finding{
		Run:      run,
		Rule:     i.RuleID,
		Title:    input.OneLine(i.Details),
		Message:  i.Details,
		Severity: b.Severity(run, i.Severity),
		Location: report.Location{Path: i.File, StartColumn: i.Column.Int()},
	}
	if i.CWE != nil {
		f.CWE, f.HelpURI = []string{string(i.CWE.ID)}, i.CWE.URL
	}
	if i.Confidence != "" {
		f.Tags = []string{"confidence:" + strings.ToLower(i.Confidence)}
	}
	from, to, several := strings.Cut(string(i.Line), "-")
	line, err := strconv.Atoi(from)
	if err != nil || line < 0 {
		b.Report.AddUnplaced("gosec", "line is not a number", 1)
		line = 0
	}
	f.Location.StartLine, f.Location.EndLine = line, line
	if n, err := strconv.Atoi(to); several && err == nil && n >= line {
		f.Location.EndLine = n
	}
	if i.RuleID == "G101" || secretrule.Holds("", f.CWE) {
		f.Category = report.CategorySecret
	} else {
		f.Location.Snippet = snippet(i.Code, f.Location.StartLine, f.Location.EndLine)
	}
	for _, s := range i.Suppressions {
		f.Suppressed = &report.Suppression{Kind: input.First(s.Kind, "inSource"), Reason: s.Justification, From: "gosec"}
	}
	if i.NoSec && f.Suppressed == nil {
		f.Suppressed = &report.Suppression{Kind: "inSource", From: "gosec"}
	}
	return f
}

var numbered = regexp.MustCompile(`^(\d+): ?(.*)$`)

// snippet takes the lines of the finding from the numbered lines around it.
func snippet(code string, from, to int) string {
	var lines []string
	for line := range strings.Lines(code) {
		if m := numbered.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
			if n, _ := strconv.Atoi(m[1]); n >= from && n <= to {
				lines = append(lines, m[2])
			}
		}
	}
	return strings.Join(lines, "\n")
}
