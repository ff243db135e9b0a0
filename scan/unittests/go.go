package unittests

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/coverprofile"
	"github.com/waybill-dev/waybill/report/format/gotest"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// GoOptions for [NewGo]. The zero value runs all packages in random order, with coverage.
type GoOptions struct {
	Packages []string      // package patterns; nil is ./...
	Race     bool          // look for data races; needs cgo and a C compiler, and takes longer
	Tags     []string      // build tags
	Run      string        // run only tests that match this regular expression; "" runs all
	Timeout  time.Duration // for the tests of one package; 0 is what go test takes (10 minutes)
	CoverPkg []string      // packages to measure coverage of; nil measures each package by its own tests
	Args     []string      // more flags for go test, such as "-short"
	Env      []string      // added to the environment, as "NAME=value"
	Go       string        // the go command; "" is looked up on the PATH

	DisableShuffle  bool // run tests in the order they are written
	DisableCoverage bool // do not measure coverage
}

// NewGo returns a scanner that runs go test -json, with Go 1.20 or later. o may be nil.
func NewGo(o *GoOptions) *Scanner {
	if o == nil {
		o = &GoOptions{}
	}
	g := goTest{*o}
	return &Scanner{test: g.test}
}

type goTest struct{ o GoOptions }

func (g goTest) test(ctx context.Context, dir string) (*outcome, error) {
	tool := command.Tool{Name: "go", Path: g.o.Go, VersionArgs: []string{"version"}, Min: "1.20"}
	goCmd, err := tool.Find(ctx)
	if err != nil {
		return nil, err
	}
	hasTmp, err := g.environment(ctx, goCmd, dir)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "waybill-gotest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	if !hasTmp { // a go command that is cut short does not clean up
		g.o.Env = append(slices.Clone(g.o.Env), "GOTMPDIR="+tmp)
	}
	profile := filepath.Join(tmp, "cover.out")

	out := &outcome{tool: "go test", version: goCmd.Version}
	run, tests, err := g.run(ctx, goCmd, dir, profile)
	if err != nil {
		return nil, err
	}
	out.report, out.failed, out.stderr = tests, run.Code != 0, run.Stderr
	if g.o.DisableCoverage {
		return out, nil
	}
	coverage, err := readProfile(ctx, profile, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, report.ErrEmpty):
		out.notes = append(out.notes, "go test wrote no coverage: no package built, or none has statements")
	case err != nil:
		return nil, &scan.Error{Op: "read coverage", Scanner: Name, Kind: scan.ErrOutput, Err: err}
	default:
		merge(out.report, coverage)
	}
	return out, nil
}

// environment makes sure that there is something to test: outside a module go test says so like a package that
// does not build. It reports whether the go command has been told where to put temporary files.
func (g goTest) environment(ctx context.Context, goCmd *command.Program, dir string) (hasTmp bool, err error) {
	out, err := goCmd.Run(ctx, command.Call{Args: []string{"env", "GOMOD", "GOWORK", "GOTMPDIR"}, Dir: dir, InheritEnv: true, Env: g.o.Env})
	if err != nil {
		return false, err
	}
	mod, rest, _ := strings.Cut(string(out.Stdout), "\n")
	work, tmp, _ := strings.Cut(rest, "\n")
	if out.Code == 0 && (mod == "" || mod == os.DevNull) && strings.TrimSpace(work) == "" {
		return false, &scan.Error{Op: "test", Scanner: Name, Target: dir, Kind: scan.ErrTarget, Err: errors.New("no go.mod here or above")}
	}
	return strings.TrimSpace(tmp) != "", nil
}

// run runs go test and reads its events as they come.
func (g goTest) run(ctx context.Context, goCmd *command.Program, dir, profile string) (*command.Output, *report.Report, error) {
	pr, pw := io.Pipe()
	type read struct {
		report *report.Report
		err    error
	}
	events := make(chan read, 1)
	go func() {
		r, err := gotest.Read(ctx, pr, &report.Options{Root: dir})
		_, _ = io.Copy(io.Discard, pr) // a reader that gave up must not stop the tests half-way
		events <- read{r, err}
	}()
	out, err := goCmd.Run(ctx, command.Call{
		Args: g.args(profile), Dir: dir, Out: pw, MaxOutput: math.MaxInt64, // the reader has caps of its own
		InheritEnv: true, Env: g.o.Env,
	})
	_ = pw.Close()
	got := <-events
	if err != nil {
		return nil, nil, err
	}
	if got.err != nil {
		return nil, nil, &scan.Error{Op: "read go test -json", Scanner: Name, Kind: kindOf(got.err, out.Code), Err: got.err, Stderr: out.Stderr}
	}
	return out, got.report, nil
}

// kindOf tells a go command that failed before it had events to print from output that cannot be read.
func kindOf(err error, code int) error {
	if code != 0 && errors.Is(err, report.ErrEmpty) {
		return scan.ErrBroken
	}
	return scan.ErrOutput
}

func (g goTest) args(profile string) []string {
	args := []string{"test", "-json"}
	if !g.o.DisableCoverage {
		args = append(args, "-coverprofile="+profile)
		if len(g.o.CoverPkg) > 0 {
			args = append(args, "-coverpkg="+strings.Join(g.o.CoverPkg, ","))
		}
	}
	if g.o.Race {
		args = append(args, "-race")
	}
	if !g.o.DisableShuffle {
		args = append(args, "-shuffle=on")
	}
	if g.o.Run != "" {
		args = append(args, "-run="+g.o.Run)
	}
	if len(g.o.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(g.o.Tags, ","))
	}
	if g.o.Timeout > 0 {
		args = append(args, "-timeout="+g.o.Timeout.String())
	}
	args = append(args, g.o.Args...)
	if len(g.o.Packages) == 0 {
		return append(args, "./...")
	}
	return append(args, g.o.Packages...)
}

func readProfile(ctx context.Context, path, root string) (*report.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return coverprofile.Read(ctx, f, &report.Options{Root: root})
}
