package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newPipeline starts the embedded servers and a pipeline over them, on a copy of the source. said collects what
// it prints.
func newPipeline(t *testing.T) (p *pipeline, f *fakes, said *strings.Builder) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "source")
	require.NoError(t, extractSource(source))
	services, err := mains(source)
	require.NoError(t, err)

	at := servers{secret: "secret/shop", app: "shop", from: "ci@example.com", to: "shop-team@example.com"}
	f, err = startFakes(&at)
	require.NoError(t, err)
	t.Cleanup(f.close)
	c, err := at.connect()
	require.NoError(t, err)
	t.Cleanup(func() { c.close(t.Context()) })

	said = &strings.Builder{}
	return &pipeline{
		clients: c, at: at, source: source, services: services, build: "7", out: t.TempDir(),
		say: func(step, format string, args ...any) { fmt.Fprintf(said, step+" "+format+"\n", args...) },
	}, f, said
}

func TestPipeline_deploys(t *testing.T) {
	p, f, said := newPipeline(t)
	require.NoError(t, p.run(t.Context()), said)

	log, err := f.deploy.Log("main")
	require.NoError(t, err)
	require.Len(t, log, 2, "one commit on top of the first")
	assert.Equal(t, []string{"clock.yaml", "greeter.yaml"}, log[0].Changed)

	var images []string
	for _, r := range f.argocd.Live("shop") {
		images = append(images, r.Images...)
	}
	require.Len(t, images, 2)
	for _, image := range images {
		assert.Contains(t, image, ":7@sha256:", "what runs is pinned to what was pushed")
	}

	mails := f.smtp.Mails()
	require.Len(t, mails, 1)
	assert.Contains(t, string(mails[0].Data), "Shop 7 is deployed")
	assert.FileExists(t, filepath.Join(p.out, "report.html"))
}

func TestPipeline_stopsBeforeThePush(t *testing.T) {
	tests := []struct {
		name string
		edit func(t *testing.T, source string)
		why  string
	}{
		{"secret", func(t *testing.T, source string) {
			t.Helper()
			// Of the right shape, and nobody's: in two parts, so that this file holds none.
			token := "ghp" + "_" + "x7Kq2mVb9RtYw3ZpLs8NdFh4GjCa6UeQ1oTi"
			appendTo(t, filepath.Join(source, "greeter", "config.toml"), "token = \""+token+"\"\n")
		}, "gitleaks"},
		{"failing test", func(t *testing.T, source string) {
			t.Helper()
			appendTo(t, filepath.Join(source, "clock", "broken_test.go"), "package main\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { t.Error(\"broken\") }\n")
		}, "test"},
		{"no tests", func(t *testing.T, source string) {
			t.Helper()
			require.NoError(t, os.Remove(filepath.Join(source, "greeter", "main_test.go")))
			require.NoError(t, os.Remove(filepath.Join(source, "clock", "main_test.go")))
		}, ""},
		{"does not build", func(t *testing.T, source string) {
			t.Helper()
			appendTo(t, filepath.Join(source, "clock", "main.go"), "syntax error\n")
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, f, said := newPipeline(t)
			tt.edit(t, p.source)
			stopped := p.run(t.Context())
			require.ErrorIs(t, stopped, errStopped, said)
			assert.ErrorContains(t, stopped, tt.why)

			for _, r := range f.registry.Requests() {
				assert.Contains(t, []string{http.MethodGet, http.MethodHead}, r.Method, "%s: nothing is pushed", r.Path)
			}
			log, err := f.deploy.Log("main")
			require.NoError(t, err)
			assert.Len(t, log, 1, "nothing is committed")
			mails := f.smtp.Mails()
			require.Len(t, mails, 1)
			assert.Contains(t, string(mails[0].Data), "Shop 7 is not deployed")
			assert.NotContains(t, string(mails[0].Data)+stopped.Error()+said.String(), "x7Kq2mVb9RtYw3ZpLs8NdFh4GjCa6UeQ1oTi")
		})
	}
}

func TestTell_aFailureIsNotTheSuccess(t *testing.T) {
	p, f, _ := newPipeline(t)
	require.NoError(t, p.tell(t.Context(), errStopped))
	require.NoError(t, p.tell(t.Context(), nil))
	mails := f.smtp.Mails()
	require.Len(t, mails, 2)
	assert.NotEqual(t, mails[0].MessageID(), mails[1].MessageID())
}

func TestRun_usage(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"},
		{"argument"},
		{"-registry", "127.0.0.1:1"}, // one real server alone
		{"-source", t.TempDir()},     // no services in it
		{"-extract", t.TempDir()},    // there already
		{"-build", "latest"},         // neither newer nor older than another
	} {
		assert.Equal(t, 2, run(t.Context(), args), "%v", args)
	}
	assert.Equal(t, 0, run(t.Context(), []string{"-h"}))
}

func TestMains_brackets(t *testing.T) {
	source := filepath.Join(t.TempDir(), "shop [old]")
	require.NoError(t, extractSource(source))
	services, err := mains(source)
	require.NoError(t, err)
	assert.Equal(t, []string{"clock", "greeter"}, services)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString(text)
	require.NoError(t, err)
}
