//go:build integration

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/internal/testbed"
)

// Argo CD makes the shop healthy from each of the three forms.
func TestDeploy_argoCD(t *testing.T) {
	argo := testbed.ArgoCD(t, testbed.ArgoCD33)
	url, clone := testbed.GitHTTP(t, nil).Init("deploy.git"), filepath.Join(t.TempDir(), "deploy")
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", clone, "-c", "user.name=ops", "-c", "user.email=ops@example.com"}, args...)...).CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	require.NoError(t, os.CopyFS(filepath.Dir(clone), os.DirFS(filepath.Dir(bumped(t, "7")))))
	run("init", "-q")
	run("add", ".")
	run("commit", "-q", "-m", "first")
	run("push", "-q", url, "HEAD:main")

	client, err := argocd.New(argo.Server, &argocd.Options{Token: func(context.Context) (string, error) { return argo.APIKey, nil }})
	require.NoError(t, err)
	var want []string
	for _, s := range eleven {
		want = append(want, "registry.example.com/boutique/"+s+":7")
	}
	for name, path := range map[string]string{"plain": "manifests", "overlay": "kustomize/overlays/prod", "chart": "chart"} {
		argo.Application(name, url, path, false)
		live, err := client.SyncAndWait(t.Context(), name, argocd.Want{Revisions: []string{run("rev-parse", "HEAD")}, Images: want}, nil)
		require.NoError(t, err, name)
		assert.Equal(t, argocd.Healthy, live.Health, name)
		ready, err := argo.Kubectl("", "get", "deployments", "-n", name, "-o", "jsonpath={.items[*].status.readyReplicas}")
		require.NoError(t, err)
		assert.Len(t, strings.Fields(ready), len(eleven), name)
	}
}
