// Package email sends a [notify.Message] as a mail over SMTP: HTML and text, with attachments, over
// STARTTLS unless told otherwise.
//
// A mail goes out in one SMTP transaction for all recipients, and each recipient's answer stands in the
// receipt. An SMTP server's 250 means that it took responsibility, not that the mail was read or even put into
// a mailbox: the status is [notify.Accepted].
//
// The Message-ID is made from the message's idempotency key, so a repetition after a broken connection
// carries the same one and mail systems can tell.
//
// # Errors
//
// All errors are [*notify.Error]: ErrInvalid for addresses and messages that cannot be right; ErrUnavailable
// for a server that does not answer, answers 4xx, or breaks off before the body; ErrAmbiguous when it broke
// off after the body; ErrDenied for refused credentials (530, 534, 535, 538); ErrInsecure when TLS
// or a safe way to log in is not offered, or the certificate is wrong; ErrTooLarge (552, or over the offered SIZE);
// ErrRejected for other 5xx; ErrPartial when some recipients were refused and the others got the mail.
package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/mail"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/notify"
)

// Options of [New]. The zero value sends without logging in, over STARTTLS, to a server whose certificate the
// system trusts.
type Options struct {
	CC, BCC []string
	ReplyTo string

	// Username logs in, with what Password or Token returns. Both are called for each mail, so that they
	// can rotate. Token is an OAuth 2 access token (XOAUTH2). Plaintext mechanisms need TLS or a server on
	// this machine.
	Username string
	Password func(ctx context.Context) (string, error)
	Token    func(ctx context.Context) (string, error)

	ImplicitTLS bool        // TLS from the first byte (smtps, port 465) instead of STARTTLS
	DisableTLS  bool        // no TLS: the mail travels in the clear
	TLSConfig   *tls.Config // for the root certificates; ServerName and MinVersion (TLS 1.2) are set when empty

	HELO    string        // the name to say in EHLO; default "localhost"
	Timeout time.Duration // for one mail, from dialing to the last answer; 0 means 2 min

	// HTML and Text replace the built-in bodies. They are executed with a [Data]. HTML is escaped by
	// html/template; inline attachments are there as cid:NAME.
	HTML *template.Template
	Text *texttemplate.Template
}

// Notifier sends mail through one server, from one sender to the same recipients. It is safe for use by
// several goroutines; each mail has a connection of its own.
type Notifier struct {
	host, addr  string
	from        *mail.Address
	to, cc, bcc []*mail.Address
	replyTo     *mail.Address
	o           Options
}

var (
	_ notify.Notifier = (*Notifier)(nil)
	_ notify.Resumer  = (*Notifier)(nil)
	_ notify.Renderer = (*Notifier)(nil)
)

// New returns a Notifier for the SMTP server at host[:port] (port 587, or 465 with ImplicitTLS, when it is left
// out). Addresses are as in a mail's header: "dev@example.test" or "Dev Team <dev@example.test>". Everything
// wrong is reported at once, as an [*notify.Error] of kind ErrInvalid. o may be nil.
func New(server, from string, to []string, o *Options) (*Notifier, error) {
	n := &Notifier{}
	if o != nil {
		n.o = *o
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	address := func(field, s string) *mail.Address {
		a, err := parseAddress(s)
		if err != nil {
			bad("%s: %w", field, err)
		}
		return a
	}
	list := func(field string, in []string) (out []*mail.Address) {
		for i, s := range in {
			out = append(out, address(fmt.Sprintf("%s[%d]", field, i), s))
		}
		return out
	}
	if err := n.setServer(server); err != nil {
		bad("server: %w", err)
	}
	n.from = address("from", from)
	n.to, n.cc, n.bcc = list("to", to), list("Options.CC", n.o.CC), list("Options.BCC", n.o.BCC)
	if n.o.ReplyTo != "" {
		n.replyTo = address("Options.ReplyTo", n.o.ReplyTo)
	}
	if len(n.to)+len(n.cc)+len(n.bcc) == 0 {
		bad("to: there is no recipient")
	}
	if n.o.ImplicitTLS && n.o.DisableTLS {
		bad("Options: ImplicitTLS and DisableTLS exclude each other")
	}
	if n.o.DisableTLS && n.o.TLSConfig != nil {
		bad("Options: TLSConfig is of no use with DisableTLS")
	}
	switch credentials := n.o.Password != nil || n.o.Token != nil; {
	case n.o.Password != nil && n.o.Token != nil:
		bad("Options: Password and Token exclude each other")
	case n.o.Username == "" && credentials:
		bad("Options.Username: is empty, with a Password or Token")
	case n.o.Username != "" && !credentials:
		bad("Options: Username needs a Password or a Token")
	case credentials && n.o.DisableTLS && !httpx.IsLoopback(n.host):
		bad("Options: logging in with DisableTLS is for servers on this machine only")
	}
	if strings.ContainsFunc(n.o.HELO, func(r rune) bool { return r <= ' ' || r > '~' }) {
		bad("Options.HELO: contains a space, a line break or a character outside ASCII")
	}
	if n.o.Timeout < 0 {
		bad("Options.Timeout: is negative")
	}
	if len(errs) > 0 {
		return nil, &notify.Error{Op: "new", Target: "email", Kind: notify.ErrInvalid, Err: errors.Join(errs...)}
	}
	if n.o.HELO == "" {
		n.o.HELO = "localhost"
	}
	if n.o.Timeout == 0 {
		n.o.Timeout = 2 * time.Minute
	}
	if n.o.HTML == nil {
		n.o.HTML = defaultHTML
	}
	if n.o.Text == nil {
		n.o.Text = defaultText
	}
	return n, nil
}

func (n *Notifier) setServer(server string) error {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		host, port = strings.Trim(server, "[]"), "587"
		if n.o.ImplicitTLS {
			port = "465"
		}
	}
	if host == "" || strings.ContainsAny(host, "/@ \r\n") {
		return errors.New("is no host or host:port")
	}
	n.host, n.addr = host, net.JoinHostPort(host, port)
	return nil
}

// parseAddress reads one mailbox. What net/mail lets through but an SMTP command cannot carry is refused here.
func parseAddress(s string) (*mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no mail address", s)
	}
	at := strings.LastIndexByte(a.Address, '@')
	local, domain := a.Address[:at], a.Address[at+1:]
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	switch {
	case strings.ContainsFunc(a.Address, control) || strings.ContainsFunc(a.Name, control):
		return nil, fmt.Errorf("%q contains a control character", s)
	case strings.ContainsAny(domain, "<> \t\"\\,;:") && !strings.HasPrefix(domain, "["):
		return nil, fmt.Errorf("%q has a domain that is none", s)
	case len(local) > 64 || len(domain) > 255:
		return nil, fmt.Errorf("%q is longer than SMTP allows", s)
	}
	return a, nil
}

// envelope returns the address as it stands in MAIL and RCPT, with angle brackets and the quoting it needs.
func envelope(a *mail.Address) string { return (&mail.Address{Address: a.Address}).String() }

// Notify sends m to all recipients.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	return n.Resume(ctx, m, nil)
}

// Resume sends m to those of the recipients that are in only; the mail's header still names all. Nil means all.
func (n *Notifier) Resume(ctx context.Context, m notify.Message, only []string) (notify.Receipt, error) {
	rcpts := slices.Concat(n.to, n.cc, n.bcc)
	seen := map[string]bool{}
	rcpts = slices.DeleteFunc(rcpts, func(a *mail.Address) bool {
		again := seen[a.Address]
		seen[a.Address] = true
		return again || only != nil && !slices.Contains(only, a.Address)
	})
	if len(rcpts) == 0 {
		return notify.Receipt{}, n.fail("send", notify.ErrInvalid, errors.New("none of the recipients to resume with is a recipient here"))
	}
	id, body, err := n.build(m)
	if err != nil {
		return notify.Receipt{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.o.Timeout)
	defer cancel()
	answers, err := n.transact(ctx, rcpts, body)
	receipt := notify.Receipt{ID: id, Recipients: answers}
	if err != nil {
		return receipt, err
	}
	receipt.Status = notify.Accepted
	return receipt, nil
}

// Render returns the mail as it would be sent.
func (n *Notifier) Render(m notify.Message) (contentType string, body []byte, err error) {
	_, body, err = n.build(m)
	return "message/rfc822", body, err
}

func (n *Notifier) fail(op string, kind, err error) error {
	return &notify.Error{Op: op, Target: "email " + n.addr, Kind: kind, Err: err}
}
