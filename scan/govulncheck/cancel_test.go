//go:build unix

package govulncheck_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	vuln "golang.org/x/vuln/scan"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/govulncheck"
	"github.com/waybill-dev/waybill/scan/scantest"
)

// beEngine makes the test binary the govulncheck command.
const beEngine = "WAYBILL_TEST_ENGINE"

func TestMain(m *testing.M) {
	if os.Getenv(beEngine) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	cmd := vuln.Command(context.Background(), os.Args[1:]...)
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestScan_command(t *testing.T) {
	app, db := shop(t), flaws(t)
	here, err := scanner(t, govulncheck.Options{DB: db}).Scan(t.Context(), app)
	require.NoError(t, err)
	there, err := scanner(t, govulncheck.Options{DB: db, Command: []string{os.Args[0]}, Env: []string{beEngine + "=1"}}).Scan(t.Context(), app)
	require.NoError(t, err)
	assert.Equal(t, here.Report.Findings, there.Report.Findings)
	assert.Equal(t, here.Notes, there.Notes)

	for name, tc := range map[string]struct {
		body string
		kind error
		says string
	}{
		"broke":      {"echo 'no such package' >&2; exit 1", scan.ErrBroken, "no such package"},
		"killed":     {"echo '{\"config\":{}}'; kill -9 $$", scan.ErrBroken, "killed"},
		"says clean": {"exit 0", scan.ErrOutput, "empty"},
		"cut short":  {"printf '{\"config\":{}}{\"osv\":{'", scan.ErrOutput, ""},
		"no JSON":    {"echo 'No vulnerabilities found.'", scan.ErrOutput, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scanner(t, govulncheck.Options{DB: db, Command: []string{scantest.Script(t, "govulncheck", tc.body)}}).Scan(t.Context(), app)
			require.ErrorIs(t, err, tc.kind)
			assert.ErrorContains(t, err, tc.says)
		})
	}
	_, err = scanner(t, govulncheck.Options{DB: db, Command: []string{"/nowhere/govulncheck"}}).Scan(t.Context(), app)
	require.ErrorIs(t, err, scan.ErrToolMissing)
}

// The engine does not tell the go command that nobody waits for it any more. Whoever cancels a scan wants it to end
// all the same, and what it has started.
func TestScan_cancelEndsGoCommands(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the environment of other processes is read on Linux only")
	}
	realGo, err := exec.LookPath("go")
	require.NoError(t, err)
	// A go command whose listing hangs, with a child that hangs as well.
	pids := filepath.Join(t.TempDir(), "pids")
	fake := scantest.Script(t, "go", `if [ "$1" != list ]; then exec `+realGo+` "$@"; fi
sleep 600 & echo $$ $! > `+pids+`.new; mv `+pids+`.new `+pids+`; wait`)
	t.Setenv("PATH", filepath.Dir(fake)+string(os.PathListSeparator)+os.Getenv("PATH"))
	db := flaws(t)
	for name, o := range map[string]govulncheck.Options{
		"in process":    {DB: db},
		"as a command":  {DB: db, Command: []string{os.Args[0]}, Env: []string{beEngine + "=1"}},
		"by a deadline": {DB: db},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(pids))
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			want := context.Canceled
			if name == "by a deadline" {
				want = context.DeadlineExceeded
			}
			stopped := make(chan time.Time, 1)
			go func() {
				assert.Eventually(t, func() bool { _, err := os.Stat(pids); return err == nil }, time.Minute, 5*time.Millisecond)
				stopped <- time.Now()
				cancel(want)
			}()
			_, err := scanner(t, o).Scan(ctx, shop(t))
			require.ErrorIs(t, err, want)
			require.ErrorIs(t, err, scan.ErrBroken)
			assert.Less(t, time.Since(<-stopped), 10*time.Second, "it is not waited for")
			b, err := os.ReadFile(pids)
			require.NoError(t, err)
			for pid := range strings.FieldsSeq(string(b)) {
				assert.Eventually(t, func() bool { return gone(t, pid) }, 10*time.Second, 10*time.Millisecond, "process %s lives on", pid)
			}
		})
	}
}

// gone reports whether a process has ended; one that is dead and not yet collected has.
func gone(t *testing.T, pid string) bool {
	t.Helper()
	n, err := strconv.Atoi(pid)
	require.NoError(t, err)
	if syscall.Kill(n, 0) == syscall.ESRCH {
		return true
	}
	b, _ := os.ReadFile("/proc/" + pid + "/stat")
	return strings.Contains(string(b), ") Z ")
}
