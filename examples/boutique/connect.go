package main

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"time"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/gitleaks"
	"github.com/waybill-dev/waybill/scan/govulncheck"
	"github.com/waybill-dev/waybill/scan/mend"
	"github.com/waybill-dev/waybill/scan/sonarqube"
	"github.com/waybill-dev/waybill/scan/trivy"
	"github.com/waybill-dev/waybill/scan/unittests"
	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/vault"
)

// The keys of the secret that -secret names, each the credential for one server.
const (
	registryPassword = "registry-password"
	gitToken         = "git-token"
	argocdToken      = "argocd-token"
	sonarToken       = "sonar-token"
	smtpPassword     = "smtp-password"
)

// servers say where everything is.
type servers struct {
	vault  string // URL
	secret string // path of the credentials in Vault
	user   string // at the registry, the git and the mail server

	registry string // host and port
	git      string // URL of the GitOps repository
	branch   string
	argocd   string // URL
	app      string
	sonar    string // URL
	project  string
	smtp     string // host and port
	from, to string
	smtpTLS  *tls.Config

	insecure bool // plain HTTP to other machines
}

// clients is one client for each server, and one scanner for each kind of scan; nil where there is none.
type clients struct {
	stores   map[string]*vault.Client // by scheme
	secrets  *secrets.Resolver
	redactor *secrets.Redactor

	leaks, vulns, tests, quality, licences, images scan.Scanner

	registry *image.Client
	repo     *gitops.Repo
	argo     *argocd.Client
	mail     *email.Notifier
	people   *notify.Fanout
}

// connect makes the clients. No server is talked to yet.
func (c *config) connect(s *standIns, work string) (_ *clients, err error) {
	cl := &clients{stores: map[string]*vault.Client{}, redactor: secrets.NewRedactor()}
	defer func() {
		if err != nil {
			cl.close(context.Background())
		}
	}()
	if c.vault != "" {
		os.Setenv("VAULT_ADDR", c.vault) // the flag goes before the environment
		store, err := vault.FromEnv(&vault.Options{AllowInsecureHTTP: c.insecure})
		if err != nil {
			return nil, usage(err)
		}
		cl.stores["vault"] = store
	}
	if s.vault != nil {
		token := func(context.Context) (string, error) { return s.vault.RootToken, nil }
		store, err := vault.New(s.vault.URL, vault.Token(token, nil), nil)
		if err != nil {
			return nil, err
		}
		cl.stores["standin"] = store
	}
	stores := map[string]secrets.Store{}
	for scheme, store := range cl.stores {
		stores[scheme] = store
	}
	if cl.secrets, err = secrets.NewResolver(stores, &secrets.ResolverOptions{Redactor: cl.redactor}); err != nil {
		return nil, err
	}
	credential := func(key string) func(context.Context) (string, error) { return cl.secrets.Func(c.reference(s, key)) }

	if err := c.scanners(cl, s, goEnv(work), credential(sonarToken)); err != nil {
		return nil, usage(err)
	}
	if c.registry != "" {
		if cl.registry, err = image.New(&image.Options{
			Keychain:          image.Logins{c.registry: image.Password(c.user, credential(registryPassword))},
			AllowInsecureHTTP: c.insecure,
		}); err != nil {
			return nil, usage(err)
		}
	}
	if c.git != "" {
		if cl.repo, err = gitops.New(c.git, &gitops.Options{
			Branch: c.branch, User: c.user, Token: credential(gitToken), AllowInsecureHTTP: c.insecure,
		}); err != nil {
			return nil, usage(err)
		}
		if cl.argo, err = argocd.New(c.argocd, &argocd.Options{Token: credential(argocdToken), AllowInsecureHTTP: c.insecure}); err != nil {
			return nil, usage(err)
		}
	}
	if cl.mail, err = email.New(c.smtp, c.from, []string{c.to}, &email.Options{
		Username: c.user, Password: credential(smtpPassword), TLSConfig: c.smtpTLS,
	}); err != nil {
		return nil, usage(err)
	}
	cl.people, err = notify.New([]notify.Target{{Name: c.to, Notifier: cl.mail}}, &notify.Options{DryRun: c.dryRun})
	return cl, usage(err)
}

// scanners makes the scanners there is something for.
func (c *config) scanners(cl *clients, s *standIns, env []string, token func(context.Context) (string, error)) (err error) {
	if cl.leaks, err = gitleaks.New(nil); err != nil {
		return err
	}
	if cl.vulns, err = govulncheck.New(&govulncheck.Options{DB: c.vulndb, Env: env}); err != nil {
		return err
	}
	cl.tests = unittests.NewGo(&unittests.GoOptions{Env: append(env, "VAULT_TOKEN=", "VAULT_SECRET_ID=")}) // tests are anybody's code
	if len(c.reports) > 0 {
		if cl.tests, err = unittests.NewRunner(&unittests.RunnerOptions{Reports: c.reports}); err != nil {
			return err
		}
	}
	sonar := &sonarqube.Options{URL: c.sonar, Token: token, ProjectKey: c.project, AllowInsecureHTTP: c.insecure}
	if s.sonar != nil {
		sonar.Poll = 20 * time.Millisecond
	} else if _, err := exec.LookPath("sonar-scanner"); err == nil {
		sonar.Analyze = true
		sonar.PullRequest, sonar.PullRequestBranch, sonar.PullRequestBase = c.ci.PullRequest, c.ci.PullRequestBranch, c.ci.PullRequestTarget
	}
	if c.sonar != "" {
		if cl.quality, err = sonarqube.New(sonar); err != nil {
			return err
		}
	}
	if c.mend != "" {
		if cl.licences, err = mend.NewReader(); err != nil {
			return err
		}
	}
	if _, err := exec.LookPath("trivy"); err == nil {
		cl.images, err = trivy.New(&trivy.Options{CacheDir: c.trivyDB, Offline: c.trivyDB != ""})
		return err
	}
	return nil
}

// goEnv lets the go command work where everything is removed at the end, also when it was cut short.
func goEnv(work string) []string { return []string{"GOTMPDIR=" + work} }

// reference names a credential: in the Vault, or in the stand-in's when the server it is for is one.
func (c *config) reference(s *standIns, key string) string {
	if _, ok := s.passwords[key]; ok {
		return "standin://" + c.secret + "#" + key
	}
	return "vault://" + c.secret + "#" + key
}

// close forgets the credentials.
func (cl *clients) close(ctx context.Context) {
	if cl.secrets != nil {
		_ = cl.secrets.Close()
	}
	for _, store := range cl.stores {
		_ = store.Close(ctx)
	}
	if cl.registry != nil {
		cl.registry.CloseIdleConnections()
	}
}
