package testbed

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTools_arePinned(t *testing.T) {
	root, err := Root()
	require.NoError(t, err)
	for _, spec := range Tools() {
		tool, err := spec.locate()
		require.NoError(t, err, spec.Name)
		assert.Regexp(t, `^v?\d+\.\d+\.\d+`, tool.Version, spec.Name)
		if spec.Module != "" {
			assert.FileExists(t, filepath.Join(root, "internal", "tools", spec.Name, "go.sum"))
		}
	}
}

func TestSpec_locate_changesWithFlags(t *testing.T) {
	plain, err := Gitleaks.locate()
	require.NoError(t, err)
	flagged := Gitleaks
	flagged.LDFlags += " -X a=b"
	other, err := flagged.locate()
	require.NoError(t, err)
	assert.NotEqual(t, plain.Dir, other.Dir)
}

func TestBinary(t *testing.T) {
	for pkg, want := range map[string]string{
		"example.test/gitleaks/v8":                "gitleaks",
		"example.test/x/v3/cmd/registry":          "registry",
		"example.test/version":                    "version",
		"example.test/kustomize/kustomize/v5":     "kustomize",
		"example.test/cmd/v":                      "v",
		"example.test/argo-cd/v2/cmd/argocd-tool": "argocd-tool",
	} {
		assert.Equal(t, want, binary(pkg), pkg)
	}
}

func TestGitHTTP_cloneAndPush(t *testing.T) {
	srv := GitHTTP(t, nil)
	url := srv.Init("shop.git")
	work := filepath.Join(t.TempDir(), "shop")
	git := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.test")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "git %v: %s", args, out)
		return string(out)
	}
	git("clone", "-q", url, work)
	git("-C", work, "commit", "-q", "--allow-empty", "-m", "first")
	git("-C", work, "push", "-q", "origin", "HEAD:main")
	assert.Contains(t, git("ls-remote", url), "refs/heads/main")
}

func TestStartProcess_stops(t *testing.T) {
	var p *Process
	t.Run("server", func(t *testing.T) {
		p = StartProcess(t, "sleep", exec.Command("sleep", "600"), func(context.Context) error { return nil })
	})
	<-p.done
	assert.NotNil(t, p.Cmd.ProcessState)
}
