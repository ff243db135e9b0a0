package main

import (
	"context"
	"crypto/tls"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/gitleaks"
	"github.com/waybill-dev/waybill/scan/unittests"
	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/vault"
)

// servers say where everything is. Every credential stands at one place in Vault.
type servers struct {
	vault      string                                // URL
	vaultToken func(context.Context) (string, error) // to log in there
	secret     string                                // path of the credentials, such as secret/shop

	registry string // host and port
	git      string // URL of the GitOps repository
	argocd   string // URL
	app      string // name of the application
	smtp     string // host and port
	smtpTLS  *tls.Config
	from, to string // of the mail
}

// connect makes a client for each server. None is talked to yet.
func (at servers) connect() (*clients, error) {
	store, err := vault.New(at.vault, vault.Token(at.vaultToken, nil), nil)
	if err != nil {
		return nil, err
	}
	resolver, err := secrets.NewResolver(map[string]secrets.Store{"vault": store}, nil)
	if err != nil {
		return nil, err
	}
	credential := func(key string) func(context.Context) (string, error) {
		return resolver.Func("vault://" + at.secret + "#" + key)
	}

	c := &clients{vault: store, secrets: resolver, tests: unittests.NewGo(nil)}
	if c.leaks, err = gitleaks.New(nil); err != nil {
		return nil, err
	}
	if c.registry, err = image.New(&image.Options{
		Keychain: image.Logins{at.registry: image.Password("ci", credential("registry-password"))},
	}); err != nil {
		return nil, err
	}
	if c.repo, err = gitops.New(at.git, &gitops.Options{User: "ci", Token: credential("git-token")}); err != nil {
		return nil, err
	}
	if c.argo, err = argocd.New(at.argocd, &argocd.Options{Token: credential("argocd-token")}); err != nil {
		return nil, err
	}
	mail, err := email.New(at.smtp, at.from, []string{at.to}, &email.Options{
		Username: "ci", Password: credential("smtp-password"), TLSConfig: at.smtpTLS,
	})
	if err != nil {
		return nil, err
	}
	c.people, err = notify.New([]notify.Target{{Name: at.to, Notifier: mail}}, nil)
	return c, err
}

type clients struct {
	vault    *vault.Client
	secrets  *secrets.Resolver
	leaks    scan.Scanner
	tests    scan.Scanner
	registry *image.Client
	repo     *gitops.Repo
	argo     *argocd.Client
	people   *notify.Fanout
}

// close forgets the credentials.
func (c *clients) close(ctx context.Context) {
	_ = c.secrets.Close()
	_ = c.vault.Close(ctx)
}
