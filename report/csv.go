package report

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// WriteCSV writes the findings as CSV (RFC 4180) with a line of names first, one line each: line breaks become
// spaces. Cells that a spreadsheet would take for a formula begin with an apostrophe, and what a CI system would
// take for a command is none any more. Errors are those of the source and of w.
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
	s = harmless(oneLine.Replace(strings.ToValidUTF8(s, "\ufffd")))
	switch rest := strings.TrimLeft(s, " \t\v\f\u00a0\ufeff'\""); {
	case rest == "":
		return s
	case strings.ContainsRune("=+-@＝＋－＠", firstRune(rest)), strings.HasPrefix(rest, "::"), s[0] == '\t':
		return "'" + s
	}
	return s
}

var oneLine = strings.NewReplacer("\x00", "", "\r\n", " ", "\n", " ", "\r", " ", "\u2028", " ", "\u2029", " ")

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

// WriteJSONLines writes each finding as one line of JSON (schema: [FindingSchema]). Errors are those of the
// source and of w.
func WriteJSONLines(ctx context.Context, w io.Writer, s Source) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	for f, err := range all(ctx, s, needIdentity) {
		if err != nil {
			return err
		}
		line.Reset()
		err = enc.Encode(&f)
		if err == nil {
			_, err = w.Write(harmlessJSON(line.Bytes()))
		}
		if err != nil {
			return &Error{Op: "write", Subject: "JSON lines", Err: err}
		}
	}
	return nil
}
