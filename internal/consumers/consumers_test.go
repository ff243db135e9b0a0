//go:build consumers

package consumers_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/waybill-dev/waybill/internal/depcheck"
	"github.com/waybill-dev/waybill/internal/testbed"
)

// Each archive in testdata is a module without its go.mod. Its tests must pass, and it must get by with the
// modules that the packages it imports need.
func TestConsumers(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, archives)
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			require.NoError(t, err)
			m := newModule(t)
			for _, f := range archive.Files {
				m.write(f.Name, string(f.Data))
			}
			m.run("go", "mod", "tidy")
			t.Log(m.run("go", "test", "-timeout", "1m", "./..."))
		})
	}
}

// A consumer that is held to an old client-go keeps it: nothing here asks for a newer one.
func TestConsumer_keepsItsKubernetes(t *testing.T) {
	m := newModule(t, "k8s.io/client-go v0.29.0")
	imports := []string{`_ "k8s.io/client-go/util/homedir"`}
	for _, pkg := range []string{"report/format", "scan", "image", "gitops", "gitops/argocd", "secrets/vault", "notify/email"} {
		imports = append(imports, `_ "`+depcheck.Root+"/"+pkg+`"`)
	}
	m.write("main.go", "package main\n\nimport (\n"+strings.Join(imports, "\n")+"\n)\n\nfunc main() {}\n")
	m.run("go", "mod", "tidy")
	m.run("go", "build", "./...")
	assert.Equal(t, "v0.29.0", strings.TrimSpace(m.run("go", "list", "-m", "-f", "{{.Version}}", "k8s.io/client-go")))
}

// The root module is light: its graph can be listed, it replaces nothing and names no Kubernetes module.
func TestRootModule(t *testing.T) {
	root, err := testbed.Root()
	require.NoError(t, err)
	m := &module{t: t, dir: root}
	assert.NotContains(t, m.run("go", "list", "-m", "all"), "k8s.io/")
	var mod struct{ Replace []any }
	require.NoError(t, json.Unmarshal([]byte(m.run("go", "mod", "edit", "-json")), &mod))
	assert.Empty(t, mod.Replace)
}

type module struct {
	t   *testing.T
	dir string
}

// newModule makes an empty module that finds waybill in this repository.
func newModule(t *testing.T, requires ...string) *module {
	t.Helper()
	root, err := testbed.Root()
	require.NoError(t, err)
	m := &module{t: t, dir: t.TempDir()}
	var mod strings.Builder
	mod.WriteString("module example.test/consumer\n\ngo 1.26.8\n")
	for _, sub := range []string{"", "/scan/gitleaks", "/gitops/argocd/argocdgrpc"} {
		mod.WriteString("replace " + depcheck.Root + sub + " => " + root + sub + "\n")
	}
	for _, r := range append(requires, depcheck.Root+" v0.0.0") {
		mod.WriteString("require " + r + "\n")
	}
	m.write("go.mod", mod.String())
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	m.write("go.sum", string(sum))
	return m
}

func (m *module) write(name, content string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m.t, os.WriteFile(path, []byte(content), 0o600))
}

func (m *module) run(name string, args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), name, args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(m.t, err, "%s %s:\n%s", name, strings.Join(args, " "), out)
	return string(out)
}
