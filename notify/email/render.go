package email

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"mime"
	netmail "net/mail"
	"path/filepath"
	"slices"
	"strings"
	texttemplate "text/template"
	"unicode/utf8"

	"github.com/wneessen/go-mail"

	"github.com/waybill-dev/waybill/notify"
)

// maxBody bounds what a template may write.
const maxBody = 8 << 20

//go:embed mail.html.tmpl
var htmlSource string

//go:embed mail.txt.tmpl
var textSource string

var (
	defaultHTML = template.Must(template.New("mail.html").Parse(htmlSource))
	defaultText = texttemplate.Must(texttemplate.New("mail.txt").Parse(textSource))
)

// Data is what templates are executed with.
type Data struct {
	notify.Message
	Facts []notify.Field // outcome, component, environment, correlation id, time, then the message's fields
	Color string         // a CSS colour for the message's tone
}

var colors = map[notify.Tone]string{notify.Neutral: "#175cd3", notify.Good: "#067647", notify.Doubtful: "#b54708", notify.Bad: "#b42318"}

func (n *Notifier) build(m notify.Message) (id string, body []byte, err error) {
	if m, err = m.Normalize(); err != nil {
		return "", nil, err
	}
	data := Data{Message: m, Facts: m.Facts(), Color: colors[m.Tone()]}
	text, html := &capped{}, &capped{}
	if err := n.o.Text.Execute(text, data); err != nil {
		return "", nil, n.fail("render", notify.ErrInvalid, err)
	}
	if err := n.o.HTML.Execute(html, data); err != nil {
		return "", nil, n.fail("render", notify.ErrInvalid, err)
	}

	id = m.IdempotencyKey() + "@" + n.from.Address[strings.LastIndexByte(n.from.Address, '@')+1:]
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(n.from)
	for _, l := range []struct {
		set  func(...*netmail.Address)
		list []*netmail.Address
	}{{msg.ToMailAddress, n.to}, {msg.CcMailAddress, n.cc}} { // Bcc is for the envelope only
		if len(l.list) > 0 {
			l.set(l.list...)
		}
	}
	if n.replyTo != nil {
		msg.ReplyToMailAddress(n.replyTo)
	}
	setHeader(msg, mail.HeaderSubject, m.Title)
	msg.SetMessageIDWithValue(id)
	msg.SetDateWithValue(m.Time)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: vacation notices stay away
	if m.CorrelationID != "" {
		setHeader(msg, "X-Correlation-ID", m.CorrelationID)
	}
	if m.Severity >= notify.SeverityError {
		msg.SetImportance(mail.ImportanceHigh)
	}
	msg.SetBodyString(mail.TypeTextPlain, text.String())
	msg.AddAlternativeString(mail.TypeTextHTML, html.String())
	for _, a := range m.Attachments {
		opts := []mail.FileOption{mail.WithFileContentType(mail.ContentType(contentType(a)))}
		attach := msg.AttachReader
		if a.Inline {
			attach = msg.EmbedReader
			opts = append(opts, mail.WithFileContentID("<"+a.Name+">"))
		}
		if err := attach(a.Name, bytes.NewReader(a.Data), opts...); err != nil {
			return "", nil, n.fail("render", notify.ErrInvalid, fmt.Errorf("attachment %q: %w", a.Name, err))
		}
	}
	var out bytes.Buffer
	if _, err := msg.WriteTo(&out); err != nil {
		return "", nil, n.fail("render", notify.ErrInvalid, err)
	}
	return "<" + id + ">", out.Bytes(), nil
}

// setHeader sets a header field to text of ours, at most 250 bytes of it; the whole stands in the body. The library leaves
// ASCII as it is, which is wrong for a word longer than a line may be, and for text that looks encoded.
func setHeader(msg *mail.Msg, name mail.Header, text string) {
	text = notify.Truncate(text, 250)
	if !strings.Contains(text, "=?") && !slices.ContainsFunc(strings.Fields(text), func(w string) bool { return len(w) > 60 }) {
		msg.SetGenHeader(name, text)
		return
	}
	var words []string
	for text != "" {
		n := min(45, len(text)) // 75 characters, encoded
		for !utf8.ValidString(text[:n]) {
			n--
		}
		words = append(words, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(text[:n]))+"?=")
		text = text[n:]
	}
	msg.SetGenHeaderPreformatted(name, strings.Join(words, "\r\n "))
}

func contentType(a notify.Attachment) string {
	if a.ContentType != "" {
		return a.ContentType
	}
	if t, _, err := mime.ParseMediaType(mime.TypeByExtension(filepath.Ext(a.Name))); err == nil {
		return t
	}
	return "application/octet-stream"
}

// capped is a buffer that refuses to grow past maxBody.
type capped struct{ bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > maxBody {
		return 0, fmt.Errorf("the body is larger than the cap of %d bytes", maxBody)
	}
	return c.Buffer.Write(p)
}

var _ io.Writer = (*capped)(nil)
