package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// program builds the program once and returns how to run it.
func program(t *testing.T) func(stdin string, args ...string) (code int, out map[string]any, stderr string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "normalize")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	built, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, string(built))
	return func(stdin string, args ...string) (int, map[string]any, string) {
		cmd := exec.CommandContext(t.Context(), bin, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			require.NoError(t, err)
		}
		var out map[string]any
		if stdout.Len() > 0 {
			require.NoError(t, json.Unmarshal(stdout.Bytes(), &out), stdout.String())
			require.Equal(t, 1, bytes.Count(stdout.Bytes(), []byte("\n")), "one JSON object")
		}
		return cmd.ProcessState.ExitCode(), out, stderr.String()
	}
}

// file writes a file for a test and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

const (
	leaks = `[
{"RuleID":"acme-token","Description":"An Acme token","StartLine":7,"EndLine":7,"Match":"t = \"CANARY0123456789\"","Secret":"CANARY0123456789","File":"cfg/app.env","Message":"add CANARY0123456789","Fingerprint":"cfg/app.env:acme-token:7"}]`
	image = `{"SchemaVersion":2,"ArtifactName":"web:1","ArtifactType":"container_image","Results":[{"Target":"web:1 (alpine 3.20.1)","Class":"os-pkgs","Type":"alpine","Vulnerabilities":[
{"VulnerabilityID":"CVE-2099-0001","PkgName":"libx","InstalledVersion":"1.0-r0","FixedVersion":"1.1-r0","Severity":"HIGH"},
{"VulnerabilityID":"CVE-2099-0002","PkgName":"libz","InstalledVersion":"2.0-r3","Severity":"LOW"}]}]}`
	imageBefore = `{"SchemaVersion":2,"ArtifactName":"web:0","ArtifactType":"container_image","Results":[{"Target":"web:0 (alpine 3.20.0)","Class":"os-pkgs","Type":"alpine","Vulnerabilities":[
{"VulnerabilityID":"CVE-2099-0002","PkgName":"libz","InstalledVersion":"2.0-r3","Severity":"LOW"},
{"VulnerabilityID":"CVE-2099-0009","PkgName":"liby","InstalledVersion":"1.0-r0","Severity":"HIGH"}]}]}`
	tests = `{"Action":"run","Package":"shop/cart","Test":"TestAdd"}
{"Action":"pass","Package":"shop/cart","Test":"TestAdd","Elapsed":0.01}
{"Action":"pass","Package":"shop/cart","Elapsed":0.02}
`
	profile  = "mode: set\nshop/cart/cart.go:1.1,2.10 1 1\nshop/cart/cart.go:4.1,5.10 1 0\n"
	suppress = `{"version":1,"suppressions":[{"rule":"acme-token","path":"cfg/**","reason":"a token of the test system","expires":"2999-01-01"},{"rule":"nothing","reason":"not used","expires":"2999-01-01"}]}`
	vex      = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"a","timestamp":"2026-01-02T03:04:05Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2099-0001"},"products":[{"@id":"pkg:apk/alpine/libx"}],"status":"not_affected","justification":"vulnerable_code_not_present"}]}`
)

func TestNormalize(t *testing.T) {
	run := program(t)
	dir := t.TempDir()
	code, out, stderr := run("", "-o", dir, "-baseline", file(t, "before.json", imageBefore), "-suppress", file(t, "s.json", suppress),
		"-policy", file(t, "p.json", `{"version":1,"fail":[{"severity":"high"}]}`),
		file(t, "leaks.json", leaks), file(t, "image.json", image), file(t, "tests.json", tests), file(t, "cover.out", profile))
	assert.Equal(t, 1, code, stderr)
	assert.Contains(t, stderr, "unused suppression")
	assert.Equal(t, 2.0, out["findings"])
	assert.Equal(t, 1.0, out["suppressed"])
	assert.Equal(t, 1.0, out["absent"])
	assert.Equal(t, 1.0, out["new"])
	assert.Equal(t, 1.0, out["unchanged"])
	assert.Equal(t, 0.0, out["updated"])
	assert.Equal(t, map[string]any{"critical": 0.0, "high": 1.0, "medium": 0.0, "low": 1.0, "info": 0.0, "unknown": 0.0}, out["bySeverity"])
	assert.Equal(t, "fail", out["verdict"])
	assert.Len(t, out["reasons"], 1)
	assert.Equal(t, 1.0, out["tests"].(map[string]any)["passed"])
	assert.Equal(t, 50.0, out["coverage"].(map[string]any)["percent"])
	assert.Len(t, out["runs"], 2)

	for _, name := range []string{"merged.sarif", "report.html", "summary.md", "junit.xml", "coverage.xml", "findings.csv", "findings.jsonl", "gitlab.json", "CodeAnalysisLogs/gitleaks.sarif", "CodeAnalysisLogs/Trivy.sarif"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if assert.NoError(t, err) {
			assert.NotContains(t, string(data), "CANARY", name)
			assert.NotEmpty(t, data)
		}
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 9, "nothing else is left behind")

	// What was written is read again as it was.
	code, again, stderr := run("", filepath.Join(dir, "merged.sarif"))
	assert.Equal(t, 0, code, stderr)
	for _, name := range []string{"findings", "suppressed", "absent", "new", "unchanged", "bySeverity"} {
		assert.Equal(t, out[name], again[name], name)
	}
}

func TestNormalize_sameInputSameBytes(t *testing.T) {
	run := program(t)
	in := []string{file(t, "leaks.json", leaks), file(t, "image.json", image)}
	a, b := t.TempDir(), t.TempDir()
	run("", append([]string{"-o", a}, in...)...)
	run("", append([]string{"-o", b}, in...)...)
	for _, name := range []string{"merged.sarif", "report.html", "summary.md", "junit.xml", "findings.csv", "findings.jsonl", "gitlab.json", "CodeAnalysisLogs/Trivy.sarif"} {
		want, err := os.ReadFile(filepath.Join(a, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(b, name))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), name)
	}
}

func TestNormalize_exitCodes(t *testing.T) {
	run := program(t)
	good := file(t, "leaks.json", leaks)
	empty := file(t, "empty.json", "")
	clean := file(t, "clean.json", "[]")
	cut := file(t, "cut.json", leaks[:100])
	lax := file(t, "lax.json", `{"version":1,"fail":[{"severity":"critical"}]}`)
	tests := []struct {
		name  string
		stdin string
		args  []string
		code  int
		says  string // on stderr
	}{
		{"done", "", []string{good}, 0, ""},
		{"help", "", []string{"-h"}, 0, "usage"},
		{"standard input", leaks, []string{"-"}, 0, ""},
		{"policy met", "", []string{"-policy", lax, good}, 0, ""},
		{"clean by name", "", []string{"-format", "gitleaks", clean}, 0, ""},
		{"suppressed by OpenVEX", image, []string{"-suppress", file(t, "vex.json", vex), "-"}, 0, ""},
		{"dedupe", "", []string{"-dedupe", good, good}, 0, ""},

		{"a policy wants a tool that did not run", "", []string{"-policy", file(t, "p.json", `{"version":1,"requireTools":["trivy"]}`), good}, 1, ""},
		{"a scan that failed", "", []string{"-policy", lax, file(t, "s.sarif", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}`)}, 1, ""},
		{"a run without results", "", []string{"-policy", lax, file(t, "n.sarif", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}}}]}`)}, 1, ""},

		{"no file", "", nil, 2, "usage"},
		{"unknown flag", "", []string{"-x", good}, 2, "flag provided but not defined"},
		{"unknown format", "", []string{"-format", "gitleeks", good}, 2, "gitleeks"},
		{"policy that is none", "", []string{"-policy", good, good}, 2, "policy"},
		{"suppression without a reason", "", []string{"-suppress", file(t, "r.json", `{"version":1,"suppressions":[{"rule":"x","expires":"2999-01-01"}]}`), good}, 2, "reason"},

		{"file not there", "", []string{"nowhere.json"}, 3, "nowhere.json"},
		{"baseline not there", "", []string{"-baseline", "nowhere.json", good}, 3, "nowhere.json"},
		{"policy not there", "", []string{"-policy", "nowhere.json", good}, 3, "nowhere.json"},
		{"empty", "", []string{empty}, 3, "empty"},
		{"empty standard input", "", []string{"-"}, 3, "standard input: input is empty"},
		{"cut short", "", []string{cut}, 3, "truncated"},
		{"several", "", []string{cut, empty, good}, 3, "empty"},
		{"nobody knows whose", "", []string{clean}, 3, "gitleaks, hadolint, trivy"},
		{"other version of SARIF", "", []string{file(t, "old.sarif", `{"version":"2.0.0","runs":[]}`)}, 3, "2.0.0"},
		{"cannot write", "", []string{"-o", filepath.Join(good, "x"), good}, 3, "not a directory"},
	}
	if runtime.GOOS != "windows" {
		code, _, stderr := run(`{"version":"2.1.0","runs":[]}`, "/dev/stdin")
		assert.Zero(t, code, "SARIF from a pipe: %s", stderr)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out, stderr := run(tt.stdin, tt.args...)
			assert.Equal(t, tt.code, code, stderr)
			assert.Contains(t, stderr, tt.says)
			if tt.code >= 2 || tt.name == "help" {
				assert.Nil(t, out)
				return
			}
			if assert.NotNil(t, out) {
				sum := 0.0
				for _, n := range out["bySeverity"].(map[string]any) {
					sum += n.(float64)
				}
				assert.Equal(t, out["findings"], sum)
			}
			want := map[int]string{0: "none", 1: "fail"}[tt.code]
			if tt.name == "policy met" {
				want = "pass"
			}
			assert.Equal(t, want, out["verdict"])
		})
	}
}
