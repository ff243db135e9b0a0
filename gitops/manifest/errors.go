package manifest

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of failure. Use [errors.Is]. None of them goes away by trying again.
var (
	ErrEdit        = errors.New("invalid edit")
	ErrSyntax      = errors.New("not readable as YAML")
	ErrTemplate    = errors.New("a template, not YAML")
	ErrNotFound    = errors.New("image found nowhere")
	ErrCount       = errors.New("image found in an unexpected number of places")
	ErrAlias       = errors.New("a shared anchor belongs to different images")
	ErrUnsupported = errors.New("found in a form that cannot be edited")
	ErrTooLarge    = errors.New("too large")
	ErrProof       = errors.New("the edited file would not mean what was asked")
)

// Error is the one error type of this package.
type Error struct {
	Op     string   // "edit" (the request) or "set"
	File   string   // name given by the caller; empty when no single file is to blame
	Line   int      // from 1; 0 when unknown
	Column int      // in characters, from 1; 0 when unknown
	Image  string   // repository of the edit, if one is to blame
	Near   []string // with ErrNotFound: images that look alike
	Kind   error    // one of the sentinels of this package
	Err    error    // what is behind it, or nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("manifest: " + e.Op)
	if e.File != "" {
		b.WriteString(" " + e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
			if e.Column > 0 {
				fmt.Fprintf(&b, ":%d", e.Column)
			}
		}
	}
	if e.Image != "" {
		fmt.Fprintf(&b, ": %s", e.Image)
	}
	if e.Kind != nil {
		fmt.Fprintf(&b, ": %v", e.Kind)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if len(e.Near) > 0 {
		fmt.Fprintf(&b, " (alike: %s)", strings.Join(e.Near, ", "))
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
