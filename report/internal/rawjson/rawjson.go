// Package rawjson walks JSON text that is known to be valid, without copying it.
//
// Nothing here checks syntax: hand it only what a decoder has accepted. In return it is several times faster
// than decoding again, which is what rewriting a few members of a large document needs.
package rawjson

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Members yields the members of an object in order: the name between its quotes, as written, and the value.
// Of anything but an object it yields nothing.
func Members(v []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := space(v, 0)
		if i >= len(v) || v[i] != '{' {
			return
		}
		for i = space(v, i+1); i < len(v) && v[i] == '"'; i = space(v, i+1) {
			end := str(v, i)
			name := v[i+1 : end-1]
			i = space(v, space(v, end)+1) // past the colon
			end = skip(v, i)
			if !yield(name, v[i:end]) {
				return
			}
			if i = space(v, end); i >= len(v) || v[i] != ',' {
				return
			}
		}
	}
}

// Elements yields the elements of an array in order. Of anything but an array it yields nothing.
func Elements(v []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i := space(v, 0)
		if i >= len(v) || v[i] != '[' {
			return
		}
		for i = space(v, i+1); i < len(v) && v[i] != ']'; i = space(v, i+1) {
			end := skip(v, i)
			if !yield(v[i:end]) {
				return
			}
			if i = space(v, end); i >= len(v) || v[i] != ',' {
				return
			}
		}
	}
}

// First returns the first element of an array, and what stands behind it: enough for [Members], which end where
// the object does. It does not look for that end.
func First(v []byte) []byte {
	i := space(v, 0)
	if i >= len(v) || v[i] != '[' {
		return nil
	}
	return v[space(v, i+1):]
}

// Member returns the first member of that name, nil when there is none or v is no object.
func Member(v []byte, name string) []byte {
	for n, value := range Members(v) {
		if Is(n, name) {
			return value
		}
	}
	return nil
}

// Is says whether a member name as written means name.
func Is(raw []byte, name string) bool {
	if string(raw) == name {
		return true
	}
	return bytes.IndexByte(raw, '\\') >= 0 && unescape(raw) == name
}

// Name returns a member name as it is meant.
func Name(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	return unescape(raw)
}

// Null says whether v is missing or null.
func Null(v []byte) bool { return len(v) == 0 || v[0] == 'n' }

// String returns the text of a string; of anything else it returns "" and false.
func String(v []byte) (string, bool) {
	if len(v) < 2 || v[0] != '"' {
		return "", false
	}
	return Name(v[1 : len(v)-1]), true
}

// Text is [String] without the second result.
func Text(v []byte) string {
	s, _ := String(v)
	return s
}

// Int returns an integer; numbers with a fraction, out of range, and everything else give 0 and false.
func Int(v []byte) (int, bool) {
	if len(v) == 0 || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return 0, false
	}
	if n, err := strconv.Atoi(string(v)); err == nil {
		return n, true
	}
	// 1e2 and 7.0 are integers in JSON Schema's eyes.
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f != float64(int(f)) || f > 1<<53 || f < -1<<53 {
		return 0, false
	}
	return int(f), true
}

// Number returns a number in range of float64.
func Number(v []byte) (float64, bool) {
	if len(v) == 0 || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	return f, err == nil
}

// Bool returns a boolean; ok is false for anything else.
func Bool(v []byte) (value, ok bool) {
	if len(v) == 0 {
		return false, false
	}
	return v[0] == 't', v[0] == 't' || v[0] == 'f'
}

// Strings returns the strings of an array and leaves out everything else.
func Strings(v []byte) []string {
	var list []string
	for e := range Elements(v) {
		if s, ok := String(e); ok {
			list = append(list, s)
		}
	}
	return list
}

// Skip returns the length of the value at the start of v, or -1 when v ends before the value does. A number
// that ends with v may go on behind it.
func Skip(v []byte) int {
	if len(v) == 0 {
		return -1
	}
	end, whole := skipWhole(v)
	if !whole {
		return -1
	}
	return end
}

func skipWhole(v []byte) (end int, whole bool) {
	switch v[0] {
	case '"':
		end = str(v, 0)
		return end, end <= len(v) && closed(v, 0, end)
	case '{', '[':
	default:
		return skip(v, 0), true
	}
	depth := 0
	for i := 0; i < len(v); {
		switch v[i] {
		case '"':
			end := str(v, i)
			if !closed(v, i, end) {
				return 0, false
			}
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
		i++
	}
	return 0, false
}

// closed says that the string from i to end ends with its quote and not with the text.
func closed(v []byte, i, end int) bool {
	if end < len(v) {
		return true
	}
	if end-i < 2 || v[end-1] != '"' {
		return false
	}
	k := end - 1
	for k > i+1 && v[k-1] == '\\' {
		k--
	}
	return (end-1-k)%2 == 0
}

// Compact appends v without white space between its tokens.
func Compact(dst, v []byte) []byte {
	for i := 0; i < len(v); {
		switch c := v[i]; c {
		case ' ', '\t', '\r', '\n':
			i++
		case '"':
			end := str(v, i)
			dst = append(dst, v[i:end]...)
			i = end
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// space returns the index of the first byte at or after i that is no white space.
func space(v []byte, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\n' || v[i] == '\r' || v[i] == '\t') {
		i++
	}
	return i
}

// str returns the index after the string that begins at i.
func str(v []byte, i int) int {
	for i++; ; i++ {
		n := bytes.IndexByte(v[i:], '"')
		if n < 0 {
			return len(v)
		}
		i += n
		// An odd number of back-slashes before the quote escapes it.
		k := i
		for v[k-1] == '\\' {
			k--
		}
		if (i-k)%2 == 0 {
			return i + 1
		}
	}
}

// skip returns the index after the value that begins at i.
func skip(v []byte, i int) int {
	if i >= len(v) {
		return i
	}
	switch v[i] {
	case '"':
		return str(v, i)
	case '{', '[':
		depth := 0
		for i < len(v) {
			switch v[i] {
			case '"':
				i = str(v, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	}
	for i < len(v) {
		switch v[i] {
		case ',', '}', ']', ' ', '\n', '\r', '\t':
			return i
		}
		i++
	}
	return i
}

func unescape(raw []byte) string {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' || i+1 >= len(raw) {
			b.WriteByte(c)
			continue
		}
		i++
		switch raw[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			r := hex4(raw, i+1)
			i += 4
			if utf16.IsSurrogate(r) && i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
				if pair := utf16.DecodeRune(r, hex4(raw, i+3)); pair != utf8.RuneError {
					r = pair
					i += 6
				}
			}
			b.WriteRune(r)
		default:
			b.WriteByte(raw[i])
		}
	}
	return b.String()
}

func hex4(raw []byte, i int) rune {
	if i+4 > len(raw) {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(raw[i:i+4]), 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}
