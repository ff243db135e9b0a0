// Package coverprofile reads the coverage profiles of go test -coverprofile, also several in one file.
//
// A profile counts statements of blocks. Blocks that come again, as they do when profiles of several test
// binaries are put together, count once: covered when one of them is. A line is covered when a block on it is.
// Files are named by import path; with Options.Root, and a go.mod there, they become paths.
//
// # Errors
//
// [Read] returns the errors of package report.
package coverprofile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

const (
	format     = "Go cover profile"
	maxFiles   = 500_000
	maxBlocks  = 10_000_000
	maxCovered = 20_000_000 // lines of all blocks, which may lie on top of each other
	maxLine    = 200_000    // of a file
	maxLines   = 5_000_000  // of all files
)

// Read reads a profile. The report has coverage and no runs. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New(format, o)
	p := profile{files: map[string]*file{}}
	for n, line := range input.Lines(r) {
		if line.Err != nil {
			return nil, b.Fail(line.Err)
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, b.Fail(context.Cause(ctx))
		}
		text := string(bytes.TrimSpace(line.Text))
		if text == "" {
			continue
		}
		if err := p.line(text); err != nil {
			if line.Last {
				err = input.ErrTruncated
			}
			return nil, b.Fail(&input.SyntaxError{Line: n, Err: err})
		}
		if err := p.caps(); err != nil {
			return nil, b.Fail(err)
		}
	}
	if p.mode == "" {
		return nil, b.Fail(input.ErrEmpty)
	}
	cov, err := p.coverage(ctx, module(o))
	if err != nil {
		return nil, b.Fail(err)
	}
	b.Report.Coverage = cov
	return b.Done(ctx)
}

type profile struct {
	mode   string
	order  []string
	files  map[string]*file
	blocks int
	lines  int // of all blocks
}

type file struct {
	order  []span
	blocks map[span]counts
}

type span struct{ startLine, startColumn, endLine, endColumn int }

type counts struct {
	statements int
	hits       int64
}

// caps says what there is too much of: each takes memory or time far beyond its few bytes.
func (p *profile) caps() error {
	switch {
	case len(p.order) > maxFiles:
		return &input.CapError{Cap: "files", Limit: maxFiles}
	case p.blocks > maxBlocks:
		return &input.CapError{Cap: "blocks", Limit: maxBlocks}
	case p.lines > maxCovered:
		return &input.CapError{Cap: "lines in blocks", Limit: maxCovered}
	}
	return nil
}

func (p *profile) line(text string) error {
	if mode, ok := strings.CutPrefix(text, "mode: "); ok {
		switch mode {
		case "set", "count", "atomic":
		default:
			return fmt.Errorf("mode %.20q is none of set, count, atomic", mode)
		}
		if p.mode == "" {
			p.mode = mode
		}
		return nil
	}
	if p.mode == "" {
		return errors.New("the first line is not a mode")
	}
	name, s, c, err := parseBlock(text)
	if err != nil {
		return err
	}
	f := p.files[name]
	if f == nil {
		f = &file{blocks: map[span]counts{}}
		p.files[name] = f
		p.order = append(p.order, name)
	}
	old, again := f.blocks[s]
	if !again {
		f.order = append(f.order, s)
		p.blocks++
		p.lines += s.endLine - s.startLine + 1
	} else {
		if p.mode == "set" {
			c.hits = max(old.hits, c.hits)
		} else {
			c.hits = add(old.hits, c.hits)
		}
		c.statements = max(c.statements, old.statements)
	}
	f.blocks[s] = c
	return nil
}

// add adds counts that are at the end of their range at times.
func add(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return a
}

// parseBlock reads "name.go:line.column,line.column statements count".
func parseBlock(text string) (name string, s span, c counts, err error) {
	bad := errors.New("not of the form file:line.column,line.column statements count")
	colon := strings.LastIndexByte(text, ':')
	if colon <= 0 {
		return "", s, c, bad
	}
	name = text[:colon]
	fields := strings.Fields(text[colon+1:])
	if len(fields) != 3 {
		return "", s, c, bad
	}
	start, end, ok := strings.Cut(fields[0], ",")
	if !ok || !position(start, &s.startLine, &s.startColumn) || !position(end, &s.endLine, &s.endColumn) {
		return "", s, c, bad
	}
	if s.endLine < s.startLine {
		return "", s, c, errors.New("a block that ends before it starts")
	}
	if s.endLine > maxLine {
		return "", s, c, &input.CapError{Cap: "lines in a file", Limit: maxLine}
	}
	if c.statements, err = strconv.Atoi(fields[1]); err != nil || c.statements < 0 || c.statements > 1<<30 {
		return "", s, c, bad
	}
	hits, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil {
		return "", s, c, bad
	}
	c.hits = int64(min(hits, 1<<62))
	return name, s, c, nil
}

func position(s string, line, column *int) bool {
	l, c, ok := strings.Cut(s, ".")
	if !ok {
		return false
	}
	var err1, err2 error
	*line, err1 = strconv.Atoi(l)
	*column, err2 = strconv.Atoi(c)
	return err1 == nil && err2 == nil && *line >= 0 && *column >= 0
}

func (p *profile) coverage(ctx context.Context, mod string) (*report.Coverage, error) {
	cov := &report.Coverage{}
	lines := 0
	for _, name := range p.order {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		f := p.files[name]
		fc := report.FileCoverage{Path: relative(name, mod), Package: path.Dir(name)}
		hits := map[int]int64{}
		for _, s := range f.order {
			c := f.blocks[s]
			fc.Statements += c.statements
			if c.hits > 0 {
				fc.StatementsCovered += c.statements
			}
			if c.statements == 0 {
				continue
			}
			for n := s.startLine; n <= s.endLine; n++ {
				hits[n] = max(hits[n], c.hits)
			}
		}
		if lines += len(hits); lines > maxLines {
			return nil, &input.CapError{Cap: "lines", Limit: maxLines}
		}
		for n, h := range hits {
			fc.Lines = append(fc.Lines, report.LineCoverage{Number: n, Hits: h})
		}
		fc.Sort()
		cov.Files = append(cov.Files, fc)
	}
	return cov, nil
}

// relative turns an import path into a path below the root of module mod.
func relative(name, mod string) string {
	if mod != "" {
		if rest, ok := strings.CutPrefix(name, mod+"/"); ok {
			return rest
		}
	}
	return filepath.ToSlash(name)
}

// module returns the module path of the go.mod in the source root, or "".
func module(o *report.Options) string {
	if o == nil || o.Root == "" {
		return ""
	}
	f, err := os.Open(filepath.Join(o.Root, "go.mod"))
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(io.LimitReader(f, 1<<20)); s.Scan(); {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), "module "); ok {
			rest, _, _ = strings.Cut(rest, "//")
			return strings.Trim(strings.TrimSpace(rest), `"`)
		}
	}
	return ""
}
