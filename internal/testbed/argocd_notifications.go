package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Notifications starts the notifications controller of this Argo CD with the given ConfigMap
// argocd-notifications-cm and an empty Secret. Stop the process to stop it before the test ends.
func (a *ArgoCDServer) Notifications(configMap string) *Process {
	a.tb.Helper()
	a.Apply(configMap)
	a.Apply("apiVersion: v1\nkind: Secret\nmetadata: {name: argocd-notifications-secret, namespace: argocd}\n")
	program, err := filepath.EvalSymlinks(a.Command)
	if err != nil {
		a.tb.Fatalf("testbed: %v", err)
	}
	dir := a.tb.TempDir()
	link := filepath.Join(dir, "argocd-notifications") // one program, told by its name what to be
	if err := os.Symlink(program, link); err != nil {
		a.tb.Fatalf("testbed: %v", err)
	}
	// Its --namespace is ignored (seen with 2.14.21): the namespace comes from the kubeconfig's context.
	cmd := exec.Command(link, "--argocd-repo-server", "127.0.0.1:1", "--argocd-repo-server-plaintext", "--metrics-port", portOf(FreeAddr(a.tb))) //nolint:gosec // our link
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "KUBECONFIG=" + a.Kubeconfig, "PATH=/usr/bin:/bin"}
	for _, name := range []string{"ARGOCD_TLS_DATA_PATH", "ARGOCD_SSH_DATA_PATH"} {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s", name, dir))
	}
	return StartProcess(a.tb, "argocd-notifications", cmd, func(context.Context) error { return nil })
}
