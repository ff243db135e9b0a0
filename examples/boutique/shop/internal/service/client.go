package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	callTimeout    = 3 * time.Second
	maxAnswerBytes = 1 << 20
)

// Client calls another service.
type Client struct {
	name, base string
	http       *http.Client
}

// NewClient returns a client of the service of that name at a URL. The transport may be nil.
func NewClient(name, base string, transport http.RoundTripper) *Client {
	return &Client{name: name, base: base, http: &http.Client{
		Timeout: callTimeout, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Get asks for a path and reads the answer into out.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.Do(ctx, http.MethodGet, path, nil, out)
}

// Post sends in and reads the answer into out, which may be nil.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.Do(ctx, http.MethodPost, path, in, out)
}

// Do makes one call. What the peer says is wrong comes back as the [*Error] it sent; a peer that cannot be
// reached, is broken or talks nonsense is the Error "unavailable".
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if id, ok := ctx.Value(requestKey{}).(string); ok {
		req.Header.Set(requestHeader, id)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unavailable(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return c.unavailable(err)
	}
	if len(b) > maxAnswerBytes {
		return c.unavailable(fmt.Errorf("answer of more than %d bytes", maxAnswerBytes))
	}
	if resp.StatusCode >= 300 {
		return c.refused(resp.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return c.unavailable(err)
	}
	return nil
}

// refused is the error in an answer that is none.
func (c *Client) refused(status int, body []byte) error {
	var answer struct{ Error *Error }
	err := json.Unmarshal(body, &answer)
	if status >= 500 || status < 400 || err != nil || answer.Error == nil {
		return c.unavailable(fmt.Errorf("status %d: %.200q", status, body))
	}
	answer.Error.Status = status
	return answer.Error
}

func (c *Client) unavailable(cause error) error {
	e := Fail(http.StatusBadGateway, "unavailable", "the %s service does not answer", c.name)
	e.cause = cause
	return e
}
