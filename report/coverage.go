package report

import (
	"cmp"
	"math"
	"slices"
)

// Coverage says which lines of which files the tests ran.
type Coverage struct {
	Files []FileCoverage `json:"files"`
}

// FileCoverage is the coverage of one file.
type FileCoverage struct {
	// Path has forward slashes and is relative to the source root where that is known.
	Path string `json:"path"`
	// Package is the package, namespace or directory the format puts the file in.
	Package string `json:"package,omitempty"`
	// Lines holds each line that can be covered once, in rising order; see [FileCoverage.Sort].
	Lines []LineCoverage `json:"lines"`
	// Statements and StatementsCovered are set by formats that count statements (Go cover profiles), else 0.
	Statements        int `json:"statements,omitempty"`
	StatementsCovered int `json:"statementsCovered,omitempty"`
}

// LineCoverage is the coverage of one line.
type LineCoverage struct {
	Number          int   `json:"number"`
	Hits            int64 `json:"hits"`
	Branches        int   `json:"branches,omitempty"`
	BranchesCovered int   `json:"branchesCovered,omitempty"`
}

// CoverageCounts sums up coverage. Percent is that of lines, 0 when there are none, rounded to hundredths.
type CoverageCounts struct {
	Lines             int     `json:"lines"`
	LinesCovered      int     `json:"linesCovered"`
	Branches          int     `json:"branches"`
	BranchesCovered   int     `json:"branchesCovered"`
	Statements        int     `json:"statements"`
	StatementsCovered int     `json:"statementsCovered"`
	Percent           float64 `json:"percent"`
}

// Counts sums up all files. It returns zeros for nil.
func (c *Coverage) Counts() CoverageCounts {
	var n CoverageCounts
	if c == nil {
		return n
	}
	for i := range c.Files {
		c.Files[i].count(&n)
	}
	n.Percent = percent(n.LinesCovered, n.Lines)
	return n
}

// Counts sums up the file.
func (f *FileCoverage) Counts() CoverageCounts {
	var n CoverageCounts
	f.count(&n)
	n.Percent = percent(n.LinesCovered, n.Lines)
	return n
}

func (f *FileCoverage) count(n *CoverageCounts) {
	for _, l := range f.Lines {
		n.Lines++
		if l.Hits > 0 {
			n.LinesCovered++
		}
		n.Branches += l.Branches
		n.BranchesCovered += l.BranchesCovered
	}
	n.Statements += f.Statements
	n.StatementsCovered += f.StatementsCovered
}

// percent rounds down, so that 100 means all and 80 is never shown for 79.999.
func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return math.Floor(float64(part)*10000/float64(whole)) / 100
}

// Sort brings Lines into rising order and joins entries of the same line: hits and branches of the entry with
// the most of them win, since formats repeat a line for each class or instance that holds it.
func (f *FileCoverage) Sort() {
	slices.SortFunc(f.Lines, func(a, b LineCoverage) int { return cmp.Compare(a.Number, b.Number) })
	out := f.Lines[:0]
	for _, l := range f.Lines {
		if n := len(out); n > 0 && out[n-1].Number == l.Number {
			last := &out[n-1]
			last.Hits = max(last.Hits, l.Hits)
			last.Branches = max(last.Branches, l.Branches)
			last.BranchesCovered = max(last.BranchesCovered, l.BranchesCovered)
			continue
		}
		out = append(out, l)
	}
	f.Lines = out
}
