// Package httpx holds the habits every HTTP client of this module keeps: deadlines at each phase, capped
// bodies, redirects that never carry credentials to another host, and messages without secrets.
package httpx

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client returns a copy of base (nil: a new client with [Transport]) that follows redirects only to the same
// host and port, and never from https to http. The caller's transport, jar and timeout are kept.
func Client(base *http.Client) *http.Client {
	c := http.Client{}
	if base != nil {
		c = *base
	}
	if c.Transport == nil {
		c.Transport = Transport()
	}
	next := c.CheckRedirect
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if err := SameHost(req, via); err != nil {
			return err
		}
		if next != nil {
			return next(req, via)
		}
		return nil
	}
	return &c
}

// ClientFor is [Client] for requests that may take as long as timeout: a transport of its own waits that long for
// the head of an answer, if it is longer than [Transport] does.
func ClientFor(base *http.Client, timeout time.Duration) *http.Client {
	c := Client(base)
	if base == nil || base.Transport == nil {
		t := Transport()
		t.ResponseHeaderTimeout = max(t.ResponseHeaderTimeout, timeout)
		c.Transport = t
	}
	return c
}

// Transport returns a new transport with a bound on each phase of a request except the body, which is as
// long as the caller's context allows.
func Transport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// ErrRedirect is in the chain of every refused redirect.
var ErrRedirect = errors.New("redirect refused")

// SameHost is a CheckRedirect function that refuses to leave the first request's host and port, to go from
// https to http, and to follow more than ten redirects.
func SameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) >= 10:
		return fmt.Errorf("%w: more than 10 in a row", ErrRedirect)
	case first.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("%w: from https to %s", ErrRedirect, req.URL.Scheme)
	case !strings.EqualFold(hostPort(first), hostPort(req.URL)):
		return fmt.Errorf("%w: from %s to another host, %s", ErrRedirect, first.Host, req.URL.Host)
	}
	return nil
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// TooLargeError reports a body that went past its cap.
type TooLargeError struct {
	What  string // what was being read, such as "reply of GET https://host/path"
	Limit int64  // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s is larger than the cap of %d bytes", e.What, e.Limit)
}

// ReadAll reads r to its end, at most limit bytes. A longer r gives a [*TooLargeError] that names what.
func ReadAll(r io.Reader, limit int64, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, RedactError(err))
	}
	if int64(len(b)) > limit {
		return nil, &TooLargeError{What: what, Limit: limit}
	}
	return b, nil
}

// Drain reads a little of what is left of a body and closes it, so that the connection can be used again.
func Drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}

// RetryAfter returns the pause a reply asks for in Retry-After, given as seconds or as a date, and whether
// it asks at all. A date in the past is a pause of zero.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil && s >= 0 && s < 1e9 {
		return time.Duration(s * float64(time.Second)), true
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now)), true
	}
	return 0, false
}

// RetryableStatus reports whether a reply with this status may turn out otherwise on another try: 408,
// 425, 429 and the 5xx that speak of the moment (500, 502, 503, 504).
func RetryableStatus(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// RedactURL returns u without userinfo, query and fragment: what may stand in a message.
func RedactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// RedactRawURL is [RedactURL] for a URL that is still text. Text that does not parse is not repeated.
func RedactRawURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(unparsable URL)"
	}
	return RedactURL(u)
}

// RedactError returns err with the URL of every [*url.Error] in its chain cut down by [RedactURL]. The
// cause stays reachable by [errors.As]; the [*url.Error] itself does not, as it holds the whole URL.
func RedactError(err error) error {
	var ue *url.Error
	if !errors.As(err, &ue) {
		return err
	}
	return fmt.Errorf("%s %s: %w", strings.ToUpper(ue.Op), RedactRawURL(ue.URL), RedactError(ue.Err))
}

// IsLoopback reports whether host (with or without a port) is this machine: localhost or a loopback address.
func IsLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
