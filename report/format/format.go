// Package format tells by its content what a report is and reads it.
//
// [Read] knows the formats listed by [Names]. Each is read by a small package of its own below this one,
// which can be used directly when the format is known.
//
// # Errors
//
// All errors are of type [*report.Error]. An input that is none of the formats, or that several of them
// write (an empty JSON list is a clean report of more than one tool), is [report.ErrUnknownFormat] with what
// was seen.
package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

// ReadOptions says how to read. The zero value is fine.
type ReadOptions struct {
	report.Options
	// Format is one of [Names]; "" or "auto" means to tell by the content. A name is for what several tools
	// write alike, such as an empty list: content that is plainly of another format, or says nothing in the
	// one that was named, is a [report.ErrUnknownFormat] and never a clean report.
	Format string
}

// Auto is the name of the format that means to tell by the content.
const Auto = "auto"

// Names returns the names of all formats, sorted.
func Names() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	slices.Sort(names)
	return names
}

// Detect tells the format of r by its content and returns its name and a reader of the whole of r.
func Detect(r io.Reader, o *ReadOptions) (name string, whole io.Reader, err error) {
	c, err := detect(r, limits(o))
	if err != nil {
		return "", nil, err
	}
	return c.format.name, c.whole, nil
}

// Read reads a report of any known format. o may be nil.
func Read(ctx context.Context, r io.Reader, o *ReadOptions) (*report.Report, error) {
	if o == nil {
		o = &ReadOptions{}
	}
	c, err := choose(r, o)
	if err != nil {
		return nil, err
	}
	return c.read(ctx, o)
}

// Open opens a report of any known format. SARIF stays in the file and is read as often as its findings are
// asked for, whatever its size; the other formats are read into memory. o may be nil. Close the file.
func Open(ctx context.Context, path string, o *ReadOptions) (*report.File, error) {
	if o == nil {
		o = &ReadOptions{}
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, &report.Error{Op: "open", Subject: path, Err: withoutPath(err)}
	}
	defer in.Close()
	c, err := choose(in, o)
	if err != nil {
		return nil, about(path, err)
	}
	if c.format.name == "sarif" {
		return report.OpenSARIF(ctx, path, &o.Options)
	}
	rep, err := c.read(ctx, o)
	if err != nil {
		return nil, about(path, err)
	}
	return report.NewFile(rep), nil
}

// withoutPath returns what the system said; the path is the subject of the error already.
func withoutPath(err error) error {
	if bad := (*fs.PathError)(nil); errors.As(err, &bad) {
		return bad.Err
	}
	return err
}

// about names the path in an error of a reader, which names the format only.
func about(path string, err error) error {
	e := (*report.Error)(nil)
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	if named.Subject = path; e.Subject != "" && e.Subject != "input" {
		named.Subject = path + " as " + e.Subject
	}
	return &named
}

func limits(o *ReadOptions) input.Limits {
	if o == nil {
		return input.Limits{}
	}
	return input.LimitsOf(&o.Options)
}

// choice is a report and the format it is read as.
type choice struct {
	format *known
	whole  io.Reader
	shape  *shape
}

// choose takes the format that the content has; a name given by the caller must go with that.
func choose(r io.Reader, o *ReadOptions) (choice, error) {
	if o.Format == "" || o.Format == Auto {
		return detect(r, limits(o))
	}
	f, err := named(o.Format)
	if err != nil {
		return choice{}, err
	}
	limited := &io.LimitedReader{R: r, N: limits(o).BytesOrDefault()}
	sh, whole, err := lookTwice(r, limited, limits(o))
	if err != nil {
		return choice{}, input.Fail("input", err)
	}
	if others := matching(sh); len(others) > 0 && !f.is(sh) {
		return choice{}, unknown("the report is " + strings.Join(others, " or ") + ", not " + f.name)
	}
	return choice{f, whole, sh}, nil
}

// read reads what was chosen. The outside of a report may not be known for what it is named; then its reader must
// find something in it.
func (c choice) read(ctx context.Context, o *ReadOptions) (*report.Report, error) {
	rep, err := c.format.read(ctx, c.whole, &o.Options)
	if err != nil || c.format.is(c.shape) || len(rep.Findings) > 0 || rep.Tests != nil {
		return rep, err
	}
	if len(rep.Unplaced) > 0 || !slices.ContainsFunc(rep.Runs, func(r report.Run) bool { return r.Status == report.StatusCompleted }) {
		return nil, unknown("the report is not " + c.format.name + ": saw " + c.shape.String())
	}
	return rep, nil
}

func named(name string) (*known, error) {
	i := slices.IndexFunc(formats, func(f known) bool { return f.name == name })
	if i < 0 {
		return nil, &report.Error{
			Op: "read", Subject: "Format", Kind: report.ErrInvalid,
			Err: fmt.Errorf("%.40q is none of %s, %s", name, Auto, strings.Join(Names(), ", ")),
		}
	}
	return &formats[i], nil
}

// detect reads the head of r, or all of it where the outside of a document ends at its end, and puts it back.
func detect(r io.Reader, limits input.Limits) (choice, error) {
	limited := &io.LimitedReader{R: r, N: limits.BytesOrDefault()}
	sh, whole, err := lookTwice(r, limited, limits)
	if err != nil {
		return choice{}, input.Fail("input", err)
	}
	f, err := match(sh)
	if err != nil {
		if sh.cut && limited.N <= 0 {
			err = input.Fail("input", &input.CapError{Cap: "size", Limit: limits.BytesOrDefault()})
		}
		return choice{}, err
	}
	return choice{f, whole, sh}, nil
}

// lookTwice looks at r within limited and returns a reader of the whole of r: r itself where it can be wound
// back, else what was seen and the rest.
func lookTwice(r io.Reader, limited *io.LimitedReader, limits input.Limits) (*shape, io.Reader, error) {
	if s, ok := r.(io.Seeker); ok {
		if start, err := s.Seek(0, io.SeekCurrent); err == nil {
			sh, err := look(limited, limits)
			if err != nil {
				return nil, nil, err
			}
			_, err = s.Seek(start, io.SeekStart)
			return sh, r, err
		}
	}
	var seen bytes.Buffer
	sh, err := look(io.TeeReader(limited, &seen), limits)
	return sh, io.MultiReader(&seen, r), err
}

func match(sh *shape) (*known, error) {
	if sh.syntax == "empty" {
		return nil, input.Fail("input", input.ErrEmpty)
	}
	found := matching(sh)
	switch {
	case len(found) == 1:
		return named(found[0])
	case len(found) == 0 && sh.cut:
		return nil, input.Fail("input", &input.SyntaxError{Err: fmt.Errorf("%w; seen so far: %s", input.ErrTruncated, sh)})
	case len(found) == 0:
		if why := notRead(sh); why != "" {
			return nil, unknown(why)
		}
		return nil, unknown("saw " + sh.String())
	}
	return nil, unknown(fmt.Sprintf("saw %s, which may be %s: name the format", sh, strings.Join(found, ", ")))
}

// matching names the formats whose outside sh is.
func matching(sh *shape) (names []string) {
	for i := range formats {
		if formats[i].is(sh) {
			names = append(names, formats[i].name)
		}
	}
	return names
}

func unknown(why string) error {
	return &report.Error{Op: "read", Subject: "input", Kind: report.ErrUnknownFormat, Err: errors.New(why)}
}
