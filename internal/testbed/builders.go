package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BuildKitd starts a BuildKit daemon of its own and returns its address. It needs root.
func BuildKitd(tb TB) string {
	tb.Helper()
	dir := shortDir(tb)
	address := "unix://" + filepath.Join(dir, "s")
	startBuildKitd(tb, dir, Listens("unix", filepath.Join(dir, "s")), "--addr", address)
	return address
}

// BuildKitdMirror starts one that pulls the images of other registries from a mirror, which speaks plain HTTP.
func BuildKitdMirror(tb TB, mirror string, registries ...string) string {
	tb.Helper()
	dir := shortDir(tb)
	var config strings.Builder
	fmt.Fprintf(&config, "[registry.%q]\n  http = true\n", mirror)
	for _, r := range registries {
		fmt.Fprintf(&config, "[registry.%q]\n  mirrors = [%q]\n", r, mirror)
	}
	file, address := filepath.Join(dir, "config"), "unix://"+filepath.Join(dir, "s")
	WriteFile(tb, file, config.String())
	startBuildKitd(tb, dir, Listens("unix", filepath.Join(dir, "s")), "--addr", address, "--config", file)
	return address
}

// BuildKitdTLS starts one that listens on TCP and speaks only to clients with a certificate of the authority.
func BuildKitdTLS(tb TB, a *Authority) string {
	tb.Helper()
	dir, addr := shortDir(tb), FreeAddr(tb)
	ca, cert, key := filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	certPEM, keyPEM := a.Issue(tb, nil)
	for file, content := range map[string][]byte{ca: a.PEM, cert: certPEM, key: keyPEM} {
		WriteFile(tb, file, string(content))
	}
	startBuildKitd(tb, dir, Listens("tcp", addr), "--addr", "tcp://"+addr, "--tlscacert", ca, "--tlscert", cert, "--tlskey", key)
	return "tcp://" + addr
}

func startBuildKitd(tb TB, dir string, ready func(ctx context.Context) error, args ...string) {
	tb.Helper()
	Debian(tb, "runc", "runc")
	args = append(args, "--root", filepath.Join(dir, "root"), "--oci-worker=true", "--containerd-worker=false", "--oci-worker-net=host")
	StartProcess(tb, "buildkitd", exec.Command(Require(tb, BuildKit).Path, args...), ready)
}

// Dockerd starts a Docker engine of its own, without networks for containers, and returns what DOCKER_HOST
// must be. It needs root.
func Dockerd(tb TB) string {
	tb.Helper()
	program, client := Debian(tb, "docker.io", "dockerd", "/usr/sbin/dockerd"), DockerClient(tb)
	dir := shortDir(tb)
	host := "unix://" + filepath.Join(dir, "s")
	cmd := exec.Command(program, "--data-root", filepath.Join(dir, "root"), "--exec-root", filepath.Join(dir, "exec"),
		"-H", host, "-p", filepath.Join(dir, "pid"), "--bridge=none", "--iptables=false")
	StartProcess(tb, "dockerd", cmd, func(ctx context.Context) error {
		return exec.CommandContext(ctx, client, "-H", host, "version").Run()
	})
	return host
}

// DockerClient returns the path of the docker command.
func DockerClient(tb TB) string {
	tb.Helper()
	return Debian(tb, "docker.io", "docker")
}

// DebianRegistry starts Debian's build of the distribution registry, version 2.8, as [Registry] does.
func DebianRegistry(tb TB) string {
	tb.Helper()
	return startRegistry(tb, Debian(tb, "docker-registry", "docker-registry"))
}

// shortDir is a temporary directory whose name leaves room for a socket's, which may have 108 bytes.
func shortDir(tb TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "tb")
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
