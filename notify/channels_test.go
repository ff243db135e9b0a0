package notify_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/slack"
	"github.com/waybill-dev/waybill/notify/teams"
	"github.com/waybill-dev/waybill/notify/webhook"
)

func always(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

// httpChannel is one of the channels over HTTP and the server that stands in for it.
type httpChannel struct {
	name   string
	server *notifytest.HTTPServer
	notify.Notifier
	status notify.Status // when all is well
}

func httpChannels(t *testing.T, timeout time.Duration) []httpChannel {
	t.Helper()
	var (
		hook   = notifytest.NewSlackServer(t, nil)
		bot    = notifytest.NewSlackServer(t, nil)
		card   = notifytest.NewTeamsServer(t, nil)
		signed = notifytest.NewWebhookServer(t, nil)
	)
	slackHook, err := slack.NewWebhook(always(hook.URL), &slack.Options{AllowPrivate: true, Timeout: timeout})
	require.NoError(t, err)
	slackBot, err := slack.NewBot("C1", always(bot.Token), &slack.Options{AllowPrivate: true, APIURL: bot.APIURL, Timeout: timeout})
	require.NoError(t, err)
	workflow, err := teams.New(always(card.URL), &teams.Options{AllowPrivate: true, Timeout: timeout})
	require.NoError(t, err)
	generic, err := webhook.New(always(signed.URL), &webhook.Options{AllowPrivate: true, Timeout: timeout, Keys: []func(context.Context) (string, error){always("a key of some length!!")}})
	require.NoError(t, err)
	return []httpChannel{
		{"slack webhook", hook, slackHook, notify.Delivered},
		{"slack bot", bot, slackBot, notify.Delivered},
		{"teams", card, workflow, notify.Accepted},
		{"webhook", signed, generic, notify.Delivered},
	}
}

func fullMessage() notify.Message {
	return notify.Message{
		Title: "checkout 1.4.2 failed <!here> @channel", Severity: notify.SeverityError, Outcome: notify.Failed,
		Environment: "production", Component: "checkout",
		Summary:       "Rolled back & paged <!channel>.\n\n[click](https://evil.test) **bold** <https://evil.test|text> {{DATE(2017-02-14T06:00:00Z, SHORT)}}",
		Fields:        []notify.Field{{Name: "Digest", Value: "sha256:4f53cda1"}, {Name: "By", Value: "<@U024BE7LH>"}},
		Links:         []notify.Link{{Text: "Run <42>", URL: "https://ci.example.test/run/42?a=1&b=2|3"}, {URL: "mailto:dev@example.test"}},
		Sections:      []notify.Section{{Title: "Log *x*", Text: "```\npanic: <script>\n```", Code: true}, {Text: "plain", Fields: []notify.Field{{Name: "a", Value: "b"}}}},
		Attachments:   []notify.Attachment{{Name: "report.html", Data: []byte("<p>0 findings</p>")}},
		CorrelationID: "run-42", Key: "run-42", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestChannels_takeEverything(t *testing.T) {
	messages := map[string]notify.Message{
		"title only": {Title: "hello"},
		"full":       fullMessage(),
		"huge":       hugeMessage(),
		"many parts": manyParts(),
		"odd text":   {Title: "x", Summary: "a\x00b\xff\x1b[31m\u202e\r\nc" + strings.Repeat("👩‍👩‍👧‍👦é", 3000)},
	}
	for _, c := range httpChannels(t, 0) {
		for name, m := range messages {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				before := len(c.server.Posts())
				receipt, err := c.Notify(t.Context(), m)
				require.NoError(t, err)
				assert.Equal(t, c.status, receipt.Status)
				posts := c.server.Posts()[before:]
				require.Len(t, posts, 1)
				assert.Empty(t, posts[0].Problems)
				assert.True(t, posts[0].Taken)
				body := string(posts[0].Body)
				for _, l := range m.Links {
					assert.Contains(t, unescaped(body), strings.ReplaceAll(l.URL, "|", unbar(c.name)), "the link survives")
				}
				if c.name != "webhook" && len(m.Summary)+100*len(m.Sections) > 10_000 {
					assert.True(t, receipt.Cut)
				} else {
					assert.False(t, receipt.Cut)
				}
			})
		}
	}
}

func unbar(channel string) string {
	if strings.HasPrefix(channel, "slack") {
		return "%7C"
	}
	return "|"
}

func unescaped(s string) string {
	return strings.NewReplacer("&amp;", "&", `\u0026`, "&").Replace(s)
}

func hugeMessage() notify.Message {
	m := fullMessage()
	m.Links = []notify.Link{{Text: "Run", URL: "https://ci.example.test/run/42"}}
	m.Summary = strings.Repeat("Ünïcödé & <markup> ", 5000)
	m.Sections = append(m.Sections, notify.Section{Title: "more", Text: strings.Repeat(`"quoted" \ and <b>`+"\n", 9000), Code: true})
	return m
}

func manyParts() notify.Message {
	m := fullMessage()
	m.Links = []notify.Link{{Text: "Run", URL: "https://ci.example.test/run/42"}}
	for range 400 {
		m.Fields = append(m.Fields, notify.Field{Name: "n", Value: strings.Repeat("v", 90)})
		m.Sections = append(m.Sections, notify.Section{Title: "s", Text: "t"})
	}
	return m
}

func TestSlack_textIsNotMarkup(t *testing.T) {
	c := httpChannels(t, 0)[0]
	_, err := c.Notify(t.Context(), fullMessage())
	require.NoError(t, err)
	body := string(c.server.Posts()[0].Body)
	for _, markup := range []string{"<!here>", "<!channel>", "<@U024BE7LH>", "<https://evil.test"} {
		switch markup {
		case "<!here>": // in the header, which is plain_text, and escaped in the fallback text
			assert.Equal(t, 1, strings.Count(body, markup))
		default:
			assert.NotContains(t, body, markup)
		}
	}
	// Without verbatim Slack itself makes links of URLs, and mentions of names, in text that has no markup.
	assert.Equal(t, strings.Count(body, `"type":"mrkdwn"`), strings.Count(body, `"verbatim":true`))
}

func TestSlack_longLinkGivesUpItsText(t *testing.T) {
	address := "https://ci.example.test/" + strings.Repeat("r", 2400)
	c := httpChannels(t, 0)[0]
	d, err := c.Notify(t.Context(), notify.Message{Title: "x", Links: []notify.Link{{Text: strings.Repeat("&", 200), URL: address}}})
	require.NoError(t, err)
	assert.True(t, d.Cut)
	assert.Contains(t, string(c.server.Posts()[0].Body), "<"+address+">")
}

func TestTeams_textIsNotMarkdown(t *testing.T) {
	c := httpChannels(t, 0)[2]
	_, err := c.Notify(t.Context(), fullMessage())
	require.NoError(t, err)
	body := string(c.server.Posts()[0].Body)
	assert.NotContains(t, body, "TextBlock\",\"text", "a TextBlock would read Markdown and DATE()")
	assert.NotContains(t, body, "FactSet", "so would a FactSet")
}
