//go:build integration

package export_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/export"
	"github.com/waybill-dev/waybill/secrets/secretstest"
)

// values to send around; the canaries and what parsers stumble over.
func values() []string {
	return append(secretstest.Canaries(),
		"", " ", "plain", "with space ", " leading", "it's", `say "hi"`, "two\nlines", "trailing\n", "\n\nleading", "#hash", "a #b", "$HOME", "${HOME}", "$(id)", "`id`",
		`back\slash`, `\n`, `\'`, `\"`, `it's "both"`, "it's $HOME", "tab\there", "cr\r", "crlf\r\nx", "a=b", "export X=1", "!history", "*", "~", "null", "true", "0123", "- a", "{a: b}", "a: b",
		"%0A", "%AZP25", "%25", ";]", "::add-mask::x", "EOF", "é", "\u2028", "🔑")
}

func pipe(t *testing.T, doc string, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(doc)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", doc, stderr.String())
	return out
}

func asMap(t *testing.T, b []byte) map[string]string {
	t.Helper()
	var m map[string]string
	require.NoError(t, json.Unmarshal(b, &m), "%s", b)
	return m
}

func TestDotenv_roundTrip(t *testing.T) {
	check := testbed.Require(t, testbed.FormatCheck).Path
	node := testbed.Debian(t, "nodejs", "node")
	python := "/usr/bin/python3"
	if _, err := os.Stat("/usr/lib/python3/dist-packages/dotenv/__init__.py"); err != nil {
		python = "the module dotenv" // which is no program, so it is reported missing
	}
	testbed.Debian(t, "python3-dotenv", python)
	readers := map[string]func(t *testing.T, doc string) map[string]string{
		"shell": func(t *testing.T, doc string) map[string]string { t.Helper(); return shell(t, doc) },
		"node": func(t *testing.T, doc string) map[string]string {
			t.Helper()
			return asMap(t, pipe(t, doc, node, "-e", `console.log(JSON.stringify(require("util").parseEnv(require("fs").readFileSync(0,"utf8"))))`))
		},
		"python": func(t *testing.T, doc string) map[string]string {
			t.Helper()
			return asMap(t, pipe(t, doc, "/usr/bin/python3", "-c", "import sys,io,json,dotenv; print(json.dumps(dotenv.dotenv_values(stream=io.StringIO(sys.stdin.read(), newline=''))))"))
		},
		"godotenv": func(t *testing.T, doc string) map[string]string {
			t.Helper()
			return asMap(t, pipe(t, doc, check, "godotenv"))
		},
		"compose": func(t *testing.T, doc string) map[string]string {
			t.Helper()
			return asMap(t, pipe(t, doc, check, "compose"))
		},
	}
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			sent, refused := 0, 0
			for _, v := range values() {
				var b bytes.Buffer
				if err := export.Dotenv(&b, items("A", v, "B", "after"), nil); err != nil {
					require.ErrorIs(t, err, secrets.ErrInvalid)
					refused++
					continue
				}
				got := read(t, b.String())
				assert.Equal(t, v, got["A"], "%q", b.String())
				assert.Equal(t, "after", got["B"], "%q", b.String())
				sent++
			}
			t.Logf("portable dotenv through %s: %d values equal, %d refused", name, sent, refused)
			assert.Greater(t, sent, 20)
		})
	}
	t.Run("every value in the shell dialect", func(t *testing.T) {
		for _, v := range values() {
			var b bytes.Buffer
			require.NoError(t, export.Dotenv(&b, items("A", v, "B", "after"), &export.DotenvOptions{Dialect: export.Shell}))
			got := shell(t, b.String())
			assert.Equal(t, v, got["A"])
			assert.Equal(t, "after", got["B"])
		}
	})
}

// shell sources the document in a POSIX shell.
func shell(t *testing.T, doc string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "env")
	require.NoError(t, os.WriteFile(file, []byte(doc), 0o600))
	out := pipe(t, "", "/bin/sh", "-c", `set -a; . "$1"; printf '%s\0%s\0' "$A" "$B"`, "sh", file)
	parts := strings.Split(string(out), "\x00")
	require.Len(t, parts, 3)
	return map[string]string{"A": parts[0], "B": parts[1]}
}

func TestEnviron_roundTrip(t *testing.T) {
	for _, v := range values() {
		env, err := export.Environ(items("A", v))
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `printf '%s\0' "$A"`)
		cmd.Env = env
		out, err := cmd.Output()
		require.NoError(t, err)
		assert.Equal(t, v+"\x00", string(out))
	}
}

func TestKubernetesSecret_roundTrip(t *testing.T) {
	check := testbed.Require(t, testbed.FormatCheck).Path
	var in []export.Item
	for i, v := range values() {
		in = append(in, export.Item{Name: "k." + string(rune('a'+i%26)) + strings.Repeat("_", i/26), Value: secrets.NewValue(v)})
	}
	var b bytes.Buffer
	require.NoError(t, export.KubernetesSecret(&b, "app", in, &export.SecretOptions{Namespace: "team", Labels: map[string]string{"a": "yes"}}))
	var got struct {
		Kind, Type string
		Metadata   struct {
			Name, Namespace string
			Labels          map[string]string
		}
		Data map[string]string
	}
	require.NoError(t, json.Unmarshal(pipe(t, b.String(), check, "secret"), &got))
	assert.Equal(t, "Opaque", got.Type)
	assert.Equal(t, "team", got.Metadata.Namespace)
	assert.Equal(t, "yes", got.Metadata.Labels["a"])
	require.Len(t, got.Data, len(in))
	for _, item := range in {
		v, err := base64.StdEncoding.DecodeString(got.Data[item.Name])
		require.NoError(t, err)
		assert.Equal(t, item.Value.Expose(), string(v))
	}
}

func TestExternalSecrets_fitTheDefinitions(t *testing.T) {
	check := testbed.Require(t, testbed.FormatCheck).Path
	refs := []export.Item{{Name: "password", Ref: "vault://secret/team/app?version=3#password"}, {Name: "old", Ref: "vault://team/kv/legacy#token"}, {Name: "whole", Ref: "vault://secret/x"}}
	approle := eso("")
	approle.Kubernetes, approle.AppRole, approle.VaultNamespace = nil, &export.AppRoleAuth{RoleID: "role", SecretName: "approle", SecretKey: "id"}, "team-a"
	for _, release := range []string{"v0.17.0", "v1.3.2"} {
		for _, version := range []string{"v1", "v1beta1"} { // both releases define v1beta1 without serving it
			for name, o := range map[string]*export.ExternalSecretsOptions{"kubernetes": eso(version), "approle": approle} {
				t.Run(release+" "+version+" "+name, func(t *testing.T) {
					o := *o
					o.APIVersion = version
					var b bytes.Buffer
					require.NoError(t, export.ExternalSecrets(&b, "app", refs, &o))
					var objects []struct{ Kind string }
					require.NoError(t, json.Unmarshal(pipe(t, b.String(), check, append([]string{"crd"}, crds(t, release)...)...), &objects))
					assert.Len(t, objects, 3)

					// The check itself must be able to fail.
					broken := strings.Replace(b.String(), "secretKey:", "secretkey:", 1)
					cmd := exec.CommandContext(t.Context(), check, append([]string{"crd"}, crds(t, release)...)...)
					cmd.Stdin = strings.NewReader(broken)
					require.Error(t, cmd.Run())
				})
			}
		}
	}
}

// crds returns the definitions of a release of External Secrets, from its Go module.
func crds(t *testing.T, release string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/external-secrets/external-secrets@"+release)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	require.NoError(t, err, "%s", out)
	var m struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &m))
	dir := filepath.Join(m.Dir, "config", "crds", "bases")
	return []string{filepath.Join(dir, "external-secrets.io_externalsecrets.yaml"), filepath.Join(dir, "external-secrets.io_secretstores.yaml")}
}

func TestAzureDevOps_roundTrip(t *testing.T) {
	lib := testbed.Require(t, testbed.AzureTaskLib).Path
	node := testbed.Debian(t, "nodejs", "node")
	script := `const tc=require(process.argv[1]); const out=[];
for (const line of require("fs").readFileSync(0,"utf8").split("\n")) if (line) { const c=tc.commandFromString(line); out.push({command:c.command, properties:c.properties, message:c.message}); }
console.log(JSON.stringify(out))`
	for _, v := range values() {
		var b bytes.Buffer
		require.NoError(t, export.AzureDevOps(&b, items("A.b", v), nil))
		var got []struct {
			Command, Message string
			Properties       map[string]string
		}
		require.NoError(t, json.Unmarshal(pipe(t, b.String(), node, "-e", script, lib), &got))
		masks := map[string]bool{}
		for _, c := range got[:len(got)-1] {
			assert.Equal(t, "task.setsecret", c.Command)
			masks[c.Message] = true
		}
		set := got[len(got)-1]
		assert.Equal(t, "task.setvariable", set.Command)
		assert.Equal(t, map[string]string{"variable": "A.b", "issecret": "true"}, set.Properties)
		assert.Equal(t, v, set.Message)
		if v != "" {
			assert.True(t, masks[v], "%q is masked before it is set", v)
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(v, "\r", "\n"), "\n") {
			if line = strings.TrimSpace(line); len(line) >= 4 {
				assert.True(t, masks[line] || masks[v] && !strings.ContainsAny(v, "\r\n"), "line %q", line)
			}
		}
	}
}

// GitHub's own library is the standard for what a runner reads: what it writes for a value, we write.
func TestGitHub_asGitHubWrites(t *testing.T) {
	lib := testbed.Require(t, testbed.ActionsCore).Path
	node := testbed.Debian(t, "nodejs", "node")
	script := `const lib = process.argv[1], out = [];
const {prepareKeyValueMessage} = await import(lib), {issueCommand} = await import(lib.replace("file-command", "command"));
let printed; process.stdout.write = s => printed = s;
for (const v of JSON.parse(require("fs").readFileSync(0, "utf8"))) { issueCommand("add-mask", {}, v); out.push({Env: prepareKeyValueMessage("A", v), Mask: printed}); }
require("fs").writeSync(1, JSON.stringify(out))`
	sent, err := json.Marshal(sendable(t))
	require.NoError(t, err)
	var theirs []struct{ Env, Mask string }
	require.NoError(t, json.Unmarshal(pipe(t, string(sent), node, "-e", "(async () => {"+script+"})()", lib), &theirs))
	delimiter := regexp.MustCompile("ghadelimiter_[0-9a-f-]+")
	for i, v := range sendable(t) {
		var commands, env bytes.Buffer
		require.NoError(t, export.GitHub(&commands, &env, items("A", v)))
		assert.Equal(t, delimiter.ReplaceAllString(theirs[i].Env, "D")+"\n", delimiter.ReplaceAllString(env.String(), "D"))
		if v != "" {
			first, _, _ := strings.Cut(commands.String(), "\n")
			assert.Equal(t, theirs[i].Mask, first+"\n")
		}
	}
	t.Logf("%d values written as @actions/core writes them", len(theirs))
}

// sendable are the values that the GitHub export does not refuse.
func sendable(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, v := range values() {
		if !strings.HasSuffix(v, "\r") {
			out = append(out, v)
		}
	}
	return out
}

// TestGitHub_roundTrip runs a workflow whose first step prints and appends what was exported, and whose second
// looks at its environment and prints all of it. The engine is act, which reads both by itself.
func TestGitHub_roundTrip(t *testing.T) {
	act := testbed.Require(t, testbed.Act).Path
	dir := t.TempDir()
	var in []export.Item
	for i, v := range sendable(t) {
		in = append(in, items(fmt.Sprintf("V%d", i), v)...)
	}
	var commands, env bytes.Buffer
	require.NoError(t, export.GitHub(&commands, &env, in))
	for name, b := range map[string][]byte{"commands": commands.Bytes(), "env": env.Bytes(), ".github/workflows/w.yml": fmt.Appendf(nil, `on: push
jobs:
  job:
    runs-on: here
    steps:
      - {shell: sh, run: 'cat "%[1]s/commands"; cat "%[1]s/env" >>"$GITHUB_ENV"'}
      - {shell: sh, run: 'env -0 >"%[1]s/got"; env | grep -v ^PATH='}
`, dir)} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	for _, args := range [][]string{{"init", "-q"}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "--allow-empty", "-m", "x"}} {
		out, err := exec.CommandContext(t.Context(), testbed.Debian(t, "git", "git"), append([]string{"-C", dir}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	cmd := exec.CommandContext(t.Context(), act, "push", "-P", "here=-self-hosted", "-W", ".github/workflows/w.yml")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	log, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", log)

	raw, err := os.ReadFile(filepath.Join(dir, "got"))
	require.NoError(t, err)
	got := map[string]string{}
	for entry := range strings.SplitSeq(string(raw), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		got[name] = value
	}
	equal := 0
	for _, item := range in {
		want := item.Value.Expose()
		// act reads lines, so it loses carriage returns at their ends, and empty lines at the beginning.
		if known := strings.TrimLeft(strings.ReplaceAll(want, "\r\n", "\n"), "\n"); known != want {
			assert.Equal(t, known, got[item.Name])
			continue
		}
		assert.Equal(t, want, got[item.Name])
		equal++
	}
	for _, canary := range secretstest.Canaries() {
		assert.Empty(t, secretstest.Leaks(string(log), canary), "%.40q in the log", canary)
	}
	assert.Contains(t, string(log), "***")
	t.Logf("%d of %d values equal through act", equal, len(in))
	assert.Greater(t, equal, 40)
}
