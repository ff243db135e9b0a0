// Package testbed brings up the real tools and servers that the integration tests run against.
//
// A tool is built once from its own module below internal/tools, pinned there, into a cache keyed by its
// version; a server listens on loopback, on a free port, keeps its files in a temporary directory and ends
// with the test. Programs that Debian packages are taken from the PATH.
//
// Building takes minutes for some tools, so a test never builds: it asks with [Require], and where the tool
// is not there the test fails under CI=true and is skipped elsewhere, saying which command makes it. From
// the root of the repository:
//
//	go run ./internal/testbed/cmd build [TOOL...]    build what is missing (all tools when none is named)
//	go run ./internal/testbed/cmd path TOOL          the path of a tool that is built
//	go run ./internal/testbed/cmd list               tools, versions, and where they are
//	go run ./internal/testbed/cmd debian             the Debian packages the tests use, for apt-get install
//	go run ./internal/testbed/cmd support [-w] FILE  the README's support table, of what was recorded in FILE
//	go run ./internal/testbed/cmd up SERVER          start a server and keep it until interrupted
package testbed

import (
	"context"
	"os"
	"os/exec"
)

// TB is the part of [testing.TB] that the testbed needs, so that a server can run outside a test too.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	Cleanup(f func())
	TempDir() string
	Context() context.Context
}

// Require returns the built tool, or fails the test under CI=true and skips it elsewhere.
func Require(tb TB, spec Spec) *Tool {
	tb.Helper()
	tool, err := spec.Find()
	if err != nil {
		missing(tb, "%s: %v; build it with: go run ./internal/testbed/cmd build %s", spec.Name, err, spec.Name)
		return nil
	}
	record(tb, tool.Name, tool.Version)
	return tool
}

// Debian returns the path of a program that a Debian package installs, looked up on the PATH first and then
// at the given other places. Without it the test fails under CI=true and is skipped elsewhere. The package
// must stand in [DebianPackages].
func Debian(tb TB, pkg, program string, places ...string) string {
	tb.Helper()
	for _, name := range append([]string{program}, places...) {
		if path, err := exec.LookPath(name); err == nil {
			record(tb, pkg, debianRelease())
			return path
		}
	}
	missing(tb, "%s is not installed; apt-get install %s", program, pkg)
	return ""
}

func missing(tb TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("testbed: "+format, args...)
	}
	tb.Skipf("testbed: "+format, args...)
}
