//go:build integration

package gitops_test

import (
	"os"
	"syscall"
)

// maxRSS returns the largest resident set of a process that has ended, in bytes.
func maxRSS(p *os.ProcessState) int64 {
	if usage, ok := p.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss << 10
	}
	return 0
}
