package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Message is what people are told. Only Title is required; the zero value of everything else leaves that
// part out. All strings are plain text: each channel escapes them for its own markup.
type Message struct {
	Title       string       `json:"title"` // one line
	Severity    Severity     `json:"severity"`
	Outcome     Outcome      `json:"outcome,omitempty"`
	Environment string       `json:"environment,omitempty"` // such as "production"
	Component   string       `json:"component,omitempty"`   // such as "checkout"
	Summary     string       `json:"summary,omitempty"`     // some paragraphs, parted by empty lines
	Fields      []Field      `json:"fields,omitempty"`      // facts in a row, such as the image digest
	Links       []Link       `json:"links,omitempty"`       // where to read on; kept when a message is cut
	Sections    []Section    `json:"sections,omitempty"`    // longer parts below the summary
	Attachments []Attachment `json:"attachments,omitempty"` // mailed; chat channels give their names only

	// CorrelationID ties messages, logs and a run together. It is shown and sent along.
	CorrelationID string `json:"correlation_id,omitempty"`

	// Key names the event: two messages with the same key are the same message, and an outbox sends only the
	// first. Empty: two messages are the same when all their content is, except Time. A pipeline that wants
	// one mail per run sets it to the run's identifier.
	Key string `json:"key,omitempty"`

	// Time is when it happened; Fanout and outbox set it when it is zero.
	Time time.Time `json:"time,omitzero"`
}

// Field is one named fact.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Link is a named address; http, https and mailto are accepted. Empty Text shows the URL.
type Link struct {
	Text string `json:"text,omitempty"`
	URL  string `json:"url"`
}

// Section is a longer part of a message.
type Section struct {
	Title  string  `json:"title,omitempty"` // one line
	Text   string  `json:"text,omitempty"`
	Code   bool    `json:"code,omitempty"` // Text keeps its line breaks and has a fixed-width font
	Fields []Field `json:"fields,omitempty"`
}

// Attachment is a file that goes with a message.
type Attachment struct {
	Name        string `json:"name"`                   // a bare file name
	ContentType string `json:"content_type,omitempty"` // default: by the name's extension, else application/octet-stream
	Data        []byte `json:"data"`
	Inline      bool   `json:"inline,omitempty"` // an image shown in the mail; an HTML template refers to it as cid:NAME
}

// Outcome says how something ended. Any word will do; channels know the ones below and colour them.
type Outcome string

// The outcomes that channels colour.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	Cancelled Outcome = "cancelled"
)

// Severity says how much a message matters. The zero value is SeverityInfo.
type Severity int

// The severities, in rising order.
const (
	SeverityInfo Severity = iota
	SeverityWarning
	SeverityError
	SeverityCritical
)

var severityNames = [...]string{"info", "warning", "error", "critical"}

// String returns "info", "warning", "error" or "critical".
func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityNames) {
		return fmt.Sprintf("severity(%d)", int(s))
	}
	return severityNames[s]
}

// ParseSeverity is the reverse of [Severity.String], in any case of letters.
func ParseSeverity(s string) (Severity, error) {
	for i, name := range severityNames {
		if strings.EqualFold(s, name) {
			return Severity(i), nil
		}
	}
	return 0, invalid("parse", "severity", fmt.Errorf("%q is none of %s", s, strings.Join(severityNames[:], ", ")))
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a severity's name.
func (s *Severity) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSeverity(string(b))
	return err
}

// The bounds of a message. They are wide: channels cut a message to their own limits when they show it.
const (
	MaxTextBytes       = 1 << 20  // all texts of a message together
	MaxParts           = 1000     // fields, links, sections and attachments together
	MaxAttachmentBytes = 25 << 20 // all attachments together, before encoding
)

// Validate reports everything that makes m unfit to send, as one [*Error] of kind [ErrInvalid] (or
// [ErrTooLarge], past the bounds). Fanout and channels call it; call it to know earlier.
func (m Message) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	oneLine := func(name, s string) {
		if strings.ContainsFunc(s, unicode.IsControl) {
			bad("%s: contains a line break or control character", name)
		}
	}
	if strings.TrimSpace(m.Title) == "" {
		bad("Title: is empty")
	}
	oneLine("Title", m.Title)
	oneLine("Outcome", string(m.Outcome))
	oneLine("Environment", m.Environment)
	oneLine("Component", m.Component)
	oneLine("CorrelationID", m.CorrelationID)
	oneLine("Key", m.Key)
	if m.Severity < SeverityInfo || m.Severity > SeverityCritical {
		bad("Severity: %d is not a severity", int(m.Severity))
	}
	if year := m.Time.Year(); year < 0 || year > 9999 {
		bad("Time: the year %d is not one of four digits", year)
	}
	for i, l := range m.Links {
		oneLine(fmt.Sprintf("Links[%d].Text", i), l.Text)
		if !validLink(l.URL) {
			bad("Links[%d].URL: is no absolute http, https or mailto URL", i) // not repeated: it may hold a token
		}
	}
	for i, s := range m.Sections {
		oneLine(fmt.Sprintf("Sections[%d].Title", i), s.Title)
	}
	names := map[string]bool{}
	for i, a := range m.Attachments {
		switch {
		case a.Name == "" || a.Name == "." || a.Name == "..":
			bad("Attachments[%d].Name: is no file name", i)
		case strings.ContainsAny(a.Name, `/\"<>`) || strings.ContainsFunc(a.Name, unicode.IsControl):
			bad("Attachments[%d].Name: contains a path separator, a quote, an angle bracket or a control character", i)
		case len(a.Name) > 255:
			bad("Attachments[%d].Name: is longer than 255 bytes", i)
		case names[a.Name]:
			bad("Attachments[%d].Name: %q is there twice", i, a.Name)
		}
		names[a.Name] = true
		if a.ContentType != "" && !validMediaType(a.ContentType) {
			bad("Attachments[%d].ContentType: is no media type", i)
		}
	}
	if len(errs) > 0 {
		return invalid("check", "message", errors.Join(errs...))
	}
	return m.withinBounds()
}

// Normalize checks m like [Message.Validate] and returns it as channels encode it: line ends are "\n", control
// characters and invalid UTF-8 in texts are U+FFFD, Time is now when it was zero, and Key is set, so that none of
// this makes it another message.
func (m Message) Normalize() (Message, error) {
	if err := m.Validate(); err != nil {
		return m, err
	}
	if m.Key == "" {
		m.Key = m.IdempotencyKey()
	}
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	m = m.clone()
	m.eachText(func(s *string) {
		*s = strings.ToValidUTF8(strings.ReplaceAll(*s, "\r\n", "\n"), "\uFFFD")
		*s = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) && r != '\n' && r != '\t' {
				return unicode.ReplacementChar
			}
			return r
		}, *s)
	})
	return m, nil
}

func (m Message) withinBounds() error {
	text, attached := 0, 0
	m.eachText(func(s *string) { text += len(*s) })
	parts := len(m.Fields) + len(m.Links) + len(m.Sections) + len(m.Attachments)
	for _, s := range m.Sections {
		parts += len(s.Fields)
	}
	for _, a := range m.Attachments {
		attached += len(a.Data)
	}
	over := func(what string, n, limit int) error {
		return &Error{Op: "check", Target: "message", Kind: ErrTooLarge, Err: fmt.Errorf("%s: %d is over the cap of %d", what, n, limit)}
	}
	switch {
	case text > MaxTextBytes:
		return over("bytes of text", text, MaxTextBytes)
	case parts > MaxParts:
		return over("fields, links, sections and attachments", parts, MaxParts)
	case attached > MaxAttachmentBytes:
		return over("bytes of attachments", attached, MaxAttachmentBytes)
	}
	return nil
}

func validLink(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || strings.ContainsFunc(raw, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return false
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		return u.Host != ""
	case "mailto":
		return u.Opaque != ""
	}
	return false
}

func validMediaType(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	token := func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
			return !(r == '.' || r == '+' || r == '-' || r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)))
		})
	}
	return ok && token(kind) && token(sub)
}

// IdempotencyKey returns what makes this message itself: 32 hexadecimal digits made from Key or, without
// one, from all content except Time. It is the same on every try and in every process. A Key that has this
// form already is returned as it is.
func (m Message) IdempotencyKey() string {
	switch {
	case isDigest(m.Key):
		return m.Key
	case m.Key != "":
		return digest("key", m.Key)
	}
	m.Time = time.Time{}
	b, err := json.Marshal(m)
	if err != nil { // strings, numbers and bytes only: it cannot fail
		b = []byte(err.Error())
	}
	return digest("content", string(b))
}

// digest hashes parts so that no two lists of parts give the same bytes.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16
}

// eachText calls f with every text that is shown, the most important ones first.
func (m *Message) eachText(f func(s *string)) {
	f(&m.Title)
	for i := range m.Links {
		f(&m.Links[i].URL)
		f(&m.Links[i].Text)
	}
	f((*string)(&m.Outcome))
	f(&m.Environment)
	f(&m.Component)
	f(&m.CorrelationID)
	f(&m.Summary)
	for i := range m.Fields {
		f(&m.Fields[i].Name)
		f(&m.Fields[i].Value)
	}
	for i := range m.Sections {
		s := &m.Sections[i]
		f(&s.Title)
		f(&s.Text)
		for j := range s.Fields {
			f(&s.Fields[j].Name)
			f(&s.Fields[j].Value)
		}
	}
	for i := range m.Attachments {
		f(&m.Attachments[i].Name)
	}
}

// Facts returns what there is to say in "name: value" rows: outcome, severity (when it is not info),
// component, environment, time and correlation id, then the message's own fields.
func (m Message) Facts() []Field {
	var facts []Field
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, Field{name, value})
		}
	}
	add("Outcome", string(m.Outcome))
	if m.Severity > SeverityInfo {
		add("Severity", m.Severity.String())
	}
	add("Component", m.Component)
	add("Environment", m.Environment)
	if !m.Time.IsZero() {
		add("Time", m.Time.UTC().Format(time.RFC3339))
	}
	add("Correlation ID", m.CorrelationID)
	return append(facts, m.Fields...)
}

// Tone is the mood of a message, for channels that have colours.
type Tone int

// The tones.
const (
	Neutral Tone = iota
	Good
	Doubtful
	Bad
)

// Tone returns the mood of m: by its severity and, for harmless ones, by its outcome.
func (m Message) Tone() Tone {
	switch {
	case m.Severity >= SeverityError || m.Outcome == Failed:
		return Bad
	case m.Severity == SeverityWarning || m.Outcome == Cancelled:
		return Doubtful
	case m.Outcome == Succeeded:
		return Good
	}
	return Neutral
}
