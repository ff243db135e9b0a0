//go:build integration && linux

package gitops_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/gitops/manifest"
	"github.com/waybill-dev/waybill/internal/testbed"
)

// The benchmarks compare a bump with git's own ways to the same commit, over git http-backend, in one run:
//
//	go test -tags integration -run '^$' -bench Bump -benchtime 5x ./gitops
var benchHistory = gitopstest.History{Files: 10_000, Commits: 50_000}

// large makes the large repository once per process, in a place the first run leaves for the next.
var large = sync.OnceValues(func() (string, error) {
	bare := filepath.Join(os.TempDir(), fmt.Sprintf("waybill-bench-%d-%d.git", benchHistory.Files, benchHistory.Commits))
	if err := exec.Command("git", "-C", bare, "rev-parse", "main").Run(); err == nil {
		return bare, nil
	}
	_ = os.RemoveAll(bare)
	if out, err := exec.Command("git", "init", "-q", "--bare", "--initial-branch=main", bare).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	cmd := exec.Command("git", "-C", bare, "fast-import", "--quiet")
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	err = benchHistory.FastImport(in)
	_ = in.Close()
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	return bare, err
})

// serveLarge serves a copy of the large repository, each reply late by that much.
func serveLarge(b *testing.B, latency time.Duration) string {
	b.Helper()
	from, err := large()
	require.NoError(b, err)
	g := testbed.GitHTTP(b, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(latency)
			h.ServeHTTP(w, r)
		})
	})
	url := g.Init("large.git", "gc.auto=0", "receive.autogc=false")
	bare := filepath.Join(g.Dir, "large.git")
	require.NoError(b, os.RemoveAll(filepath.Join(bare, "objects")))
	require.NoError(b, exec.Command("cp", "-rl", filepath.Join(from, "objects"), bare).Run())
	head, err := exec.Command("git", "-C", from, "rev-parse", "main").Output()
	require.NoError(b, err)
	require.NoError(b, exec.Command("git", "-C", bare, "update-ref", "refs/heads/main", strings.TrimSpace(string(head))).Run())
	return url
}

var benchTag atomic.Int64

func benchEdits(first, n int) []manifest.Edit {
	tag := fmt.Sprintf("v1.%d", benchTag.Add(1))
	var edits []manifest.Edit
	for i := range n {
		edits = append(edits, manifest.Edit{Image: benchHistory.Image(first + i*101), To: tag})
	}
	return edits
}

func benchPaths(first, n int) []string {
	var paths []string
	for i := range n {
		paths = append(paths, benchHistory.Path(first+i*101))
	}
	return paths
}

// sh runs a script as a user would write it.
func sh(b *testing.B, script string, env ...string) {
	b.Helper()
	cmd := exec.Command("sh", "-eu", "-c", script)
	cmd.Dir = b.TempDir()
	cmd.Env = append(os.Environ(), append(env, "HOME="+cmd.Dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.test",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.test")...)
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, string(out))
	_ = os.RemoveAll(cmd.Dir)
}

const (
	shallow = `git clone -q --depth 1 "$URL" c; cd c; sed -i "s|\(image: .*\):[^ ]*|\1:$TAG|" "$FILE"; git commit -qam bump; git push -q origin main`
	partial = `git clone -q --depth 1 --filter=blob:none --no-checkout "$URL" c; cd c; git sparse-checkout set --no-cone "/$FILE"; git checkout -q main
sed -i "s|\(image: .*\):[^ ]*|\1:$TAG|" "$FILE"; git commit -qam bump; git push -q origin main`
)

// processor is the time that this process and those it waited for, the server's among them, spent computing. On a
// busy machine it says more than the clock.
func processor() time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return total
}

// BenchmarkBump does the same change by every way in turn, so that all of them see the same machine, and
// reports the median of each in milliseconds, by the clock and of the processor.
func BenchmarkBump(b *testing.B) {
	for _, latency := range []time.Duration{0, 25 * time.Millisecond} {
		b.Run(fmt.Sprintf("%dms", latency.Milliseconds()), func(b *testing.B) {
			url := serveLarge(b, latency)
			b.Logf("partial: %s", partial)
			b.Logf("shallow: %s", shallow)
			bump := func(repo *gitops.Repo, n int, paths []string) {
				c, err := repo.Bump(context.Background(), benchEdits(4321, n), &gitops.BumpOptions{Paths: paths})
				require.NoError(b, err)
				require.Len(b, c.Changes, n)
			}
			fresh := func() *gitops.Repo {
				repo, err := gitops.New(url, nil)
				require.NoError(b, err)
				return repo
			}
			git := func(script string) {
				sh(b, script, "URL="+url, "FILE="+benchHistory.Path(4321), fmt.Sprintf("TAG=v1.%d", benchTag.Add(1)))
			}
			kept := fresh()
			ways := []struct {
				name string
				run  func()
			}{
				{"one", func() { bump(fresh(), 1, benchPaths(4321, 1)) }},
				{"eleven", func() { bump(fresh(), 11, benchPaths(4321, 11)) }},
				{"again", func() { bump(kept, 1, benchPaths(4321, 1)) }},
				{"without-path", func() { bump(fresh(), 1, nil) }},
				{"git-partial", func() { git(partial) }},
				{"git-shallow", func() { git(shallow) }},
			}
			took := map[string][]time.Duration{}
			for b.Loop() {
				for _, w := range ways {
					began, computed := time.Now(), processor()
					w.run()
					took[w.name] = append(took[w.name], time.Since(began))
					took[w.name+"-cpu"] = append(took[w.name+"-cpu"], processor()-computed)
				}
			}
			median := func(name string) float64 {
				slices.Sort(took[name])
				return float64(took[name][len(took[name])/2]) / float64(time.Millisecond)
			}
			for _, w := range ways {
				b.ReportMetric(median(w.name), w.name+"-ms")
				b.ReportMetric(median(w.name+"-cpu"), w.name+"-cpu-ms")
			}
			b.ReportMetric(median("git-shallow")/median("one"), "x-shallow")
			b.ReportMetric(median("git-partial")/median("one"), "x-partial")
			b.ReportMetric(median("eleven")/median("one"), "eleven/one")
			b.ReportMetric(median("eleven-cpu")/median("one-cpu"), "eleven/one-cpu")
		})
	}
}

// BenchmarkBump_memory runs the bump program on its own and reports its peak resident set.
func BenchmarkBump_memory(b *testing.B) {
	url := serveLarge(b, 0)
	bin := filepath.Join(b.TempDir(), "bump")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = "../examples/bump"
	out, err := build.CombinedOutput()
	require.NoError(b, err, string(out))
	peak := 0
	for b.Loop() {
		cmd := exec.Command(bin, "-repo", url, "-path", benchHistory.Path(4321), "-image", fmt.Sprintf("%s=v2.%d", benchHistory.Image(4321), benchTag.Add(1)))
		cmd.Env = []string{"PATH="}
		require.NoError(b, cmd.Start())
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		for running := true; running; {
			select {
			case err := <-done:
				require.NoError(b, err)
				running = false
			case <-time.After(time.Millisecond):
				peak = max(peak, highWater(cmd.Process.Pid))
			}
		}
	}
	b.ReportMetric(float64(peak)/1024, "MB-peak-RSS")
}

// highWater returns the largest resident set of a running process so far, in KB. What wait reports is of no use:
// it begins with the size of the process that forked.
func highWater(pid int) (kb int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	if _, rest, found := strings.Cut(string(status), "VmHWM:"); found {
		_, _ = fmt.Sscan(rest, &kb)
	}
	return kb
}

// BenchmarkBump_writers lets 16 writers bump one branch 20 times each, and compares with as many pull --rebase
// loops. Nothing may be lost.
func BenchmarkBump_writers(b *testing.B) {
	const writers, each = 16, 20 // as promised
	setup := func(b *testing.B) (*testbed.Git, string) {
		g := testbed.GitHTTP(b, nil)
		url := g.Init("w.git", "gc.auto=0", "receive.autogc=false")
		cmd := exec.Command("git", "-C", filepath.Join(g.Dir, "w.git"), "fast-import", "--quiet")
		in, err := cmd.StdinPipe()
		require.NoError(b, err)
		require.NoError(b, cmd.Start())
		require.NoError(b, gitopstest.History{Files: 1000, Commits: 100}.FastImport(in))
		require.NoError(b, in.Close())
		require.NoError(b, cmd.Wait())
		return g, url
	}
	commits := func(b *testing.B, g *testbed.Git) string {
		out, err := exec.Command("git", "-C", filepath.Join(g.Dir, "w.git"), "rev-list", "--count", "main").Output()
		require.NoError(b, err)
		return strings.TrimSpace(string(out))
	}
	b.Run("bump", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			g, url := setup(b)
			b.StartTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					repo, err := gitops.New(url, &gitops.Options{Attempts: 200})
					if err != nil {
						b.Error(err)
						return
					}
					for n := range each {
						_, err := repo.Bump(context.Background(), []manifest.Edit{{Image: benchHistory.Image(w), To: fmt.Sprintf("v3.%d", n)}},
							&gitops.BumpOptions{Paths: []string{benchHistory.Path(w)}})
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			require.Equal(b, fmt.Sprint(100+writers*each), commits(b, g), "nothing is lost")
		}
		b.ReportMetric(float64(writers*each)*float64(b.N)/b.Elapsed().Seconds(), "bumps/s")
	})
	const loop = `git clone -q "$URL" c; cd c; for n in $(seq 1 $EACH); do sed -i "s|\(image: .*\):[^ ]*|\1:v3.$n|" "$FILE"; git commit -qam bump
until git push -q origin main 2>/dev/null; do git pull -q --rebase origin main; done; done`
	b.Run("git pull --rebase loop", func(b *testing.B) {
		b.Logf("%s", loop)
		const each = each / 10 // it takes too long; the rate is what is compared
		for b.Loop() {
			b.StopTimer()
			g, url := setup(b)
			b.StartTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() { sh(b, loop, "URL="+url, "FILE="+benchHistory.Path(w), fmt.Sprintf("EACH=%d", each)) })
			}
			wg.Wait()
			require.Equal(b, fmt.Sprint(100+writers*each), commits(b, g))
		}
		b.ReportMetric(float64(writers*each)*float64(b.N)/b.Elapsed().Seconds(), "bumps/s")
	})
}
