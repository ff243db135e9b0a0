// Notify tells people what happened, by mail, Slack, Teams or a signed webhook.
//
//	notify -to TARGET [-to …] -title T [-summary S] [-severity S] [-field K=V]… [-link TEXT=URL]… [-attach FILE]…
//	       [-key K] [-outbox DIR] [-ca FILE] [-allow-private] [-dry-run]
//
// A TARGET is one of
//
//	smtp://[user@]host[:port]/?to=a@b&from=c@d[&tls=starttls|none]   STARTTLS unless tls=none; port 587
//	smtps://[user@]host[:port]/?to=a@b&from=c@d                      TLS from the first byte; port 465
//	slack:NAME     an incoming webhook, its URL in the environment variable NAME_URL
//	teams:NAME     a workflow's webhook, its URL in NAME_URL
//	webhook:NAME   any endpoint, its URL in NAME_URL; signed with the keys in NAME_KEY (one, or several parted by
//	               commas), and not signed without
//
// With a user the password comes from SMTP_PASSWORD. "to" takes several addresses, parted by commas. Plain HTTP is for this
// machine only, and that needs -allow-private, like all internal addresses.
//
// With -outbox the message is written to DIR first and sent from there, with all that still waits in it: what is not
// delivered is tried again by the next call, and the same message (same -key, or same content) is sent once only.
//
// It prints {"results":[…]}, one per target. Exit code 0: all took it, or had it before; 1: a target failed; 2: wrong
// usage; 3: a file or the outbox cannot be used.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/outbox"
	"github.com/waybill-dev/waybill/notify/slack"
	"github.com/waybill-dev/waybill/notify/teams"
	"github.com/waybill-dev/waybill/notify/webhook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// variable is what NAME may be.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// errBroken marks what is no wrong usage: a file that cannot be read, an outbox that cannot be opened.
var errBroken = errors.New("broken")

type flags struct {
	to, attach             []string
	message                notify.Message
	outbox, ca             string
	allowPrivate, simulate bool
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	results, err := send(ctx, args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "notify:", err)
		if errors.Is(err, errBroken) {
			return 3
		}
		return 2
	}
	if err := json.NewEncoder(stdout).Encode(map[string]any{"results": results}); err != nil {
		fmt.Fprintln(stderr, "notify:", err)
		return 3
	}
	if slices.ContainsFunc(results, func(r notify.Result) bool { return r.Err != nil }) {
		return 1
	}
	return 0
}

func send(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) ([]notify.Result, error) {
	f, err := parse(args, stderr)
	if err != nil {
		return nil, err
	}
	if f.message.Attachments, err = attachments(f.attach); err != nil {
		return nil, err
	}
	if err := f.message.Validate(); err != nil {
		return nil, err
	}
	targets, err := f.targets(getenv)
	if err != nil {
		return nil, err
	}
	fanout, err := notify.New(targets, &notify.Options{DryRun: f.simulate})
	if err != nil {
		return nil, err
	}
	if f.outbox == "" || f.simulate {
		results, _ := fanout.Send(ctx, f.message) // each result has its own error
		return results, nil
	}
	return throughOutbox(ctx, f, fanout)
}

// throughOutbox returns what came of the message and of all that waited. A target that took the message only
// into the outbox has its result from the round that follows.
func throughOutbox(ctx context.Context, f *flags, fanout *notify.Fanout) ([]notify.Result, error) {
	box, err := outbox.Open(f.outbox, fanout, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	defer box.Close()
	taken, err := box.Send(ctx, f.message)
	if taken == nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	results, err := box.Flush(ctx)
	if err != nil && !slices.ContainsFunc(results, func(r notify.Result) bool { return r.Err != nil }) {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	for _, r := range taken {
		if r.Reason != "queued" && r.Reason != "queued before" {
			results = append(results, r)
		}
	}
	return results, nil
}

func parse(args []string, stderr io.Writer) (*flags, error) {
	f := &flags{}
	m := &f.message
	fs := flag.NewFlagSet("notify", flag.ContinueOnError)
	fs.SetOutput(stderr)
	pairs := func(add func(key, value string)) func(string) error {
		return func(s string) error {
			key, value, ok := strings.Cut(s, "=")
			if !ok || key == "" {
				return errors.New(`want two parts with "=" between them`)
			}
			add(key, value)
			return nil
		}
	}
	fs.Func("to", "`TARGET`: smtp://…, smtps://…, slack:NAME, teams:NAME or webhook:NAME; may be repeated", func(s string) error {
		f.to = append(f.to, s)
		return nil
	})
	fs.StringVar(&m.Title, "title", "", "what happened, in one line")
	fs.StringVar(&m.Summary, "summary", "", "what there is to say about it")
	fs.TextVar(&m.Severity, "severity", notify.SeverityInfo, "info, warning, error or critical")
	fs.StringVar((*string)(&m.Outcome), "outcome", "", "how it ended, such as succeeded or failed")
	fs.Func("field", "`K=V`: a fact; may be repeated", pairs(func(k, v string) { m.Fields = append(m.Fields, notify.Field{Name: k, Value: v}) }))
	fs.Func("link", "`TEXT=URL`: where to read on; may be repeated", pairs(func(k, v string) { m.Links = append(m.Links, notify.Link{Text: k, URL: v}) }))
	fs.Func("attach", "`FILE` to attach to mails; may be repeated", func(s string) error {
		f.attach = append(f.attach, s)
		return nil
	})
	fs.StringVar(&m.Key, "key", "", "what makes the message itself, such as the run's id; default: its content")
	fs.StringVar(&f.outbox, "outbox", "", "`DIR` of the outbox to send through")
	fs.StringVar(&f.ca, "ca", "", "`FILE` with the certificates to trust for mail, as PEM")
	fs.BoolVar(&f.allowPrivate, "allow-private", false, "also post to internal addresses")
	fs.BoolVar(&f.simulate, "dry-run", false, "show what would be sent and send nothing")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("what is %q for? (flags only)", fs.Arg(0))
	case len(f.to) == 0:
		return nil, errors.New("-to is missing: nobody to tell")
	case m.Title == "":
		return nil, errors.New("-title is missing: nothing to tell")
	}
	return f, nil
}

func attachments(paths []string) ([]notify.Attachment, error) {
	var list []notify.Attachment
	left := int64(notify.MaxAttachmentBytes)
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBroken, err)
		}
		data, err := io.ReadAll(io.LimitReader(file, left+1))
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBroken, err)
		}
		if left -= int64(len(data)); left < 0 {
			return nil, fmt.Errorf("%w: %s: attachments have more than %d bytes together", errBroken, path, notify.MaxAttachmentBytes)
		}
		list = append(list, notify.Attachment{Name: filepath.Base(path), Data: data})
	}
	return list, nil
}

func (f *flags) targets(getenv func(string) string) ([]notify.Target, error) {
	var targets []notify.Target
	var errs []error
	for _, to := range f.to {
		t, err := f.target(to, getenv)
		if err != nil {
			errs = append(errs, err)
		}
		targets = append(targets, t)
	}
	return targets, errors.Join(errs...)
}

func (f *flags) target(to string, getenv func(string) string) (notify.Target, error) {
	kind, name, _ := strings.Cut(to, ":")
	if kind == "smtp" || kind == "smtps" {
		return f.mail(to, getenv)
	}
	if !variable.MatchString(name) || !slices.Contains([]string{"slack", "teams", "webhook"}, kind) {
		return notify.Target{}, errors.New("a TARGET is smtp://…, smtps://…, slack:NAME, teams:NAME or webhook:NAME (and a URL is never the NAME: it is a secret)")
	}
	if getenv(name+"_URL") == "" {
		return notify.Target{}, fmt.Errorf("%s: the environment variable %s_URL is not set", to, name)
	}
	address := func(context.Context) (string, error) { return getenv(name + "_URL"), nil }
	var n notify.Notifier
	var err error
	switch kind {
	case "slack":
		n, err = slack.NewWebhook(address, &slack.Options{AllowPrivate: f.allowPrivate})
	case "teams":
		n, err = teams.New(address, &teams.Options{AllowPrivate: f.allowPrivate})
	case "webhook":
		o := &webhook.Options{AllowPrivate: f.allowPrivate}
		keys := getenv(name + "_KEY")
		for key := range strings.SplitSeq(keys, ",") {
			if key = strings.TrimSpace(key); key != "" {
				o.Keys = append(o.Keys, func(context.Context) (string, error) { return key, nil })
			}
		}
		if keys != "" && o.Keys == nil { // meant to be signed
			return notify.Target{}, fmt.Errorf("%s: there is no key in %s_KEY", to, name)
		}
		n, err = webhook.New(address, o)
	}
	return notify.Target{Name: to, Notifier: n}, err
}

func (f *flags) mail(to string, getenv func(string) string) (notify.Target, error) {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" {
		return notify.Target{}, errors.New("an smtp TARGET looks like smtp://host:port/?to=a@b&from=c@d")
	}
	bad := func(format string, args ...any) (notify.Target, error) {
		return notify.Target{}, fmt.Errorf("%s://%s: %w", u.Scheme, u.Host, fmt.Errorf(format, args...))
	}
	if _, has := u.User.Password(); u.User != nil && has {
		return bad("a password in the TARGET can be seen by others; put it into SMTP_PASSWORD")
	}
	if strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return bad("behind the host comes /?to=…&from=…")
	}
	q, err := url.ParseQuery(strings.ReplaceAll(u.RawQuery, "+", "%2B")) // a "+" belongs to an address here: a+b@c
	if err != nil {
		return bad("%w", err)
	}
	for name, values := range q {
		if !slices.Contains([]string{"to", "from", "tls"}, name) {
			return bad("there is no %s=; there are to=, from= and tls=", name)
		}
		if name != "to" && len(values) > 1 {
			return bad("%s= is there twice", name)
		}
	}
	o := &email.Options{ImplicitTLS: u.Scheme == "smtps", Username: u.User.Username()}
	switch mode := q.Get("tls"); {
	case mode == "none" && u.Scheme == "smtp":
		o.DisableTLS = true
	case mode != "" && mode != "starttls", mode == "starttls" && u.Scheme == "smtps":
		return bad("tls=%s is not possible", mode)
	}
	if o.Username != "" {
		if getenv("SMTP_PASSWORD") == "" {
			return bad("there is a user, and SMTP_PASSWORD is not set")
		}
		o.Password = func(context.Context) (string, error) { return getenv("SMTP_PASSWORD"), nil }
	}
	if f.ca != "" && !o.DisableTLS {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return notify.Target{}, fmt.Errorf("%w: %w", errBroken, err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return notify.Target{}, fmt.Errorf("%w: %s: holds no certificate", errBroken, f.ca)
		}
		o.TLSConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	var recipients []string
	for _, list := range q["to"] {
		recipients = append(recipients, strings.Split(list, ",")...)
	}
	server := u.Host
	if u.Port() == "" {
		server = map[string]string{"smtp": net.JoinHostPort(u.Hostname(), "587"), "smtps": net.JoinHostPort(u.Hostname(), "465")}[u.Scheme]
	}
	n, err := email.New(server, q.Get("from"), recipients, o)
	if err != nil {
		return bad("%w", err)
	}
	return notify.Target{Name: fmt.Sprintf("%s://%s/?to=%s", u.Scheme, u.Host, strings.Join(recipients, ",")), Notifier: n}, nil
}
