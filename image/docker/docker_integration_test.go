//go:build integration

package docker_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/docker"
	"github.com/waybill-dev/waybill/image/imagetest"
	"github.com/waybill-dev/waybill/internal/testbed"
)

// A builder under test.
type builder struct {
	name string
	opts func(t *testing.T) *docker.Options
}

var builders = []builder{
	{"buildx", func(t *testing.T) *docker.Options {
		t.Helper()
		return &docker.Options{Builder: docker.Buildx, Address: testbed.BuildKitd(t), BuildxCommand: testbed.Require(t, testbed.Buildx).Path}
	}},
	{"docker", func(t *testing.T) *docker.Options {
		t.Helper()
		return &docker.Options{Builder: docker.Docker, Host: testbed.Dockerd(t), DockerCommand: testbed.DockerClient(t)}
	}},
}

const service = `package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "fail" {
		fmt.Println("the tool says no", os.Getenv("LEAK"))
		os.Exit(3)
	}
	if len(os.Args) > 1 && os.Args[1] == "wait" {
		select {}
	}
	if len(os.Args) > 1 && os.Args[1] == "secret" {
		b, err := os.ReadFile("/run/secrets/token")
		fmt.Println("secret is", string(b), err)
		if err != nil || string(b) != "hunter2hunter2" {
			os.Exit(4)
		}
		return
	}
	http.ListenAndServe(os.Getenv("LISTEN"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello from ", os.Getenv("NAME"))
	}))
}
`

const dockerfile = `FROM scratch AS base
COPY server /server
USER 65532:65532
ENV NAME=cart
ENV LISTEN=127.0.0.1:8080
EXPOSE 8080
WORKDIR /
ENTRYPOINT ["/server"]
FROM base AS debug
ENV NAME=debug
FROM base
`

// source is a service with a Dockerfile.
func source(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "src/main.go", service)
	write(t, dir, "src/go.mod", "module example.com/server\n\ngo 1.26\n")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", "../server", ".")
	cmd.Dir = filepath.Join(dir, "src")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	write(t, dir, "Dockerfile", dockerfile)
	return dir
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func TestBuild(t *testing.T) {
	for _, b := range builders {
		t.Run(b.name, func(t *testing.T) {
			opts := b.opts(t)
			build := func(t *testing.T, s docker.Spec) (*image.Layout, error) {
				t.Helper()
				return docker.Build(t.Context(), s, filepath.Join(t.TempDir(), "layout"), opts)
			}
			src := source(t)

			t.Run("same configuration without a daemon", func(t *testing.T) {
				l, err := build(t, docker.Spec{Context: src, Revision: "abc", Labels: map[string]string{"team": "shop"}})
				require.NoError(t, err)
				require.NoError(t, l.Verify(t.Context()))
				other, err := image.Build(t.Context(), image.Spec{
					Layers: []image.Source{image.GoProgram{Package: ".", Dir: filepath.Join(src, "src"), Path: "/server"}},
					User:   "65532:65532", Env: []string{"NAME=cart", "LISTEN=127.0.0.1:8080"}, Ports: []string{"8080"},
					Revision: "abc", Labels: map[string]string{"team": "shop"},
				}, filepath.Join(t.TempDir(), "layout"), nil)
				require.NoError(t, err)
				have, err := l.Config(t.Context(), "")
				require.NoError(t, err)
				want, err := other.Config(t.Context(), "")
				require.NoError(t, err)
				assert.Equal(t, want.Config, have.Config)
				assert.Equal(t, "hello from cart", answer(t, other), "the image that was built without a daemon runs as well")
				assert.Equal(t, want.OS+"/"+want.Architecture, have.OS+"/"+have.Architecture)
				assert.Equal(t, want.Created, have.Created)
				m, err := l.Manifest(t.Context(), "")
				require.NoError(t, err)
				assert.Equal(t, "abc", m.Annotations["org.opencontainers.image.revision"])
				assert.Equal(t, "application/vnd.oci.image.manifest.v1+json", l.MediaType())
			})

			t.Run("pushed, run and answering", func(t *testing.T) {
				l, err := build(t, docker.Spec{Context: src})
				require.NoError(t, err)
				assert.Equal(t, "hello from cart", answer(t, l))
				reg := testbed.Registry(t)
				c, err := image.New(nil)
				require.NoError(t, err)
				p, err := c.Push(t.Context(), l, []string{reg + "/shop/cart:1"}, nil)
				require.NoError(t, err)
				assert.Equal(t, l.Digest(), p.Digest)
			})

			t.Run("target, build argument, other file", func(t *testing.T) {
				write(t, src, "other/File", "FROM scratch AS a\nARG WHO=nobody\nLABEL who=$WHO\nCOPY Dockerfile /\nFROM a\nLABEL last=yes\n")
				l, err := build(t, docker.Spec{Context: src, File: "other/File", Target: "a", BuildArgs: map[string]string{"WHO": "me"}})
				require.NoError(t, err)
				c, err := l.Config(t.Context(), "")
				require.NoError(t, err)
				assert.Equal(t, "me", c.Config.Labels["who"])
				assert.NotContains(t, c.Config.Labels, "last")
			})

			t.Run("dockerignore", func(t *testing.T) {
				dir := t.TempDir()
				write(t, dir, "Dockerfile", "FROM scratch\nCOPY . /\n")
				write(t, dir, "kept", "1")
				write(t, dir, "secret.env", "2")
				write(t, dir, ".dockerignore", "*.env\nDockerfile\n.dockerignore\n")
				l, err := build(t, docker.Spec{Context: dir})
				require.NoError(t, err)
				root := filepath.Join(t.TempDir(), "root")
				require.NoError(t, l.Extract(t.Context(), root, nil))
				assert.FileExists(t, filepath.Join(root, "kept"))
				assert.NoFileExists(t, filepath.Join(root, "secret.env"))
			})

			t.Run("failing RUN", func(t *testing.T) {
				write(t, src, "fail", "FROM scratch\nCOPY server /server\nRUN [\"/server\", \"fail\"]\n")
				_, err := build(t, docker.Spec{Context: src, File: "fail"})
				require.ErrorIs(t, err, image.ErrBuild)
				assert.ErrorContains(t, err, "the tool says no", "the end of the step's output")
				assert.Equal(t, 1, strings.Count(err.Error(), "image: "), err)
			})

			t.Run("missing base", func(t *testing.T) {
				reg := imagetest.NewServer(t, nil)
				write(t, src, "nobase", "FROM "+reg.Host()+"/none/base:1\n")
				_, err := build(t, docker.Spec{Context: src, File: "nobase"})
				require.ErrorIs(t, err, image.ErrNotFound)
				write(t, src, "awaybase", "FROM 127.0.0.1:1/none/base:1\n")
				_, err = build(t, docker.Spec{Context: src, File: "awaybase"})
				require.ErrorIs(t, err, image.ErrUnavailable)
			})

			t.Run("missing file to copy, bad Dockerfile, no such stage", func(t *testing.T) {
				write(t, src, "nocopy", "FROM scratch\nCOPY nowhere /\n")
				_, err := build(t, docker.Spec{Context: src, File: "nocopy"})
				require.ErrorIs(t, err, image.ErrBuild)
				write(t, src, "syntax", "FRM scratch\n")
				_, err = build(t, docker.Spec{Context: src, File: "syntax"})
				require.ErrorIs(t, err, image.ErrBuild)
				_, err = build(t, docker.Spec{Context: src, Target: "nostage"})
				require.ErrorIs(t, err, image.ErrNotFound)
			})

			t.Run("cancelled", func(t *testing.T) {
				write(t, src, "wait", "FROM scratch\nCOPY server /server\nRUN [\"/server\", \"wait\"]\n")
				ctx, cancel := context.WithCancel(t.Context())
				o := *opts
				var once sync.Once
				o.Progress = func(e docker.Event) {
					if strings.Contains(e.Step+e.Text, "RUN [\"/server\"") {
						once.Do(cancel)
					}
				}
				start := time.Now()
				dir := filepath.Join(t.TempDir(), "layout")
				_, err := docker.Build(ctx, docker.Spec{Context: src, File: "wait"}, dir, &o)
				require.ErrorIs(t, err, context.Canceled)
				assert.Less(t, time.Since(start), 30*time.Second)
				_, err = image.Open(t.Context(), dir, nil)
				require.ErrorIs(t, err, image.ErrNotFound, "nothing is left that looks like an image")
			})

			t.Run("builder away", func(t *testing.T) {
				o := *opts
				if o.Address != "" {
					o.Address = "unix:///nowhere/buildkitd.sock"
				} else {
					o.Host = "unix:///nowhere/docker.sock"
				}
				_, err := docker.Build(t.Context(), docker.Spec{Context: src}, filepath.Join(t.TempDir(), "layout"), &o)
				require.ErrorIs(t, err, image.ErrUnavailable)
			})
		})
	}
}

func TestBuild_buildKit(t *testing.T) {
	opts := builders[0].opts(t)
	src := source(t)

	t.Run("secret", func(t *testing.T) {
		write(t, src, "secret", "FROM scratch\nCOPY server /server\nRUN --mount=type=secret,id=token [\"/server\", \"secret\"]\n")
		var said []string
		o := *opts
		o.Progress = func(e docker.Event) { said = append(said, e.Text) }
		l, err := docker.Build(t.Context(), docker.Spec{Context: src, File: "secret", Secrets: map[string]func(context.Context) (string, error){
			"token": func(context.Context) (string, error) { return "hunter2hunter2", nil },
		}}, filepath.Join(t.TempDir(), "layout"), &o)
		require.NoError(t, err)
		assert.Contains(t, strings.Join(said, "\n"), "secret is [redacted]")
		assert.NotContains(t, strings.Join(said, "\n"), "hunter2")
		c, err := l.Config(t.Context(), "")
		require.NoError(t, err)
		assert.NotContains(t, fmt.Sprint(c), "hunter2")
	})

	t.Run("reproducible", func(t *testing.T) {
		var digests []string
		for range 2 {
			l, err := docker.Build(t.Context(), docker.Spec{Context: src, NoCache: true}, filepath.Join(t.TempDir(), "layout"), opts)
			require.NoError(t, err)
			digests = append(digests, l.Digest())
		}
		assert.Equal(t, digests[0], digests[1])
	})

	t.Run("several platforms", func(t *testing.T) {
		l, err := docker.Build(t.Context(), docker.Spec{Context: src, Platforms: []string{"linux/amd64", "linux/arm64"}}, filepath.Join(t.TempDir(), "layout"), opts)
		require.NoError(t, err)
		assert.Equal(t, []string{"linux/amd64", "linux/arm64"}, l.Platforms())
	})

	t.Run("base from a layout", func(t *testing.T) {
		base := filepath.Join(t.TempDir(), "base")
		_, err := image.Build(t.Context(), image.Spec{Layers: []image.Source{image.Files{"etc/base": []byte("1")}}, Env: []string{"BASE=yes"}}, base, nil)
		require.NoError(t, err)
		write(t, src, "onbase", "FROM base\nCOPY server /server\n")
		l, err := docker.Build(t.Context(), docker.Spec{
			Context: src, File: "onbase", Contexts: map[string]string{"base": "oci-layout://" + base + "@" + digestOf(t, base)},
		}, filepath.Join(t.TempDir(), "layout"), opts)
		require.NoError(t, err)
		c, err := l.Config(t.Context(), "")
		require.NoError(t, err)
		assert.Contains(t, c.Config.Env, "BASE=yes")
	})

	t.Run("events", func(t *testing.T) {
		kinds := map[docker.EventKind]bool{}
		o := *opts
		o.Progress = func(e docker.Event) { kinds[e.Kind] = true }
		_, err := docker.Build(t.Context(), docker.Spec{Context: src}, filepath.Join(t.TempDir(), "layout"), &o)
		require.NoError(t, err)
		for _, k := range []docker.EventKind{docker.Started, docker.Done, docker.Progress} {
			assert.True(t, kinds[k], k)
		}
	})
}

// A builder that buildx knows by name, as it is set up beforehand on a machine that builds.
func TestBuild_named(t *testing.T) {
	buildx := testbed.Require(t, testbed.Buildx).Path
	t.Setenv("BUILDX_CONFIG", t.TempDir())
	out, err := exec.CommandContext(t.Context(), buildx, "create", "--name", "farm", "--driver", "remote", testbed.BuildKitd(t)).CombinedOutput()
	require.NoError(t, err, string(out))
	src := t.TempDir()
	write(t, src, "Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
	for _, b := range []docker.Builder{docker.Auto, docker.Buildx} {
		l, err := docker.Build(t.Context(), docker.Spec{Context: src}, filepath.Join(t.TempDir(), "layout"), &docker.Options{Builder: b, Name: "farm", BuildxCommand: buildx})
		require.NoError(t, err)
		require.NoError(t, l.Verify(t.Context()))
	}
	_, err = docker.Build(t.Context(), docker.Spec{Context: src}, filepath.Join(t.TempDir(), "layout"), &docker.Options{Name: "nobody", BuildxCommand: buildx})
	require.ErrorIs(t, err, image.ErrUnavailable)
}

// A BuildKit elsewhere in the network, which takes only clients that it knows.
func TestBuild_mutualTLS(t *testing.T) {
	authority, other := testbed.NewAuthority(t, "ours"), testbed.NewAuthority(t, "theirs")
	address := testbed.BuildKitdTLS(t, authority)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		write(t, dir, name, string(content))
		return filepath.Join(dir, name)
	}
	ca, otherCA := file("ca.pem", authority.PEM), file("other-ca.pem", other.PEM)
	certPEM, keyPEM := authority.Issue(t, nil)
	cert, key := file("cert.pem", certPEM), file("key.pem", keyPEM)
	certPEM, keyPEM = other.Issue(t, nil)
	otherCert, otherKey := file("other-cert.pem", certPEM), file("other-key.pem", keyPEM)

	src := t.TempDir()
	write(t, src, "Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
	for _, tt := range []struct {
		name string
		o    docker.Options
		want error
	}{
		{"both known", docker.Options{CACert: ca, Cert: cert, Key: key}, nil},
		{"no certificate shown", docker.Options{CACert: ca}, image.ErrUnavailable},
		{"a stranger's certificate", docker.Options{CACert: ca, Cert: otherCert, Key: otherKey}, image.ErrUnavailable},
		{"not our BuildKit", docker.Options{CACert: otherCA, Cert: cert, Key: key}, image.ErrUnavailable},
		{"without TLS", docker.Options{}, image.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // buildx waits for 20 seconds before it gives up
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			o := tt.o
			o.Address, o.BuildxCommand = address, testbed.Require(t, testbed.Buildx).Path
			l, err := docker.Build(ctx, docker.Spec{Context: src}, filepath.Join(t.TempDir(), "layout"), &o)
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
				require.NoError(t, ctx.Err(), "it says so, and does not hang")
				t.Log(err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, l.Verify(t.Context()))
		})
	}
}

func digestOf(t *testing.T, dir string) string {
	t.Helper()
	l, err := image.Open(t.Context(), dir, nil)
	require.NoError(t, err)
	return l.Digest()
}

// answer extracts an image, runs its entrypoint in it as a container would (its root, its user, its
// environment), and asks the service for a word.
func answer(t *testing.T, l *image.Layout) string {
	t.Helper()
	runc := testbed.Debian(t, "runc", "runc")
	c, err := l.Config(t.Context(), "")
	require.NoError(t, err)
	bundle := t.TempDir()
	require.NoError(t, l.Extract(t.Context(), filepath.Join(bundle, "rootfs"), nil))
	addr := testbed.FreeAddr(t)
	var env []string
	for _, e := range append(c.Config.Env, "LISTEN="+addr) {
		env = append(env, fmt.Sprintf("%q", e))
	}
	var uid, gid int
	_, err = fmt.Sscanf(c.Config.User, "%d:%d", &uid, &gid)
	require.NoError(t, err)
	write(t, bundle, "config.json", fmt.Sprintf(`{"ociVersion":"1.0.2","root":{"path":"rootfs","readonly":true},"mounts":[{"destination":"/proc","type":"proc","source":"proc"}],
"process":{"user":{"uid":%d,"gid":%d},"args":[%q],"cwd":%q,"env":[%s]},
"linux":{"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"ipc"}]}}`, uid, gid, c.Config.Entrypoint[0], c.Config.WorkingDir, strings.Join(env, ",")))
	require.NoError(t, os.MkdirAll(filepath.Join(bundle, "rootfs/proc"), 0o755))
	require.NoError(t, os.Chmod(bundle, 0o755))
	id := "waybill-" + filepath.Base(filepath.Dir(bundle))
	cmd := exec.Command(runc, "--root", filepath.Join(t.TempDir(), "state"), "run", "--bundle", bundle, id)
	testbed.StartProcess(t, "container", cmd, testbed.Listens("tcp", addr))
	_, port, _ := net.SplitHostPort(addr)
	resp, err := http.Get("http://127.0.0.1:" + port)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b)
}
