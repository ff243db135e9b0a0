package secrets

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxRef bounds a reference: longer ones are a mistake, or a secret in the wrong place.
const maxRef = 4096

// A Ref names one secret. Refs are comparable.
type Ref struct {
	Scheme  string // "vault", "env", "file", or what was registered with the resolver
	Path    string // what the scheme says; no leading slash except for files
	Key     string // the member of a JSON object; empty for the whole
	Version int    // 0 for the newest
}

// ParseRef reads a reference:
//
//	vault://mount/path?version=3#key
//	env://NAME#key
//	file:///path/to/file#key
//
// Paths and keys may use percent-encoding; a "#", "?" or "%" in them must. The error is an [*Error] of
// kind [ErrBadRef] and does not repeat the text, which may be a secret put in the wrong place.
func ParseRef(s string) (Ref, error) {
	r, err := parseRef(s)
	if err != nil {
		return Ref{}, &Error{Op: "parse reference", Kind: ErrBadRef, Err: err}
	}
	return r, nil
}

func parseRef(s string) (Ref, error) {
	if len(s) > maxRef {
		return Ref{}, fmt.Errorf("longer than %d bytes", maxRef)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return Ref{}, errors.New("contains a control character")
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return Ref{}, errors.New("want scheme://path#key")
	}
	if !validScheme(scheme) {
		return Ref{}, errors.New("the scheme must be lower-case letters, digits, '+', '-', '.', the first a letter")
	}
	rest, fragment, hasKey := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	r := Ref{Scheme: scheme}
	var err error
	if r.Path, err = url.PathUnescape(rest); err != nil {
		return Ref{}, errors.New("bad percent-encoding in the path")
	}
	if r.Key, err = url.PathUnescape(fragment); err != nil {
		return Ref{}, errors.New("bad percent-encoding in the key")
	}
	switch {
	case strings.ContainsAny(fragment, "?#"): // such as #key?version=3, which would be a key that is not there
		return Ref{}, errors.New("'?' and '#' in the key must be percent-encoded; ?version=… stands before the '#'")
	case hasKey && r.Key == "":
		return Ref{}, errors.New("empty key behind '#'")
	case strings.Trim(r.Path, "/") == "":
		return Ref{}, errors.New("empty path")
	case scheme == "file" && !strings.HasPrefix(r.Path, "/"):
		return Ref{}, errors.New("file references are absolute: file:///path")
	case scheme != "file" && (strings.HasPrefix(r.Path, "/") || strings.HasSuffix(r.Path, "/")):
		return Ref{}, errors.New("the path begins or ends with a slash")
	case strings.Contains(r.Path, "//"):
		return Ref{}, errors.New("empty element in the path")
	}
	for element := range strings.SplitSeq(r.Path, "/") {
		if element == "." || element == ".." {
			return Ref{}, errors.New("'.' or '..' in the path")
		}
	}
	if r.Version, err = parseVersion(query); err != nil {
		return Ref{}, err
	}
	return r, nil
}

func parseVersion(query string) (int, error) {
	if query == "" {
		return 0, nil
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return 0, errors.New("bad query")
	}
	for name := range q {
		if name != "version" {
			return 0, errors.New("unknown parameter; only version is known")
		}
	}
	n, err := strconv.Atoi(q.Get("version"))
	if err != nil || n < 1 || len(q["version"]) != 1 {
		return 0, errors.New("version must be one whole number from 1")
	}
	return n, nil
}

func validScheme(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(c))) {
			return false
		}
	}
	return s != ""
}

// String returns the reference as [ParseRef] reads it.
func (r Ref) String() string {
	var b strings.Builder
	b.WriteString(r.Scheme + "://" + escape(r.Path))
	if r.Version != 0 {
		fmt.Fprintf(&b, "?version=%d", r.Version)
	}
	if r.Key != "" {
		b.WriteString("#" + escape(r.Key))
	}
	return b.String()
}

// escape keeps everything readable except what would change the meaning.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f || c == '#' || c == '?' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// WithoutKey returns r with the key taken off: what a [Store] is asked for.
func (r Ref) WithoutKey() Ref {
	r.Key = ""
	return r
}
