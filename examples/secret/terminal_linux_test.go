package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal returns both ends of a new one.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = master.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

// countInterrupts in the environment makes the test binary a command that exits with the number of its interrupts.
const countInterrupts = "SECRET_TEST_COUNT_INTERRUPTS"

func init() {
	if os.Getenv(countInterrupts) == "" {
		return
	}
	interrupts := make(chan os.Signal, 8)
	signal.Notify(interrupts, os.Interrupt)
	fmt.Println("ready")
	for n := 0; ; n++ {
		select {
		case <-interrupts:
			fmt.Println("interrupted")
		case <-time.After(2 * time.Second):
			os.Exit(n)
		}
	}
}

// Ctrl-C reaches the command from the terminal; it must not come a second time from us.
func TestRun_interruptedOnceAtTheTerminal(t *testing.T) {
	master, slave := terminal(t)
	cmd := program(t, nil, "run", "-env", countInterrupts+"=env://HOME", "--", os.Args[0])
	cmd.Stdin = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(out)
	for range 5 { // "ready", and then one for each
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
		_, err = master.Write([]byte{3})
		require.NoError(t, err)
	}
	_, _ = io.Copy(io.Discard, lines)
	_ = cmd.Wait()
	assert.Equal(t, 5, cmd.ProcessState.ExitCode(), "times interrupted")
}
