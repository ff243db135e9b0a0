package docker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/docker"
)

func contextDir(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /\n"), 0o644))
	return dir
}

func TestBuild_invalid(t *testing.T) {
	dir := contextDir(t)
	secret := map[string]func(context.Context) (string, error){"a,b": nil}
	_, err := docker.Build(t.Context(), docker.Spec{
		BuildArgs: map[string]string{"A=B": "c"}, Secrets: secret, Target: "--push", Created: time.Unix(-1, 0), Platforms: []string{"a/b", "c/d"},
	}, filepath.Join(dir, "out"), &docker.Options{Builder: docker.Docker, Address: "unix:///s", Name: "n", Key: "k"})
	require.ErrorIs(t, err, image.ErrInvalid)
	for _, field := range []string{
		"Spec.Context", "Spec.BuildArgs", "Spec.Secrets", "Spec.Target", "Spec.Created",
		"Options.Address: set together with Name", "Options.Address, Name", "Options.Builder",
	} {
		assert.ErrorContains(t, err, field, "all at once")
	}
}

func TestBuild_remoteNeedsTLS(t *testing.T) {
	pem := filepath.Join(t.TempDir(), "x.pem")
	require.NoError(t, os.WriteFile(pem, nil, 0o600))
	for name, o := range map[string]*docker.Options{
		"no TLS to another machine": {Address: "tcp://buildkit.example.com:1234"},
		"no TLS to another address": {Address: "tcp://10.0.0.7:1234"},
		"TLS to a socket":           {Address: "unix:///s", CACert: pem},
		"TLS to nowhere":            {CACert: pem},
		"a certificate without key": {Address: "tcp://buildkit.example.com:1234", CACert: pem, Cert: pem},
		"no authority":              {Address: "tcp://buildkit.example.com:1234", Cert: pem, Key: pem},
		"no such file":              {Address: "tcp://buildkit.example.com:1234", CACert: pem + "x"},
		"a list of files":           {Address: "tcp://buildkit.example.com:1234", CACert: pem + ",key=" + pem},
	} {
		_, err := docker.Build(t.Context(), docker.Spec{Context: contextDir(t)}, filepath.Join(t.TempDir(), "out"), o)
		require.ErrorIs(t, err, image.ErrInvalid, name)
	}
	for name, o := range map[string]*docker.Options{
		"allowed": {Address: "tcp://buildkit.example.com:1234", AllowInsecureTCP: true}, "this machine": {Address: "tcp://127.0.0.1:1234"},
		"TLS": {Address: "tcp://buildkit.example.com:1234", CACert: pem}, "mutual": {Address: "tcp://buildkit.example.com:1234", CACert: pem, Cert: pem, Key: pem},
	} {
		o.BuildxCommand = standIn(t, "echo ERROR: no builder >&2; exit 1\n")
		_, err := docker.Build(t.Context(), docker.Spec{Context: contextDir(t)}, filepath.Join(t.TempDir(), "out"), o)
		require.ErrorIs(t, err, image.ErrUnavailable, name)
	}
}

func TestBuild_missing(t *testing.T) {
	dir := contextDir(t)
	_, err := docker.Build(t.Context(), docker.Spec{Context: dir, File: "nowhere"}, t.TempDir(), nil)
	require.ErrorIs(t, err, image.ErrNotFound)
	_, err = docker.Build(t.Context(), docker.Spec{Context: filepath.Join(dir, "nowhere")}, t.TempDir(), nil)
	require.ErrorIs(t, err, image.ErrNotFound)
}

func TestBuild_noBuilder(t *testing.T) {
	t.Setenv("PATH", "")
	_, err := docker.Build(t.Context(), docker.Spec{Context: contextDir(t)}, filepath.Join(t.TempDir(), "out"), nil)
	require.ErrorIs(t, err, image.ErrUnavailable)
	assert.ErrorContains(t, err, "docker-buildx")
	e := new(image.Error)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "docker build", e.Op)
}

func TestBuild_secretFails(t *testing.T) {
	locked := errors.New("store is locked")
	_, err := docker.Build(t.Context(), docker.Spec{Context: contextDir(t), Secrets: map[string]func(context.Context) (string, error){
		"token": func(context.Context) (string, error) { return "", locked },
	}}, t.TempDir(), nil)
	require.ErrorIs(t, err, locked)
}

// standIn is a builder command that prints what a real one printed.
func standIn(tb testing.TB, script string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "builder")
	require.NoError(tb, os.WriteFile(path, []byte("#!/bin/sh\ncase $1 in create) exit;; esac\n"+script), 0o755))
	return path
}

// What cannot take a layout is refused before anything is built.
func TestBuild_directoryOfTheLayout(t *testing.T) {
	foreign := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "precious"), nil, 0o644))
	ran := filepath.Join(t.TempDir(), "ran")
	builder := standIn(t, "touch "+ran+"; exit 1\n")
	for name, dir := range map[string]string{"other files": foreign, "a file": filepath.Join(foreign, "precious"), "no name": ""} {
		for _, o := range []docker.Options{
			{Builder: docker.Docker, DockerCommand: builder}, {Address: "unix:///s", BuildxCommand: builder},
		} {
			_, err := docker.Build(t.Context(), docker.Spec{Context: contextDir(t)}, dir, &o)
			require.ErrorIs(t, err, image.ErrInvalid, name)
			assert.NoFileExists(t, ran, name)
		}
	}
}

// An engine without BuildKit that builds for its own platform and not for the one asked for has not done what was asked.
func TestBuild_otherPlatform(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "saved")
	engine := standIn(t, fmt.Sprintf(`case $1 in
build) echo sha256:1 >"$3";;
inspect) echo linux/amd64;;
save) touch %s; exit 1;;
esac
`, saved))
	for asked, refused := range map[string]bool{"linux/amd64": false, "linux/amd64/v2": false, "linux/arm64": true, "windows/amd64": true} {
		_ = os.Remove(saved)
		dir := filepath.Join(t.TempDir(), "out")
		_, err := docker.Build(t.Context(), docker.Spec{Context: contextDir(t), Platforms: []string{asked}}, dir,
			&docker.Options{Builder: docker.Docker, DockerCommand: engine})
		require.ErrorIs(t, err, image.ErrBuild, asked)
		if !refused {
			assert.FileExists(t, saved, asked)
			continue
		}
		assert.ErrorContains(t, err, "built for linux/amd64, not for "+asked)
		assert.NoFileExists(t, saved, asked)
	}
	for _, asked := range []string{"", "arm64", "linux/", "linux/arm/v7/x", "linux/arm64 "} {
		_, err := docker.Build(t.Context(), docker.Spec{Context: contextDir(t), Platforms: []string{asked}}, t.TempDir(), &docker.Options{DockerCommand: engine})
		require.ErrorIs(t, err, image.ErrInvalid, asked)
	}
}

// A build that is given up says so, and not that its archive was.
func TestBuild_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	script := "echo started >&2; exec sleep 60\n"
	_, err := docker.Build(ctx, docker.Spec{Context: contextDir(t)}, filepath.Join(t.TempDir(), "out"),
		&docker.Options{Address: "unix:///s", BuildxCommand: standIn(t, script), Progress: func(docker.Event) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "docker build")
	assert.NotContains(t, err.Error(), "import")
}

// When what comes is no image, nobody waits for the rest.
func TestBuild_refusedArchive(t *testing.T) {
	start := time.Now()
	_, err := docker.Build(t.Context(), docker.Spec{Context: contextDir(t)}, filepath.Join(t.TempDir(), "out"), &docker.Options{
		Address: "unix:///s", BuildxCommand: standIn(t, "head -c 4096 /dev/urandom; exec sleep 60\n"),
	})
	require.ErrorIs(t, err, image.ErrInvalid)
	require.NotErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(start), 30*time.Second)
}

// What the builders say when they fail, recorded from buildx 0.38 and Docker 20.10, and the kinds it must give.
func TestBuild_classifies(t *testing.T) {
	tests := []struct {
		says string
		want error
	}{
		{`ERROR: failed to build: failed to solve: process "/server fail" did not complete successfully: exit code: 3`, image.ErrBuild},
		{"The command '/tool' returned a non-zero code: 3", image.ErrBuild},
		{`ERROR: failed to build: failed to solve: dockerfile parse error on line 1: unknown instruction: FRM (did you mean FROM?)`, image.ErrBuild},
		{`ERROR: failed to build: failed to solve: failed to compute cache key: failed to calculate checksum of ref x: "/nofile": not found`, image.ErrBuild},
		{"COPY failed: file not found in build context or excluded by .dockerignore: stat nofile: file does not exist", image.ErrBuild},
		{`ERROR: failed to build: failed to solve: 127.0.0.1:5/b:1: failed to resolve source metadata for 127.0.0.1:5/b:1: 127.0.0.1:5/b:1: not found`, image.ErrNotFound},
		{"manifest for 127.0.0.1:5/b:1 not found: manifest unknown: manifest unknown", image.ErrNotFound},
		{"ERROR: failed to build: failed to solve: target stage \"nostage\" could not be found", image.ErrNotFound},
		{"ERROR: failed to build: context deadline exceeded", image.ErrUnavailable},
		{"Cannot connect to the Docker daemon at unix:///nowhere. Is the docker daemon running?", image.ErrUnavailable},
		{"ERROR: failed to connect to the docker API at unix:///nowhere; check if the path is correct and if the daemon is running: dial unix /nowhere: connect: no such file or directory", image.ErrUnavailable},
		{"permission denied while trying to connect to the Docker daemon socket at unix:///s", image.ErrDenied},
		{`ERROR: no builder "nobuilder" found`, image.ErrUnavailable},
		{"pull access denied for x, repository does not exist or may require 'docker login'", image.ErrDenied},
	}
	for _, tt := range tests {
		t.Run(tt.says, func(t *testing.T) {
			script := fmt.Sprintf("cat >&2 <<'END'\n%s\nEND\nexit 1\n", tt.says)
			_, err := docker.Build(t.Context(), docker.Spec{Context: contextDir(t)}, filepath.Join(t.TempDir(), "out"),
				&docker.Options{Address: "unix:///s", BuildxCommand: standIn(t, script)})
			require.ErrorIs(t, err, tt.want)
			assert.ErrorContains(t, err, strings.TrimPrefix(tt.says, "ERROR: "), "the builder's own words")
		})
	}
}

func TestBuild_events(t *testing.T) {
	const script = `cat >&2 <<'END'
{"vertexes":[{"digest":"sha256:1","name":"[1/2] COPY a /a","started":"2026-01-01T00:00:00Z"}]}
{"vertexes":[{"digest":"sha256:1","name":"[1/2] COPY a /a","started":"2026-01-01T00:00:00Z"}]}
{"statuses":[{"id":"transferring","vertex":"sha256:1","current":5,"total":10}]}
{"vertexes":[{"digest":"sha256:1","name":"[1/2] COPY a /a","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:01Z"}]}
{"vertexes":[{"digest":"sha256:2","name":"[2/2] RUN make","started":"2026-01-01T00:00:00Z"}]}
{"logs":[{"vertex":"sha256:2","data":"dG9rZW4gaXMgaHVudGVyMgo="}]}
{"vertexes":[{"digest":"sha256:2","name":"[2/2] RUN make","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:01Z","error":"exit code: 2"}]}
{"warnings":[{"vertex":"sha256:2","short":"b2xkIHN5bnRheA=="}]}
not JSON
ERROR: failed to solve: process "make" did not complete successfully: exit code: 2
END
exit 1
`
	var got []string
	_, err := docker.Build(t.Context(), docker.Spec{
		Context: contextDir(t),
		Secrets: map[string]func(context.Context) (string, error){"t": func(context.Context) (string, error) { return "hunter2\n", nil }},
	}, filepath.Join(t.TempDir(), "out"), &docker.Options{
		Address: "unix:///s", BuildxCommand: standIn(t, script),
		Progress: func(e docker.Event) {
			got = append(got, fmt.Sprintf("%s|%s|%s|%d/%d", e.Kind, e.Step, e.Text, e.Current, e.Total))
		},
	})
	require.ErrorIs(t, err, image.ErrBuild)
	assert.ErrorContains(t, err, "token is [redacted]", "the end of the failed step's output")
	assert.NotContains(t, err.Error(), "hunter2")
	assert.Equal(t, []string{
		"started|[1/2] COPY a /a||0/0",
		"progress|[1/2] COPY a /a|transferring|5/10",
		"done|[1/2] COPY a /a||0/0",
		"started|[2/2] RUN make||0/0",
		"log|[2/2] RUN make|token is [redacted]|0/0",
		"failed|[2/2] RUN make|exit code: 2|0/0",
		"warning|[2/2] RUN make|old syntax|0/0",
		"log||not JSON|0/0",
		`log||ERROR: failed to solve: process "make" did not complete successfully: exit code: 2|0/0`,
	}, got)
}

// A step prints a secret line by line, and one secret may begin another.
func TestBuild_secretsOfSeveralLines(t *testing.T) {
	const script = "printf '%s\\n' \"$BUILD_SECRET_0\" \"$BUILD_SECRET_1\" >&2; exit 1\n"
	value := func(s string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return s, nil }
	}
	var said strings.Builder
	_, err := docker.Build(t.Context(), docker.Spec{
		Context: contextDir(t), Secrets: map[string]func(context.Context) (string, error){"a": value("hunter2"), "b": value("hunter2-and-more\nsecond line of it\n")},
	}, filepath.Join(t.TempDir(), "out"), &docker.Options{
		Address: "unix:///s", BuildxCommand: standIn(t, script), Progress: func(e docker.Event) { said.WriteString(e.Text + "\n") },
	})
	require.Error(t, err)
	for _, part := range []string{"hunter2", "and-more", "second line"} {
		assert.NotContains(t, err.Error()+said.String(), part)
	}
	assert.Contains(t, said.String(), "[redacted]\n[redacted]\n[redacted]")
}

// The builder's arguments hold no secret, and its environment does.
func TestBuild_secretsAreNoArguments(t *testing.T) {
	out := filepath.Join(t.TempDir(), "seen")
	script := fmt.Sprintf("echo \"$@\" >%s.args; env >%s.env; exit 1\n", out, out)
	_, err := docker.Build(t.Context(), docker.Spec{
		Context: contextDir(t),
		Secrets: map[string]func(context.Context) (string, error){"token": func(context.Context) (string, error) { return "hunter2", nil }},
	}, filepath.Join(t.TempDir(), "out"), &docker.Options{Address: "unix:///s", BuildxCommand: standIn(t, script)})
	require.Error(t, err)
	args, err := os.ReadFile(out + ".args")
	require.NoError(t, err)
	assert.Contains(t, string(args), "--secret id=token,env=BUILD_SECRET_0")
	assert.NotContains(t, string(args), "hunter2")
	env, err := os.ReadFile(out + ".env")
	require.NoError(t, err)
	assert.Contains(t, string(env), "BUILD_SECRET_0=hunter2")
}
