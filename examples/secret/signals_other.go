//go:build !unix

package main

import "os"

// passedOn are the signals that reach the command through us.
var passedOn = []os.Signal{os.Interrupt}

func exitCode(s *os.ProcessState) int { return s.ExitCode() }
