// Package govulncheck finds known vulnerabilities in the dependencies of Go modules, and in the standard
// library they are built with, and tells those that the code can reach from those it cannot. The engine is
// golang.org/x/vuln, in process; it needs the go command to load packages.
//
// A vulnerability that the code calls is a finding of level error and names the call; one in a package that is
// imported is a warning, one in a module that is merely required a note. Every finding counts: a policy
// decides which of them stop a change.
//
// The database is asked over the network unless Options.DB names a copy on disk, in the layout of the Go
// vulnerability database (index/db.json, index/modules.json, ID/GO-….json).
//
// # Cancelling
//
// The engine heeds the context when it asks the database, and not while it loads packages and analyses them. When
// the context ends, Scan ends the go commands the engine has started, with all they started (on Linux; elsewhere
// they end when they have listed the packages), and returns, within two seconds. Where the engine was already
// analysing, it goes on in the background until it is done with that, which takes seconds too, and its result is
// dropped. Options.Command runs the engine as a process of its own, which ends wherever it is.
//
// # Errors
//
// Errors are [*scan.Error] with [scan.ErrConfig] (the database), [scan.ErrTarget] (no such directory),
// [scan.ErrSkipped] (another kind of target, or no Go module), [scan.ErrToolMissing] and
// [scan.ErrToolVersion] (go), [scan.ErrBroken] (packages that do not load, a database that cannot be read)
// and [scan.ErrOutput].
package govulncheck

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	vuln "golang.org/x/vuln/scan"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/offspring"
	"github.com/waybill-dev/waybill/internal/realpath"
	"github.com/waybill-dev/waybill/report"
	format "github.com/waybill-dev/waybill/report/format/govulncheck"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// Name of the scanner, in results and reports.
const Name = "govulncheck"

// DefaultDB is the database of the Go project.
const DefaultDB = "https://vuln.go.dev"

// Options for [New]. The zero value looks at all packages and asks the database of the Go project.
type Options struct {
	DB       string   // directory, or URL (https, file, http of this machine); "" is DefaultDB
	Packages []string // package patterns; nil is ./...
	Tags     []string // build tags
	Tests    bool     // look at test code, too
	Go       string   // the go command, for its version; "" is looked up on the PATH, where the engine finds its own
	Env      []string // added to the environment of the go command, as "NAME=value"

	// Command runs the engine as a process of its own: the govulncheck command, such as {"govulncheck"}, to which flags
	// and patterns are added. Nil runs it in this process.
	Command []string
}

// Scanner finds vulnerable dependencies. Make one with [New]; it is safe for concurrent use.
type Scanner struct {
	o  Options
	db string // URL
}

var _ scan.Scanner = (*Scanner)(nil)

// New returns a scanner. o may be nil. The error, with [scan.ErrConfig], names every option that cannot be.
func New(o *Options) (*Scanner, error) {
	if o == nil {
		o = &Options{}
	}
	db, err := databaseURL(o.DB)
	errs := []error{err}
	for _, p := range o.Packages {
		if p == "" || strings.HasPrefix(p, "-") {
			errs = append(errs, fmt.Errorf("%q in Packages is no pattern", p))
		}
	}
	if o.Command != nil && (len(o.Command) == 0 || o.Command[0] == "") {
		errs = append(errs, errors.New("no program in Command"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &scan.Error{Op: "new", Scanner: Name, Kind: scan.ErrConfig, Err: err}
	}
	return &Scanner{o: *o, db: db}, nil
}

func databaseURL(db string) (string, error) {
	if db == "" {
		return DefaultDB, nil
	}
	if u, err := url.Parse(db); err == nil && (u.Scheme == "https" || u.Scheme == "http" || u.Scheme == "file") {
		if u.Scheme == "http" && !httpx.IsLoopback(u.Host) {
			return "", errors.New("the URL DB is plain HTTP to another machine: whoever is in between could leave out advisories")
		}
		return db, nil
	}
	abs, err := filepath.Abs(db)
	if err != nil {
		return "", fmt.Errorf("the path DB: %w", err)
	}
	path := filepath.ToSlash(abs)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/db
	}
	return (&url.URL{Scheme: "file", Path: path}).String(), nil
}

// Name returns "govulncheck".
func (s *Scanner) Name() string { return Name }

// Scan looks at the Go module in the directory of a [scan.Dir] or [scan.Git] target.
func (s *Scanner) Scan(ctx context.Context, t scan.Target) (*scan.Result, error) {
	start := time.Now()
	fail := func(kind, err error, stderr string) error {
		return &scan.Error{Op: "scan", Scanner: Name, Target: t.String(), Kind: kind, Err: err, Stderr: stderr}
	}
	if t.Kind != scan.Dir && t.Kind != scan.Git || t.Range != "" {
		return nil, fail(scan.ErrSkipped, fmt.Errorf("govulncheck looks at a directory, not at %s", t), "")
	}
	dir, err := realpath.Of(t.Path)
	if err != nil {
		return nil, fail(scan.ErrTarget, err, "")
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fail(scan.ErrTarget, err, "")
	} else if !info.IsDir() {
		return nil, fail(scan.ErrTarget, errors.New("not a directory"), "")
	}
	goCmd, err := command.Tool{Name: "go", Path: s.o.Go, VersionArgs: []string{"version"}, Min: "1.21"}.Find(ctx)
	if err != nil {
		return nil, err
	}
	env, err := s.environment(ctx, goCmd, dir)
	if err != nil {
		return nil, fail(scan.ErrBroken, err, "")
	}
	if mod := lookup(env, "GOMOD"); mod == "" || mod == os.DevNull {
		return nil, fail(scan.ErrSkipped, errors.New("no go.mod here or above"), "")
	}

	if err := s.checkDB(); err != nil {
		return nil, fail(scan.ErrConfig, err, "")
	}
	out, err := s.run(ctx, dir, env)
	if err != nil {
		if _, ok := errors.AsType[*scan.Error](err); ok {
			return nil, err
		}
		return nil, fail(scan.ErrBroken, err, out.stderr)
	}
	rep, err := format.Read(ctx, bytes.NewReader(out.stdout), &report.Options{Root: dir})
	if err != nil {
		return nil, fail(scan.ErrOutput, err, out.stderr)
	}
	// The engine works on many packages at once and reports in the order it gets done.
	slices.SortFunc(rep.Findings, func(a, b report.Finding) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Package.Name, b.Package.Name))
	})
	version := EngineVersion()
	if len(s.o.Command) > 0 {
		version = rep.Runs[0].Version
	}
	for i := range rep.Runs {
		rep.Runs[i].Version, rep.Runs[i].Target = version, t.String()
	}
	return &scan.Result{
		Scanner: Name, Version: version, Target: t, Status: scan.StatusOf(rep), Notes: notes(out.stdout), Report: rep, Took: time.Since(start),
	}, nil
}

// environment asks the go command what holds in the directory: a toolchain line in go.mod changes which Go, and
// which standard library, the module is built with, and the engine asks in the wrong place.
func (s *Scanner) environment(ctx context.Context, goCmd *command.Program, dir string) ([]string, error) {
	out, err := goCmd.Run(ctx, command.Call{Args: []string{"env", "-json", "GOVERSION", "GOMOD"}, Dir: dir, InheritEnv: true, Env: s.o.Env})
	if err != nil {
		return nil, err
	}
	var vars map[string]string
	if out.Code != 0 || json.Unmarshal(out.Stdout, &vars) != nil {
		return nil, fmt.Errorf("go env: exit code %d: %s", out.Code, strings.TrimSpace(out.Stderr))
	}
	env := append(os.Environ(), s.o.Env...)
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	return env, nil
}

func lookup(env []string, name string) string {
	value := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// output is what the engine wrote.
type output struct {
	stdout []byte
	stderr string
}

func (s *Scanner) run(ctx context.Context, dir string, env []string) (output, error) {
	args := s.arguments(dir)
	if len(s.o.Command) > 0 {
		return s.runCommand(ctx, args, env)
	}
	return runInProcess(ctx, args, env)
}

func (s *Scanner) arguments(dir string) []string {
	args := []string{"-format", "json", "-db", s.db, "-C", dir}
	if s.o.Tests {
		args = append(args, "-test")
	}
	if len(s.o.Tags) > 0 {
		args = append(args, "-tags", strings.Join(s.o.Tags, ","))
	}
	if len(s.o.Packages) == 0 {
		return append(args, "./...")
	}
	return append(args, s.o.Packages...)
}

func (s *Scanner) runCommand(ctx context.Context, args, env []string) (output, error) {
	prog, err := command.Tool{Name: Name, Path: s.o.Command[0]}.Find(ctx)
	if err != nil {
		return output{}, err
	}
	out, err := prog.Run(ctx, command.Call{Args: slices.Concat(s.o.Command[1:], args), Env: env})
	if err != nil {
		return output{}, err
	}
	if out.Code != 0 {
		return output{stderr: out.Stderr}, fmt.Errorf("exit code %d", out.Code)
	}
	return output{out.Stdout, out.Stderr}, nil
}

// leaveAfter is how long a cancelled engine is waited for, once its go commands are ended: without them it gives up
// at once, unless it is done with loading.
const leaveAfter = 2 * time.Second

// runInProcess runs the engine. When ctx ends while it loads packages, which it would not notice, the go commands it
// waits for are ended; when it analyses them already, it is left behind.
func runInProcess(ctx context.Context, args, env []string) (output, error) {
	mark := offspring.Mark()
	var stdout, stderr bytes.Buffer // the engine's alone until it is done
	cmd := vuln.Command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(""), &stdout, &stderr, append(slices.Clip(env), mark)
	if err := cmd.Start(); err != nil {
		return output{}, err
	}
	done := make(chan struct{})
	var err error
	go func() { err = cmd.Wait(); close(done) }()
	select {
	case <-done:
		out := output{stdout.Bytes(), stderr.String()}
		switch {
		case ctx.Err() != nil:
			return out, ended(ctx)
		case err != nil:
			// The engine writes its errors for a terminal, in paragraphs.
			return out, &engineError{err}
		}
		return out, nil
	case <-ctx.Done():
	}
	leave := time.After(leaveAfter)
	again := time.NewTicker(20 * time.Millisecond) // one that is just being started has no mark yet
	defer again.Stop()
	for {
		offspring.End(mark)
		select {
		case <-done:
			return output{}, ended(ctx)
		case <-leave:
			return output{}, ended(ctx)
		case <-again.C:
		}
	}
}

func ended(ctx context.Context) error {
	return fmt.Errorf("ended before it was done: %w", context.Cause(ctx))
}

type engineError struct{ err error }

func (e *engineError) Error() string {
	return strings.Join(strings.FieldsFunc(e.err.Error(), func(r rune) bool { return r == '\n' }), "; ")
}
func (e *engineError) Unwrap() error { return e.err }

// checkDB makes sure that a database on disk is one: the engine takes an empty directory for a database without
// vulnerabilities.
func (s *Scanner) checkDB() error {
	u, err := url.Parse(s.db)
	if err != nil || u.Scheme != "file" {
		return err
	}
	dir := filepath.FromSlash(u.Path)
	for _, name := range []string{"db.json", "modules.json"} {
		if _, err := os.Stat(filepath.Join(dir, "index", name)); err != nil {
			return fmt.Errorf("%s is no copy of the Go vulnerability database: %w", dir, err)
		}
	}
	return nil
}

// notes says how old the database is: an old one knows nothing of what was found since.
func notes(output []byte) []string {
	var first struct {
		Config struct {
			Modified time.Time `json:"db_last_modified"`
		} `json:"config"`
	}
	if json.NewDecoder(bytes.NewReader(output)).Decode(&first) != nil || first.Config.Modified.IsZero() {
		return nil
	}
	return []string{"vulnerability database of " + first.Config.Modified.UTC().Format(time.DateOnly)}
}

// testedVersion is the version of golang.org/x/vuln in this module's go.mod.
const testedVersion = "1.9.0"

// EngineVersion returns the version of golang.org/x/vuln the program is built with; that of this module's
// go.mod when the program does not say.
func EngineVersion() string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return testedVersion
	}
	for _, m := range info.Deps {
		if m.Path == "golang.org/x/vuln" {
			if m.Replace != nil {
				m = m.Replace
			}
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return testedVersion
}
