package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The pipelines for Azure DevOps and GitHub call the program as it is: every flag is one, every stage is there,
// once and in order, and what a stage hands over is what the next one takes.
func TestPipelines(t *testing.T) {
	for _, tt := range []struct {
		file      string
		variables func(doc map[string]any) string
		publishes []string
	}{
		{
			"azure-pipelines.yml", func(doc map[string]any) string { return doc["variables"].(map[string]any)["servers"].(string) },
			[]string{"PublishTestResults@2", "PublishCodeCoverageResults@2", "CodeAnalysisLogs", "out-source", "out-image", "out-gitops", "out-deploy"},
		},
		{
			"github-workflow.yml", func(doc map[string]any) string { return doc["env"].(map[string]any)["SERVERS"].(string) },
			[]string{"upload-sarif", "out-source", "out-image", "out-gitops", "out-deploy"},
		},
	} {
		t.Run(tt.file, func(t *testing.T) {
			text := read(t, tt.file)
			var doc map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(text), &doc))
			servers := tt.variables(doc)
			var calls []string
			scripts(doc, func(script string) {
				if strings.Contains(script, "-stage") {
					calls = append(calls, script)
				}
			})
			var order []string
			for _, call := range calls {
				c := &config{}
				args := arguments(strings.NewReplacer(
					"$(servers)", servers, "$SERVERS", servers, "$(SHOP_URL)", "https://shop.example.com", "$SHOP_URL", "https://shop.example.com",
				).Replace(call))
				require.NoError(t, c.flags(io.Discard).Parse(args[1:]), call)
				require.NoError(t, c.check(), call)
				order = append(order, c.stage)
			}
			assert.Equal(t, stages, order)
			for _, name := range tt.publishes {
				assert.Contains(t, text, name)
			}
			for _, stage := range stages[:3] {
				assert.Equal(t, 2, len(regexp.MustCompile(`(artifact|name): out-`+stage+`\b`).FindAllString(text, -1))+
					strings.Count(text, "# a deployment job downloads artifacts by itself")*strings.Count(stage, "gitops"), "out-%s is handed over", stage)
			}
		})
	}
}

// scripts finds the scripts of a pipeline, whatever they are below, in the order of the file.
func scripts(v any, found func(string)) {
	switch v := v.(type) {
	case []any:
		for _, child := range v {
			scripts(child, found)
		}
	case map[string]any:
		for _, key := range []string{"script", "run"} {
			if s, ok := v[key].(string); ok {
				found(s)
			}
		}
		// Jobs of a workflow are a map; its stages are ours, in their order.
		for _, stage := range stages {
			if child, ok := v[stage]; ok {
				scripts(child, found)
			}
		}
		for _, key := range []string{"stages", "jobs", "steps", "strategy", "runOnce"} {
			if child, ok := v[key]; ok {
				scripts(child, found)
			}
		}
	}
}

// arguments splits a command line as a shell does; variables stay as they are.
func arguments(line string) []string {
	var args []string
	for _, word := range regexp.MustCompile(`"[^"]*"|(?:\$\{\{.*?\}\}|\S)+`).FindAllString(line, -1) {
		args = append(args, strings.Trim(word, `"`))
	}
	return args
}

func TestCIFromEnv(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		want ciEnv
	}{
		"nothing": {map[string]string{}, ciEnv{}},
		"Azure DevOps": {map[string]string{
			"TF_BUILD": "True", "BUILD_BUILDID": "1207", "BUILD_SOURCEVERSION": "c0ffee", "BUILD_SOURCEBRANCH": "refs/heads/main", "AGENT_TEMPDIRECTORY": "/agent/temp",
			"SYSTEM_COLLECTIONURI": "https://dev.azure.com/shop/", "SYSTEM_TEAMPROJECTID": "p1",
		}, ciEnv{System: "azure-devops", Build: "1207", Commit: "c0ffee", Branch: "main", TempDir: "/agent/temp", URL: "https://dev.azure.com/shop/p1/_build/results?buildId=1207"}},
		"Azure DevOps, pull request": {map[string]string{
			"TF_BUILD": "True", "BUILD_BUILDID": "1208", "BUILD_SOURCEVERSION": "c0ffee", "BUILD_SOURCEBRANCH": "refs/pull/12/merge",
			"SYSTEM_PULLREQUEST_PULLREQUESTID": "12", "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/fix", "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main",
		}, ciEnv{System: "azure-devops", Build: "1208", Commit: "c0ffee", Branch: "refs/pull/12/merge", PullRequest: "12", PullRequestBranch: "fix", PullRequestTarget: "main"}},
		"GitHub": {map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "99", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_SHA": "c0ffee", "GITHUB_REF": "refs/heads/main", "RUNNER_TEMP": "/tmp/r",
			"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_STEP_SUMMARY": "/tmp/s",
		}, ciEnv{System: "github", Build: "99.2", Commit: "c0ffee", Branch: "main", TempDir: "/tmp/r", URL: "https://github.com/o/r/actions/runs/99", Summary: "/tmp/s"}},
		"GitHub, pull request": {map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "99", "GITHUB_SHA": "c0ffee", "GITHUB_REF": "refs/pull/12/merge", "GITHUB_HEAD_REF": "fix", "GITHUB_BASE_REF": "main",
		}, ciEnv{System: "github", Build: "99", Commit: "c0ffee", PullRequest: "12", PullRequestBranch: "fix", PullRequestTarget: "main"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kv := range os.Environ() {
				key, _, _ := strings.Cut(kv, "=")
				for _, prefix := range []string{"TF_", "BUILD_", "SYSTEM_", "AGENT_", "GITHUB_", "RUNNER_"} {
					if strings.HasPrefix(key, prefix) {
						t.Setenv(key, "")
					}
				}
			}
			for key, value := range tt.env {
				t.Setenv(key, value)
			}
			assert.Equal(t, tt.want, ciFromEnv())
		})
	}
}

func TestRun_usage(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "")
	empty, full := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "thesis.txt"), nil, 0o600))
	work := func(args ...string) []string { return append(args, "-out", filepath.Join(t.TempDir(), "out")) }
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"-nonsense"}, "nonsense"},
		{[]string{"argument"}, "no arguments"},
		{[]string{"-stage", "test"}, "none of source, image"},
		{[]string{"-break", "everything"}, "none of coverage, deploy"},
		{[]string{"-break", "test", "-source", "."}, "yourself"},
		{[]string{"-builder", "kaniko"}, "none of go, buildx"},
		{[]string{"-registry", "127.0.0.1:1"}, "-vault is missing"},
		{[]string{"-vault", "http://127.0.0.1:1", "-git", "http://127.0.0.1:1/x"}, "-git and -argocd go together"},
		{[]string{"-stage", "image"}, "-stage image needs -registry"},
		{[]string{"-stage", "gitops"}, "-stage gitops needs -registry, -git and -argocd"},
		{[]string{"-stage", "deploy", "-dry-run"}, "nothing to do"},
		{[]string{"-extract", empty}, "is there already"},
		{[]string{"-out", full}, "holds other things"},
		{work("-source", empty), "no directory with a Dockerfile"},
		{work("-source", filepath.Join(empty, "nowhere")), "is no directory"},
		{work("-service", "nobody"), "-service nobody is no directory"},
		{work("-vault", "http://127.0.0.1:1"), "set VAULT_TOKEN"},
		{work("-shop", "shop.example.com"), "-shop shop.example.com is no URL"},
		{work("-timeout", "-1s"), "-timeout -1s"},
		{work("-build-id", "a:1"), "-build-id a:1"},
		{work("-build-id", "latest"), "-build-id latest"},
		{work("-prefix", "Boutique"), "Boutique/ad is no name"},
		{work("-baseline", filepath.Join(empty, "nowhere")), "nowhere"},
		{work("-policy", filepath.Join(full, "thesis.txt")), "thesis.txt"},
		{[]string{"-vault", "http://127.0.0.1:1", "-registry", "127.0.0.1:1", "-stage", "image", "-out", empty}, "has no waybill.json"},
	} {
		var stderr strings.Builder
		assert.Equal(t, 2, run(t.Context(), tt.args, io.Discard, &stderr), "%v", tt.args)
		assert.Contains(t, stderr.String(), tt.says, "%v", tt.args)
	}
	var help strings.Builder
	assert.Equal(t, 0, run(t.Context(), []string{"-h"}, io.Discard, &help))
	for _, name := range []string{"stage", "source", "service", "build-id", "builder", "registry", "git", "argocd", "vault", "sonar", "mend", "smtp", "policy", "baseline", "out", "dry-run", "break", "extract"} {
		assert.Regexp(t, `\n  -`+name+`[ \n]`, help.String())
	}
}

func TestReadPolicy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	for text, says := range map[string]string{
		`{"version": 1, "fail": [{"severity": "high"}], "require": {"trivy": "real"}}`:     "",
		`{"version": 1, "require": {"trivy": "real"}}`:                                     "policy", // asks nothing of the report
		`{"version": 1, "fail": [{"severity": "high"}], "require": {"trivy": "stand-in"}}`: `want a step and "real"`,
		`{"version": 1, "fail": [{"severity": "high"}], "require": {"trivvy": "real"}}`:    `want a step and "real"`,
		`{"version": 1, "fail": [{"severity": "high"}], "reqiure": {"trivy": "real"}}`:     "reqiure",
		`{`: "JSON",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		p, err := readPolicy(path)
		if says == "" {
			require.NoError(t, err)
			assert.Equal(t, map[string]executed{"trivy": actual}, p.Require)
			continue
		}
		require.ErrorIs(t, err, errUsage, text)
		assert.ErrorContains(t, err, says, text)
	}
}
