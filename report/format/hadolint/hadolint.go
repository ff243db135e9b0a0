// Package hadolint reads the JSON report of hadolint. An empty list is a clean report.
//
// # Errors
//
// [Read] returns the errors of package report.
package hadolint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

type violation struct {
	Line    input.Number `json:"line"`
	Column  input.Number `json:"column"`
	Code    string       `json:"code"`
	Level   string       `json:"level"`
	Message string       `json:"message"`
	File    string       `json:"file"`
}

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("hadolint JSON", o)
	doc, err := input.ReadJSON(r, b.Limits())
	if err != nil {
		return nil, b.Fail(err)
	}
	b.Document(doc)
	var list input.List[violation]
	if _, err := doc.Decode(&list); err != nil {
		return nil, b.Fail(err)
	}
	if bytes.TrimSpace(doc.Data)[0] != '[' {
		return nil, b.Fail(&input.SyntaxError{Err: errors.New("the report is not a list")})
	}
	run := b.Run(report.Run{Tool: "hadolint", InformationURI: "https://github.com/hadolint/hadolint"})
	for v := range input.Each(b, run, "violation", list) {
		f := report.Finding{
			Run:      run,
			Rule:     v.Code,
			Title:    input.OneLine(v.Message),
			Message:  v.Message,
			HelpURI:  help(v.Code),
			Severity: b.Severity(run, v.Level),
			Location: report.Location{Path: v.File, StartLine: v.Line.Int(), StartColumn: v.Column.Int()},
		}
		if v.File == "-" || v.File == "/dev/stdin" {
			f.Location.Path = ""
		}
		// A Dockerfile that cannot be parsed was not checked.
		if v.Code == "DL1000" {
			b.Failed(run, v.File+": "+v.Message)
		}
		b.Add(f)
	}
	return b.Done(ctx)
}

func help(code string) string {
	switch {
	case strings.HasPrefix(code, "DL"):
		return "https://github.com/hadolint/hadolint/wiki/" + code
	case strings.HasPrefix(code, "SC"):
		return "https://www.shellcheck.net/wiki/" + code
	}
	return ""
}
