// Precommit is a git hook: it looks for secrets in what is staged, and runs gofmt, go vet and the short tests on
// a copy of the staged content when Go files are among it.
//
//	precommit install [DIR]    make this program the pre-commit hook of a repository
//	precommit [DIR]            check what is staged there, as the hook does
//
// It prints what it found. Exit code 0: the commit may go on; 1: it may not; 2: wrong usage; 3: something could
// not be checked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/gitleaks"
	"github.com/waybill-dev/waybill/scan/precommit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("precommit", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, "usage: precommit [install] [DIR]") }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	rest, dir := flags.Args(), "."
	install := len(rest) > 0 && rest[0] == "install"
	if install {
		rest = rest[1:]
	}
	switch len(rest) {
	case 0:
	case 1:
		dir = rest[0]
	default:
		flags.Usage()
		return 2
	}
	var err error
	ok := true
	if install {
		err = installHook(ctx, dir, stdout)
	} else {
		ok, err = check(ctx, dir, stdout)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "precommit:", err)
		return 3
	case !ok:
		return 1
	}
	return 0
}

func installHook(ctx context.Context, dir string, stdout io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	hook, err := precommit.Install(ctx, dir, []string{self}, nil)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "installed", hook)
	return nil
}

func check(ctx context.Context, dir string, stdout io.Writer) (bool, error) {
	secrets, err := gitleaks.New(nil)
	if err != nil {
		return false, err
	}
	goFiles := []string{"*.go", "go.mod", "go.sum"}
	out, err := precommit.Run(ctx, dir, &precommit.Options{
		Scanners: []scan.Scanner{secrets},
		Checks: []precommit.Check{
			{Name: "gofmt", Command: []string{"sh", "-c", `test -z "$(gofmt -l "$@" | tee /dev/stderr)"`, "sh", "{files}"}, Files: []string{"*.go"}},
			{Name: "vet", Command: []string{"go", "vet", "./..."}, Files: goFiles, WholeTree: true},
			{Name: "test", Command: []string{"go", "test", "-short", "./..."}, Files: goFiles, WholeTree: true},
		},
	})
	if out == nil {
		return false, err
	}
	fmt.Fprint(stdout, out)
	return out.OK(), err
}
