package slack

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/notify"
)

// Slack's limits, in characters (https://docs.slack.dev/reference/block-kit/blocks). The last is not documented.
const (
	maxBlocks  = 50
	maxHeader  = 150
	maxSection = 3000
	maxField   = 2000
	maxFields  = 10 // in one section
	maxTotal   = 13_000
)

type payload struct {
	Channel  string    `json:"channel,omitempty"`
	Text     string    `json:"text"` // for notifications and screen readers
	Blocks   []any     `json:"blocks"`
	Metadata *metadata `json:"metadata,omitempty"`
	Unfurl   bool      `json:"unfurl_links"`
	Media    bool      `json:"unfurl_media"`
}

type metadata struct {
	EventType string            `json:"event_type"`
	Payload   map[string]string `json:"event_payload"`
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji,omitempty"`
	Verbatim bool   `json:"verbatim,omitempty"`
}

// mrkdwn is text with markup. Verbatim keeps Slack from making links of URLs in it, and mentions of names.
func mrkdwn(s string) text { return text{Type: "mrkdwn", Text: s, Verbatim: true} }

func section(t text) block { return block{Type: "section", Text: &t} }

type block struct {
	Type   string `json:"type"`
	Text   *text  `json:"text,omitempty"`
	Fields []text `json:"fields,omitempty"`
}

type richText struct {
	Type     string         `json:"type"`
	Elements []preformatted `json:"elements"`
}

type preformatted struct {
	Type     string     `json:"type"`
	Elements []richItem `json:"elements"`
}

type richItem struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func (n *Notifier) encode(m notify.Message) (body []byte, cut bool, err error) {
	if m, err = m.Normalize(); err != nil {
		return nil, false, err
	}
	_, lost := blocks(m) // to limits of single blocks
	body, cut, err = notify.Fit(m, maxTotal, n.marshal)
	return body, cut || lost, err
}

func (n *Notifier) marshal(m notify.Message) ([]byte, error) {
	list, _ := blocks(m)
	p := payload{Channel: n.channel, Text: escape(fallback(m)), Blocks: list}
	if n.token != nil {
		p.Metadata = &metadata{"waybill_notification", map[string]string{"key": m.IdempotencyKey(), "correlation_id": m.CorrelationID}}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // Slack counts &, < and > once
	if err := enc.Encode(p); err != nil {
		return nil, &notify.Error{Op: "encode", Target: "slack", Kind: notify.ErrInvalid, Err: err}
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

func fallback(m notify.Message) string {
	if m.Summary == "" {
		return m.Title
	}
	return m.Title + ": " + notify.Truncate(m.Summary, 300)
}

// blocks lays m out; cut reports whether a limit of a block took something away. Links come early, so that no
// limit reaches them.
func blocks(m notify.Message) (out []any, cut bool) {
	off := false
	title := icons[m.Tone()] + m.Title
	out = append(out, block{Type: "header", Text: &text{Type: "plain_text", Text: head(title, maxHeader), Emoji: &off}})
	cut = head(title, maxHeader) != title
	add := func(list []any, lost bool) {
		out = append(out, list...)
		cut = cut || lost
	}
	add(sections(m.Summary), false)
	var links []string
	for _, l := range m.Links {
		line := link(l)
		if utf8.RuneCountInString(line) > maxSection { // the address is worth more than its text
			line, cut = link(notify.Link{URL: l.URL}), true
		}
		links = append(links, line)
	}
	add(lines(links))
	add(fields(m.Facts()))
	for _, s := range m.Sections {
		if s.Title != "" {
			add(lines([]string{"*" + escape(s.Title) + "*"}))
		}
		switch {
		case s.Text != "" && s.Code:
			add([]any{richText{"rich_text", []preformatted{{"rich_text_preformatted", []richItem{{"text", s.Text}}}}}}, false)
		case s.Text != "":
			add(sections(s.Text), false)
		}
		add(fields(s.Fields))
	}
	var names []string
	for _, a := range m.Attachments {
		names = append(names, "Attached where mail is read: "+escape(a.Name))
	}
	add(lines(names))
	if len(out) > maxBlocks {
		add(nil, true)
		out = append(out[:maxBlocks-1], section(mrkdwn("_The rest does not fit._")))
	}
	return out, cut
}

var icons = map[notify.Tone]string{notify.Good: "🟢 ", notify.Doubtful: "🟠 ", notify.Bad: "🔴 "}

// sections makes as many section blocks of s as it needs.
func sections(s string) []any {
	var out []any
	for s != "" {
		part := head(s, maxSection)
		s = s[len(part):]
		if strings.TrimSpace(part) != "" {
			out = append(out, section(mrkdwn(escape(part))))
		}
	}
	return out
}

// head returns the longest beginning of s that has at most n characters when it is escaped.
func head(s string, n int) string {
	for i, r := range s {
		switch r {
		case '&':
			n -= len("&amp;")
		case '<', '>':
			n -= len("&lt;")
		default:
			n--
		}
		if n < 0 {
			return s[:i]
		}
	}
	return s
}

func fields(list []notify.Field) (out []any, cut bool) {
	for part := range slices.Chunk(list, maxFields) {
		b := block{Type: "section"}
		for _, f := range part {
			name := head(f.Name, 200)
			value := head(f.Value, maxField-250)
			if value != f.Value || name != f.Name {
				value, cut = value+"…", true
			}
			b.Fields = append(b.Fields, mrkdwn("*"+escape(name)+"*\n"+escape(value)))
		}
		out = append(out, b)
	}
	return out, cut
}

// lines makes section blocks of lines that are mrkdwn already. One that is too long for a block is lost.
func lines(list []string) (out []any, cut bool) {
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			out = append(out, section(mrkdwn(strings.TrimSuffix(b.String(), "\n"))))
			b.Reset()
		}
	}
	for _, l := range list {
		if utf8.RuneCountInString(l) > maxSection {
			cut = true
			continue
		}
		if utf8.RuneCountInString(b.String())+utf8.RuneCountInString(l) >= maxSection {
			flush()
		}
		b.WriteString(l + "\n")
	}
	flush()
	return out, cut
}

var (
	escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	// In a link "|" ends the URL.
	urlEscaper = strings.NewReplacer("|", "%7C", "<", "%3C", ">", "%3E", "&", "&amp;")
)

// escape keeps text from being mrkdwn's control characters, which are these three.
func escape(s string) string { return escaper.Replace(s) }

func link(l notify.Link) string {
	if l.Text == "" {
		return "<" + urlEscaper.Replace(l.URL) + ">"
	}
	return "<" + urlEscaper.Replace(l.URL) + "|" + escape(notify.Truncate(l.Text, 200)) + ">"
}
