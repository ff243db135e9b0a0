package email_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

// FuzzAddresses sends to whatever New takes as an address, and looks at what the server was told: one MAIL, one RCPT, no
// parameters that were not ours, and the same address at the other end.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{
		"dev@example.test", "Dev Team <dev@example.test>", `"odd > one"@example.test`, `"a\"b"@example.test`, "a@[127.0.0.1]", "jörg@exämple.test",
		"x@y.test> SIZE=1 <z@y.test", "x@y.test\r\nRCPT TO:<z@y.test>", "\"x\r\ny\"@z.test", "@", "a@b@c", `"a b" <a@b.test> RET=FULL`, "=?utf-8?q?x?= <a@b.test>",
		"<a@b.test>", "a@b.test,c@d.test", "\"\\\r\"@b.test", "a@b.test\x00", `"@"@b.test`, "a@\"b>c\"",
	} {
		f.Add(s)
	}
	s, err := notifytest.StartSMTP(&notifytest.SMTPOptions{SMTPUTF8: true, NoSTARTTLS: true})
	require.NoError(f, err)
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, address string) {
		n, err := email.New(s.Addr, "ci@example.test", []string{address}, &email.Options{DisableTLS: true})
		if err != nil {
			require.ErrorIs(t, err, notify.ErrInvalid)
			return
		}
		before := len(s.Commands())
		mails := len(s.Mails())
		receipt, err := n.Notify(t.Context(), notify.Message{Title: "x"})
		for _, c := range s.Commands()[before:] {
			assert.Contains(t, []string{"EHLO", "MAIL", "RCPT", "DATA", "QUIT"}, c.Verb, "a command of somebody else")
			if c.Verb == "RCPT" {
				assert.True(t, strings.HasSuffix(c.Arg, ">"), "a parameter of somebody else: %q", c.Arg)
			}
		}
		if err != nil { // what the server does not like is the server's to say
			require.ErrorIs(t, err, notify.ErrRejected, "%q", address)
			return
		}
		got := s.Mails()[mails]
		require.Len(t, got.To, 1)
		require.Len(t, receipt.Recipients, 1)
	})
}

// FuzzHeaders builds mails of whatever is taken as a message: the header has the fields it always has, and the texts
// arrive as they are.
func FuzzHeaders(f *testing.F) {
	n, err := email.New("mail.test", "Waybill <ci@example.test>", []string{"dev@example.test"}, nil)
	require.NoError(f, err)
	f.Add("deployed", "run-42", "report.html", "text/html")
	f.Add("x\r\nBcc: y@z.test", "a\nb", "a\"; filename=\"b", "text/html; x=y")
	f.Add("=?utf-8?q?x?=", "=?", "ü.txt", "")
	f.Add(strings.Repeat("long subject ", 100), strings.Repeat("i", 2000), strings.Repeat("f", 300)+".txt", "application/json")
	f.Add("\u202e\ufeff\u2028", "\u2028", "\u2028.txt", "a/b")
	f.Fuzz(func(t *testing.T, title, id, file, kind string) {
		m := notify.Message{Title: title, CorrelationID: id, Attachments: []notify.Attachment{{Name: file, ContentType: kind, Data: []byte("x")}}}
		_, body, err := n.Render(m)
		if err != nil {
			require.ErrorIs(t, err, notify.ErrInvalid)
			return
		}
		mail := notifytest.Mail{Data: body}
		msg, err := mail.Message()
		require.NoError(t, err)
		for name := range msg.Header {
			assert.Contains(t, []string{
				"From", "To", "Subject", "Date", "Message-Id", "Mime-Version", "Content-Type", "Auto-Submitted", "X-Correlation-Id",
			}, name)
		}
		for line := range strings.SplitSeq(string(body), "\r\n") {
			assert.LessOrEqual(t, len(line), 998)
		}
		want := notify.Truncate(title, 250)
		assert.Equal(t, strings.Join(strings.Fields(want), " "), strings.Join(strings.Fields(mail.Subject()), " "))
		parts, err := mail.Parts()
		require.NoError(t, err)
		require.Len(t, parts, 3)
		assert.Equal(t, "x", string(parts[2].Data))
	})
}
