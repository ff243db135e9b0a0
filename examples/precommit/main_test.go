package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The built program becomes the hook of a real repository, and git heeds it.
func TestHook(t *testing.T) {
	program := filepath.Join(t.TempDir(), "precommit")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	dir := t.TempDir()
	git := func(args ...string) (string, error) {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=A", "-c", "user.email=a@example.com"}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		_, err := git("add", name)
		require.NoError(t, err)
	}
	_, err = git("init", "-q")
	require.NoError(t, err)
	out, err = exec.Command(program, "install", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "hooks/pre-commit")

	write("notes.txt", "hello\n")
	start := time.Now()
	said, err := git("commit", "-m", "fine")
	require.NoError(t, err, said)
	t.Logf("a commit of one small file took %v:\n%s", time.Since(start), said)

	secret := "AKIA" + "Q3ZL5XWT7MVN2KPB"
	write("deploy.env", "key "+secret+"\n")
	refused := func(args ...string) {
		t.Helper()
		said, err := git(args...)
		require.Error(t, err)
		assert.Contains(t, said, "deploy.env:1")
		assert.NotContains(t, said, secret)
	}
	refused("commit", "-m", "oops")

	// What counts is what is staged: a secret that is gone from the file is still in the index, one that was only
	// written to the file is not yet in it, unless the commit takes it along.
	edit := func(content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "deploy.env"), []byte(content), 0o600))
	}
	edit("key from the vault\n")
	refused("commit", "-m", "oops")
	_, err = git("add", "deploy.env")
	require.NoError(t, err)
	edit("key " + secret + "\n")
	said, err = git("commit", "-m", "fine")
	require.NoError(t, err, said)
	refused("commit", "-a", "-m", "oops")
	refused("commit", "-m", "oops", "deploy.env")

	write("deploy.env", "key from the vault\n")
	write("go.mod", "module example.com/x\n\ngo 1.22\n")
	write("x.go", "package x\n\nfunc X() int { return 1 }\n")
	write("x_test.go", "package x\n\nimport \"testing\"\n\nfunc TestX(t *testing.T) {\n\tif X() != 2 {\n\t\tt.Fatal(\"not 2\")\n\t}\n}\n")
	said, err = git("commit", "-m", "failing test")
	require.Error(t, err)
	assert.Contains(t, said, "not 2")

	write("x.go", "package x\n\nfunc X() int { return 2 }\n")
	said, err = git("commit", "-m", "good")
	require.NoError(t, err, said)
	assert.Equal(t, 4, strings.Count(said, "clean "), said)
}

func TestRun_usage(t *testing.T) {
	var out bytes.Buffer
	assert.Equal(t, 2, run(t.Context(), []string{"a", "b"}, &out, &out))
	assert.Equal(t, 2, run(t.Context(), []string{"-x"}, &out, &out))
	assert.Equal(t, 0, run(t.Context(), []string{"-h"}, &out, &out))
	assert.Equal(t, 3, run(t.Context(), []string{t.TempDir()}, &out, &out))
}
