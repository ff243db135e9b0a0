package notifytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

var slackChannel = channel{
	name: "slack", path: "/services/T0000/B0000/", check: CheckSlack,
	reply: func(s *HTTPServer, w http.ResponseWriter, r *http.Request, p *Post) {
		if r.URL.Path != "/api/chat.postMessage" {
			switch {
			case !json.Valid(p.Body):
				http.Error(w, "invalid_payload", http.StatusBadRequest)
			case len(p.Problems) > 0:
				http.Error(w, "invalid_blocks", http.StatusBadRequest)
			default:
				p.Taken = true
				fmt.Fprint(w, "ok")
			}
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		refuse := func(code string) { fmt.Fprintf(w, `{"ok":false,"error":%q}`, code) }
		var m struct{ Channel string }
		switch {
		case r.Header.Get("Authorization") == "":
			refuse("not_authed")
		case r.Header.Get("Authorization") != "Bearer "+s.Token:
			refuse("invalid_auth")
		case !isJSON(r) || json.Unmarshal(p.Body, &m) != nil:
			refuse("invalid_json")
		case m.Channel == "":
			refuse("channel_not_found")
		case len(p.Problems) > 0:
			refuse("invalid_blocks")
		default:
			p.Taken = true
			s.mu.Lock()
			s.seq++
			seq := s.seq
			s.mu.Unlock()
			_ = json.NewEncoder(w).Encode(map[string]any{"ok": true, "channel": m.Channel, "ts": fmt.Sprintf("1767323045.%06d", seq)})
		}
	},
}

var teamsChannel = channel{
	name: "teams", path: "/workflows/", query: "/triggers/manual/paths/invoke?api-version=1&sig=s3cr3t-signature", check: CheckTeams,
	reply: func(_ *HTTPServer, w http.ResponseWriter, r *http.Request, p *Post) {
		switch {
		case len(p.Body) > teamsMaxBytes:
			http.Error(w, "", http.StatusRequestEntityTooLarge)
		case !isJSON(r) || !json.Valid(p.Body):
			http.Error(w, "", http.StatusBadRequest)
		default:
			p.Taken = len(p.Problems) == 0 // the flow fails after its 202, and nobody hears of it
			w.WriteHeader(http.StatusAccepted)
		}
	},
}

var webhookChannel = channel{
	name: "webhook", path: "/hooks/", check: func(body []byte) []string {
		if !json.Valid(body) {
			return []string{"the body is not JSON"}
		}
		return nil
	},
	reply: func(s *HTTPServer, w http.ResponseWriter, _ *http.Request, p *Post) {
		if p.Taken = len(p.Problems) == 0; !p.Taken {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(s.o.Status)
	},
}

// problems collects what is wrong with a payload, by its place in it.
type problems []string

func (p *problems) add(at, format string, args ...any) {
	*p = append(*p, at+": "+fmt.Sprintf(format, args...))
}

func (p *problems) length(at, s string, low, high int) {
	if n := utf8.RuneCountInString(s); n < low || n > high {
		p.add(at, "has %d characters, not %d to %d", n, low, high)
	}
}

// strict decodes body into v and takes no unknown names.
func (p *problems) strict(at string, body []byte, v any) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		p.add(at, "%v", err)
		return false
	}
	return true
}

// CheckSlack holds what would be posted to Slack against the limits of the Block Kit reference, for the blocks header,
// section, divider, context and rich_text, and returns what is wrong with it. A mention, such as <!here>, is wrong too.
func CheckSlack(body []byte) []string {
	var p problems
	var m struct {
		Channel     string            `json:"channel"`
		Text        string            `json:"text"`
		Blocks      []json.RawMessage `json:"blocks"`
		Metadata    json.RawMessage   `json:"metadata"`
		UnfurlLinks bool              `json:"unfurl_links"`
		UnfurlMedia bool              `json:"unfurl_media"`
		ThreadTS    string            `json:"thread_ts"`
	}
	if !p.strict("message", body, &m) {
		return p
	}
	if m.Text == "" && len(m.Blocks) == 0 {
		p.add("message", "no_text")
	}
	p.length("text", m.Text, 0, 40_000)
	if len(m.Blocks) > 50 {
		p.add("blocks", "there are %d, over 50", len(m.Blocks))
	}
	total := 0
	for i, raw := range m.Blocks {
		total += utf8.RuneCount(raw)
		p.slackBlock(fmt.Sprintf("blocks[%d]", i), raw)
	}
	if total > 13_200 {
		p.add("blocks", "msg_blocks_too_long: %d characters in all", total)
	}
	return p
}

type slackText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji"`
	Verbatim *bool  `json:"verbatim"`
}

func (p *problems) slackText(at string, t *slackText, high int, types ...string) {
	if t == nil {
		p.add(at, "is missing")
		return
	}
	p.length(at, t.Text, 1, high)
	if !strings.Contains(strings.Join(types, " "), t.Type) || t.Type == "" {
		p.add(at, "has the type %q, not %s", t.Type, strings.Join(types, " or "))
	}
	if t.Type == "mrkdwn" {
		if t.Emoji != nil {
			p.add(at, "mrkdwn has no emoji")
		}
		p.mrkdwn(at, t.Text)
	} else if t.Verbatim != nil {
		p.add(at, "%s has no verbatim", t.Type)
	}
}

// mrkdwn finds what is between < and > and refuses all but links: a mention would call people.
func (p *problems) mrkdwn(at, s string) {
	for {
		i := strings.IndexAny(s, "<>")
		if i < 0 {
			return
		}
		end := strings.IndexByte(s[i:], '>')
		if s[i] == '>' || end < 0 {
			p.add(at, "has a bare %q", s[i])
			return
		}
		target, _, _ := strings.Cut(s[i+1:i+end], "|")
		if u, err := url.Parse(strings.ReplaceAll(target, "&amp;", "&")); err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto" {
			p.add(at, "has a mention or a broken link, <%s>", s[i+1:i+end])
		}
		p.length(at+" link", target, 1, 3000)
		s = s[i+end+1:]
	}
}

func (p *problems) slackBlock(at string, raw json.RawMessage) {
	var kind struct{ Type string }
	_ = json.Unmarshal(raw, &kind)
	switch kind.Type {
	case "header":
		var b struct {
			Type string     `json:"type"`
			Text *slackText `json:"text"`
		}
		if p.strict(at, raw, &b) {
			p.slackText(at+".text", b.Text, 150, "plain_text")
		}
	case "section":
		var b struct {
			Type   string      `json:"type"`
			Text   *slackText  `json:"text"`
			Fields []slackText `json:"fields"`
		}
		if !p.strict(at, raw, &b) {
			return
		}
		if b.Text != nil || len(b.Fields) == 0 {
			p.slackText(at+".text", b.Text, 3000, "mrkdwn", "plain_text")
		}
		if len(b.Fields) > 10 {
			p.add(at+".fields", "there are %d, over 10", len(b.Fields))
		}
		for i, f := range b.Fields {
			p.slackText(fmt.Sprintf("%s.fields[%d]", at, i), &f, 2000, "mrkdwn", "plain_text")
		}
	case "context":
		var b struct {
			Type     string      `json:"type"`
			Elements []slackText `json:"elements"`
		}
		if p.strict(at, raw, &b) && (len(b.Elements) == 0 || len(b.Elements) > 10) {
			p.add(at, "has %d elements, not 1 to 10", len(b.Elements))
		}
	case "divider":
	case "rich_text":
		var b struct {
			Type     string `json:"type"`
			Elements []struct {
				Type     string `json:"type"`
				Elements []struct {
					Type string `json:"type"`
					Text string `json:"text"`
				} `json:"elements"`
			} `json:"elements"`
		}
		if !p.strict(at, raw, &b) {
			return
		}
		for i, e := range b.Elements {
			if e.Type != "rich_text_preformatted" && e.Type != "rich_text_section" {
				p.add(fmt.Sprintf("%s.elements[%d]", at, i), "has the type %q", e.Type)
			}
			for _, t := range e.Elements {
				if t.Type != "text" || t.Text == "" {
					p.add(fmt.Sprintf("%s.elements[%d]", at, i), "holds a %q that is no text", t.Type)
				}
			}
		}
	default:
		p.add(at, "has the type %q", kind.Type)
	}
}

// teamsMaxBytes is the documented limit for what is posted to Teams.
const teamsMaxBytes = 28 << 10

// CheckTeams holds what would be posted to Teams against its 28 KB, the envelope of workflow webhooks and the adaptive card
// schema 1.4, for the elements TextBlock, RichTextBlock, FactSet and ActionSet, and returns what is wrong with it.
func CheckTeams(body []byte) []string {
	var p problems
	if len(body) > teamsMaxBytes {
		p.add("message", "has %d bytes, over %d", len(body), teamsMaxBytes)
	}
	var m struct {
		Type        string `json:"type"`
		Attachments []struct {
			ContentType string          `json:"contentType"`
			ContentURL  *string         `json:"contentUrl"`
			Content     json.RawMessage `json:"content"`
		} `json:"attachments"`
	}
	if !p.strict("message", body, &m) {
		return p
	}
	if m.Type != "message" {
		p.add("type", "is %q", m.Type)
	}
	if len(m.Attachments) != 1 {
		p.add("attachments", "there are %d, not 1", len(m.Attachments))
	}
	for i, a := range m.Attachments {
		at := fmt.Sprintf("attachments[%d]", i)
		if a.ContentType != "application/vnd.microsoft.card.adaptive" {
			p.add(at+".contentType", "is %q", a.ContentType)
		}
		if a.ContentURL != nil {
			p.add(at+".contentUrl", "is not null")
		}
		p.card(at+".content", a.Content)
	}
	return p
}

func (p *problems) card(at string, raw json.RawMessage) {
	var c struct {
		Schema  string            `json:"$schema"`
		Type    string            `json:"type"`
		Version string            `json:"version"`
		Body    []json.RawMessage `json:"body"`
		Actions []cardAction      `json:"actions"`
		Teams   struct {
			Width string `json:"width"`
		} `json:"msteams"`
	}
	if !p.strict(at, raw, &c) {
		return
	}
	if c.Type != "AdaptiveCard" {
		p.add(at+".type", "is %q", c.Type)
	}
	if c.Version == "" || c.Version > "1.5" {
		p.add(at+".version", "is %q", c.Version)
	}
	if len(c.Body) == 0 {
		p.add(at+".body", "is empty")
	}
	for i, e := range c.Body {
		p.element(fmt.Sprintf("%s.body[%d]", at, i), e)
	}
	p.actions(at+".actions", c.Actions)
}

type cardAction struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

func (p *problems) actions(at string, list []cardAction) {
	if len(list) > 6 {
		p.add(at, "there are %d, over the 6 Teams shows", len(list))
	}
	for i, a := range list {
		if u, err := url.Parse(a.URL); a.Type != "Action.OpenUrl" || a.Title == "" || err != nil || u.Scheme == "" {
			p.add(fmt.Sprintf("%s[%d]", at, i), "is no link")
		}
	}
}

var cardWords = map[string]string{
	"size": "Default Small Medium Large ExtraLarge", "weight": "Default Lighter Bolder", "fontType": "Default Monospace",
	"color": "Default Dark Light Accent Good Warning Attention", "spacing": "Default None Small Medium Large ExtraLarge Padding",
}

func (p *problems) word(at, name, value string) {
	for w := range strings.FieldsSeq(cardWords[name]) {
		if value == w || value == "" {
			return
		}
	}
	p.add(at+"."+name, "is %q", value)
}

func (p *problems) element(at string, raw json.RawMessage) {
	var kind struct{ Type string }
	_ = json.Unmarshal(raw, &kind)
	switch kind.Type {
	case "RichTextBlock":
		var e struct {
			Type    string `json:"type"`
			Inlines []struct {
				Type     string `json:"type"`
				Text     string `json:"text"`
				Size     string `json:"size"`
				Weight   string `json:"weight"`
				Color    string `json:"color"`
				FontType string `json:"fontType"`
				IsSubtle bool   `json:"isSubtle"`
			} `json:"inlines"`
			Spacing   string `json:"spacing"`
			Separator bool   `json:"separator"`
		}
		if !p.strict(at, raw, &e) {
			return
		}
		p.word(at, "spacing", e.Spacing)
		if len(e.Inlines) == 0 {
			p.add(at+".inlines", "is empty")
		}
		for _, r := range e.Inlines {
			if r.Type != "TextRun" {
				p.add(at+".inlines", "holds a %q", r.Type)
			}
			p.word(at, "size", r.Size)
			p.word(at, "weight", r.Weight)
			p.word(at, "color", r.Color)
			p.word(at, "fontType", r.FontType)
		}
	case "TextBlock":
		var e struct {
			Text *string `json:"text"`
		}
		if json.Unmarshal(raw, &e) != nil || e.Text == nil {
			p.add(at+".text", "is missing")
		}
	case "FactSet":
		var e struct {
			Facts []struct{ Title, Value *string } `json:"facts"`
		}
		if json.Unmarshal(raw, &e) != nil || len(e.Facts) == 0 {
			p.add(at+".facts", "is empty")
		}
	case "ActionSet":
		var e struct {
			Type    string       `json:"type"`
			Actions []cardAction `json:"actions"`
		}
		if p.strict(at, raw, &e) {
			p.actions(at+".actions", e.Actions)
		}
	default:
		p.add(at, "has the type %q", kind.Type)
	}
}
