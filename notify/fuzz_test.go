package notify_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/slack"
	"github.com/waybill-dev/waybill/notify/teams"
	"github.com/waybill-dev/waybill/notify/webhook"
)

func FuzzTruncate(f *testing.F) {
	f.Add("hello", 3)
	f.Add("e\u0301e\u0301e\u0301", 4)
	f.Add("👩‍👩‍👧‍👦👍🏽", 12)
	f.Add("a\xff\xfeb", 4)
	f.Add("x", -1)
	f.Fuzz(func(t *testing.T, s string, n int) {
		got := notify.Truncate(s, n)
		assert.True(t, utf8.ValidString(got))
		valid := strings.ToValidUTF8(s, "\uFFFD")
		if len(valid) <= n {
			assert.Equal(t, valid, got)
			return
		}
		assert.LessOrEqual(t, len(got), max(n, 0))
		if got != "" {
			assert.True(t, strings.HasSuffix(got, "…"))
			assert.True(t, strings.HasPrefix(valid, strings.TrimSuffix(got, "…")))
		}
	})
}

func FuzzShorten(f *testing.F) {
	f.Add("title", "summary", "https://x.test/run/1", "field", 20)
	f.Add(strings.Repeat("t", 500), strings.Repeat("ü", 500), "https://x.test/"+strings.Repeat("p", 4000), "v", 0)
	f.Fuzz(func(t *testing.T, title, summary, link, value string, n int) {
		m := notify.Message{
			Title: title, Summary: summary, Links: []notify.Link{{Text: value, URL: link}}, Fields: []notify.Field{{Name: "n", Value: value}},
			Sections: []notify.Section{{Title: title, Text: summary, Fields: []notify.Field{{Name: "n", Value: value}}}},
		}
		got := m.Shorten(n)
		size := len(got.Summary)
		for _, fl := range got.Fields {
			size += len(fl.Name) + len(fl.Value)
		}
		if len(title+summary+link+value) > n+2000 {
			assert.LessOrEqual(t, size, max(n, 0))
			assert.LessOrEqual(t, len(got.Title), 150)
		}
		if len(link) <= 3000 {
			require.Len(t, got.Links, 1, "the link stays")
			assert.Equal(t, link, got.Links[0].URL, "and whole")
		}
		assert.Equal(t, summary, m.Summary, "the original is not touched")
		assert.Equal(t, value, m.Sections[0].Fields[0].Value)
	})
}

// FuzzChannels renders a template for every channel: whatever the data, the markup is valid and holds no markup of the data.
func FuzzChannels(f *testing.F) {
	hook, err := slack.NewWebhook(always("https://x.test"), nil)
	require.NoError(f, err)
	card, err := teams.New(always("https://x.test"), nil)
	require.NoError(f, err)
	generic, err := webhook.New(always("https://x.test"), nil)
	require.NoError(f, err)
	mail, err := email.New("mail.test", "a@b.test", []string{"c@d.test"}, nil)
	require.NoError(f, err)
	tmpl, err := notify.ParseTemplate(notify.Message{
		Title: "{{.a}} is {{.b}}", Summary: "{{.b}}\n\n{{.c}}", Component: "{{.c}}",
		Fields:   []notify.Field{{Name: "{{.a}}", Value: "{{.c}}"}},
		Links:    []notify.Link{{Text: "{{.b}}", URL: "https://ci.test/{{.a | urlquery}}"}},
		Sections: []notify.Section{{Title: "{{.c}}", Text: "{{.b}}", Code: true}, {Text: "{{.c}}"}},
	})
	require.NoError(f, err)
	f.Add("<!here> <@U1> <https://evil.test|x>", "&amp;<script>alert(1)</script>", "*bold* _x_ `y` {{DATE(2017)}} [a](https://evil.test)")
	f.Add("##vso[task.setvariable]x", "\r\nBcc: evil@example.test\r\n\r\n.", "\x00\x1b[31m\u202e")
	f.Add(strings.Repeat("&", 4000), strings.Repeat("<>", 9000), strings.Repeat("👩‍👩‍👧‍👦", 900))
	f.Add("", "{{.}}", `"\`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		m, err := tmpl.Render(map[string]string{"a": a, "b": b, "c": c})
		if err != nil {
			require.ErrorIs(t, err, notify.ErrInvalid)
			return
		}
		for _, ch := range []struct {
			r     notify.Renderer
			check func([]byte) []string
		}{{hook, notifytest.CheckSlack}, {card, notifytest.CheckTeams}, {generic, nil}, {mail, checkMail}} {
			_, body, err := ch.r.Render(m)
			require.NoError(t, err)
			assert.True(t, utf8.Valid(body))
			if ch.check != nil {
				assert.Empty(t, ch.check(body))
			}
		}
	})
}

// checkMail finds what a mail must not have: fields of the header that nobody set, lines that are too long, and parts that
// do not decode.
func checkMail(body []byte) (problems []string) {
	m := notifytest.Mail{Data: body}
	if m.Header("Bcc") != "" {
		problems = append(problems, "somebody smuggled in a recipient")
	}
	if parts, err := m.Parts(); err != nil || len(parts) != 2 {
		problems = append(problems, "the parts are not a text and an HTML one")
	}
	if strings.Contains(m.HTML(), "<script") {
		problems = append(problems, "data became markup")
	}
	for line := range strings.SplitSeq(string(body), "\r\n") {
		if len(line) > 998 {
			problems = append(problems, "a line is longer than SMTP allows")
		}
	}
	if strings.Contains(strings.ReplaceAll(string(body), "\r\n", ""), "\n") {
		problems = append(problems, "a line feed stands alone")
	}
	return problems
}
