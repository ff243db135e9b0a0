//go:build unix

package command_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
	"github.com/waybill-dev/waybill/scan/scantest"
)

func program(t *testing.T, body string) *command.Program {
	t.Helper()
	p, err := command.Tool{Name: "probe", Path: scantest.Script(t, "probe", body)}.Find(t.Context())
	require.NoError(t, err)
	return p
}

func TestFind_version(t *testing.T) {
	for name, tc := range map[string]struct {
		tool   command.Tool
		prints string
		want   string
		kind   error
		says   []string
	}{
		"any":           {command.Tool{}, "echo probe version 1.2.3", "1.2.3", nil, nil},
		"behind a time": {command.Tool{Min: "5.0"}, "echo '22:01:00.410 INFO  SonarScanner CLI 6.2.1.4610'; echo 22:01:00.411 INFO Java 17.0.15", "6.2.1.4610", nil, nil},
		"behind a name": {command.Tool{}, "echo Version:0.68.2", "0.68.2", nil, nil},
		"with v":        {command.Tool{Min: "0.9"}, "echo v1.2.3-rc.1+abc", "1.2.3-rc.1+abc", nil, nil},
		"on stderr":     {command.Tool{}, "echo probe 4.5 >&2", "4.5", nil, nil},
		"in a line":     {command.Tool{}, "echo 'Version: 0.68.2 (built 2026.01.02)'", "0.68.2", nil, nil},
		"distribution":  {command.Tool{Min: "2.39.5"}, "echo git version 2.39.5-1ubuntu2", "2.39.5-1ubuntu2", nil, nil},
		"lowest":        {command.Tool{Min: "1.10", Below: "2.0"}, "echo 1.10.0", "1.10.0", nil, nil},
		"too old":       {command.Tool{Min: "1.10", Below: "2.0"}, "echo 1.9.9", "", scan.ErrToolVersion, []string{"1.9.9", "1.10 or later, below 2.0"}},
		"too new":       {command.Tool{Below: "2.0"}, "echo 2.0.0", "", scan.ErrToolVersion, []string{"2.0.0", "below 2.0"}},
		"none":          {command.Tool{}, "echo hello; exit 3", "", scan.ErrBroken, []string{"printed no version", "exit code 3"}},
		"endless":       {command.Tool{}, "yes", "", scan.ErrTooLarge, []string{"1048576 bytes"}},
		"killed":        {command.Tool{}, "kill -9 $$", "", scan.ErrBroken, []string{"killed"}},
		"huge number":   {command.Tool{Below: "2"}, "echo 99999999999999999999.1", "", scan.ErrToolVersion, nil},
		"cannot be run": {command.Tool{Path: "/dev/null"}, "", "", scan.ErrToolMissing, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tc.tool.Name, tc.tool.VersionArgs = "probe", []string{"--version"}
			if tc.tool.Path == "" {
				tc.tool.Path = scantest.Script(t, "probe", tc.prints)
			}
			p, err := tc.tool.Find(t.Context())
			if tc.kind == nil {
				require.NoError(t, err)
				assert.Equal(t, tc.want, p.Version)
				return
			}
			require.ErrorIs(t, err, tc.kind)
			for _, s := range tc.says {
				assert.ErrorContains(t, err, s)
			}
		})
	}
}

func TestFind_missing(t *testing.T) {
	_, err := command.Tool{Name: "no-such-tool-anywhere"}.Find(t.Context())
	require.ErrorIs(t, err, scan.ErrToolMissing)
	assert.ErrorContains(t, err, "install no-such-tool-anywhere")

	for _, tool := range []command.Tool{{}, {Name: "sh", Min: "1.2"}, {Name: "sh", Below: "2"}} {
		_, err = tool.Find(t.Context())
		require.ErrorIs(t, err, scan.ErrConfig)
	}
	assert.ErrorContains(t, err, "VersionArgs")
}

// A program found by a relative path must be the same one wherever it is run.
func TestFind_relative(t *testing.T) {
	path := scantest.Script(t, "probe", "pwd")
	t.Chdir(filepath.Dir(path))
	p, err := command.Tool{Name: "probe", Path: "./probe"}.Find(t.Context())
	require.NoError(t, err)
	out, err := p.Run(t.Context(), command.Call{Dir: "/"})
	require.NoError(t, err)
	assert.Equal(t, "/\n", string(out.Stdout))
}

func TestRun_arguments(t *testing.T) {
	args := []string{"two words", "new\nline", "-rf", "$HOME", "`id`", "; exit 9", "", "*"}
	out, err := program(t, `for a in "$@"; do printf '%s\0' "$a"; done`).Run(t.Context(), command.Call{Args: args})
	require.NoError(t, err)
	assert.Equal(t, strings.Join(args, "\x00")+"\x00", string(out.Stdout))
}

func TestRun_exitCodesAreTheCallers(t *testing.T) {
	out, err := program(t, "echo out; echo err >&2; exit 7").Run(t.Context(), command.Call{})
	require.NoError(t, err)
	assert.Equal(t, 7, out.Code)
	assert.Equal(t, "out\n", string(out.Stdout))
	assert.Equal(t, "err\n", out.Stderr)
}

func TestRun_input(t *testing.T) {
	var got bytes.Buffer
	out, err := program(t, "cat").Run(t.Context(), command.Call{In: strings.NewReader("hello"), Out: &got})
	require.NoError(t, err)
	assert.Nil(t, out.Stdout)
	assert.Equal(t, "hello", got.String())
}

func TestRun_killed(t *testing.T) {
	_, err := program(t, "echo last words >&2; kill -SEGV $$").Run(t.Context(), command.Call{})
	require.ErrorIs(t, err, scan.ErrBroken)
	assert.ErrorContains(t, err, "segmentation fault")
	assert.ErrorContains(t, err, "last words")
}

func TestRun_outputCap(t *testing.T) {
	_, err := program(t, "yes").Run(t.Context(), command.Call{MaxOutput: 1000})
	require.ErrorIs(t, err, scan.ErrTooLarge)
	assert.ErrorContains(t, err, "cap of 1000 bytes")

	out, err := program(t, "printf 1234567890").Run(t.Context(), command.Call{MaxOutput: 10})
	require.NoError(t, err)
	assert.Equal(t, "1234567890", string(out.Stdout))
}

func TestRun_stderrIsKeptInPart(t *testing.T) {
	out, err := program(t, "yes some noise | head -c 1000000 >&2; echo the end >&2").Run(t.Context(), command.Call{})
	require.NoError(t, err)
	assert.Less(t, len(out.Stderr), 65<<10)
	assert.True(t, strings.HasSuffix(out.Stderr, "the end\n"))
	assert.True(t, strings.HasPrefix(out.Stderr, "some noise\n"), "starts with a whole line")
}

func TestRun_environment(t *testing.T) {
	t.Setenv("WAYBILL_TOKEN", "t0ps3cret")
	p := program(t, `echo "[$WAYBILL_TOKEN][$ADDED][${PATH:+path}]"`)

	out, err := p.Run(t.Context(), command.Call{Env: []string{"ADDED=yes"}})
	require.NoError(t, err)
	assert.Equal(t, "[][yes][path]\n", string(out.Stdout))

	out, err = p.Run(t.Context(), command.Call{InheritEnv: true})
	require.NoError(t, err)
	assert.Equal(t, "[t0ps3cret][][path]\n", string(out.Stdout))

	// Whoever has started this process with a mark finds by it what this process starts.
	t.Setenv("WAYBILL_RUN_OUTER", "1")
	out, err = program(t, `env | grep -c ^WAYBILL_RUN_`).Run(t.Context(), command.Call{})
	require.NoError(t, err)
	assert.Equal(t, "2\n", string(out.Stdout))
}

func TestRun_secrets(t *testing.T) {
	secret := func(context.Context) (string, error) { return "hunter2\nsecond-line", nil }
	call := command.Call{Secrets: map[string]func(context.Context) (string, error){"API_KEY": secret}}

	out, err := program(t, `echo "key=$API_KEY"; echo "bad key $API_KEY" >&2`).Run(t.Context(), call)
	require.NoError(t, err)
	assert.Equal(t, "key=[redacted]\n[redacted]\n", string(out.Stdout))
	assert.Equal(t, "bad key [redacted]\n[redacted]\n", out.Stderr)

	_, err = program(t, `echo "bad key $API_KEY" >&2; kill -9 $$`).Run(t.Context(), call)
	require.ErrorIs(t, err, scan.ErrBroken)
	assert.NotContains(t, err.Error(), "second-line")

	call.Secrets["API_KEY"] = func(context.Context) (string, error) { return `p"a\ss<w>rd`, nil }
	out, err = program(t, `printf '%s\n' '{"a":"p\"a\\ss<w>rd","b":"p\"a\\ss\u003cw\u003erd"} https://x/?t=p%22a%5Css%3Cw%3Erd'`).Run(t.Context(), call)
	require.NoError(t, err)
	assert.Equal(t, `{"a":"[redacted]","b":"[redacted]"} https://x/?t=[redacted]`+"\n", string(out.Stdout), "as JSON and addresses have it")

	call.Secrets["API_KEY"] = func(context.Context) (string, error) { return "", os.ErrPermission }
	_, err = program(t, "exit 0").Run(t.Context(), call)
	require.ErrorIs(t, err, os.ErrPermission)
	assert.ErrorContains(t, err, "fetching API_KEY")
}

// Cancelling ends the program and what it started, also when neither listens.
func TestRun_cancelEndsChildren(t *testing.T) {
	for name, body := range map[string]string{
		"polite": `sleep 60 & echo $! > "$1"; wait`,
		"deaf":   `trap '' TERM; sh -c 'trap "" TERM; echo $$ > "$1.tmp"; mv "$1.tmp" "$1"; while :; do sleep 1; done' x "$1" & wait; while :; do sleep 1; done`,
	} {
		t.Run(name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "pid")
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				awaitFile(t, pidFile)
				cancel()
			}()
			start := time.Now()
			_, err := program(t, body).Run(ctx, command.Call{Args: []string{pidFile}, Grace: 200 * time.Millisecond})
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, scan.ErrBroken)
			assert.Less(t, time.Since(start), 10*time.Second)
			assertGone(t, awaitFile(t, pidFile))
		})
	}
}

// A tree of processes ends with its root: grandchildren, and children that went into a session of their own.
func TestRun_cancelEndsTree(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sessions of their own are reached on Linux only")
	}
	pidFile := filepath.Join(t.TempDir(), "pids")
	body := `sh -c 'sleep 600 & echo $! >> "$1"; sh -c "sleep 600 & echo \$! >> \$1; wait" x "$1" & echo $! >> "$1"; wait' x "$1.new" & echo $! >> "$1.new"
setsid sh -c 'sleep 600 & echo $! >> "$1"; wait' x "$1.new" & echo $! >> "$1.new"
while [ "$(wc -l < "$1.new")" -lt 6 ]; do sleep 0.01; done; mv "$1.new" "$1"; wait`
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		awaitFile(t, pidFile)
		cancel()
	}()
	_, err := program(t, body).Run(ctx, command.Call{Args: []string{pidFile}})
	require.ErrorIs(t, err, context.Canceled)
	b, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	pids := strings.Fields(string(b))
	require.Len(t, pids, 6)
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		require.NoError(t, err)
		assertGone(t, pid)
	}
}

// A program that is done but left a child holding its output is not waited for forever.
func TestRun_childKeepsOutputOpen(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	_, err := program(t, `sleep 60 & echo $! > "$1"; echo done`).Run(t.Context(), command.Call{Args: []string{pidFile}, Grace: 100 * time.Millisecond})
	require.ErrorIs(t, err, scan.ErrBroken, "output may be missing")
	assertGone(t, awaitFile(t, pidFile))
}

// slow takes its time with what it is given.
type slow struct {
	pause time.Duration
	n     int
}

func (s *slow) Write(p []byte) (int, error) {
	<-time.After(s.pause)
	s.n += len(p)
	return len(p), nil
}

// Whoever reads the output may take longer than the program and its grace: nothing is lost, and nothing has failed.
func TestRun_slowReader(t *testing.T) {
	out := &slow{pause: 100 * time.Millisecond}
	_, err := program(t, "head -c 60000 /dev/zero").Run(t.Context(), command.Call{Out: out, Grace: 10 * time.Millisecond})
	require.NoError(t, err)
	assert.Equal(t, 60000, out.n)
}

func TestRun_deadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := program(t, "sleep 60").Run(ctx, command.Call{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// awaitFile waits for a file and returns the number it starts with.
func awaitFile(t *testing.T, path string) (pid int) {
	t.Helper()
	assert.Eventually(t, func() bool {
		b, _ := os.ReadFile(path)
		first, _, _ := strings.Cut(string(b), "\n")
		pid, _ = strconv.Atoi(first)
		return pid > 0
	}, 10*time.Second, 5*time.Millisecond)
	return pid
}

func assertGone(t *testing.T, pid int) {
	t.Helper()
	assert.Eventually(t, func() bool { return gone(pid) }, 5*time.Second, 5*time.Millisecond, "process %d lives on", pid)
}

func gone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH || zombie(pid) }

// zombie reports whether a process is dead and only waits for its parent to notice.
func zombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(b), ") Z ")
}
