package sonarqube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
	"github.com/waybill-dev/waybill/scan"
)

const maxAnswer = 64 << 20

// client speaks to the server for one scan.
type client struct {
	*Scanner
	token   string
	version string // of the server
	release [2]int // its first two numbers

	branch, pullRequest string // that was analysed; both empty for the main branch

	mu      sync.Mutex
	expires time.Time // of the token, when the server says
}

// dial fetches the token and asks the server for its version, which decides how to log in and which parameters
// to use.
func (s *Scanner) dial(ctx context.Context) (*client, error) {
	token, err := s.o.Token(ctx)
	if err != nil {
		return nil, &scan.Error{Op: "fetch token", Scanner: Name, Kind: scan.ErrDenied, Err: err}
	}
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return nil, &scan.Error{Op: "fetch token", Scanner: Name, Kind: scan.ErrDenied, Err: errors.New("the token is empty or holds a line break")}
	}
	c := &client{Scanner: s, token: token}
	b, err := c.get(ctx, "api/server/version", nil)
	if err != nil {
		return nil, err
	}
	c.version = strings.TrimSpace(string(b))
	if c.release, err = release(c.version); err != nil {
		return nil, c.fail("api/server/version", scan.ErrOutput, errors.New("the answer is no version: is this the address of a SonarQube server?"))
	}
	return c, nil
}

// release returns the first two numbers of a version.
func release(version string) (r [2]int, err error) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 || len(version) > 40 {
		return r, errors.New("no version")
	}
	for i := range r {
		if r[i], err = strconv.Atoi(parts[i]); err != nil {
			return r, err
		}
	}
	return r, nil
}

// renamed returns the name of a parameter that got another one in version 10.2.
func (c *client) renamed(before, since string) string {
	if slices.Compare(c.release[:], []int{10, 2}) < 0 {
		return before
	}
	return since
}

func (c *client) fail(path string, kind, err error) error {
	return &scan.Error{Op: "GET " + httpx.RedactURL(c.base.JoinPath(path)), Scanner: Name, Kind: kind, Err: err}
}

// call asks the web API and decodes its answer.
func (c *client) call(ctx context.Context, path string, q url.Values, v any) error {
	b, err := c.get(ctx, path, q)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return c.fail(path, scan.ErrOutput, fmt.Errorf("the answer is no JSON of the web API: %w", err))
	}
	return nil
}

// get tries a few times when the server is unwell for the moment, as it is while it starts and indexes.
func (c *client) get(ctx context.Context, path string, q url.Values) (body []byte, err error) {
	err = retry.Do(ctx, retry.Policy{Attempts: 5, Base: c.o.Poll}, func(ctx context.Context, _ int) error {
		body, err = c.try(ctx, path, q)
		return err
	})
	return body, err
}

func (c *client) try(ctx context.Context, path string, q url.Values) ([]byte, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, c.fail(path, scan.ErrConfig, err)
	}
	req.Header.Set("Accept", "application/json")
	switch {
	case c.release[0] == 0: // the version is told to everybody, and nobody need see the token before it is needed
	case c.release[0] < 10: // older servers take the token as a user name; SonarQube Cloud calls itself 8
		req.SetBasicAuth(c.token, "")
	default:
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req) //nolint:bodyclose // Drain closes it
	if err != nil {
		if ctx.Err() != nil {
			return nil, c.fail(path, scan.ErrUnavailable, context.Cause(ctx))
		}
		if errors.Is(err, httpx.ErrRedirect) {
			return nil, c.fail(path, scan.ErrOutput, httpx.RedactError(err))
		}
		return nil, retry.Again(c.fail(path, scan.ErrUnavailable, httpx.RedactError(err)))
	}
	defer httpx.Drain(resp.Body)
	body, err := httpx.ReadAll(resp.Body, maxAnswer, "the answer")
	if _, ok := errors.AsType[*httpx.TooLargeError](err); ok {
		return nil, c.fail(path, scan.ErrTooLarge, err)
	}
	if err != nil {
		return nil, retry.Again(c.fail(path, scan.ErrUnavailable, err))
	}
	c.noteExpiry(resp.Header)
	return body, c.check(path, resp, body)
}

// check tells apart what a status means for the caller.
func (c *client) check(path string, resp *http.Response, body []byte) error {
	said := fmt.Errorf("%s%s", resp.Status, message(body))
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		if html(resp.Header, body) {
			return c.fail(path, scan.ErrOutput, errors.New("the answer is a web page, not the web API's: is a proxy or a login page in between?"))
		}
		return nil
	case code == http.StatusUnauthorized:
		return c.fail(path, scan.ErrDenied, fmt.Errorf("%w: the token is not valid, or expired", said))
	case code == http.StatusForbidden:
		return c.fail(path, scan.ErrDenied, fmt.Errorf("%w: the token may not browse the project", said))
	case code == http.StatusNotFound:
		return c.fail(path, scan.ErrTarget, said)
	case code >= 300 && code < 400:
		return c.fail(path, scan.ErrOutput, fmt.Errorf("%w: is this the address of a SonarQube server?", said))
	case httpx.RetryableStatus(code):
		err := c.fail(path, scan.ErrUnavailable, said)
		if d, ok := httpx.RetryAfter(resp.Header, time.Now()); ok {
			return retry.AgainAfter(err, d)
		}
		return retry.Again(err)
	default:
		return c.fail(path, scan.ErrBroken, said)
	}
}

// message is what the server says in its error, short and on one line.
func message(body []byte) string {
	var doc struct {
		Errors []struct{ Msg string }
	}
	if json.Unmarshal(body, &doc) != nil || len(doc.Errors) == 0 {
		return ""
	}
	text := strings.Join(strings.Fields(doc.Errors[0].Msg), " ")
	return ": " + text[:min(len(text), 300)]
}

func html(h http.Header, body []byte) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

func (c *client) noteExpiry(h http.Header) {
	v := h.Get("SonarQube-Authentication-Token-Expiration")
	for _, layout := range []string{"2006-01-02T15:04:05-0700", time.RFC3339} {
		if at, err := time.Parse(layout, v); err == nil {
			c.mu.Lock()
			c.expires = at
			c.mu.Unlock()
		}
	}
}

// notes says that the token ends soon.
func (c *client) notes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expires.IsZero() || time.Until(c.expires) > 14*24*time.Hour {
		return nil
	}
	return []string{"the token expires on " + c.expires.UTC().Format(time.DateOnly)}
}

// query returns the parameters that choose what is asked about: the branch or pull request.
func (c *client) query(pairs ...string) url.Values {
	q := url.Values{}
	if c.branch != "" {
		q.Set("branch", c.branch)
	}
	if c.pullRequest != "" {
		q.Set("pullRequest", c.pullRequest)
	}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}
