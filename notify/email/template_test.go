package email_test

import (
	"html/template"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

func TestNotifier_templatesOfOnesOwn(t *testing.T) {
	render := func(html, text string, m notify.Message) (notifytest.Mail, error) {
		n, err := email.New("mail.test", "a@b.test", []string{"c@d.test"}, &email.Options{
			HTML: template.Must(template.New("html").Parse(html)), Text: texttemplate.Must(texttemplate.New("text").Parse(text)),
		})
		require.NoError(t, err)
		_, body, err := n.Render(m)
		return notifytest.Mail{Data: body}, err
	}
	m := notify.Message{Title: "<b>x</b>", Links: []notify.Link{{URL: "https://x.test/?a=1&b=2"}}}

	mail, err := render(`<h1>{{.Title}}</h1><a href="{{(index .Links 0).URL}}" style="color:{{.Color}}">run</a>`, "{{.Title}} {{range .Facts}}{{.Name}} {{end}}", m)
	require.NoError(t, err)
	assert.Contains(t, mail.HTML(), "<h1>&lt;b&gt;x&lt;/b&gt;</h1>")
	assert.Contains(t, mail.HTML(), `href="https://x.test/?a=1&amp;b=2"`)
	assert.Contains(t, mail.HTML(), "color:#175cd3")
	assert.Equal(t, "<b>x</b> Time ", mail.Text())

	for name, html := range map[string]string{
		"no such field":       "{{.Nope}}",
		"index out of range":  "{{index .Sections 5}}",
		"output without end":  "{{define `x`}}" + strings.Repeat("x", 1000) + "{{template `x`}}{{end}}{{template `x`}}",
		"larger than the cap": strings.Repeat(strings.Repeat("y", 1<<20), 9),
	} {
		_, err := render(html, "x", m)
		require.ErrorIs(t, err, notify.ErrInvalid, name)
	}
}
