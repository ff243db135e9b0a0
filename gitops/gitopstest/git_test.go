package gitopstest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/gitopstest"
)

// git runs the stock program in a clean environment.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.test",
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %v\n%s", args, out)
	return string(out)
}

func TestStockGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git program")
	}
	tests := map[string][]string{
		"all":           {},
		"shallow":       {"--depth=1"},
		"blobless":      {"--filter=blob:none"},
		"treeless":      {"--filter=tree:0"},
		"shallow, both": {"--depth=1", "--filter=blob:none"},
	}
	for name, flags := range tests {
		t.Run(name, func(t *testing.T) {
			srv := gitopstest.NewServer(t, nil)
			repo := srv.Create("deploy.git", map[string]string{"a/one.yaml": "1\n", "a/b/two.yaml": "2\n", "three.yaml": "3\n"})
			for i := range 5 {
				repo.Commit("main", "more", map[string]string{"a/one.yaml": string(rune('a' + i))})
			}
			dir := filepath.Join(t.TempDir(), "c")
			git(t, "", append(append([]string{"clone", "-q"}, flags...), repo.URL(), dir)...)
			data, err := os.ReadFile(filepath.Join(dir, "a/b/two.yaml"))
			require.NoError(t, err)
			assert.Equal(t, "2\n", string(data))

			require.NoError(t, os.WriteFile(filepath.Join(dir, "a/b/two.yaml"), []byte("22\n"), 0o644))
			git(t, dir, "commit", "-qam", "change")
			git(t, dir, "push", "-q", "origin", "main")
			git(t, dir, "fsck", "--strict")
			require.NoError(t, repo.Fsck())
			log, err := repo.Log("main")
			require.NoError(t, err)
			assert.Len(t, log, 7)
			assert.Equal(t, []string{"a/b/two.yaml"}, log[0].Changed)

			repo.Commit("main", "by another", map[string]string{"new.yaml": "n"})
			git(t, dir, "pull", "-q", "--rebase", "origin", "main")
			data, err = os.ReadFile(filepath.Join(dir, "new.yaml"))
			require.NoError(t, err)
			assert.Equal(t, "n", string(data))
			git(t, dir, "push", "-q", "origin", "HEAD:refs/heads/other")
			git(t, dir, "push", "-q", "origin", ":refs/heads/other")
			git(t, dir, "fsck", "--strict")
		})
	}
}
