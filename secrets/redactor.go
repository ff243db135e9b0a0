package secrets

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf16"
	"unicode/utf8"
)

// Mask stands in a redacted text wherever a value was.
const Mask = "***"

// minMask is the length below which masking does harm: "on" or "80" would make holes everywhere and tell
// what they hide.
const minMask = 4

// A Redactor knows values and masks them in text. It finds each one as it is; in base64 (standard and URL
// alphabet, whatever the bytes before it, as in "user:password"), hex, percent-encoding, inside JSON and Go
// strings, HTML and XML, and shell quotes, as the libraries of the common languages write these; as Go prints bytes;
// and, when it has several lines, each line of 4 bytes or more by itself. Values that overlap are masked together. It does not find a value that was compressed, encrypted,
// split over lines or encoded twice.
//
// The zero value is not ready; use [NewRedactor]. It is safe for concurrent use, and may learn while it is in use.
type Redactor struct {
	state func() *redactorState // a closure, so that nothing prints the patterns
}

type redactorState struct {
	mu       sync.Mutex
	patterns map[string]bool
	compiled atomic.Pointer[matcher] // nil when patterns has changed since
}

// NewRedactor returns a Redactor that knows nothing yet.
func NewRedactor() *Redactor {
	s := &redactorState{patterns: map[string]bool{}}
	return &Redactor{state: func() *redactorState { return s }}
}

// Add teaches the redactor a value; name is for the error only. Values of fewer than 4 bytes are refused with
// an [*Error] of kind [ErrTooShort], the empty one excepted, which needs no masking. Adding twice does nothing.
func (r *Redactor) Add(name string, v Value) error {
	if n := v.Len(); n == 0 {
		return nil
	} else if n < minMask {
		return &Error{Op: "mask", Ref: name, Kind: ErrTooShort, Err: fmt.Errorf("%d bytes, masking takes %d", n, minMask)}
	}
	s := r.state()
	raw := v.Expose()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.patterns[raw] && s.patterns[hex.EncodeToString([]byte(raw))] {
		return nil
	}
	for _, form := range forms(raw) {
		s.patterns[form] = true
	}
	for line := range strings.Lines(raw) {
		if line = strings.TrimSpace(line); len(line) >= minMask {
			for _, form := range escapes(line) {
				s.patterns[form] = true
			}
		}
	}
	s.compiled.Store(nil)
	return nil
}

// Redact returns s with every known value masked.
func (r *Redactor) Redact(s string) string {
	m := r.matcher()
	if m.empty() {
		return s
	}
	out, _ := m.scan(nil, []byte(s), -1, true)
	return string(out)
}

// Error returns err with a message that is masked, nil for nil. [errors.Is] and [errors.As] see through it;
// [errors.Unwrap] does not, so that nothing which walks and prints the chain meets the original.
func (r *Redactor) Error(err error) error {
	if err == nil {
		return nil
	}
	return &redactedError{r: r, err: func() error { return err }}
}

type redactedError struct {
	r   *Redactor
	err func() error
}

func (e *redactedError) Error() string        { return e.r.Redact(e.err().Error()) }
func (e *redactedError) Is(target error) bool { return errors.Is(e.err(), target) }
func (e *redactedError) As(target any) bool   { return errors.As(e.err(), target) }

func (r *Redactor) matcher() *matcher {
	s := r.state()
	if m := s.compiled.Load(); m != nil {
		return m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := compile(s.patterns)
	s.compiled.Store(m)
	return m
}

// forms lists what s looks like in the encodings a secret commonly appears in.
func forms(s string) []string {
	b := []byte(s)
	f := append(escapes(s), base64.StdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b),
		base64.RawStdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
		strings.Trim(fmt.Sprintf("%d", b), "[]")) // Go's %v of bytes
	for offset := range 3 {
		f = append(f, base64At(base64.RawStdEncoding, s, offset), base64At(base64.RawURLEncoding, s, offset))
	}
	return f
}

// base64At returns the characters that s gives when offset bytes stand before it, modulo 3, leaving out those
// that also depend on its neighbours.
func base64At(enc *base64.Encoding, s string, offset int) string {
	b := append(make([]byte, offset), s...)
	first := (offset*8 + 5) / 6 // characters touched by what is before
	return enc.EncodeToString(b)[first : len(b)*8/6]
}

// escapes lists the ways s is written inside quotes and URLs.
func escapes(s string) []string {
	inHTML, _ := json.Marshal(s)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	noHTML := strings.TrimSuffix(b.String(), "\n")
	const lower, upper, lowerHex, upperHex = `\u%04x`, `\u%04X`, "%%%02x", "%%%02X"
	goQuoted, goASCII := strconv.Quote(s), strconv.QuoteToASCII(s)
	f := []string{
		s,
		string(inHTML[1 : len(inHTML)-1]), noHTML[1 : len(noHTML)-1],
		strings.ReplaceAll(noHTML[1:len(noHTML)-1], "/", `\/`), strings.ReplaceAll(jsonASCII(s, "", lower), "/", `\/`), // PHP
		jsonASCII(s, "", lower), jsonASCII(s, "", upper), jsonASCII(s, "\"&'<>+`\x7f", upper), // Python, Java; .NET
		goQuoted[1 : len(goQuoted)-1], goASCII[1 : len(goASCII)-1],
		url.QueryEscape(s), url.PathEscape(s), (&url.URL{Path: s}).EscapedPath(), url.UserPassword("", s).String()[1:],
		percent(s, "-_.~", upperHex), percent(s, "-_.~", lowerHex),
		percent(s, "-_.~/", upperHex),                                                   // Python
		percent(s, "-_.~!*'()", upperHex), percent(s, "-_.~!*'();/?:@&=+$,#", upperHex), // JavaScript
		plus(percent(s, "-_. ", upperHex)), plus(percent(s, "-_. *", upperHex)), // PHP; Java and browsers
		plus(percent(s, "-_. !*()", upperHex)), plus(percent(s, "-_. !*()", lowerHex)), // .NET
		strings.ReplaceAll(s, "'", `'\''`), strings.ReplaceAll(s, "'", `'"'"'`),
		strings.ReplaceAll(s, "'", "''"), // PowerShell, YAML, SQL
		strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(s),
		backslashed(s, "-_./:=+@%,"), backslashed(s, "-_./:+@,"), // the second is Ruby's
		backslashed(s, "-_./:=+@%#~"), ansiC(s, false), ansiC(s, true), // bash
	}
	// XML text and attributes, Go, Python, PHP, and XML with all of its names.
	for _, quotes := range [][2]string{{`"`, "'"}, {"&quot;", "'"}, {"&#34;", "&#39;"}, {"&quot;", "&#39;"}, {"&quot;", "&#x27;"}, {"&quot;", "&#039;"}, {"&quot;", "&apos;"}} {
		f = append(f, strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, quotes[0], "'", quotes[1]).Replace(s))
	}
	return f
}

// asItIs reports whether c is a letter or a digit, or one of also.
func asItIs(c byte, also string) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte(also, c) >= 0
}

// percent is s percent-encoded, but for letters, digits and also.
func percent(s, also, format string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if asItIs(c, also) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, format, c)
		}
	}
	return b.String()
}

func plus(s string) string { return strings.ReplaceAll(s, " ", "+") }

// backslashed is s with a backslash before everything in ASCII but letters, digits and also.
func backslashed(s, also string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < utf8.RuneSelf && !asItIs(c, also) {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// ansiC is s as bash writes it inside $'…', with ascii as it does where the locale is not UTF-8.
func ansiC(s string, ascii bool) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if i := strings.IndexByte("\a\b\x1b\f\n\r\t\v\\'", c); i >= 0 {
			b.WriteString(`\` + `abEfnrtv\'`[i:i+1])
		} else if c < ' ' || c == 0x7f || ascii && c >= utf8.RuneSelf {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// jsonASCII is s inside a JSON string that is ASCII only, with each character of also, and what has no short escape,
// written in the format unit.
func jsonASCII(s, also, unit string) string {
	var b strings.Builder
	for _, c := range s {
		short := strings.IndexRune("\b\t\n\f\r\\\"", c)
		switch {
		case c >= 0x80, c < ' ' && short < 0, strings.ContainsRune(also, c):
			for _, u := range utf16.AppendRune(nil, c) {
				fmt.Fprintf(&b, unit, u)
			}
		case short >= 0:
			b.WriteString(`\` + `btnfr\"`[short:short+1])
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// matcher finds patterns. At each position a bit tells whether the next four bytes begin any pattern; only
// then are the few that do compared. That keeps the common case, no match, at a table look-up per byte.
type matcher struct {
	bits    [1 << filterBits / 64]uint64
	byHead  map[uint32][][]byte // by the first four bytes; the longest first
	begins1 [256]bool
	begins2 [1 << 16 / 64]uint64
	begins3 map[[3]byte]bool
}

const filterBits = 18

func compile(patterns map[string]bool) *matcher {
	m := &matcher{byHead: map[uint32][][]byte{}, begins3: map[[3]byte]bool{}}
	for p := range patterns {
		if len(p) < minMask {
			continue
		}
		b := []byte(p)
		head := binary.LittleEndian.Uint32(b)
		h := hash(head)
		m.bits[h/64] |= 1 << (h % 64)
		m.byHead[head] = append(m.byHead[head], b)
		m.begins1[b[0]] = true
		two := binary.LittleEndian.Uint16(b)
		m.begins2[two/64] |= 1 << (two % 64)
		m.begins3[[3]byte(b)] = true
	}
	for _, list := range m.byHead {
		slices.SortFunc(list, func(a, b []byte) int { return cmp.Compare(len(b), len(a)) })
	}
	return m
}

func (m *matcher) empty() bool { return len(m.byHead) == 0 }

func hash(head uint32) uint32 { return head * 2654435761 >> (32 - filterBits) }

// scan appends to out what is settled of buf, masked, and says how much of buf that was. The rest may be the
// beginning of a pattern; with final set there is no rest. buf[:covered] lies inside a mask already written;
// a negative covered says that there is none, and zero that one ended right here.
func (m *matcher) scan(out, buf []byte, covered int, final bool) ([]byte, scanned) {
	clean := max(covered, 0) // buf[clean:i] is to be copied
	for i := 0; ; i++ {
		for i+minMask <= len(buf) {
			h := hash(binary.LittleEndian.Uint32(buf[i:]))
			if m.bits[h/64]&(1<<(h%64)) != 0 {
				break
			}
			i++
		}
		n, more := m.at(buf[i:])
		if i == len(buf) || more && !final {
			if clean < i {
				out = append(out, buf[clean:i]...)
			}
			return out, scanned{used: i, covered: covered - i}
		}
		if n == 0 {
			continue
		}
		if i > covered {
			out = append(out, buf[clean:i]...)
			out = append(out, Mask...)
		}
		covered = max(covered, i+n)
		clean = covered
	}
}

type scanned struct {
	used    int
	covered int // for the next scan, which begins behind used
}

// at returns the length of the longest pattern that b begins with, and whether more bytes could make it longer.
func (m *matcher) at(b []byte) (n int, more bool) {
	switch len(b) {
	case 0:
		return 0, false
	case 1:
		return 0, m.begins1[b[0]]
	case 2:
		two := binary.LittleEndian.Uint16(b)
		return 0, m.begins2[two/64]&(1<<(two%64)) != 0
	case 3:
		return 0, m.begins3[[3]byte(b)]
	}
	for _, p := range m.byHead[binary.LittleEndian.Uint32(b)] {
		switch {
		case len(p) <= len(b):
			if bytes.HasPrefix(b, p) {
				return len(p), more
			}
		case bytes.HasPrefix(p, b):
			more = true
		}
	}
	return 0, more
}
