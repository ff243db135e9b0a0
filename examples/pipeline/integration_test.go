//go:build integration

package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
)

// The program as people use it, against nothing but real servers: Vault, the distribution registry, git's
// http-backend, Argo CD on Kubernetes, and a mail server.
func TestPipeline_realServers(t *testing.T) {
	argo := testbed.ArgoCD(t, testbed.ArgoCD33)
	vault := testbed.StartVault(t, nil)
	registry := testbed.Registry(t)
	mail := testbed.AIOSMTPD(t)
	const gitToken = "a token for git"
	git := testbed.GitHTTP(t, func(next http.Handler) http.Handler { // anybody reads, whoever knows the token writes
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, password, _ := r.BasicAuth()
			if strings.Contains(r.URL.String(), "git-receive-pack") && password != gitToken {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	work := t.TempDir()
	runIn := func(dir string, env []string, name string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	toVault := []string{"VAULT_ADDR=" + vault.URL, "VAULT_TOKEN=" + vault.RootToken, "VAULT_CACERT=" + vault.CAFile}
	for _, args := range [][]string{
		{"secrets", "enable", "-path=secret", "kv-v2"},
		{"kv", "put", "secret/shop", "git-token=" + gitToken, "argocd-token=" + argo.APIKey, "smtp-password=" + mail.Password, "registry-password=unused"},
	} {
		out, err := runIn(work, toVault, vault.Bin, args...)
		require.NoError(t, err, out)
	}

	deploy := git.Init("deploy.git")
	manifests, err := deployManifests(registry)
	require.NoError(t, err)
	clone := filepath.Join(work, "deploy")
	out, err := runIn(work, nil, "git", "clone", "-q", deploy, clone)
	require.NoError(t, err, out)
	for name, content := range manifests {
		require.NoError(t, os.WriteFile(filepath.Join(clone, name), []byte(content), 0o600))
	}
	for _, args := range [][]string{
		{"add", "."},
		{"-c", "user.name=ops", "-c", "user.email=ops@example.com", "commit", "-q", "-m", "first"},
		{"-c", "http.extraHeader=Authorization: Basic b3BzOmEgdG9rZW4gZm9yIGdpdA==", "push", "-q", "origin", "HEAD:main"},
	} {
		out, err := runIn(clone, nil, "git", args...)
		require.NoError(t, err, out)
	}
	argo.Application("shop", deploy, ".", false)

	var authorities []byte
	for _, file := range []string{vault.CAFile, mail.CAFile} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		authorities = append(append(authorities, b...), '\n')
	}
	bundle := filepath.Join(work, "authorities.pem")
	require.NoError(t, os.WriteFile(bundle, authorities, 0o600))
	program := filepath.Join(work, "pipeline")
	out, err = runIn(".", nil, "go", "build", "-o", program, ".")
	require.NoError(t, err, out)
	out, err = runIn(work, append(toVault, "SSL_CERT_FILE="+bundle), program, "-build", "7",
		"-vault", vault.URL, "-registry", registry, "-git", deploy, "-argocd", argo.Server, "-smtp", mail.Addr)
	require.NoError(t, err, out)
	t.Log(out)
	assert.Contains(t, out, "shop is Synced and Healthy at ")

	images, err := argo.Kubectl("", "get", "deployments", "-n", "shop", "-o", "jsonpath={.items[*].spec.template.spec.containers[*].image}")
	require.NoError(t, err, images)
	for _, image := range strings.Fields(images) {
		assert.Contains(t, image, ":7@sha256:")
		assert.Contains(t, out, image[strings.Index(image, "@"):], "what runs is what was pushed")
	}
	mails := mail.Mails(t)
	require.Len(t, mails, 1)
	assert.Contains(t, string(mails[0]), "Shop 7 is deployed")
	for _, secret := range []string{gitToken, argo.APIKey, mail.Password, vault.RootToken} {
		assert.NotContains(t, out+string(mails[0]), secret)
	}
}
