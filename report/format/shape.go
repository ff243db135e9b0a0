package format

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/report/format/internal/input"
)

// shape is what can be said of a report without reading it: its syntax and the names on its outside.
type shape struct {
	syntax string // "object", "array", "xml", "text", "scalar", "empty"

	// JSON: the members of the root object, or those of the first element of the root array.
	members map[string]member
	order   []string
	empty   bool // a root array without elements, or null
	null    bool // null in place of a list
	cut     bool // the input ended inside the root value

	// XML: the root element.
	root  xml.Name
	attrs []string

	lines []string // text: the first lines
}

// member is the value of a name: its kind, its text when it is short and plain, and, for an array of
// objects, the names in the first of them (for an object, its own names).
type member struct {
	kind  byte // '{' '[' '"' '0' 't' 'n'
	text  string
	inner []string
}

func (s *shape) has(names ...string) bool {
	for _, n := range names {
		if _, ok := s.members[n]; !ok {
			return false
		}
	}
	return true
}

func (s *shape) kind(name string) byte      { return s.members[name].kind }
func (s *shape) text(name string) string    { return s.members[name].text }
func (s *shape) inner(name, in string) bool { return slices.Contains(s.members[name].inner, in) }

func (s *shape) isEmptyList(name string) bool {
	m := s.members[name]
	return m.kind == '[' && len(m.inner) == 0
}
func (s *shape) isXML(root string) bool        { return s.syntax == "xml" && s.root.Local == root }
func (s *shape) object() bool                  { return s.syntax == "object" }
func (s *shape) emptyList() bool               { return s.empty && !s.null }
func (s *shape) array() bool                   { return s.syntax == "array" }
func (s *shape) attr(name string) bool         { return slices.Contains(s.attrs, name) }
func (s *shape) line(f func(string) bool) bool { return slices.ContainsFunc(s.lines, f) }
func (s *shape) listOf(name, member string) bool {
	return s.kind(name) == '[' && (s.isEmptyList(name) || s.inner(name, member))
}

// String says what was seen, for the message of a report that is not known.
func (s *shape) String() string {
	switch s.syntax {
	case "empty":
		return "nothing"
	case "object":
		return "a JSON object with " + names(s.order)
	case "array":
		if s.null {
			return "null"
		}
		if s.empty {
			return "an empty JSON list"
		}
		if len(s.order) == 0 {
			return "a JSON list whose first element is no object"
		}
		return "a JSON list of objects with " + names(s.order)
	case "scalar":
		return "a plain JSON value"
	case "xml":
		if s.root.Space != "" {
			return fmt.Sprintf("XML with the root element %.60q of %.120q", s.root.Local, s.root.Space)
		}
		return fmt.Sprintf("XML with the root element %.60q", s.root.Local)
	}
	return "text that is neither JSON nor XML"
}

// names lists member names only: what a value holds is never repeated in a message.
func names(order []string) string {
	if len(order) == 0 {
		return "no members"
	}
	quoted := make([]string, 0, 8)
	for _, n := range order[:min(len(order), 8)] {
		quoted = append(quoted, fmt.Sprintf("%.40q", n))
	}
	s := strings.Join(quoted, ", ")
	if len(order) > 8 {
		s += fmt.Sprintf(" and %d more", len(order)-8)
	}
	return s
}

const (
	probeLines = 200      // of text searched for the first line of a known format
	probeText  = 64 << 10 // bytes of it
	maxNames   = 10000    // of the root object
	maxScalar  = 256      // bytes of a value that is kept
)

// look reads as much of r as it takes to know its shape. It stops early at SARIF's list of runs, which may be
// gigabytes; every other report is read whole afterwards, within the same cap.
func look(r io.Reader, limits input.Limits) (*shape, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	if b, _ := br.Peek(3); bytes.Equal(b, []byte("\xef\xbb\xbf")) {
		_, _ = br.Discard(3)
	} else if len(b) >= 2 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff) {
		return nil, &input.SyntaxError{Err: errors.New("the input is UTF-16 (a redirection in Windows PowerShell writes that): convert it to UTF-8")}
	}
	s := &skim{br: br, depthCap: limits.DepthOrDefault()}
	c, err := s.space()
	if errors.Is(err, io.EOF) {
		return &shape{syntax: "empty"}, nil
	}
	if err != nil {
		return nil, err
	}
	sh := &shape{members: map[string]member{}}
	switch {
	case c == '{':
		sh.syntax = "object"
		err = s.rootObject(sh)
	case c == '[':
		sh.syntax = "array"
		err = s.rootArray(sh)
		if errors.Is(err, errNotJSON) {
			return lookText(br)
		}
	case c == '<':
		return lookXML(br, limits)
	case c == 'n':
		if b, _ := br.Peek(5); string(bytes.TrimSpace(b)) == "null" {
			return &shape{syntax: "array", empty: true, null: true}, nil
		}
		return lookText(br)
	case c == '"' || c == '-' || c >= '0' && c <= '9':
		return lookText(br)
	default:
		return lookText(br)
	}
	if errors.Is(err, io.EOF) {
		sh.cut, err = true, nil
	}
	return sh, err
}

func lookXML(r io.Reader, limits input.Limits) (*shape, error) {
	x := input.NewXML(r, limits)
	for {
		tok, err := x.Token()
		if errors.Is(err, io.EOF) {
			return nil, input.ErrTruncated
		}
		if err != nil {
			return nil, err
		}
		if start, ok := tok.(xml.StartElement); ok {
			sh := &shape{syntax: "xml", root: start.Name}
			for _, a := range start.Attr {
				sh.attrs = append(sh.attrs, a.Name.Local)
			}
			return sh, nil
		}
	}
}

func lookText(r io.Reader) (*shape, error) {
	sh := &shape{syntax: "text"}
	for n, line := range input.Lines(io.LimitReader(r, probeText)) {
		if line.Err != nil {
			return nil, line.Err
		}
		if sh.lines = append(sh.lines, string(line.Text)); n == probeLines {
			break
		}
	}
	return sh, nil
}

// skim walks over JSON without keeping it.
type skim struct {
	br       *bufio.Reader
	depthCap int
}

var errNotJSON = errors.New("not JSON")

// space skips white space and returns the next byte without consuming it.
func (s *skim) space() (byte, error) {
	for {
		c, err := s.br.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return c, s.br.UnreadByte()
	}
}

func (s *skim) rootObject(sh *shape) error {
	return s.object(func(name string) (bool, error) {
		m, err := s.member()
		if len(sh.order) < maxNames {
			if _, again := sh.members[name]; !again {
				sh.order = append(sh.order, name)
			}
			sh.members[name] = m
		}
		return name == "runs" && m.kind == '[', err
	})
}

func (s *skim) rootArray(sh *shape) error {
	_, _ = s.br.ReadByte()
	c, err := s.space()
	if err != nil {
		return err
	}
	switch c {
	case ']':
		sh.empty = true
		return nil
	case '{':
		return s.rootObject(sh)
	case '[', '"', '-', 't', 'f', 'n', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return nil
	}
	return errNotJSON
}

// object calls f behind each name; f consumes the value and may end the walk.
func (s *skim) object(f func(name string) (stop bool, err error)) error {
	_, _ = s.br.ReadByte()
	for {
		c, err := s.space()
		if err != nil {
			return err
		}
		switch c {
		case '}':
			_, _ = s.br.ReadByte()
			return nil
		case ',':
			_, _ = s.br.ReadByte()
			continue
		case '"':
		default:
			return nil // broken: the reader of the format says where
		}
		name, err := s.str(maxScalar)
		if err != nil {
			return err
		}
		if c, err = s.space(); err != nil {
			return err
		}
		if c != ':' {
			return nil
		}
		_, _ = s.br.ReadByte()
		if stop, err := f(name); stop || err != nil {
			return err
		}
	}
}

// member consumes a value.
func (s *skim) member() (member, error) {
	c, err := s.space()
	if err != nil {
		return member{}, err
	}
	switch c {
	case '{':
		m := member{kind: '{'}
		err := s.object(func(name string) (bool, error) {
			if len(m.inner) < 64 {
				m.inner = append(m.inner, name)
			}
			return false, s.skip()
		})
		return m, err
	case '[':
		return s.firstElement()
	case '"':
		text, err := s.str(maxScalar)
		return member{kind: '"', text: text}, err
	}
	m := member{kind: c}
	if c == '-' || c >= '0' && c <= '9' {
		m.kind = '0'
	}
	for {
		c, err := s.br.ReadByte()
		if err != nil {
			return m, err
		}
		if bytes.IndexByte([]byte(",}] \t\r\n"), c) >= 0 {
			return m, s.br.UnreadByte()
		}
		if len(m.text) < maxScalar {
			m.text += string(rune(c))
		}
	}
}

// firstElement consumes the head of a list: its first element's names. The rest is skipped.
func (s *skim) firstElement() (member, error) {
	m := member{kind: '['}
	_, _ = s.br.ReadByte()
	c, err := s.space()
	if err != nil {
		return m, err
	}
	if c == '{' {
		err := s.object(func(name string) (bool, error) {
			if len(m.inner) < 64 {
				m.inner = append(m.inner, name)
			}
			return false, s.skip()
		})
		if err != nil {
			return m, err
		}
	} else if c != ']' {
		m.inner = append(m.inner, "") // a list of something else is not an empty list
	}
	return m, s.rest(1)
}

func (s *skim) skip() error {
	c, err := s.space()
	if err != nil {
		return err
	}
	switch c {
	case '{', '[':
		_, _ = s.br.ReadByte()
		return s.rest(1)
	case '"':
		_, err := s.str(0)
		return err
	}
	_, err = s.member()
	return err
}

// rest consumes what is left of a value that is open at the given depth.
func (s *skim) rest(depth int) error {
	for depth > 0 {
		c, err := s.br.ReadByte()
		if err != nil {
			return err
		}
		switch c {
		case '"':
			_ = s.br.UnreadByte()
			if _, err := s.str(0); err != nil {
				return err
			}
		case '{', '[':
			if depth++; depth > s.depthCap {
				return &input.CapError{Cap: "depth", Limit: int64(s.depthCap)}
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// str consumes a string and returns at most most bytes of it, escapes as they stand.
func (s *skim) str(most int) (string, error) {
	_, _ = s.br.ReadByte()
	var out []byte
	for escaped := false; ; {
		c, err := s.br.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '"' && !escaped {
			return string(out), nil
		}
		escaped = c == '\\' && !escaped
		if len(out) < most {
			out = append(out, c)
		}
	}
}
