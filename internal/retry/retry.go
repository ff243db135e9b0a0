// Package retry repeats an operation with capped, fully jittered exponential backoff.
//
// An operation asks for another try by returning an error marked with [Again] or [AgainAfter]; every
// other error is final. The marks are taken off before an error reaches the caller, so what comes out of
// [Do] is the operation's own error.
package retry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Policy says how often and how patiently to try. The zero value is ready to use.
type Policy struct {
	Attempts int           // tries in all, the first included; 0 means 4
	Base     time.Duration // upper bound of the first pause, doubled for each further one; 0 means 200 ms
	Max      time.Duration // upper bound of any pause, asked-for ones included; 0 means 10 s

	// OnRetry, when set, is called before each pause with the number of the try that failed (from 1),
	// its error and the pause to come.
	OnRetry func(attempt int, err error, pause time.Duration)
}

type again struct {
	err   error
	after time.Duration
}

func (a *again) Error() string { return a.err.Error() }
func (a *again) Unwrap() error { return a.err }

// Again marks err as worth another try after the policy's own pause. Again(nil) is nil.
func Again(err error) error { return AgainAfter(err, 0) }

// AgainAfter marks err as worth another try, not before d has passed (what a server asks for in
// Retry-After). A d beyond the policy's Max makes the error final: waiting that long is the caller's call.
// AgainAfter(nil, d) is nil.
func AgainAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &again{err: err, after: d}
}

// Do calls f until it returns nil, a final error, the attempts are used up, or ctx ends. f gets the number
// of the try, from 1. When ctx ends during a pause, or its deadline would pass before the pause is over,
// the error reaches both the last failure and the context's error through [errors.Is].
func Do(ctx context.Context, p Policy, f func(ctx context.Context, attempt int) error) error {
	for attempt := 1; ; attempt++ {
		err := f(ctx, attempt)
		var a *again
		if !errors.As(err, &a) {
			return err
		}
		if _, outermost := err.(*again); outermost { //nolint:errorlint // only an outermost mark can be taken off
			err = a.err
		}
		if attempt >= p.attempts() || a.after > p.max() {
			return err
		}
		pause := max(p.Pause(attempt), a.after)
		if p.OnRetry != nil {
			p.OnRetry(attempt, err, pause)
		}
		if cerr := Sleep(ctx, pause); cerr != nil {
			return &stoppedError{last: err, ctx: cerr}
		}
	}
}

// Pause returns the pause after the given failed try (from 1): uniform between 0 and Base·2^(attempt-1),
// never more than Max.
func (p Policy) Pause(attempt int) time.Duration {
	bound := p.Base
	if bound <= 0 {
		bound = 200 * time.Millisecond
	}
	for i := 1; i < attempt && bound < p.max(); i++ {
		bound *= 2
	}
	return time.Duration(rand.Int64N(int64(min(bound, p.max())) + 1)) //nolint:gosec // jitter, not a secret
}

// Sleep pauses for d. It returns the context's error when ctx ends first, and at once with
// [context.DeadlineExceeded] when the deadline lies before the end of the pause.
func Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return context.DeadlineExceeded
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p Policy) attempts() int {
	if p.Attempts <= 0 {
		return 4
	}
	return p.Attempts
}

func (p Policy) max() time.Duration {
	if p.Max <= 0 {
		return 10 * time.Second
	}
	return p.Max
}

type stoppedError struct{ last, ctx error }

func (e *stoppedError) Error() string {
	return fmt.Sprintf("%v (no further try: %v)", e.last, e.ctx)
}
func (e *stoppedError) Unwrap() []error { return []error{e.last, e.ctx} }
