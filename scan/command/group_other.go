//go:build !unix

package command

import "os/exec"

// ownGroup does nothing where there are no process groups: cancellation ends the program alone.
func ownGroup(*exec.Cmd) (kill func()) { return func() {} }
