package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/image/imagetest"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

// fakes are the embedded servers. Each asks for a password of its own, made up for this run, and the passwords
// stand in the embedded Vault.
type fakes struct {
	registry *imagetest.Server
	deploy   *gitopstest.Repository
	argocd   *argocdtest.Server
	smtp     *notifytest.SMTPServer
	closers  []io.Closer
}

// startFakes starts all servers and fills in where they are. The GitOps repository holds the embedded manifests.
func startFakes(at *servers) (_ *fakes, err error) {
	f := &fakes{}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	passwords := map[string]any{}
	for _, key := range []string{"registry-password", "git-token", "argocd-token", "smtp-password"} {
		passwords[key] = rand.Text()
	}
	password := func(key string) string { return passwords[key].(string) }

	vault, err := vaulttest.Start(nil)
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, vault)
	if _, err := vault.Put(at.secret, passwords); err != nil {
		return nil, err
	}
	at.vault, at.vaultToken = vault.URL, func(context.Context) (string, error) { return vault.RootToken, nil }

	f.registry, err = imagetest.Start(&imagetest.Options{User: "ci", Password: password("registry-password")})
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, f.registry)
	at.registry = f.registry.Host()

	git, err := gitopstest.Start(&gitopstest.Options{Users: map[string]string{"ci": password("git-token")}})
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, git)
	manifests, err := deployManifests(at.registry)
	if err != nil {
		return nil, err
	}
	f.deploy = git.Create("deploy.git", manifests)
	at.git = f.deploy.URL()

	f.argocd, err = argocdtest.Start(&argocdtest.Options{
		Source: f.deploy.FS,
		Apps:   []argocdtest.App{{Name: at.app}},
		Token:  password("argocd-token"),
	})
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, f.argocd)
	at.argocd = f.argocd.URL

	f.smtp, err = notifytest.StartSMTP(&notifytest.SMTPOptions{Users: map[string]string{"ci": password("smtp-password")}, RequireTLS: true})
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, f.smtp)
	at.smtp, at.smtpTLS = f.smtp.Addr, &tls.Config{RootCAs: f.smtp.RootCAs}
	return f, nil
}

func (f *fakes) close() {
	for _, c := range slices.Backward(f.closers) {
		_ = c.Close()
	}
}

// deployManifests returns the embedded manifests with their images in the given registry.
func deployManifests(registry string) (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(embedded, "deploy", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(embedded, name)
		files[path.Base(name)] = strings.ReplaceAll(string(b), "registry.example.com", registry)
		return err
	})
	return files, err
}
