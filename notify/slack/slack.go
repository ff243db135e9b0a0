// Package slack posts a [notify.Message] to a Slack channel, through an incoming webhook or with the Web API's
// chat.postMessage.
//
// A message becomes Block Kit blocks. Text goes into plain_text and rich_text, or escaped into verbatim mrkdwn, so
// nothing in it can mention people or link elsewhere. For *, _, ~ and ` Slack has no escape: they can make text bold,
// slanted, struck or fixed-width, no more. It is cut to Slack's limits: 50 blocks, 3000 characters a
// section, 150 in the header, and about 13,000 in all (not documented, seen to be refused beyond).
//
// Slack answers at once and for good, so the status is [notify.Delivered]. Neither way knows an idempotency
// key: chat.postMessage carries it in the message's metadata, where a reader can find it, but a repetition
// after an ambiguous failure is shown twice.
//
// # Errors
//
// All errors are [*notify.Error]. Besides what the HTTP status says (429 ErrRateLimited with its RetryAfter, 5xx
// ErrUnavailable, 401 and 403 ErrDenied, 404 and 410 ErrGone, no answer ErrUnavailable or ErrAmbiguous), "ok":
// false is a failure of the kind its code means, and so is a 200 that is not Slack's own. ErrPrivateAddress: the
// destination is an internal address.
package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/internal/post"
)

// Options of [NewWebhook] and [NewBot]. The zero value is ready to use.
type Options struct {
	Client            *http.Client  // nil: a new one; its transport has to be an *http.Transport unless AllowPrivate is set
	Timeout           time.Duration // for one request; 0 means 30 s
	AllowPrivate      bool          // also post to private, link-local and loopback addresses
	AllowInsecureHTTP bool          // also post over plain HTTP to other machines

	// APIURL is where NewBot posts; default https://slack.com/api/chat.postMessage.
	APIURL string
}

// Notifier posts to one channel. It is safe for use by several goroutines.
type Notifier struct {
	post    *post.Poster
	url     func(context.Context) (string, error)
	token   func(context.Context) (string, error) // nil: a webhook
	channel string
}

var (
	_ notify.Notifier = (*Notifier)(nil)
	_ notify.Renderer = (*Notifier)(nil)
)

// NewWebhook returns a Notifier for an incoming webhook. Its URL is a secret; url is called for each message. o
// may be nil.
func NewWebhook(url func(context.Context) (string, error), o *Options) (*Notifier, error) {
	return newNotifier(url, nil, "", o)
}

// NewBot returns a Notifier that posts to channel (an ID such as C0123456, or a name) as the bot whose token, with
// the scope chat:write, token returns; it is called for each message. o may be nil.
func NewBot(channel string, token func(context.Context) (string, error), o *Options) (*Notifier, error) {
	api := "https://slack.com/api/chat.postMessage"
	if o != nil && o.APIURL != "" {
		api = o.APIURL
	}
	n, err := newNotifier(func(context.Context) (string, error) { return api, nil }, token, channel, o)
	var errs []error
	if token == nil {
		errs = append(errs, errors.New("token: is nil"))
	}
	if strings.TrimSpace(channel) == "" {
		errs = append(errs, errors.New("channel: is empty"))
	}
	if len(errs) > 0 {
		return nil, &notify.Error{Op: "new", Target: "slack", Kind: notify.ErrInvalid, Err: errors.Join(append(errs, err)...)}
	}
	return n, err
}

func newNotifier(url, token func(context.Context) (string, error), channel string, o *Options) (*Notifier, error) {
	if o == nil {
		o = &Options{}
	}
	p, err := post.New("slack", post.Options{Client: o.Client, Timeout: o.Timeout, AllowPrivate: o.AllowPrivate, AllowInsecureHTTP: o.AllowInsecureHTTP})
	if url == nil {
		err = errors.Join(err, errors.New("url: is nil"))
	}
	if err != nil {
		return nil, &notify.Error{Op: "new", Target: "slack", Kind: notify.ErrInvalid, Err: err}
	}
	return &Notifier{post: p, url: url, token: token, channel: channel}, nil
}

// Notify posts m.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	body, cut, err := n.encode(m)
	if err != nil {
		return notify.Receipt{}, err
	}
	u, err := n.post.Resolve(ctx, n.url)
	if err != nil {
		return notify.Receipt{}, err
	}
	header := http.Header{}
	if n.token != nil {
		token, err := n.token(ctx)
		if err != nil {
			return notify.Receipt{}, n.post.Fail("get token for", post.SecretKind(err), err)
		}
		header.Set("Authorization", "Bearer "+token)
		header.Set("Content-Type", "application/json; charset=utf-8")
	}
	reply, err := n.post.Post(ctx, u, header, body)
	if err != nil {
		return notify.Receipt{}, err
	}
	id, err := n.read(reply)
	if err != nil {
		return notify.Receipt{}, err
	}
	return notify.Receipt{Status: notify.Delivered, ID: id, Cut: cut}, nil
}

// read finds out what a 2xx means.
func (n *Notifier) read(reply *post.Reply) (id string, err error) {
	if n.token == nil {
		if strings.TrimSpace(string(reply.Body)) != "ok" {
			return "", n.post.Fail("send", notify.ErrUnavailable, fmt.Errorf(`HTTP %d without Slack's "ok"; something else answered in its place`, reply.Status))
		}
		return "", nil
	}
	var r struct {
		OK      bool   `json:"ok"`
		Error   string `json:"error"`
		Channel string `json:"channel"`
		TS      string `json:"ts"`
	}
	switch err := json.Unmarshal(reply.Body, &r); {
	case err != nil || !r.OK && r.Error == "":
		return "", n.post.Fail("send", notify.ErrUnavailable, fmt.Errorf("HTTP %d without Slack's JSON; something else answered in its place", reply.Status))
	case !r.OK:
		e := &notify.Error{Op: "send", Target: "slack", Kind: kindOf(r.Error), Err: fmt.Errorf("answered %q", post.Code([]byte(r.Error)))}
		if notify.Retryable(e) {
			e.RetryAfter = post.RetryAfter(nil, reply.Body, time.Now())
		}
		return "", e
	}
	return r.TS, nil
}

// kindOf reads the error codes of chat.postMessage.
func kindOf(code string) error {
	switch code {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		return notify.ErrRateLimited
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "accesslimited":
		return notify.ErrUnavailable
	case "msg_too_long", "msg_blocks_too_long", "metadata_too_large":
		return notify.ErrTooLarge
	case "channel_not_found", "is_archived", "method_deprecated", "deprecated_endpoint":
		return notify.ErrGone
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission", "missing_scope",
		"not_allowed_token_type", "not_in_channel", "access_denied", "ekm_access_denied", "org_login_required", "restricted_action",
		"team_access_not_granted", "two_factor_setup_required":
		return notify.ErrDenied
	}
	return notify.ErrRejected
}

// Render returns the JSON that would be posted.
func (n *Notifier) Render(m notify.Message) (contentType string, body []byte, err error) {
	body, _, err = n.encode(m)
	return "application/json", body, err
}
