// Package webhook posts a [notify.Message] as signed JSON to any HTTP endpoint, and verifies such posts on the
// other side.
//
// Signatures follow the Standard Webhooks specification (https://www.standardwebhooks.com): the headers webhook-id,
// webhook-timestamp and webhook-signature, HMAC-SHA256 over "id.timestamp.body". Its libraries in many languages
// can verify what this package sends, and [Verifier] what they send. webhook-id is the message's idempotency key: it is
// the same on every try, so a receiver that remembers it acts once.
//
// With two keys every post carries two signatures, and a verifier with two keys takes either: that is how a key is
// rotated without a gap. Add the new key to the receivers, then to the senders as the first, then remove the old one.
//
// # Errors
//
// All errors are [*notify.Error]. For sending, by what the HTTP status says: 429 ErrRateLimited with its RetryAfter, 5xx
// ErrUnavailable, 401 and 403 ErrDenied, 404 and 410 ErrGone, 413 ErrTooLarge, other 4xx ErrRejected; no answer
// ErrUnavailable, or ErrAmbiguous after sending; ErrPrivateAddress when the destination is an internal address. For
// verifying: ErrDenied when it is not signed, by none of the keys, or too old; ErrTooLarge.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/internal/post"
)

// EventType is the "type" of what is posted.
const EventType = "waybill.notification"

// maxBytes bounds what is posted.
const maxBytes = 40 << 20

// Options of [New]. The zero value posts without a signature.
type Options struct {
	// Keys sign, all of them. A key is "whsec_" and base64, or any other text, which is taken as it is; 24 bytes
	// or more are wise. Called for each message.
	Keys []func(context.Context) (string, error)

	// Attach puts the content of attachments into the JSON, as base64. Otherwise only name, type and size.
	Attach bool

	// Header is added to each request. It cannot replace the headers of the signature.
	Header http.Header

	Client            *http.Client  // nil: a new one; its transport has to be an *http.Transport unless AllowPrivate is set
	Timeout           time.Duration // for one request; 0 means 30 s
	AllowPrivate      bool          // also post to private, link-local and loopback addresses
	AllowInsecureHTTP bool          // also post over plain HTTP to other machines
}

// Notifier posts to one endpoint. It is safe for use by several goroutines.
type Notifier struct {
	post *post.Poster
	url  func(context.Context) (string, error)
	o    Options
}

var (
	_ notify.Notifier = (*Notifier)(nil)
	_ notify.Renderer = (*Notifier)(nil)
)

// New returns a Notifier for the endpoint at the URL that url returns. The URL is treated as a secret; url is called
// for each message. o may be nil.
func New(url func(context.Context) (string, error), o *Options) (*Notifier, error) {
	n := &Notifier{url: url}
	if o != nil {
		n.o = *o
	}
	var err error
	n.post, err = post.New("webhook", post.Options{
		Client: n.o.Client, Timeout: n.o.Timeout, AllowPrivate: n.o.AllowPrivate, AllowInsecureHTTP: n.o.AllowInsecureHTTP,
	})
	errs := []error{err}
	if url == nil {
		errs = append(errs, errors.New("url: is nil"))
	}
	for i, key := range n.o.Keys {
		if key == nil {
			errs = append(errs, fmt.Errorf("Options.Keys[%d]: is nil", i))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &notify.Error{Op: "new", Target: "webhook", Kind: notify.ErrInvalid, Err: err}
	}
	return n, nil
}

// event is what is posted.
type event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	notify.Message
	Key         string       `json:"key"`
	Attachments []attachment `json:"attachments,omitempty"`
}

type attachment struct {
	Name        string `json:"name"`
	ContentType string `json:"content_type,omitempty"`
	Size        int    `json:"size"`
	Data        []byte `json:"data,omitempty"`
}

func (n *Notifier) encode(m notify.Message) ([]byte, error) {
	id := m.IdempotencyKey()
	m, err := m.Normalize()
	if err != nil {
		return nil, err
	}
	e := event{Type: EventType, Timestamp: m.Time.UTC(), Data: data{Message: m, Key: id}}
	for _, a := range m.Attachments {
		out := attachment{Name: a.Name, ContentType: a.ContentType, Size: len(a.Data)}
		if n.o.Attach {
			out.Data = a.Data
		}
		e.Data.Attachments = append(e.Data.Attachments, out)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, n.post.Fail("encode", notify.ErrInvalid, err)
	}
	if len(b) > maxBytes {
		return nil, n.post.Fail("encode", notify.ErrTooLarge, fmt.Errorf("%d bytes are over the cap of %d", len(b), maxBytes))
	}
	return b, nil
}

// Notify posts m. A 202 is Accepted, other answers from 200 to 299 are Delivered.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	body, err := n.encode(m)
	if err != nil {
		return notify.Receipt{}, err
	}
	u, err := n.post.Resolve(ctx, n.url)
	if err != nil {
		return notify.Receipt{}, err
	}
	header := n.o.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	id := m.IdempotencyKey()
	if err := n.sign(ctx, header, id, body); err != nil {
		return notify.Receipt{}, err
	}
	reply, err := n.post.Post(ctx, u, header, body)
	if err != nil {
		return notify.Receipt{}, err
	}
	receipt := notify.Receipt{Status: notify.Delivered, ID: id}
	if reply.Status == http.StatusAccepted {
		receipt.Status = notify.Accepted
	}
	return receipt, nil
}

func (n *Notifier) sign(ctx context.Context, header http.Header, id string, body []byte) error {
	now := time.Now()
	header.Set(headerID, id)
	header.Set(headerTime, timestamp(now))
	header.Del(headerSignature)
	for i, get := range n.o.Keys {
		text, err := get(ctx)
		if err != nil {
			return n.post.Fail("get key for", post.SecretKind(err), err)
		}
		key, err := parseKey(text)
		if err != nil {
			return n.post.Fail("sign", notify.ErrInvalid, fmt.Errorf("key %d: %w", i+1, err))
		}
		signature := sign(key, id, timestamp(now), body)
		if old := header.Get(headerSignature); old != "" {
			signature = old + " " + signature
		}
		header.Set(headerSignature, signature)
	}
	return nil
}

// Render returns the JSON that would be posted.
func (n *Notifier) Render(m notify.Message) (contentType string, body []byte, err error) {
	body, err = n.encode(m)
	return "application/json", body, err
}
