package scan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Kind says what a [Target] is.
type Kind string

// The kinds of target.
const (
	Dir     Kind = "dir"     // the files of a directory, or one file
	Git     Kind = "git"     // the history of a git repository, or a range of it
	Staged  Kind = "staged"  // what is staged in a git repository, compared with HEAD
	Layout  Kind = "layout"  // an OCI image layout on disk
	Archive Kind = "archive" // an image in a tar file, as "docker save" writes it
	Image   Kind = "image"   // an image in a registry
	SBOM    Kind = "sbom"    // a software bill of materials: CycloneDX or SPDX
	Stream  Kind = "stream"  // bytes handed over by the caller; has no text form that [ParseTarget] takes
)

// Kinds are the kinds [ParseTarget] knows, in the order of its documentation.
func Kinds() []Kind { return []Kind{Dir, Git, Staged, Layout, Archive, Image, SBOM} }

// Target is what a scanner looks at.
type Target struct {
	Kind  Kind   // one of the constants above
	Path  string // path on disk; for Image the reference; for Stream a name
	Range string // Git only: a revision range as git log takes it, such as "main..HEAD"; "" is all history
}

// ParseTarget reads the text form of a target:
//
//	dir:PATH  git:PATH[@RANGE]  staged:PATH  layout:PATH  archive:PATH  image:REF  sbom:PATH
//
// Without a kind, s is a path that must exist: Git when it is a directory that holds .git, else Dir. In
// git:PATH@RANGE both parts may hold an @; the range starts at the first one behind which the path is a
// directory, and a directory of the whole name has no range. ParseTarget looks at the disk for these two
// questions only; whether the target can be scanned is for the scanner to find out. Errors are [*Error]
// with [ErrTarget].
func ParseTarget(s string) (Target, error) {
	kind, rest, found := strings.Cut(s, ":")
	if found {
		for _, k := range Kinds() {
			if string(k) == kind {
				return parseKind(k, rest)
			}
		}
	}
	if s == "" {
		return Target{}, targetError(s, errors.New("empty"))
	}
	if err := checkPath(s); err != nil {
		return Target{}, targetError(s, err)
	}
	if _, err := os.Stat(s); err != nil {
		if found {
			err = fmt.Errorf("%w (kinds of target: %s)", err, kindList())
		}
		return Target{}, targetError(s, err)
	}
	if _, err := os.Stat(filepath.Join(s, ".git")); err == nil {
		return Target{Kind: Git, Path: s}, nil
	}
	return Target{Kind: Dir, Path: s}, nil
}

func parseKind(k Kind, rest string) (Target, error) {
	t := Target{Kind: k, Path: rest}
	if k == Git {
		t.Path, t.Range = splitRange(rest)
	}
	if err := t.check(); err != nil {
		return Target{}, targetError(string(k)+":"+rest, err)
	}
	return t, nil
}

// splitRange splits PATH@RANGE, looking at the disk because either part may hold an @.
func splitRange(s string) (path, revisions string) {
	if isDir(s) {
		return s, ""
	}
	for i := range len(s) {
		if s[i] == '@' && isDir(s[:i]) {
			return s[:i], s[i+1:]
		}
	}
	path, revisions, _ = strings.Cut(s, "@")
	return path, revisions
}

// Check reports what is wrong with the target's form, as an [*Error] with [ErrTarget]: an unknown kind, no
// path, a NUL byte, a range outside Git, or a range or reference that a program could take for an option.
// It does not look at the disk.
func (t Target) Check() error {
	if err := t.check(); err != nil {
		return targetError(t.String(), err)
	}
	return nil
}

func (t Target) check() error {
	switch t.Kind {
	case Dir, Git, Staged, Layout, Archive, Image, SBOM, Stream:
	case "":
		return errors.New("no kind")
	default:
		return fmt.Errorf("unknown kind %q (kinds of target: %s)", t.Kind, kindList())
	}
	switch {
	case t.Path == "" && t.Kind == Image:
		return errors.New("no reference")
	case t.Path == "" && t.Kind != Stream:
		return errors.New("no path")
	case t.Range != "" && t.Kind != Git:
		return errors.New("a range belongs to a git target")
	case strings.HasPrefix(t.Range, "-"):
		return errors.New("a range does not start with a dash")
	case t.Kind == Image && strings.HasPrefix(t.Path, "-"):
		return errors.New("a reference does not start with a dash")
	case t.Kind == Image && strings.ContainsFunc(t.Path, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return errors.New("a reference holds no spaces and no control characters")
	}
	return errors.Join(checkPath(t.Path), checkPath(t.Range))
}

func checkPath(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("holds a NUL byte")
	}
	return nil
}

// Arg returns the target's path in a form no program takes for an option: a path that starts with a dash
// gets "./" before it. References come back unchanged.
func (t Target) Arg() string {
	if t.Kind != Image && strings.HasPrefix(t.Path, "-") {
		return "." + string(filepath.Separator) + t.Path
	}
	return t.Path
}

// String returns the text form, as [ParseTarget] reads it.
func (t Target) String() string {
	s := string(t.Kind) + ":" + t.Path
	if t.Range != "" {
		s += "@" + t.Range
	}
	return s
}

// MarshalText is [Target.String], for JSON and flags.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what [Target.MarshalText] wrote. Unlike [ParseTarget] it takes Stream, and needs a
// kind.
func (t *Target) UnmarshalText(b []byte) error {
	kind, rest, found := strings.Cut(string(b), ":")
	if !found {
		return targetError(string(b), errors.New("no kind"))
	}
	parsed, err := parseKind(Kind(kind), rest)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

func targetError(target string, err error) error {
	return &Error{Op: "parse target", Target: target, Kind: ErrTarget, Err: err}
}

func kindList() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
