// Package lcov reads LCOV tracefiles. The sums in them are not believed; lines are counted anew. Records of
// the same file count together.
//
// # Errors
//
// [Read] returns the errors of package report.
package lcov

import (
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

const (
	maxFiles = 500_000
	maxLines = 20_000_000
)

// Read reads a tracefile. The report has coverage and no runs. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("LCOV", o)
	rd := reader{b: b, files: map[string]*file{}}
	if o != nil {
		rd.root = o.Root
	}
	empty := true
	for n, line := range input.Lines(r) {
		if line.Err != nil {
			return nil, b.Fail(line.Err)
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, b.Fail(context.Cause(ctx))
		}
		text := strings.TrimSpace(string(line.Text))
		if text == "" || text[0] == '#' {
			continue
		}
		empty = false
		if err := rd.line(text); err != nil {
			return nil, b.Fail(&input.SyntaxError{Line: n, Err: err})
		}
		if len(rd.order) > maxFiles {
			return nil, b.Fail(&input.CapError{Cap: "files", Limit: maxFiles})
		}
		if rd.lines > maxLines {
			return nil, b.Fail(&input.CapError{Cap: "lines", Limit: maxLines})
		}
	}
	switch {
	case empty:
		return nil, b.Fail(input.ErrEmpty)
	case rd.file != nil:
		return nil, b.Fail(&input.SyntaxError{Err: input.ErrTruncated})
	case len(rd.order) == 0 && rd.other > 0:
		return nil, b.Fail(&input.SyntaxError{Line: 1, Err: errors.New("no SF record")})
	}
	if rd.other > 0 {
		b.Report.AddUnplaced("lcov", "record not known or outside a file", rd.other)
	}
	cov := &report.Coverage{Files: []report.FileCoverage{}}
	for _, name := range rd.order {
		cov.Files = append(cov.Files, rd.files[name].coverage(report.CleanPath(name, rd.root)))
	}
	b.Report.Coverage = cov
	return b.Done(ctx)
}

type reader struct {
	b     *input.Builder
	root  string
	order []string
	files map[string]*file
	file  *file
	lines int
	other int
}

type file struct {
	hits     map[int]int64
	branches map[branch]bool
}

// branch is one way out of a line; true in file.branches when it was taken.
type branch struct {
	line int
	id   string
}

func (rd *reader) line(text string) error {
	tag, value, ok := strings.Cut(text, ":")
	if !ok {
		if text == "end_of_record" {
			rd.file = nil
			return nil
		}
		return errors.New("not of the form TAG:value")
	}
	switch tag {
	case "SF":
		if rd.files[value] == nil {
			rd.files[value] = &file{hits: map[int]int64{}, branches: map[branch]bool{}}
			rd.order = append(rd.order, value)
		}
		rd.file = rd.files[value]
	case "DA":
		return rd.data(value)
	case "BRDA":
		return rd.branchData(value)
	case "TN", "FN", "FNL", "FNA", "FNDA", "FNF", "FNH", "LF", "LH", "BRF", "BRH", "VER", "MCDC", "MCF", "MCH":
	default:
		rd.other++
	}
	return nil
}

// data reads "line,count[,checksum]".
func (rd *reader) data(value string) error {
	fields := strings.Split(value, ",")
	if len(fields) < 2 {
		return errors.New("DA is not of the form line,count")
	}
	number, _ := strconv.Atoi(fields[0])
	if rd.file == nil || number < 1 {
		rd.other++
		return nil
	}
	rd.lines++
	sum := rd.file.hits[number] + count(fields[1])
	if sum < 0 {
		sum = math.MaxInt64
	}
	rd.file.hits[number] = sum
	return nil
}

// branchData reads "line,block,branch,taken"; the branch may hold commas of its own.
func (rd *reader) branchData(value string) error {
	line, rest, ok := strings.Cut(value, ",")
	last := strings.LastIndexByte(rest, ',')
	if !ok || last < 0 {
		return errors.New("BRDA is not of the form line,block,branch,taken")
	}
	number, _ := strconv.Atoi(line)
	if rd.file == nil || number < 1 {
		rd.other++
		return nil
	}
	rd.lines++
	b := branch{number, rest[:last]}
	rd.file.branches[b] = rd.file.branches[b] || count(rest[last+1:]) > 0
	return nil
}

// count reads a count that may be beyond int64, negative by overflow, or "-" for never reached.
func count(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) && !strings.HasPrefix(s, "-") {
		return math.MaxInt64
	}
	return max(0, n)
}

func (f *file) coverage(path string) report.FileCoverage {
	out := report.FileCoverage{Path: path}
	at := map[int]int{}
	for number, hits := range f.hits {
		at[number] = len(out.Lines)
		out.Lines = append(out.Lines, report.LineCoverage{Number: number, Hits: hits})
	}
	for b, taken := range f.branches {
		i, ok := at[b.line]
		if !ok {
			i = len(out.Lines)
			at[b.line] = i
			out.Lines = append(out.Lines, report.LineCoverage{Number: b.line})
		}
		out.Lines[i].Branches++
		if taken {
			out.Lines[i].BranchesCovered++
		}
	}
	out.Sort()
	return out
}
