package unittests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// RunnerOptions for [NewRunner]. Reports is required.
type RunnerOptions struct {
	// Command runs the tests, such as {"npm", "test"}; nil runs nothing and only reads Reports.
	Command []string
	Env     []string // added to the environment of Command, as "NAME=value"

	// Reports are patterns of the report files, relative to the target, with forward slashes: JUnit for
	// tests; Cobertura, LCOV or Go cover profiles for coverage; told apart by content. ** stands for any
	// number of directories. Each pattern must match a file.
	Reports []string
}

const maxReports = 100_000

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
		if _, err := path.Match(p, ""); err != nil || !fs.ValidPath(path.Clean(p)) {
			errs = append(errs, fmt.Errorf("%q in Reports is no pattern below the target", p))
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
		prog, err := command.Tool{Name: r.o.Command[0]}.Find(ctx)
		if err != nil {
			return nil, err
		}
		run, err := prog.Run(ctx, command.Call{Args: r.o.Command[1:], Dir: dir, InheritEnv: true, Env: r.o.Env})
		if err != nil {
			return nil, err
		}
		out.tool, out.failed, out.stderr = filepath.Base(r.o.Command[0]), run.Code != 0, run.Stderr
	}
	files, err := r.find(dir, since)
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

// find lists the files that match, each once, and refuses those written before since.
func (r runner) find(dir string, since time.Time) ([]string, error) {
	matched := make([]bool, len(r.o.Reports))
	var files []string
	var stale []error
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		hit := false
		for i, p := range r.o.Reports {
			if match(strings.Split(path.Clean(p), "/"), strings.Split(name, "/")) {
				matched[i], hit = true, true
			}
		}
		if !hit {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		// Some file systems keep whole seconds only, or two.
		if info.ModTime().Before(since.Add(-2 * time.Second)) {
			stale = append(stale, fmt.Errorf("%s is left over from %s and was not written by this run", name, info.ModTime().Format(time.DateTime)))
			return nil
		}
		if files = append(files, name); len(files) > maxReports {
			return fmt.Errorf("more report files than the cap of %d", maxReports)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, p := range r.o.Reports {
		if !matched[i] {
			stale = append(stale, fmt.Errorf("no file matches %q", p))
		}
	}
	slices.Sort(files)
	return files, errors.Join(stale...)
}

// match is path.Match on each part of a path, with ** for any number of parts.
func match(pattern, name []string) bool {
	if len(pattern) == 0 {
		return len(name) == 0
	}
	if pattern[0] == "**" {
		for i := range len(name) + 1 {
			if match(pattern[1:], name[i:]) {
				return true
			}
		}
		return false
	}
	if len(name) == 0 {
		return false
	}
	ok, _ := path.Match(pattern[0], name[0])
	return ok && match(pattern[1:], name[1:])
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
