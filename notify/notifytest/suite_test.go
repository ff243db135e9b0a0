package notifytest_test

import (
	"context"
	"crypto/tls"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/slack"
	"github.com/waybill-dev/waybill/notify/teams"
	"github.com/waybill-dev/waybill/notify/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func always(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

// nobody is an address where nobody listens: port 1 is for a service that is no more.
const nobody = "127.0.0.1:1"

func elsewhere(t *testing.T, raw string) func(context.Context) (string, error) {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	u.Host = nobody
	return always(u.String())
}

func texts(s *notifytest.HTTPServer) func(testing.TB) []string {
	return func(testing.TB) []string {
		var out []string
		for _, p := range s.Taken() {
			out = append(out, strings.ReplaceAll(string(p.Body), `\n`, "\n"))
		}
		return out
	}
}

func TestSuite_email(t *testing.T) {
	s := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"ci": "hunter2"}, RequireTLS: true})
	o := &email.Options{TLSConfig: &tls.Config{RootCAs: s.RootCAs}, Username: "ci", Password: always("hunter2")}
	n, err := email.New(s.Addr, "ci@example.test", []string{"dev@example.test"}, o)
	require.NoError(t, err)
	lost, err := email.New(nobody, "ci@example.test", []string{"dev@example.test"}, o)
	require.NoError(t, err)
	notifytest.TestNotifier(t, notifytest.Harness{
		Name: "email to notifytest", Keyed: true, Notifier: n, Unreachable: lost, Status: notify.Accepted,
		Arrived: func(testing.TB) []string {
			var out []string
			for _, m := range s.Mails() {
				out = append(out, m.Text())
			}
			return out
		},
	})
}

func TestSuite_slack(t *testing.T) {
	s := notifytest.NewSlackServer(t, nil)
	n, err := slack.NewWebhook(always(s.URL), &slack.Options{AllowPrivate: true})
	require.NoError(t, err)
	lost, err := slack.NewWebhook(elsewhere(t, s.URL), &slack.Options{AllowPrivate: true})
	require.NoError(t, err)
	notifytest.TestNotifier(t, notifytest.Harness{
		Name: "slack webhook to notifytest", Notifier: n, Unreachable: lost, Status: notify.Delivered, Arrived: texts(s),
	})
}

func TestSuite_slackBot(t *testing.T) {
	s := notifytest.NewSlackServer(t, nil)
	n, err := slack.NewBot("C1", always(s.Token), &slack.Options{AllowPrivate: true, APIURL: s.APIURL})
	require.NoError(t, err)
	lost, err := slack.NewBot("C1", always(s.Token), &slack.Options{AllowPrivate: true, APIURL: "http://" + nobody})
	require.NoError(t, err)
	notifytest.TestNotifier(t, notifytest.Harness{
		Name: "slack bot to notifytest", Notifier: n, Unreachable: lost, Status: notify.Delivered, Arrived: texts(s),
	})
}

func TestSuite_teams(t *testing.T) {
	s := notifytest.NewTeamsServer(t, nil)
	n, err := teams.New(always(s.URL), &teams.Options{AllowPrivate: true})
	require.NoError(t, err)
	lost, err := teams.New(elsewhere(t, s.URL), &teams.Options{AllowPrivate: true})
	require.NoError(t, err)
	notifytest.TestNotifier(t, notifytest.Harness{
		Name: "teams to notifytest", Notifier: n, Unreachable: lost, Status: notify.Accepted, Arrived: texts(s),
	})
}

func TestSuite_webhook(t *testing.T) {
	s := notifytest.NewWebhookServer(t, nil)
	o := &webhook.Options{AllowPrivate: true, Keys: []func(context.Context) (string, error){always("a key")}}
	n, err := webhook.New(always(s.URL), o)
	require.NoError(t, err)
	lost, err := webhook.New(elsewhere(t, s.URL), o)
	require.NoError(t, err)
	notifytest.TestNotifier(t, notifytest.Harness{
		Name: "webhook to notifytest", Keyed: true, Notifier: n, Unreachable: lost, Status: notify.Delivered, Arrived: texts(s),
	})
}
