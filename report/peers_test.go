package report_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/owenrumney/go-sarif/v2/sarif"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/report"
)

// The benchmarks run each operation in a process of its own, so that its peak of memory is its own: this test
// binary again, told by childEnv what to do, or the SARIF Multitool where it is built. They print the command
// lines; seconds are wall time.

const childEnv = "WAYBILL_REPORT_BENCHMARK"

// operations are what a child can do with its files. The last file is the output.
var operations = map[string]func(ctx context.Context, files []string, out io.Writer) error{
	"merge+dedupe": func(ctx context.Context, files []string, out io.Writer) error {
		sources, err := openAll(ctx, files)
		if err != nil {
			return err
		}
		sum, err := report.Merge(ctx, out, sources, &report.MergeOptions{Dedupe: true})
		return check(err, sum.Findings == 50_000)
	},
	"compare": func(ctx context.Context, files []string, out io.Writer) error {
		sources, err := openAll(ctx, files)
		if err != nil {
			return err
		}
		s, err := report.Compare(ctx, sources[1], sources[0], nil)
		if err != nil {
			return err
		}
		sum, err := report.Merge(ctx, out, []report.Source{s}, nil)
		return check(err, sum.Unchanged == 50_000 && sum.Findings == 50_000)
	},
	"read+write": func(ctx context.Context, files []string, out io.Writer) error {
		sources, err := openAll(ctx, files)
		if err != nil {
			return err
		}
		return report.WriteSARIF(ctx, out, sources[0])
	},
	"go-sarif read+write": func(_ context.Context, files []string, out io.Writer) error {
		r, err := sarif.Open(files[0])
		if err != nil {
			return err
		}
		return r.Write(out)
	},
	"gate": func(ctx context.Context, files []string, _ io.Writer) error {
		sources, err := openAll(ctx, files)
		if err != nil {
			return err
		}
		v, err := report.Policy{Fail: []report.Clause{{Severity: report.SeverityHigh}}}.Gate(ctx, sources[0])
		return check(err, !v.Pass)
	},
	"trim": func(ctx context.Context, files []string, out io.Writer) error {
		sources, err := openAll(ctx, files)
		if err != nil {
			return err
		}
		s, _, err := report.Trim(ctx, sources[0], report.GitHubLimits())
		if err != nil {
			return err
		}
		sum, err := report.Merge(ctx, out, []report.Source{s}, nil)
		return check(err, sum.Findings <= 5000 && sum.Findings > 0)
	},
}

func check(err error, ok bool) error {
	if err == nil && !ok {
		return errors.New("the result is wrong")
	}
	return err
}

func openAll(ctx context.Context, files []string) ([]report.Source, error) {
	list := make([]report.Source, len(files))
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	for i, path := range files {
		wg.Go(func() { list[i], errs[i] = report.OpenSARIF(ctx, path, nil) })
	}
	wg.Wait()
	return list, errors.Join(errs...)
}

// child is the main of a child process.
func child(op string, args []string) int {
	err := func() error {
		out, err := os.Create(args[len(args)-1])
		if err != nil {
			return err
		}
		w := bufio.NewWriterSize(out, 1<<20)
		return errors.Join(operations[op](context.Background(), args[:len(args)-1], w), w.Flush(), out.Close())
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// measure runs a command and reports what it took.
func measure(b *testing.B, cmd func() *exec.Cmd) {
	b.Helper()
	var wall, cpu time.Duration
	var peak int64
	n := 0
	for b.Loop() {
		c := cmd()
		if n == 0 {
			b.Logf("%s", strings.Join(c.Args, " "))
		}
		start := time.Now()
		said, err := c.CombinedOutput()
		wall += time.Since(start)
		require.NoError(b, err, "%s", said)
		cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		peak = max(peak, peakMemory(c.ProcessState))
		n++
	}
	b.ReportMetric(wall.Seconds()/float64(n), "s")
	b.ReportMetric(cpu.Seconds()/float64(n), "cpu-s")
	b.ReportMetric(float64(peak)/1e6, "peak-MB")
	b.ReportMetric(0, "ns/op")
}

func ours(b *testing.B, op string, files ...string) {
	b.Helper()
	out := filepath.Join(b.TempDir(), "out.sarif")
	self, err := os.Executable()
	require.NoError(b, err)
	measure(b, func() *exec.Cmd {
		c := exec.CommandContext(b.Context(), self, append(files[:len(files):len(files)], out)...)
		c.Env = append(os.Environ(), childEnv+"="+op)
		return c
	})
}

func multitool(b *testing.B, args ...string) {
	b.Helper()
	tool, err := testbed.Multitool.Find()
	if err != nil {
		b.Skip("the SARIF Multitool is not built: " + err.Error())
	}
	measure(b, func() *exec.Cmd {
		c := exec.CommandContext(b.Context(), tool.Path, args...)
		c.Env = append(os.Environ(), testbed.MultitoolEnv)
		return c
	})
}

func BenchmarkMergeDedupe(b *testing.B) {
	paths, err := bigFiles()
	require.NoError(b, err)
	b.Run("waybill", func(b *testing.B) { ours(b, "merge+dedupe", paths[:]...) })
	b.Run("multitool", func(b *testing.B) {
		multitool(b, "merge", paths[0], paths[1], "--output-directory="+b.TempDir(), "--output-file=merged.sarif", "--log", "ForceOverwrite")
	})
}

func BenchmarkCompare(b *testing.B) {
	paths, err := bigFiles()
	require.NoError(b, err)
	b.Run("waybill", func(b *testing.B) { ours(b, "compare", paths[:]...) })
	b.Run("multitool", func(b *testing.B) {
		multitool(b, "match-results-forward", paths[1], "--previous="+paths[0], "--output-file-path="+filepath.Join(b.TempDir(), "out.sarif"), "--log", "ForceOverwrite")
	})
}

func BenchmarkReadWrite(b *testing.B) {
	paths, err := bigFiles()
	require.NoError(b, err)
	b.Run("waybill", func(b *testing.B) { ours(b, "read+write", paths[0]) })
	b.Run("go-sarif", func(b *testing.B) { ours(b, "go-sarif read+write", paths[0]) })
}

// BenchmarkHuge gates and trims a file of 2 GB; it is made when WAYBILL_HUGE is set, since it takes the disk.
func BenchmarkHuge(b *testing.B) {
	if os.Getenv("WAYBILL_HUGE") == "" {
		b.Skip("set WAYBILL_HUGE to make a file of 2 GB")
	}
	path := filepath.Join(b.TempDir(), "huge.sarif")
	require.NoError(b, generateFile(path, 1_950_000, 0))
	info, err := os.Stat(path)
	require.NoError(b, err)
	b.Logf("%d MB", info.Size()/1e6)
	b.Run("gate", func(b *testing.B) { ours(b, "gate", path) })
	b.Run("trim", func(b *testing.B) { ours(b, "trim", path) })
}
