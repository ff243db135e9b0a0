// Package argocdnotifications writes the configuration with which Argo CD itself mails when an application has
// become healthy, once per revision: for changes that no pipeline of ours made, such as a sync by hand.
//
// The controller (argocd-notifications, part of Argo CD since 2.3) reads the ConfigMap argocd-notifications-cm, and sends
// for those applications that carry the annotation ([Subscription]).
//
// What to know of the controller before relying on it:
//
//   - It writes down that it has sent before it sends, so a mail that fails is lost: its oncePer keys are not rolled
//     back. A pipeline that has to be sure sends by itself, through notify/outbox.
//   - Without oncePer every restart of a pod would mail again. What was sent is remembered in an annotation
//     of the application, the last hundred of them.
//   - It mails plain text, so nothing in an application can become markup. It has no attachments.
//   - It skips an application while its reconciliation is out of date.
//
// # Errors
//
// All errors are [*notify.Error] of kind ErrInvalid: a field that cannot be right.
package argocdnotifications

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"text/template"

	"github.com/waybill-dev/waybill/notify"
)

// Trigger is the name of the trigger that [ConfigMap] defines.
const Trigger = "on-healthy"

// Config says how Argo CD sends mail. Host and From are required.
type Config struct {
	Host string // the SMTP server
	Port int    // 0 means 587
	From string // a bare address, such as argocd@example.test

	// Username logs in with the password that stands under PasswordKey in the Secret argocd-notifications-secret. Both
	// or neither.
	Username    string
	PasswordKey string

	// InsecureSkipVerify takes any certificate.
	InsecureSkipVerify bool

	Namespace string // of Argo CD; default "argocd"
	URL       string // of Argo CD's user interface, for a link to the application; may be empty
}

//go:embed configmap.yaml.tmpl
var source string

var configMap = template.Must(template.New("configmap").Delims("<<", ">>").Funcs(template.FuncMap{"json": quote}).Parse(source))

// quote writes s as JSON, which is YAML too.
func quote(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	keyPattern  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,253}$`) // what the controller replaces; a dot would end it
)

// ConfigMap returns the ConfigMap argocd-notifications-cm as YAML, to be applied as it is or merged into one that is there.
func ConfigMap(c Config) ([]byte, error) {
	if c.Port == 0 {
		c.Port = 587
	}
	if c.Namespace == "" {
		c.Namespace = "argocd"
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Host == "" || strings.ContainsAny(c.Host, ":/@ \r\n\t") && !strings.HasPrefix(c.Host, "[") {
		bad("field Host: is no host name")
	}
	if c.Port < 0 || c.Port > 65535 {
		bad("field Port: %d is no port", c.Port)
	}
	if a, err := mail.ParseAddress(c.From); err != nil || a.Address != c.From {
		bad("field From: %q is no bare mail address", c.From)
	}
	if (c.Username == "") != (c.PasswordKey == "") {
		bad("fields Username and PasswordKey: one is of no use without the other")
	}
	if c.PasswordKey != "" && !keyPattern.MatchString(c.PasswordKey) {
		bad("field PasswordKey: is no key that the controller finds (letters, digits, - and _)")
	}
	if !namePattern.MatchString(c.Namespace) {
		bad("field Namespace: is no name of a namespace")
	}
	for name, value := range map[string]string{"Host": c.Host, "From": c.From, "Username": c.Username} {
		if strings.Contains(value, "$") { // the controller would replace it by something of its Secret
			bad("field %s: contains a $", name)
		}
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.Contains(c.URL, "{{")) {
		bad("field URL: is no http or https URL without user")
	}
	if len(errs) > 0 {
		return nil, &notify.Error{Op: "write", Target: "argocd-notifications-cm", Kind: notify.ErrInvalid, Err: errors.Join(errs...)}
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	var out bytes.Buffer
	if err := configMap.Execute(&out, c); err != nil {
		return nil, &notify.Error{Op: "write", Target: "argocd-notifications-cm", Kind: notify.ErrInvalid, Err: err}
	}
	return out.Bytes(), nil
}

// Subscription returns the annotation that makes an application (or, for all of its applications, an AppProject) mail to
// recipients. Each gets a mail of their own.
func Subscription(recipients ...string) (name, value string, err error) {
	if len(recipients) == 0 {
		err = errors.New("there is no recipient")
	}
	for _, r := range recipients {
		if a, perr := mail.ParseAddress(r); perr != nil || a.Address != r || strings.ContainsAny(r, ";,\r\n") {
			err = errors.Join(err, fmt.Errorf("%q is no bare mail address", r))
		}
	}
	if err != nil {
		return "", "", &notify.Error{Op: "write", Target: "subscription", Kind: notify.ErrInvalid, Err: err}
	}
	return "notifications.argoproj.io/subscribe." + Trigger + ".email", strings.Join(recipients, ";"), nil
}
