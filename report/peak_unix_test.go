//go:build unix

package report_test

import (
	"os"
	"runtime"
	"syscall"
)

// peakMemory returns the peak of a process's memory in bytes.
func peakMemory(s *os.ProcessState) int64 {
	usage, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss
	}
	return usage.Maxrss * 1024
}
