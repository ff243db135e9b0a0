// Package cobertura reads Cobertura coverage XML. Its DOCTYPE is never fetched.
//
// The figures in the attributes are not believed; lines are counted anew, a line that several classes of a
// file share once. Absolute file names, and those below the one source directory the report names, become
// relative to Options.Root.
//
// # Errors
//
// [Read] returns the errors of package report.
package cobertura

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

const maxLines = 20_000_000

// Read reads a report. It has coverage and no runs. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("Cobertura XML", o)
	rd := reader{b: b, x: input.NewXML(r, b.Limits()), files: map[string]*report.FileCoverage{}}
	if o != nil {
		rd.root = o.Root
	}
	if err := rd.document(ctx); err != nil {
		return nil, b.Fail(err)
	}
	b.Report.Coverage = rd.coverage()
	return b.Done(ctx)
}

type reader struct {
	b       *input.Builder
	x       *input.XML
	root    string
	sources []string
	order   []string
	files   map[string]*report.FileCoverage
	lines   int
}

func (rd *reader) document(ctx context.Context) error {
	var pkg string
	var file *report.FileCoverage
	depth := 0
	seen := false
	for {
		tok, err := rd.x.Token()
		switch {
		case errors.Is(err, io.EOF) && seen:
			return nil
		case err != nil:
			return err
		}
		switch t := tok.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			depth++
			if depth == 1 {
				if t.Name.Local != "coverage" {
					return &input.SyntaxError{Line: 1, Err: fmt.Errorf("the root element is %.40q, not coverage", t.Name.Local)}
				}
				seen = true
				continue
			}
			switch t.Name.Local {
			case "source":
				text, err := rd.x.Text(4096)
				if err != nil {
					return eof(err)
				}
				depth--
				rd.sources = append(rd.sources, strings.TrimSpace(text))
			case "package":
				pkg = input.Attr(t, "name")
			case "class":
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				file = rd.file(input.Attr(t, "filename"), pkg)
			case "line":
				if err := rd.line(file, t); err != nil {
					return err
				}
			}
		}
	}
}

func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return input.ErrTruncated
	}
	return err
}

func (rd *reader) file(name, pkg string) *report.FileCoverage {
	if name == "" {
		rd.b.Report.AddUnplaced("cobertura", "class without a file name", 1)
	}
	f := rd.files[name]
	if f == nil {
		f = &report.FileCoverage{Package: pkg}
		rd.files[name] = f
		rd.order = append(rd.order, name)
	}
	return f
}

// line reads a line; those of methods come again below the class, and joining them is up to Sort.
func (rd *reader) line(f *report.FileCoverage, e xml.StartElement) error {
	number, _ := strconv.Atoi(input.Attr(e, "number"))
	if f == nil || number < 1 {
		rd.b.Report.AddUnplaced("cobertura", "line without a number or outside a class", 1)
		return nil
	}
	if rd.lines++; rd.lines > maxLines {
		return &input.CapError{Cap: "lines", Limit: maxLines}
	}
	l := report.LineCoverage{Number: number, Hits: hits(input.Attr(e, "hits"))}
	l.BranchesCovered, l.Branches = branches(input.Attr(e, "condition-coverage"))
	f.Lines = append(f.Lines, l)
	return nil
}

// hits reads a count that some tools let overflow, or write as a fraction.
func hits(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return max(0, n)
	}
	f := input.ParseNumber(s)
	if f >= math.MaxInt64 {
		return math.MaxInt64
	}
	return max(0, int64(f))
}

// branches reads "50% (1/2)".
func branches(s string) (covered, all int) {
	_, rest, ok := strings.Cut(s, "(")
	if !ok {
		return 0, 0
	}
	c, a, _ := strings.Cut(strings.TrimSuffix(rest, ")"), "/")
	covered, err1 := strconv.Atoi(strings.TrimSpace(c))
	all, err2 := strconv.Atoi(strings.TrimSpace(a))
	if err1 != nil || err2 != nil || all < 0 || covered < 0 {
		return 0, 0
	}
	return min(covered, all), all
}

func (rd *reader) coverage() *report.Coverage {
	cov := &report.Coverage{Files: []report.FileCoverage{}}
	for _, name := range rd.order {
		f := rd.files[name]
		f.Path = rd.path(name)
		f.Sort()
		cov.Files = append(cov.Files, *f)
	}
	return cov
}

func (rd *reader) path(name string) string {
	clean := report.CleanPath(name, rd.root)
	if rd.root == "" || path.IsAbs(clean) || len(rd.sources) != 1 || !path.IsAbs(strings.ReplaceAll(rd.sources[0], `\`, "/")) {
		return clean
	}
	if below := report.CleanPath(rd.sources[0]+"/"+name, rd.root); !path.IsAbs(below) {
		return below
	}
	return clean
}
