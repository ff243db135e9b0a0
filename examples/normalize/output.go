package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/ci"
	"github.com/waybill-dev/waybill/report/cobertura"
	"github.com/waybill-dev/waybill/report/gitlab"
	"github.com/waybill-dev/waybill/report/html"
	"github.com/waybill-dev/waybill/report/junit"
	"github.com/waybill-dev/waybill/report/markdown"
)

// write writes all outputs into dir and returns what is in the report.
func write(ctx context.Context, dir string, s report.Source, verdict *report.Verdict) (summary report.Summary, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return summary, err
	}
	file := func(name string, write func(io.Writer, report.Source) error) func(report.Source) error {
		return func(s report.Source) error {
			return writeFile(filepath.Join(dir, name), func(w io.Writer) error { return write(w, s) })
		}
	}
	// These two read run by run, the others all findings at once, together.
	merged := file("merged.sarif", func(w io.Writer, s report.Source) error {
		summary, err = report.Merge(ctx, w, []report.Source{s}, nil)
		return err
	})
	if err := merged(s); err != nil {
		return summary, err
	}
	if _, err := ci.WriteScans(ctx, dir, s, nil); err != nil {
		return summary, err
	}
	return summary, report.Share(ctx, s,
		file("report.html", func(w io.Writer, s report.Source) error {
			return html.Write(ctx, w, s, &html.Options{Verdict: verdict})
		}),
		file("summary.md", func(w io.Writer, s report.Source) error {
			return markdown.Write(ctx, w, s, &markdown.Options{Verdict: verdict})
		}),
		file("junit.xml", func(w io.Writer, s report.Source) error { return junit.Write(ctx, w, s, nil) }),
		file("coverage.xml", func(w io.Writer, s report.Source) error { return cobertura.Write(w, s.Head().Coverage, nil) }),
		file("findings.csv", func(w io.Writer, s report.Source) error { return report.WriteCSV(ctx, w, s) }),
		file("findings.jsonl", func(w io.Writer, s report.Source) error { return report.WriteJSONLines(ctx, w, s) }),
		file("gitlab.json", func(w io.Writer, s report.Source) error { return gitlab.Write(ctx, w, s, nil) }),
	)
}

// writeFile writes a file that appears only when it is whole.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriterSize(f, 256<<10)
	if err := write(w); err != nil {
		_ = f.Close()
		return err
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
