package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail/smtp"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/internal/post"
)

// maxDialog bounds what a server may say during one mail.
const maxDialog = 1 << 20

// transact sends body to rcpts in one SMTP transaction. The answers are one per recipient that was asked
// for; with an error they say what is known of each.
//
// The conversation is held here, command by command, and not left to the mail library's client: that gives
// up a whole mail when one recipient is refused, and does not tell a connection lost before the body from one
// lost after it.
func (n *Notifier) transact(ctx context.Context, rcpts []*mail.Address, body []byte) ([]notify.Recipient, error) {
	t := &transaction{n: n, phase: "dial"}
	answers, err := t.run(ctx, rcpts, body)
	if err == nil {
		return answers, nil
	}
	return answers, t.classify(ctx, err)
}

type transaction struct {
	n      *Notifier
	phase  string   // what is going on, for messages: the SMTP verb
	secret []string // never to stand in a message
}

func (t *transaction) run(ctx context.Context, rcpts []*mail.Address, body []byte) ([]notify.Recipient, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.n.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// The library knows no context: when ctx ends, so does all waiting on the connection.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	c, err := t.hello(ctx, conn)
	if err != nil {
		return nil, err
	}
	if err := t.login(ctx, c); err != nil {
		return nil, err
	}
	if err := t.fits(c, rcpts, body); err != nil {
		return nil, err
	}
	t.phase = "MAIL"
	c.SkipSMTPUTF8(!needsUTF8(t.n.from, rcpts))
	if err := c.Mail(envelope(t.n.from)); err != nil {
		return nil, err
	}
	answers, taken, err := t.recipients(c, rcpts)
	if err != nil {
		return answers, err
	}
	if taken == 0 {
		_ = c.Quit()
		return answers, refused(answers)
	}
	t.phase = "DATA"
	w, err := c.Data()
	if err != nil {
		return mark(answers, t.classify(ctx, err)), err
	}
	t.phase = "body"
	if _, err := w.Write(body); err != nil {
		return mark(answers, t.classify(ctx, err)), err
	}
	t.phase = "end of body"
	if err := w.Close(); err != nil {
		return mark(answers, t.classify(ctx, err)), err
	}
	_ = c.Quit() // the mail is taken; how the server says goodbye does not matter
	if taken < len(rcpts) {
		return answers, refused(answers)
	}
	return answers, nil
}

// hello greets the server and turns TLS on.
func (t *transaction) hello(ctx context.Context, conn net.Conn) (*smtp.Client, error) {
	conf := t.n.tlsConfig()
	conn = &limited{Conn: conn, left: maxDialog}
	t.phase = "greeting"
	if t.n.o.ImplicitTLS {
		t.phase = "TLS handshake"
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	c, err := smtp.NewClient(conn, t.n.host)
	if err != nil {
		return nil, err
	}
	t.phase = "EHLO"
	if err := c.Hello(t.n.o.HELO); err != nil {
		return nil, err
	}
	if t.n.o.DisableTLS || t.n.o.ImplicitTLS {
		return c, nil
	}
	t.phase = "STARTTLS"
	if ok, _ := c.Extension("STARTTLS"); !ok {
		return nil, t.n.fail("send", notify.ErrInsecure, errors.New("the server does not offer STARTTLS; it may have been taken out on the way"))
	}
	return c, c.StartTLS(conf)
}

func (n *Notifier) tlsConfig() *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if n.o.TLSConfig != nil {
		conf = n.o.TLSConfig.Clone()
	}
	if conf.ServerName == "" {
		conf.ServerName = n.host
	}
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	return conf
}

func (t *transaction) login(ctx context.Context, c *smtp.Client) error {
	o := t.n.o
	if o.Username == "" {
		return nil
	}
	t.phase = "AUTH"
	_, list := c.Extension("AUTH")
	offered := strings.Fields(strings.ToUpper(list))
	get := o.Password
	if o.Token != nil {
		get = o.Token
	}
	secret, err := get(ctx)
	if err != nil {
		return t.n.fail("get password for", post.SecretKind(err), err)
	}
	t.secret = []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("\x00" + o.Username + "\x00" + secret))}
	for _, m := range []struct {
		name string
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(o.Username, secret)},
		{"PLAIN", smtp.PlainAuth("", o.Username, secret, t.n.host, o.DisableTLS)},
		{"LOGIN", smtp.LoginAuth(o.Username, secret, t.n.host, o.DisableTLS)},
		{"XOAUTH2", smtp.XOAuth2Auth(o.Username, secret)},
	} {
		if (m.name == "XOAUTH2") == (o.Token != nil) && slices.Contains(offered, m.name) {
			return c.Auth(m.auth)
		}
	}
	return t.n.fail("send", notify.ErrInsecure, fmt.Errorf("the server offers no way to log in that is safe to use (it offers %q)", printable(list)))
}

// fits checks what can be known to fail before anything is sent.
func (t *transaction) fits(c *smtp.Client, rcpts []*mail.Address, body []byte) error {
	if _, size := c.Extension("SIZE"); size != "" {
		if limit, err := strconv.Atoi(size); err == nil && limit > 0 && len(body) > limit {
			return t.n.fail("send", notify.ErrTooLarge, fmt.Errorf("the mail has %d bytes, the server takes %d", len(body), limit))
		}
	}
	if ok, _ := c.Extension("SMTPUTF8"); !ok && needsUTF8(t.n.from, rcpts) {
		return t.n.fail("send", notify.ErrRejected, errors.New("an address is not ASCII and the server does not offer SMTPUTF8"))
	}
	return nil
}

func needsUTF8(from *mail.Address, rcpts []*mail.Address) bool {
	return slices.ContainsFunc(append(slices.Clone(rcpts), from), func(a *mail.Address) bool {
		return strings.ContainsFunc(a.Address, func(r rune) bool { return r > unicode.MaxASCII })
	})
}

func (t *transaction) recipients(c *smtp.Client, rcpts []*mail.Address) (answers []notify.Recipient, taken int, err error) {
	t.phase = "RCPT"
	for _, a := range rcpts {
		err := c.Rcpt(envelope(a))
		var reply *textproto.Error
		switch {
		case err == nil:
			taken++
		case errors.As(err, &reply) && reply.Code != 421:
			err = t.n.fail("send", kindOf(reply.Code, t.phase), fmt.Errorf("recipient %s: %s", a.Address, t.text(reply)))
		default: // the connection is gone: nobody gets the mail
			return nil, 0, err
		}
		answers = append(answers, notify.Recipient{Address: a.Address, Err: err})
	}
	return answers, taken, nil
}

// mark gives those recipients that were taken the error that then ended the transaction.
func mark(answers []notify.Recipient, err error) []notify.Recipient {
	for i := range answers {
		if answers[i].Err == nil {
			answers[i].Err = err
		}
	}
	return answers
}

// refused makes one error of the refusals of single recipients.
func refused(answers []notify.Recipient) error {
	var errs []error
	for _, a := range answers {
		if a.Err != nil {
			errs = append(errs, a.Err)
		}
	}
	return &partial{all: len(errs) == len(answers), errs: errs}
}

type partial struct {
	all  bool
	errs []error
}

func (p *partial) Error() string {
	var texts []string
	for _, err := range p.errs {
		if e, ok := errors.AsType[*notify.Error](err); ok && e.Err != nil {
			err = e.Err // without the name of the server each time
		}
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (p *partial) Unwrap() []error { return p.errs }

// classify makes an error of the conversation a *notify.Error, with the kind that says what to do.
func (t *transaction) classify(ctx context.Context, err error) error {
	var (
		done  *notify.Error
		some  *partial
		reply *textproto.Error
	)
	switch {
	case errors.As(err, &some) && !some.all:
		return t.n.fail("send", notify.ErrPartial, err)
	case errors.As(err, &some):
		errors.As(some.errs[0], &done)
		return t.n.fail("send", done.Kind, err)
	case errors.As(err, &done):
		return err
	case errors.As(err, &reply):
		return t.n.fail("send", kindOf(reply.Code, t.phase), fmt.Errorf("%s: %s", t.phase, t.text(reply)))
	case isTLS(err):
		return t.n.fail("send", notify.ErrInsecure, fmt.Errorf("%s: %w", t.phase, err))
	}
	if cerr := ctx.Err(); cerr != nil { // says more than "i/o timeout"
		err = cerr
	}
	kind := notify.ErrUnavailable
	if t.phase == "end of body" {
		kind = notify.ErrAmbiguous
	}
	return t.n.fail("send", kind, fmt.Errorf("%s: %w", t.phase, t.scrubbed(err)))
}

// kindOf reads an SMTP reply code (RFC 5321 4.2, RFC 4954 6).
func kindOf(code int, phase string) error {
	switch {
	case code < 500:
		return notify.ErrUnavailable
	case code == 552 || code == 523:
		return notify.ErrTooLarge
	case code == 530 || code == 534 || code == 535 || code == 538 || phase == "AUTH":
		return notify.ErrDenied
	}
	return notify.ErrRejected
}

func isTLS(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		auth   x509.UnknownAuthorityError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &auth) ||
		errors.Is(err, smtp.ErrUnencrypted)
}

// text is what the server said, made safe to show.
func (t *transaction) text(reply *textproto.Error) string {
	return fmt.Sprintf("%d %s", reply.Code, t.scrub(printable(reply.Msg)))
}

func (t *transaction) scrub(s string) string {
	for _, secret := range t.secret {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	return s
}

// scrubbed keeps err unless its text holds a secret.
func (t *transaction) scrubbed(err error) error {
	if s := err.Error(); t.scrub(s) != s {
		return errors.New(t.scrub(s))
	}
	return err
}

// printable makes one line of at most 200 characters of what a server said.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return '?'
	}, s)
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return strings.TrimSpace(s)
}

// limited ends a conversation in which the server talks without end.
type limited struct {
	net.Conn
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, &httpx.TooLargeError{What: "what the SMTP server says", Limit: maxDialog}
	}
	n, err := l.Conn.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

var _ io.Reader = (*limited)(nil)
