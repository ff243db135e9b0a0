//go:build integration

package gitleaks_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/report"
	format "github.com/waybill-dev/waybill/report/format/gitleaks"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/gitleaks"
)

// command runs the gitleaks command inside a directory and returns its report, and the path of its JSON file.
func command(t *testing.T, dir string, in []byte, args ...string) (*report.Report, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.Command(testbed.Require(t, testbed.Gitleaks).Path, append(args, "--exit-code", "42", "--no-banner", "--report-path", file)...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		require.Equal(t, 42, cmd.ProcessState.ExitCode(), "%s", out)
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	r, err := format.Read(t.Context(), bytes.NewReader(b), nil)
	require.NoError(t, err)
	return r, file
}

// lines writes findings so that two lists can be compared whatever their order.
func lines(r *report.Report) []string {
	out := make([]string, len(r.Findings))
	for i, f := range r.Findings {
		out[i] = fmt.Sprintf("%s %s %+v %q %q %v", f.Rule, f.Fingerprints["gitleaks"], f.Location, f.Title, f.Message, f.Tags)
	}
	slices.Sort(out)
	return out
}

// history is a repository with something of everything.
func history(t *testing.T) repo {
	t.Helper()
	r := newRepo(t)
	for i := range 30 {
		r.write(fmt.Sprintf("dir %d/ünï %d.env", i%3, i), strings.Repeat("line\n", i)+"token = "+githubToken[:30]+fmt.Sprintf("%010d", i*7919)+"\n")
		r.write("once.txt", "v: "+b64(fmt.Sprintf("token = %s%010d", githubToken[:30], i*104729))+"\n")
		r.write("twice.txt", "v: "+b64(b64(fmt.Sprintf("key %s%02d ", awsKey[:18], i%7+22)))+"\n")
		r.write("allowed.env", awsKey+" # gitleaks:allow "+fmt.Sprint(i)+"\n")
		r.write("crlf.env", "a\r\nkey "+awsKey+"\r\n"+fmt.Sprint(i)+"\r\n")
		r.write("nolf.env", fmt.Sprint(i)+"\nkey "+awsKey)
		r.write("binary.bin", "\x00\x01"+awsKey+fmt.Sprint(i))
		r.write("archive.zip", "PK\x03\x04"+awsKey+fmt.Sprint(i))
		r.write("key.pem", "-----BEGIN RSA PRIVATE KEY-----\n"+strings.Repeat(b64(fmt.Sprint(i, githubToken))+"\n", 12)+"-----END RSA PRIVATE KEY-----\n")
		r.write("node_modules/x.js", "token = "+githubToken+fmt.Sprint(i)+"\n")
		r.write("curl.sh", fmt.Sprintf("curl -H 'Authorization: Bearer %s%d' https://example.com\ncurl -u 'user:pa55w0rd-%d' https://example.com\n", b64(githubToken)[:24], i, i))
		r.write("conf.yaml", fmt.Sprintf("api_key: \"%s\"\nsecret: %s\n", b64(fmt.Sprint(i, awsKey, i))[:28], b64(fmt.Sprint(awsKey, i))[:28]))
		if i == 10 {
			r.git("mv", "-k", "crlf.env", "renamed.env")
		}
		if i == 20 {
			r.git("rm", "-q", "-f", "--ignore-unmatch", "renamed.env")
			r.git("checkout", "-q", "-b", "side")
			r.write("side.env", "key "+awsKey+"\n").commit("side: " + awsKey)
			r.git("checkout", "-q", "main")
			r.write("main.env", "key "+awsKey+"\n").commit("main")
			r.git("merge", "-q", "--no-edit", "side")
		}
		r.commit(fmt.Sprintf("commit %d\n\nbody with diff --git a/x b/x\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n", i))
	}
	return r
}

func TestIntegration_sameFindings(t *testing.T) {
	r := history(t)
	first := r.git("rev-list", "--max-parents=0", "HEAD")
	for name, config := range map[string]string{
		"built-in rules": "",
		"extended":       "[extend]\nuseDefault = true\ndisabledRules = ['generic-api-key']\n[[rules]]\nid = 'line'\nregex = '''line'''\nkeywords = ['line']\ntags = ['noise']\n[[rules]]\nid = 'github-pat'\ntags = ['mine']\n[[rules.allowlists]]\npaths = ['''^dir 1/''']\n[[allowlists]]\ncommits = ['" + first + "']\n",
		"own":            "[[rules]]\nid = 'pem'\npath = '''\\.pem$'''\n[[rules]]\nid = 'curl'\nregex = '''curl (-u '([^']+)')?'''\nsecretGroup = 2\n[allowlist]\nstopwords = ['pa55w0rd-7']\n",
		"by path":        "[extend]\npath = 'base.toml'\n",
	} {
		t.Run(name, func(t *testing.T) {
			if config != "" {
				r.write(".gitleaks.toml", config)
				r.write("base.toml", "[extend]\nuseDefault = true\n[[rules]]\nid = 'curl'\nregex = '''curl'''\n[[allowlists]]\ntargetRules = ['github-pat']\nregexes = ['.']\n")
			}
			defer os.Remove(filepath.Join(r.dir, ".gitleaks.toml"))
			defer os.Remove(filepath.Join(r.dir, "base.toml"))
			t.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
			s := scanner(t, nil)
			for _, tc := range []struct {
				what   string
				args   []string
				target scan.Target
			}{
				{"history", []string{"git", "."}, git(r.dir)},
				{"range", []string{"git", "--log-opts", first + "..HEAD~5", "."}, scan.Target{Kind: scan.Git, Path: r.dir, Range: first + "..HEAD~5"}},
				{"directory", []string{"dir", "."}, dir(r.dir)},
			} {
				want, _ := command(t, r.dir, nil, tc.args...)
				got, err := s.Scan(t.Context(), tc.target)
				require.NoError(t, err)
				require.NotEmpty(t, want.Findings)
				assert.Equal(t, lines(want), lines(got.Report), tc.what)
				t.Logf("%s: %d findings", tc.what, len(want.Findings))
			}
		})
	}
	t.Run("staged", func(t *testing.T) {
		r.write("staged a.env", "one\nkey "+awsKey+"\n").write("once.txt", "v: "+b64("token = "+githubToken)+"\n").git("add", "-A")
		r.write("not staged.env", "key "+awsKey+"\n")
		want, _ := command(t, r.dir, nil, "git", "--staged", ".")
		got, err := scanner(t, nil).Scan(t.Context(), staged(r.dir))
		require.NoError(t, err)
		require.Len(t, want.Findings, 2)
		assert.Equal(t, lines(want), lines(got.Report))
	})
	t.Run("stdin", func(t *testing.T) {
		in := []byte("one\ntoken = " + githubToken + "\n" + strings.Repeat("filler line\n", 30_000) + "key " + awsKey + "\n")
		want, _ := command(t, t.TempDir(), in, "stdin")
		got, err := scanner(t, nil).ScanReader(t.Context(), "", bytes.NewReader(in))
		require.NoError(t, err)
		require.Len(t, want.Findings, 2)
		assert.Equal(t, lines(want), lines(got.Report))
	})
	t.Run("baseline and ignore file", func(t *testing.T) {
		all, baseline := command(t, r.dir, nil, "git", ".")
		r.write("late.env", "key "+awsKey+"\n").commit("late")
		want, _ := command(t, r.dir, nil, "git", "--baseline-path", baseline, ".")
		require.NotEmpty(t, want.Findings)
		require.Less(t, len(want.Findings), len(all.Findings))
		got, err := scanner(t, &gitleaks.Options{Baseline: baseline}).Scan(t.Context(), git(r.dir))
		require.NoError(t, err)
		assert.Equal(t, lines(want), lines(got.Report))

		var ignore strings.Builder
		for i, f := range all.Findings {
			if i%2 == 0 {
				fmt.Fprintln(&ignore, f.Fingerprints["gitleaks"])
			}
		}
		r.write(".gitleaksignore", ignore.String())
		want, _ = command(t, r.dir, nil, "git", ".")
		got, err = scanner(t, nil).Scan(t.Context(), git(r.dir))
		require.NoError(t, err)
		assert.Equal(t, lines(want), lines(got.Report))
	})
}
