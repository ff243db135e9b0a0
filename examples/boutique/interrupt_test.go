//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One interrupt ends the built program and everything it has started, and nothing stays behind but its papers.
func TestInterrupt_program(t *testing.T) {
	dir := t.TempDir()
	program, temp, out := filepath.Join(dir, "boutique"), filepath.Join(dir, "temp"), filepath.Join(dir, "out")
	require.NoError(t, os.Mkdir(temp, 0o755))
	build, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(build))

	cmd := exec.CommandContext(t.Context(), program, "-out", out)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to see whether anybody is left in it
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var said strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "gitleaks") && strings.Count(said.String(), "gitleaks") == 1 { // govulncheck and the tests are at it
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
		}
	}
	err = cmd.Wait()
	require.Error(t, err)
	assert.Equal(t, 3, cmd.ProcessState.ExitCode(), said.String())
	assert.Contains(t, said.String(), "is cancelled after")
	assert.Contains(t, read(t, filepath.Join(out, mailFile)), "cancelled")
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, left)
	require.ErrorIs(t, syscall.Kill(-cmd.Process.Pid, 0), syscall.ESRCH, "no process is left in its group")
}
