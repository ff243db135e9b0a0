//go:build integration

package imagetest_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
	"github.com/waybill-dev/waybill/internal/testbed"
)

func TestRealRegistries(t *testing.T) {
	for name, start := range map[string]func(testbed.TB) string{"distribution": testbed.Registry, "docker-registry": testbed.DebianRegistry} {
		t.Run(name, func(t *testing.T) {
			c := &http.Client{Transport: &http.Transport{}}
			t.Cleanup(c.CloseIdleConnections)
			imagetest.TestRegistry(t, imagetest.Registry{URL: "http://" + start(t), Client: c, Repo: "suite"})
		})
	}
}

func layout(t *testing.T) *image.Layout {
	t.Helper()
	l, err := image.Build(t.Context(), image.Spec{
		Layers: []image.Source{image.Files{"etc/hello": []byte("hello")}}, Cmd: []string{"/none"},
	}, filepath.Join(t.TempDir(), "layout"), nil)
	require.NoError(t, err)
	return l
}

// command runs a stock client with a configuration of its own.
func command(t *testing.T, home string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "DOCKER_CONFIG="+filepath.Join(home, ".docker"), "REGISTRY_AUTH_FILE="+filepath.Join(home, "auth.json"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", cmd, out)
	return strings.TrimSpace(string(out))
}

func TestStockClients(t *testing.T) {
	for name, o := range map[string]*imagetest.Options{
		"open": nil, "basic": {User: "u", Password: "p"}, "token": {User: "u", Password: "p", Token: true},
	} {
		t.Run("crane/"+name, func(t *testing.T) {
			s, l, home := imagetest.NewServer(t, o), layout(t), t.TempDir()
			crane := testbed.Require(t, testbed.Crane).Path
			if o != nil {
				command(t, home, crane, "auth", "login", s.Host(), "-u", "u", "-p", "p")
			}
			command(t, home, crane, "push", l.Dir(), s.Host()+"/app:1")
			assert.Equal(t, l.Digest(), command(t, home, crane, "digest", s.Host()+"/app:1"))
			command(t, home, crane, "copy", s.Host()+"/app:1", s.Host()+"/other:2")
			assert.Equal(t, "2", command(t, home, crane, "ls", s.Host()+"/other"))
			assert.Contains(t, command(t, home, crane, "validate", "--remote", s.Host()+"/other:2"), "PASS")
			command(t, home, crane, "delete", s.Host()+"/app:1")
		})
		t.Run("skopeo/"+name, func(t *testing.T) {
			s, l, home := imagetest.NewServer(t, o), layout(t), t.TempDir()
			skopeo := testbed.Debian(t, "skopeo", "skopeo")
			if o != nil {
				command(t, home, skopeo, "login", "--tls-verify=false", "-u", "u", "-p", "p", s.Host())
			}
			policy := filepath.Join(home, "policy.json")
			require.NoError(t, os.WriteFile(policy, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600))
			command(t, home, skopeo, "--policy", policy, "copy", "--dest-tls-verify=false", "oci:"+l.Dir(), "docker://"+s.Host()+"/app:1")
			assert.Equal(t, l.Digest(), command(t, home, skopeo, "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://"+s.Host()+"/app:1"))
		})
	}
	t.Run("docker", func(t *testing.T) {
		host, docker := testbed.Dockerd(t), testbed.DockerClient(t)
		s, l, home := imagetest.NewServer(t, &imagetest.Options{User: "u", Password: "p", Token: true}), layout(t), t.TempDir()
		c, err := image.New(&image.Options{Keychain: image.Logins{s.Host(): image.Static("u", "p")}})
		require.NoError(t, err)
		t.Cleanup(c.CloseIdleConnections)
		_, err = c.Push(t.Context(), l, []string{s.Host() + "/app:1"}, nil)
		require.NoError(t, err)
		command(t, home, docker, "-H", host, "login", "-u", "u", "-p", "p", s.Host())
		command(t, home, docker, "-H", host, "pull", s.Host()+"/app:1")
		command(t, home, docker, "-H", host, "tag", s.Host()+"/app:1", s.Host()+"/pushed:2")
		command(t, home, docker, "-H", host, "push", s.Host()+"/pushed:2")
		r, err := c.Resolve(t.Context(), s.Host()+"/pushed:2")
		require.NoError(t, err)
		assert.Equal(t, l.Platforms(), r.Platforms)
	})
}
