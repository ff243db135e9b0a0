//go:build unix

package secrets

import "syscall"

const nonblock = syscall.O_NONBLOCK
