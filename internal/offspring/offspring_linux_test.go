package offspring_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/offspring"
)

// A grandchild in a session of its own, whose parent is dead, is ended, whoever else has marked it; a process that is
// not marked lives.
func TestEnd(t *testing.T) {
	mark := offspring.Mark()
	require.NotEqual(t, mark, offspring.Mark())

	stranger := exec.Command("sleep", "600")
	require.NoError(t, stranger.Start())
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()

	parent := exec.Command("sh", "-c", "setsid sh -c 'echo $$; sleep 600 & echo $!; wait' & exit 0")
	parent.Env = append(os.Environ(), mark, offspring.Mark())
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	lines := bufio.NewScanner(out)
	var pids []string
	for range 2 {
		require.True(t, lines.Scan())
		pids = append(pids, lines.Text())
	}
	offspring.End(mark)
	require.NoError(t, parent.Wait())
	for _, pid := range pids {
		assert.Eventually(t, func() bool {
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			return err != nil || strings.Contains(string(stat), ") Z ")
		}, 5*time.Second, time.Millisecond, "process %s lives on", pid)
	}
	assert.NoError(t, stranger.Process.Signal(syscall.Signal(0)))
}
