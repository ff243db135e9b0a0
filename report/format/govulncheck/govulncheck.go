// Package govulncheck reads the output of govulncheck -json: objects one behind the other, or in a list.
//
// govulncheck reports a flaw once for each thing it found out about it: that a module has it, that a package
// with it is imported, each way in which it is called. That is one finding here, graded by the deepest: high
// when it is called, medium when it is imported, low when the module is merely required, as the Go
// vulnerability database grades nothing.
//
// # Errors
//
// [Read] returns the errors of package report.
package govulncheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

type message struct {
	Config *struct {
		ScannerName    string `json:"scanner_name"`
		ScannerVersion string `json:"scanner_version"`
		ScanLevel      string `json:"scan_level"`
	} `json:"config"`
	OSV     *advisory `json:"osv"`
	Finding *finding  `json:"finding"`
}

type advisory struct {
	ID               string      `json:"id"`
	Summary          string      `json:"summary"`
	Details          string      `json:"details"`
	Aliases          input.Texts `json:"aliases"`
	DatabaseSpecific struct {
		URL string `json:"url"`
	} `json:"database_specific"`
}

type finding struct {
	OSV          string  `json:"osv"`
	FixedVersion string  `json:"fixed_version"`
	Trace        []frame `json:"trace"` // from the vulnerable symbol to the caller's code
}

type frame struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Package  string `json:"package"`
	Function string `json:"function"`
	Receiver string `json:"receiver"`
	Position *struct {
		Filename string       `json:"filename"`
		Line     input.Number `json:"line"`
		Column   input.Number `json:"column"`
	} `json:"position"`
}

// depth says how much is known: 1 required, 2 imported, 3 called.
func (f *finding) depth() int {
	switch {
	case len(f.Trace) == 0:
		return 0
	case f.Trace[0].Function != "":
		return 3
	case f.Trace[0].Package != "":
		return 2
	}
	return 1
}

type key struct{ osv, module, version string }

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("govulncheck JSON", o)
	doc, err := input.ReadJSON(r, b.Limits())
	if err != nil {
		return nil, b.Fail(err)
	}
	b.Document(doc)
	run := b.Run(report.Run{Tool: "govulncheck", InformationURI: "https://go.dev/security/vuln/"})
	rd := reader{b: b, run: run, advisories: map[string]*advisory{}, best: map[key]int{}}
	if bytes.TrimSpace(doc.Data)[0] == '[' {
		var list input.List[message]
		if _, err := doc.Decode(&list); err != nil {
			return nil, b.Fail(err)
		}
		for m := range input.Each(b, run, "message", list) {
			rd.message(m)
		}
	} else if err := doc.Values(rd.value); err != nil {
		return nil, b.Fail(err)
	}
	if !rd.configured {
		return nil, b.Fail(&input.SyntaxError{Err: errors.New("no message with the configuration of the scanner")})
	}
	for _, f := range rd.findings {
		b.Add(rd.finding(f))
	}
	return b.Done(ctx)
}

type reader struct {
	b          *input.Builder
	run        int
	configured bool
	advisories map[string]*advisory
	findings   []*finding
	best       map[key]int // index in findings
}

func (rd *reader) value(raw json.RawMessage) error {
	var m message
	mismatch, err := input.Decode(raw, &m)
	if err != nil {
		return err
	}
	if mismatch != nil {
		rd.b.Report.AddUnplaced("govulncheck", "message read in part: "+mismatch.Error(), 1)
	}
	rd.message(m)
	return nil
}

func (rd *reader) message(m message) {
	switch {
	case m.Config != nil:
		rd.configured = true
		rd.b.Report.Runs[rd.run].Version = strings.TrimPrefix(m.Config.ScannerVersion, "v")
	case m.OSV != nil:
		rd.advisories[m.OSV.ID] = m.OSV
	case m.Finding != nil:
		f := m.Finding
		if f.depth() == 0 {
			rd.b.Report.AddUnplaced("govulncheck", "finding without a trace", 1)
			rd.findings = append(rd.findings, f)
			return
		}
		k := key{f.OSV, f.Trace[0].Module, f.Trace[0].Version}
		if i, known := rd.best[k]; !known {
			rd.best[k] = len(rd.findings)
			rd.findings = append(rd.findings, f)
		} else if f.depth() > rd.findings[i].depth() {
			rd.findings[i] = f
		}
	}
}

func (rd *reader) finding(g *finding) report.Finding {
	f := report.Finding{Run: rd.run, Rule: g.OSV, Category: report.CategoryPackage}
	if a := rd.advisories[g.OSV]; a != nil {
		f.Title, f.Description, f.Aliases = input.OneLine(a.Summary), a.Details, a.Aliases
		f.HelpURI = a.DatabaseSpecific.URL
	}
	f.HelpURI = input.First(f.HelpURI, "https://pkg.go.dev/vuln/"+g.OSV)
	var at frame
	if len(g.Trace) > 0 {
		at = g.Trace[0]
	}
	f.Package = &report.Package{
		Name: at.Module, Installed: at.Version, Fixed: g.FixedVersion,
		PURL: report.PURL("golang", "", at.Module, at.Version),
	}
	f.Title = input.First(f.Title, g.OSV+" in "+at.Module)
	f.Message = input.Vulnerable(at.Module, at.Version, f.Title, g.FixedVersion)
	switch g.depth() {
	case 3:
		f.Level = report.LevelError
		f.Message += "; called: " + path(g.Trace)
		f.Location = place(g.Trace)
		f.Tags = []string{"called"}
	case 2:
		f.Level = report.LevelWarning
		f.Message += "; imported, not called"
		f.Tags = []string{"imported"}
	default:
		f.Level = report.LevelNote
		f.Message += "; required, not imported"
		f.Tags = []string{"required"}
	}
	return f
}

// path is the way from the caller's code to the flaw, the middle of a long one left out.
func path(trace []frame) string {
	const ends = 8
	names := make([]string, len(trace))
	for i, f := range trace {
		names[len(trace)-1-i] = symbol(f)
	}
	if left := len(names) - 2*ends; left > 0 {
		names = slices.Concat(names[:ends], []string{fmt.Sprintf("(%d more)", left)}, names[len(names)-ends:])
	}
	return strings.Join(names, " > ")
}

func symbol(f frame) string {
	name := f.Function
	if f.Receiver != "" {
		name = strings.TrimPrefix(f.Receiver, "*") + "." + name
	}
	return f.Package + "." + name
}

// place is where the caller's own code starts on the way to the flaw: the last frame.
func place(trace []frame) report.Location {
	last := trace[len(trace)-1]
	loc := report.Location{Logical: symbol(last)}
	if p := last.Position; p != nil {
		loc.Path, loc.StartLine, loc.StartColumn = p.Filename, p.Line.Int(), p.Column.Int()
	}
	return loc
}
