package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endings says how a run with a spoiled input has to end.
var endings = map[string]struct {
	why        string                       // in the mail
	services   []string                     // that are enough to see it
	afterwards bool                         // it is found out when everything is pushed
	byHand     func(t *testing.T, d inputs) // the same, as anybody would do it
	slow       bool                         // needs the real govulncheck
}{
	"secret": {why: "github-pat", services: []string{"cart"}, byHand: func(t *testing.T, d inputs) {
		t.Helper()
		// Of the right shape, and nobody's: in two parts, so that this file holds none.
		write(t, filepath.Join(d.source(), "cart", "settings.go"), "package main\n\nconst token = \"ghp_"+"x7Kq2mVb9RtYw3ZpLs8NdFh4GjCa6UeQ1oTi\"\n")
		require.NoError(t, commitAll(t.Context(), d.source(), "settings"))
		require.NoError(t, git(t.Context(), d.source(), "rm", "-q", "cart/settings.go"))
		require.NoError(t, commitAll(t.Context(), d.source(), "no settings"))
	}},
	"vulnerability": {why: "GO-2099-1101", services: []string{"cart"}, slow: true, byHand: func(t *testing.T, d inputs) {
		t.Helper()
		for _, name := range []string{"ID/GO-2099-1101.json", "index/modules.json"} {
			path := filepath.Join(d.vulndb(), filepath.FromSlash(name))
			write(t, path, strings.ReplaceAll(read(t, path), "1.20.0", "1.80.0"))
		}
	}},
	"test": {why: "tests: ", services: []string{"payment", "shipping"}, byHand: func(t *testing.T, d inputs) {
		t.Helper()
		write(t, filepath.Join(d.source(), "payment", "late_test.go"), "package main\n\nimport \"testing\"\n\nfunc TestLate(t *testing.T) { t.Fatal(\"too late\") }\n")
	}},
	"coverage": {why: "coverage: ", services: eleven, byHand: func(t *testing.T, d inputs) {
		t.Helper()
		tests, err := filepath.Glob(filepath.Join(d.source(), "frontend", "*_test.go"))
		require.NoError(t, err)
		require.NotEmpty(t, tests)
		for _, path := range tests {
			require.NoError(t, os.Remove(path))
		}
	}},
	"quality-gate": {why: "quality-gate:", services: []string{"cart"}, byHand: func(t *testing.T, d inputs) {
		t.Helper()
		write(t, d.qualityGate(), `[{"metric": "tests", "op": "LT", "error": 100000}]`)
	}},
	"deploy": {why: "payment", services: []string{"payment"}, afterwards: true, byHand: func(t *testing.T, d inputs) {
		t.Helper()
		path := filepath.Join(d.source(), "payment", "main.go")
		write(t, path, strings.Replace(read(t, path), `service.Main("payment"`, "\n\tpanic(\"no configuration\")\n\tservice.Main(\"payment\"", 1))
	}},
}

// A secret that is in no commit is in what is built all the same.
func TestBreak_uncommitted(t *testing.T) {
	d := inputsOf(t, "cart")
	path := filepath.Join(d.source(), "cart", "main.go")
	write(t, path, read(t, path)+"\nconst token = \"ghp_"+"x7Kq2mVb9RtYw3ZpLs8NdFh4GjCa6UeQ1oTi\"\n")
	p, said := assemble(t, "-inputs", string(d))
	withoutVulns(p)
	endsBadly(t, p, said.String, "github-pat", false)
}

func TestBreaks(t *testing.T) {
	require.Len(t, endings, len(breaks))
	for name, want := range endings {
		for how, spoil := range map[string]func(t *testing.T, d inputs){
			"-break":  func(t *testing.T, d inputs) { t.Helper(); require.NoError(t, breaks[name](t.Context(), d)) },
			"by hand": want.byHand,
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				d := inputsOf(t, want.services...)
				spoil(t, d)
				p, said := assemble(t, "-inputs", string(d))
				if !want.slow {
					withoutVulns(p)
				}
				endsBadly(t, p, said.String, want.why, want.afterwards)
			})
		}
	}
}

// The flag spoils what is extracted for the run, and nothing else.
func TestBreak_flag(t *testing.T) {
	p, _ := assemble(t, "-break", "secret")
	log, err := userGit(t.Context(), p.source, "log", "--format=%s")
	require.NoError(t, err)
	assert.Equal(t, "cart: without the token\ncart: a token to try it out\nthe shop", log)
	assert.True(t, strings.HasPrefix(p.source, p.work))
}

func endsBadly(t *testing.T, p *pipeline, said func() string, why string, afterwards bool) {
	t.Helper()
	err := p.run(t.Context())
	require.ErrorIs(t, err, errStopped, said())
	assert.ErrorContains(t, err, why)
	r := validate(t, p)
	assert.Equal(t, stopped, r.Outcome)
	mail := oneMail(t, p)
	assert.Contains(t, mail, "Boutique 7: stopped")
	assert.Contains(t, mail, why, "the mail says why")
	if cause := map[string]string{"tests: ": "failed  ", "github-pat": "cart/"}[why]; cause != "" {
		assert.Contains(t, mail, cause, "and where it is found")
	}
	noSecret(t, p, said())
	if !afterwards {
		nothingPushed(t, p)
		assert.Contains(t, mail, "stage: source", "the mail says where")
		assert.Equal(t, "stopped", r.step("source-gate").Result)
		assert.Equal(t, notRun, r.step("build").Executed)
		return
	}
	assert.Contains(t, mail, "stage: deploy")
	assert.Contains(t, mail, "rolled back by commit")
	log, err := p.standIns.deploy.Log("main")
	require.NoError(t, err)
	require.Len(t, log, 3, "a commit, and one that takes it back")
	assert.Equal(t, log[1].Hash, r.Change.Revision)
	assert.Equal(t, log[0].Hash, r.Rollback.Revision)
	assert.Equal(t, log[2].Tree, log[0].Tree, "byte for byte as before")
	for _, res := range p.standIns.argocd.Live(p.app) {
		for _, image := range res.Images {
			assert.True(t, strings.HasSuffix(image, ":0"), image)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
