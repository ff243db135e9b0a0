//go:build integration

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image/imagetest"
	"github.com/waybill-dev/waybill/internal/testbed"
)

func TestPush_dockerfile(t *testing.T) {
	p := build(t)
	reg := imagetest.NewServer(t, nil)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /\n"), 0o644))

	t.Run("docker", func(t *testing.T) {
		p := &program{p.path, append(p.env, "DOCKER_HOST="+testbed.Dockerd(t))}
		r, stderr, code := p.run(t, "-builder", "docker", "-label", "a=b", "context:"+dir, reg.Host()+"/docker:1")
		require.Equal(t, 0, code, stderr)
		assert.Len(t, r.Layers, 1)
		_, stderr, code = p.run(t, "context:"+dir, reg.Host()+"/auto:1")
		require.Equal(t, 0, code, stderr)
	})
	t.Run("buildx", func(t *testing.T) {
		buildx := testbed.Require(t, testbed.Buildx).Path
		bin := t.TempDir()
		require.NoError(t, os.Symlink(buildx, filepath.Join(bin, "docker-buildx")))
		env := append(p.env, "BUILDX_CONFIG="+t.TempDir(), "BUILDX_BUILDER=remote", "PATH="+bin+":"+os.Getenv("PATH"))
		create := exec.CommandContext(t.Context(), buildx, "create", "--name", "remote", "--driver", "remote", testbed.BuildKitd(t))
		create.Env = env
		out, err := create.CombinedOutput()
		require.NoError(t, err, string(out))
		r, stderr, code := (&program{p.path, env}).run(t, "-builder", "buildx", "-platform", "linux/amd64,linux/arm64", "context:"+dir, reg.Host()+"/buildx:1")
		require.Equal(t, 0, code, stderr)
		assert.Equal(t, []string{"linux/amd64", "linux/arm64"}, r.Platforms)
	})
}
