//go:build integration

package gitleaks_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
)

var (
	commits   = flag.Int("commits", 5000, "commits of the history that is scanned")
	megabytes = flag.Int("megabytes", 200, "megabytes that the commits add")
)

// bigHistory is a repository of the given number of commits that add as many bytes: files of Go's own sources, a
// secret in every hundredth commit. It is the same each time, and kept in the user's cache directory.
func bigHistory(tb testing.TB, commits, bytes int) (dir string) {
	tb.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(tb, err)
	dir = filepath.Join(cache, "waybill", "bench", fmt.Sprintf("history-%s-%d-%d", runtime.Version(), commits, bytes))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	require.NoError(tb, os.MkdirAll(filepath.Dir(dir), 0o755))
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "making-") //nolint:usetesting // where it can be renamed from
	require.NoError(tb, err)
	defer os.RemoveAll(tmp)
	writeHistory(tb, tmp, commits, bytes)
	if err := os.Rename(tmp, dir); err != nil {
		require.DirExists(tb, dir, "somebody else was faster")
	}
	return dir
}

func writeHistory(tb testing.TB, dir string, commits, bytes int) {
	tb.Helper()
	require.NoError(tb, exec.Command("git", "init", "-q", "--initial-branch=main", dir).Run())
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet")
	in, err := cmd.StdinPipe()
	require.NoError(tb, err)
	cmd.Stderr = os.Stderr
	require.NoError(tb, cmd.Start())
	w := bufio.NewWriterSize(in, 1<<20)
	next, stop := iter.Pull2(goSources(tb))
	defer stop()
	written := 0
	for i := range commits {
		message := fmt.Sprintf("commit %d", i)
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata %d\n%s\n", 1_700_000_000+i*60, len(message), message)
		secret := "token = " + githubToken[:30] + fmt.Sprintf("%010d", i*7919) + "\n"
		if i%100 != 0 {
			secret = ""
		}
		for due := (i + 1) * (bytes / commits); written < due; secret = "" {
			name, text, ok := next()
			require.True(tb, ok)
			text = append([]byte(secret), text[:min(len(text), due-written)]...)
			fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", name, len(text), text)
			written += len(text)
		}
	}
	require.NoError(tb, w.Flush())
	require.NoError(tb, in.Close())
	require.NoError(tb, cmd.Wait())
}

// goSources are the files of the standard library, over and over, each time in another directory.
func goSources(tb testing.TB) iter.Seq2[string, []byte] {
	tb.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(tb, err)
	root := os.DirFS(filepath.Join(strings.TrimSpace(string(out)), "src"))
	return func(yield func(string, []byte) bool) {
		for round := 0; ; round++ {
			err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
					return err
				}
				text, err := fs.ReadFile(root, path)
				if err == nil && !yield(fmt.Sprintf("%d/%s", round, path), text) {
					err = io.EOF
				}
				return err
			})
			if errors.Is(err, io.EOF) {
				return
			}
			require.NoError(tb, err)
		}
	}
}

// BenchmarkHistory compares the command and this package, each as a process of its own, on 5,000 commits and 200 MB,
// or as many as the flags say.
//
//	go test -tags integration -run '^$' -bench History -benchtime 1x ./scan/gitleaks [-commits N -megabytes N]
//
// It takes some minutes. On a busy machine the processor time tells more than the time.
func BenchmarkHistory(b *testing.B) {
	dir := bigHistory(b, *commits, *megabytes*1_000_000)
	report := filepath.Join(b.TempDir(), "report.json")
	command := exec.Command(testbed.Require(b, testbed.Gitleaks).Path, "git", ".", "--no-banner", "--exit-code", "0", "--report-path", report)
	this := exec.Command(os.Args[0])
	var theirs, ours usage
	b.Run("command", func(b *testing.B) {
		b.Logf("%d commits, %d MB: %s", *commits, *megabytes, strings.Join(command.Args, " "))
		for b.Loop() {
			theirs = measure(b, command, dir, io.Discard)
		}
	})
	b.Run("waybill", func(b *testing.B) {
		b.Log("a program of its own that does gitleaks.New(nil) and Scan(git:.)")
		var found strings.Builder
		for b.Loop() {
			found.Reset()
			this.Env = append(os.Environ(), scanMe+"="+dir)
			ours = measure(b, this, dir, &found)
		}
		var want []json.RawMessage
		written, err := os.ReadFile(report)
		require.NoError(b, err)
		require.NoError(b, json.Unmarshal(written, &want))
		require.Equal(b, fmt.Sprintln(len(want)), found.String(), "both found the same number")
		b.ReportMetric(float64(ours.took)/float64(theirs.took), "of-time")
		b.ReportMetric(float64(ours.processor)/float64(theirs.processor), "of-cpu")
		require.Less(b, ours.memory, int64(500<<20))
	})
}

// usage is what a process took, git included.
type usage struct {
	took, processor time.Duration
	memory          int64 // of the larger of the two
}

func measure(b *testing.B, like *exec.Cmd, dir string, out io.Writer) usage {
	b.Helper()
	cmd := exec.Command(like.Path, like.Args[1:]...)
	var errText strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, like.Env, out, &errText
	start := time.Now()
	require.NoError(b, cmd.Run(), errText.String())
	u := usage{took: time.Since(start), processor: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	u.memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	b.ReportMetric(float64(u.memory)/(1<<20), "MB-RSS")
	b.ReportMetric(u.processor.Seconds(), "cpu-s")
	return u
}
