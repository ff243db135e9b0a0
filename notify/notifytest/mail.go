package notifytest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// Mail is a message an SMTPServer took.
type Mail struct {
	From  string   // envelope sender, without angle brackets
	To    []string // envelope recipients that were accepted
	Data  []byte   // headers and body, lines ending in CRLF, dots unstuffed
	TLS   bool     // came over TLS
	User  string   // who was logged in
	Body8 bool     // announced as BODY=8BITMIME
	UTF8  bool     // announced as SMTPUTF8
}

// Part is a leaf of a mail's MIME tree, decoded.
type Part struct {
	ContentType string // without parameters
	Name        string // of an attachment
	ContentID   string // of an inline part, without angle brackets
	Data        []byte
}

// Message parses the mail's headers.
func (m Mail) Message() (*mail.Message, error) { return mail.ReadMessage(bytes.NewReader(m.Data)) }

// MessageID returns the Message-ID, with its angle brackets; empty when there is none.
func (m Mail) MessageID() string { return m.Header("Message-Id") }

// Subject returns the subject, decoded.
func (m Mail) Subject() string { return m.Header("Subject") }

// Header returns a header field, decoded; empty when there is none or the mail cannot be read.
func (m Mail) Header(name string) string {
	msg, err := m.Message()
	if err != nil {
		return ""
	}
	s, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get(name))
	if err != nil {
		return msg.Header.Get(name)
	}
	return s
}

// Parts returns the leaves of the mail's MIME tree, in their order.
func (m Mail) Parts() ([]Part, error) {
	msg, err := m.Message()
	if err != nil {
		return nil, fmt.Errorf("notifytest: %w", err)
	}
	return parts(header(msg.Header.Get), msg.Body, 0)
}

// Text returns the first text/plain part, with its line ends as "\n".
func (m Mail) Text() string { return m.first("text/plain") }

// HTML returns the first text/html part, with its line ends as "\n".
func (m Mail) HTML() string { return m.first("text/html") }

func (m Mail) first(kind string) string {
	list, err := m.Parts()
	if err != nil {
		return ""
	}
	for _, p := range list {
		if p.ContentType == kind && p.Name == "" {
			return strings.ReplaceAll(string(p.Data), "\r\n", "\n")
		}
	}
	return ""
}

type header func(name string) string

func parts(h header, body io.Reader, depth int) ([]Part, error) {
	kind, params, err := mime.ParseMediaType(h("Content-Type"))
	if err != nil {
		return nil, fmt.Errorf("notifytest: content type: %w", err)
	}
	if strings.HasPrefix(kind, "multipart/") && depth < 10 {
		var out []Part
		for r := multipart.NewReader(body, params["boundary"]); ; {
			p, err := r.NextRawPart()
			if err == io.EOF { //nolint:errorlint // as documented
				return out, nil
			}
			if err != nil {
				return nil, fmt.Errorf("notifytest: %w", err)
			}
			inner, err := parts(p.Header.Get, p, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
		}
	}
	switch strings.ToLower(h("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("notifytest: %w", err)
	}
	p := Part{ContentType: kind, ContentID: strings.Trim(h("Content-Id"), "<>"), Data: data}
	if _, params, err := mime.ParseMediaType(h("Content-Disposition")); err == nil {
		p.Name, err = new(mime.WordDecoder).DecodeHeader(params["filename"])
		if err != nil {
			p.Name = params["filename"]
		}
	}
	return []Part{p}, nil
}
