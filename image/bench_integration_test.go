//go:build integration

package image_test

import (
	"archive/tar"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/internal/testbed"
)

// corpusBytes is the size of the directory that is built and pushed: half random, half text.
const corpusBytes = 500 << 20

// corpus makes the directory and an archive of it, which crane wants.
func corpus(b *testing.B, size int) (dir, archive string) {
	b.Helper()
	dir, archive = filepath.Join(b.TempDir(), "dir"), filepath.Join(b.TempDir(), "dir.tar")
	require.NoError(b, os.MkdirAll(dir, 0o755))
	out, err := os.Create(archive)
	require.NoError(b, err)
	defer out.Close()
	tw := tar.NewWriter(out)
	random := rand.NewChaCha8([32]byte{1})
	words := strings.Fields("the way from commit to cluster goes by build scan gate push bump sync and mail {\"level\": 12, } func return error")
	rng := rand.New(random)
	const file = 4 << 20
	for i := range size / file {
		content := make([]byte, file)
		if i%2 == 0 {
			_, _ = random.Read(content)
		} else {
			for at := 0; at < file; {
				at += copy(content[at:], words[rng.IntN(len(words))])
				at += copy(content[at:], " ")
			}
		}
		name := fmt.Sprintf("file-%04d", i)
		require.NoError(b, os.WriteFile(filepath.Join(dir, name), content, 0o644))
		require.NoError(b, tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: file}))
		_, err := tw.Write(content)
		require.NoError(b, err)
	}
	require.NoError(b, tw.Close())
	return dir, archive
}

// contest runs our operation and crane's in turn and reports the times, the ratio and our peak memory.
func contest(b *testing.B, ours func(n int) *exec.Cmd, theirs func(n int) []*exec.Cmd) {
	b.Helper()
	b.Setenv(helperPeak, filepath.Join(b.TempDir(), "status"))
	var our, their, ourCPU, theirCPU time.Duration
	var peak int64
	n := 0
	for b.Loop() {
		n++
		cmd := ours(n)
		if n == 1 {
			b.Logf("%s against %s", cmd, theirs(n)[0])
		}
		start := time.Now()
		run(b, cmd)
		our += time.Since(start)
		ourCPU += cpu(cmd)
		peak = max(peak, peakOf(b))
		start = time.Now()
		for _, cmd := range theirs(n) {
			run(b, cmd)
			theirCPU += cpu(cmd)
		}
		their += time.Since(start)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(our.Seconds()/float64(n), "s-waybill")
	b.ReportMetric(their.Seconds()/float64(n), "s-crane")
	b.ReportMetric(our.Seconds()/their.Seconds(), "ratio")
	b.ReportMetric(ourCPU.Seconds()/theirCPU.Seconds(), "cpu-ratio") // tells the same on a busy machine
	b.ReportMetric(float64(peak)/1024, "MB-peak")
}

func cpu(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// peakOf is the most memory, in KiB, that our last process had. The kernel's count for a child that has ended
// would do if it did not begin with its parent's.
func peakOf(b *testing.B) (kib int64) {
	b.Helper()
	status, err := os.ReadFile(os.Getenv(helperPeak))
	require.NoError(b, err)
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	require.True(b, ok)
	_, err = fmt.Sscan(rest, &kib)
	require.NoError(b, err)
	return kib
}

func run(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// self is this test binary doing one operation of [help].
func self(b *testing.B, op string, args ...string) *exec.Cmd {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), helperOp+"="+op)
	return cmd
}

func crane(b *testing.B, args ...string) *exec.Cmd {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), testbed.Require(b, testbed.Crane).Path, args...)
	return cmd
}

func BenchmarkDirectoryToRegistry(b *testing.B) {
	dir, archive := corpus(b, corpusBytes)
	reg, layout := testbed.Registry(b), b.TempDir()
	contest(b, func(n int) *exec.Cmd {
		return self(b, "build-push", dir, filepath.Join(layout, fmt.Sprint(n)), fmt.Sprintf("%s/ours%d:1", reg, n))
	}, func(n int) []*exec.Cmd {
		return []*exec.Cmd{crane(b, "append", "-f", archive, "-t", fmt.Sprintf("%s/theirs%d:1", reg, n))}
	})
}

func BenchmarkDirectoryToLayout(b *testing.B) {
	dir, archive := corpus(b, corpusBytes)
	out := b.TempDir()
	contest(b, func(n int) *exec.Cmd {
		return self(b, "build", dir, filepath.Join(out, fmt.Sprint(n)))
	}, func(n int) []*exec.Cmd {
		return []*exec.Cmd{crane(b, "append", "-f", archive, "-t", "out:1", "-o", filepath.Join(out, fmt.Sprintf("%d.tar", n)))}
	})
}

func BenchmarkLayoutToRegistry(b *testing.B) {
	dir, _ := corpus(b, corpusBytes)
	layout := filepath.Join(b.TempDir(), "layout")
	_, err := image.Build(b.Context(), image.Spec{Layers: []image.Source{image.Dir(dir)}}, layout, nil)
	require.NoError(b, err)
	contest(b, func(n int) *exec.Cmd {
		return self(b, "push", fmt.Sprintf("%s/ours%d:1", testbed.Registry(b), n), layout)
	}, func(n int) []*exec.Cmd {
		return []*exec.Cmd{crane(b, "push", layout, fmt.Sprintf("%s/theirs%d:1", testbed.Registry(b), n))}
	})
}

// eleven makes eleven images with a base in common.
func eleven(b *testing.B) []string {
	b.Helper()
	content := make([]byte, 20<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(content)
	base := filepath.Join(b.TempDir(), "base")
	on, err := image.Build(b.Context(), image.Spec{Layers: []image.Source{image.Files{"base": content}}}, base, nil)
	require.NoError(b, err)
	var layouts []string
	for i := range 11 {
		dir := filepath.Join(b.TempDir(), "layout")
		own := image.Files{fmt.Sprintf("service-%d", i): content[i<<20 : (i+1)<<20]}
		_, err := image.Build(b.Context(), image.Spec{BaseLayout: on, Layers: []image.Source{own}}, dir, nil)
		require.NoError(b, err)
		layouts = append(layouts, dir)
	}
	return layouts
}

func BenchmarkElevenImages(b *testing.B) {
	layouts := eleven(b)
	contest(b, func(n int) *exec.Cmd {
		reg := testbed.Registry(b)
		var args []string
		for i, l := range layouts {
			args = append(args, fmt.Sprintf("%s/ours%d/service%d:1", reg, n, i), l)
		}
		return self(b, "push", args...)
	}, func(n int) (cmds []*exec.Cmd) {
		reg := testbed.Registry(b)
		for i, l := range layouts {
			cmds = append(cmds, crane(b, "push", l, fmt.Sprintf("%s/theirs%d/service%d:1", reg, n, i)))
		}
		return cmds
	})
}

// heads counts requests by method.
type heads struct{ head, other atomic.Int64 }

func (h *heads) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodHead {
		h.head.Add(1)
	} else if r.URL.Path != "/v2/" || r.URL.Scheme != "https" { // the question whether it speaks TLS never arrives
		h.other.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func BenchmarkElevenImagesPresent(b *testing.B) {
	reg := testbed.Registry(b)
	var layouts []*image.Layout
	c, err := image.New(nil)
	require.NoError(b, err)
	ref := func(i int) []string { return []string{fmt.Sprintf("%s/service%d:1", reg, i)} }
	for i, dir := range eleven(b) {
		l, err := image.Open(b.Context(), dir, nil)
		require.NoError(b, err)
		_, err = c.Push(b.Context(), l, ref(i), nil)
		require.NoError(b, err)
		layouts = append(layouts, l)
	}
	for b.Loop() {
		var count heads
		fresh, err := image.New(&image.Options{HTTPClient: &http.Client{Transport: &count}})
		require.NoError(b, err)
		for i, l := range layouts {
			_, err := fresh.Push(b.Context(), l, ref(i), nil)
			require.NoError(b, err)
		}
		require.Zero(b, count.other.Load(), "HEAD requests only")
		b.ReportMetric(float64(count.head.Load()), "heads/op")
	}
}
