//go:build integration

package gitleaks_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/gitleaks"
)

var (
	commits   = flag.Int("commits", 5000, "commits of the history that is scanned")
	megabytes = flag.Int("megabytes", 200, "megabytes that the commits add")
)

// scanMe makes the test binary a program that scans one repository, so that its time and memory can be compared
// with those of the command.
const scanMe = "WAYBILL_SCAN_THIS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(scanMe); dir != "" {
		s, err := gitleaks.New(nil)
		if err == nil {
			var res *scan.Result
			if res, err = s.Scan(context.Background(), scan.Target{Kind: scan.Git, Path: dir}); err == nil {
				fmt.Println(len(res.Report.Findings))
				os.Exit(0)
			}
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// bigHistory makes a repository of the given number of commits and bytes: source-like text with a secret in
// every hundredth commit.
func bigHistory(tb testing.TB, commits, bytes int) string {
	tb.Helper()
	dir := tb.TempDir()
	require.NoError(tb, exec.Command("git", "init", "-q", "--initial-branch=main", dir).Run())
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet")
	in, err := cmd.StdinPipe()
	require.NoError(tb, err)
	cmd.Stderr = os.Stderr
	require.NoError(tb, cmd.Start())
	w := bufio.NewWriterSize(in, 1<<20)
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same text each time
	for i := range commits {
		message := fmt.Sprintf("commit %d", i)
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata %d\n%s\n", 1_700_000_000+i*60, len(message), message)
		text := sourceText(rnd, bytes/commits)
		if i%100 == 0 {
			text += "token = " + githubToken[:30] + fmt.Sprintf("%010d", i*7919) + "\n"
		}
		fmt.Fprintf(w, "M 100644 inline src/pkg%d/file%d.go\ndata %d\n%s\n", i%50, i%500, len(text), text)
	}
	require.NoError(tb, w.Flush())
	require.NoError(tb, in.Close())
	require.NoError(tb, cmd.Wait())
	return dir
}

var (
	words = strings.Fields("func return if err nil for range string int error package import type struct interface map value name config client server request response context user data list index count size file path read write open close new make len cap append copy test case switch default break continue go defer select chan const var true false")
	// hot are words that make the engine look closer; as rare here as in code.
	hot = strings.Fields("key token secret password api access")
)

func sourceText(rnd *rand.Rand, size int) string {
	var b strings.Builder
	b.Grow(size + 100)
	for b.Len() < size {
		for range 4 + rnd.IntN(8) {
			word := words[rnd.IntN(len(words))]
			if rnd.IntN(300) == 0 {
				word = hot[rnd.IntN(len(hot))]
			}
			b.WriteString(word)
			if rnd.IntN(4) == 0 {
				b.WriteString(strconv.FormatUint(rnd.Uint64(), 36))
			}
			b.WriteByte(" ().,:="[rnd.IntN(7)])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// BenchmarkHistory compares the command and this package, each as a process of its own, on 5,000 commits and 200 MB,
// or as many as the flags say.
//
//	go test -tags integration -run '^$' -bench History -benchtime 1x ./scan/gitleaks [-commits N -megabytes N]
//
// The command is run as: gitleaks git . --no-banner --exit-code 0 --report-path report.json
func BenchmarkHistory(b *testing.B) {
	dir := bigHistory(b, *commits, *megabytes*1_000_000)
	tool := testbed.Require(b, testbed.Gitleaks).Path
	report := filepath.Join(b.TempDir(), "report.json")
	var commandTime, ours time.Duration
	b.Run("command", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command(tool, "git", ".", "--no-banner", "--exit-code", "0", "--report-path", report)
			commandTime = measure(b, cmd, dir, io.Discard)
		}
	})
	b.Run("waybill", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), scanMe+"="+dir)
			var found strings.Builder
			ours = measure(b, cmd, dir, &found)
			var want []json.RawMessage
			written, err := os.ReadFile(report)
			require.NoError(b, err)
			require.NoError(b, json.Unmarshal(written, &want))
			require.Equal(b, fmt.Sprintln(len(want)), found.String(), "both found the same number")
			b.ReportMetric(float64(ours)/float64(commandTime), "of-command")
		}
	})
}

func measure(b *testing.B, cmd *exec.Cmd, dir string, out io.Writer) time.Duration {
	b.Helper()
	cmd.Dir, cmd.Stdout = dir, out
	var errText strings.Builder
	cmd.Stderr = &errText
	start := time.Now()
	require.NoError(b, cmd.Run(), errText.String())
	took := time.Since(start)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	b.ReportMetric(float64(usage.Maxrss)/1024, "MB-RSS")
	b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s")
	return took
}
