//go:build integration

package email_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

// The suite that the server of notifytest passes, on real servers.
func TestSuite_realServers(t *testing.T) {
	for name, start := range map[string]func(testbed.TB) *testbed.MailServer{"opensmtpd": testbed.OpenSMTPD, "aiosmtpd": testbed.AIOSMTPD} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			o := options(t, s)
			n, err := email.New(s.Addr, "ci@example.test", []string{"dev@example.test"}, o)
			require.NoError(t, err)
			lost, err := email.New("127.0.0.1:1", "ci@example.test", []string{"dev@example.test"}, o)
			require.NoError(t, err)
			notifytest.TestNotifier(t, notifytest.Harness{
				Name: "email to " + name, Keyed: true, Notifier: n, Unreachable: lost, Status: notify.Accepted,
				Arrived: func(tb testing.TB) []string {
					tb.Helper()
					var out []string
					for _, m := range mails(tb, s) {
						out = append(out, m.Text())
					}
					return out
				},
			})
			all := mails(t, s)
			require.NotEmpty(t, all)
			for _, m := range all {
				parts, err := m.Parts()
				require.NoError(t, err)
				assert.Len(t, parts, 2)
				assert.NotEmpty(t, m.MessageID())
			}
		})
	}
}

func options(t *testing.T, s *testbed.MailServer) *email.Options {
	t.Helper()
	o := &email.Options{DisableTLS: s.CAFile == ""}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		require.NoError(t, err)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(pem))
		o.TLSConfig = &tls.Config{RootCAs: pool}
	}
	if s.Username != "" {
		o.Username, o.Password = s.Username, password(s.Password)
	}
	return o
}

func mails(tb testing.TB, s *testbed.MailServer) []notifytest.Mail {
	tb.Helper()
	var out []notifytest.Mail
	for _, raw := range s.Mails(tb) {
		out = append(out, notifytest.Mail{Data: raw})
	}
	return out
}

func TestAIOSMTPD_refusals(t *testing.T) {
	s := testbed.AIOSMTPD(t)
	for name, tt := range map[string]struct {
		change func(*email.Options)
		kind   error
	}{
		"wrong password":      {func(o *email.Options) { o.Password = password(secret) }, notify.ErrDenied},
		"no login":            {func(o *email.Options) { o.Username, o.Password = "", nil }, notify.ErrDenied},
		"unknown certificate": {func(o *email.Options) { o.TLSConfig = nil }, notify.ErrInsecure},
		"no TLS":              {func(o *email.Options) { o.TLSConfig, o.DisableTLS, o.Username, o.Password = nil, true, "", nil }, notify.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, s)
			tt.change(o)
			n, err := email.New(s.Addr, "ci@example.test", []string{"dev@example.test"}, o)
			require.NoError(t, err)
			_, err = n.Notify(t.Context(), message())
			require.ErrorIs(t, err, tt.kind)
			assertNoSecret(t, err)
		})
	}
	assert.Empty(t, s.Mails(t))
}
