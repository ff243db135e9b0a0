package testbed

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Cluster is a Kubernetes cluster: a real control plane, and a node that kwok pretends to be, on which pods
// become Ready without running.
type Cluster struct {
	URL        string // of the API server, https with a certificate of its own making
	Token      string // of a cluster administrator
	Kubeconfig string
	kubectl    string
	dir        string
	tb         TB
}

// Kubernetes starts a cluster that ends with the test.
func Kubernetes(tb TB) *Cluster {
	tb.Helper()
	etcd := Debian(tb, "etcd-server", "etcd")
	apiserver, manager, scheduler := Require(tb, KubeAPIServer), Require(tb, KubeControllerManager), Require(tb, KubeScheduler)
	kubectl, kwok := Require(tb, Kubectl), Require(tb, Kwok)
	dir := tb.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	port := FreePort(tb)
	c := &Cluster{
		URL: "https://127.0.0.1:" + strconv.Itoa(port), Token: rand.Text(), Kubeconfig: file("kubeconfig"), kubectl: kubectl.Path, dir: dir, tb: tb,
	}
	WriteFile(tb, file("tokens.csv"), c.Token+`,admin,admin,"system:masters"`+"\n")
	WriteFile(tb, file("sa.key"), serviceAccountKey(tb))
	WriteFile(tb, c.Kubeconfig, fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: testbed, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: testbed, context: {cluster: testbed, user: admin, namespace: argocd}}]
current-context: testbed
`, c.URL, c.Token))

	// Cleanups run in the reverse order, so the API server ends before etcd.
	client, peer := "http://"+FreeAddr(tb), "http://"+FreeAddr(tb)
	StartProcess(tb, "etcd", exec.Command(etcd, "--data-dir", file("etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer,
	), Answers(client+"/health"))
	StartProcess(tb, "kube-apiserver", exec.Command(apiserver.Path,
		"--etcd-servers="+client, "--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(port), "--cert-dir="+file("apiserver"),
		"--token-auth-file="+file("tokens.csv"), "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount",
		"--service-account-key-file="+file("sa.key"), "--service-account-signing-key-file="+file("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
	), c.ready)
	running := func(context.Context) error { return nil }
	StartProcess(tb, "kube-controller-manager", exec.Command(manager.Path,
		"--kubeconfig="+c.Kubeconfig, "--service-account-private-key-file="+file("sa.key"), "--leader-elect=false",
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(FreePort(tb)), "--cert-dir="+file("manager"),
	), running)
	StartProcess(tb, "kube-scheduler", exec.Command(scheduler.Path,
		"--kubeconfig="+c.Kubeconfig, "--leader-elect=false",
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(FreePort(tb)), "--cert-dir="+file("scheduler"),
	), running)
	// Without the lease the controller manager calls the node lost after some minutes, and its pods not Ready.
	StartProcess(tb, "kwok", exec.Command(kwok.Path, "--kubeconfig="+c.Kubeconfig, "--manage-all-nodes=true", "--node-lease-duration-seconds=40"), running)
	c.Apply(`apiVersion: v1
kind: Node
metadata:
  name: node
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {kubernetes.io/hostname: node, kubernetes.io/os: linux}
status:
  allocatable: {cpu: "64", memory: 256Gi, pods: "500"}
  capacity: {cpu: "64", memory: 256Gi, pods: "500"}
`)
	return c
}

func (c *Cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/readyz", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // our own process, on loopback
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", resp.Status)
	}
	return nil
}

// Kubectl runs kubectl with the given standard input and returns what it printed.
func (c *Cluster) Kubectl(stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(c.tb.Context(), c.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "HOME="+c.dir)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Apply applies manifests, and keeps trying for a while: right after the start some kinds are not served yet.
func (c *Cluster) Apply(manifests string) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), 30*time.Second)
	defer cancel()
	err := Eventually(ctx, func(context.Context) error {
		_, err := c.Kubectl(manifests, "apply", "--server-side", "--force-conflicts", "-f", "-")
		return err
	})
	if err != nil {
		c.tb.Fatalf("testbed: %v", err)
	}
}

func serviceAccountKey(tb TB) string {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}
