//go:build unix

package command

import (
	"os/exec"
	"syscall"
)

// ownGroup makes cmd the leader of a process group, so that ending it ends what it started. Cancellation
// asks politely; the returned function is the forced end.
func ownGroup(cmd *exec.Cmd) (kill func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	return func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}
}
