package testbed

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ArgoCDServer is an Argo CD with its controller in a cluster of its own.
type ArgoCDServer struct {
	*Cluster

	Version string // of Argo CD, such as v3.3.9
	Addr    string // host and port of REST, gRPC and gRPC-web, all in plain text
	Server  string // http:// and Addr
	APIKey  string // of the account ci, an administrator
	Command string // the argocd command
}

// ArgoCD starts a Kubernetes cluster and the Argo CD of the spec in it, [ArgoCD33] or [ArgoCD214]. Both end
// with the test.
func ArgoCD(tb TB, spec Spec) *ArgoCDServer {
	tb.Helper()
	redis := Debian(tb, "redis-server", "redis-server")
	tool := Require(tb, spec)
	git := Debian(tb, "git", "git")
	c := Kubernetes(tb)
	dir := tb.TempDir()
	a := &ArgoCDServer{Cluster: c, Version: tool.Version, Addr: FreeAddr(tb), Command: filepath.Join(dir, "bin", "argocd")}
	a.Server = "http://" + a.Addr

	// One program, told by its name what to be.
	mkdir(tb, filepath.Join(dir, "bin"))
	for _, name := range []string{"argocd", "argocd-server", "argocd-repo-server", "argocd-application-controller"} {
		if err := os.Symlink(tool.Path, filepath.Join(dir, "bin", name)); err != nil {
			tb.Fatalf("testbed: %v", err)
		}
	}
	a.install(spec)

	redisAddr, repoAddr := FreeAddr(tb), FreeAddr(tb)
	StartProcess(tb, "redis", exec.Command(redis, "--bind", "127.0.0.1", "--port", portOf(redisAddr), "--save", "", "--appendonly", "no", "--dir", dir),
		Listens("tcp", redisAddr))
	path := []string{filepath.Join(dir, "bin"), filepath.Dir(git), "/usr/bin", "/bin"}
	for _, renderer := range []Spec{Helm, Kustomize} { // plain manifests need neither
		if found, err := renderer.Find(); err == nil {
			path = append(path, found.Dir)
		}
	}
	env := []string{
		"HOME=" + dir, "TMPDIR=" + dir, "KUBECONFIG=" + c.Kubeconfig, "ARGOCD_GPG_ENABLED=false", "PATH=" + strings.Join(path, ":"),
	}
	for name, sub := range map[string]string{"ARGOCD_TLS_DATA_PATH": "tls", "ARGOCD_SSH_DATA_PATH": "ssh", "ARGOCD_GPG_DATA_PATH": "gpg", "ARGOCD_PLUGINSOCKFILEPATH": "plugins"} {
		mkdir(tb, filepath.Join(dir, sub))
		env = append(env, name+"="+filepath.Join(dir, sub))
	}
	start := func(name string, ready func(context.Context) error, args ...string) {
		cmd := exec.Command(filepath.Join(dir, "bin", name), args...)
		cmd.Env, cmd.Dir = env, dir
		StartProcess(tb, name, cmd, ready)
	}
	metrics := func() string { return portOf(FreeAddr(tb)) }
	start("argocd-repo-server", Listens("tcp", repoAddr),
		"--disable-tls", "--redis", redisAddr, "--address", "127.0.0.1", "--port", portOf(repoAddr), "--metrics-address", "127.0.0.1", "--metrics-port", metrics())
	start("argocd-application-controller", func(context.Context) error { return nil },
		"--namespace", "argocd", "--redis", redisAddr, "--repo-server", repoAddr, "--repo-server-plaintext", "--metrics-port", metrics())
	start("argocd-server", Answers(a.Server+"/healthz"),
		"--namespace", "argocd", "--insecure", "--redis", redisAddr, "--repo-server", repoAddr, "--repo-server-plaintext",
		"--address", "127.0.0.1", "--port", portOf(a.Addr), "--metrics-address", "127.0.0.1", "--metrics-port", metrics())
	a.login()
	return a
}

func mkdir(tb TB, dir string) {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatalf("testbed: %v", err)
	}
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// install makes what Argo CD finds in its namespace.
func (a *ArgoCDServer) install(spec Spec) {
	a.tb.Helper()
	out, err := spec.command(a.tb.Context(), "list", "-m", "-f", "{{.Dir}}", spec.Module).Output()
	if err != nil {
		a.tb.Fatalf("testbed: the module of %s: %v", spec.Name, err)
	}
	crds := filepath.Join(strings.TrimSpace(string(out)), "manifests", "crds")
	for _, name := range []string{"application-crd.yaml", "applicationset-crd.yaml", "appproject-crd.yaml"} {
		b, err := os.ReadFile(filepath.Join(crds, name))
		if err != nil {
			a.tb.Fatalf("testbed: %v", err)
		}
		a.Apply(string(b))
	}
	ctx, cancel := context.WithTimeout(a.tb.Context(), time.Minute)
	defer cancel()
	err = Eventually(ctx, func(context.Context) error { // kubectl gives up on a definition that has no conditions yet
		_, err := a.Kubectl("", "wait", "--for=condition=Established", "--timeout=30s",
			"crd/applications.argoproj.io", "crd/applicationsets.argoproj.io", "crd/appprojects.argoproj.io")
		return err
	})
	if err != nil {
		a.tb.Fatalf("testbed: %v", err)
	}
	a.Apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: argocd}\n")
	data := map[string]string{
		"argocd-cm":                 `{accounts.ci: "apiKey,login"}`,
		"argocd-rbac-cm":            `{policy.csv: "g, ci, role:admin"}`,
		"argocd-cmd-params-cm":      "{}",
		"argocd-ssh-known-hosts-cm": "{}",
		"argocd-tls-certs-cm":       "{}",
		"argocd-gpg-keys-cm":        "{}",
		"argocd-notifications-cm":   "{}",
	}
	var all strings.Builder
	for name, content := range data {
		fmt.Fprintf(&all, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}\ndata: %s\n", name, content)
	}
	// The in-cluster address means nothing outside of a pod, so the cluster is registered by its real one.
	config, _ := json.Marshal(map[string]any{"bearerToken": a.Token, "tlsClientConfig": map[string]bool{"insecure": true}})
	fmt.Fprintf(&all, `---
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}
---
apiVersion: v1
kind: Secret
metadata: {name: cluster-testbed, namespace: argocd, labels: {argocd.argoproj.io/secret-type: cluster}}
stringData: {name: testbed, server: %q, config: %q}
---
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default, namespace: argocd}
spec: {sourceRepos: ["*"], destinations: [{server: "*", namespace: "*"}], clusterResourceWhitelist: [{group: "*", kind: "*"}]}
`, a.URL, config)
	a.Apply(all.String())
}

// login makes the API key.
func (a *ArgoCDServer) login() {
	a.tb.Helper()
	ctx, cancel := context.WithTimeout(a.tb.Context(), time.Minute)
	defer cancel()
	err := Eventually(ctx, func(ctx context.Context) error {
		encoded, err := a.Kubectl("", "get", "secret", "argocd-initial-admin-secret", "-n", "argocd", "-o", "jsonpath={.data.password}")
		if err != nil {
			return err
		}
		password, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return fmt.Errorf("the initial password: %w", err)
		}
		if len(password) == 0 {
			return errors.New("the initial password is not there yet")
		}
		session, err := a.post(ctx, "/session", "", map[string]any{"username": "admin", "password": string(password)})
		if err != nil {
			return err
		}
		a.APIKey, err = a.post(ctx, "/account/ci/token", session, map[string]any{"name": "ci", "expiresIn": 24 * 3600})
		return err
	})
	if err != nil {
		a.tb.Fatalf("testbed: logging in to Argo CD: %v", err)
	}
}

// post returns the token of the reply.
func (a *ArgoCDServer) post(ctx context.Context, path, token string, in any) (string, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Server+"/api/v1"+path, bytes.NewReader(b))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("POST %s: %s: %s", path, resp.Status, body)
	}
	var reply struct{ Token string }
	err = json.Unmarshal(body, &reply)
	return reply.Token, err
}

// Application makes an application of the manifests in a directory of a repository, on the branch main, and
// its namespace.
func (a *ArgoCDServer) Application(name, repoURL, path string, autoSync bool) {
	a.tb.Helper()
	policy := "{}"
	if autoSync {
		policy = "{automated: {prune: true}}"
	}
	a.Apply(fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %[1]s, namespace: argocd}
spec:
  project: default
  source: {repoURL: %[2]q, path: %[3]q, targetRevision: main}
  destination: {server: %[4]q, namespace: %[1]s}
  syncPolicy: %[5]s
`, name, repoURL, path, a.URL, policy))
}
