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
	outputs := []struct {
		name  string
		write func(io.Writer) error
	}{
		{"merged.sarif", func(w io.Writer) error {
			summary, err = report.Merge(ctx, w, []report.Source{s}, nil)
			return err
		}},
		{"report.html", func(w io.Writer) error { return html.Write(ctx, w, s, &html.Options{Verdict: verdict}) }},
		{"summary.md", func(w io.Writer) error { return markdown.Write(ctx, w, s, &markdown.Options{Verdict: verdict}) }},
		{"junit.xml", func(w io.Writer) error { return junit.Write(ctx, w, s, nil) }},
		{"coverage.xml", func(w io.Writer) error { return cobertura.Write(w, s.Head().Coverage, nil) }},
		{"findings.csv", func(w io.Writer) error { return report.WriteCSV(ctx, w, s) }},
		{"findings.jsonl", func(w io.Writer) error { return report.WriteJSONLines(ctx, w, s) }},
		{"gitlab.json", func(w io.Writer) error { return gitlab.Write(ctx, w, s, nil) }},
	}
	for _, o := range outputs {
		if err := writeFile(filepath.Join(dir, o.name), o.write); err != nil {
			return summary, err
		}
	}
	_, err = ci.WriteScans(ctx, dir, s, nil)
	return summary, err
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
