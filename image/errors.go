package image

import (
	"errors"
	"fmt"
	"strings"
)

// What can go wrong, as kinds to compare with [errors.Is]. Only [ErrUnavailable] is worth another try
// later; the client has tried several times by itself before it returns it.
var (
	ErrInvalid     = errors.New("invalid input")                            // a reference, spec, option or layout that cannot be right; returned before any I/O where possible
	ErrNotFound    = errors.New("not found")                                // no such repository, tag, digest, file or platform
	ErrDenied      = errors.New("access denied")                            // no, wrong or insufficient credentials, or the registry forbids it
	ErrTagExists   = errors.New("tag already points to another image")      // the tag guard refused to move a tag, or somebody moved it while we pushed
	ErrDigest      = errors.New("content does not match its digest")        // bytes that are not what their digest says, from a registry or a layout
	ErrTooLarge    = errors.New("larger than the cap")                      // a cap on bytes, entries, depth or pages was passed; the text names it
	ErrUnsafe      = errors.New("unsafe archive entry")                     // an archive entry that would leave the root, or is no file, directory or link
	ErrRedirect    = errors.New("redirect refused")                         // from public to private, from https to http, or too many
	ErrBuild       = errors.New("build failed")                             // the compiler or builder said no; the text holds the end of its output
	ErrUnavailable = errors.New("registry or builder unavailable")          // network errors and 408, 429, 5xx after all tries
	ErrRegistry    = errors.New("registry broke the distribution protocol") // a reply that the protocol does not allow
)

// Error is the one error type that leaves this package and the packages below it.
type Error struct {
	Op   string // what was being done: "build", "push", "resolve", …
	Ref  string // on what: a reference, a directory, a package path; may be empty
	Kind error  // one of the sentinels above, or nil when it is none of them (a context's end, a local I/O error)
	Err  error  // the cause, without secrets; may be nil
}

func (e *Error) Error() string {
	parts := []string{"image: " + strings.TrimSpace(e.Op+" "+e.Ref)}
	if e.Kind != nil {
		parts = append(parts, e.Kind.Error())
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
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

// RegistryError is a refusal by a registry, in the chain of the [*Error] that reports it.
type RegistryError struct {
	Method string // of the request
	URL    string // of the request, without userinfo and query
	Status int    // HTTP status
	Code   string // first error code of the distribution API, such as "MANIFEST_UNKNOWN"; may be empty
	Detail string // the registry's message, cut to a line; may be empty
}

func (e *RegistryError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s: status %d %s %s", e.Method, e.URL, e.Status, e.Code, e.Detail))
}

// kindError carries a kind up to the boundary, where [wrap] makes one [*Error] of it.
type kindError struct {
	kind error
	err  error
}

func (e *kindError) Error() string { return e.err.Error() }

func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// fail makes an error of a kind; the format is [fmt.Errorf]'s.
func fail(kind error, format string, args ...any) error {
	return &kindError{kind: kind, err: fmt.Errorf(format, args...)}
}

// wrap makes the one [*Error] of err. It is called once, in the exported functions.
func wrap(op, ref string, err error) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*Error](err); done {
		return err
	}
	if errors.Is(err, errLogin) {
		ref = ""
	}
	e := &Error{Op: op, Ref: ref, Err: err}
	if k, ok := errors.AsType[*kindError](err); ok {
		e.Kind = k.kind
	}
	if k, ok := err.(*kindError); ok { //nolint:errorlint // only the outermost is taken off
		e.Err = k.err
	}
	return e
}
