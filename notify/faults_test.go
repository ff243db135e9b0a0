package notify_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/slack"
	"github.com/waybill-dev/waybill/notify/teams"
	"github.com/waybill-dev/waybill/notify/webhook"
)

// httpFault is a fault that any channel over HTTP can meet: what the server does, and what has to come of it through a
// Fanout with five tries.
type httpFault struct {
	name   string
	faults []notifytest.HTTPFault
	only   string // the channel, by the beginning of its name; default: all

	kind     error // nil: it ends well
	attempts int
	taken    int               // copies that people can read
	check    func(error) error // nil: nothing more to check
	slow     bool              // the channel's own timeout has to end it
	within   time.Duration     // of the whole; default 30 s
	ctx      func(context.Context) (context.Context, context.CancelFunc)
}

func always5(f notifytest.HTTPFault) []notifytest.HTTPFault { return []notifytest.HTTPFault{f} }

func once(f notifytest.HTTPFault) []notifytest.HTTPFault {
	f.Once = true
	return []notifytest.HTTPFault{f}
}

func status(code int, kind error, attempts int) httpFault {
	return httpFault{
		name: fmt.Sprintf("%d always", code), faults: always5(notifytest.HTTPFault{Status: code, Body: "<html>s3cr3t-hook-path</html>"}),
		kind: kind, attempts: attempts,
	}
}

func httpFaults() []httpFault {
	date := func(d time.Duration) http.Header {
		return http.Header{"Retry-After": {time.Now().Add(d).UTC().Format(http.TimeFormat)}}
	}
	asked := func(d time.Duration) func(error) error {
		return func(err error) error {
			e, ok := errors.AsType[*notify.Error](err)
			if !ok || (e.RetryAfter-d).Abs() > time.Minute {
				return fmt.Errorf("RetryAfter is not %s in %w", d, err)
			}
			return nil
		}
	}
	return []httpFault{
		{
			name: "200 with ok:false", only: "slack bot", faults: always5(notifytest.HTTPFault{Status: 200, Body: `{"ok":false,"error":"is_archived"}`}),
			kind: notify.ErrGone, attempts: 1,
		},
		{
			name: "200 with ok:false, rate limited", only: "slack bot", faults: once(notifytest.HTTPFault{Status: 200, Body: `{"ok":false,"error":"ratelimited","retry_after":0.01}`}),
			attempts: 2, taken: 1,
		},
		{
			name: "200 with an error in the text", only: "teams",
			faults: always5(notifytest.HTTPFault{Status: 200, Body: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413"}),
			kind:   notify.ErrTooLarge, attempts: 1,
		},
		{
			name: "200 with an error in the text, temporary", only: "teams",
			faults: once(notifytest.HTTPFault{Status: 200, Body: "Microsoft Teams endpoint returned HTTP error 429 with ContextId x"}), attempts: 2, taken: 1,
		},
		{
			name: "200 of a login page", only: "slack", faults: always5(notifytest.HTTPFault{Status: 200, Body: "<html>please log in</html>"}),
			kind: notify.ErrUnavailable, attempts: 5,
		},
		{
			name: "202", only: "webhook", faults: always5(notifytest.HTTPFault{Status: 202, Keep: true}), attempts: 1, taken: 1,
		},
		{
			name: "204", only: "webhook", faults: always5(notifytest.HTTPFault{Status: 204, Keep: true}), attempts: 1, taken: 1,
		},
		status(400, notify.ErrRejected, 1), status(401, notify.ErrDenied, 1), status(403, notify.ErrDenied, 1),
		status(404, notify.ErrGone, 1), status(410, notify.ErrGone, 1), status(413, notify.ErrTooLarge, 1),
		status(500, notify.ErrUnavailable, 5), status(501, notify.ErrRejected, 1), status(502, notify.ErrUnavailable, 5),
		status(503, notify.ErrUnavailable, 5), status(504, notify.ErrUnavailable, 5),
		{
			name: "429, seconds", faults: once(notifytest.HTTPFault{Status: 429, Header: http.Header{"Retry-After": {"0.02"}}}), attempts: 2, taken: 1,
		},
		{
			name: "429, a date", faults: always5(notifytest.HTTPFault{Status: 429, Header: date(3601 * time.Second)}),
			kind: notify.ErrRateLimited, attempts: 1, check: asked(time.Hour),
		},
		{
			name: "429, in the body", faults: always5(notifytest.HTTPFault{Status: 429, Body: `{"retry_after": 3600.2}`}),
			kind: notify.ErrRateLimited, attempts: 1, check: asked(time.Hour),
		},
		{
			name: "429, in milliseconds", faults: always5(notifytest.HTTPFault{Status: 429, Header: http.Header{"X-Ms-Retry-After-Ms": {"3600000"}}}),
			kind: notify.ErrRateLimited, attempts: 1, check: asked(time.Hour),
		},
		{
			name: "429, nonsense", faults: once(notifytest.HTTPFault{Status: 429, Header: http.Header{"Retry-After": {"soon"}}}), attempts: 2, taken: 1,
		},
		{
			name: "closed before the body is read", faults: once(notifytest.HTTPFault{CloseEarly: true}), attempts: 2, taken: 1,
		},
		{
			name: "closed after the body, not taken", faults: once(notifytest.HTTPFault{Close: true}), attempts: 2, taken: 1,
		},
		{
			name: "closed after the body, taken", faults: once(notifytest.HTTPFault{Close: true, Keep: true}), attempts: 2, taken: 2,
		},
		{
			name: "closed after the body, for good", faults: always5(notifytest.HTTPFault{Close: true}), kind: notify.ErrAmbiguous, attempts: 5,
		},
		{
			name: "silent", slow: true, faults: always5(notifytest.HTTPFault{Silent: true}), kind: notify.ErrAmbiguous, attempts: 2,
			check: isA(context.DeadlineExceeded),
		},
		{
			name: "a byte now and then", slow: true, faults: always5(notifytest.HTTPFault{Drip: 5 * time.Millisecond}), kind: notify.ErrAmbiguous, attempts: 2,
		},
		{
			name: "an answer without end", faults: always5(notifytest.HTTPFault{Status: 200, Body: strings.Repeat("x", 1<<20)}), kind: notify.ErrAmbiguous, attempts: 5,
		},
		{
			name: "a zip bomb", faults: always5(notifytest.HTTPFault{Status: 200, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: zipped(64 << 20)}),
			kind: notify.ErrAmbiguous, attempts: 5,
		},
		{
			name: "redirect to a metadata service", faults: always5(redirect(http.StatusTemporaryRedirect, "http://169.254.169.254/latest/")),
			kind: notify.ErrRejected, attempts: 1, check: isA(httpx.ErrRedirect),
		},
		{
			name: "redirect to another host", faults: always5(redirect(http.StatusPermanentRedirect, "https://elsewhere.test/s3cr3t-hook-path")),
			kind: notify.ErrRejected, attempts: 1, check: isA(httpx.ErrRedirect),
		},
		{
			name: "redirect that loses the body", faults: always5(redirect(http.StatusFound, "/ok")),
			kind: notify.ErrRejected, attempts: 1, check: isA(httpx.ErrRedirect),
		},
		{
			name: "redirect without end", faults: always5(redirect(http.StatusTemporaryRedirect, "/loop")),
			kind: notify.ErrRejected, attempts: 1, check: isA(httpx.ErrRedirect),
		},
		{
			name: "cancelled", faults: always5(notifytest.HTTPFault{Silent: true}), kind: notify.ErrAmbiguous, attempts: 1,
			check: isA(context.Canceled), within: 4 * time.Second,
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(20*time.Millisecond, cancel)
				return ctx, cancel
			},
		},
		{
			name: "deadline of the caller", faults: always5(notifytest.HTTPFault{Status: 503, Header: http.Header{"Retry-After": {"20"}}}), kind: notify.ErrUnavailable, attempts: 1,
			check: isA(context.DeadlineExceeded), within: 4 * time.Second,
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 5*time.Second)
			},
		},
	}
}

func isA(want error) func(error) error {
	return func(err error) error {
		if !errors.Is(err, want) {
			return fmt.Errorf("%w is not in %w", want, err)
		}
		return nil
	}
}

func redirect(code int, to string) notifytest.HTTPFault {
	return notifytest.HTTPFault{Status: code, Header: http.Header{"Location": {to}}}
}

func zipped(n int) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(make([]byte, n))
	_ = w.Close()
	return b.String()
}

func TestChannels_faults(t *testing.T) {
	list := httpFaults()
	cases := 0
	for _, f := range list {
		timeout := 10 * time.Second
		if f.slow {
			timeout = 500 * time.Millisecond
		}
		for _, c := range httpChannels(t, timeout) {
			if !strings.HasPrefix(c.name, f.only) {
				continue
			}
			cases++
			t.Run(f.name+"/"+c.name, func(t *testing.T) {
				c.server.Fail(f.faults...)
				o := &notify.Options{Base: time.Millisecond}
				if f.slow {
					t.Parallel()
					o.Attempts = 2
				}
				fan, err := notify.New([]notify.Target{{Name: "ops", Notifier: c}}, o)
				require.NoError(t, err)
				ctx := t.Context()
				if f.ctx != nil {
					var cancel context.CancelFunc
					ctx, cancel = f.ctx(ctx)
					defer cancel()
				}
				start := time.Now()
				results, err := fan.Send(ctx, fullMessage())
				within := f.within
				if within == 0 {
					within = 30 * time.Second
				}
				assert.Less(t, time.Since(start), within)
				require.Len(t, results, 1)
				assert.Equal(t, f.attempts, results[0].Attempts)
				assert.Len(t, c.server.Taken(), f.taken)
				if f.kind == nil {
					require.NoError(t, err)
					assert.Contains(t, []notify.Status{notify.Delivered, notify.Accepted}, results[0].Status)
				} else {
					require.ErrorIs(t, err, f.kind)
					assert.Equal(t, notify.NotSent, results[0].Status)
					assertNoSecret(t, err, "s3cr3t", c.server.Token, "a key of some length")
				}
				if f.check != nil {
					assert.NoError(t, f.check(err))
				}
				oneKey(t, c)
			})
		}
	}
	t.Logf("%d HTTP faults, %d cases over 4 channels, and those of TestChannels_internalAddresses", len(list), cases)
}

// oneKey asserts that all tries of a webhook had the same id and a signature.
func oneKey(t *testing.T, c httpChannel) {
	t.Helper()
	if c.name != "webhook" {
		return
	}
	ids := map[string]bool{}
	for _, p := range c.server.Posts() {
		ids[p.Header.Get("Webhook-Id")] = true
		assert.NotEmpty(t, p.Header.Get("Webhook-Signature"))
	}
	assert.Len(t, ids, 1)
}

// assertNoSecret looks at err, and all errors in it, in every way they can be shown.
func assertNoSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	var walk func(error)
	walk = func(err error) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
			text := fmt.Sprintf(verb, err)
			for _, s := range secrets {
				assert.NotContains(t, text, s, verb)
			}
		}
		switch e := err.(type) { //nolint:errorlint // the tree is walked
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				walk(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
}

// pretend is a connection that says it leads somewhere else.
type pretend struct {
	net.Conn
	to net.Addr
}

func (p pretend) RemoteAddr() net.Addr { return p.to }

// Where the message would go is looked at when the connection is made, whatever the URL looked like.
func TestChannels_internalAddresses(t *testing.T) {
	secretPath := "/s3cr3t-hook-path?sig=s3cr3t-signature"
	urls := map[string]string{
		"metadata service":     "http://169.254.169.254" + secretPath,
		"loopback":             "http://127.0.0.1:1" + secretPath,
		"loopback by name":     "http://localhost:1" + secretPath,
		"IPv6 loopback":        "http://[::1]:1" + secretPath,
		"private":              "http://10.1.2.3:1" + secretPath,
		"IPv4 in IPv6":         "http://[::ffff:10.1.2.3]:1" + secretPath,
		"NAT64":                "http://[64:ff9b::a01:203]:1" + secretPath,
		"6to4":                 "http://[2002:a01:203::1]:1" + secretPath,
		"unique local":         "http://[fd00::1]:1" + secretPath,
		"link-local with zone": "http://[fe80::1%25lo]:1" + secretPath,
		"unspecified":          "http://0.0.0.0:1" + secretPath,
		"carrier-grade NAT":    "http://100.64.1.1:1" + secretPath,
		"user info in the URL": "http://s3cr3t-user:s3cr3t-password@127.0.0.1:1" + secretPath,
	}
	for name, raw := range urls {
		t.Run(name, func(t *testing.T) {
			for _, n := range allChannels(t, raw, nil) {
				_, err := n.Notify(t.Context(), fullMessage())
				require.ErrorIs(t, err, notify.ErrPrivateAddress)
				assert.False(t, notify.Retryable(err))
				assertNoSecret(t, err, "s3cr3t")
			}
		})
	}
	t.Run("a spelling that the resolver may take for an address", func(t *testing.T) {
		for _, host := range []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1"} {
			for _, n := range allChannels(t, "http://"+host+":1"+secretPath, nil) {
				_, err := n.Notify(t.Context(), fullMessage())
				require.Error(t, err)
				assert.False(t, errors.Is(err, notify.ErrAmbiguous), "nothing was sent")
				assertNoSecret(t, err, "s3cr3t")
			}
		}
	})
	t.Run("a name that moves between two tries", func(t *testing.T) {
		srv := notifytest.NewWebhookServer(t, nil)
		srv.Fail(notifytest.HTTPFault{Status: 503, Once: true})
		dials := 0
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			dials++
			u, _ := url.Parse(srv.URL)
			conn, err := new(net.Dialer).DialContext(ctx, network, u.Host)
			if err == nil && dials == 1 { // what the name said at first
				return pretend{conn, &net.TCPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 80}}, nil
			}
			return conn, err
		}}}
		n, err := webhook.New(always("http://hook.example.test/hooks/s3cr3t-hook-path"), &webhook.Options{Client: client, AllowInsecureHTTP: true})
		require.NoError(t, err)
		fan, err := notify.New([]notify.Target{{Name: "x", Notifier: n}}, &notify.Options{Base: time.Millisecond})
		require.NoError(t, err)
		_, err = fan.Send(t.Context(), fullMessage())
		require.ErrorIs(t, err, notify.ErrPrivateAddress)
		assert.Len(t, srv.Posts(), 1, "the second try sent nothing")
		assertNoSecret(t, err, "s3cr3t")
	})
	t.Run("a redirect to the same name, which has moved", func(t *testing.T) {
		srv := notifytest.NewWebhookServer(t, nil)
		srv.Fail(redirect(http.StatusTemporaryRedirect, "/next"))
		dials := 0
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			u, _ := url.Parse(srv.URL)
			conn, err := new(net.Dialer).DialContext(ctx, network, u.Host)
			if dials++; err == nil && dials == 1 {
				return pretend{conn, &net.TCPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 80}}, nil
			}
			return conn, err
		}}}
		n, err := webhook.New(always("http://hook.example.test/hooks/s3cr3t-hook-path"), &webhook.Options{Client: client, AllowInsecureHTTP: true})
		require.NoError(t, err)
		_, err = n.Notify(t.Context(), fullMessage())
		require.ErrorIs(t, err, notify.ErrPrivateAddress)
		assert.Len(t, srv.Posts(), 1)
	})
	t.Run("behind a proxy, which may be private", func(t *testing.T) {
		var asked []string
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.Host)
			_, _ = w.Write([]byte("ok"))
		}))
		defer proxy.Close()
		at, err := url.Parse(proxy.URL)
		require.NoError(t, err)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyURL(at)}}
		for host, want := range map[string]error{"hooks.example.test": nil, "169.254.169.254": notify.ErrPrivateAddress} {
			n, err := webhook.New(always("http://"+host+secretPath), &webhook.Options{Client: client, AllowInsecureHTTP: true})
			require.NoError(t, err)
			_, err = n.Notify(t.Context(), fullMessage())
			if want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, want)
			}
		}
		assert.Equal(t, []string{"hooks.example.test"}, asked)
	})
	t.Run("a client that cannot be guarded", func(t *testing.T) {
		_, err := webhook.New(always("https://x.test"), &webhook.Options{Client: &http.Client{Transport: roundTripper{}}})
		require.ErrorIs(t, err, notify.ErrInvalid)
		_, err = webhook.New(always("https://x.test"), &webhook.Options{Client: &http.Client{Transport: roundTripper{}}, AllowPrivate: true})
		require.NoError(t, err)
	})
	t.Logf("%d addresses and 5 ways around", len(urls))
}

type roundTripper struct{}

func (roundTripper) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no") }

func allChannels(t *testing.T, raw string, client *http.Client) []notify.Notifier {
	t.Helper()
	hook, err := slack.NewWebhook(always(raw), &slack.Options{Client: client, AllowInsecureHTTP: true})
	require.NoError(t, err)
	bot, err := slack.NewBot("C1", always("xoxb-s3cr3t"), &slack.Options{Client: client, APIURL: raw, AllowInsecureHTTP: true})
	require.NoError(t, err)
	card, err := teams.New(always(raw), &teams.Options{Client: client, AllowInsecureHTTP: true})
	require.NoError(t, err)
	generic, err := webhook.New(always(raw), &webhook.Options{Client: client, AllowInsecureHTTP: true})
	require.NoError(t, err)
	return []notify.Notifier{hook, bot, card, generic}
}

func TestChannels_badURLs(t *testing.T) {
	tests := map[string]struct {
		raw  string
		kind error
	}{
		"plain HTTP":         {"http://hooks.example.test/s3cr3t", notify.ErrInsecure},
		"no URL":             {"s3cr3t", notify.ErrInvalid},
		"another scheme":     {"file:///s3cr3t", notify.ErrInvalid},
		"unparsable":         {"https://s3cr3t\x7f/", notify.ErrInvalid},
		"bad port":           {"https://host:s3cr3t/", notify.ErrInvalid},
		"empty":              {"", notify.ErrInvalid},
		"no such host":       {"https://s3cr3t-user@no-such-host.invalid/s3cr3t-path?sig=s3cr3t", notify.ErrUnavailable},
		"connection refused": {"http://127.0.0.1:1/s3cr3t", notify.ErrUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n, err := teams.New(always(tt.raw), &teams.Options{AllowPrivate: true})
			require.NoError(t, err)
			_, err = n.Notify(t.Context(), fullMessage())
			require.ErrorIs(t, err, tt.kind)
			assertNoSecret(t, err, "s3cr3t")
		})
	}
	t.Run("wrong certificate", func(t *testing.T) {
		s := notifytest.NewTeamsServer(t, &notifytest.HTTPOptions{TLS: true})
		n, err := teams.New(always(s.URL), &teams.Options{AllowPrivate: true})
		require.NoError(t, err)
		_, err = n.Notify(t.Context(), fullMessage())
		require.ErrorIs(t, err, notify.ErrInsecure)
		assertNoSecret(t, err, "s3cr3t")
	})
	t.Run("no URL to be had", func(t *testing.T) {
		n, err := teams.New(func(context.Context) (string, error) { return "", errors.New("vault is sealed") }, nil)
		require.NoError(t, err)
		_, err = n.Notify(t.Context(), fullMessage())
		require.ErrorIs(t, err, notify.ErrDenied)
		assert.ErrorContains(t, err, "vault is sealed")
	})
}
