package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/ci"
	"github.com/waybill-dev/waybill/report/cobertura"
	"github.com/waybill-dev/waybill/report/format"
	"github.com/waybill-dev/waybill/report/html"
	"github.com/waybill-dev/waybill/report/junit"
	"github.com/waybill-dev/waybill/report/markdown"
)

// The files of a run, in the output directory.
const (
	sarifFile    = "report.sarif"
	junitFile    = "junit.xml"
	coverageFile = "coverage.xml"
	htmlFile     = "report.html"
	summaryFile  = "summary.md"
	mailFile     = "mail.eml"
)

var outputs = []string{recordFile, sarifFile, junitFile, coverageFile, htmlFile, summaryFile, mailFile, ci.ScansFolder, "images"}

// papers writes what the run leaves behind: the waybill, and the reports for people and for CI systems.
func (p *pipeline) papers(ctx context.Context) error {
	if p.report == nil && len(p.record.Files) > 0 {
		return p.save() // what was handed over is not ours, and stays as it is
	}
	if p.report == nil {
		p.report = report.Join(p.sources...)
	}
	all, head := p.report, p.report.Head()
	verdict := &p.verdict
	if !verdict.Pass && len(verdict.Reasons) == 0 {
		verdict = nil // it was not asked
	}
	errs := []error{
		p.write(htmlFile, func(w io.Writer) error {
			return html.Write(ctx, w, all, &html.Options{Title: p.title(), Verdict: verdict, Tables: []html.Table{p.table()}})
		}),
		p.write(summaryFile, func(w io.Writer) error {
			if err := p.markdownTable(w); err != nil {
				return err
			}
			return markdown.Write(ctx, w, all, &markdown.Options{Title: "Findings", Verdict: verdict})
		}),
	}
	if p.rehearses() {
		return errors.Join(errs...) // the rest is what the stage before left, for the real run of this one
	}
	errs = append(errs, p.write(sarifFile, func(w io.Writer) error { return report.WriteSARIF(ctx, w, all) }))
	if head.Tests != nil {
		errs = append(errs, p.write(junitFile, func(w io.Writer) error {
			return junit.Write(ctx, w, all, &junit.Options{SkipFindings: true})
		}))
	}
	if head.Coverage != nil {
		errs = append(errs, p.write(coverageFile, func(w io.Writer) error { return cobertura.Write(w, head.Coverage, nil) }))
	}
	_, err := ci.WriteScans(ctx, p.out, all, nil)
	errs = append(errs, err, p.redactScans(), p.record.remember(p.out, sarifFile, junitFile, coverageFile))
	return errors.Join(append(errs, p.save())...)
}

// save writes the waybill, for the stage after this one.
func (p *pipeline) save() error {
	if p.rehearses() {
		return nil
	}
	return p.record.save(p.out)
}

// rehearses reports whether this is a dry run of a stage that others have handed over to. It leaves the waybill and
// what the waybill vouches for alone: the stage is still to come.
func (c *config) rehearses() bool { return c.dryRun && (c.stage == "image" || c.stage == "gitops") }

// write writes one file, without secrets, whole or not at all: what it is made from may be the file it replaces.
func (p *pipeline) write(name string, f func(io.Writer) error) error {
	out, err := os.Create(p.path(name + ".new"))
	if err != nil {
		return err
	}
	w := p.redactor.Writer(out)
	if err := errors.Join(f(w), w.Close(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return os.Rename(out.Name(), p.path(name))
}

// redactScans takes secrets out of the files that were not written through the redactor.
func (p *pipeline) redactScans() error {
	return filepath.WalkDir(p.path(ci.ScansFolder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if masked := p.redactor.Redact(string(b)); masked != string(b) {
			return os.WriteFile(path, []byte(masked), 0o644)
		}
		return nil
	})
}

// handedOver reads what the stages before this one found, if it is as they left it.
func (p *pipeline) handedOver(ctx context.Context) error {
	if err := p.record.verify(ctx, p.out); err != nil {
		return err
	}
	if p.stage == "image" {
		if err := p.sameSource(ctx); err != nil {
			return err
		}
	}
	for _, f := range p.record.Files {
		r, err := format.Open(ctx, p.path(f.Path), &format.ReadOptions{Options: report.Options{Root: p.source, Stale: true}})
		if err != nil {
			return err
		}
		p.opened = append(p.opened, r)
		p.sources = append(p.sources, r)
	}
	if len(p.sources) > 0 {
		return p.judge(ctx, p.stage == "image")
	}
	return nil
}

func (p *pipeline) title() string {
	return "Boutique " + p.record.Build + ": " + string(p.record.Outcome)
}

func (p *pipeline) table() html.Table {
	t := html.Table{Title: "Steps", Columns: []string{"Stage", "Step", "Executed", "Result", "Seconds", "What came of it"}}
	for _, s := range p.record.Steps {
		t.Rows = append(t.Rows, s.cells())
	}
	return t
}

func (s *step) cells() []string {
	seconds := ""
	if !s.Started.IsZero() {
		seconds = fmt.Sprintf("%.2f", s.Seconds)
	}
	what := s.Detail
	switch {
	case what == "":
		what = s.Reason
	case s.Reason != "":
		what += " (" + s.Reason + ")"
	}
	return []string{s.Stage, s.Name, string(s.Executed), s.Result, seconds, what}
}

func (p *pipeline) markdownTable(w io.Writer) error {
	fmt.Fprintf(w, "# %s\n\n", markdown.Escape(p.title()))
	if p.record.Reason != "" {
		fmt.Fprintf(w, "%s\n\n", markdown.Escape(p.record.Reason))
	}
	t := p.table()
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(t.Columns, " | "), strings.Repeat("---|", len(t.Columns)))
	for _, row := range t.Rows {
		for i := range row {
			row[i] = markdown.Escape(row[i])
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	_, err := fmt.Fprintln(w)
	return err
}

// summary prints the table of steps.
func (p *pipeline) summary(w io.Writer) error {
	out := p.redactor.Writer(w)
	fmt.Fprintln(out)
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range p.record.Steps {
		cells := s.cells()
		cells[5] = shorten(cells[5], 90)
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if c := p.record.Change; c != nil && c.DryRun {
		fmt.Fprintln(out, "\nwhat the commit would be:")
		for _, e := range c.Edits {
			fmt.Fprintf(out, "%s:%d: %s: %s -> %s\n", e.File, e.Line, e.Image, e.Old, e.New)
		}
	}
	fmt.Fprintf(out, "\nbuild %s is %s after %.1f s; %s has the papers\n", p.record.Build, p.record.Outcome, p.record.Finished.Sub(p.record.Started).Seconds(), p.out)
	return out.Close()
}

// announce shows the run on the pages of the system that runs it.
func (p *pipeline) announce(ctx context.Context, w io.Writer) error {
	ctx = context.WithoutCancel(ctx)
	out := p.redactor.Writer(w)
	var errs []error
	switch p.ci.System {
	case "azure-devops":
		az := ci.NewAzure(out)
		if p.report != nil {
			errs = append(errs, az.LogIssues(ctx, p.report, 0))
		}
		if path, err := filepath.Abs(p.path(summaryFile)); err == nil {
			errs = append(errs, az.UploadSummary(path))
		}
	case "github":
		if p.report != nil {
			errs = append(errs, ci.Annotate(ctx, out, p.report, nil))
		}
		if page, err := os.ReadFile(p.path(summaryFile)); err == nil && p.ci.Summary != "" {
			f, err := os.OpenFile(p.ci.Summary, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			_, err = f.Write(page)
			errs = append(errs, err, f.Close())
		}
	}
	return errors.Join(append(errs, out.Close())...)
}

// findings says in a few words what is in a summary.
func findings(s report.Summary) string {
	var parts []string
	if len(s.Runs) > 0 {
		parts = append(parts, fmt.Sprintf("%d findings", s.Findings))
	}
	if s.Tests != nil && s.Tests.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d tests passed", s.Tests.Passed, s.Tests.Total))
	}
	if s.Coverage != nil && s.Coverage.Lines > 0 {
		parts = append(parts, fmt.Sprintf("%.1f %% of lines covered", s.Coverage.Percent))
	}
	return strings.Join(parts, ", ")
}

func reasons(v report.Verdict) string {
	var all []string
	for _, r := range v.Reasons {
		all = append(all, r.String())
	}
	return strings.Join(all, "; ")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return shorten(line, 300)
}

func shorten(s string, n int) string { return notify.Truncate(s, n) }
