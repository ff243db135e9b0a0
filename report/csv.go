package report

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// WriteCSV writes the findings as CSV (RFC 4180) with a line of names first. Cells that a spreadsheet would
// take for a formula begin with an apostrophe. Errors are those of the source and of w.
func WriteCSV(ctx context.Context, w io.Writer, s Source) error {
	out := csv.NewWriter(w)
	row := []string{
		"tool", "rule", "severity", "score", "level", "kind", "category", "path", "line", "column",
		"package", "installed", "fixed", "cwe", "aliases", "state", "suppressed", "expires", "message", "identity",
	}
	if err := out.Write(row); err != nil {
		return &Error{Op: "write", Subject: "CSV", Err: err}
	}
	for f, err := range all(ctx, s, needIdentity) {
		if err != nil {
			return err
		}
		row = append(row[:0], f.Tool, f.Rule, f.Severity.String(), number(f.Score), f.Level.String(), string(f.Kind), string(f.Category),
			f.Location.Path, number(float64(f.Location.StartLine)), number(float64(f.Location.StartColumn)))
		p := f.Package
		if p == nil {
			p = &Package{}
		}
		name := p.PURL
		if name == "" {
			name = p.Name
		}
		row = append(row, name, p.Installed, p.Fixed, strings.Join(f.CWE, " "), strings.Join(f.Aliases, " "), string(f.State))
		var reason, expires string
		if f.Suppressed != nil {
			reason = f.Suppressed.Reason
			if reason == "" {
				reason = "yes"
			}
			if !f.Suppressed.Expires.IsZero() {
				expires = f.Suppressed.Expires.UTC().Format("2006-01-02")
			}
		}
		row = append(row, reason, expires, f.Message, string(f.Identity))
		for i := range row {
			row[i] = cell(row[i])
		}
		if err := out.Write(row); err != nil {
			return &Error{Op: "write", Subject: "CSV", Err: err}
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return &Error{Op: "write", Subject: "CSV", Err: err}
	}
	return nil
}

// number writes 0, which means not known, as nothing.
func number(n float64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatFloat(n, 'g', -1, 64)
}

// cell makes text harmless to a spreadsheet. White space and quotes before the sign do not help: some
// programs trim them.
func cell(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\ufffd")
	switch rest := strings.TrimLeft(s, " \t\r\n\v\f\u00a0\ufeff'\""); {
	case rest == "" && s != "", rest == "":
		return s
	case strings.ContainsRune("=+-@＝＋－＠", firstRune(rest)), s[0] == '\t', s[0] == '\r', s[0] == '\n':
		return "'" + s
	}
	return s
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

// WriteJSONLines writes each finding as one line of JSON (schema: [FindingSchema]). Errors are those of the
// source and of w.
func WriteJSONLines(ctx context.Context, w io.Writer, s Source) error {
	enc := json.NewEncoder(w)
	for f, err := range all(ctx, s, needIdentity) {
		if err != nil {
			return err
		}
		if err := enc.Encode(&f); err != nil {
			return &Error{Op: "write", Subject: "JSON lines", Err: err}
		}
	}
	return nil
}
