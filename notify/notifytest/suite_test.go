package notifytest_test

import (
	"context"
	"crypto/tls"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/slack"
	"github.com/waybill-dev/waybill/notify/teams"
	"github.com/waybill-dev/waybill/notify/webhook"
)

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

func emailHarness(t *testing.T, s *notifytest.SMTPServer, login *email.Options) notifytest.Harness {
	t.Helper()
	o := &email.Options{TLSConfig: &tls.Config{RootCAs: s.RootCAs}}
	if login != nil {
		o.Username, o.Password = login.Username, login.Password
	}
	n, err := email.New(s.Addr, "ci@example.test", []string{"dev@example.test"}, o)
	require.NoError(t, err)
	lost, err := email.New(nobody, "ci@example.test", []string{"dev@example.test"}, o)
	require.NoError(t, err)
	return notifytest.Harness{
		Name: "email to notifytest", Keyed: true, Notifier: n, Unreachable: lost, Status: notify.Accepted,
		Arrived: func(testing.TB) []string {
			var out []string
			for _, m := range s.Mails() {
				out = append(out, m.Text())
			}
			return out
		},
	}
}

func slackHarness(t *testing.T, s *notifytest.HTTPServer) notifytest.Harness {
	t.Helper()
	n, err := slack.NewWebhook(always(s.URL), &slack.Options{AllowPrivate: true})
	require.NoError(t, err)
	lost, err := slack.NewWebhook(elsewhere(t, s.URL), &slack.Options{AllowPrivate: true})
	require.NoError(t, err)
	return notifytest.Harness{Name: "slack webhook to notifytest", Notifier: n, Unreachable: lost, Status: notify.Delivered, Arrived: texts(s)}
}

func botHarness(t *testing.T, s *notifytest.HTTPServer) notifytest.Harness {
	t.Helper()
	n, err := slack.NewBot("C1", always(s.Token), &slack.Options{AllowPrivate: true, APIURL: s.APIURL})
	require.NoError(t, err)
	lost, err := slack.NewBot("C1", always(s.Token), &slack.Options{AllowPrivate: true, APIURL: "http://" + nobody})
	require.NoError(t, err)
	return notifytest.Harness{Name: "slack bot to notifytest", Notifier: n, Unreachable: lost, Status: notify.Delivered, Arrived: texts(s)}
}

func teamsHarness(t *testing.T, s *notifytest.HTTPServer) notifytest.Harness {
	t.Helper()
	n, err := teams.New(always(s.URL), &teams.Options{AllowPrivate: true})
	require.NoError(t, err)
	lost, err := teams.New(elsewhere(t, s.URL), &teams.Options{AllowPrivate: true})
	require.NoError(t, err)
	return notifytest.Harness{Name: "teams to notifytest", Notifier: n, Unreachable: lost, Status: notify.Accepted, Arrived: texts(s)}
}

func webhookHarness(t *testing.T, s *notifytest.HTTPServer) notifytest.Harness {
	t.Helper()
	o := &webhook.Options{AllowPrivate: true, Keys: []func(context.Context) (string, error){always("a key")}}
	n, err := webhook.New(always(s.URL), o)
	require.NoError(t, err)
	lost, err := webhook.New(elsewhere(t, s.URL), o)
	require.NoError(t, err)
	return notifytest.Harness{Name: "webhook to notifytest", Keyed: true, Notifier: n, Unreachable: lost, Status: notify.Delivered, Arrived: texts(s)}
}

func TestSuite(t *testing.T) {
	t.Run("email", func(t *testing.T) {
		s := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"ci": "hunter2"}, RequireTLS: true})
		notifytest.TestNotifier(t, emailHarness(t, s, &email.Options{Username: "ci", Password: always("hunter2")}))
	})
	t.Run("slack webhook", func(t *testing.T) { notifytest.TestNotifier(t, slackHarness(t, notifytest.NewSlackServer(t, nil))) })
	t.Run("slack bot", func(t *testing.T) { notifytest.TestNotifier(t, botHarness(t, notifytest.NewSlackServer(t, nil))) })
	t.Run("teams", func(t *testing.T) { notifytest.TestNotifier(t, teamsHarness(t, notifytest.NewTeamsServer(t, nil))) })
	t.Run("webhook", func(t *testing.T) { notifytest.TestNotifier(t, webhookHarness(t, notifytest.NewWebhookServer(t, nil))) })
}

// liars are servers that say yes and do nothing, or keep something else. The suite has to notice each.
var liars = map[string]func(t *testing.T) notifytest.Harness{
	"mail": func(t *testing.T) notifytest.Harness {
		t.Helper()
		s := notifytest.NewSMTPServer(t, nil)
		s.Fail(notifytest.SMTPFault{At: ".", Reply: "250 2.0.0 taken"})
		return emailHarness(t, s, nil)
	},
	"slack": func(t *testing.T) notifytest.Harness {
		t.Helper()
		return lying(t, notifytest.NewSlackServer(t, nil), "ok", slackHarness)
	},
	"teams": func(t *testing.T) notifytest.Harness {
		t.Helper()
		return lying(t, notifytest.NewTeamsServer(t, nil), "", teamsHarness)
	},
	"webhook": func(t *testing.T) notifytest.Harness {
		t.Helper()
		return lying(t, notifytest.NewWebhookServer(t, nil), "", webhookHarness)
	},
}

func lying(t *testing.T, s *notifytest.HTTPServer, body string, h func(*testing.T, *notifytest.HTTPServer) notifytest.Harness) notifytest.Harness {
	t.Helper()
	s.Fail(notifytest.HTTPFault{Status: 200, Body: body})
	return h(t, s)
}

const liarEnv = "NOTIFYTEST_LIAR"

func TestMain(m *testing.M) {
	if os.Getenv(liarEnv) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// TestLiar is for the processes that TestSuite_noticesLies starts.
func TestLiar(t *testing.T) {
	if harness := liars[os.Getenv(liarEnv)]; harness != nil {
		h := harness(t)
		h.Patience = 50 * time.Millisecond
		notifytest.TestNotifier(t, h)
	}
}

func TestSuite_noticesLies(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for name := range liars {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestLiar$")
			cmd.Env = append(os.Environ(), liarEnv+"="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite believed it")
			assert.Contains(t, string(out), "did not arrive")
		})
	}
}
