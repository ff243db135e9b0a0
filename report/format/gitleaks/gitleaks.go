// Package gitleaks reads the JSON report of Gitleaks 8.
//
// Secrets do not get past the reader: the secret and the text around it are masked in everything it returns,
// and the commit message, author and mail address are not taken over. An empty list is a clean report.
//
// # Errors
//
// [Read] returns the errors of package report.
package gitleaks

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

const format = "Gitleaks JSON"

// leak is one element of the report. Gitleaks writes the names of its Go struct.
type leak struct {
	RuleID      string
	Description string
	StartLine   int
	EndLine     int
	StartColumn int
	EndColumn   int
	Match       string
	Secret      string
	File        string
	SymlinkFile string
	Commit      string
	Link        string
	Tags        input.Texts
	Fingerprint string

	// Gitleaks 7 and older wrote these instead.
	Offender string `json:"offender"`
	Rule     string `json:"rule"`
}

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New(format, o)
	doc, err := input.ReadJSON(r, b.Limits())
	if err != nil {
		return nil, b.Fail(err)
	}
	b.Document(doc)
	var leaks input.List[leak]
	if _, err := doc.Decode(&leaks); err != nil {
		return nil, b.Fail(err)
	}
	if c := bytes.TrimSpace(doc.Data)[0]; c != '[' && c != 'n' {
		return nil, b.Fail(&input.SyntaxError{Err: errors.New("the report is not a list")})
	}
	run := b.Run(report.Run{Tool: "gitleaks", InformationURI: "https://github.com/gitleaks/gitleaks"})
	for l := range input.Each(b, run, "leak", leaks) {
		if l.RuleID == "" && (l.Offender != "" || l.Rule != "") {
			return nil, b.Fail(unsupported)
		}
		b.AddSecret(finding(run, l), l.Secret, l.Match)
	}
	return b.Done(ctx)
}

var unsupported = errors.Join(input.ErrUnsupported, errors.New("this is a report of Gitleaks 7 or older: scan with Gitleaks 8"))

func finding(run int, l leak) report.Finding {
	f := report.Finding{
		Run:   run,
		Rule:  l.RuleID,
		Title: input.OneLine(input.First(l.Description, "Secret found by the rule "+l.RuleID)),
		Location: report.Location{
			Path:    l.File,
			Snippet: l.Match,
			Commit:  l.Commit,
		},
		Tags: l.Tags,
	}
	// Rules about file names alone leave the place at zero.
	if l.StartLine > 0 {
		f.Location.StartLine, f.Location.EndLine = l.StartLine, max(l.StartLine, l.EndLine)
		f.Location.StartColumn, f.Location.EndColumn = max(0, l.StartColumn), max(0, l.EndColumn)
	}
	if l.Fingerprint != "" {
		f.Fingerprints = map[string]string{"gitleaks": l.Fingerprint}
	}
	return f
}
