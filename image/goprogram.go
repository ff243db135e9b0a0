package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// GoProgram is a Go program compiled for the platform of the image by the go command found on the PATH:
// without cgo, without paths of this machine, without version control stamps, without symbol table. The
// same source and the same Go version give the same bytes wherever they are built.
//
// The compiler runs with this process's environment (it needs its proxy and cache settings), except for
// what decides the result: GOOS, GOARCH and its variant, and CGO_ENABLED.
type GoProgram struct {
	Package string   // import path or directory of the main package, such as "./cmd/server"
	Dir     string   // where to run the compiler, a directory of the module; empty means the working directory
	Path    string   // name in the image; empty means "/" and the last element of Package
	Tags    []string // build tags
	LDFlags []string // linker flags, such as "-X", "main.version=1.2"; each one argument of the linker
	Env     []string // further environment of the compiler, "KEY=VALUE"
}

// Files compiles the program and yields it.
func (g GoProgram) Files(ctx context.Context, t Target) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		yield(g.compile(ctx, t))
	}
}

// EntryPath is the absolute name of the program in the image.
func (g GoProgram) EntryPath() (string, error) {
	if g.Path != "" {
		name, err := cleanName(g.Path)
		return "/" + name, err
	}
	pkg := g.Package
	if path.Base(filepath.ToSlash(pkg)) == "." || strings.HasSuffix(pkg, "..") {
		abs, err := filepath.Abs(filepath.Join(g.Dir, pkg))
		if err != nil {
			return "", err
		}
		pkg = abs
	}
	base := path.Base(filepath.ToSlash(pkg))
	if base == "/" || base == "." {
		return "", fail(ErrInvalid, "GoProgram.Path is needed, package %q has no last element", g.Package)
	}
	return "/" + base, nil
}

func (g GoProgram) compile(ctx context.Context, t Target) (File, error) {
	if g.Package == "" || strings.HasPrefix(g.Package, "-") || strings.Contains(g.Package, "...") {
		return File{}, fail(ErrInvalid, "GoProgram.Package %q is not one package", g.Package)
	}
	name, err := g.EntryPath()
	if err != nil {
		return File{}, err
	}
	platform, err := platformOf(t.Platform)
	if err != nil {
		return File{}, err
	}
	out := filepath.Join(t.TempDir, "program")
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", out, "-ldflags", "-s -w -buildid= " + joinFlags(g.LDFlags)}
	if len(g.Tags) > 0 {
		args = append(args, "-tags", strings.Join(g.Tags, ","))
	}
	cmd := exec.CommandContext(ctx, "go", append(args, g.Package)...) //nolint:gosec // Package is checked above, the rest is the caller's own
	cmd.Dir = g.Dir
	// A compiler that is cut short does not clean up: where it works, all is removed.
	cmd.Env = slices.Concat([]string{"GOTMPDIR=" + t.TempDir}, os.Environ(), g.Env, goEnv(platform))
	var output tail
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return File{}, ctx.Err()
		}
		if errors.Is(err, exec.ErrNotFound) {
			return File{}, fail(ErrBuild, "the go command is needed to compile %s: %w", g.Package, err)
		}
		return File{}, fail(ErrBuild, "compiling %s for %s: %w\n%s", g.Package, t.Platform, err, output.String())
	}
	size, err := programSize(out, g.Package)
	if err != nil {
		return File{}, err
	}
	return File{Name: name, Mode: 0o755, Size: size, Open: func() (io.ReadCloser, error) { return os.Open(out) }}, nil
}

// programSize refuses what the compiler makes of a package that is no program.
func programSize(out, pkg string) (int64, error) {
	f, err := os.Open(out) //nolint:gosec // our own temporary file
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 8)
	if _, err := io.ReadFull(f, head); err != nil || bytes.HasPrefix(head, []byte("!<arch>")) {
		return 0, fail(ErrInvalid, "package %s is not a program (package main)", pkg)
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// joinFlags quotes as the go command splits: by spaces, single or double quotes keeping a word together.
func joinFlags(flags []string) string {
	quoted := make([]string, len(flags))
	for i, f := range flags {
		switch {
		case !strings.ContainsAny(f, " \t\n'\""):
			quoted[i] = f
		case !strings.Contains(f, "'"):
			quoted[i] = "'" + f + "'"
		default:
			quoted[i] = `"` + f + `"`
		}
	}
	return strings.Join(quoted, " ")
}

func goEnv(p v1.Platform) []string {
	env := []string{"GOOS=" + p.OS, "GOARCH=" + p.Architecture, "CGO_ENABLED=0"}
	switch p.Architecture {
	case "amd64":
		if p.Variant == "" {
			p.Variant = "v1"
		}
		env = append(env, "GOAMD64="+p.Variant)
	case "arm":
		env = append(env, "GOARM="+strings.TrimPrefix(variant(p), "v"))
	case "arm64":
		v := variant(p)
		if !strings.Contains(v, ".") {
			v += ".0"
		}
		env = append(env, "GOARM64="+v)
	}
	return env
}

// tail keeps the end of what is written to it: where a compiler says what is wrong.
type tail struct{ buf []byte }

const tailBytes = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	b := bytes.TrimSpace(t.buf)
	if len(b) > tailBytes {
		return fmt.Sprintf("[…]%s", b[len(b)-tailBytes:])
	}
	return string(b)
}
