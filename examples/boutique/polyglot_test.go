package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var postOffice = []string{"counter", "customs", "inbox", "labels", "ledger", "quotes", "rounds", "scale", "sorter", "tracking", "website"}

// polyglot copies the repository of services in six languages.
func polyglot(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "post")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "polyglot"))))
	return dir
}

// polyglotPolicy is a policy that it meets.
func polyglotPolicy(t *testing.T) string {
	t.Helper()
	policy := filepath.Join(t.TempDir(), "policy.json")
	write(t, policy, `{"version": 1, "fail": [{"severity": "high"}], "requireTools": ["gitleaks"], "tests": {"min": 2}}`)
	return policy
}

// Eleven services in six languages get through the source stage. Tests are run here where they are Go's; those of
// all languages are taken from what earlier steps have reported.
func TestPolyglot_source(t *testing.T) {
	source, policy := polyglot(t), polyglotPolicy(t)
	stage := func(args ...string) (record, string) {
		t.Helper()
		p, said := assemble(t, append([]string{"-source", source, "-policy", policy, "-builder", "buildx", "-stage", "source"}, args...)...)
		withoutVulns(p)
		require.NoError(t, p.run(t.Context()), said)
		return validate(t, p), read(t, p.path(junitFile))
	}
	r, tests := stage()
	assert.Equal(t, passed, r.Outcome)
	assert.Equal(t, postOffice, r.Services)
	assert.Equal(t, actual, r.step("tests").Executed)
	for _, name := range []string{"TestCounter", "TestScale", "TestTracking"} {
		assert.Contains(t, tests, name)
	}

	write(t, filepath.Join(source, "src", "labels", "TEST-labels.xml"), `<testsuite name="labels" tests="1"><testcase classname="LabelTest" name="test_label"/></testsuite>`)
	write(t, filepath.Join(source, "src", "website", "TEST-website.xml"), `<testsuite name="website" tests="1"><testcase classname="website" name="the page has a title"/></testsuite>`)
	reports := []string{"-reports", "**/TEST-*.xml"}
	_, tests = stage(reports...)
	for _, name := range []string{"test_label", "the page has a title"} {
		assert.Contains(t, tests, name)
	}

	// Where there is no Go, nothing pretends that there is.
	for _, name := range []string{"counter", "scale", "tracking"} {
		require.NoError(t, os.RemoveAll(filepath.Join(source, "src", name)))
	}
	p, said := assemble(t, append([]string{"-source", source, "-policy", policy, "-builder", "buildx", "-stage", "source"}, reports...)...)
	require.NoError(t, p.run(t.Context()), said)
	r = validate(t, p)
	assert.Equal(t, notRun, r.step("govulncheck").Executed)
	assert.Equal(t, actual, r.step("tests").Executed, "by what ran them")
}

// Without a builder only Go programs can be built, and only by Dockerfiles that do nothing else.
func TestPolyglot_takesBuilder(t *testing.T) {
	source := polyglot(t)
	c := &config{}
	require.NoError(t, c.flags(io.Discard).Parse([]string{"-source", source, "-out", filepath.Join(t.TempDir(), "out")}))
	_, err := c.assemble(t.Context())
	require.ErrorIs(t, err, errUsage)
	assert.ErrorContains(t, err, "website: no Go program: -builder buildx or docker builds its image")
	assert.ErrorContains(t, err, "scale: its Dockerfile, line 1: FROM: it takes a builder to do that")
}
