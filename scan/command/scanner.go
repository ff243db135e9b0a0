package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/realpath"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format"
	"github.com/waybill-dev/waybill/scan"
)

// Options for [New]: how to run a tool, and how to understand it. Tool is required.
type Options struct {
	Tool Tool

	// Args are the tool's arguments. In each, {target} is replaced by the absolute path of the target (for an
	// image, its reference) and {output} by the path of a file the tool is to write its report to. Without
	// {output} the report is what the tool prints.
	Args []string

	// Format names the format of the report, one of those of report/format; "" tells it by content. Formats
	// that write an empty list for "clean" must be named.
	Format string

	// Kinds are the kinds of target the tool takes; nil is scan.Dir and scan.Git (without a range). Tools run in
	// the directory of a Dir, Git or Staged target, else in the current one.
	Kinds []scan.Kind

	// FoundCodes are the exit codes by which the tool says that it found something; nil is 1. The report must
	// agree: many tools exit with 1 when they break, too. 0 always says that it did its work, and all other
	// codes say that it broke.
	FoundCodes []int

	Env        []string // see Call
	InheritEnv bool     // see Call
	Secrets    map[string]func(ctx context.Context) (string, error)
	MaxReport  int64        // cap of the report in bytes; 0 is 256 MiB
	Read       *ReadOptions // more about reading; may be nil
}

// ReadOptions is what the reader of the report needs to know beside its format.
type ReadOptions = report.Options

// Scanner runs a tool and reads its report. Make one with [New]; it is safe for concurrent use.
type Scanner struct{ o Options }

var _ scan.Scanner = (*Scanner)(nil)

const (
	targetMark = "{target}"
	outputMark = "{output}"
)

// New returns a scanner for any tool that writes a format package report/format knows. The error, with
// [scan.ErrConfig], names every option that cannot be.
func New(o *Options) (*Scanner, error) {
	if o == nil {
		o = &Options{}
	}
	var errs []error
	if o.Tool.Name == "" {
		errs = append(errs, errors.New("no Tool.Name"))
	}
	if err := o.Tool.check(); err != nil {
		errs = append(errs, fmt.Errorf("in Tool: %w", err))
	}
	if o.Format != "" && o.Format != format.Auto && !slices.Contains(format.Names(), o.Format) {
		errs = append(errs, fmt.Errorf("the Format %q is none of %s", o.Format, strings.Join(format.Names(), ", ")))
	}
	if slices.Contains(o.FoundCodes, 0) {
		errs = append(errs, errors.New("the code 0 in FoundCodes already means that the tool did its work"))
	}
	if o.MaxReport < 0 {
		errs = append(errs, errors.New("the size MaxReport is negative"))
	}
	if len(errs) > 0 {
		return nil, &scan.Error{Op: "new", Scanner: o.Tool.Name, Kind: scan.ErrConfig, Err: errors.Join(errs...)}
	}
	s := &Scanner{*o}
	if s.o.Kinds == nil {
		s.o.Kinds = []scan.Kind{scan.Dir, scan.Git}
	}
	if s.o.FoundCodes == nil {
		s.o.FoundCodes = []int{1}
	}
	if s.o.MaxReport == 0 {
		s.o.MaxReport = defaultMaxOutput
	}
	return s, nil
}

// Name returns the name of the tool.
func (s *Scanner) Name() string { return s.o.Tool.Name }

// Scan runs the tool on a target and reads its report.
func (s *Scanner) Scan(ctx context.Context, t scan.Target) (*scan.Result, error) {
	start := time.Now()
	fail := func(kind, err error, stderr string) error {
		return &scan.Error{Op: "scan", Scanner: s.Name(), Target: t.String(), Kind: kind, Err: err, Stderr: stderr}
	}
	if !slices.Contains(s.o.Kinds, t.Kind) || t.Range != "" {
		return nil, fail(scan.ErrSkipped, fmt.Errorf("%s does not scan %s", s.Name(), t.Kind), "")
	}
	subject, dir, err := place(t)
	if err != nil {
		return nil, fail(scan.ErrTarget, err, "")
	}
	prog, err := s.o.Tool.Find(ctx)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "waybill-scan-")
	if err != nil {
		return nil, fail(scan.ErrBroken, err, "")
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, "report")

	marks := strings.NewReplacer(targetMark, subject, outputMark, file)
	args := make([]string, len(s.o.Args))
	for i, a := range s.o.Args {
		args[i] = marks.Replace(a)
	}
	out, err := prog.Run(ctx, Call{
		Args: args, Dir: dir, Env: s.o.Env, InheritEnv: s.o.InheritEnv, Secrets: s.o.Secrets, MaxOutput: s.o.MaxReport,
	})
	if err != nil {
		return nil, err
	}
	found := slices.Contains(s.o.FoundCodes, out.Code)
	if out.Code != 0 && !found {
		return nil, fail(scan.ErrBroken, fmt.Errorf("exit code %d", out.Code), out.Stderr)
	}

	raw := out.Stdout
	if slices.ContainsFunc(s.o.Args, func(a string) bool { return strings.Contains(a, outputMark) }) {
		if raw, err = ReadReport(file, s.o.MaxReport); err != nil {
			return nil, fail(OutputKind(err), err, out.Stderr)
		}
	}
	rep, err := s.read(ctx, out.Redact(raw), dir)
	if err != nil {
		return nil, fail(OutputKind(err), err, out.Stderr)
	}
	if silent(rep) {
		return nil, fail(scan.ErrOutput, errors.New("its report holds no test and no coverage"), out.Stderr)
	}
	if len(rep.Runs) == 0 { // tests and coverage are reported without one
		rep.Runs = []report.Run{{Tool: s.Name(), Status: report.StatusCompleted}}
	}
	for i := range rep.Runs {
		r := &rep.Runs[i]
		if r.Version == "" {
			r.Version = prog.Version
		}
		if r.Target == "" {
			r.Target = t.String()
		}
	}
	res := &scan.Result{
		Scanner: s.Name(), Version: prog.Version, Target: t, Status: scan.StatusOf(rep), Report: rep, Took: time.Since(start),
	}
	switch {
	case res.Status == scan.Failed:
		return res, fail(scan.ErrBroken, errors.New("its report says that the scan did not complete"), out.Stderr)
	case found && len(rep.Findings) == 0 && scan.Count(rep) == 0:
		res.Status = scan.Failed
		return res, fail(scan.ErrBroken, fmt.Errorf("exit code %d says that something was found, and the report has nothing", out.Code), out.Stderr)
	}
	return res, nil
}

// silent reports whether a report says nothing at all: one of tests of which none was run, say.
func silent(r *report.Report) bool {
	return len(r.Runs) == 0 && len(r.Findings) == 0 && r.Tests.Counts().Total == 0 && (r.Coverage == nil || len(r.Coverage.Files) == 0)
}

func (s *Scanner) read(ctx context.Context, raw []byte, root string) (*report.Report, error) {
	o := &format.ReadOptions{Format: s.o.Format}
	if s.o.Read != nil {
		o.Options = *s.o.Read
	}
	if o.Root == "" {
		o.Root = root
	}
	return format.Read(ctx, bytes.NewReader(raw), o)
}

// place returns what stands for {target} and the directory to run in. Paths are absolute: they mean the same
// in every directory, and none of them starts with a dash; nor is one a link that the tool would not follow.
func place(t scan.Target) (subject, dir string, err error) {
	if t.Kind == scan.Image {
		return t.Path, "", nil
	}
	info, err := os.Stat(t.Path)
	if err != nil {
		return "", "", err
	}
	if subject, err = realpath.Of(t.Path); err != nil {
		return "", "", err
	}
	switch t.Kind {
	case scan.Dir, scan.Git, scan.Staged:
		if info.IsDir() {
			return subject, subject, nil
		}
		return subject, filepath.Dir(subject), nil
	}
	return subject, "", nil
}

// ReadReport reads the file a tool was to write its report to, of at most limit bytes.
func ReadReport(path string, limit int64) ([]byte, error) {
	b, err := ReadFile(path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the tool wrote no report")
	}
	return b, err
}

// ReadFile reads a regular file of at most limit bytes. A larger one is an error that names the cap, of the kind that
// [OutputKind] calls too large.
func ReadFile(path string, limit int64) ([]byte, error) {
	// Opening a pipe that nobody writes to would wait forever.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, &tooLargeError{what: filepath.Base(path), limit: limit}
	}
	return b, nil
}

// OutputKind says which kind of failure an unreadable report is: [scan.ErrTooLarge] or [scan.ErrOutput].
func OutputKind(err error) error {
	if _, ok := errors.AsType[*tooLargeError](err); ok || errors.Is(err, report.ErrTooLarge) {
		return scan.ErrTooLarge
	}
	return scan.ErrOutput
}
