package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"time"
)

// File is a report that is read from its file whenever its findings are asked for, so that its size does not
// matter. What stays in memory is the description of its runs: rules, artifacts, invocations.
type File struct {
	doc  *document
	file *os.File
	opts *Options
	head Head
	mem  *Report
}

var _ Source = (*File)(nil)

// OpenSARIF opens a SARIF 2.1.0 log of any size. It reads the whole file once, so that a file that is broken
// or cut short is refused here and not in the middle of the work; the file must not change until Close. o may
// be nil.
//
// Errors: ErrEmpty, ErrTruncated, ErrSyntax, ErrUnknownFormat (no SARIF at all), ErrUnsupported (another
// version), ErrTooLarge (see Options.MaxValueBytes; nesting deeper than 10,000), or the error of the system.
func OpenSARIF(ctx context.Context, path string, o *Options) (*File, error) {
	info, err := os.Stat(path) // first: to open a pipe may take forever
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file; ReadSARIF reads what is none")
	}
	if err != nil {
		return nil, &Error{Op: "open", Subject: path, Err: pathCause(err)}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{Op: "open", Subject: path, Err: pathCause(err)}
	}
	r := &File{file: f, opts: o, doc: &document{name: path, ra: f, size: info.Size(), modified: info.ModTime()}}
	r.doc.stat = func() (int64, time.Time, error) {
		info, err := f.Stat()
		if err != nil {
			return 0, time.Time{}, pathCause(err)
		}
		return info.Size(), info.ModTime(), nil
	}
	if err := r.doc.open(ctx, o); err != nil {
		f.Close()
		return nil, err
	}
	r.head = r.doc.head()
	return r, nil
}

// NewFile makes a File of a report that is in memory: what format.Open returns for formats that cannot be
// read in pieces.
func NewFile(r *Report) *File { return &File{mem: r, head: r.Head()} }

// Close closes the file. Findings that were yielded stay valid.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// Head implements [Source].
func (f *File) Head() Head { return f.head }

// All implements [Source]. Findings come run by run.
func (f *File) All(ctx context.Context) iter.Seq2[Finding, error] {
	return allRuns(ctx, f, len(f.head.Runs), needAll)
}

func (f *File) ofRun(ctx context.Context, i int, need needs) iter.Seq2[Finding, error] {
	if f.mem != nil {
		return f.mem.ofRun(ctx, i, need)
	}
	return f.doc.runs[i].findings(ctx, i, f.opts, need)
}

// needs says what of a finding a caller uses; what it does not use is not made.
type needs uint8

const (
	needIdentity needs = 1 << iota
	needText           // the SARIF text of the result, for writing
	needAll      = needIdentity | needText
)

// byRun is what the sources of this package can do beyond Source.
type byRun interface {
	ofRun(ctx context.Context, i int, need needs) iter.Seq2[Finding, error]
}

// ofRun yields the findings of one run of any source.
func ofRun(ctx context.Context, s Source, i int, need needs) iter.Seq2[Finding, error] {
	if s, ok := s.(byRun); ok {
		return s.ofRun(ctx, i, need)
	}
	return func(yield func(Finding, error) bool) {
		for f, err := range checked(ctx, s) {
			if (err != nil || f.Run == i) && !yield(f, err) {
				return
			}
		}
	}
}

func allRuns(ctx context.Context, s byRun, n int, need needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		for i := range n {
			for f, err := range s.ofRun(ctx, i, need) {
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

// all yields the findings of any source, with no more made than needed.
func all(ctx context.Context, s Source, need needs) iter.Seq2[Finding, error] {
	if r, ok := s.(byRun); ok {
		return allRuns(ctx, r, len(s.Head().Runs), need)
	}
	return checked(ctx, s)
}

// checked yields the findings of somebody else's source, and refuses one of no run.
func checked(ctx context.Context, s Source) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		runs, i := len(s.Head().Runs), 0
		for f, err := range s.All(ctx) {
			if err == nil && (f.Run < 0 || f.Run >= runs) {
				err = errNoRun(i)
			}
			if !yield(f, err) || err != nil {
				return
			}
			i++
		}
	}
}

func (r *Report) ofRun(ctx context.Context, run int, _ needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		runs := max(1, len(r.Runs))
		for i := range r.Findings {
			f := &r.Findings[i]
			switch {
			case f.Run < 0 || f.Run >= runs:
				yield(Finding{}, errNoRun(i))
				return
			case i%1024 == 0 && ctx.Err() != nil:
				yield(Finding{}, &Error{Op: "read", Err: context.Cause(ctx)})
				return
			case f.Run == run && !yield(*f, nil):
				return
			}
		}
	}
}

// ReadSARIF reads a SARIF 2.1.0 log into memory, at most Options.MaxBytes of it. Errors are those of
// [OpenSARIF]. o may be nil.
func ReadSARIF(ctx context.Context, r io.Reader, o *Options) (*Report, error) {
	data, err := readAll(ctx, r, o.maxBytes())
	if err != nil {
		return nil, err
	}
	return parseSARIF(ctx, data, o)
}

func parseSARIF(ctx context.Context, data []byte, o *Options) (*Report, error) {
	doc := &document{ra: bytes.NewReader(data), size: int64(len(data))}
	if err := doc.open(ctx, o); err != nil {
		return nil, err
	}
	head := doc.head()
	rep := &Report{Runs: head.Runs}
	for i, run := range doc.runs {
		for f, err := range run.findings(ctx, i, o, needAll) {
			if err != nil {
				return nil, err
			}
			rep.Findings = append(rep.Findings, f)
		}
	}
	rep.Unplaced = doc.unplaced
	return rep, nil
}

func readAll(ctx context.Context, r io.Reader, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(contextReader{func() error { return context.Cause(ctx) }, r}, limit+1))
	if err != nil {
		return nil, &Error{Op: "read", Err: err}
	}
	if n > limit {
		return nil, &Error{Op: "read", Kind: ErrTooLarge, Err: fmt.Errorf("longer than %d bytes (Options.MaxBytes); open it as a file instead", limit)}
	}
	return buf.Bytes(), nil
}

// contextReader stops reading when a context has ended.
type contextReader struct {
	ended func() error
	r     io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ended(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func (d *document) open(ctx context.Context, o *Options) error {
	d.maxValue, d.opts = o.maxValueBytes(), o
	if err := d.index(ctx); err != nil {
		return err
	}
	for _, run := range d.runs {
		run.head.sarif = []*sarifRun{run}
	}
	return nil
}

func (d *document) head() Head {
	h := Head{Unplaced: d.unplaced}
	for _, run := range d.runs {
		h.Runs = append(h.Runs, run.head)
	}
	return h
}

// raw returns a part of the document.
func (d *document) raw(s span) ([]byte, error) {
	b := make([]byte, s.to-s.from)
	if _, err := d.ra.ReadAt(b, s.from); err != nil && !errors.Is(err, io.EOF) {
		return nil, &Error{Op: "read", Subject: d.name, Err: err}
	}
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\r' || b[0] == '\t' || b[0] == ':') {
		b = b[1:]
	}
	return withoutUserinfo(b), nil
}

func (o *Options) maxBytes() int64 {
	if o == nil || o.MaxBytes == 0 {
		return 256 << 20
	}
	return o.MaxBytes
}

func (o *Options) maxValueBytes() int64 {
	if o == nil || o.MaxValueBytes == 0 {
		return 32 << 20
	}
	return min(o.MaxValueBytes, math.MaxInt32)
}

// pathCause drops operation and path, which the error around says already.
func pathCause(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}
