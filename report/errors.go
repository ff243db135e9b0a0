package report

import (
	"errors"
	"strings"
)

// The kinds of errors of this package and of the packages below it. None goes away by trying again.
var (
	// ErrEmpty says that the input has no content at all, as tools leave behind that died early.
	ErrEmpty = errors.New("input is empty")
	// ErrTruncated says that the input ends in the middle.
	ErrTruncated = errors.New("input is truncated")
	// ErrSyntax says that the input breaks the syntax of its format; the message names the place.
	ErrSyntax = errors.New("syntax error")
	// ErrUnknownFormat says that the content is of no known format, or of more than one.
	ErrUnknownFormat = errors.New("unknown format")
	// ErrUnsupported says that the format is known and its version or variant is not read.
	ErrUnsupported = errors.New("unsupported version")
	// ErrTooLarge says that the input passes a cap; the message names the cap and its value.
	ErrTooLarge = errors.New("too large")
	// ErrInvalid says that an option, policy or suppression contradicts itself or its schema.
	ErrInvalid = errors.New("invalid")
)

// Error is the error type of this package and of the packages below it.
type Error struct {
	// Op is what was tried: "read", "open", "merge", "gate", ...
	Op string
	// Subject is what it was tried on: a path, the name of a format or of an option. It may be empty.
	Subject string
	// Kind is one of the sentinels of this package, or nil.
	Kind error
	// Err is the cause, or nil when Kind says it all.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	parts := []string{"report", e.Op}
	if e.Subject != "" {
		parts[1] += " " + e.Subject
	}
	if e.Kind != nil {
		parts = append(parts, e.Kind.Error())
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return harmless(strings.Join(parts, ": "))
}

// Unwrap returns Kind and Err, so that errors.Is and errors.As see both.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
