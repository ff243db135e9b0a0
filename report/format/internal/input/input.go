// Package input reads report files of unknown origin with bounds on size, depth and line length.
package input

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"reflect"
)

// Limits bound what is read. The zero value means the defaults.
type Limits struct {
	Bytes int64 // of a document that is read whole; 0: [DefaultBytes]
	Depth int   // of nesting; 0: [DefaultDepth]
}

// The defaults of [Limits], and the longest line of a format that is read line by line.
const (
	DefaultBytes = 256 << 20
	DefaultDepth = 1000
	MaxLine      = 16 << 20
)

// BytesOrDefault returns the cap on bytes.
func (l Limits) BytesOrDefault() int64 {
	if l.Bytes > 0 {
		return l.Bytes
	}
	return DefaultBytes
}

// DepthOrDefault returns the cap on nesting.
func (l Limits) DepthOrDefault() int {
	if l.Depth > 0 {
		return l.Depth
	}
	return DefaultDepth
}

// The plain reasons a document cannot be read.
var (
	ErrEmpty     = errors.New("the input is empty")
	ErrTruncated = errors.New("the input ends too early")
)

// CapError reports that a cap was reached.
type CapError struct {
	Cap    string // "size", "depth", "line", or what was counted
	Limit  int64
	Offset int64 // where, in bytes from the start; 0: not known
}

func (e *CapError) Error() string {
	switch e.Cap {
	case "size":
		return fmt.Sprintf("larger than the cap of %d bytes on what is read whole", e.Limit)
	case "depth":
		if e.Offset == 0 {
			return fmt.Sprintf("nested deeper than the cap of %d", e.Limit)
		}
		return fmt.Sprintf("nested deeper than the cap of %d, at byte %d", e.Limit, e.Offset)
	}
	if e.Cap == "line" {
		return fmt.Sprintf("a line is longer than the cap of %d bytes, at byte %d", e.Limit, e.Offset)
	}
	return fmt.Sprintf("more %s than the cap of %d", e.Cap, e.Limit)
}

// SyntaxError reports what is wrong and where.
type SyntaxError struct {
	Offset int64 // bytes from the start
	Line   int   // 0: not counted
	Err    error
}

func (e *SyntaxError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	if e.Offset == 0 && errors.Is(e.Err, ErrTruncated) {
		return e.Err.Error() // nobody counted where the end is
	}
	return fmt.Sprintf("byte %d: %v", e.Offset, e.Err)
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// Whole reads r to its end, at most as many bytes as the limits allow. A file that is larger is not read.
func Whole(r io.Reader, limits Limits) ([]byte, error) {
	limit := limits.BytesOrDefault()
	tooLarge := &CapError{Cap: "size", Limit: limit, Offset: limit}
	var buf bytes.Buffer
	if f, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if info.Size() > limit {
				return nil, tooLarge
			}
			buf.Grow(int(info.Size()) + bytes.MinRead)
		}
	}
	n, err := buf.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, tooLarge
	}
	return buf.Bytes(), nil
}

// Lines yields the lines of r without their ends (LF or CRLF), counted from 1. A line longer than
// [MaxLine] ends it with a [*CapError]. The bytes are valid until the next line.
func Lines(r io.Reader) iter.Seq2[int, Line] {
	return func(yield func(int, Line) bool) {
		br := bufio.NewReaderSize(r, 64<<10)
		var offset int64
		var long []byte
		for n := 1; ; n++ {
			long = long[:0]
			for {
				part, err := br.ReadSlice('\n')
				offset += int64(len(part))
				if errors.Is(err, bufio.ErrBufferFull) {
					if long = append(long, part...); len(long) > MaxLine {
						yield(n, Line{Err: &CapError{Cap: "line", Limit: MaxLine, Offset: offset}})
						return
					}
					continue
				}
				if len(long) > 0 {
					long = append(long, part...)
					part = long
				}
				if err != nil && err != io.EOF {
					yield(n, Line{Err: err})
					return
				}
				last := err == io.EOF
				if last && len(part) == 0 {
					return
				}
				part = bytes.TrimSuffix(bytes.TrimSuffix(part, []byte("\n")), []byte("\r"))
				if n == 1 {
					part = bytes.TrimPrefix(part, bom)
				}
				if !yield(n, Line{Text: part, Last: last}) || last {
					return
				}
				break
			}
		}
	}
}

// Line is one line of a text, or the error that ended the reading.
type Line struct {
	Text []byte
	Last bool // without a line end of its own: the text may have been cut here
	Err  error
}

func isStruct[T any]() bool {
	t := reflect.TypeFor[T]()
	return t.Kind() == reflect.Struct
}
