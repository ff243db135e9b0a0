package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/gitopstest"
)

// program builds the program once and returns how to run it, with an empty PATH.
func program(t *testing.T) func(env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "bump")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return func(env []string, args ...string) (int, string, string) {
		cmd := exec.CommandContext(t.Context(), bin, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, append([]string{"PATH="}, env...)
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			require.NoError(t, err)
		}
		return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	}
}

type result struct {
	Revision string
	Changes  []struct {
		File, Path, Old, New string
		Line                 int
	}
	Attempts         int
	Noop, Superseded bool
	Diff             string
}

func TestBump(t *testing.T) {
	run := program(t)
	const token = "s3cret-token"
	srv := gitopstest.NewServer(t, &gitopstest.Options{Users: map[string]string{"git": token}})
	repo := srv.Create("deploy.git", map[string]string{
		"apps/web/web.yaml": "# web\nimage: reg.io/web:build-7\n",
		"apps/api/api.yaml": "image: reg.io/api:1.0.0\n",
	})
	env := []string{"GIT_TOKEN=" + token}
	parse := func(stdout string) (r result) {
		require.NoError(t, json.Unmarshal([]byte(stdout), &r), stdout)
		return r
	}

	before := repo.Head("main")
	code, stdout, stderr := run(env, "-repo", repo.URL(), "-image", "reg.io/web=build-10", "-path", "apps/web/*.yaml", "-supersede", "build", "-dry-run")
	require.Equal(t, 0, code, stderr)
	assert.Contains(t, parse(stdout).Diff, "-image: reg.io/web:build-7\n+image: reg.io/web:build-10\n")
	assert.Equal(t, before, repo.Head("main"), "dry run")

	code, stdout, stderr = run(env, "-repo", repo.URL(), "-branch", "main", "-image", "reg.io/web=build-10", "-image", "reg.io/api=1.1.0", "-message", "Deploy to {{.Branch}}")
	require.Equal(t, 0, code, stderr)
	r := parse(stdout)
	assert.Equal(t, repo.Head("main"), r.Revision)
	assert.Equal(t, 1, r.Attempts)
	assert.False(t, r.Noop || r.Superseded)
	require.Len(t, r.Changes, 2)
	assert.Equal(t, "apps/web/web.yaml", r.Changes[1].File)
	assert.Equal(t, 2, r.Changes[1].Line)
	assert.Equal(t, "/image", r.Changes[1].Path)
	log, err := repo.Log("main")
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(log[0].Message, "Deploy to main\n\nImage: "), log[0].Message)

	code, stdout, _ = run(env, "-repo", repo.URL(), "-image", "reg.io/web=build-10")
	assert.Equal(t, 0, code)
	assert.True(t, parse(stdout).Noop)

	code, stdout, stderr = run(env, "-repo", repo.URL(), "-image", "reg.io/web=build-9", "-supersede", "build")
	assert.Equal(t, 1, code)
	assert.True(t, parse(stdout).Superseded)
	assert.Contains(t, stderr, "build-10")

	code, _, stderr = run(env, "-repo", repo.URL(), "-image", "reg.io/webb=v1")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "reg.io/web", "near match")

	for says, args := range map[string][]string{
		"-repo is required":        {},
		"-image is required":       {"-repo", repo.URL()},
		`unexpected argument "x"`:  {"-repo", repo.URL(), "-image", "a=b", "x"},
		"not the name of a branch": {"-repo", repo.URL(), "-image", "a=b", "-branch", "--upload-pack=x"},
		`path "../x"`:              {"-repo", repo.URL(), "-image", "a=b", "-path", "../x"},
		"want build or semver":     {"-repo", repo.URL(), "-image", "a=b", "-supersede", "x"},
		"plain http":               {"-repo", "http://git.example.test/x", "-image", "a=b"},
		"Message: template":        {"-repo", repo.URL(), "-image", "a=b", "-message", "{{.X}}"},
		"SSH_KEY_FILE is required": {"-repo", "git@localhost:x.git", "-image", "a=b"},
		"want https://host/path":   {"-repo", "/srv/x.git", "-image", "a=b"},
		"is not a tag":             {"-repo", repo.URL(), "-image", "a=b:"},
	} {
		code, _, stderr := run(env, args...)
		assert.Equal(t, 2, code, stderr)
		assert.Contains(t, stderr, says)
	}
	code, _, stderr = run(nil, "-repo", repo.URL(), "-image", "reg.io/web=v1")
	assert.Equal(t, 3, code, stderr)
	assert.Contains(t, stderr, "access denied")
	code, _, stderr = run([]string{"GIT_TOKEN=wr0ng"}, "-repo", repo.URL(), "-image", "reg.io/web=v1")
	assert.Equal(t, 3, code, stderr)
	assert.NotContains(t, stderr, "wr0ng")
	code, _, stderr = run(env, "-repo", srv.URL+"/absent.git", "-image", "reg.io/web=v1")
	assert.Equal(t, 3, code, stderr)
	code, _, stderr = run(env, "-h")
	assert.Equal(t, 0, code)
	assert.Contains(t, stderr, "-supersede")
}
