// Package cobertura writes the coverage of a report as Cobertura XML, which Azure DevOps, GitLab and Jenkins
// show.
//
// # Errors
//
// [Write] returns errors of type [*report.Error] with the error of the writer.
package cobertura

import (
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/internal/xmlout"
)

// Options says what is written. The zero value is fine.
type Options struct {
	// Source is the directory that the paths of files are relative to; empty: ".".
	Source string
}

// Write writes c; nil is written as coverage of no file. Files are ordered by package, as they come within
// each. o may be nil.
func Write(w io.Writer, c *report.Coverage, o *Options) error {
	if o == nil {
		o = &Options{}
	}
	if c == nil {
		c = &report.Coverage{}
	}
	out := &writer{xmlout.New(w)}
	n := c.Counts()
	out.Raw(xml.Header)
	out.Raw(fmt.Sprintf(`<coverage line-rate="%s" branch-rate="%s" lines-covered="%d" lines-valid="%d" branches-covered="%d" branches-valid="%d" complexity="0" version="1" timestamp="0">`+"\n",
		rate(n.LinesCovered, n.Lines), rate(n.BranchesCovered, n.Branches), n.LinesCovered, n.Lines, n.BranchesCovered, n.Branches))
	source := o.Source
	if source == "" {
		source = "."
	}
	out.Raw("  <sources><source>")
	out.Text(source)
	out.Raw("</source></sources>\n  <packages>\n")
	for _, p := range packages(c) {
		out.pkg(p)
	}
	out.Raw("  </packages>\n</coverage>\n")
	if err := out.Flush(); err != nil {
		return &report.Error{Op: "write", Subject: "Cobertura XML", Err: err}
	}
	return nil
}

type pkg struct {
	name  string
	files []*report.FileCoverage
}

func packages(c *report.Coverage) []*pkg {
	byName := map[string]*pkg{}
	var list []*pkg
	for i := range c.Files {
		f := &c.Files[i]
		name := f.Package
		if name == "" {
			name = path.Dir(f.Path)
		}
		p := byName[name]
		if p == nil {
			p = &pkg{name: name}
			byName[name] = p
			list = append(list, p)
		}
		p.files = append(p.files, f)
	}
	slices.SortStableFunc(list, func(a, b *pkg) int {
		switch {
		case a.name < b.name:
			return -1
		case a.name > b.name:
			return 1
		}
		return 0
	})
	return list
}

type writer struct{ *xmlout.Writer }

func (w *writer) pkg(p *pkg) {
	var n report.CoverageCounts
	for _, f := range p.files {
		c := f.Counts()
		n.Lines, n.LinesCovered = n.Lines+c.Lines, n.LinesCovered+c.LinesCovered
		n.Branches, n.BranchesCovered = n.Branches+c.Branches, n.BranchesCovered+c.BranchesCovered
	}
	w.Raw(`    <package name="`)
	w.Text(p.name)
	w.Raw(`"` + rates(n) + ">\n      <classes>\n")
	for _, f := range p.files {
		w.file(f)
	}
	w.Raw("      </classes>\n    </package>\n")
}

func (w *writer) file(f *report.FileCoverage) {
	w.Raw(`        <class name="`)
	w.Text(path.Base(f.Path))
	w.Raw(`" filename="`)
	w.Text(f.Path)
	w.Raw(`"` + rates(f.Counts()) + ">\n          <methods/>\n          <lines>\n")
	for _, l := range f.Lines {
		branch := ""
		if l.Branches > 0 {
			branch = fmt.Sprintf(` branch="true" condition-coverage="%d%% (%d/%d)"`, l.BranchesCovered*100/l.Branches, l.BranchesCovered, l.Branches)
		}
		w.Raw(fmt.Sprintf(`            <line number="%d" hits="%d"%s/>`+"\n", l.Number, l.Hits, branch))
	}
	w.Raw("          </lines>\n        </class>\n")
}

func rates(n report.CoverageCounts) string {
	return fmt.Sprintf(` line-rate="%s" branch-rate="%s" complexity="0"`, rate(n.LinesCovered, n.Lines), rate(n.BranchesCovered, n.Branches))
}

// rate is 1 of nothing, as Cobertura itself has it.
func rate(part, whole int) string {
	if whole == 0 {
		return "1"
	}
	return fmt.Sprintf("%.4f", float64(part)/float64(whole))
}
