package scantest

import (
	"os"
	"path/filepath"
	"syscall"
)

// TB is the part of [testing.TB] that this package's helpers need.
type TB interface {
	Helper()
	TempDir() string
	Fatalf(format string, args ...any)
}

// Script writes a program that stands in for an external tool and returns its path. body is read by
// /bin/sh; the tool's arguments are "$1", "$2" and so on. It works where there is a /bin/sh.
func Script(tb TB, name, body string) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), name)
	// A program still open for writing cannot be started, and a process forked meanwhile would hold it open.
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700) //nolint:gosec // a program must be executable
	syscall.ForkLock.RUnlock()
	if err != nil {
		tb.Fatalf("scantest: %v", err)
	}
	return path
}
