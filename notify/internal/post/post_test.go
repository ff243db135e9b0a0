package post

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/secrets"
)

func TestIsPublic(t *testing.T) {
	for _, a := range []string{
		"8.8.8.8", "1.1.1.1", "192.0.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "223.255.255.255",
		"2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
	} {
		assert.True(t, isPublic(netip.MustParseAddr(a)), a)
	}
	for _, a := range []string{
		"127.0.0.1", "127.255.255.255", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0",
		"0.1.2.3", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
		"203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1",
		"fd12::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::1", "2001::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
	} {
		assert.False(t, isPublic(netip.MustParseAddr(a)), a)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name   string
		header http.Header
		body   string
		want   time.Duration
	}{
		{"seconds", http.Header{"Retry-After": {"3"}}, "", 3 * time.Second},
		{"a fraction", http.Header{"Retry-After": {"0.5"}}, "", 500 * time.Millisecond},
		{"a date", http.Header{"Retry-After": {"Fri, 02 Jan 2026 03:04:15 GMT"}}, "", 10 * time.Second},
		{"a date of the old kind", http.Header{"Retry-After": {"Friday, 02-Jan-26 03:04:15 GMT"}}, "", 10 * time.Second},
		{"a date that has passed", http.Header{"Retry-After": {"Fri, 02 Jan 2026 03:04:00 GMT"}}, `{"retry_after":9}`, 0},
		{"milliseconds", http.Header{"Retry-After-Ms": {"1500"}}, "", 1500 * time.Millisecond},
		{"milliseconds, Azure", http.Header{"X-Ms-Retry-After-Ms": {"1500"}}, "", 1500 * time.Millisecond},
		{"in the body", nil, `{"message":"You are being rate limited.","retry_after":64.57,"global":false}`, 64570 * time.Millisecond},
		{"in the body, as text", nil, `{"retry_after":"2"}`, 2 * time.Second},
		{"in the body, in parameters", nil, `{"ok":false,"error_code":429,"parameters":{"retry_after":35}}`, 35 * time.Second},
		{"the header wins", http.Header{"Retry-After": {"3"}}, `{"retry_after":9}`, 3 * time.Second},
		{"nonsense", http.Header{"Retry-After": {"soon"}}, `{"retry_after":"later"}`, 0},
		{"negative", http.Header{"Retry-After-Ms": {"-5"}}, `{"retry_after":-5}`, 0},
		{"without end", nil, `{"retry_after":1e300}`, 0},
		{"nothing", nil, "", 0},
		{"no object", nil, "[1]", 0},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, RetryAfter(tt.header, []byte(tt.body), now), tt.name)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("3", "", "")
	f.Add("Fri, 02 Jan 2026 03:04:15 GMT", "NaN", `{"retry_after":1.5}`)
	f.Add("", "Inf", `{"parameters":{"retry_after":"1e9"}}`)
	f.Add("1e308", "1e-308", `{"retry_after":{}}`)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header, ms, body string) {
		h := http.Header{"Retry-After": {header}, "Retry-After-Ms": {ms}}
		assert.GreaterOrEqual(t, RetryAfter(h, []byte(body), now), time.Duration(0))
	})
}

func TestCode(t *testing.T) {
	for body, want := range map[string]string{
		"invalid_payload": "invalid_payload", "no_service\n": "no_service", "": "", "<html>": "", "token xoxb": "", "x": "",
		"https_hooks": "https_hooks", "T0000/B0000": "", "##vso[x]": "",
	} {
		assert.Equal(t, want, Code([]byte(body)), body)
	}
}

func TestResolve_secretStore(t *testing.T) {
	p := &Poster{channel: "test"}
	for name, tt := range map[string]struct{ err, want error }{
		"down":       {fmt.Errorf("get: %w", &secrets.Error{Op: "get", Kind: secrets.ErrUnavailable}), notify.ErrUnavailable},
		"sealed":     {&secrets.Error{Op: "get", Kind: secrets.ErrSealed}, notify.ErrUnavailable},
		"too slow":   {fmt.Errorf("get: %w", context.DeadlineExceeded), notify.ErrUnavailable},
		"not there":  {&secrets.Error{Op: "get", Kind: secrets.ErrNotFound}, notify.ErrDenied},
		"of no kind": {errors.New("no"), notify.ErrDenied},
	} {
		_, err := p.Resolve(t.Context(), func(context.Context) (string, error) { return "", tt.err })
		assert.ErrorIs(t, err, tt.want, name)
	}
}
