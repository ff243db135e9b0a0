// Package teams posts a [notify.Message] to Microsoft Teams, to the "When a Teams webhook request is received"
// trigger of a workflow (Power Automate), as an adaptive card.
//
// A workflow answers 202 before it posts anything, and says nothing when that fails: the status is
// [notify.Accepted], never Delivered. All text is in elements without Markdown, so nothing in it becomes a
// link or a mention. A card is cut to 28 KB, Teams' limit. Teams knows no idempotency key: a repetition after
// an ambiguous failure is shown twice.
//
// The old connectors for Office 365, with their MessageCard format, are retired and not supported.
//
// # Errors
//
// All errors are [*notify.Error], by what the HTTP status says: 429 ErrRateLimited with its RetryAfter, 5xx
// ErrUnavailable, 401 and 403 ErrDenied, 404 and 410 ErrGone, 413 ErrTooLarge, other 4xx ErrRejected; no answer
// ErrUnavailable, or ErrAmbiguous after sending. A 200 whose text speaks of a failure is that failure.
// ErrPrivateAddress: the destination is an internal address.
package teams

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/internal/post"
)

// Options of [New]. The zero value is ready to use.
type Options struct {
	Client            *http.Client  // nil: a new one; its transport has to be an *http.Transport unless AllowPrivate is set
	Timeout           time.Duration // for one request; 0 means 30 s
	AllowPrivate      bool          // also post to private, link-local and loopback addresses
	AllowInsecureHTTP bool          // also post over plain HTTP to other machines
}

// Notifier posts to one workflow. It is safe for use by several goroutines.
type Notifier struct {
	post *post.Poster
	url  func(context.Context) (string, error)
}

var (
	_ notify.Notifier = (*Notifier)(nil)
	_ notify.Renderer = (*Notifier)(nil)
)

// New returns a Notifier for the workflow at the URL that url returns. The URL is a secret (it carries a
// signature); url is called for each message. o may be nil.
func New(url func(context.Context) (string, error), o *Options) (*Notifier, error) {
	if o == nil {
		o = &Options{}
	}
	p, err := post.New("teams", post.Options{Client: o.Client, Timeout: o.Timeout, AllowPrivate: o.AllowPrivate, AllowInsecureHTTP: o.AllowInsecureHTTP})
	if url == nil {
		err = errors.Join(err, errors.New("url: is nil"))
	}
	if err != nil {
		return nil, &notify.Error{Op: "new", Target: "teams", Kind: notify.ErrInvalid, Err: err}
	}
	return &Notifier{post: p, url: url}, nil
}

// Notify posts m.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	body, cut, err := encode(m)
	if err != nil {
		return notify.Receipt{}, err
	}
	u, err := n.post.Resolve(ctx, n.url)
	if err != nil {
		return notify.Receipt{}, err
	}
	reply, err := n.post.Post(ctx, u, nil, body)
	if err != nil {
		return notify.Receipt{}, err
	}
	if err := n.read(reply); err != nil {
		return notify.Receipt{}, err
	}
	return notify.Receipt{Status: notify.Accepted, Cut: cut}, nil
}

var (
	failed   = regexp.MustCompile(`(?i)\b(error|failed|failure)\b`)
	httpCode = regexp.MustCompile(`(?i)HTTP error (\d{3})`)
)

// read looks for a failure behind a 200: endpoints of Teams answer so and put the real status into the text.
func (n *Notifier) read(reply *post.Reply) error {
	if reply.Status == http.StatusAccepted || !failed.Match(reply.Body) {
		return nil
	}
	if code := httpCode.FindSubmatch(reply.Body); code != nil {
		status, _ := strconv.Atoi(string(code[1]))
		return n.post.Refused(status, nil, nil)
	}
	return n.post.Fail("send", notify.ErrRejected, fmt.Errorf("HTTP %d with a text that speaks of a failure", reply.Status))
}

// Render returns the JSON that would be posted.
func (n *Notifier) Render(m notify.Message) (contentType string, body []byte, err error) {
	body, _, err = encode(m)
	return "application/json", body, err
}
