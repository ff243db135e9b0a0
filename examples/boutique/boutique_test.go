package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/examples/boutique/internal/progress"
	"github.com/waybill-dev/waybill/scan/scantest"
)

// assemble makes a run with the given flags, on the stand-ins, and what it prints.
func assemble(t *testing.T, args ...string) (*pipeline, *bytes.Buffer) {
	t.Helper()
	return assembleWith(t, nil, args...)
}

// assembleWith is assemble after a change to what the flags say.
func assembleWith(t *testing.T, change func(*config), args ...string) (*pipeline, *bytes.Buffer) {
	t.Helper()
	for _, name := range []string{"TF_BUILD", "BUILD_BUILDID", "GITHUB_ACTIONS", "VAULT_ADDR", "VAULT_TOKEN"} {
		t.Setenv(name, "")
	}
	c := &config{}
	require.NoError(t, c.flags(io.Discard).Parse(append([]string{"-out", filepath.Join(t.TempDir(), "out"), "-build-id", "7"}, args...)))
	require.NoError(t, c.check())
	if change != nil {
		change(c)
	}
	p, err := c.assemble(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { p.close(context.Background()) })
	said := &bytes.Buffer{}
	p.show = progress.New(said, false)
	return p, said
}

// withoutVulns leaves govulncheck out, whose engine takes its time, where it is not what the test is about.
func withoutVulns(p *pipeline) { p.vulns = scantest.New("govulncheck") }

// inputsOf writes the inputs of an ordinary run, to be edited by hand, with no other services than those named.
func inputsOf(t *testing.T, keep ...string) inputs {
	t.Helper()
	d, err := extractInputs(t.Context(), filepath.Join(t.TempDir(), "inputs"))
	require.NoError(t, err)
	for _, name := range eleven {
		if !slices.Contains(keep, name) {
			require.NoError(t, os.RemoveAll(filepath.Join(d.source(), name)))
			require.NoError(t, os.Remove(filepath.Join(d.deploy(), name+".yaml")))
		}
	}
	if len(keep) < len(eleven) {
		require.NoError(t, commitAll(t.Context(), d.source(), "fewer services"))
		// A few services do not cover what all have in common.
		write(t, d.policy(), strings.Replace(read(t, d.policy()), `"minPercent": 85`, `"minPercent": 5`, 1))
		write(t, d.qualityGate(), `[{"metric": "test_failures", "op": "GT", "error": 0}, {"metric": "coverage", "op": "LT", "error": 5}]`)
	}
	return d
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

// validate holds the waybill to its schema.
func validate(t *testing.T, p *pipeline) record {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(recordSchema))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("waybill.json", schema))
	compiled, err := compiler.Compile("waybill.json")
	require.NoError(t, err)
	text := read(t, p.path(recordFile))
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	require.NoError(t, compiled.Validate(doc), text)
	var r record
	require.NoError(t, json.Unmarshal([]byte(text), &r))
	return r
}

// oneMail returns the text of the only mail there is.
func oneMail(t *testing.T, p *pipeline) string {
	t.Helper()
	mails := p.standIns.smtp.Mails()
	require.Len(t, mails, 1)
	return mails[0].Subject() + "\n" + mails[0].Text()
}

// nothingPushed looks at the servers' side.
func nothingPushed(t *testing.T, p *pipeline) {
	t.Helper()
	for _, r := range p.standIns.registry.Requests() {
		assert.Contains(t, []string{http.MethodGet, http.MethodHead}, r.Method, "%s: nothing is pushed", r.Path)
	}
	log, err := p.standIns.deploy.Log("main")
	require.NoError(t, err)
	assert.Len(t, log, 1, "nothing is committed")
}

func TestBoutique_deploys(t *testing.T) {
	p, said := assemble(t)
	require.NoError(t, p.run(t.Context()), said)
	require.NoError(t, p.summary(said))

	r := validate(t, p)
	assert.Equal(t, deployed, r.Outcome)
	for _, s := range r.Steps {
		want := "ok"
		if s.Executed == notRun {
			want = ""
		}
		assert.Equal(t, want, s.Result, s.Name)
	}
	assert.Equal(t, actual, r.step("tests").Executed)
	assert.Equal(t, standIn, r.step("push").Executed)
	assert.Equal(t, notRun, r.step("rollback").Executed)

	log, err := p.standIns.deploy.Log("main")
	require.NoError(t, err)
	require.Len(t, log, 2, "one commit on top of the first")
	assert.Len(t, log[0].Changed, len(eleven))
	assert.Equal(t, log[0].Hash, r.Change.Revision)
	var live []string
	for _, res := range p.standIns.argocd.Live("boutique") {
		live = append(live, res.Images...)
	}
	require.Len(t, live, len(eleven))
	for _, i := range r.Images {
		assert.Contains(t, live, i.ref(), "what runs is what was built")
	}

	mail := oneMail(t, p)
	assert.Contains(t, mail, "Boutique 7: deployed")
	for _, name := range outputs {
		_, err := os.Stat(p.path(name))
		require.NoError(t, err, name)
	}
	page := read(t, p.path(htmlFile))
	for _, s := range r.Steps {
		for where, text := range map[string]string{"HTML": page, "mail": mail, "summary": said.String(), "markdown": read(t, p.path(summaryFile))} {
			assert.Contains(t, text, string(s.Executed), where)
			assert.Contains(t, text, s.Name, where+" names "+s.Name)
		}
	}
	noSecret(t, p, said.String())
}

// noSecret looks for every password in all that the run left behind.
func noSecret(t *testing.T, p *pipeline, said string) {
	t.Helper()
	texts := map[string]string{"output": said}
	for _, m := range p.standIns.smtp.Mails() {
		texts["mail"] += string(m.Data)
	}
	require.NoError(t, filepath.WalkDir(p.out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		texts[path] = read(t, path)
		return nil
	}))
	require.Greater(t, len(texts), len(outputs))
	for key, password := range p.standIns.passwords {
		for where, text := range texts {
			assert.NotContains(t, text, password, "%s in %s", key, where)
		}
	}
}
