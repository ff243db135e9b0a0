package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/export"
)

// credentials are what the command must not inherit: with them it could read far more than it is given.
var credentials = []string{"VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID"}

// runCommand runs the command with the values in its environment and returns its exit code.
func runCommand(ctx context.Context, q *request, stdout, stderr io.Writer) (code int, err error) {
	// From here on signals are the command's, also one that arrives just before it starts.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)

	s, err := open(q, q.refs(), stderr)
	if err != nil {
		return exitBroken, err
	}
	defer func() {
		if closeErr := s.close(ctx); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("revoking: %w", closeErr))
			if code == 0 {
				code = exitBroken
			}
		}
	}()
	for _, name := range credentials {
		if v := os.Getenv(name); v != "" {
			_ = s.redactor.Add(name, secrets.NewValue(v)) // too short to mask is no credential
		}
	}
	fetching, stop := signal.NotifyContext(ctx, interrupts...) // while there is no command to pass them to
	items, err := export.Resolve(fetching, s.resolver, q.items)
	stop()
	if err != nil {
		return exitBroken, err
	}
	env, err := export.Environ(items)
	if err != nil {
		return exitUsage, err
	}

	out, errOut := s.redactor.Writer(stdout), s.redactor.Writer(stderr)
	cmd := exec.Command(q.rest[0], q.rest[1:]...) //nolint:gosec // the caller's command, ended by the caller's signals
	cmd.WaitDelay = 10 * time.Second              // for what it leaves in the background, which would otherwise hold us for ever
	cmd.Env = append(inherited(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, errOut
	if err := cmd.Start(); err != nil {
		return exitBroken, err
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-signals:
				if !fromKeyboard(sig) { // which the command has got already
					_ = cmd.Process.Signal(sig) // it may just have ended
				}
			case <-ended:
				return
			}
		}
	}()
	waitErr := cmd.Wait()
	close(ended)
	flushErr := errors.Join(out.Close(), errOut.Close())
	if _, exited := errors.AsType[*exec.ExitError](waitErr); waitErr != nil && !exited && !errors.Is(waitErr, exec.ErrWaitDelay) {
		return exitBroken, errors.Join(waitErr, flushErr)
	}
	return exitCode(cmd.ProcessState), flushErr
}

func inherited() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(credentials, name)
	})
}
