//go:build integration

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
)

// The overlay and the chart say what the plain manifests say: as they are, and after a bump to a tag and a digest.
func TestDeploy_threeFormsSayTheSame(t *testing.T) {
	kustomize, helm := testbed.Require(t, testbed.Kustomize).Path, testbed.Require(t, testbed.Helm).Path
	for _, to := range []string{"0", "1207", "1207@sha256:" + strings.Repeat("1f", 32)} {
		t.Run(to, func(t *testing.T) {
			dir := bumped(t, to)
			run := func(name string, args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), name, args...)
				cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir())
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				require.NoError(t, err, stderr.String())
				return string(out)
			}
			// kustomize writes all of them down in the same way.
			canon := func(resources map[string]string) string {
				t.Helper()
				at := t.TempDir()
				list := "sortOptions: {order: legacy}\nresources:\n"
				for name, content := range resources {
					require.NoError(t, os.WriteFile(filepath.Join(at, name), []byte(content), 0o600))
					list += "- " + name + "\n"
				}
				// Notes for people, which only the plain manifests have.
				list += "patches:\n- target: {kind: Deployment, name: productcatalog}\n  patch: |-\n    - {op: add, path: /metadata/annotations, value: {}}\n"
				require.NoError(t, os.WriteFile(filepath.Join(at, "kustomization.yaml"), []byte(list), 0o600))
				return run(kustomize, "build", at)
			}
			plain := map[string]string{}
			for _, s := range eleven {
				b, err := os.ReadFile(filepath.Join(dir, "manifests", s+".yaml"))
				require.NoError(t, err)
				plain[s+".yaml"] = string(b)
			}
			want := canon(plain)
			assert.Equal(t, 22, strings.Count(want, "\nkind: ")+strings.Count(want[:20], "kind: "))
			assert.Equal(t, want, canon(map[string]string{"prod.yaml": run(kustomize, "build", filepath.Join(dir, "kustomize", "overlays", "prod"))}))
			assert.Equal(t, want, canon(map[string]string{"chart.yaml": run(helm, "template", "boutique", filepath.Join(dir, "chart"))}))
			run(helm, "lint", "--strict", filepath.Join(dir, "chart"))
		})
	}
}

// bumped is the GitOps folder with the eleven images set.
func bumped(t *testing.T, to string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deploy")
	files, _ := bump(t, to)
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
	return dir
}
