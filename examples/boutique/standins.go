package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/image/imagetest"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/scan/sonarqube/sonarqubetest"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

// standIns are this library's fakes in place of the servers that no flag names, nil where one does. Each asks for
// a password of its own, made up for this run, and the passwords stand in the stand-in for Vault.
type standIns struct {
	vault    *vaulttest.Server
	registry *imagetest.Server
	git      *gitopstest.Server
	deploy   *gitopstest.Repository
	argocd   *argocdtest.Server
	cluster  *cluster
	sonar    *sonarqubetest.Server
	smtp     *notifytest.SMTPServer

	passwords map[string]any // by key
	closers   []io.Closer
}

// startStandIns starts what the stages need and no flag names, and fills in where it is.
func startStandIns(ctx context.Context, c *config, in inputs, services []service, work string) (_ *standIns, err error) {
	s := &standIns{passwords: map[string]any{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	password := func(key string) string {
		text := rand.Text()
		s.passwords[key] = text
		return text
	}
	if c.registry == "" && c.wants("image") {
		if s.registry, err = imagetest.Start(&imagetest.Options{User: c.user, Password: password(registryPassword)}); err != nil {
			return nil, err
		}
		s.closers = append(s.closers, s.registry)
		c.registry = s.registry.Host()
	}
	if c.git == "" && c.stage == "all" {
		if err := s.startGitOps(ctx, c, in, services, password, work); err != nil {
			return nil, err
		}
	}
	if c.sonar == "" && c.wants("source") {
		gate, err := readQualityGate(in.qualityGate())
		if err != nil {
			return nil, err
		}
		if s.sonar, err = sonarqubetest.Start(&sonarqubetest.Options{Token: password(sonarToken), Gate: gate}); err != nil {
			return nil, err
		}
		s.closers = append(s.closers, s.sonar)
		c.sonar = s.sonar.URL
	}
	if c.smtp == "" {
		s.smtp, err = notifytest.StartSMTP(&notifytest.SMTPOptions{Users: map[string]string{c.user: password(smtpPassword)}, RequireTLS: true})
		if err != nil {
			return nil, err
		}
		s.closers = append(s.closers, s.smtp)
		c.smtp, c.smtpTLS = s.smtp.Addr, &tls.Config{RootCAs: s.smtp.RootCAs}
	}
	if len(s.passwords) > 0 {
		if s.vault, err = vaulttest.Start(nil); err != nil {
			return nil, err
		}
		s.closers = append(s.closers, s.vault)
		if _, err := s.vault.Put(c.secret, s.passwords); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// startGitOps starts a git server with the manifests of the inputs, and an Argo CD that has deployed them.
func (s *standIns) startGitOps(ctx context.Context, c *config, in inputs, services []service, password func(string) string, work string) (err error) {
	if s.git, err = gitopstest.Start(&gitopstest.Options{Users: map[string]string{c.user: password(gitToken)}}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.git)
	manifests, err := manifestsFor(os.DirFS(in.deploy()), c, services)
	if err != nil {
		return err
	}
	s.deploy = s.git.Create("deploy.git", manifests)
	c.git = s.deploy.URL()

	s.cluster, err = newCluster(c, services, work)
	if err != nil {
		return err
	}
	settled := make(chan struct{})
	once := false
	s.argocd, err = argocdtest.Start(&argocdtest.Options{
		Source: s.deploy.FS,
		Apps:   []argocdtest.App{{Name: c.app}},
		Token:  password(argocdToken),
		Health: s.cluster.health,
		OnChange: func(a *argocd.Application) {
			if !once && a.Status.Sync.Status == argocd.Synced && a.Status.Health.Status == argocd.Healthy {
				once = true
				close(settled)
			}
		},
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.argocd, s.cluster)
	s.cluster.argo = s.argocd
	c.argocd = s.argocd.URL
	if !s.argocd.SyncByOther(c.app, "HEAD") {
		return errors.New("the stand-in for Argo CD did not sync")
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// manifestsFor returns the manifests with their images in this run's registry, and a plain Deployment for each
// service that has none.
func manifestsFor(deploy fs.FS, c *config, services []service) (map[string]string, error) {
	files, all := map[string]string{}, ""
	err := fs.WalkDir(deploy, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(deploy, name)
		files[path.Base(name)] = strings.ReplaceAll(string(b), "registry.example.com/boutique/", c.repository("")+"/")
		all += files[path.Base(name)]
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, s := range services {
		if repository := c.repository(s.name); !strings.Contains(all, repository+":") {
			files[s.name+".yaml"] = fmt.Sprintf(plainDeployment, s.name, repository)
		}
	}
	return files, err
}

const plainDeployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  selector:
    matchLabels: {app: %[1]s}
  template:
    metadata:
      labels: {app: %[1]s}
    spec:
      containers:
        - name: %[1]s
          image: %[2]s:0
`

// own counts the credentials that were made up for stand-ins.
func (s *standIns) own(keys []string) int {
	n := 0
	for _, key := range keys {
		if _, ok := s.passwords[key]; ok {
			n++
		}
	}
	return n
}

func (s *standIns) close() {
	for _, c := range slices.Backward(s.closers) {
		_ = c.Close()
	}
}
