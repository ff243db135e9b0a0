// Package gitleaks scans for secrets with the gitleaks engine, in process.
//
// It finds what the gitleaks 8.30.1 command finds, with the same rules, configuration files, ignore files
// and baselines, as if the command were run inside the target directory. It differs where the command keeps
// silent about something it did not do: no repository, a corrupt object, a killed git, a file that cannot be
// read, a configuration that extends one that extends another. Here these fail the scan.
//
//   - a [scan.Git] target is scanned commit by commit, all of the history or a range of it; this needs the
//     git command, 2.28 or later
//   - a [scan.Staged] target is what "git commit" would add
//   - a [scan.Dir] target is the files of a directory, whatever git knows of them
//   - [Scanner.ScanReader] takes any stream of bytes
//
// Nothing is read from the environment: not GITLEAKS_CONFIG, not GITLEAKS_CONFIG_TOML.
//
// Reports hold no secret: findings say where it is and what kind it is. Give a key (Options.SecretKey) to
// recognise the same secret in another place by its identity.
//
// # Speed
//
// A history of 5,000 commits that add 200 MB of Go source, the command and a program with this package as whole
// processes in the same run, on two cores that much other work kept busy ("go test -tags integration -run xxx -bench
// History -benchtime 1x ./scan/gitleaks" prints the command lines and measures again):
//
//	                   command   this package   aim
//	processor time     110 s     98 s, 0.89 x   1.0 x, met
//	peak memory        81 MB     81 MB          500 MB, met
//
// Nine tenths of the time are the engine's regular expressions.
//
// The package is a module of its own because the engine brings more than fifty modules. The engine logs
// through a logger that is a variable of its package; the first [New] turns it off for the whole process.
//
// # Errors
//
// Errors are [*scan.Error] with [scan.ErrConfig] (options, .gitleaks.toml, baseline), [scan.ErrTarget]
// (missing path, no repository, unknown revision), [scan.ErrSkipped] (a kind of target that is not for this
// scanner, a repository without a commit, a directory without a file), [scan.ErrToolMissing] and [scan.ErrToolVersion] (git), [scan.ErrBroken] (git or the disk failed;
// the result holds what was found until then) and [scan.ErrOutput] (git's output was not understood).
package gitleaks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/zricethezav/gitleaks/v8/logging"

	"github.com/waybill-dev/waybill/internal/realpath"
	"github.com/waybill-dev/waybill/scan"
)

// EngineVersion is the version of the gitleaks engine this package is built with and compared to.
const EngineVersion = "8.30.1"

// Name of the scanner, in results and reports.
const Name = "gitleaks"

// DefaultDecodeDepth is how often text found inside text (base64, hexadecimal, percent-encoding) is decoded
// and searched again, as in the command.
const DefaultDecodeDepth = 5

// Options for [New]. The zero value is what the command does without flags.
type Options struct {
	// ConfigFile is a configuration in TOML, Config the same as text; at most one of them. Without them the
	// target's own .gitleaks.toml is used, and without that the rules gitleaks comes with. A path in
	// [extend] is relative to the target's directory.
	ConfigFile string
	Config     string

	// IgnoreFile lists fingerprints of findings to leave out, in addition to the target's .gitleaksignore.
	IgnoreFile string
	// Baseline is a JSON report of gitleaks; findings in it are left out.
	Baseline string
	// Rules names the only rules to use; nil uses all.
	Rules []string

	DecodeDepth  int    // 0 is DefaultDecodeDepth, below 0 decodes nothing
	ArchiveDepth int    // how deep to look into archives (not in a history; one that cannot be opened is left out in silence); 0 leaves them out
	MaxFileBytes int64  // Dir only: larger files are left out, with a note in the result; 0 leaves out none
	Git          string // the git command; "" is looked up on the PATH
	Workers      int    // goroutines that search; 0 is the number of CPUs
	SecretKey    []byte // key for identities of secrets, see report.Options

	FollowSymlinks      bool // Dir only: also read files that symbolic links point to
	ReportAllowed       bool // report findings on lines marked gitleaks:allow
	AllowUnreadable     bool // Dir only: files that cannot be read are noted instead of failing the scan
	IgnoreTargetOptions bool // leave the target's own .gitleaks.toml and .gitleaksignore unread
}

// Scanner finds secrets. Make one with [New]; it is safe for concurrent use.
type Scanner struct {
	o       Options
	builtin func() (*rules, error) // the rules gitleaks comes with, compiled once
}

var _ scan.Scanner = (*Scanner)(nil)

var silence = sync.OnceFunc(func() { logging.Logger = zerolog.Nop() })

// New returns a scanner. o may be nil. The error, an [*scan.Error] with [scan.ErrConfig], names every option
// that cannot be.
func New(o *Options) (*Scanner, error) {
	if o == nil {
		o = &Options{}
	}
	var errs []error
	if o.ConfigFile != "" && o.Config != "" {
		errs = append(errs, errors.New("both ConfigFile and Config are given"))
	}
	if o.ArchiveDepth < 0 {
		errs = append(errs, errors.New("ArchiveDepth is negative"))
	}
	if o.MaxFileBytes < 0 {
		errs = append(errs, errors.New("MaxFileBytes is negative"))
	}
	if len(errs) > 0 {
		return nil, &scan.Error{Op: "new", Scanner: Name, Kind: scan.ErrConfig, Err: errors.Join(errs...)}
	}
	silence()
	s := &Scanner{o: *o}
	s.builtin = sync.OnceValues(func() (*rules, error) { return s.compile(builtinConfig, "") })
	return s, nil
}

// Name returns "gitleaks".
func (s *Scanner) Name() string { return Name }

// Scan looks for secrets in a [scan.Git], [scan.Staged] or [scan.Dir] target. When it fails half-way the
// result beside the error is [scan.Failed] and holds what was found until then.
func (s *Scanner) Scan(ctx context.Context, t scan.Target) (*scan.Result, error) {
	var source func(context.Context, *search) error
	switch t.Kind {
	case scan.Git, scan.Staged:
		source = s.gitSource(t)
	case scan.Dir:
	default:
		return nil, s.fail("scan", t, scan.ErrSkipped, fmt.Errorf("gitleaks scans git, staged and dir targets, not %s", t.Kind))
	}
	info, err := os.Stat(t.Path)
	if err != nil {
		return nil, s.fail("scan", t, scan.ErrTarget, err)
	}
	root := t.Path
	if t.Kind == scan.Dir {
		if root, err = realpath.Of(root); err != nil {
			return nil, s.fail("scan", t, scan.ErrTarget, err)
		}
		source = s.dirSource(root)
	}
	switch {
	case info.IsDir():
	case t.Kind == scan.Dir && info.Mode().IsRegular():
		root = filepath.Dir(root)
	default:
		return nil, s.fail("scan", t, scan.ErrTarget, fmt.Errorf("it is neither a directory nor a file that %s can be read from", t.Kind))
	}
	return s.run(ctx, t, root, source)
}

// ScanReader looks for secrets in what r yields. name stands for a path: in findings, and where rules and
// allow lists ask for one; it may be empty. The target of the result is of kind [scan.Stream].
func (s *Scanner) ScanReader(ctx context.Context, name string, r io.Reader) (*scan.Result, error) {
	return s.run(ctx, scan.Target{Kind: scan.Stream, Path: name}, "", func(ctx context.Context, sr *search) error {
		return sr.file(ctx, name, "", r)
	})
}

// run prepares a search, lets source feed it, and makes the result. root is where configuration and ignore
// files are looked for; "" when the target is no directory.
func (s *Scanner) run(ctx context.Context, t scan.Target, root string, source func(context.Context, *search) error) (*scan.Result, error) {
	start := time.Now()
	sr, err := s.newSearch(root)
	if err != nil {
		return nil, s.fail("read configuration", t, scan.ErrConfig, err)
	}
	scanErr := source(ctx, sr)
	if ctx.Err() != nil {
		scanErr = &scan.Error{Op: "scan", Scanner: Name, Target: t.String(), Kind: scan.ErrBroken, Err: fmt.Errorf("ended before it was done: %w", context.Cause(ctx))}
	}
	rep, err := s.report(ctx, t, root, sr.found)
	if err != nil {
		return nil, s.fail("make report", t, scan.ErrBroken, err)
	}
	res := &scan.Result{
		Scanner: Name, Version: EngineVersion, Target: t,
		Status: scan.StatusOf(rep), Notes: sr.notes, Report: rep, Took: time.Since(start),
	}
	if scanErr != nil {
		res.Status = scan.Failed
		if _, ok := errors.AsType[*scan.Error](scanErr); !ok {
			scanErr = s.fail("scan", t, scan.ErrBroken, scanErr)
		}
		return res, scanErr
	}
	return res, nil
}

func (s *Scanner) fail(op string, t scan.Target, kind, err error) error {
	return &scan.Error{Op: op, Scanner: Name, Target: t.String(), Kind: kind, Err: err}
}

func (s *Scanner) workers() int {
	if s.o.Workers > 0 {
		return s.o.Workers
	}
	return runtime.GOMAXPROCS(0)
}
