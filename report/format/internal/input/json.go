package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"slices"
	"unicode/utf8"
)

// Doc is a JSON document read whole.
type Doc struct {
	// Data is the document, checked for size, depth and encoding, without a byte order mark.
	Data []byte
	// DuplicateKeys counts members whose name came before in the same object. The last one counts.
	DuplicateKeys int
}

// ReadJSON reads r whole, see [ParseJSON].
func ReadJSON(r io.Reader, limits Limits) (*Doc, error) {
	data, err := Whole(r, limits)
	if err != nil {
		return nil, err
	}
	return ParseJSON(data, limits)
}

// ParseJSON checks what encoding/json does not: the depth, the encoding, duplicate names.
func ParseJSON(data []byte, limits Limits) (*Doc, error) {
	data = bytes.TrimPrefix(data, bom)
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, ErrEmpty
	}
	if at := firstInvalidUTF8(data); at >= 0 {
		return nil, &SyntaxError{Offset: int64(at), Err: errors.New("invalid UTF-8")}
	}
	dups, err := inspect(data, limits.DepthOrDefault())
	if err != nil {
		return nil, err
	}
	return &Doc{Data: data, DuplicateKeys: dups}, nil
}

var bom = []byte("\xef\xbb\xbf")

func firstInvalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return -1
}

// Decode fills v. A member of the wrong type is left at its zero value and reported as mismatch; the rest is
// filled. Broken syntax is err.
func (d *Doc) Decode(v any) (mismatch, err error) {
	return decode(d.Data, v)
}

// Values calls f with each of the concatenated values of the document.
func (d *Doc) Values(f func(raw json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(d.Data))
	for {
		var raw json.RawMessage
		switch err := dec.Decode(&raw); {
		case err == io.EOF:
			return nil
		case err != nil:
			return syntax(err, dec.InputOffset())
		}
		if err := f(raw); err != nil {
			return err
		}
	}
}

// Decode fills v from one JSON value, in the manner of [Doc.Decode].
func Decode(raw []byte, v any) (mismatch, err error) { return decode(raw, v) }

func decode(data []byte, v any) (mismatch, err error) {
	err = json.Unmarshal(data, v)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("%s cannot be read from a JSON %s", cmpOr(wrong.Field, "value"), wrong.Value), nil
	}
	if err != nil {
		return nil, syntax(err, int64(len(data)))
	}
	return nil, nil
}

func cmpOr(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

func syntax(err error, offset int64) error {
	if bad := (*json.SyntaxError)(nil); errors.As(err, &bad) {
		offset = bad.Offset
		if bad.Error() == "unexpected end of JSON input" {
			err = ErrTruncated
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = ErrTruncated
	}
	return &SyntaxError{Offset: offset, Err: err}
}

// List is a JSON array each element of which is read on its own, so that one that makes no sense does not
// take the others with it, and only when it is asked for, so that a long list is not in memory twice. null is an
// empty list. See [Each].
type List[T any] struct {
	// Present reports that the member stood in the file, be it null.
	Present bool
	// raw stands in the document, which nobody changes; a list made of Go values has items instead.
	raw   []byte
	items []T
}

// ListOf is a list of what was read by other means.
func ListOf[T any](items []T) List[T] { return List[T]{Present: true, items: items} }

// UnmarshalJSON keeps where the list is.
func (l *List[T]) UnmarshalJSON(data []byte) error {
	l.Present, l.raw = true, bytes.TrimSpace(data)
	return nil
}

// Len counts the elements, those that make no sense too.
func (l *List[T]) Len() int {
	n := len(l.items)
	if len(l.raw) > 0 && l.raw[0] == '[' {
		for range elements(l.raw) {
			n++
		}
	}
	return n
}

// BadElement is an element of a [List] that could not be read in full.
type BadElement struct {
	Index  int // -1: the list itself, which is none
	Reason string
	Lost   bool // not yielded
}

// Read yields the elements, and calls bad with what could not be read, or only in part.
func (l *List[T]) Read(bad func(BadElement)) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, item := range l.items {
			if !yield(item) {
				return
			}
		}
		switch {
		case len(l.raw) == 0 || l.raw[0] == 'n':
			return
		case l.raw[0] != '[':
			bad(BadElement{Index: -1, Reason: "not a list", Lost: true})
			return
		}
		i := -1
		for raw := range elements(l.raw) {
			i++
			if raw[0] != '{' && isStruct[T]() {
				bad(BadElement{Index: i, Reason: "not an object", Lost: true})
				continue
			}
			var item T
			mismatch, err := decode(raw, &item)
			if err != nil {
				bad(BadElement{Index: i, Reason: err.Error(), Lost: true})
				continue
			}
			if mismatch != nil {
				bad(BadElement{Index: i, Reason: mismatch.Error()})
			}
			if !yield(item) {
				return
			}
		}
	}
}

// elements yields the elements of a list of valid JSON without copying them.
func elements(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		depth, start := 0, 1
		for i := 1; i < len(list); i++ {
			switch list[i] {
			case '"':
				for i++; i < len(list) && list[i] != '"'; i++ {
					if list[i] == '\\' {
						i++
					}
				}
			case '{', '[':
				depth++
			case ',', '}', ']':
				if depth == 0 {
					if e := bytes.TrimSpace(list[start:i]); len(e) > 0 && !yield(e) {
						return
					}
					start = i + 1
				} else if list[i] != ',' {
					depth--
				}
			}
		}
	}
}

var keySeed = maphash.MakeSeed()

// inspect walks over a JSON text that may still be broken and returns how many names are repeated within
// their object. It fails when the text is nested deeper than deepest.
func inspect(data []byte, deepest int) (dups int, err error) {
	type frame struct {
		first   int // index of the frame's first name in names
		object  bool
		nameDue bool
	}
	var stack []frame
	var names []uint64
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			start := i + 1
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if n := len(stack); n > 0 && stack[n-1].nameDue && i <= len(data) {
				stack[n-1].nameDue = false
				names = append(names, maphash.Bytes(keySeed, data[start:min(i, len(data))]))
			}
		case '{', '[':
			if len(stack) == deepest {
				return dups, &CapError{Cap: "depth", Limit: int64(deepest), Offset: int64(i)}
			}
			stack = append(stack, frame{first: len(names), object: data[i] == '{', nameDue: data[i] == '{'})
		case ',':
			if n := len(stack); n > 0 {
				stack[n-1].nameDue = stack[n-1].object
			}
		case '}', ']':
			if n := len(stack); n > 0 {
				dups += repeated(names[stack[n-1].first:])
				names = names[:stack[n-1].first]
				stack = stack[:n-1]
			}
		}
	}
	return dups, nil
}

func repeated(names []uint64) (n int) {
	if len(names) < 2 {
		return 0
	}
	slices.Sort(names)
	return len(names) - len(slices.Compact(names))
}
