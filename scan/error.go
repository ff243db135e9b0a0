package scan

import (
	"errors"
	"strconv"
	"strings"
)

// The kinds of failure. See the package comment for when each is returned. Trying again helps with
// ErrUnavailable only.
var (
	ErrTarget      = errors.New("bad target")
	ErrSkipped     = errors.New("nothing to scan")
	ErrToolMissing = errors.New("tool not found")
	ErrToolVersion = errors.New("unsupported version of the tool")
	ErrConfig      = errors.New("bad configuration")
	ErrBroken      = errors.New("scanner failed")
	ErrOutput      = errors.New("unreadable output")
	ErrTooLarge    = errors.New("too large")
	ErrDenied      = errors.New("access denied")
	ErrUnavailable = errors.New("server unavailable")
)

// Error is the error of this package and of the scanners below it.
type Error struct {
	Op      string // what was being done, such as "scan" or "read output"
	Scanner string // name of the scanner, "" when none is involved
	Target  string // text form of the target, "" when none is involved
	Kind    error  // one of the sentinels above
	Err     error  // cause; nil when Kind says it all
	Stderr  string // last lines the tool wrote on standard error, redacted; may be empty
}

// Error returns one line: "scan: gitleaks: scan git:/src: scanner failed: cause". The target is quoted
// when it holds anything that could break a line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("scan: ")
	if e.Scanner != "" {
		b.WriteString(e.Scanner + ": ")
	}
	b.WriteString(e.Op)
	if e.Target != "" {
		b.WriteString(" " + printable(e.Target))
	}
	if e.Kind != nil {
		b.WriteString(": " + e.Kind.Error())
	}
	if e.Err != nil {
		b.WriteString(": " + strings.ReplaceAll(strings.TrimSpace(e.Err.Error()), "\n", "; "))
	}
	if s := lastLine(e.Stderr); s != "" {
		b.WriteString(" (standard error ends: " + s + ")")
	}
	return b.String()
}

// Unwrap returns Kind and Err, those that are not nil.
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

// printable returns s as it is when it fits on a line, and quoted when it does not.
func printable(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		s = strings.TrimSpace(s[i+1:])
	}
	return s
}
