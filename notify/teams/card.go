package teams

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/waybill-dev/waybill/notify"
)

// maxBytes is Teams' limit for a message, with some room below its 28 KB.
const maxBytes = 27 << 10

// maxActions is how many actions Teams shows in a row.
const maxActions = 6

type envelope struct {
	Type        string       `json:"type"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	ContentType string  `json:"contentType"`
	ContentURL  *string `json:"contentUrl"` // has to be there, and null
	Content     card    `json:"content"`
}

type card struct {
	Schema  string            `json:"$schema"`
	Type    string            `json:"type"`
	Version string            `json:"version"`
	Body    []any             `json:"body"`
	Teams   map[string]string `json:"msteams"`
}

// richText has text without Markdown, which a TextBlock would read.
type richText struct {
	Type      string `json:"type"`
	Inlines   []run  `json:"inlines"`
	Spacing   string `json:"spacing,omitempty"`
	Separator bool   `json:"separator,omitempty"`
}

type run struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Size     string `json:"size,omitempty"`
	Weight   string `json:"weight,omitempty"`
	Color    string `json:"color,omitempty"`
	FontType string `json:"fontType,omitempty"`
	IsSubtle bool   `json:"isSubtle,omitempty"`
}

type actionSet struct {
	Type    string   `json:"type"`
	Actions []action `json:"actions"`
}

type action struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

func encode(m notify.Message) (body []byte, cut bool, err error) {
	if m, err = m.Normalize(); err != nil {
		return nil, false, err
	}
	return notify.Fit(m, maxBytes, marshal)
}

func marshal(m notify.Message) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(envelope{Type: "message", Attachments: []attachment{{
		ContentType: "application/vnd.microsoft.card.adaptive",
		Content: card{
			Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
			Body: elements(m), Teams: map[string]string{"width": "Full"},
		},
	}}})
	if err != nil {
		return nil, &notify.Error{Op: "encode", Target: "teams", Kind: notify.ErrInvalid, Err: err}
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

var colors = map[notify.Tone]string{notify.Neutral: "Default", notify.Good: "Good", notify.Doubtful: "Warning", notify.Bad: "Attention"}

func elements(m notify.Message) []any {
	out := []any{text(run{Text: m.Title, Size: "Large", Weight: "Bolder", Color: colors[m.Tone()]})}
	for _, p := range paragraphs(m.Summary) {
		out = append(out, text(run{Text: p}))
	}
	out = append(out, facts(m.Facts())...)
	out = append(out, links(m.Links)...)
	for _, s := range m.Sections {
		if s.Title != "" {
			t := text(run{Text: s.Title, Weight: "Bolder"})
			t.Separator = true
			out = append(out, t)
		}
		if s.Code && s.Text != "" {
			out = append(out, text(run{Text: s.Text, FontType: "Monospace"}))
		} else {
			for _, p := range paragraphs(s.Text) {
				out = append(out, text(run{Text: p}))
			}
		}
		out = append(out, facts(s.Fields)...)
	}
	for _, a := range m.Attachments {
		out = append(out, text(run{Text: "Attached where mail is read: " + a.Name, IsSubtle: true}))
	}
	return out
}

func text(runs ...run) richText {
	for i := range runs {
		runs[i].Type = "TextRun"
	}
	return richText{Type: "RichTextBlock", Inlines: runs}
}

func paragraphs(s string) []string {
	var out []string
	for p := range strings.SplitSeq(s, "\n\n") {
		if p = strings.Trim(p, "\n"); strings.TrimSpace(p) != "" {
			out = append(out, p)
		}
	}
	return out
}

func facts(list []notify.Field) []any {
	var out []any
	for _, f := range list {
		t := text(run{Text: f.Name + ": ", IsSubtle: true}, run{Text: f.Value})
		t.Spacing = "Small"
		out = append(out, t)
	}
	return out
}

func links(list []notify.Link) []any {
	var out []any
	var set []action
	for _, l := range list {
		title := l.Text
		if title == "" {
			title = l.URL
		}
		set = append(set, action{"Action.OpenUrl", notify.Truncate(title, 100), l.URL})
		if len(set) == maxActions {
			out, set = append(out, actionSet{"ActionSet", set}), nil
		}
	}
	if len(set) > 0 {
		out = append(out, actionSet{"ActionSet", set})
	}
	return out
}
