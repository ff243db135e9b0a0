package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
)

func out(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(tb.TempDir(), "layout")
}

func TestBuild_onBase(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	c := client(t, nil)
	base, err := image.Build(t.Context(), image.Spec{
		Platforms: []string{"linux/amd64", "linux/arm64"},
		Layers:    []image.Source{image.Files{"etc/base": []byte("base")}},
		Env:       []string{"A=base", "B=base"}, Entrypoint: []string{"/old"}, Cmd: []string{"arg"}, WorkDir: "/srv", User: "7",
		Labels: map[string]string{"kept": "yes"}, Version: "base-1",
	}, out(t), nil)
	require.NoError(t, err)
	pushed, err := c.Push(t.Context(), base, []string{reg.Host() + "/base:1"}, nil)
	require.NoError(t, err)

	spec := image.Spec{
		Platforms: []string{"linux/arm64"}, Layers: []image.Source{image.Files{"app": []byte("app")}},
		Env: []string{"B=app", "C=app"}, Entrypoint: []string{"/app"}, Labels: map[string]string{"own": "1"},
		Annotations: map[string]string{"note": "x"}, Revision: "abc", Created: time.Unix(1700000000, 999),
	}
	byRef, byLayout := spec, spec
	byRef.Base, byLayout.BaseLayout = reg.Host()+"/base:1", base
	l, err := image.Build(t.Context(), byRef, out(t), &image.BuildOptions{Client: c, CacheDir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, l.Verify(t.Context()))
	assert.Equal(t, []string{"linux/arm64"}, l.Platforms())

	config, err := l.Config(t.Context(), "linux/arm64/v8")
	require.NoError(t, err)
	assert.Equal(t, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=base", "B=app", "C=app"}, config.Config.Env)
	assert.Equal(t, []string{"/app"}, config.Config.Entrypoint)
	assert.Empty(t, config.Config.Cmd, "an entrypoint drops the base's arguments")
	assert.Equal(t, "/srv", config.Config.WorkingDir)
	assert.Equal(t, "7", config.Config.User)
	assert.Equal(t, "arm64", config.Architecture)
	assert.Len(t, config.RootFS.DiffIDs, 2)
	labels := config.Config.Labels
	assert.Equal(t, "yes", labels["kept"])
	assert.Equal(t, "abc", labels["org.opencontainers.image.revision"])
	assert.NotContains(t, labels, "org.opencontainers.image.version", "the base's version is not ours")
	assert.Equal(t, "2023-11-14T22:13:20Z", labels["org.opencontainers.image.created"])
	m, err := l.Manifest(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, "x", m.Annotations["note"])
	assert.Equal(t, reg.Host()+"/base:1", m.Annotations["org.opencontainers.image.base.name"])
	assert.NotEqual(t, pushed.Digest, m.Annotations["org.opencontainers.image.base.digest"], "of the platform, not of the index")

	reg.ResetRequests()
	p, err := c.Push(t.Context(), l, []string{reg.Host() + "/app:1"}, nil)
	require.NoError(t, err)
	status := map[string]image.BlobStatus{}
	for _, b := range p.Blobs {
		status[b.Digest] = b.Status
	}
	assert.Equal(t, image.BlobMounted, status[m.Layers[0].Digest.String()], "what the registry has is not sent")
	assert.Equal(t, image.BlobUploaded, status[m.Layers[1].Digest.String()])

	other, err := image.Build(t.Context(), byLayout, out(t), nil)
	require.NoError(t, err)
	om, err := other.Manifest(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, m.Layers, om.Layers)

	byRef.Platforms = []string{"linux/s390x"}
	_, err = image.Build(t.Context(), byRef, out(t), &image.BuildOptions{Client: c})
	require.ErrorIs(t, err, image.ErrNotFound)
	assert.ErrorContains(t, err, "linux/amd64", "what there is instead")
	byRef.Base = reg.Host() + "/nowhere:1"
	_, err = image.Build(t.Context(), byRef, out(t), &image.BuildOptions{Client: c})
	require.ErrorIs(t, err, image.ErrNotFound)
}

// A base that this client has never pushed is still mounted from where it came.
func TestClient_Push_mountsBaseOfFreshClient(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	base := build(t, image.Files{"etc/base": noise(1000)})
	_, err := client(t, nil).Push(t.Context(), base, []string{reg.Host() + "/base:1"}, nil)
	require.NoError(t, err)
	l, err := image.Build(t.Context(), image.Spec{
		Base: reg.Host() + "/base:1", Platforms: []string{"linux/amd64"}, Layers: []image.Source{image.Files{"app": nil}},
	}, out(t), nil)
	require.NoError(t, err)
	p, err := client(t, nil).Push(t.Context(), l, []string{reg.Host() + "/app:1"}, nil)
	require.NoError(t, err)
	mounted := 0
	for _, b := range p.Blobs {
		if b.Status == image.BlobMounted {
			mounted++
		}
	}
	assert.Equal(t, 1, mounted)
}

func TestBuild_multiPlatform(t *testing.T) {
	l, err := image.Build(t.Context(), image.Spec{
		Platforms: []string{"linux/amd64", "linux/arm64"},
		Layers:    []image.Source{image.GoProgram{Package: ".", Dir: program(t), Path: "/bin/hello"}, image.Files{"etc/x": []byte("1")}},
		Revision:  "abc",
	}, out(t), nil)
	require.NoError(t, err)
	assert.Equal(t, "application/vnd.oci.image.index.v1+json", l.MediaType())
	assert.Equal(t, []string{"linux/amd64", "linux/arm64"}, l.Platforms())
	one, err := l.Manifest(t.Context(), "linux/amd64")
	require.NoError(t, err)
	two, err := l.Manifest(t.Context(), "linux/arm64")
	require.NoError(t, err)
	assert.NotEqual(t, one.Layers[0].Digest, two.Layers[0].Digest, "a program for each")
	assert.Equal(t, one.Layers[1].Digest, two.Layers[1].Digest, "files are the same")
	_, err = l.Config(t.Context(), "")
	require.ErrorIs(t, err, image.ErrInvalid)

	reg := imagetest.NewServer(t, nil)
	c := client(t, nil)
	p, err := c.Push(t.Context(), l, []string{reg.Host() + "/app:1"}, nil)
	require.NoError(t, err)
	assert.Equal(t, l.Platforms(), p.Platforms)
	arm, err := c.Pull(t.Context(), p.Ref, out(t), &image.PullOptions{Platform: "linux/arm64"})
	require.NoError(t, err)
	assert.Equal(t, []string{"linux/arm64"}, arm.Platforms())
	root := filepath.Join(t.TempDir(), "root")
	require.NoError(t, arm.Extract(t.Context(), root, nil))
	assert.Equal(t, "bin/ bin/hello etc/ etc/x", tree(t, root))
}

// tree of a few files with odd modes, for the tests of reproducibility.
func oddTree(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	writeTree(tb, dir, map[string]string{"b/c": "1", "a": strings.Repeat("text ", 500_000), "b.txt": "2", "b-1/x": "3"})
	return dir
}

func digestOfTree(tb testing.TB, dir string) string {
	tb.Helper()
	l, err := image.Build(tb.Context(), image.Spec{Layers: []image.Source{image.Dir(dir)}, Platforms: []string{"linux/amd64"}}, out(tb), nil)
	require.NoError(tb, err)
	return l.Digest()
}

// Each build is a process of its own, in another environment.
func TestBuild_reproducible(t *testing.T) {
	want := digestOfTree(t, oddTree(t))
	for _, env := range []string{"TZ=Asia/Kolkata", "GOMAXPROCS=1", "GOMAXPROCS=7"} {
		t.Run(env, func(t *testing.T) {
			dir := oddTree(t)
			require.NoError(t, os.Chtimes(filepath.Join(dir, "a"), time.Now(), time.Now().Add(-time.Hour)))
			cmd := exec.CommandContext(t.Context(), os.Args[0], dir, out(t))
			cmd.Env = append(os.Environ(), helperOp+"=build", env)
			got, err := cmd.CombinedOutput()
			require.NoError(t, err, string(got))
			assert.Equal(t, want, strings.TrimSpace(string(got)))
		})
	}
}

// The program's bytes do not depend on where its source is.
func TestBuild_reproducibleProgram(t *testing.T) {
	var digests []string
	for range 2 {
		l, err := image.Build(t.Context(), image.Spec{
			Layers: []image.Source{image.GoProgram{Package: ".", Dir: program(t), Path: "/x"}}, Platforms: []string{"linux/arm64"},
		}, out(t), nil)
		require.NoError(t, err)
		digests = append(digests, l.Digest())
	}
	assert.Equal(t, digests[0], digests[1])
}

// The digest is pinned, so that a change of the format, or a library that compresses otherwise, is seen: it
// would make every user's next build another image.
func TestBuild_pinned(t *testing.T) {
	l, err := image.Build(t.Context(), image.Spec{
		Platforms: []string{"linux/amd64"}, Layers: []image.Source{image.Files{"a": bytes.Repeat([]byte("all work and no play "), 100_000), "b/c": []byte("x")}},
	}, out(t), nil)
	require.NoError(t, err)
	assert.Equal(t, pinnedDigest, l.Digest())
}

const pinnedDigest = "sha256:e0d88dc76d43f66e0921dc0ac99f7461c3b004c5c146b0eee90dbce3d0769a24"

func TestBuild_cache(t *testing.T) {
	cache, dir := t.TempDir(), oddTree(t)
	build := func() *image.Layout {
		l, err := image.Build(t.Context(), image.Spec{Layers: []image.Source{image.Dir(dir)}}, out(t), &image.BuildOptions{CacheDir: cache})
		require.NoError(t, err)
		require.NoError(t, l.Verify(t.Context()))
		return l
	}
	first := build()
	assert.Equal(t, first.Digest(), build().Digest())

	writeTree(t, dir, map[string]string{"b/c": "9"}) // the same shape, other content
	changed := build()
	assert.NotEqual(t, first.Digest(), changed.Digest())
	assert.Equal(t, changed.Digest(), build().Digest())

	blobs, err := filepath.Glob(filepath.Join(cache, "blobs/sha256/*"))
	require.NoError(t, err)
	require.Len(t, blobs, 2)
	for _, b := range blobs {
		require.NoError(t, os.WriteFile(b, []byte("damaged"), 0o644))
	}
	assert.Equal(t, changed.Digest(), build().Digest(), "a damaged cache is an empty one")
	assert.Equal(t, changed.Digest(), build().Digest())
}

// Of the cached layers of a base, too, those that are damaged are fetched again.
func TestBuild_cache_base(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	c := client(t, nil)
	base := build(t, image.Files{"base": noise(1000)})
	_, err := c.Push(t.Context(), base, []string{reg.Host() + "/base:1"}, nil)
	require.NoError(t, err)
	layer := base.Blobs()[1].Digest
	cache := t.TempDir()
	cached := filepath.Join(cache, "blobs/sha256", strings.TrimPrefix(layer, "sha256:"))
	for _, damage := range []bool{false, true, false} {
		if damage {
			content, err := os.ReadFile(cached)
			require.NoError(t, err)
			content[len(content)/2] ^= 1
			require.NoError(t, os.WriteFile(cached, content, 0o644))
		}
		l, err := image.Build(t.Context(), image.Spec{Base: reg.Host() + "/base:1", Platforms: []string{"linux/amd64"}}, out(t), &image.BuildOptions{Client: c, CacheDir: cache})
		require.NoError(t, err)
		require.NoError(t, l.Verify(t.Context()))
	}
	fetched := 0
	for _, r := range reg.Requests() {
		if r.Method == http.MethodGet && strings.HasSuffix(r.Path, layer) {
			fetched++
		}
	}
	assert.Equal(t, 2, fetched, "at first and after the damage")
}

func TestBuild_refuses(t *testing.T) {
	notMain := t.TempDir()
	writeTree(t, notMain, map[string]string{"go.mod": "module example.com/lib\n\ngo 1.26\n", "lib.go": "package lib\n"})
	broken := t.TempDir()
	writeTree(t, broken, map[string]string{"go.mod": "module example.com/b\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { undefined() }\n"})
	tests := []struct {
		name string
		spec image.Spec
		want error
		says string
	}{
		{"no such directory", image.Spec{Layers: []image.Source{image.Dir("nowhere")}}, image.ErrNotFound, "nowhere"},
		{"climbing name", image.Spec{Layers: []image.Source{image.Files{"../x": nil}}}, image.ErrInvalid, ".."},
		{"file twice", image.Spec{Layers: []image.Source{image.Files{"x": nil, "/x": nil}}}, image.ErrInvalid, "twice"},
		{"below a file", image.Spec{Layers: []image.Source{image.Files{"x": nil, "x/y": nil}}}, image.ErrInvalid, "no directory"},
		{"no program", image.Spec{Layers: []image.Source{image.GoProgram{Package: ".", Dir: notMain}}}, image.ErrInvalid, "not a program"},
		{"does not compile", image.Spec{Layers: []image.Source{image.GoProgram{Package: ".", Dir: broken}}}, image.ErrBuild, "undefined"},
		{"flag as package", image.Spec{Layers: []image.Source{image.GoProgram{Package: "-toolexec=x"}}}, image.ErrInvalid, "not one package"},
		{"unsupported platform", image.Spec{Layers: []image.Source{image.GoProgram{Package: ".", Dir: program(t)}}, Platforms: []string{"plan10/amd64"}}, image.ErrBuild, "plan10"},
		{"user with too much", image.Spec{User: "1:2:3"}, image.ErrInvalid, "Spec.User"},
		{"nothing at a place", image.Spec{Layers: []image.Source{image.At("/a", image.At("/b", nil)), image.Files{}}}, image.ErrInvalid, "Spec.Layers"},
		{"no file system", image.Spec{Layers: []image.Source{image.Files{}, image.FS(nil)}}, image.ErrInvalid, "Spec.Layers"},
		{"user with a space", image.Spec{User: "65532 65532"}, image.ErrInvalid, "Spec.User"},
		{"everything", image.Spec{
			Base: "UPPER", BaseLayout: &image.Layout{}, Platforms: []string{"linux"}, Layers: []image.Source{nil}, WorkDir: "rel",
			Env: []string{"SECRET"}, Ports: []string{"http"}, Created: time.Unix(-5, 0), Labels: map[string]string{"": "x"},
		}, image.ErrInvalid, "Spec.Created"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := out(t)
			_, err := image.Build(t.Context(), tt.spec, dir, nil)
			require.ErrorIs(t, err, tt.want)
			assert.ErrorContains(t, err, tt.says)
			assert.Equal(t, 1, strings.Count(err.Error(), "image: "), err)
			_, err = image.Open(t.Context(), dir, nil)
			require.ErrorIs(t, err, image.ErrNotFound, "nothing that looks like an image is left")
		})
	}
	_, err := image.Build(t.Context(), tests[len(tests)-1].spec, out(t), nil)
	for _, field := range []string{"Base", "Platforms", "Layers", "WorkDir", "Env", "Ports", "Labels"} {
		assert.ErrorContains(t, err, field, "all at once")
	}
}

func TestBuild_directoryOfTheLayout(t *testing.T) {
	foreign := t.TempDir()
	writeTree(t, foreign, map[string]string{"precious": "1"})
	_, err := image.Build(t.Context(), image.Spec{}, foreign, nil)
	require.ErrorIs(t, err, image.ErrInvalid)
	assert.Equal(t, "precious", tree(t, foreign))

	dir := out(t)
	for _, content := range []string{"1", "2"} {
		_, err = image.Build(t.Context(), image.Spec{Layers: []image.Source{image.Files{"a": []byte(content)}}}, dir, nil)
		require.NoError(t, err)
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	require.NoError(t, err)
	assert.Len(t, blobs, 3, "the first image's blobs are gone")
	assert.Equal(t, 3, strings.Count(tree(t, dir), "sha256/")-1)
}

// An image that holds pieces of its own layout would be another one at every build.
func TestBuild_layoutInsideOfItsSource(t *testing.T) {
	src, elsewhere := t.TempDir(), t.TempDir()
	writeTree(t, src, map[string]string{"sub/a": "1"})
	require.NoError(t, os.Symlink(filepath.Join(src, "sub"), filepath.Join(elsewhere, "link")))
	layers := []image.Source{image.At("/srv", image.Dir(src))}
	for _, dir := range []string{src, filepath.Join(src, "out"), filepath.Join(src, "not", "yet"), filepath.Join(elsewhere, "link", "out")} {
		_, err := image.Build(t.Context(), image.Spec{Layers: layers}, dir, nil)
		require.ErrorIs(t, err, image.ErrInvalid, dir)
		assert.ErrorContains(t, err, "put that elsewhere")
		_, err = image.Build(t.Context(), image.Spec{Layers: layers}, out(t), &image.BuildOptions{CacheDir: dir})
		require.ErrorIs(t, err, image.ErrInvalid, dir)
	}
	assert.Equal(t, "sub/ sub/a", tree(t, src))

	_, err := image.Build(t.Context(), image.Spec{Layers: layers}, filepath.Join(elsewhere, "out"), nil)
	require.NoError(t, err)
}

func TestClient_Push_emptyPath(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	l := build(t, image.Files{"a": nil})
	t.Setenv("PATH", "")
	_, err := client(t, &image.Options{Keychain: image.DockerConfigFromEnv()}).Push(t.Context(), l, []string{reg.Host() + "/a:1"}, nil)
	require.NoError(t, err)
	_, err = image.Build(t.Context(), image.Spec{Layers: []image.Source{image.GoProgram{Package: "."}}}, out(t), nil)
	require.ErrorIs(t, err, image.ErrBuild)
}

// A compiler that is killed leaves what it worked on.
func TestBuild_compilerLeavesNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the compiler is a shell script")
	}
	bin, tmp := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\nmkdir \"${GOTMPDIR:-$TMPDIR}/go-build1\"\nkill -9 $$\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o700)) //nolint:gosec // it is run
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("TMPDIR", tmp)
	_, err := image.Build(t.Context(), image.Spec{Layers: []image.Source{image.GoProgram{Package: ".", Path: "/x"}}}, out(t), nil)
	require.ErrorIs(t, err, image.ErrBuild)
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestImport_dockerSave(t *testing.T) {
	// What docker save of the version 20 writes, made by hand: a layer that is there twice is a link.
	plain := archive(t, file("a"))
	diffID := digestOf(plain)
	config := fmt.Sprintf(`{"architecture":"amd64","os":"linux","docker_version":"20","container":"abc","config":{"Image":"sha256:x","Cmd":["/a"]},"rootfs":{"type":"layers","diff_ids":[%q,%q]},"history":[{"created":"2026-01-01T00:00:00Z"}]}`, diffID, diffID)
	manifest := `[{"Config":"c.json","RepoTags":null,"Layers":["1/layer.tar","2/layer.tar"]}]`
	layer := "1/layer.tar"
	save := func(config, manifest string) []byte {
		var buf bytes.Buffer
		tw := tar.NewWriter(&buf)
		for _, f := range []struct{ name, content string }{{layer, string(plain)}, {"c.json", config}, {"manifest.json", manifest}} {
			require.NoError(t, tw.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.content)), Mode: 0o644}))
			_, err := tw.Write([]byte(f.content))
			require.NoError(t, err)
		}
		require.NoError(t, tw.WriteHeader(&tar.Header{Name: "2/layer.tar", Linkname: "../1/layer.tar", Typeflag: tar.TypeSymlink}))
		require.NoError(t, tw.Close())
		return buf.Bytes()
	}
	l, err := image.Import(t.Context(), bytes.NewReader(save(config, manifest)), out(t), &image.ImportOptions{Annotations: map[string]string{"a": "b"}, Created: time.Unix(0, 0)})
	require.NoError(t, err)
	require.NoError(t, l.Verify(t.Context()))
	c, err := l.Config(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, []string{"/a"}, c.Config.Cmd)
	assert.Empty(t, c.Config.Image)
	assert.Zero(t, c.Created.Unix())
	m, err := l.Manifest(t.Context(), "")
	require.NoError(t, err)
	assert.Len(t, m.Layers, 2)
	assert.Equal(t, "b", m.Annotations["a"])

	for name, tt := range map[string]struct {
		archive []byte
		want    error
	}{
		"cut short":        {save(config, manifest)[:600], image.ErrInvalid},
		"no archive":       {[]byte("nonsense"), image.ErrInvalid},
		"empty":            {archive(t), image.ErrInvalid},
		"no configuration": {save("", manifest), image.ErrInvalid},
		"other layers":     {save(strings.ReplaceAll(config, diffID, digestOf([]byte("x"))), manifest), image.ErrDigest},
		"missing layer":    {save(config, strings.Replace(manifest, "1/layer", "../../etc/layer", 1)), image.ErrInvalid},
		"lying blob name":  {archive(t, file("blobs/sha256/"+strings.TrimPrefix(diffID, "sha256:"))), image.ErrDigest},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := image.Import(t.Context(), bytes.NewReader(tt.archive), out(t), nil)
			require.ErrorIs(t, err, tt.want)
		})
	}

	layer = "abc.tar" // as skopeo has them
	_, err = image.Import(t.Context(), bytes.NewReader(save(config, `[{"Config":"c.json","Layers":["abc.tar","abc.tar"]}]`)), out(t), nil)
	require.NoError(t, err)
}

// An archive of docker save since version 25 is a layout; what the options ask for is put into its image.
func TestImport_layout(t *testing.T) {
	const annotated = "org.opencontainers.image.created"
	l := build(t, image.Files{"a": []byte("1")})
	index, err := image.Build(t.Context(), image.Spec{Layers: []image.Source{image.Files{"a": nil}}, Platforms: []string{"linux/amd64", "linux/arm64"}}, out(t), nil)
	require.NoError(t, err)
	for _, tt := range []struct {
		name    string
		from    *image.Layout
		opts    *image.ImportOptions
		created int64 // 0 when the bytes stay
	}{
		{"as it is", l, nil, 0},
		{"changed", l, &image.ImportOptions{Annotations: map[string]string{"a": "b"}, Created: time.Unix(1700000000, 0)}, 1700000000},
		{"index", index, &image.ImportOptions{Annotations: map[string]string{"a": "b"}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var buf bytes.Buffer
			tw := tar.NewWriter(&buf)
			require.NoError(t, tw.AddFS(os.DirFS(tt.from.Dir())))
			require.NoError(t, tw.Close())
			got, err := image.Import(t.Context(), &buf, out(t), tt.opts)
			require.NoError(t, err)
			require.NoError(t, got.Verify(t.Context()))
			if tt.created == 0 {
				assert.Equal(t, tt.from.Digest(), got.Digest())
				return
			}
			c, err := got.Config(t.Context(), "")
			require.NoError(t, err)
			assert.Equal(t, tt.created, c.Created.Unix())
			before, err := tt.from.Manifest(t.Context(), "")
			require.NoError(t, err)
			after, err := got.Manifest(t.Context(), "")
			require.NoError(t, err)
			assert.Equal(t, before.Layers, after.Layers)
			assert.Equal(t, "b", after.Annotations["a"])
			assert.Equal(t, before.Annotations[annotated], after.Annotations[annotated], "the others stay")
			assert.Len(t, got.Blobs(), 2)
		})
	}
}

func TestGoProgram_EntryPath(t *testing.T) {
	for pkg, want := range map[string]string{"./cmd/server": "/server", "example.com/x/tool": "/tool", ".": "/image"} {
		p, err := image.GoProgram{Package: pkg}.EntryPath()
		require.NoError(t, err)
		assert.Equal(t, want, p)
	}
}

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
