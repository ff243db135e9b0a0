package secrets

import (
	"errors"
	"strings"
	"time"
)

// The kinds of failure; see the package comment for when each is returned.
var (
	ErrBadRef          = errors.New("invalid reference")
	ErrNoStore         = errors.New("no store for this scheme")
	ErrNotFound        = errors.New("not found")
	ErrNoKey           = errors.New("no such key")
	ErrDeleted         = errors.New("version is deleted")
	ErrDestroyed       = errors.New("version is destroyed")
	ErrDenied          = errors.New("permission denied")
	ErrUnauthenticated = errors.New("not authenticated")
	ErrSealed          = errors.New("store is sealed")
	ErrThrottled       = errors.New("too many requests")
	ErrUnavailable     = errors.New("store unavailable")
	ErrConflict        = errors.New("changed by somebody else")
	ErrWrongEngine     = errors.New("wrong kind of secrets engine")
	ErrMalformed       = errors.New("malformed reply")
	ErrTooLarge        = errors.New("too large")
	ErrInsecure        = errors.New("refused as insecure")
	ErrType            = errors.New("value does not fit")
	ErrTooShort        = errors.New("too short to mask")
	ErrInvalid         = errors.New("invalid argument")
	ErrClosed          = errors.New("closed")
)

// An Error says what was tried, on what, and why it failed. It holds names, never values.
type Error struct {
	Op   string // what was tried: "get", "login", "renew"
	Ref  string // the reference or path; empty when it is about no single one
	Kind error  // one of the sentinels of this package
	Err  error  // the cause; may be nil

	After time.Duration // how long a throttling store asks to be left alone; 0 when it does not say
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("secrets: " + e.Op)
	if e.Ref != "" {
		b.WriteString(" " + e.Ref)
	}
	for _, err := range e.Unwrap() {
		b.WriteString(": " + err.Error())
	}
	return b.String()
}

// Unwrap returns the kind and the cause, those that are set.
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

// Retryable reports whether the same call may succeed later without anybody changing anything.
func (e *Error) Retryable() bool {
	return errors.Is(e.Kind, ErrSealed) || errors.Is(e.Kind, ErrThrottled) || errors.Is(e.Kind, ErrUnavailable)
}
