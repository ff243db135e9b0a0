package email_test

import (
	"context"
	"crypto/tls"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func password(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

func message() notify.Message {
	return notify.Message{
		Title: "checkout 1.4.2 is healthy — schön", Severity: notify.SeverityInfo, Outcome: notify.Succeeded,
		Environment: "production", Component: "checkout",
		Summary:       "Rolled out <b>at once</b>.\n\n.dot at the start & an umlaut: ü",
		Fields:        []notify.Field{{Name: "Digest", Value: "sha256:4f53cda1"}},
		Links:         []notify.Link{{Text: "Run", URL: "https://ci.example.test/run/42?a=1&b=2"}},
		Sections:      []notify.Section{{Title: "Log", Text: "<script>alert(1)</script>\nline two", Code: true}},
		Attachments:   []notify.Attachment{{Name: "report.html", Data: []byte("<p>0 findings</p>")}},
		CorrelationID: "run-42", Key: "run-42",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func newNotifier(t *testing.T, s *notifytest.SMTPServer, o email.Options, to ...string) *email.Notifier {
	t.Helper()
	if !o.DisableTLS {
		o.TLSConfig = &tls.Config{RootCAs: s.RootCAs}
	}
	n, err := email.New(s.Addr, "Waybill <waybill@example.test>", to, &o)
	require.NoError(t, err)
	return n
}

// parts returns the leaves of a MIME message by their media type.
func parts(t *testing.T, contentType string, body io.Reader) map[string]string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	require.NoError(t, err)
	out := map[string]string{}
	if !strings.HasPrefix(kind, "multipart/") {
		b, err := io.ReadAll(body)
		require.NoError(t, err)
		return map[string]string{kind: string(b)}
	}
	for r := multipart.NewReader(body, params["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return out
		}
		require.NoError(t, err)
		for k, v := range parts(t, p.Header.Get("Content-Type"), p) {
			if name := p.FileName(); name != "" {
				k += " " + name
			}
			out[k] = v
		}
	}
}

func TestNotifier_Notify(t *testing.T) {
	s := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"ci": "hunter2"}, RequireTLS: true})
	n := newNotifier(t, s, email.Options{Username: "ci", Password: password("hunter2"), BCC: []string{"audit@example.test"}},
		"dev@example.test", "Ops <ops@example.test>")

	receipt, err := n.Notify(t.Context(), message())
	require.NoError(t, err)
	assert.Equal(t, notify.Accepted, receipt.Status)
	assert.Equal(t, []notify.Recipient{{Address: "dev@example.test"}, {Address: "ops@example.test"}, {Address: "audit@example.test"}}, receipt.Recipients)

	mails := s.Mails()
	require.Len(t, mails, 1)
	got := mails[0]
	assert.True(t, got.TLS)
	assert.Equal(t, "ci", got.User)
	assert.Equal(t, "waybill@example.test", got.From)
	assert.Equal(t, []string{"dev@example.test", "ops@example.test", "audit@example.test"}, got.To)
	assert.Equal(t, receipt.ID, got.MessageID())

	msg, err := got.Message()
	require.NoError(t, err)
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	require.NoError(t, err)
	assert.Equal(t, message().Title, subject)
	assert.Empty(t, msg.Header.Get("Bcc"))
	assert.NotContains(t, string(got.Data), "audit@example.test")
	to, err := mail.ParseAddressList(msg.Header.Get("To"))
	require.NoError(t, err)
	assert.Len(t, to, 2)
	assert.Equal(t, "run-42", msg.Header.Get("X-Correlation-ID"))
	assert.Equal(t, "auto-generated", msg.Header.Get("Auto-Submitted"))

	leaves := parts(t, msg.Header.Get("Content-Type"), msg.Body)
	assert.Contains(t, leaves["text/plain"], message().Summary[:20])
	assert.Contains(t, strings.ReplaceAll(leaves["text/plain"], "\r\n", "\n"), "\n.dot at the start & an umlaut: ü")
	assert.Contains(t, leaves["text/html"], "&lt;script&gt;alert(1)&lt;/script&gt;")
	assert.Contains(t, leaves["text/html"], `href="https://ci.example.test/run/42?a=1&amp;b=2"`)
	assert.Contains(t, leaves, "text/html report.html")
}

func TestNotifier_sameMessageIDOnEveryTry(t *testing.T) {
	s := notifytest.NewSMTPServer(t, nil)
	n := newNotifier(t, s, email.Options{}, "dev@example.test")
	for range 2 {
		_, err := n.Notify(t.Context(), message())
		require.NoError(t, err)
	}
	assert.Equal(t, s.Mails()[0].MessageID(), s.Mails()[1].MessageID())
	other := message()
	other.Key = "run-43"
	_, err := n.Notify(t.Context(), other)
	require.NoError(t, err)
	assert.NotEqual(t, s.Mails()[0].MessageID(), s.Mails()[2].MessageID())
}
