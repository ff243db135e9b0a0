package unittests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/leftover"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// RunnerOptions for [NewRunner]. Reports is required.
type RunnerOptions struct {
	// Command runs the tests, such as {"npm", "test"}; nil runs nothing and only reads Reports. A program with a slash
	// in its name, such as "./gradlew", is relative to the target.
	Command []string
	Env     []string // added to the environment of Command, as "NAME=value"

	// Reports are patterns of the report files, relative to the target, with forward slashes: JUnit for
	// tests; Cobertura, LCOV or Go cover profiles for coverage; told apart by content. ** stands for any
	// number of directories. Each pattern must match a file.
	Reports []string
}

// NewRunner returns a scanner for tests in any language. Reports that Command did not write in this run are
// an error: those of yesterday say nothing about today. The error names every option that cannot be.
func NewRunner(o *RunnerOptions) (*Scanner, error) {
	if o == nil {
		o = &RunnerOptions{}
	}
	var errs []error
	if len(o.Reports) == 0 {
		errs = append(errs, errors.New("no Reports"))
	}
	for _, p := range o.Reports {
		if err := leftover.Check(p); err != nil {
			errs = append(errs, fmt.Errorf("in Reports: %w", err))
		}
	}
	if o.Command != nil && (len(o.Command) == 0 || o.Command[0] == "") {
		errs = append(errs, errors.New("no program in Command"))
	}
	if len(errs) > 0 {
		return nil, &scan.Error{Op: "new", Scanner: Name, Kind: scan.ErrConfig, Err: errors.Join(errs...)}
	}
	return &Scanner{test: runner{*o}.test}, nil
}

type runner struct{ o RunnerOptions }

func (r runner) test(ctx context.Context, dir string) (*outcome, error) {
	out := &outcome{tool: "test reports", report: &report.Report{}}
	var since time.Time
	if len(r.o.Command) > 0 {
		since = time.Now()
		path, err := r.program(dir)
		if err != nil {
			return nil, err
		}
		prog, err := command.Tool{Name: r.o.Command[0], Path: path}.Find(ctx)
		if err != nil {
			return nil, err
		}
		run, err := prog.Run(ctx, command.Call{Args: r.o.Command[1:], Dir: dir, InheritEnv: true, Env: r.o.Env})
		if err != nil {
			return nil, err
		}
		out.tool, out.failed, out.stderr = filepath.Base(r.o.Command[0]), run.Code != 0, run.Stderr
	}
	files, err := leftover.Find(dir, r.o.Reports, since)
	if err != nil {
		return nil, &scan.Error{Op: "read reports", Scanner: Name, Kind: scan.ErrOutput, Err: err, Stderr: out.stderr}
	}
	for _, name := range files {
		one, err := readReport(ctx, dir, name)
		if err != nil {
			return nil, &scan.Error{Op: "read reports", Scanner: Name, Kind: scan.ErrOutput, Err: err, Stderr: out.stderr}
		}
		merge(out.report, one)
	}
	joinFiles(out.report.Coverage)
	return out, nil
}

// program says where the program of Command is: on the PATH, or in the target.
func (r runner) program(dir string) (string, error) {
	name := filepath.FromSlash(r.o.Command[0])
	if filepath.IsAbs(name) || !strings.ContainsRune(name, filepath.Separator) {
		return name, nil
	}
	return filepath.Abs(filepath.Join(dir, name))
}

func readReport(ctx context.Context, dir, name string) (*report.Report, error) {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := format.Read(ctx, f, &format.ReadOptions{Options: report.Options{Root: dir}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.Tests == nil && r.Coverage == nil {
		return nil, fmt.Errorf("%s holds neither tests nor coverage", name)
	}
	return r, nil
}
