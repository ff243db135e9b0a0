package email_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

const secret = "hunter2-canary"

// fault is one line of the fault list: a server that misbehaves, a mail, and what has to come of it through a
// Fanout with three tries.
type fault struct {
	name   string
	server notifytest.SMTPOptions
	faults []notifytest.SMTPFault
	o      email.Options
	m      func(m *notify.Message)
	to     []string // default: three recipients

	kind     error // nil: it ends well
	status   notify.Status
	attempts int
	mails    int // taken by the server
	check    func(t *testing.T, s *notifytest.SMTPServer, r notify.Result)
}

var everybody = []string{"a@example.test", "b@example.test", "c@example.test"}

func temporary(code int) fault {
	return fault{
		name:     fmt.Sprintf("%d once", code),
		faults:   []notifytest.SMTPFault{{At: "MAIL", Once: true, Reply: fmt.Sprintf("%d 4.3.0 not now", code), Close: code == 421}},
		status:   notify.Accepted,
		attempts: 2, mails: 1,
	}
}

func smtpFaults() []fault {
	login := email.Options{Username: "ci", Password: password(secret)}
	users := map[string]string{"ci": secret}
	expired := certificate(time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour), "localhost", "127.0.0.1")
	unknown := certificate(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost", "127.0.0.1")
	elsewhere := certificate(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "mail.elsewhere.test")
	return []fault{
		temporary(421), temporary(450), temporary(451), temporary(452),
		{
			name: "454 to AUTH", server: notifytest.SMTPOptions{Users: users}, o: login,
			faults: []notifytest.SMTPFault{{At: "AUTH", Once: true, Reply: "454 4.7.0 temporary authentication failure"}},
			status: notify.Accepted, attempts: 2, mails: 1,
		},
		{
			name: "535 wrong password", server: notifytest.SMTPOptions{Users: map[string]string{"ci": "another"}}, o: login,
			kind: notify.ErrDenied, status: notify.NotSent, attempts: 1,
		},
		{
			name: "535 that repeats the password", server: notifytest.SMTPOptions{Users: users}, o: login,
			faults: []notifytest.SMTPFault{{At: "AUTH", Reply: "535 5.7.8 no: " + secret + " " + base64.StdEncoding.EncodeToString([]byte(secret))}},
			kind:   notify.ErrDenied, status: notify.NotSent, attempts: 1,
		},
		{
			name:   "550 for one of three recipients",
			faults: []notifytest.SMTPFault{{At: "RCPT", Arg: "b@", Reply: "550 5.1.1 no such user"}},
			kind:   notify.ErrPartial, status: notify.Partial, attempts: 1, mails: 1,
			check: func(t *testing.T, s *notifytest.SMTPServer, r notify.Result) {
				t.Helper()
				assert.Equal(t, []string{"a@example.test", "c@example.test"}, s.Mails()[0].To)
				require.Len(t, r.Recipients, 3)
				assert.NoError(t, r.Recipients[0].Err)
				require.ErrorIs(t, r.Recipients[1].Err, notify.ErrRejected)
				assert.ErrorContains(t, r.Recipients[1].Err, "550 5.1.1 no such user")
			},
		},
		{
			name:   "550 for all",
			faults: []notifytest.SMTPFault{{At: "RCPT", Reply: "550 5.1.1 no such user"}},
			kind:   notify.ErrRejected, status: notify.NotSent, attempts: 1,
		},
		{
			name: "552 after the body", faults: []notifytest.SMTPFault{{At: ".", Reply: "552 5.3.4 too big"}},
			kind: notify.ErrTooLarge, status: notify.NotSent, attempts: 1,
		},
		{
			name: "larger than the offered SIZE", server: notifytest.SMTPOptions{MaxSize: 2000},
			kind: notify.ErrTooLarge, status: notify.NotSent, attempts: 1,
			check: func(t *testing.T, s *notifytest.SMTPServer, _ notify.Result) {
				t.Helper()
				for _, c := range s.Commands() {
					assert.NotEqual(t, "MAIL", c.Verb, "known before anything is sent")
				}
			},
		},
		{
			name: "STARTTLS stripped", server: notifytest.SMTPOptions{NoSTARTTLS: true, Users: users}, o: login,
			kind: notify.ErrInsecure, status: notify.NotSent, attempts: 1,
			check: noCredentialsInTheClear,
		},
		{
			name: "STARTTLS refused", faults: []notifytest.SMTPFault{{At: "STARTTLS", Reply: "454 4.7.0 not available"}},
			server: notifytest.SMTPOptions{Users: users}, o: login,
			kind: notify.ErrUnavailable, status: notify.NotSent, attempts: 3,
			check: noCredentialsInTheClear,
		},
		{
			name: "certificate expired", server: notifytest.SMTPOptions{Certificates: []tls.Certificate{expired}},
			kind: notify.ErrInsecure, status: notify.NotSent, attempts: 1, check: says("expired"),
		},
		{
			name: "certificate for another name", server: notifytest.SMTPOptions{Certificates: []tls.Certificate{elsewhere}},
			kind: notify.ErrInsecure, status: notify.NotSent, attempts: 1, check: says("127.0.0.1"),
		},
		{
			name: "certificate of an unknown authority", server: notifytest.SMTPOptions{Certificates: []tls.Certificate{unknown}},
			kind: notify.ErrInsecure, status: notify.NotSent, attempts: 1, check: says("unknown authority"),
		},
		{
			name: "silent", faults: []notifytest.SMTPFault{{At: "MAIL", Silent: true}}, o: email.Options{Timeout: 50 * time.Millisecond},
			kind: notify.ErrUnavailable, status: notify.NotSent, attempts: 3,
			check: func(t *testing.T, _ *notifytest.SMTPServer, r notify.Result) {
				t.Helper()
				assert.ErrorIs(t, r.Err, context.DeadlineExceeded)
			},
		},
		{
			name: "closed after the body, not taken", faults: []notifytest.SMTPFault{{At: ".", Once: true, Close: true}},
			status: notify.Accepted, attempts: 2, mails: 1,
		},
		{
			name: "closed after the body, taken", faults: []notifytest.SMTPFault{{At: ".", Keep: true, Once: true, Close: true}},
			status: notify.Accepted, attempts: 2, mails: 2,
			check: func(t *testing.T, s *notifytest.SMTPServer, _ notify.Result) {
				t.Helper()
				assert.Equal(t, s.Mails()[0].MessageID(), s.Mails()[1].MessageID(), "so that mail systems can tell")
			},
		},
		{
			name: "closed after the body, for good", faults: []notifytest.SMTPFault{{At: ".", Close: true}},
			kind: notify.ErrAmbiguous, status: notify.NotSent, attempts: 3,
		},
		{
			name: "tarpit", faults: []notifytest.SMTPFault{{At: "EHLO", Drip: 20 * time.Millisecond}}, o: email.Options{Timeout: 100 * time.Millisecond},
			kind: notify.ErrUnavailable, status: notify.NotSent, attempts: 3,
		},
		{
			name: "greylisting of one", faults: []notifytest.SMTPFault{{At: "RCPT", Arg: "b@", Once: true, Reply: "450 4.2.0 come back later"}},
			status: notify.Accepted, attempts: 2, mails: 2,
			check: func(t *testing.T, s *notifytest.SMTPServer, r notify.Result) {
				t.Helper()
				assert.Equal(t, []string{"a@example.test", "c@example.test"}, s.Mails()[0].To)
				assert.Equal(t, []string{"b@example.test"}, s.Mails()[1].To, "the others have it already")
				assert.Len(t, r.Recipients, 3)
			},
		},
		{
			name: "SMTPUTF8 absent", to: []string{"jörg@example.test"},
			kind: notify.ErrRejected, status: notify.NotSent, attempts: 1,
		},
		{
			name: "SMTPUTF8 present", to: []string{"jörg@example.test"}, server: notifytest.SMTPOptions{SMTPUTF8: true},
			status: notify.Accepted, attempts: 1, mails: 1,
		},
		{
			name: "8BITMIME absent", server: notifytest.SMTPOptions{No8BitMIME: true},
			m:      func(m *notify.Message) { m.Attachments[0].Data = []byte("\x00\xff\x80 binary") },
			status: notify.Accepted, attempts: 1, mails: 1,
		},
		{
			name: "line breaks in the subject", m: func(m *notify.Message) { m.Title = "x\r\nBcc: evil@example.test" },
			kind: notify.ErrInvalid,
		},
		{
			name: "line breaks in a file name", m: func(m *notify.Message) { m.Attachments[0].Name = "x\r\nBcc: evil@example.test" },
			kind: notify.ErrInvalid,
		},
		{
			name: "odd local parts", to: []string{`"much odd > stuff"@example.test`, `a.+b!#$%&'*/=?^_{|}~@example.test`, `"quo\"te"@example.test`},
			status: notify.Accepted, attempts: 1, mails: 1,
			check: func(t *testing.T, s *notifytest.SMTPServer, _ notify.Result) {
				t.Helper()
				assert.Equal(t, []string{`"much odd > stuff"@example.test`, `a.+b!#$%&'*/=?^_{|}~@example.test`, `"quo\"te"@example.test`}, s.Mails()[0].To)
			},
		},
		{
			name: "an attachment of 25 MB", server: notifytest.SMTPOptions{MaxSize: 64 << 20},
			m:      func(m *notify.Message) { m.Attachments[0].Data = bytes.Repeat([]byte("0123456789abcdef"), 25<<16) },
			status: notify.Accepted, attempts: 1, mails: 1,
			check: func(t *testing.T, s *notifytest.SMTPServer, _ notify.Result) {
				t.Helper()
				assert.Greater(t, len(s.Mails()[0].Data), 33<<20, "in base64")
			},
		},
		{
			name: "an image inside", m: func(m *notify.Message) {
				m.Attachments = append(m.Attachments, notify.Attachment{Name: "chart.png", Inline: true, Data: []byte("\x89PNG")})
			},
			status: notify.Accepted, attempts: 1, mails: 1,
			check: func(t *testing.T, s *notifytest.SMTPServer, _ notify.Result) {
				t.Helper()
				data := string(s.Mails()[0].Data)
				assert.Contains(t, data, "<chart.png>")
				assert.Contains(t, strings.ReplaceAll(data, "=\r\n", ""), "cid:chart.png")
			},
		},
		{
			name: "lines that are dots", m: func(m *notify.Message) { m.Summary = ".\n..\n.\r\nQUIT\n.x" },
			status: notify.Accepted, attempts: 1, mails: 1,
			check: func(t *testing.T, s *notifytest.SMTPServer, _ notify.Result) {
				t.Helper()
				msg, err := s.Mails()[0].Message()
				require.NoError(t, err)
				text := parts(t, msg.Header.Get("Content-Type"), msg.Body)["text/plain"]
				assert.Contains(t, strings.ReplaceAll(text, "\r\n", "\n"), "\n.\n..\n.\nQUIT\n.x\n")
			},
		},
		{
			name: "a server that talks without end", faults: []notifytest.SMTPFault{{At: "EHLO", Reply: strings.Repeat("250-"+strings.Repeat("x", 1000)+"\r\n", 2000) + "250 x"}},
			kind: notify.ErrUnavailable, status: notify.NotSent, attempts: 3,
		},
		{
			name: "reset by the peer in the middle of the body", faults: []notifytest.SMTPFault{{At: "BODY", Once: true, Reset: true}},
			m:      func(m *notify.Message) { m.Attachments[0].Data = make([]byte, 4<<20) },
			status: notify.Accepted, attempts: 2, mails: 1,
		},
	}
}

func says(text string) func(*testing.T, *notifytest.SMTPServer, notify.Result) {
	return func(t *testing.T, _ *notifytest.SMTPServer, r notify.Result) {
		t.Helper()
		assert.ErrorContains(t, r.Err, text)
	}
}

func noCredentialsInTheClear(t *testing.T, s *notifytest.SMTPServer, _ notify.Result) {
	t.Helper()
	for _, c := range s.Commands() {
		assert.False(t, c.Verb == "AUTH" && !c.TLS)
	}
}

// The fault list names one thing that is not here: verifying DKIM signatures, since mail is signed by the server that
// sends it out, not by us.
func TestNotifier_faults(t *testing.T) {
	list := smtpFaults()
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			s := notifytest.NewSMTPServer(t, &f.server)
			s.Fail(f.faults...)
			to := f.to
			if to == nil {
				to = everybody
			}
			m := message()
			if f.m != nil {
				f.m(&m)
			}
			n := newNotifier(t, s, f.o, to...)
			fan, err := notify.New([]notify.Target{{Name: "mail", Notifier: n}}, &notify.Options{Attempts: 3, Base: time.Millisecond})
			require.NoError(t, err)
			results, err := fan.Send(t.Context(), m)
			if f.kind == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, f.kind)
				assertNoSecret(t, err)
			}
			assert.Len(t, s.Mails(), f.mails)
			if f.status == "" {
				assert.Empty(t, results, "refused before any target")
				return
			}
			require.Len(t, results, 1)
			assert.Equal(t, f.status, results[0].Status)
			assert.Equal(t, f.attempts, results[0].Attempts)
			if f.check != nil {
				f.check(t, s, results[0])
			}
		})
	}
	t.Logf("%d SMTP faults", len(list))
}

// assertNoSecret looks at err in every way it can be shown.
func assertNoSecret(t *testing.T, err error) {
	t.Helper()
	for e := range tree(err) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
			text := fmt.Sprintf(verb, e)
			assert.NotContains(t, text, secret, verb)
			assert.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte(secret)), verb)
		}
	}
}

func tree(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		var walk func(error) bool
		walk = func(err error) bool {
			if err == nil {
				return true
			}
			if !yield(err) {
				return false
			}
			switch e := err.(type) { //nolint:errorlint // the tree is walked
			case interface{ Unwrap() error }:
				return walk(e.Unwrap())
			case interface{ Unwrap() []error }:
				for _, inner := range e.Unwrap() {
					if !walk(inner) {
						return false
					}
				}
			}
			return true
		}
		walk(err)
	}
}

func TestNew_refuses(t *testing.T) {
	tests := []struct {
		name, server, from string
		to                 []string
		o                  email.Options
		want               []string
	}{
		{"nothing right", "", "nobody", []string{"@"}, email.Options{Timeout: -1}, []string{"server:", "from:", "to[0]:", "Options.Timeout"}},
		{"no recipient", "mail.test", "a@b.test", nil, email.Options{}, []string{"no recipient"}},
		{"line break in an address", "mail.test", "a@b.test", []string{"x@y.test\r\nRCPT TO:<z@y.test>"}, email.Options{}, []string{"to[0]"}},
		{"quoted line break in a local part", "mail.test", "a@b.test", []string{"\"x\r\ny\"@z.test"}, email.Options{}, []string{"to[0]"}},
		{"parameters smuggled into the domain", "mail.test", "a@b.test", []string{"x@y.test> SIZE=1"}, email.Options{}, []string{"to[0]"}},
		{"name with a line break", "mail.test", "\"A\r\nBcc: x@y.test\" <a@b.test>", []string{"x@y.test"}, email.Options{}, []string{"from"}},
		{"contradictory TLS", "mail.test", "a@b.test", []string{"x@y.test"}, email.Options{ImplicitTLS: true, DisableTLS: true}, []string{"exclude each other"}},
		{"password in the clear", "mail.test", "a@b.test", []string{"x@y.test"}, email.Options{DisableTLS: true, Username: "u", Password: password("p")}, []string{"on this machine only"}},
		{"user without password", "mail.test", "a@b.test", []string{"x@y.test"}, email.Options{Username: "u"}, []string{"needs a Password"}},
		{"HELO with a line break", "mail.test", "a@b.test", []string{"x@y.test"}, email.Options{HELO: "x\r\nMAIL"}, []string{"HELO"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := email.New(tt.server, tt.from, tt.to, &tt.o)
			require.ErrorIs(t, err, notify.ErrInvalid)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

func TestNotifier_unreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	require.NoError(t, ln.Close())
	n, err := email.New(addr, "a@b.test", []string{"x@y.test"}, nil)
	require.NoError(t, err)
	_, err = n.Notify(t.Context(), message())
	require.ErrorIs(t, err, notify.ErrUnavailable)
	assert.True(t, notify.Retryable(err))
}

func TestNotifier_cancelled(t *testing.T) {
	s := notifytest.NewSMTPServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s.Fail(notifytest.SMTPFault{At: "DATA", Do: cancel, Silent: true})
	n := newNotifier(t, s, email.Options{}, "x@y.test")
	start := time.Now()
	_, err := n.Notify(ctx, message())
	require.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(start), 5*time.Second, "at once, not after the timeout")
	require.ErrorIs(t, err, notify.ErrUnavailable)
	assert.False(t, errors.Is(err, notify.ErrAmbiguous), "the body was not sent")
}

func TestNotifier_logins(t *testing.T) {
	for _, mech := range []string{"PLAIN", "LOGIN", "XOAUTH2"} {
		t.Run(mech, func(t *testing.T) {
			s := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"ci": secret}, Mechanisms: []string{mech}, RequireTLS: true})
			o := email.Options{Username: "ci", Password: password(secret)}
			if mech == "XOAUTH2" {
				o = email.Options{Username: "ci", Token: password(secret)}
			}
			_, err := newNotifier(t, s, o, "x@y.test").Notify(t.Context(), message())
			require.NoError(t, err)
			assert.Equal(t, "ci", s.Mails()[0].User)
		})
	}
	t.Run("none that is safe", func(t *testing.T) {
		s := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"ci": secret}, Mechanisms: []string{"CRAM-OLD"}})
		_, err := newNotifier(t, s, email.Options{Username: "ci", Password: password(secret)}, "x@y.test").Notify(t.Context(), message())
		require.ErrorIs(t, err, notify.ErrInsecure)
	})
	t.Run("smtps", func(t *testing.T) {
		s := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"ci": secret}, ImplicitTLS: true})
		_, err := newNotifier(t, s, email.Options{Username: "ci", Password: password(secret), ImplicitTLS: true}, "x@y.test").Notify(t.Context(), message())
		require.NoError(t, err)
		assert.True(t, s.Mails()[0].TLS)
	})
	t.Run("no password to be had", func(t *testing.T) {
		s := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"ci": secret}})
		o := email.Options{Username: "ci", Password: func(context.Context) (string, error) { return "", errors.New("vault is sealed") }}
		_, err := newNotifier(t, s, o, "x@y.test").Notify(t.Context(), message())
		require.ErrorIs(t, err, notify.ErrDenied)
		assert.ErrorContains(t, err, "vault is sealed")
	})
}
