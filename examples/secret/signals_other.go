//go:build !unix

package main

import "os"

// passedOn are the signals that reach the command through us.
var passedOn = []os.Signal{os.Interrupt}

func exitCode(s *os.ProcessState) int { return s.ExitCode() }

// fromKeyboard: consoles send Ctrl-C to every process in them.
func fromKeyboard(os.Signal) bool { return true }
