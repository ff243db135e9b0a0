package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format"
)

// inputs are the open reports.
type inputs struct {
	now    []report.Source
	before report.Source // nil without a baseline
	done   []func() error
}

func (in *inputs) close() {
	for _, f := range in.done {
		_ = f()
	}
}

// open opens all reports and says of all that cannot be read why. What it returns is closed by the caller,
// also after an error.
func (j *job) open(ctx context.Context, stdin io.Reader) (*inputs, error) {
	in := &inputs{}
	o := &format.ReadOptions{
		Options: report.Options{Root: j.root, SecretKey: []byte(os.Getenv("REPORT_SECRET_KEY"))},
		Format:  j.format,
	}
	var errs []error
	for _, path := range j.files {
		s, err := in.report(ctx, path, stdin, o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		in.now = append(in.now, s)
	}
	if j.baseline != "" {
		// The baseline is often our own SARIF, whatever the format of the files; -format helps where a file
		// alone does not say what it is.
		auto := *o
		auto.Format = format.Auto
		auto.Stale = true // its lines are those of other sources
		s, err := in.report(ctx, j.baseline, stdin, &auto)
		if errors.Is(err, report.ErrUnknownFormat) && o.Format != format.Auto {
			auto.Format = o.Format
			s, err = in.report(ctx, j.baseline, stdin, &auto)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("baseline: %w", err))
		}
		in.before = s
	}
	return in, errors.Join(errs...)
}

func (in *inputs) report(ctx context.Context, name string, stdin io.Reader, o *format.ReadOptions) (report.Source, error) {
	path, shown := name, name
	if name == "-" {
		shown = "standard input"
	}
	if info, err := os.Stat(name); name == "-" || err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		if path, err = in.spool(ctx, name, stdin); err != nil {
			return nil, fmt.Errorf("%s: %w", shown, err)
		}
	}
	f, err := format.Open(ctx, path, o)
	if e := (*report.Error)(nil); path != name && errors.As(err, &e) {
		e.Subject = strings.ReplaceAll(e.Subject, path, shown)
	}
	if err != nil {
		return nil, err
	}
	in.done = append(in.done, f.Close)
	return f, nil
}

// spool copies standard input or a pipe into a file, since reports are read more than once.
func (in *inputs) spool(ctx context.Context, name string, stdin io.Reader) (path string, err error) {
	f, err := os.CreateTemp("", "normalize-*")
	if err != nil {
		return "", err
	}
	in.done = append(in.done, func() error { return os.Remove(f.Name()) })
	copied := make(chan error, 1)
	go func() {
		from := stdin
		if name != "-" {
			pipe, err := os.Open(name)
			if err != nil {
				copied <- err
				return
			}
			defer pipe.Close()
			from = pipe
		}
		_, err := io.Copy(f, from)
		copied <- cmp.Or(err, f.Close())
	}()
	select {
	case err := <-copied:
		return f.Name(), err
	case <-ctx.Done(): // a terminal may never end
		return "", context.Cause(ctx)
	}
}
