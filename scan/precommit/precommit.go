// Package precommit checks what is about to be committed, as a git hook does: the staged content and nothing
// else.
//
// [Run] gives [scan.Staged] targets to scanners (scan/gitleaks takes them), and runs the caller's linters and
// fast tests in a copy of what is staged: a file that was edited again after "git add" is checked as it will be
// committed, and one that was never added cannot make the checks pass. [Install] makes a program the hook of a
// repository.
//
// # Errors
//
// Errors are [*scan.Error] with [scan.ErrConfig], [scan.ErrTarget] (no repository), [scan.ErrToolMissing] and
// [scan.ErrToolVersion] (git) and [scan.ErrBroken]. A check that fails is no error but a result that is
// [scan.Findings]; one that cannot be run is [scan.Failed].
package precommit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// Name of the package's own errors.
const Name = "pre-commit"

// Options for [Run].
type Options struct {
	Scanners []scan.Scanner // get the repository as a scan.Staged target
	Checks   []Check        // linters and tests
	Git      string         // the git command; "" is looked up on the PATH
	Timeout  time.Duration  // for each of them; 0 is a minute
}

// Check is a command that says no by its exit code. It runs in a copy of the staged content, with the caller's
// environment except git's variables, so that it cannot touch the repository by accident.
type Check struct {
	Name string // a word, such as "vet"

	// Command is a program and its arguments; {files} as an argument of its own stands for the staged files that Files
	// selects. A program with a slash in its name, such as "./lint.sh", is relative to the root of the repository, and
	// the staged one; one that was never added ("./node_modules/.bin/eslint") is taken from the working tree.
	Command []string

	// Files are patterns of path.Match: with a slash for the whole path, else for the file's name. The check is
	// skipped when they select no staged file. Nil selects every file.
	Files []string

	// WholeTree copies all that the index holds, as compilers and tests need it; otherwise the copy has the staged
	// files alone. Such a check is run for a deleted file, too: others may have needed it.
	WholeTree bool
}

const filesMark = "{files}"

// Outcome is what a run came to.
type Outcome struct {
	Files   []string      // staged files that were added or changed, relative to the root of the repository
	Results []scan.Result // one for each scanner and check, in their order
	Took    time.Duration
}

// OK reports whether the commit may go on: every result is clean or skipped.
func (o *Outcome) OK() bool {
	return !slices.ContainsFunc(o.Results, func(r scan.Result) bool { return r.Status != scan.Clean && r.Status != scan.Skipped })
}

// String is the outcome for a terminal: a line for each result, and below it what was found, without secrets.
func (o *Outcome) String() string {
	var b strings.Builder
	for _, r := range o.Results {
		fmt.Fprintf(&b, "%-9s %s (%v)\n", r.Status, r.Scanner, r.Took.Round(time.Millisecond))
		if r.Status == scan.Failed {
			fmt.Fprintf(&b, "  %s\n", r.Reason)
		}
		for _, f := range r.Report.Findings {
			place := f.Location.Path
			if f.Location.StartLine > 0 {
				place = fmt.Sprintf("%s:%d", place, f.Location.StartLine)
			}
			text := strings.ReplaceAll(strings.TrimSpace(f.Message), "\n", "\n    ")
			fmt.Fprintf(&b, "  %s\n", strings.TrimSpace(place+" "+text))
		}
	}
	return b.String()
}

// Run checks what is staged in the repository of dir. Nothing staged is fine. The error is about the run itself,
// and about scanners and checks that failed; look at [Outcome.OK] for the answer, which is no after an error, too.
func Run(ctx context.Context, dir string, o *Options) (*Outcome, error) {
	start := time.Now()
	if o == nil {
		o = &Options{}
	}
	if err := o.check(); err != nil {
		return nil, fail(dir, scan.ErrConfig, err)
	}
	r, err := open(ctx, dir, o.Git)
	if err != nil {
		return nil, err
	}
	files, deleted, err := r.staged(ctx)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Files: files}
	if len(files)+len(deleted) == 0 {
		out.Took = time.Since(start)
		return out, nil
	}
	tree, err := os.MkdirTemp("", "waybill-precommit-")
	if err != nil {
		return nil, fail(dir, scan.ErrBroken, err)
	}
	defer os.RemoveAll(tree)

	target := scan.Target{Kind: scan.Staged, Path: r.root}
	var jobs []scan.Job
	for _, s := range o.Scanners {
		jobs = append(jobs, scan.Job{Scanner: s, Target: target})
	}
	copies := &copies{repo: r, files: files, deleted: deleted, dir: tree}
	for _, c := range o.Checks {
		jobs = append(jobs, scan.Job{Scanner: &checker{c, copies}, Target: target})
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = time.Minute
	}
	out.Results, err = scan.Run(ctx, jobs, &scan.Options{Timeout: timeout})
	out.Took = time.Since(start)
	return out, err
}

func (o *Options) check() error {
	var errs []error
	for i, c := range o.Checks {
		if c.Name == "" || strings.ContainsAny(c.Name, " \n") {
			errs = append(errs, fmt.Errorf("the Name %q of Checks[%d] is no word", c.Name, i))
		}
		if len(c.Command) == 0 || c.Command[0] == "" {
			errs = append(errs, fmt.Errorf("no Command in Checks[%d]", i))
		}
		for _, p := range c.Files {
			if _, err := path.Match(p, ""); err != nil {
				errs = append(errs, fmt.Errorf("%q in Files of Checks[%d] is no pattern", p, i))
			}
		}
	}
	return errors.Join(errs...)
}

func fail(dir string, kind, err error) error {
	return &scan.Error{Op: "check", Scanner: Name, Target: scan.Target{Kind: scan.Staged, Path: dir}.String(), Kind: kind, Err: err}
}

// checker runs one check as a scanner.
type checker struct {
	c      Check
	copies *copies
}

func (k *checker) Name() string { return k.c.Name }

func (k *checker) Scan(ctx context.Context, t scan.Target) (*scan.Result, error) {
	start := time.Now()
	fail := func(kind, err error) error {
		return &scan.Error{Op: "check", Scanner: k.c.Name, Target: t.String(), Kind: kind, Err: err}
	}
	files := k.c.selected(k.copies.files)
	if len(files) == 0 && (!k.c.WholeTree || len(k.c.selected(k.copies.deleted)) == 0) {
		return nil, fail(scan.ErrSkipped, errors.New("no staged file is for this check"))
	}
	dir, err := k.copies.get(ctx, k.c.WholeTree)
	if err != nil {
		return nil, err
	}
	where, err := k.program(ctx)
	if err != nil {
		return nil, err
	}
	prog, err := command.Tool{Name: k.c.Name, Path: where}.Find(ctx)
	if err != nil {
		return nil, err
	}
	out, err := prog.Run(ctx, command.Call{Args: k.c.args(files), Dir: dir, InheritEnv: true, WithoutEnv: gitVariables()})
	if err != nil {
		return nil, err
	}
	r := &report.Report{Runs: []report.Run{{Tool: k.c.Name, Target: t.String(), Status: report.StatusCompleted}}}
	if out.Code != 0 {
		r.Findings = []report.Finding{{
			Rule: k.c.Name, Title: k.c.Name + " failed", Level: report.LevelError,
			Message: fmt.Sprintf("exit code %d\n%s", out.Code, words(out, dir)),
		}}
	}
	if err := r.Normalize(ctx, nil); err != nil {
		return nil, fail(scan.ErrBroken, err)
	}
	return &scan.Result{Scanner: k.c.Name, Target: t, Status: scan.StatusOf(r), Report: r, Took: time.Since(start)}, nil
}

// program says where the check's program is. One that is committed, too, is taken from the copy of the whole tree, where
// all that it may need is.
func (k *checker) program(ctx context.Context) (string, error) {
	name := filepath.FromSlash(k.c.Command[0])
	if filepath.IsAbs(name) || !strings.ContainsRune(name, filepath.Separator) {
		return name, nil
	}
	r := k.copies.repo
	if committed, err := r.holds(ctx, filepath.Clean(name)); err != nil || !committed {
		return filepath.Join(r.root, name), err
	}
	tree, err := k.copies.get(ctx, true)
	return filepath.Join(tree, name), err
}

func (c *Check) selected(files []string) []string {
	if c.Files == nil {
		return files
	}
	var out []string
	for _, f := range files {
		for _, p := range c.Files {
			name := f
			if !strings.Contains(p, "/") {
				name = path.Base(f)
			}
			if ok, _ := path.Match(p, name); ok {
				out = append(out, f)
				break
			}
		}
	}
	return out
}

func (c *Check) args(files []string) []string {
	var args []string
	for _, a := range c.Command[1:] {
		if a != filesMark {
			args = append(args, a)
			continue
		}
		for _, f := range files {
			args = append(args, "./"+f) // never taken for an option
		}
	}
	return args
}

// words is what a check said, the end of it, with the copy's directory taken out of paths.
func words(out *command.Output, dir string) string {
	const limit = 4000
	text := strings.TrimSpace(string(out.Stdout) + out.Stderr)
	text = strings.ReplaceAll(text, dir+string(filepath.Separator), "")
	if len(text) > limit {
		text = "…" + strings.ToValidUTF8(text[len(text)-limit:], "")
	}
	return text
}

// copies makes the copies of the staged content that checks run in, each when it is first needed.
type copies struct {
	repo           *repo
	files, deleted []string
	dir            string

	mu   sync.Mutex
	made map[bool]error
}

func (c *copies) get(ctx context.Context, whole bool) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir := filepath.Join(c.dir, map[bool]string{true: "tree", false: "staged"}[whole])
	if err, ok := c.made[whole]; ok {
		return dir, err
	}
	if c.made == nil {
		c.made = map[bool]error{}
	}
	files := c.files
	if whole {
		files = nil
	}
	err := c.repo.export(ctx, dir, files)
	c.made[whole] = err
	return dir, err
}
