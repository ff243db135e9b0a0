package notify

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The kinds of failure. Another try can help with those marked so ([Retryable]).
var (
	// ErrInvalid: the message or the options cannot be right, whatever the server. Nothing was sent.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge: over a cap of ours, or the server says so, and cutting did not help.
	ErrTooLarge = errors.New("too large")
	// ErrDenied: credentials are missing or wrong, or not allowed to do this.
	ErrDenied = errors.New("denied")
	// ErrGone: the address of the channel does not exist (any more). Make a new webhook.
	ErrGone = errors.New("no such destination")
	// ErrRejected: the server understood and refuses this message for good.
	ErrRejected = errors.New("rejected")
	// ErrPartial: some recipients were refused, and the others have the message; the receipt tells them apart.
	ErrPartial = errors.New("refused for some recipients")
	// ErrInsecure: sending would need less protection than was asked for, such as TLS that is not offered.
	ErrInsecure = errors.New("refused as insecure")
	// ErrPrivateAddress: the destination is a private, link-local or otherwise internal address.
	ErrPrivateAddress = errors.New("destination is an internal address")
	// ErrRateLimited: too many messages; worth another try, see Error.RetryAfter.
	ErrRateLimited = errors.New("rate limited")
	// ErrUnavailable: unreachable, out of order or too slow; worth another try.
	ErrUnavailable = errors.New("unavailable")
	// ErrAmbiguous: all was sent and no answer came, so the message may have arrived; worth another try,
	// under the same idempotency key.
	ErrAmbiguous = errors.New("broken off after sending")
)

// Error is the error type of this package and its leaves.
type Error struct {
	Op     string // "send", "check", "open", …
	Target string // the target's name, the channel, or what was wrong; never a URL with more than a host
	Kind   error  // one of the sentinels above; nil when a Notifier from elsewhere gave no kind
	Err    error  // the cause; nil when Kind says all

	// RetryAfter is how long the server asks to wait before the next try; zero when it does not.
	RetryAfter time.Duration
}

// Error is "notify: op target: kind: cause", on one line.
func (e *Error) Error() string {
	parts := []string{"notify: " + strings.TrimSpace(e.Op+" "+e.Target)}
	if e.Kind != nil {
		parts = append(parts, e.Kind.Error())
	}
	if e.RetryAfter > 0 {
		parts = append(parts, fmt.Sprintf("retry after %s", e.RetryAfter))
	}
	if e.Err != nil {
		parts = append(parts, strings.ReplaceAll(e.Err.Error(), "\n", "; "))
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.Kind != nil {
		errs = append(errs, e.Kind)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// Retryable reports whether another try of what gave err may end otherwise: [ErrUnavailable],
// [ErrRateLimited] or [ErrAmbiguous].
func Retryable(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRateLimited) || errors.Is(err, ErrAmbiguous)
}

func invalid(op, target string, err error) error {
	return &Error{Op: op, Target: target, Kind: ErrInvalid, Err: err}
}
