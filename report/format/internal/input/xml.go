package input

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// XML reads the tokens of an XML document within limits. Nothing is fetched and no entity other than the
// five of XML itself is replaced: a document that declares entities is refused.
type XML struct {
	dec   *xml.Decoder
	depth int
	max   int
	cap   *capReader
	seen  bool
}

// NewXML returns a reader of r.
func NewXML(r io.Reader, limits Limits) *XML {
	c := &capReader{r: r, left: limits.BytesOrDefault(), limit: limits.BytesOrDefault()}
	dec := xml.NewDecoder(c)
	dec.CharsetReader = charset
	return &XML{dec: dec, max: limits.DepthOrDefault(), cap: c}
}

// DecodeXML fills v from a document in memory, within the same limits.
func DecodeXML(data []byte, limits Limits, v any) error {
	x := NewXML(bytes.NewReader(data), limits)
	for {
		if _, err := x.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	dec := xml.NewDecoder(bytes.NewReader(data))
	dec.CharsetReader = charset
	if err := dec.Decode(v); err != nil {
		return &SyntaxError{Offset: dec.InputOffset(), Err: err}
	}
	return nil
}

// Token returns the next start tag, end tag or text, and io.EOF behind the end of the root element.
func (x *XML) Token() (xml.Token, error) {
	for {
		tok, err := x.dec.Token()
		if err != nil {
			return nil, x.failed(err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			x.seen = true
			if x.depth++; x.depth > x.max {
				return nil, &CapError{Cap: "depth", Limit: int64(x.max), Offset: x.dec.InputOffset()}
			}
			return t, nil
		case xml.EndElement:
			x.depth--
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			if bytes.Contains(bytes.ToUpper(t), []byte("<!ENTITY")) {
				return nil, x.at(errors.New("the document declares entities, which are not read"))
			}
		}
	}
}

// Skip reads to the end of the element whose start tag came last.
func (x *XML) Skip() error {
	for depth := x.depth; x.depth >= depth; {
		if _, err := x.Token(); err != nil {
			return err
		}
	}
	return nil
}

// Text reads to the end of the element whose start tag came last and returns its text, at most most bytes
// of it, that of its children included.
func (x *XML) Text(most int) (string, error) {
	var sb strings.Builder
	for depth := x.depth; x.depth >= depth; {
		tok, err := x.Token()
		if err != nil {
			return "", err
		}
		if text, ok := tok.(xml.CharData); ok && sb.Len() < most {
			sb.Write(text[:min(len(text), most-sb.Len())])
		}
	}
	return strings.ToValidUTF8(sb.String(), ""), nil
}

func (x *XML) failed(err error) error {
	switch {
	case errors.Is(err, io.EOF) && !x.seen:
		return ErrEmpty
	case errors.Is(err, io.EOF):
		return io.EOF
	case x.cap.hit:
		return &CapError{Cap: "size", Limit: x.cap.limit, Offset: x.cap.limit}
	case strings.Contains(err.Error(), "unexpected EOF"):
		return x.at(ErrTruncated)
	}
	return x.at(err)
}

func (x *XML) at(err error) error {
	line, _ := x.dec.InputPos()
	return &SyntaxError{Offset: x.dec.InputOffset(), Line: line, Err: err}
}

// Attr returns the value of an attribute without regard to its name space.
func Attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// capReader ends with an error, not with EOF, when there is more than its limit.
type capReader struct {
	r           io.Reader
	left, limit int64
	hit         bool
}

func (c *capReader) Read(p []byte) (int, error) {
	if c.left <= 0 {
		var one [1]byte
		n, err := c.r.Read(one[:])
		if n > 0 {
			c.hit = true
			return 0, errors.New("too large")
		}
		return 0, err
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// charset reads the encodings that test tools declare besides UTF-8.
func charset(label string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "latin1", "latin-1":
		return &latin1{r: r}, nil
	}
	return nil, fmt.Errorf("the encoding %q is not read: convert the file to UTF-8", label)
}

type latin1 struct {
	r    io.Reader
	rest []byte
}

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		var in [1024]byte
		n, err := l.r.Read(in[:])
		for _, c := range in[:n] {
			l.rest = append(l.rest, string(rune(c))...)
		}
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
