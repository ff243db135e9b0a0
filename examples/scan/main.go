// Scan runs one scanner on one target, writes what it found as SARIF, and prints a line of JSON about it.
//
//	scan -scanner gitleaks [-o out.sarif] git:.@main..HEAD
//	scan -scanner command -format gosec . -- gosec -fmt json -quiet ./...
//
// Exit code 0: scanned, clean or not; 1: there was nothing for the scanner to look at; 2: wrong usage; 3: the scan
// failed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const (
	exitDone = iota
	exitSkipped
	exitUsage
	exitFailed
)

// summary is the line that is printed.
type summary struct {
	Scanner  string      `json:"scanner"`
	Version  string      `json:"version"`
	Target   string      `json:"target"`
	Findings int         `json:"findings"` // findings that count, and failed tests
	Seconds  float64     `json:"seconds"`
	Status   scan.Status `json:"status"`
	Reason   string      `json:"reason"`
}

// settings are what the flags say.
type settings struct {
	scanner, out, config, db, format string
	timeout                          time.Duration
	command                          []string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, target, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		complain(stderr, err)
		return exitUsage
	}
	s, err := choose(o)
	if err != nil {
		complain(stderr, err)
		return exitUsage
	}
	results, _ := scan.Run(ctx, []scan.Job{{Scanner: s, Target: target, Timeout: o.timeout}}, nil)
	res := results[0]
	for _, n := range res.Notes {
		fmt.Fprintln(stderr, "note:", n)
	}
	if o.out != "" {
		if err := write(ctx, o.out, res.Report); err != nil {
			complain(stderr, err)
			return exitFailed
		}
	}
	line := summary{
		Scanner: res.Scanner, Version: res.Version, Target: target.String(), Findings: scan.Count(res.Report),
		Seconds: float64(res.Took.Milliseconds()) / 1000, Status: res.Status, Reason: res.Reason,
	}
	if err := json.NewEncoder(stdout).Encode(line); err != nil {
		complain(stderr, err)
		return exitFailed
	}
	switch res.Status {
	case scan.Skipped:
		return exitSkipped
	case scan.Failed:
		return exitFailed
	}
	return exitDone
}

// complain prints an error; those of the library name themselves.
func complain(stderr io.Writer, err error) {
	fmt.Fprintln(stderr, "scan:", strings.TrimPrefix(err.Error(), "scan: "))
}

func parse(args []string, stderr io.Writer) (o settings, target scan.Target, err error) {
	flags := flag.NewFlagSet("scan", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: scan -scanner %s [flags] TARGET [-- COMMAND ARG...]\n%s", strings.Join(names(), "|"), targets)
		flags.PrintDefaults()
		fmt.Fprint(stderr, environment)
	}
	flags.StringVar(&o.scanner, "scanner", "", "`name` of the scanner")
	flags.StringVar(&o.out, "o", "", "write SARIF to `FILE`")
	flags.StringVar(&o.config, "config", "", "the scanner's configuration `FILE`: gitleaks.toml, Trivy's ignore file, sonar-project.properties, the Unified Agent's configuration")
	flags.StringVar(&o.db, "db", "", "`DIR` with the database: govulncheck's, or Trivy's cache; Trivy then asks nobody else")
	flags.StringVar(&o.format, "format", "", "`format` of what COMMAND writes; told by its content when not given")
	flags.DurationVar(&o.timeout, "timeout", 0, "end the scan after this `duration` (30m when not given)")
	if err := flags.Parse(args); err != nil {
		return o, target, err
	}
	rest := flags.Args()
	for i, a := range rest {
		if a == "--" {
			rest, o.command = rest[:i], rest[i+1:]
			break
		}
	}
	if len(rest) != 1 {
		return o, target, fmt.Errorf("want one TARGET, got %d (-h tells more)", len(rest))
	}
	if o.timeout < 0 {
		return o, target, errors.New("the timeout is negative")
	}
	target, err = scan.ParseTarget(rest[0])
	return o, target, err
}

// write writes the report next to its place and moves it there, so that half of one is never seen. What is no file,
// such as a pipe or /dev/stdout, is written to and not replaced, nor is a link to a file.
func write(ctx context.Context, path string, r *report.Report) error {
	ctx = context.WithoutCancel(ctx)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(report.WriteSARIF(ctx, f, r), f.Close())
	}
	if final, err := filepath.EvalSymlinks(path); err == nil {
		path = final
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".scan-*.sarif")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(report.WriteSARIF(ctx, f, r), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
