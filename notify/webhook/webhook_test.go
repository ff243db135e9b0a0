package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type keyFunc = func(context.Context) (string, error)

func key(s string) keyFunc { return func(context.Context) (string, error) { return s, nil } }

const (
	newKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	oldKey = "some text of our own"
)

func posted(t *testing.T, o webhook.Options, m notify.Message) notifytest.Post {
	t.Helper()
	s := notifytest.NewWebhookServer(t, nil)
	o.AllowPrivate = true
	n, err := webhook.New(key(s.URL), &o)
	require.NoError(t, err)
	_, err = n.Notify(t.Context(), m)
	require.NoError(t, err)
	require.Len(t, s.Posts(), 1)
	return s.Posts()[0]
}

func verifier(t *testing.T, keys ...keyFunc) *webhook.Verifier {
	t.Helper()
	v, err := webhook.NewVerifier(keys, nil)
	require.NoError(t, err)
	return v
}

// The test vector of the specification's own documents.
func TestVerifier_vector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(1614265330, 0))) // the bubble begins in 2000
		h := http.Header{}
		h.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
		h.Set("webhook-timestamp", "1614265330")
		h.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
		d, err := verifier(t, key(newKey)).Verify(t.Context(), h, []byte(`{"test": 2432232314}`))
		require.NoError(t, err)
		assert.Equal(t, "msg_p5jXN8AQM9LWM0D4loKWxJek", d.ID)
		assert.Equal(t, int64(1614265330), d.Time.Unix())
	})
}

func TestVerifier_rotation(t *testing.T) {
	both := posted(t, webhook.Options{Keys: []keyFunc{key(newKey), key(oldKey)}}, notify.Message{Title: "hello"})
	for name, tt := range map[string]struct {
		keys []keyFunc
		ok   bool
	}{
		"new key": {[]keyFunc{key(newKey)}, true}, "old key": {[]keyFunc{key(oldKey)}, true},
		"both": {[]keyFunc{key("another"), key(oldKey)}, true}, "neither": {[]keyFunc{key("another")}, false},
	} {
		_, err := verifier(t, tt.keys...).Verify(t.Context(), both.Header, both.Body)
		if tt.ok {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorIs(t, err, notify.ErrDenied, name)
			assert.NotContains(t, err.Error(), "another")
		}
	}
}

func TestVerifier_refuses(t *testing.T) {
	p := posted(t, webhook.Options{Keys: []keyFunc{key(newKey)}}, notify.Message{Title: "hello"})
	id := p.Header.Get("Webhook-Id")
	tests := map[string]func(h http.Header, body []byte) []byte{
		"another body": func(_ http.Header, body []byte) []byte { return append(body, ' ') },
		"another id":   func(h http.Header, b []byte) []byte { h.Set("Webhook-Id", id+"x"); return b },
		"another time": func(h http.Header, b []byte) []byte { h.Set("Webhook-Timestamp", "1"); return b },
		"time with a plus": func(h http.Header, b []byte) []byte {
			h.Set("Webhook-Timestamp", "+"+h.Get("Webhook-Timestamp"))
			return b
		},
		"time that is none": func(h http.Header, b []byte) []byte { h.Set("Webhook-Timestamp", "now"); return b },
		"no signature":      func(h http.Header, b []byte) []byte { h.Del("Webhook-Signature"); return b },
		"no id":             func(h http.Header, b []byte) []byte { h.Del("Webhook-Id"); return b },
		"another version": func(h http.Header, b []byte) []byte {
			h.Set("Webhook-Signature", "v2"+strings.TrimPrefix(h.Get("Webhook-Signature"), "v1"))
			return b
		},
		"bytes moved into the id": func(h http.Header, b []byte) []byte {
			h.Set("Webhook-Id", id+"."+h.Get("Webhook-Timestamp"))
			return b
		},
		"right one too late in a long list": func(h http.Header, b []byte) []byte {
			h.Set("Webhook-Signature", strings.Repeat("v1,AAAA ", 100)+h.Get("Webhook-Signature"))
			return b
		},
	}
	for name, change := range tests {
		h := p.Header.Clone()
		body := change(h, append([]byte(nil), p.Body...))
		_, err := verifier(t, key(newKey)).Verify(t.Context(), h, body)
		assert.ErrorIs(t, err, notify.ErrDenied, name)
	}
}

func TestVerifier_tooOldOrNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := webhook.New(key("https://x.test"), &webhook.Options{
			Keys: []keyFunc{key(newKey)}, AllowPrivate: true, Client: &http.Client{Transport: take{}},
		})
		require.NoError(t, err)
		_, err = n.Notify(t.Context(), notify.Message{Title: "hello"})
		require.NoError(t, err)
		v := verifier(t, key(newKey))
		time.Sleep(4 * time.Minute)
		_, err = v.Verify(t.Context(), last.Header, lastBody)
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		_, err = v.Verify(t.Context(), last.Header, lastBody)
		require.ErrorIs(t, err, notify.ErrDenied)
	})
}

var (
	last     *http.Request
	lastBody []byte
)

type take struct{}

func (take) RoundTrip(r *http.Request) (*http.Response, error) {
	last = r
	lastBody = make([]byte, r.ContentLength)
	_, _ = r.Body.Read(lastBody)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

func TestVerifier_Request(t *testing.T) {
	p := posted(t, webhook.Options{Keys: []keyFunc{key(newKey)}}, notify.Message{Title: "hello"})
	request := func(body string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header = p.Header
		return r
	}
	d, err := verifier(t, key(newKey)).Request(request(string(p.Body)))
	require.NoError(t, err)
	assert.Equal(t, p.Body, d.Body)
	_, err = verifier(t, key(newKey)).Request(request(strings.Repeat("x", 2<<20)))
	require.ErrorIs(t, err, notify.ErrTooLarge)
}

func TestNotifier_payload(t *testing.T) {
	m := notify.Message{Title: "hello", Severity: notify.SeverityError, Key: "run-42", Attachments: []notify.Attachment{{Name: "a.txt", Data: []byte("abc")}}}
	p := posted(t, webhook.Options{Header: http.Header{"X-Team": {"shop"}, "Webhook-Id": {"mine"}}}, m)
	var e struct {
		Type      string
		Timestamp time.Time
		Data      struct {
			Title, Severity, Key string
			Attachments          []map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(p.Body, &e))
	assert.Equal(t, webhook.EventType, e.Type)
	assert.WithinDuration(t, time.Now(), e.Timestamp, time.Minute)
	assert.Equal(t, "error", e.Data.Severity)
	assert.Equal(t, m.IdempotencyKey(), e.Data.Key)
	assert.Equal(t, []map[string]any{{"name": "a.txt", "size": 3.0}}, e.Data.Attachments)
	assert.Equal(t, m.IdempotencyKey(), p.Header.Get("Webhook-Id"), "not to be replaced")
	assert.Equal(t, "shop", p.Header.Get("X-Team"))
	assert.Empty(t, p.Header.Get("Webhook-Signature"), "there is no key")

	p = posted(t, webhook.Options{Attach: true}, m)
	assert.Contains(t, string(p.Body), base64.StdEncoding.EncodeToString([]byte("abc")))
}

func TestNotifier_badKeys(t *testing.T) {
	for _, k := range []string{"", "whsec_", "whsec_not base64!"} {
		n, err := webhook.New(key("https://hooks.example.test/x"), &webhook.Options{Keys: []keyFunc{key(k)}})
		require.NoError(t, err)
		_, err = n.Notify(t.Context(), notify.Message{Title: "x"})
		require.ErrorIs(t, err, notify.ErrInvalid)
		assert.NotContains(t, err.Error(), "not base64!")
	}
	_, err := webhook.NewVerifier(nil, nil)
	require.ErrorIs(t, err, notify.ErrInvalid)
	_, err = webhook.New(nil, &webhook.Options{Keys: []keyFunc{nil}, Timeout: -1})
	for _, part := range []string{"url", "Keys[0]", "Timeout"} {
		require.ErrorContains(t, err, part)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("msg_1", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "{}", "whsec_MfKQ")
	f.Add("", "-1", "v1", "", "")
	f.Add("a.b", "9223372036854775808", " , , ", "\x00", "whsec_=")
	f.Fuzz(func(t *testing.T, id, stamp, signature, body, k string) {
		v, err := webhook.NewVerifier([]keyFunc{key(k)}, &webhook.VerifierOptions{Tolerance: 1 << 62})
		require.NoError(t, err)
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {signature}}
		d, err := v.Verify(t.Context(), h, []byte(body))
		assert.Nil(t, d, "nobody guesses a signature")
		assert.Error(t, err)
	})
}
