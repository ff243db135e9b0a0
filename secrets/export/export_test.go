package export_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/export"
	"github.com/waybill-dev/waybill/secrets/secretstest"
)

func items(pairs ...string) []export.Item {
	var out []export.Item
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, export.Item{Name: pairs[i], Ref: "vault://secret/app#" + pairs[i], Value: secrets.NewValue(pairs[i+1])})
	}
	return out
}

// formats are the exporters that hold values.
var formats = map[string]func(w io.Writer, items []export.Item) error{
	"dotenv": func(w io.Writer, i []export.Item) error { return export.Dotenv(w, i, nil) },
	"dotenv-shell": func(w io.Writer, i []export.Item) error {
		return export.Dotenv(w, i, &export.DotenvOptions{Dialect: export.Shell})
	},
	"k8s": func(w io.Writer, i []export.Item) error {
		return export.KubernetesSecret(w, "app", i, &export.SecretOptions{Namespace: "team", Labels: map[string]string{"app": "yes", "a": "b"}, Immutable: true})
	},
	"azuredevops": func(w io.Writer, i []export.Item) error { return export.AzureDevOps(w, i, nil) },
	"github":      func(w io.Writer, i []export.Item) error { return export.GitHub(w, io.Discard, i) },
}

func eso(version string) *export.ExternalSecretsOptions {
	return &export.ExternalSecretsOptions{
		APIVersion: version, Namespace: "team", Server: "https://vault.example.com:8200", CABundle: []byte("pem"),
		Mounts: map[string]int{"secret": 2, "team/kv": 1}, Kubernetes: &export.KubernetesAuth{Role: "app", ServiceAccount: "app"}, Refresh: 10 * time.Minute,
	}
}

func TestGolden(t *testing.T) {
	in := items("PASSWORD", "hunter22", "URL", "p@:/?#% &=+x")
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, f(&b, in))
			golden.Check(t, filepath.Join("testdata", name+".golden"), b.Bytes())
		})
	}
	refs := []export.Item{
		{Name: "password", Ref: "vault://secret/data/team/app?version=3#password"},
		{Name: "user", Ref: "vault://secret/team/app#user"},
		{Name: "old", Ref: "vault://team/kv/legacy#token"},
		{Name: "whole", Ref: "vault://secret/team/app"},
	}
	for _, version := range []string{"v1", "v1beta1"} {
		t.Run("eso-"+version, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, export.ExternalSecrets(&b, "app", refs, eso(version)))
			golden.Check(t, filepath.Join("testdata", "eso-"+version+".golden"), b.Bytes())
		})
	}
	o := eso("")
	o.Kubernetes, o.AppRole, o.VaultNamespace = nil, &export.AppRoleAuth{RoleID: "role", SecretName: "approle", SecretKey: "id"}, "team-a"
	var b bytes.Buffer
	require.NoError(t, export.ExternalSecrets(&b, "app", refs[:1], o))
	golden.Check(t, "testdata/eso-approle.golden", b.Bytes())
}

func TestNames(t *testing.T) {
	for name, f := range formats {
		for _, bad := range []string{"", "a b", "a=b", "a;b", "a]b", "a\nb", "ü", "a'b", "$(id)", "../x/y", "a#b"} {
			var b bytes.Buffer
			err := f(&b, items(bad, "hunter22"))
			require.ErrorIs(t, err, secrets.ErrInvalid, "%s: %q", name, bad)
			assert.Zero(t, b.Len(), "%s: nothing is written", name)
			assert.NotContains(t, err.Error(), "hunter22")
		}
		err := f(io.Discard, items("A", "1", "A", "2"))
		require.ErrorIs(t, err, secrets.ErrInvalid, name)
		assert.ErrorContains(t, err, "twice")
	}
	_, err := export.Environ(items("A B", "x"))
	require.ErrorIs(t, err, secrets.ErrInvalid)
}

func TestNullBytes(t *testing.T) {
	for name, f := range formats {
		err := f(io.Discard, items("A", "x\x00y"))
		if name == "k8s" { // base64 holds anything
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, secrets.ErrInvalid, name)
	}
	_, err := export.Environ(items("A", "x\x00y"))
	require.ErrorIs(t, err, secrets.ErrInvalid)
}

func TestNotText(t *testing.T) {
	for name, f := range formats {
		err := f(io.Discard, items("A", "x\xff\xfey"))
		if name == "k8s" || name == "dotenv-shell" { // these hold bytes
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, secrets.ErrInvalid, name)
		assert.ErrorContains(t, err, "UTF-8", name)
	}
}

func TestGitHub_refusesAllAtOnce(t *testing.T) {
	var commands, env bytes.Buffer
	err := export.GitHub(&commands, &env, items("GITHUB_ENV", "x", "A", "ends in\r", "B", "\xff"))
	require.ErrorIs(t, err, secrets.ErrInvalid)
	for _, want := range []string{"GITHUB_ENV", "carriage return", "UTF-8"} {
		require.ErrorContains(t, err, want)
	}
	assert.Zero(t, commands.Len()+env.Len(), "nothing is written")
}

func TestDotenv_refusesWhatReadersTakeDifferently(t *testing.T) {
	for value, portable := range map[string]bool{
		"plain": true, "with space": true, "it's": true, `say "hi"`: true, "two\nlines": true, "#hash": true, "$HOME `id`": true, "": true, "a=b": true,
		`back\slash`: false, "${HOME}": false, "cr\r": false, `it's "both"`: false, "it's $HOME": false, "it's `id`": false, "it's\ntwo": false, "it's #1": false,
	} {
		err := export.Dotenv(io.Discard, items("A", value), nil)
		if portable {
			require.NoError(t, err, value)
		} else {
			require.ErrorIs(t, err, secrets.ErrInvalid, value)
		}
		require.NoError(t, export.Dotenv(io.Discard, items("A", value), &export.DotenvOptions{Dialect: export.Shell}), value)
	}
	require.ErrorIs(t, export.Dotenv(io.Discard, items("A", "a"), &export.DotenvOptions{Dialect: 99}), secrets.ErrInvalid)
}

func TestCI_noValueEndsItsCommand(t *testing.T) {
	for _, canary := range append(secretstest.Canaries(), "a\n##vso[task.setvariable variable=PATH]evil", "x\r\n::set-env name=PATH::evil", "%0A##vso[x]") {
		var b bytes.Buffer
		require.NoError(t, export.AzureDevOps(&b, items("A", canary), &export.AzureDevOpsOptions{Output: true}))
		for line := range strings.Lines(b.String()) {
			ok := strings.HasPrefix(line, "##vso[task.setsecret]") || strings.HasPrefix(line, "##vso[task.setvariable variable=A;issecret=true;isoutput=true]")
			assert.True(t, ok, "%q", line)
			assert.NotContains(t, line, "\r")
		}
		var commands, env bytes.Buffer
		require.NoError(t, export.GitHub(&commands, &env, items("A", canary)))
		for line := range strings.Lines(commands.String()) {
			assert.True(t, strings.HasPrefix(line, "::add-mask::"), "%q", line)
		}
		head, rest, _ := strings.Cut(env.String(), "\n")
		delimiter := strings.TrimPrefix(head, "A<<")
		assert.Equal(t, canary+"\n"+delimiter+"\n", rest)
	}
	for _, name := range []string{"GITHUB_ENV", "RUNNER_TEMP", "NODE_OPTIONS"} {
		require.ErrorIs(t, export.GitHub(io.Discard, io.Discard, items(name, "x")), secrets.ErrInvalid)
	}
}

func TestKubernetesSecret_limits(t *testing.T) {
	require.ErrorIs(t, export.KubernetesSecret(io.Discard, "app", items("a", strings.Repeat("x", 1<<20+1)), nil), secrets.ErrInvalid)
	require.NoError(t, export.KubernetesSecret(io.Discard, "app", items("a", strings.Repeat("x", 1<<20)), nil))
	for _, name := range []string{"", "App", "a_b", "-a", "a b", strings.Repeat("a", 254)} {
		require.ErrorIs(t, export.KubernetesSecret(io.Discard, name, nil, nil), secrets.ErrInvalid, name)
	}
	require.ErrorIs(t, export.KubernetesSecret(io.Discard, "a", nil, &export.SecretOptions{Namespace: "A"}), secrets.ErrInvalid)
}

func TestExternalSecrets_refusesAllAtOnce(t *testing.T) {
	err := export.ExternalSecrets(io.Discard, "App", []export.Item{{Name: "a", Ref: "env://A"}, {Name: "b", Ref: "vault://nowhere/x#k"}, {Name: "c", Ref: "vault://one/x?version=2#k"}, {Name: "d", Ref: "%"}},
		&export.ExternalSecretsOptions{APIVersion: "v2", Server: "vault", Mounts: map[string]int{"x": 3, "one": 1}, Refresh: -1})
	require.ErrorIs(t, err, secrets.ErrInvalid)
	for _, want := range []string{"APIVersion", "Server", "Kubernetes, AppRole", "Mounts", "Refresh", "not in Vault", "no key-value mount", "keeps no versions", "invalid reference", `"App"`} {
		assert.ErrorContains(t, err, want)
	}
	require.ErrorIs(t, export.ExternalSecrets(io.Discard, "app", nil, nil), secrets.ErrInvalid)
}

func TestExternalSecrets_holdNoValue(t *testing.T) {
	for _, canary := range secretstest.Canaries() {
		var b bytes.Buffer
		require.NoError(t, export.ExternalSecrets(&b, "app", items("a", canary), eso("v1")))
		assert.Empty(t, secretstest.Leaks(b.String(), canary))
	}
}

func TestResolve(t *testing.T) {
	r, err := secrets.NewResolver(map[string]secrets.Store{"mem": secretstest.NewMemory(map[string]string{"a": "value"})}, nil)
	require.NoError(t, err)
	defer r.Close()
	out, err := export.Resolve(t.Context(), r, []export.Item{{Name: "A", Ref: "mem://a"}})
	require.NoError(t, err)
	env, err := export.Environ(out)
	require.NoError(t, err)
	assert.Equal(t, []string{"A=value"}, env)
	_, err = export.Resolve(t.Context(), r, []export.Item{{Name: "A", Ref: "mem://x"}, {Name: "B", Ref: "nope"}})
	require.ErrorIs(t, err, secrets.ErrNotFound)
	require.ErrorIs(t, err, secrets.ErrBadRef)
}

func TestWriterErrors(t *testing.T) {
	boom := errors.New("disk full")
	for name, f := range formats {
		require.ErrorIs(t, f(failing{boom}, items("A", "x")), boom, name)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
