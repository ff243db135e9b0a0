package gitops

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of failure. Use [errors.Is].
var (
	ErrOptions     = errors.New("invalid options")                            // nothing was sent; fix the call
	ErrDenied      = errors.New("access denied")                              // credentials missing, wrong or without the right
	ErrNotFound    = errors.New("not found")                                  // no such repository, branch or revision
	ErrUnavailable = errors.New("server unavailable")                         // trying later may help
	ErrRejected    = errors.New("push rejected")                              // a hook or a protected branch; the server's words are in the message
	ErrConflict    = errors.New("others kept pushing first")                  // every attempt lost the race; trying later helps
	ErrProtocol    = errors.New("the server's reply makes no sense")          // not a git server, or a broken one
	ErrTooLarge    = errors.New("too large")                                  // a cap was reached; the message names it
	ErrHostKey     = errors.New("host key not accepted")                      // unknown or changed SSH host key
	ErrEdit        = errors.New("the edit failed")                            // a [manifest.Error] is in the chain
	ErrSupersede   = errors.New("cannot tell whether an image is superseded") // a tag the rule cannot read
	ErrSign        = errors.New("signing failed")
)

// Error is the one error type of this package.
type Error struct {
	Op   string // "open", "bump", "descends"
	Repo string // URL without userinfo and query
	Kind error  // one of the sentinels of this package; nil when only a context ended
	Err  error  // what is behind it, or nil
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gitops: %s", e.Op)
	if e.Repo != "" {
		fmt.Fprintf(&b, " %s", e.Repo)
	}
	for _, err := range e.Unwrap() {
		fmt.Fprintf(&b, ": %v", err)
	}
	return b.String()
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// fault is an error with its kind, on the way to becoming an Error.
type fault struct{ kind, err error }

func (f *fault) Error() string   { return fmt.Sprintf("%v: %v", f.kind, f.err) }
func (f *fault) Unwrap() []error { return []error{f.kind, f.err} }

func faultf(kind error, format string, args ...any) error {
	return &fault{kind, fmt.Errorf(format, args...)}
}

// wrap makes the Error that leaves the package.
func (r *Repo) wrap(op string, err error) error {
	e := &Error{Op: op, Repo: r.name, Err: err}
	f, direct := err.(*fault) //nolint:errorlint // only the outermost is taken off
	switch {
	case direct:
		e.Kind, e.Err = f.kind, f.err
	case errors.As(err, &f): // something stands around it, such as the end of the context during a pause
		e.Kind = f.kind
	}
	return e
}
