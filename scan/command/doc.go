// Package command runs external programs safely, and makes a [scan.Scanner] of any tool that writes a report
// format package report/format knows.
//
// A [Tool] is looked up on the PATH or where the caller says, and asked for its version; [Program.Run] starts
// it without a shell, with a small environment, with its output capped and the end of its standard error kept
// for the error message. Secrets reach a program by its environment or standard input, never by its
// arguments, which every user of the machine can read. Ending the context ends the program and the processes
// it started.
//
// # Errors
//
// Errors are [*scan.Error]; see [Tool.Find] and [Program.Run] for their kinds.
package command
