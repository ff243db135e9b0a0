package offspring

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// End ends all processes of this user with mark in their environment, by force.
func End(mark string) {
	// Again, for those that were being started meanwhile.
	for range 10 {
		if end([]byte(mark)) == 0 {
			return
		}
	}
}

func end(mark []byte) (found int) {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environments {
		env, err := os.ReadFile(path) // empty for one that is dead, forbidden for one of another user
		if err != nil || !bytes.Contains(env, mark) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			found++
		}
	}
	return found
}
