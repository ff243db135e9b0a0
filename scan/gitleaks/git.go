package gitleaks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/gitleaks/go-gitdiff/gitdiff"
	"github.com/zricethezav/gitleaks/v8/report"
	"github.com/zricethezav/gitleaks/v8/sources"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// plain are settings under which git prints what the engine's parser reads, whatever the user's own
// configuration says: with color.ui=always, for one, the parser sees no files at all. And it prints all of it: without
// log.showRoot nothing of a commit that has no parent, which in a shallow clone is every file there is.
var plain = []string{
	"-c", "log.showRoot=true", "-c", "core.bigFileThreshold=512m",
	"-c", "log.showSignature=false", "-c", "log.date=default", "-c", "format.pretty=medium", "-c", "log.decorate=false",
	"-c", "log.abbrevCommit=false", "-c", "i18n.logOutputEncoding=UTF-8",
	"-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false", "-c", "diff.interHunkContext=0", "-c", "diff.submodule=short",
	"-c", "diff.relative=false", "-c", "core.fsmonitor=false",
}

var diffFlags = []string{"-U0", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"}

// gitSource searches the lines a history or the index adds.
func (s *Scanner) gitSource(t scan.Target) func(context.Context, *search) error {
	return func(ctx context.Context, sr *search) error {
		git, err := command.Tool{Name: "git", Path: s.o.Git, VersionArgs: []string{"--version"}, Min: "2.28"}.Find(ctx)
		if err != nil {
			return err
		}
		if s.o.ArchiveDepth > 0 {
			sr.note("archives in the repository were not opened: ArchiveDepth is for directories and streams")
		}
		r := repo{git: git, target: t}
		if err := r.open(ctx, sr); err != nil {
			return err
		}
		return r.search(ctx, sr, s.workers())
	}
}

// repo runs git in one repository.
type repo struct {
	git    *command.Program
	target scan.Target
}

func (r *repo) fail(kind, err error) error {
	return &scan.Error{Op: "scan", Scanner: Name, Target: r.target.String(), Kind: kind, Err: err}
}

// run runs a git command whose output is small.
func (r *repo) run(ctx context.Context, args ...string) (stdout string, err error) {
	out, err := r.git.Run(ctx, r.call(1<<20, nil, args...))
	if err != nil {
		return "", err
	}
	if out.Code != 0 {
		return "", &gitError{args: args[0], code: out.Code, stderr: out.Stderr}
	}
	return strings.TrimSpace(string(out.Stdout)), nil
}

func (r *repo) call(limit int64, out io.Writer, args ...string) command.Call {
	return command.Call{
		Args: append([]string{"-C", r.target.Arg()}, args...), Out: out, MaxOutput: limit,
		// A hook is told through the environment which index it is about. Which repository, the target says.
		InheritEnv: true, WithoutEnv: []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_DIFF_OPTS"},
		Env: []string{"LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_PAGER=cat"},
	}
}

type gitError struct {
	args   string
	code   int
	stderr string
}

func (e *gitError) Error() string {
	text := strings.TrimSpace(e.stderr)
	if text == "" {
		text = "it said nothing"
	}
	return fmt.Sprintf("git %s: exit code %d: %s", e.args, e.code, strings.ReplaceAll(text, "\n", "; "))
}

// open makes sure that there is a repository with something in it, and notes what a reader should know.
func (r *repo) open(ctx context.Context, sr *search) error {
	shallow, err := r.run(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		if _, ok := errors.AsType[*gitError](err); ok {
			return r.fail(scan.ErrTarget, fmt.Errorf("no git repository that can be read: %w", err))
		}
		return err
	}
	if r.target.Kind == scan.Staged {
		return nil
	}
	if shallow == "true" {
		sr.note("the repository is shallow: history before the clone's depth was not scanned")
	}
	if r.target.Range == "" {
		// Where a clone stopped half-way there is a repository, with nothing in it.
		if first, err := r.run(ctx, "rev-list", "--all", "--max-count=1"); err != nil {
			return r.fail(scan.ErrBroken, err)
		} else if first == "" {
			return r.fail(scan.ErrSkipped, errors.New("the repository has no commit"))
		}
		return nil
	}
	if _, err := r.run(ctx, "rev-list", "--max-count=1", "--end-of-options", r.target.Range, "--"); err != nil {
		if _, ok := errors.AsType[*gitError](err); ok && shallow == "true" {
			err = fmt.Errorf("%w (the repository is shallow; fetch more of it)", err)
		}
		return r.fail(scan.ErrTarget, err)
	}
	return nil
}

func (r *repo) diffCommand() []string {
	switch {
	case r.target.Kind == scan.Staged:
		args := append(append([]string{}, plain...), "diff", "--staged")
		return append(append(args, diffFlags...), "--", ".")
	case r.target.Range != "":
		args := append(append([]string{}, plain...), "log", "-p")
		return append(append(args, diffFlags...), "--end-of-options", r.target.Range, "--")
	default:
		args := append(append([]string{}, plain...), "log", "-p")
		return append(append(args, diffFlags...), "--full-history", "--all", "--diff-filter=tuxdb")
	}
}

// search lets git print the diffs and searches them on several goroutines. Git must end well, and every diff
// it printed must have been understood: the parser skips what it does not understand, and a git that was
// killed looks to it like one that was done.
func (r *repo) search(ctx context.Context, sr *search, workers int) error {
	pr, pw := io.Pipe()
	counter := &diffCounter{r: pr}
	ended := make(chan error, 1)
	go func() {
		out, err := r.git.Run(ctx, r.call(math.MaxInt64, pw, r.diffCommand()...))
		if err == nil {
			err = gitVerdict(out)
		}
		// The parser takes every error but the end of the stream as a reason to read on, forever.
		_ = pw.Close()
		ended <- err
	}()

	parsed, err := r.searchDiffs(ctx, sr, counter, workers)
	gitErr := <-ended
	if n := sr.binary.Load(); n > 0 {
		sr.note("%d changes of files that git takes for binary were not searched", n)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case gitErr != nil:
		if _, ok := errors.AsType[*scan.Error](gitErr); ok {
			return gitErr
		}
		return r.fail(scan.ErrBroken, gitErr)
	case err != nil:
		return r.fail(scan.ErrOutput, err)
	case parsed != counter.diffs:
		return r.fail(scan.ErrOutput, fmt.Errorf("git printed the changes of %d files, %d were understood", counter.diffs, parsed))
	}
	return nil
}

// searchDiffs reads diffs to the end and searches those it understands.
func (r *repo) searchDiffs(ctx context.Context, sr *search, diffs io.Reader, workers int) (parsed int, err error) {
	files, err := gitdiff.Parse(diffs)
	var mu sync.Mutex
	var wg sync.WaitGroup
	if err == nil {
		for range workers {
			wg.Go(func() {
				n := 0
				for f := range files {
					n++
					r.searchDiff(ctx, sr, f)
				}
				mu.Lock()
				parsed += n
				mu.Unlock()
			})
		}
		wg.Wait()
	}
	_, drainErr := io.Copy(io.Discard, diffs) // a parser that gave up left git writing
	return parsed, errors.Join(err, drainErr)
}

// gitVerdict decides whether git did all of its work: an exit code of 0 and nothing on standard error but
// remarks known to be harmless.
func gitVerdict(out *command.Output) error {
	if out.Code != 0 {
		return &gitError{args: "log", code: out.Code, stderr: out.Stderr}
	}
	for line := range strings.Lines(out.Stderr) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "warning:") && !strings.HasPrefix(line, "hint:") &&
			!strings.HasPrefix(line, "Auto packing") && !strings.HasPrefix(line, "See \"git help gc\"") {
			return &gitError{args: "log", code: out.Code, stderr: out.Stderr}
		}
	}
	return nil
}

func (r *repo) searchDiff(ctx context.Context, sr *search, f *gitdiff.File) {
	if f.IsBinary && !f.IsDelete {
		sr.binary.Add(1)
	}
	if ctx.Err() != nil || f.IsDelete || f.IsBinary {
		return
	}
	commit := ""
	var describe func(*report.Finding)
	if h := f.PatchHeader; h != nil && h.SHA != "" {
		commit = h.SHA
		describe = func(found *report.Finding) {
			found.Date, found.Message = h.AuthorDate.UTC().Format(time.RFC3339), h.Message()
			if h.Author != nil {
				found.Author, found.Email = h.Author.Name, h.Author.Email
			}
		}
	}
	for _, hunk := range f.TextFragments {
		if hunk == nil {
			continue
		}
		sr.fragment(ctx, sources.Fragment{
			CommitSHA: commit, FilePath: f.NewName, Raw: hunk.Raw(gitdiff.OpAdd), StartLine: int(hunk.NewPosition),
		}, describe)
	}
}

// diffCounter counts the file headers of a diff on the way through. They are the only lines that start with
// "diff --git ": messages are indented, and lines of files start with a sign.
type diffCounter struct {
	r     io.Reader
	diffs int
	line  []byte // start of the line that is being read, as much of it as matters
	mid   bool   // the rest of the line does not matter
}

var diffHeader = []byte("diff --git ")

func (c *diffCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for b := p[:n]; len(b) > 0; {
		if c.mid {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				break
			}
			b, c.mid = b[i+1:], false
			continue
		}
		take := min(len(diffHeader)-len(c.line), len(b))
		c.line = append(c.line, b[:take]...)
		if i := bytes.IndexByte(c.line, '\n'); i >= 0 {
			b = b[take-(len(c.line)-i-1):]
			c.line = c.line[:0]
			continue
		}
		b = b[take:]
		if len(c.line) == len(diffHeader) {
			if bytes.Equal(c.line, diffHeader) {
				c.diffs++
			}
			c.line, c.mid = c.line[:0], true
		}
	}
	return n, err
}
