// Package xmlout writes XML by hand, since encoding/xml cannot stream what it does not hold.
package xmlout

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"io"
)

// Writer writes XML. The first error of the underlying writer stays in the buffer and comes back from Flush.
type Writer struct {
	w       *bufio.Writer
	escaped bytes.Buffer
}

// New returns a Writer to w.
func New(w io.Writer) *Writer { return &Writer{w: bufio.NewWriterSize(w, 64<<10)} }

// Raw writes s as it is.
func (w *Writer) Raw(s string) { _, _ = w.w.WriteString(s) }

// Text writes s escaped for elements and attributes; characters that XML cannot hold become U+FFFD. The beginning of
// a command to Azure Pipelines is written as a reference, since reports are shown in logs too.
func (w *Writer) Text(s string) {
	w.escaped.Reset()
	_ = xml.EscapeText(&w.escaped, []byte(s))
	_, _ = w.w.Write(bytes.ReplaceAll(w.escaped.Bytes(), []byte("##"), []byte("#&#35;")))
}

// Flush writes what is still in the buffer, and returns the first error there was.
func (w *Writer) Flush() error { return w.w.Flush() }
