package argocd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The kinds of [*Error].
var (
	// ErrInvalid: an argument or option is wrong. Nothing was sent.
	ErrInvalid = errors.New("invalid argument")
	// ErrNotFound: the application, or the history entry, does not exist in the project, or is being deleted.
	ErrNotFound = errors.New("not found")
	// ErrDenied: the token is missing, wrong or expired, or its account may not do this.
	ErrDenied = errors.New("denied")
	// ErrUnavailable: the server cannot be reached or is not well. Trying again may help.
	ErrUnavailable = errors.New("unavailable")
	// ErrBusy: another operation is in progress. Trying again later helps.
	ErrBusy = errors.New("another operation is in progress")
	// ErrBlocked: a sync window of the project forbids syncing now.
	ErrBlocked = errors.New("blocked by a sync window")
	// ErrRefused: the server will not do this, and says why.
	ErrRefused = errors.New("refused")
	// ErrReply: the server's reply cannot be understood or is too large.
	ErrReply = errors.New("unexpected reply")

	// ErrSyncFailed: the sync of the wanted revision ended in Failed or Error.
	ErrSyncFailed = errors.New("sync failed")
	// ErrComparison: the server cannot read what the repository holds, so there is nothing to sync to.
	ErrComparison = errors.New("manifests cannot be read")
	// ErrPreempted: the operation to follow was replaced by another before its end was seen.
	ErrPreempted = errors.New("operation replaced by another")
	// ErrOutOfSync: the sync succeeded, and the application still differs from the revision.
	ErrOutOfSync = errors.New("still out of sync")
	// ErrDegraded: the wanted revision is deployed and has been Degraded longer than the grace.
	ErrDegraded = errors.New("degraded")
	// ErrTimeout: the time of the wait ran out.
	ErrTimeout = errors.New("timed out")

	errIdle     = errors.New("no operation in progress")
	errAutoSync = errors.New("syncs by itself")
)

// Error is the error of every function of this package.
type Error struct {
	Op     string  // "sync", "wait", …
	App    string  // as the caller gave it; "" for the client itself
	Kind   error   // one of the sentinels, or nil
	Err    error   // the cause
	Report *Report // of a wait: what was last seen; else nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("argocd: " + e.Op)
	if e.App != "" {
		fmt.Fprintf(&b, " %q", e.App)
	}
	if e.Kind != nil {
		b.WriteString(": " + e.Kind.Error())
	}
	if e.Err != nil && !errors.Is(e.Kind, e.Err) {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
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

// Code is a gRPC status code, which Argo CD's REST replies carry too.
type Code int

// The codes that this package tells apart.
const (
	CodeUnknown            Code = 2
	CodeInvalidArgument    Code = 3
	CodeDeadlineExceeded   Code = 4
	CodeNotFound           Code = 5
	CodePermissionDenied   Code = 7
	CodeResourceExhausted  Code = 8
	CodeFailedPrecondition Code = 9
	CodeAborted            Code = 10
	CodeInternal           Code = 13
	CodeUnavailable        Code = 14
	CodeUnauthenticated    Code = 16
)

// StatusError is a refusal in the server's words.
type StatusError struct {
	Code    Code
	HTTP    int    // the HTTP status; 0 over gRPC
	Message string // cut to 2,000 characters
}

func (e *StatusError) Error() string {
	if e.HTTP != 0 {
		return fmt.Sprintf("%d %s: %s", e.HTTP, http.StatusText(e.HTTP), e.Message)
	}
	return fmt.Sprintf("code %d: %s", e.Code, e.Message)
}

// wrap makes the one [*Error] of a failure, unless it is one already.
func wrap(op, app string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Op: op, App: app, Kind: exported(kindOf(err)), Err: err}
}

// exported turns the kinds that only this package tells apart into one that callers know.
func exported(kind error) error {
	if errors.Is(kind, errAutoSync) || errors.Is(kind, errIdle) {
		return ErrRefused
	}
	return kind
}

// field is an error about an option or argument.
func field(name, format string, args ...any) error {
	return fmt.Errorf("%s: %w", name, fmt.Errorf(format, args...))
}

type kindError struct {
	kind, err error
}

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// invalid returns an ErrInvalid of the errors, or nil when there is none.
func invalid(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return &kindError{ErrInvalid, err}
	}
	return nil
}

// kindOf is the one place where answers become kinds. Argo CD tells several refusals apart only by their
// text; the texts are pinned by tests against the real server.
func kindOf(err error) error {
	if err == nil {
		return nil
	}
	if k, ok := errors.AsType[*kindError](err); ok {
		return k.kind
	}
	s, ok := errors.AsType[*StatusError](err)
	if !ok {
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return ErrUnavailable // no answer at all
	}
	text := s.Message
	switch {
	case strings.Contains(text, "another operation is already in progress"):
		return ErrBusy
	case strings.Contains(text, "sync window"):
		return ErrBlocked
	case strings.Contains(text, "auto-sync currently set to"):
		return errAutoSync
	case strings.Contains(text, "No operation is in progress"):
		return errIdle
	case strings.Contains(text, "does not have deployment with id"):
		return ErrNotFound
	case strings.Contains(text, "error resolving repo revision") && !strings.Contains(text, "unable to resolve"):
		return ErrUnavailable // the repository, which the server asks what the branch is at
	}
	switch s.Code {
	case CodeNotFound:
		return ErrNotFound
	case CodePermissionDenied, CodeUnauthenticated:
		return ErrDenied
	case CodeInvalidArgument, CodeFailedPrecondition:
		return ErrRefused
	}
	return ErrUnavailable
}

// transient reports whether the same request may turn out otherwise.
func transient(err error) bool { return errors.Is(kindOf(err), ErrUnavailable) }
