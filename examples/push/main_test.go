package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
)

type result struct {
	Ref       string
	Digest    string
	Platforms []string
	Layers    []struct {
		Digest string
		Bytes  int64
		Status string
	}
	Seconds float64
}

type program struct {
	path string
	env  []string
}

func build(t *testing.T) *program {
	t.Helper()
	p := &program{path: filepath.Join(t.TempDir(), "push"), env: append(os.Environ(), "DOCKER_CONFIG="+t.TempDir(), "SOURCE_DATE_EPOCH=")}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", p.path, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return p
}

// hello is a small Go program in a module of its own.
func hello(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/hello\n\ngo 1.26\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { println(\"hello\") }\n"), 0o644))
	return dir
}

// run returns what the program printed and its exit code.
func (p *program) run(t *testing.T, args ...string) (r result, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), p.path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, p.env
	if err := cmd.Run(); err != nil {
		exit := new(exec.ExitError)
		require.True(t, errors.As(err, &exit), err)
		assert.Empty(t, out.String(), "an answer only when there is one")
		return r, errs.String(), exit.ExitCode()
	}
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&r), out.String())
	return r, errs.String(), 0
}

func TestPush(t *testing.T) {
	p := build(t)
	reg := imagetest.NewServer(t, nil)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello"), []byte("hi"), 0o644))
	ref := reg.Host() + "/app:1"

	r, _, code := p.run(t, "-user", "65532", "-env", "A=1", "-env", "B=2", "-port", "8080", "-label", "team=shop",
		"-entrypoint", `["/hello","-v"]`, "-layout", filepath.Join(dir, "..", "layout"), "dir:"+dir, ref)
	require.Equal(t, 0, code)
	assert.Equal(t, ref+"@"+r.Digest, r.Ref)
	assert.Len(t, r.Platforms, 1)
	require.Len(t, r.Layers, 1, "the configuration is no layer")
	assert.Equal(t, "uploaded", r.Layers[0].Status)
	assert.Positive(t, r.Seconds)

	l, err := image.Open(t.Context(), filepath.Join(dir, "..", "layout"), nil)
	require.NoError(t, err)
	assert.Equal(t, r.Digest, l.Digest())
	c, err := l.Config(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, []string{"/hello", "-v"}, c.Config.Entrypoint)
	assert.Equal(t, "shop", c.Config.Labels["team"])
	assert.Subset(t, c.Config.Env, []string{"A=1", "B=2"})
	assert.Equal(t, "65532", c.Config.User)

	again, _, code := p.run(t, l.Dir(), ref)
	require.Equal(t, 0, code)
	assert.Equal(t, "present", again.Layers[0].Status, "a bare path that holds oci-layout is a layout")

	onBase, _, code := p.run(t, "-base", ref, "go:"+hello(t), reg.Host()+"/other:1")
	require.Equal(t, 0, code)
	assert.Len(t, onBase.Layers, 2)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello"), []byte("changed"), 0o644))
	_, stderr, code := p.run(t, dir, ref)
	assert.Equal(t, 1, code, stderr)
	moved, _, code := p.run(t, "-force-tag", dir, ref)
	require.Equal(t, 0, code)
	assert.NotEqual(t, r.Digest, moved.Digest)
}

func TestPush_buildOnly(t *testing.T) {
	p := build(t)
	layout := filepath.Join(t.TempDir(), "layout")
	r, _, code := p.run(t, "-platform", "linux/amd64,linux/arm64", "-layout", layout, "go:"+hello(t))
	require.Equal(t, 0, code)
	assert.Empty(t, r.Ref)
	assert.Equal(t, []string{"linux/amd64", "linux/arm64"}, r.Platforms)
	assert.Equal(t, "built", r.Layers[0].Status)
	_, err := image.Open(t.Context(), layout, nil)
	require.NoError(t, err)
}

func TestPush_login(t *testing.T) {
	p := build(t)
	reg := imagetest.NewServer(t, &imagetest.Options{User: "ci", Password: "hunter2", Token: true})
	_, stderr, code := p.run(t, t.TempDir(), reg.Host()+"/app:1")
	assert.Equal(t, 3, code, stderr)
	config := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte("ci:hunter2"))
	require.NoError(t, os.WriteFile(filepath.Join(config, "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, reg.Host(), auth), 0o600))
	p.env = append(p.env, "DOCKER_CONFIG="+config)
	_, stderr, code = p.run(t, t.TempDir(), reg.Host()+"/app:1")
	assert.Equal(t, 0, code, stderr)
}

func TestPush_exitCodes(t *testing.T) {
	p := build(t)
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"help", []string{"-h"}, -1},
		{"nothing", nil, 2},
		{"unknown flag", []string{"-x", "dir:."}, 2},
		{"three arguments", []string{"a", "b", "c"}, 2},
		{"builder for another source", []string{"-builder", "docker", "dir:."}, 2},
		{"flag without use", []string{"-user", "u", "layout:."}, 2},
		{"entrypoint is no JSON", []string{"-entrypoint", "/app", "dir:."}, 2},
		{"bad reference", []string{t.TempDir(), "UPPER CASE"}, 2},
		{"unset reference", []string{t.TempDir(), ""}, 2},
		{"bad port", []string{"-port", "http", t.TempDir()}, 2},
		{"no such directory", []string{"dir:nowhere"}, 3},
		{"no layout", []string{"layout:" + t.TempDir()}, 3},
		{"does not compile", []string{"go:./nowhere"}, 3},
		{"nobody there", []string{t.TempDir(), "127.0.0.1:1/app:1"}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want < 0 {
				out, err := exec.CommandContext(t.Context(), p.path, tt.args...).CombinedOutput()
				require.NoError(t, err)
				assert.Contains(t, string(out), "SOURCE")
				return
			}
			_, stderr, code := p.run(t, tt.args...)
			assert.Equal(t, tt.want, code, stderr)
			assert.NotEmpty(t, stderr)
		})
	}
}
