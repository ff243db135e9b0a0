//go:build integration

package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/internal/testbed/trivydb"
)

// reality is every real server there is for the tests, and the built program.
type reality struct {
	t        *testing.T
	program  string
	work     string
	env      []string
	args     []string
	registry string
	argo     *testbed.ArgoCDServer
	mail     *testbed.MailServer
	git      *testbed.Git
	secrets  []string
}

func newReality(t *testing.T) *reality {
	t.Helper()
	argo := testbed.ArgoCD(t, testbed.ArgoCD33)
	vault := testbed.StartVault(t, nil)
	r := &reality{t: t, work: t.TempDir(), argo: argo, registry: testbed.Registry(t), mail: testbed.AIOSMTPD(t)}
	const gitToken = "a token for git"
	r.git = testbed.GitHTTP(t, func(next http.Handler) http.Handler { // anybody reads, whoever knows the token writes
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			_, password, _ := req.BasicAuth()
			if strings.Contains(req.URL.String(), "git-receive-pack") && password != gitToken {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, req)
		})
	})
	r.secrets = []string{gitToken, argo.APIKey, r.mail.Password, vault.RootToken}

	var authorities []byte
	for _, file := range []string{vault.CAFile, r.mail.CAFile} {
		authorities = append(append(authorities, read(t, file)...), '\n')
	}
	bundle, bin := filepath.Join(r.work, "authorities.pem"), filepath.Join(r.work, "bin")
	write(t, bundle, string(authorities))
	require.NoError(t, os.Mkdir(bin, 0o755))
	for name, tool := range map[string]testbed.Spec{"trivy": testbed.Trivy, "docker-buildx": testbed.Buildx} {
		require.NoError(t, os.Symlink(testbed.Require(t, tool).Path, filepath.Join(bin, name)))
	}
	r.env = append(os.Environ(), "VAULT_ADDR="+vault.URL, "VAULT_TOKEN="+vault.RootToken, "VAULT_CACERT="+vault.CAFile, "SSL_CERT_FILE="+bundle,
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "BUILDX_CONFIG="+t.TempDir(), "BUILDKIT_HOST="+testbed.BuildKitd(t))
	r.run(r.work, vault.Bin, "secrets", "enable", "-path=secret", "kv-v2")
	r.run(r.work, vault.Bin, "kv", "put", "secret/boutique", "git-token="+gitToken, "argocd-token="+argo.APIKey, "smtp-password="+r.mail.Password, "registry-password=unused")
	r.program = filepath.Join(r.work, "boutique")
	r.run(".", "go", "build", "-o", r.program, ".")
	r.args = []string{"-vault", vault.URL, "-registry", r.registry, "-argocd", argo.Server, "-smtp", r.mail.Addr, "-trivy-cache", trivydb.New(t)}
	return r
}

// in is the same for a subtest.
func (r reality) in(t *testing.T) *reality {
	r.t = t
	return &r
}

func (r *reality) run(dir, name string, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, r.env
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "%s %q: %s", name, args, out)
	return string(out)
}

// deployRepository makes a GitOps repository of the manifests in a directory and an application that deploys it.
func (r *reality) deployRepository(app, dir, repository string) (url string) {
	r.t.Helper()
	url = r.git.Init(app + ".git")
	clone := filepath.Join(r.work, "clone-"+app)
	r.run(r.work, "git", "clone", "-q", url, clone)
	require.NoError(r.t, os.CopyFS(clone, os.DirFS(dir)))
	require.NoError(r.t, filepath.WalkDir(clone, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.Contains(path, ".git/") {
			write(r.t, path, strings.ReplaceAll(read(r.t, path), "registry.example.com/"+repository, r.registry+"/"+repository))
		}
		return err
	}))
	r.run(clone, "git", "add", ".")
	r.run(clone, "git", "-c", "user.name=ops", "-c", "user.email=ops@example.com", "commit", "-q", "-m", "first")
	r.run(clone, "git", "-c", "http.extraHeader=Authorization: Basic b3BzOmEgdG9rZW4gZm9yIGdpdA==", "push", "-q", "origin", "HEAD:main")
	r.argo.Application(app, url, ".", false)
	return url
}

// The eleven services, with nothing but real servers but SonarQube's.
func TestBoutique_realServers(t *testing.T) {
	r := newReality(t)
	d := inputsOf(t, eleven...)
	write(t, d.policy(), strings.Replace(read(t, d.policy()), `"version": 1,`,
		`"version": 1, "require": {"secrets": "real", "trivy": "real", "push": "real", "bump": "real", "sync": "real", "mail": "real"},`, 1))
	url := r.deployRepository("boutique", d.deploy(), "boutique")
	out := filepath.Join(r.work, "out")
	said := r.run(r.work, r.program, append(r.args, "-git", url, "-inputs", string(d), "-build-id", "7", "-out", out)...)
	t.Log(said)

	var rec record
	require.NoError(t, json.Unmarshal([]byte(read(t, filepath.Join(out, recordFile))), &rec))
	assert.Equal(t, deployed, rec.Outcome)
	assert.Equal(t, "Healthy", rec.Live.Health)
	assert.Equal(t, rec.Change.Revision, rec.Live.Revisions[0], "at our revision")
	assert.Equal(t, notRun, rec.step("smoke").Executed)
	images, err := r.argo.Kubectl("", "get", "deployments", "-n", "boutique", "-o", "jsonpath={.items[*].spec.template.spec.containers[*].image}")
	require.NoError(t, err, images)
	assert.Len(t, strings.Fields(images), len(eleven))
	for _, i := range rec.Images {
		assert.Contains(t, images, i.ref(), "what runs is what was pushed")
	}
	mails := r.mail.Mails(t)
	require.Len(t, mails, 1)
	assert.Contains(t, string(mails[0]), "Boutique 7: deployed")
	for _, secret := range r.secrets {
		assert.NotContains(t, said+string(mails[0]), secret)
	}

	t.Run("polyglot", func(t *testing.T) {
		r := r.in(t)
		// The same Dockerfiles on nothing, as there are no bases to be had here.
		dir := polyglot(t)
		found, err := services(dir)
		require.NoError(t, err)
		for _, s := range found {
			path := filepath.Join(dir, filepath.FromSlash(s), "Dockerfile")
			write(t, path, regexp.MustCompile(`(?m)^FROM .*`).ReplaceAllString(read(t, path), "FROM scratch"))
		}
		commitFirst(t, dir)
		policy := filepath.Join(t.TempDir(), "policy.json")
		write(t, policy, `{"version": 1, "fail": [{"severity": "high"}], "requireTools": ["gitleaks", "go test"], "tests": {"min": 1}}`) // on nothing Trivy finds no packages
		url := r.deployRepository("post", filepath.Join(dir, "deploy"), "post")
		out := filepath.Join(t.TempDir(), "out")
		for _, stage := range stages[:3] {
			t.Log(r.run(t.TempDir(), r.program, append(r.args, "-stage", stage, "-git", url, "-app", "post", "-prefix", "post",
				"-source", dir, "-policy", policy, "-builder", "buildx", "-out", out)...))
		}
		var rec record
		require.NoError(t, json.Unmarshal([]byte(read(t, filepath.Join(out, recordFile))), &rec))
		assert.Equal(t, passed, rec.Outcome)
		assert.Len(t, rec.Images, 11)
		assert.Len(t, rec.Change.Edits, 11)
		files := r.run(r.work, "git", "-C", filepath.Join(r.git.Dir, "post.git"), "show", "--stat", "--format=%s", "main")
		assert.Contains(t, files, "10 files changed, 11 insertions(+), 11 deletions(-)")
	})
}
