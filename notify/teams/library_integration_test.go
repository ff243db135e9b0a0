//go:build integration

package teams_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/teams"
)

// read prints what the library has against a card, and the card as the library understood it.
const read = `
const AC = require(process.argv[1]);
const context = new AC.SerializationContext();
const card = new AC.AdaptiveCard();
card.parse(JSON.parse(require("fs").readFileSync(0, "utf8")), context);
const problems = [];
for (let i = 0; i < context.eventCount; i++) problems.push(context.getEventAt(i).message);
for (const e of card.validateProperties().validationEvents) problems.push(e.message);
console.log(JSON.stringify({problems, body: card.toJSON().body}));
`

// Microsoft's own library takes our cards, without a word against them, and gives back every element as it was.
func TestCards_library(t *testing.T) {
	library := testbed.Require(t, testbed.AdaptiveCards)
	node := testbed.Debian(t, "nodejs", "node")
	ask := func(card []byte) (problems []string, body []any) {
		cmd := exec.CommandContext(t.Context(), node, "-e", read, library.Path) //nolint:gosec // our script
		cmd.Stdin = bytes.NewReader(card)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		var got struct {
			Problems []string
			Body     []any
		}
		require.NoError(t, json.Unmarshal(out, &got))
		return got.Problems, got.Body
	}
	problems, _ := ask([]byte(`{"type":"AdaptiveCard","version":"1.4","body":[{"type":"RichTextBlock","inlines":[{"type":"TextRun","text":"x","weight":"Bold"}]}]}`))
	require.NotEmpty(t, problems, "the library sees a word that is none")

	n, err := teams.New(func(context.Context) (string, error) { return "https://x.test", nil }, nil)
	require.NoError(t, err)
	full := notify.Message{
		Title: "checkout <b>failed</b>", Severity: notify.SeverityError, Outcome: notify.Failed, Environment: "production",
		Summary: "**one**\n\n[two](https://evil.test)", Fields: []notify.Field{{Name: "Digest", Value: "sha256:4f53"}},
		Links:    []notify.Link{{Text: "Run", URL: "https://ci.example.test/run/42?a=1&b=2"}, {URL: "https://x.test"}},
		Sections: []notify.Section{{Title: "Log", Text: "line one\nline two", Code: true}, {Text: "text", Fields: []notify.Field{{Name: "a", Value: "b"}}}},
	}
	long := full
	long.Summary = strings.Repeat("Grüße & <tags> ", 10_000)
	for name, m := range map[string]notify.Message{
		"title only": {Title: "hello"}, "full": full, "cut": long, "good": {Title: "x", Outcome: notify.Succeeded}, "doubtful": {Title: "x", Outcome: notify.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			_, raw, err := n.Render(m)
			require.NoError(t, err)
			var sent struct {
				Attachments []struct{ Content json.RawMessage }
			}
			require.NoError(t, json.Unmarshal(raw, &sent))
			require.Len(t, sent.Attachments, 1)
			var card struct{ Body []any }
			require.NoError(t, json.Unmarshal(sent.Attachments[0].Content, &card))
			problems, body := ask(sent.Attachments[0].Content)
			assert.Empty(t, problems)
			assert.Equal(t, card.Body, body)
		})
	}
}
