//go:build unix

package precommit_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/precommit"
	"github.com/waybill-dev/waybill/scan/scantest"
)

type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) repo {
	t.Helper()
	r := repo{t, t.TempDir()}
	r.git("init", "-q", "--initial-branch=main")
	r.git("config", "user.name", "A")
	r.git("config", "user.email", "a@example.com")
	return r
}

func (r repo) try(args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", r.dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r repo) git(args ...string) {
	r.t.Helper()
	out, err := r.try(args...)
	require.NoError(r.t, err, out)
}

func (r repo) write(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(r.t, os.WriteFile(path, []byte(content), 0o600))
}

// noBad is a check that fails when a file it is given holds the word bad.
var noBad = precommit.Check{Name: "no-bad", Command: []string{"sh", "-c", `for f in "$@"; do if grep -n bad "$f"; then exit 1; fi; done`, "sh", "{files}"}}

func statuses(o *precommit.Outcome) string {
	var out []string
	for _, r := range o.Results {
		out = append(out, r.Scanner+"="+string(r.Status))
	}
	return strings.Join(out, " ")
}

func TestRun_stagedContentOnly(t *testing.T) {
	r := newRepo(t)
	r.write("a file.txt", "good\n")
	r.write("-dash.txt", "good\n")
	r.git("add", "-A")
	r.write("a file.txt", "bad, but not staged\n")
	r.write("other.txt", "bad, and never added\n")
	o := &precommit.Options{Checks: []precommit.Check{noBad}}
	out, err := precommit.Run(t.Context(), r.dir, o)
	require.NoError(t, err)
	assert.Equal(t, []string{"-dash.txt", "a file.txt"}, out.Files)
	assert.Equal(t, "no-bad=clean", statuses(out))
	assert.True(t, out.OK())

	r.write("a file.txt", "one\nbad and staged\n")
	r.git("add", "a file.txt")
	r.write("a file.txt", "good again, but not staged\n")
	out, err = precommit.Run(t.Context(), r.dir, o)
	require.NoError(t, err)
	assert.Equal(t, "no-bad=findings", statuses(out))
	assert.False(t, out.OK())
	assert.Contains(t, out.String(), "bad and staged")

	r.git("commit", "-q", "--no-verify", "-m", "x")
	out, err = precommit.Run(t.Context(), r.dir, o)
	require.NoError(t, err)
	assert.Empty(t, out.Files, "nothing staged")
	assert.True(t, out.OK())
}

func TestRun_checks(t *testing.T) {
	r := newRepo(t)
	r.write("lib/old.go", "package lib\n")
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "x")
	r.write("lib/new.go", "package lib\n")
	r.write("README", "text\n")
	r.git("add", "-A")
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	out, err := precommit.Run(t.Context(), r.dir, &precommit.Options{Checks: []precommit.Check{
		{Name: "tree", WholeTree: true, Command: sh("test -f lib/old.go && test -f lib/new.go")},
		{Name: "staged", Command: sh("test ! -f lib/old.go && test -f lib/new.go && test -f README")},
		{Name: "by-name", Files: []string{"*.go"}, Command: append(sh(`test "$*" = ./lib/new.go`), "sh", "{files}")},
		{Name: "by-path", Files: []string{"lib/*"}, Command: append(sh(`test "$*" = ./lib/new.go`), "sh", "{files}")},
		{Name: "none", Files: []string{"*.py"}, Command: sh("exit 1")},
		{Name: "no-git", Command: sh(`test -z "$GIT_DIR$GIT_INDEX_FILE" && ! git rev-parse 2>/dev/null`)},
		{Name: "missing", Command: []string{"no-such-linter-anywhere"}},
	}})
	require.ErrorIs(t, err, scan.ErrToolMissing)
	assert.Equal(t, "tree=clean staged=clean by-name=clean by-path=clean none=skipped no-git=clean missing=failed", statuses(out))
	assert.False(t, out.OK())
}

// The program of a check is staged content, too: what counts is not what it has become since.
func TestRun_ownProgram(t *testing.T) {
	r := newRepo(t)
	script := func(name, body string) {
		r.write(name, "#!/bin/sh\n"+body+"\n")
		require.NoError(t, os.Chmod(filepath.Join(r.dir, name), 0o755))
	}
	script("tools/lint.sh", "exit 1")
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "x")
	script("tools/lint.sh", "exit 0")
	script("modules/installed", "test -f a && test ! -f tools/lint.sh")
	r.write("a", "x")
	r.git("add", "a")
	t.Chdir(t.TempDir())
	checks := []precommit.Check{
		{Name: "staged", Command: []string{"./tools/lint.sh"}},
		{Name: "tree", WholeTree: true, Command: []string{"tools/lint.sh"}},
		{Name: "installed", Command: []string{"./modules/installed"}},
	}
	out, err := precommit.Run(t.Context(), r.dir, &precommit.Options{Checks: checks})
	require.NoError(t, err)
	assert.Equal(t, "staged=findings tree=findings installed=clean", statuses(out))

	_, err = precommit.Run(t.Context(), r.dir, &precommit.Options{Checks: []precommit.Check{{Name: "outside", Command: []string{"../gone.sh"}}}})
	require.ErrorIs(t, err, scan.ErrToolMissing)
}

// A file that goes may have been needed by one that stays.
func TestRun_deleted(t *testing.T) {
	r := newRepo(t)
	r.write("lib/a.go", "package lib\n")
	r.write("b.txt", "needs lib/a.go\n")
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "x")
	needs := []string{"sh", "-c", "test -f lib/a.go"}
	checks := []precommit.Check{
		{Name: "build", WholeTree: true, Files: []string{"*.go"}, Command: needs},
		{Name: "lint", Files: []string{"*.go"}, Command: needs},
		{Name: "docs", WholeTree: true, Files: []string{"*.md"}, Command: needs},
	}
	for name, change := range map[string][]string{"removed": {"rm", "-q", "lib/a.go"}, "renamed": {"mv", "lib/a.go", "lib/a.txt"}} {
		t.Run(name, func(t *testing.T) {
			r.git(change...)
			defer r.git("reset", "-q", "--hard")
			out, err := precommit.Run(t.Context(), r.dir, &precommit.Options{Checks: checks})
			require.NoError(t, err)
			assert.Equal(t, "build=findings lint=skipped docs=skipped", statuses(out))
			assert.False(t, out.OK())
		})
	}
}

func TestRun_scanners(t *testing.T) {
	r := newRepo(t)
	r.write("a", "b")
	r.git("add", "-A")
	found := scantest.New("secrets", scantest.Found(report.Finding{Rule: "key", Message: "a key", Location: report.Location{Path: "a", StartLine: 1}}))
	broken := scantest.New("broken", scantest.Broken(errors.New("boom")))
	out, err := precommit.Run(t.Context(), r.dir, &precommit.Options{Scanners: []scan.Scanner{found, broken}})
	require.ErrorIs(t, err, scan.ErrBroken)
	assert.Equal(t, "secrets=findings broken=failed", statuses(out))
	require.Len(t, found.Scans(), 1)
	assert.Equal(t, scan.Staged, found.Scans()[0].Kind)
	assert.Contains(t, out.String(), "a:1 a key")
	assert.Contains(t, out.String(), "boom")
}

func TestRun_bad(t *testing.T) {
	_, err := precommit.Run(t.Context(), t.TempDir(), nil)
	require.ErrorIs(t, err, scan.ErrTarget)
	_, err = precommit.Run(t.Context(), "/nowhere", nil)
	require.ErrorIs(t, err, scan.ErrTarget)
	_, err = precommit.Run(t.Context(), ".", &precommit.Options{Checks: []precommit.Check{{Name: "a b", Files: []string{"["}}}})
	require.ErrorIs(t, err, scan.ErrConfig)
	for _, says := range []string{"Name", "Command", "Files"} {
		assert.ErrorContains(t, err, says)
	}
}

// git itself runs the hook, and heeds it.
func TestInstall(t *testing.T) {
	r := newRepo(t)
	program := scantest.Script(t, "it's a hook", `echo "hook $*: $GIT_INDEX_FILE"; ! git diff --cached | grep -q bad`)
	hook, err := precommit.Install(t.Context(), r.dir, []string{program, "two words", "it's"}, nil)
	require.NoError(t, err)
	assert.Equal(t, "pre-commit", filepath.Base(hook))

	r.write("a", "good\n")
	r.git("add", "a")
	out, err := r.try("commit", "-m", "x")
	require.NoError(t, err, out)
	assert.Contains(t, out, "hook two words it's:")

	r.write("a", "bad\n")
	out, err = r.try("commit", "-m", "x", "a")
	require.Error(t, err, out)

	_, err = precommit.Install(t.Context(), r.dir, []string{"/bin/true"}, nil)
	require.NoError(t, err, "its own hook is replaced")
	require.NoError(t, os.WriteFile(hook, []byte("#!/bin/sh\nexit 0\n"), 0o600))
	_, err = precommit.Install(t.Context(), r.dir, []string{"/bin/true"}, nil)
	require.ErrorIs(t, err, scan.ErrConfig)
	_, err = precommit.Install(t.Context(), r.dir, []string{"/bin/true"}, &precommit.InstallOptions{Replace: true})
	require.NoError(t, err)

	r.git("config", "core.hooksPath", "tools/hooks")
	hook, err = precommit.Install(t.Context(), r.dir, []string{"/bin/true"}, nil)
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(hook, "tools/hooks/pre-commit"), hook)

	_, err = precommit.Install(t.Context(), r.dir, nil, nil)
	require.ErrorIs(t, err, scan.ErrConfig)
}

// A commit made of another index than the usual one ("git commit FILE") is checked as it will be.
func TestRun_otherIndex(t *testing.T) {
	r := newRepo(t)
	r.write("a", "good\n")
	r.git("add", "a")
	r.git("commit", "-q", "-m", "x")
	r.write("a", "bad\n")
	index := filepath.Join(t.TempDir(), "index")
	t.Setenv("GIT_INDEX_FILE", index)
	r.git("read-tree", "HEAD")
	r.git("add", "a")
	out, err := precommit.Run(t.Context(), r.dir, &precommit.Options{Checks: []precommit.Check{noBad}})
	require.NoError(t, err)
	assert.Equal(t, "no-bad=findings", statuses(out))
}

// A hook that takes long is a hook that gets turned off: a small change in a repository of 2,000 files takes less than
// 2 s. Where the machine has other things to do, its processor time must be less than that.
func TestRun_fast(t *testing.T) {
	r := newRepo(t)
	for i := range 2000 {
		r.write(fmt.Sprintf("dir%d/file%d", i%50, i), strings.Repeat("line\n", 50))
	}
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "x")
	r.write("small.txt", "good\n")
	r.git("add", "-A")
	before := processorTime(t)
	out, err := precommit.Run(t.Context(), r.dir, &precommit.Options{Checks: []precommit.Check{
		noBad, {Name: "tree", WholeTree: true, Command: []string{"sh", "-c", "test -f small.txt && test -f dir0/file0"}},
	}})
	require.NoError(t, err)
	require.True(t, out.OK())
	used := processorTime(t) - before
	t.Logf("took %v, %v of processor time", out.Took, used)
	assert.Less(t, min(out.Took, used), 2*time.Second)
}

// processorTime is that of this process and of all it has started and waited for.
func processorTime(t *testing.T) (sum time.Duration) {
	t.Helper()
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		require.NoError(t, syscall.Getrusage(who, &u))
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}
