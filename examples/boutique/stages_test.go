package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/image/imagetest"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

// outside are servers that outlive a stage, as real ones do.
type outside struct {
	registry *imagetest.Server
	deploy   *gitopstest.Repository
	argocd   *argocdtest.Server
	smtp     *notifytest.SMTPServer
	vault    *vaulttest.Server
	args     []string
}

func startOutside(t *testing.T, d inputs) *outside {
	t.Helper()
	o := &outside{registry: imagetest.NewServer(t, &imagetest.Options{User: "ci", Password: "registry secret"})}
	git := gitopstest.NewServer(t, &gitopstest.Options{Users: map[string]string{"ci": "git secret"}})
	c := &config{prefix: "boutique"}
	c.registry = o.registry.Host()
	manifests, err := manifestsFor(os.DirFS(d.deploy()), c, nil)
	require.NoError(t, err)
	o.deploy = git.Create("deploy.git", manifests)
	o.argocd = argocdtest.NewServer(t, &argocdtest.Options{Source: o.deploy.FS, Apps: []argocdtest.App{{Name: "boutique"}}, Token: "argocd secret"})
	o.smtp = notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"ci": "smtp secret"}, RequireTLS: true})
	o.vault = vaulttest.NewServer(t, nil)
	_, err = o.vault.Put("secret/boutique", map[string]any{
		"registry-password": "registry secret", "git-token": "git secret", "argocd-token": "argocd secret", "smtp-password": "smtp secret",
	})
	require.NoError(t, err)
	o.args = []string{"-vault", o.vault.URL, "-registry", o.registry.Host(), "-git", o.deploy.URL(), "-argocd", o.argocd.URL, "-smtp", o.smtp.Addr}
	return o
}

// stage does one stage as a process of its own would, and returns how it ended.
func (o *outside) stage(t *testing.T, out string, d inputs, name string, args ...string) (*pipeline, error) {
	t.Helper()
	p, said := assembleWith(t, func(c *config) {
		c.smtpTLS = &tls.Config{RootCAs: o.smtp.RootCAs}
		t.Setenv("VAULT_TOKEN", o.vault.RootToken)
	}, append(append([]string{"-stage", name, "-out", out, "-inputs", string(d)}, o.args...), args...)...)
	withoutVulns(p)
	err := p.run(t.Context())
	t.Log(said)
	p.close(context.WithoutCancel(t.Context()))
	return p, err
}

func TestStages(t *testing.T) {
	d := inputsOf(t, "cart", "payment")
	o := startOutside(t, d)
	out := filepath.Join(t.TempDir(), "out")
	for i, stage := range stages {
		if stage == "image" || stage == "gitops" {
			before := read(t, filepath.Join(out, recordFile))
			_, err := o.stage(t, out, d, stage, "-dry-run")
			require.NoError(t, err)
			assert.Equal(t, before, read(t, filepath.Join(out, recordFile)), "%s is still to come", stage)
		}
		p, err := o.stage(t, out, d, stage)
		require.NoError(t, err, stage)
		r := validate(t, p)
		assert.Equal(t, stage, r.Stage)
		for _, s := range r.Steps {
			if later := slices.Index(stages, s.Stage) > i; s.Executed == notRun && s.Name != "mail" {
				assert.Equal(t, later, s.Reason == "a later stage", s.Name)
			} else {
				assert.False(t, later && s.Name != "mail", s.Name)
			}
		}
		if i < len(stages)-1 {
			assert.Equal(t, passed, r.Outcome)
			assert.Empty(t, o.smtp.Mails(), "the run goes on")
		} else {
			assert.Equal(t, deployed, r.Outcome)
		}
		if stage == "source" {
			for name, spoil := range map[string]func(copied string){
				"report.sarif": func(dir string) { appendTo(t, filepath.Join(dir, sarifFile), "\n") },
				"junit.xml":    func(dir string) { appendTo(t, filepath.Join(dir, junitFile), "\n") },
				"coverage.xml": func(dir string) { require.NoError(t, os.Remove(filepath.Join(dir, coverageFile))) },
				"path":         func(dir string) { replace(t, filepath.Join(dir, recordFile), `"junit.xml"`, `"../junit.xml"`) },
				"stopped":      func(dir string) { replace(t, filepath.Join(dir, recordFile), `"passed"`, `"stopped"`) },
			} {
				refused(t, o, out, d, "image", name, spoil)
			}
			for name, edit := range map[string]func(source string){
				"another commit": func(source string) {
					appendTo(t, filepath.Join(source, "cart", "main.go"), "\n")
					require.NoError(t, commitAll(t.Context(), source, "an empty line"))
				},
				"no commit":     func(source string) { write(t, filepath.Join(source, "cart", "new.go"), "package main\n") },
				"no repository": func(source string) { require.NoError(t, os.RemoveAll(filepath.Join(source, ".git"))) },
			} {
				edited := inputs(filepath.Join(t.TempDir(), "inputs"))
				require.NoError(t, os.CopyFS(string(edited), os.DirFS(string(d))))
				edit(edited.source())
				refused(t, o, out, edited, "image", name, func(string) {})
			}
			refused(t, o, out, d, "image", "unknown commit", func(dir string) {
				r := recordIn(t, dir)
				r.Commit = ""
				require.NoError(t, r.save(dir))
			})
		}
		if stage == "image" {
			refused(t, o, out, d, "gitops", "a layout", func(dir string) {
				blobs, err := filepath.Glob(filepath.Join(dir, "images", "cart", "blobs", "sha256", "*"))
				require.NoError(t, err)
				require.NotEmpty(t, blobs)
				b := read(t, blobs[0])
				require.NoError(t, os.WriteFile(blobs[0], []byte(b[:len(b)-1]+"x"), 0o600))
			})
			refused(t, o, out, d, "gitops", "another image", func(dir string) {
				require.NoError(t, os.RemoveAll(filepath.Join(dir, "images", "cart")))
				require.NoError(t, os.CopyFS(filepath.Join(dir, "images", "cart"), os.DirFS(filepath.Join(dir, "images", "payment"))))
			})
		}
	}
	for name, c := range map[string]*change{"no commit": nil, "dry run": {DryRun: true}} {
		r := recordIn(t, out)
		r.Outcome, r.Stage, r.Change = passed, "gitops", c
		dir := t.TempDir()
		require.NoError(t, r.save(dir))
		_, err := (&config{out: dir, stage: "deploy"}).resume()
		require.ErrorIs(t, err, errStopped, name)
		_, err = (&config{out: dir, stage: "deploy", hold: "a pull request"}).resume()
		require.NoError(t, err, name)
	}
	mails := o.smtp.Mails()
	require.Len(t, mails, 1, "one mail for the four of them")
	assert.Contains(t, mails[0].Subject(), "Boutique 7: deployed")
	log, err := o.deploy.Log("main")
	require.NoError(t, err)
	assert.Len(t, log, 2)

	_, err = (&config{out: out, stage: "image"}).resume()
	require.ErrorIs(t, err, errStopped, "what is deployed is not pushed again")
}

// refused does a stage on a spoiled copy of what the one before left, on servers of its own.
func refused(t *testing.T, o *outside, out string, d inputs, stage, name string, spoil func(dir string)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "out")
		require.NoError(t, os.CopyFS(dir, os.DirFS(out)))
		spoil(dir)
		requests := len(o.registry.Requests())
		if _, err := (&config{out: dir, stage: stage}).resume(); err != nil {
			require.ErrorIs(t, err, errStopped)
			return
		}
		other := startOutside(t, d)
		other.args[3] = o.args[3] // the images are named after the registry
		p, err := other.stage(t, dir, d, stage)
		require.ErrorIs(t, err, errStopped)
		assert.ErrorContains(t, err, "is not what the stage before left")
		assert.Len(t, o.registry.Requests(), requests, "nobody was asked anything")
		r := validate(t, p)
		assert.Equal(t, stopped, r.Outcome)
		assert.Equal(t, stage, r.Stage, "which said no")
		assert.Len(t, other.smtp.Mails(), 1)
	})
}

// What git cannot say is no plain directory's silence.
func TestCheckout(t *testing.T) {
	d := inputsOf(t, "cart")
	damaged := filepath.Join(t.TempDir(), "damaged")
	require.NoError(t, os.CopyFS(damaged, os.DirFS(d.source())))
	require.NoError(t, os.Remove(filepath.Join(damaged, ".git", "HEAD")))
	plain := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.CopyFS(plain, os.DirFS(d.source())))
	require.NoError(t, os.RemoveAll(filepath.Join(plain, ".git")))
	for name, tt := range map[string]struct{ source, commit, why string }{
		"repository":                 {d.source(), "", ""},
		"of another commit":          {d.source(), "c0ffee", "the build is of c0ffee"},
		"damaged":                    {damaged, "", "git rev-parse"},
		"plain directory":            {plain, "", ""},
		"plain directory of a build": {plain, "c0ffee", "nothing says that the checkout is at c0ffee"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := assembleWith(t, func(c *config) { c.ci = ciEnv{System: "github", Commit: tt.commit} }, "-inputs", string(d), "-source", tt.source)
			err := p.checkout(t.Context())
			if tt.why == "" {
				require.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tt.why)
		})
	}
}

// A source with a URL is cloned with what the user has set up for that server.
func TestSource_userConfiguration(t *testing.T) {
	d := inputsOf(t, "cart")
	settings := filepath.Join(t.TempDir(), "gitconfig")
	write(t, settings, "[url \"file://"+filepath.ToSlash(d.source())+"\"]\n\tinsteadOf = https://git.invalid/shop\n")
	t.Setenv("GIT_CONFIG_GLOBAL", settings)
	p, _ := assemble(t, "-inputs", string(d), "-source", "https://git.invalid/shop")
	require.NoError(t, p.checkout(t.Context()))
	assert.Len(t, p.record.Commit, 40)
	assert.Equal(t, "shop", p.record.Source)
}

// In a git hook the environment names the hook's repository. It is neither looked at nor written to.
func TestGit_inHook(t *testing.T) {
	d := inputsOf(t, "cart")
	before, err := userGit(t.Context(), d.source(), "rev-parse", "HEAD")
	require.NoError(t, err)
	t.Setenv("GIT_DIR", filepath.Join(d.source(), ".git"))
	t.Setenv("GIT_INDEX_FILE", filepath.Join(d.source(), ".git", "index"))
	other, err := extractInputs(t.Context(), filepath.Join(t.TempDir(), "inputs"))
	require.NoError(t, err)
	assert.DirExists(t, filepath.Join(other.source(), ".git"))
	after, err := userGit(t.Context(), d.source(), "rev-parse", "HEAD")
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// A source that is a part of a repository has a history all the same, and one that is not all there is said to be.
func TestSource_history(t *testing.T) {
	d := inputsOf(t, "cart")
	parent := t.TempDir()
	whole, part := filepath.Join(parent, "whole"), filepath.Join("services", "shop")
	require.NoError(t, os.CopyFS(filepath.Join(whole, part), os.DirFS(d.source())))
	require.NoError(t, os.RemoveAll(filepath.Join(whole, part, ".git")))
	err := git(t.Context(), whole, "init", "-q")
	require.NoError(t, err)
	settings := filepath.Join(whole, part, "cart", "settings.go")
	write(t, settings, "package main\n\nconst token = \"ghp_"+"x7Kq2mVb9RtYw3ZpLs8NdFh4GjCa6UeQ1oTi\"\n")
	require.NoError(t, commitAll(t.Context(), whole, "settings"))
	require.NoError(t, os.Remove(settings))
	require.NoError(t, commitAll(t.Context(), whole, "no settings"))
	err = git(t.Context(), parent, "clone", "-q", "--depth", "1", "file://"+filepath.ToSlash(whole), "shallow")
	require.NoError(t, err)

	for _, tt := range []struct{ repository, detail string }{
		{"whole", "1 findings"},
		{"shallow", "0 findings; the repository is shallow: history before the clone's depth was not scanned"},
	} {
		p, said := assemble(t, "-inputs", string(d), "-source", filepath.Join(parent, tt.repository, part), "-stage", "source")
		withoutVulns(p)
		p.tests = scantest.New("go test")
		assert.ErrorIs(t, p.run(t.Context()), errStopped, said)
		assert.Equal(t, tt.detail, p.record.step("gitleaks").Detail)
	}
}

// A Vault that nobody asked is not what the credentials came from.
func TestSecrets_vaultUnasked(t *testing.T) {
	d := inputsOf(t, "cart")
	p, _ := assembleWith(t, func(*config) { t.Setenv("VAULT_TOKEN", "unused") }, "-inputs", string(d), "-vault", "http://127.0.0.1:1")
	require.NoError(t, p.fetchSecrets(t.Context()))
	assert.Equal(t, standIn, p.record.step("secrets").Executed)
	assert.Contains(t, p.record.step("secrets").Reason, "nothing but stand-ins")
}

// A tool that is not there is no verdict on what it would have looked at.
func TestGate_brokenTools(t *testing.T) {
	d := inputsOf(t, "cart")
	p, said := assemble(t, "-inputs", string(d), "-stage", "source")
	withoutVulns(p)
	t.Setenv("PATH", only(t, "git"))
	err := p.run(t.Context())
	require.ErrorIs(t, err, scan.ErrToolMissing, said)
	require.NotErrorIs(t, err, errStopped)
	assert.Equal(t, broken, validate(t, p).Outcome)
}

// What a part of the shop needs of the rest is not running.
func TestPlan_partOfTheShop(t *testing.T) {
	p, _ := assemble(t, "-service", "frontend,cart")
	assert.Equal(t, notRun, p.record.step("smoke").Executed)
	assert.Contains(t, p.record.step("smoke").Reason, "-service")
}

// Mail programs show one message of each ID: "deployed" must not be taken for the "broken" before it.
func TestMail_key(t *testing.T) {
	d := inputsOf(t, "cart")
	p, _ := assemble(t, "-inputs", string(d))
	keys := map[string]bool{}
	for range 2 {
		for _, stage := range []string{"image", "deploy"} {
			for _, o := range []outcome{broken, deployed} {
				p.record.Stage, p.record.Outcome = stage, o
				m, err := p.message(t.Context())
				require.NoError(t, err)
				keys[m.Key] = true
			}
		}
	}
	assert.Len(t, keys, 4)
}

func TestDryRun(t *testing.T) {
	d := inputsOf(t, "cart")
	p, said := assemble(t, "-inputs", string(d), "-dry-run")
	withoutVulns(p)
	require.NoError(t, p.run(t.Context()), said)
	nothingPushed(t, p)
	assert.Empty(t, p.standIns.smtp.Mails())
	r := validate(t, p)
	assert.Equal(t, checked, r.Outcome)
	require.Len(t, r.Change.Edits, 1)
	assert.True(t, r.Change.DryRun)
	assert.FileExists(t, p.path("images", "cart", "index.json"))
	var end strings.Builder
	require.NoError(t, p.summary(&end))
	assert.Contains(t, end.String(), "what the commit would be:\ncart.yaml:")
}

func TestPullRequest(t *testing.T) {
	d := inputsOf(t, "cart")
	p, said := assembleWith(t, func(c *config) { c.ci = ciEnv{System: "github", PullRequest: "12"} }, "-inputs", string(d), "-source", d.source())
	withoutVulns(p)
	require.NoError(t, p.run(t.Context()), said)
	nothingPushed(t, p)
	r := validate(t, p)
	assert.Equal(t, checked, r.Outcome)
	assert.Contains(t, oneMail(t, p), "pull request 12")
}

func TestRequire(t *testing.T) {
	d := inputsOf(t, "cart")
	write(t, d.policy(), `{"version": 1, "fail": [{"severity": "high"}], "require": {"push": "real", "gitleaks": "real"}}`)
	p, said := assemble(t, "-inputs", string(d))
	withoutVulns(p)
	err := p.run(t.Context())
	require.ErrorIs(t, err, errStopped, said)
	assert.ErrorContains(t, err, "push has to be real, and is stand-in")
	assert.NotContains(t, err.Error(), "gitleaks")
	nothingPushed(t, p)
}

// A policy that wants images scanned is met when there are some: not by the source gate, and not without Trivy.
func TestRequireTools_trivy(t *testing.T) {
	t.Setenv("PATH", only(t, "go", "git"))
	d := inputsOf(t, "cart")
	write(t, d.policy(), `{"version": 1, "fail": [{"severity": "high"}], "requireTools": ["trivy"]}`)
	p, said := assemble(t, "-inputs", string(d))
	withoutVulns(p)
	err := p.run(t.Context())
	require.ErrorIs(t, err, errStopped, said)
	assert.ErrorContains(t, err, "stopped by the image gate: requireTools: trivy did not run")
	nothingPushed(t, p)
}

// only is a PATH on which there is nothing else.
func only(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(dir, name)))
	}
	return dir
}

// interrupting is a scanner during which people lose patience.
type interrupting struct{ stop func() }

func (interrupting) Name() string { return "interrupting" }

func (i interrupting) Scan(ctx context.Context, _ scan.Target) (*scan.Result, error) {
	i.stop()
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestInterrupt(t *testing.T) {
	d := inputsOf(t, "cart")
	p, said := assemble(t, "-inputs", string(d))
	withoutVulns(p)
	ctx, cancel := context.WithCancel(t.Context())
	p.leaks = interrupting{cancel}
	require.ErrorIs(t, p.run(ctx), context.Canceled, said)
	r := validate(t, p)
	assert.Equal(t, cancelled, r.Outcome)
	assert.Contains(t, oneMail(t, p), "Boutique 7: cancelled")
	nothingPushed(t, p)
	p.close(context.WithoutCancel(ctx))
	assert.NoDirExists(t, p.work)
}

func TestBaseline(t *testing.T) {
	d := inputsOf(t, "cart")
	write(t, d.policy(), `{"version": 1, "fail": [{"severity": "high", "newOnly": true}]}`)
	write(t, filepath.Join(d.source(), "cart", "settings.go"), "package main\n\nconst token = \"ghp_"+"x7Kq2mVb9RtYw3ZpLs8NdFh4GjCa6UeQ1oTi\"\n")
	require.NoError(t, commitAll(t.Context(), d.source(), "settings"))
	p, said := assemble(t, "-inputs", string(d), "-stage", "source")
	withoutVulns(p)
	require.ErrorIs(t, p.run(t.Context()), errStopped, said)
	r := validate(t, p)
	assert.Equal(t, "1 findings", r.step("gitleaks").Detail, "in the history and in the files, and counted once")

	// In the same directory, where the baseline makes room for the new one.
	again, said := assemble(t, "-inputs", string(d), "-stage", "source", "-out", p.out, "-baseline", p.path(sarifFile))
	withoutVulns(again)
	require.NoError(t, again.run(t.Context()), said)
	assert.Equal(t, passed, validate(t, again).Outcome)
}

func recordIn(t *testing.T, dir string) (r record) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(read(t, filepath.Join(dir, recordFile))), &r))
	return r
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	write(t, path, read(t, path)+text)
}

func replace(t *testing.T, path, old, text string) {
	t.Helper()
	b := read(t, path)
	require.Contains(t, b, old)
	write(t, path, strings.Replace(b, old, text, 1))
}
