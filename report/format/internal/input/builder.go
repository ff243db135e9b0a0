package input

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/report"
)

// Builder fills a report with what one reader finds.
type Builder struct {
	Report  *report.Report
	format  string
	options *report.Options
}

// New returns a builder of an empty report. The format ("Trivy JSON") names it in errors.
func New(format string, o *report.Options) *Builder {
	if o == nil {
		o = &report.Options{}
	}
	return &Builder{Report: &report.Report{}, format: format, options: o}
}

// Limits returns the caps that the caller's options ask for.
func (b *Builder) Limits() Limits { return LimitsOf(b.options) }

// LimitsOf returns the caps that the options ask for.
func LimitsOf(o *report.Options) Limits {
	if o == nil {
		return Limits{}
	}
	return Limits{Bytes: o.MaxBytes}
}

// JSON reads r whole into v. What does not fit in v is counted.
func (b *Builder) JSON(r io.Reader, v any) error {
	data, err := Whole(r, b.Limits())
	if err != nil {
		return b.Fail(err)
	}
	return b.Decode(data, v)
}

// Decode is [Builder.JSON] for what has been read. The lists in v stand in data.
func (b *Builder) Decode(data []byte, v any) error {
	doc, err := ParseJSON(data, b.Limits())
	if err != nil {
		return b.Fail(err)
	}
	mismatch, err := doc.Decode(v)
	if err != nil {
		return b.Fail(err)
	}
	b.Document(doc)
	if mismatch != nil {
		b.Report.AddUnplaced("", "member of the wrong type: "+mismatch.Error(), 1)
	}
	return nil
}

// Document counts what is odd about a document as a whole.
func (b *Builder) Document(doc *Doc) {
	if doc.DuplicateKeys > 0 {
		b.Report.AddUnplaced("", "member repeated in its object, the last one was read", doc.DuplicateKeys)
	}
}

// Run appends a run and returns its index.
func (b *Builder) Run(run report.Run) int {
	b.Report.Runs = append(b.Report.Runs, run)
	return len(b.Report.Runs) - 1
}

// Add appends a finding.
func (b *Builder) Add(f report.Finding) { b.Report.Findings = append(b.Report.Findings, f) }

// AddSecret appends a finding about a secret, masked.
func (b *Builder) AddSecret(f report.Finding, secret, match string) {
	f.SetSecret(secret, match, b.options.SecretKey)
	b.Add(f)
}

// Failed notes that run did not come to a good end. The first reason stays.
func (b *Builder) Failed(run int, reason string) {
	if r := &b.Report.Runs[run]; r.Status != report.StatusFailed {
		r.Status, r.Reason = report.StatusFailed, OneLine(reason)
	}
}

// Each yields the elements of a list and counts those that could not be read in full. A list that was none makes
// the run fail: nobody knows what it should have said.
func Each[T any](b *Builder, run int, what string, list List[T]) iter.Seq[T] {
	tool := b.Report.Runs[run].Tool
	// Room for long lists of findings, which are not copied again and again then while they grow. A few bytes are
	// no finding, whatever they say.
	if n := list.Len(); n > 1000 && len(list.raw)/n > 100 {
		b.Report.Findings = slices.Grow(b.Report.Findings, n)
	}
	return list.Read(func(e BadElement) {
		switch {
		case e.Index < 0:
			b.Failed(run, what+": "+e.Reason)
		case e.Lost:
			b.Report.AddUnplaced(tool, what+" not read: "+e.Reason, 1)
		default:
			b.Report.AddUnplaced(tool, what+" read in part: "+e.Reason, 1)
		}
	})
}

// Severity reads the word of a tool; words that are not known are counted.
func (b *Builder) Severity(run int, word string) report.Severity {
	if word == "" {
		return report.SeverityUnknown
	}
	s, ok := report.ParseSeverity(word)
	if !ok {
		b.Report.AddUnplaced(b.Report.Runs[run].Tool, "severity word not known", 1)
	}
	return s
}

// Score returns v when it is a score from 0 to 10. Others are counted.
func (b *Builder) Score(run int, v float64) float64 {
	if v >= 0 && v <= 10 {
		return v
	}
	b.Report.AddUnplaced(b.Report.Runs[run].Tool, "score out of range", 1)
	return 0
}

// Done normalises the report and returns it.
func (b *Builder) Done(ctx context.Context) (*report.Report, error) {
	for i := range b.Report.Runs {
		if r := &b.Report.Runs[i]; r.Status == report.StatusUnknown {
			r.Status = report.StatusCompleted
		}
	}
	if err := b.Report.Normalize(ctx, b.options); err != nil {
		return nil, err
	}
	return b.Report, nil
}

// Fail turns what went wrong into the error type of package report.
func (b *Builder) Fail(err error) error { return Fail(b.format, err) }

// Fail turns what went wrong while the named format was read into the error type of package report.
func Fail(format string, err error) error {
	if done := (*report.Error)(nil); errors.As(err, &done) {
		return err
	}
	e := &report.Error{Op: "read", Subject: format, Err: err}
	capped, bad := (*CapError)(nil), (*SyntaxError)(nil)
	switch {
	case errors.Is(err, ErrEmpty):
		e.Kind, e.Err = report.ErrEmpty, nil
	case errors.As(err, &capped):
		e.Kind = report.ErrTooLarge
	case errors.Is(err, ErrTruncated):
		e.Kind = report.ErrTruncated
	case errors.As(err, &bad):
		e.Kind = report.ErrSyntax
	case errors.Is(err, ErrUnsupported):
		e.Kind = report.ErrUnsupported
	}
	return e
}

// ErrUnsupported is in the chain of errors about a known format in a version or variant that is not read.
var ErrUnsupported = errors.New("not read")

// OneLine returns the first line of s, at most 300 bytes of it.
func OneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.TrimRight(s, "\r")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// First returns the first of its arguments that is not empty.
func First(s ...string) string { return cmp.Or(s...) }
