//go:build integration

package notifytest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

// A server only our own client can talk to would prove nothing: swaks is the stock SMTP test client.
func TestSMTPServer_swaks(t *testing.T) {
	swaks := testbed.Debian(t, "swaks", "swaks")
	users := map[string]string{"ci": "hunter2"}
	tests := []struct {
		name string
		o    notifytest.SMTPOptions
		args []string
		code int // swaks's exit code
	}{
		{"plain", notifytest.SMTPOptions{NoSTARTTLS: true}, nil, 0},
		{"STARTTLS", notifytest.SMTPOptions{RequireTLS: true}, []string{"--tls"}, 0},
		{"smtps", notifytest.SMTPOptions{ImplicitTLS: true}, []string{"--tls-on-connect"}, 0},
		{"AUTH PLAIN", notifytest.SMTPOptions{Users: users}, []string{"--tls", "--auth", "PLAIN", "--auth-user", "ci", "--auth-password", "hunter2"}, 0},
		{"AUTH LOGIN", notifytest.SMTPOptions{Users: users}, []string{"--tls", "--auth", "LOGIN", "--auth-user", "ci", "--auth-password", "hunter2"}, 0},
		{"AUTH refused", notifytest.SMTPOptions{Users: users}, []string{"--tls", "--auth", "PLAIN", "--auth-user", "ci", "--auth-password", "wrong"}, 28},
		{"TLS not offered", notifytest.SMTPOptions{NoSTARTTLS: true}, []string{"--tls"}, 29},
		{"TLS required", notifytest.SMTPOptions{RequireTLS: true}, nil, 23},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := notifytest.NewSMTPServer(t, &tt.o)
			ca := filepath.Join(t.TempDir(), "ca.pem")
			require.NoError(t, os.WriteFile(ca, s.CAPEM, 0o600))
			args := append([]string{
				"--server", s.Addr, "--from", "a@example.test", "--to", "b@example.test,c@example.test",
				"--header", "Subject: hello", "--body", "one\n.two\n",
			}, tt.args...)
			if tt.o.RequireTLS && tt.code == 0 {
				args = append(args, "--tls-verify", "--tls-ca-path", ca)
			}
			out, err := exec.CommandContext(t.Context(), swaks, args...).CombinedOutput()
			if tt.code != 0 {
				var exit *exec.ExitError
				require.ErrorAs(t, err, &exit, "%s", out)
				assert.Equal(t, tt.code, exit.ExitCode(), "%s", out)
				assert.Empty(t, s.Mails())
				return
			}
			require.NoError(t, err, "%s", out)
			mails := s.Mails()
			require.Len(t, mails, 1)
			assert.Equal(t, "a@example.test", mails[0].From)
			assert.Equal(t, []string{"b@example.test", "c@example.test"}, mails[0].To)
			assert.Contains(t, string(mails[0].Data), "Subject: hello\r\n")
			assert.Contains(t, string(mails[0].Data), "one\r\n.two\r\n")
		})
	}
}

func TestSMTPServer_faults(t *testing.T) {
	swaks := testbed.Debian(t, "swaks", "swaks")
	s := notifytest.NewSMTPServer(t, nil)
	send := func() int {
		cmd := exec.CommandContext(t.Context(), swaks, "--server", s.Addr, "--from", "a@example.test", "--to", "b@example.test", "--timeout", "2s")
		_ = cmd.Run()
		return cmd.ProcessState.ExitCode()
	}
	s.Fail(notifytest.SMTPFault{At: "RCPT", Once: true, Reply: "450 4.2.0 later"})
	assert.Equal(t, 24, send())
	assert.Zero(t, send(), "the fault was for one time")
	s.Fail(notifytest.SMTPFault{At: ".", Keep: true, Close: true})
	assert.NotZero(t, send())
	assert.Len(t, s.Mails(), 2, "taken, although the answer never came")
	s.Heal()
	s.Fail(notifytest.SMTPFault{At: "MAIL", Silent: true})
	assert.NotZero(t, send())
	s.Heal()
	assert.Zero(t, send())
	assert.Len(t, s.Mails(), 3)
	assert.Equal(t, 5, s.Connections())
}
