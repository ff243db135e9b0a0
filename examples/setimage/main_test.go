package main_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// program builds the program once and returns how to run it, with an empty PATH.
func program(t *testing.T) func(args ...string) (code int, stdout, stderr string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "setimage")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return func(args ...string) (int, string, string) {
		cmd := exec.CommandContext(t.Context(), bin, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, []string{"PATH="}
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			require.NoError(t, err)
		}
		return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	}
}

func TestSetimage(t *testing.T) {
	run := program(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o640))
		return path
	}
	read := func(path string) string {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(data)
	}
	web := write("apps/web.yaml", "# web\r\nimage: 'reg.io/web:v1' # keep\r\n")
	values := write("values.yaml", "image:\n  repository: reg.io/api\n  tag: 1.0\n")
	template := write("templates/x.yaml", "{{- if .Values.on }}\nimage: reg.io/web:v1\n{{- end }}\n")

	code, stdout, stderr := run("-image", "reg.io/web=v2", "-image", "reg.io/api=1.10", "-dry-run", dir)
	assert.Equal(t, 0, code, stderr)
	want := `{"changes":[{"file":"` + web + `","line":2,"path":"/image","old":"reg.io/web:v1","new":"reg.io/web:v2"},` +
		`{"file":"` + values + `","line":3,"path":"/image/tag","old":"1.0","new":"1.10"}],"skipped":["` + template + `"]}` + "\n"
	assert.Equal(t, want, stdout)
	assert.Contains(t, read(web), "v1", "dry run")

	code, stdout, _ = run("-image", "reg.io/web=v2", "-image", "reg.io/nowhere=v2", dir)
	assert.Equal(t, 1, code)
	assert.Contains(t, stdout, `{"changes":[],`)
	assert.Contains(t, read(web), "v1", "one image missing, nothing written")

	broken := write("broken.yaml", "a: b: c\n")
	code, _, stderr = run("-image", "reg.io/web=v2", dir)
	assert.Equal(t, 3, code)
	assert.Contains(t, stderr, "broken.yaml:1:5")
	assert.Contains(t, read(web), "v1")
	require.NoError(t, os.Remove(broken))

	code, stdout, stderr = run("-image", "reg.io/web=v2", "-image", "reg.io/api=1.10", dir)
	assert.Equal(t, 0, code, stderr)
	assert.Equal(t, want, stdout)
	assert.Equal(t, "# web\r\nimage: 'reg.io/web:v2' # keep\r\n", read(web))
	assert.Equal(t, "image:\n  repository: reg.io/api\n  tag: \"1.10\"\n", read(values))
	assert.Contains(t, read(template), "v1")
	info, err := os.Stat(web)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(web))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")

	code, stdout, _ = run("-image", "reg.io/web=v2", web)
	assert.Equal(t, 0, code, "already so")
	assert.Equal(t, `{"changes":[]}`+"\n", stdout)

	for name, args := range map[string][]string{
		"no image": {web}, "no file": {"-image", "a=b"}, "no equals": {"-image", "a", web}, "bad image": {"-image", "A B=v1", web}, "flag": {"-x"},
	} {
		code, _, _ := run(args...)
		assert.Equal(t, 2, code, name)
	}
	code, _, stderr = run("-h")
	assert.Equal(t, 0, code)
	assert.Contains(t, stderr, "-dry-run")
	code, _, _ = run("-image", "a=b", filepath.Join(dir, "absent"))
	assert.Equal(t, 3, code)
}
