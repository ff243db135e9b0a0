package testbed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Spec says how a tool is built from its module below internal/tools.
type Spec struct {
	Name     string   // directory below internal/tools, and the name the command line uses
	Module   string   // module whose version is the tool's version
	Packages []string // main packages; each becomes a binary named after the package's last element
	LDFlags  string   // {version} stands for the module's version, {semver} for the same without its v
	Env      []string // added to the build's environment, such as CGO_ENABLED=0
	NPM      *NPM     // where it comes from instead, when it is not built from a module
}

// Tool is a tool that has been built.
type Tool struct {
	Name    string
	Version string // of its module, such as v8.30.1
	Dir     string // holds the binaries
	Path    string // the first package's binary
}

// Bin returns the path of one of the tool's binaries.
func (t *Tool) Bin(name string) string { return filepath.Join(t.Dir, name) }

// Find returns the tool from the cache. The error says that it is not built yet, or why that cannot be told.
func (s Spec) Find() (*Tool, error) {
	tool, err := s.locate()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(tool.Dir); err != nil {
		return nil, fmt.Errorf("%s %s is not built", s.Name, tool.Version)
	}
	return tool, nil
}

// Build builds the tool into the cache unless it is there, and returns it with whether it had to be built.
// Two builds of one tool at a time are one: the second waits for the first. What the build prints goes to log.
func (s Spec) Build(ctx context.Context, log io.Writer) (tool *Tool, built bool, err error) {
	if tool, err = s.locate(); err != nil {
		return nil, false, err
	}
	if err := os.MkdirAll(filepath.Dir(tool.Dir), 0o755); err != nil {
		return nil, false, err
	}
	unlock, err := lock(tool.Dir + ".lock")
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if _, err := os.Stat(tool.Dir); err == nil {
		return tool, false, nil
	}

	tmp, err := os.MkdirTemp(filepath.Dir(tool.Dir), "build-")
	if err != nil {
		return nil, false, err
	}
	defer os.RemoveAll(tmp)
	if s.NPM != nil {
		if err := s.NPM.unpack(ctx, tmp, log); err != nil {
			return nil, false, fmt.Errorf("fetching %s %s: %w", s.Name, tool.Version, err)
		}
		return tool, true, os.Rename(tmp, tool.Dir)
	}
	args := []string{"build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w " + s.ldflags(tool.Version), "-o", tmp + string(filepath.Separator)}
	cmd := s.command(ctx, append(args, s.Packages...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return nil, false, fmt.Errorf("building %s %s: %w", s.Name, tool.Version, err)
	}
	return tool, true, os.Rename(tmp, tool.Dir)
}

// locate says where the tool's binaries are or would be: a place that changes with its version, its
// dependencies and its build flags.
func (s Spec) locate() (*Tool, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	if s.NPM != nil {
		dir := filepath.Join(cache, "waybill", "tools", s.Name, s.NPM.Version)
		return &Tool{Name: s.Name, Version: s.NPM.Version, Dir: dir, Path: filepath.Join(dir, s.NPM.Program)}, nil
	}
	dir, err := s.dir()
	if err != nil {
		return nil, err
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	version, err := s.version(mod)
	if err != nil {
		return nil, err
	}
	key := sha256.New()
	fmt.Fprintf(key, "%s\n%s\n%q %q %q %s", mod, sum, s.Packages, s.LDFlags, s.Env, runtime.Version())
	dir = filepath.Join(cache, "waybill", "tools", s.Name, version+"-"+hex.EncodeToString(key.Sum(nil))[:8])
	return &Tool{
		Name: s.Name, Version: version, Dir: dir,
		Path: filepath.Join(dir, binary(s.Packages[0])),
	}, nil
}

// binary names what go build makes of a main package: its last path element that is no major version.
func binary(pkg string) string {
	base := path.Base(pkg)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(pkg))
	}
	return base
}

func (s Spec) version(mod []byte) (string, error) {
	for line := range bytes.Lines(mod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(string(line)), "require "))
		if len(fields) >= 2 && fields[0] == s.Module && strings.HasPrefix(fields[1], "v") {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("internal/tools/%s/go.mod requires no %s", s.Name, s.Module)
}

func (s Spec) ldflags(version string) string {
	return strings.NewReplacer("{version}", version, "{semver}", strings.TrimPrefix(version, "v")).Replace(s.LDFlags)
}

func (s Spec) command(ctx context.Context, args ...string) *exec.Cmd {
	dir, _ := s.dir()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	cmd.Env = append(cmd.Env, s.Env...)
	return cmd
}

func (s Spec) dir() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "internal", "tools", s.Name), nil
}

// Root returns the root of the repository: the nearest directory above the working directory that holds go.work.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the repository: no go.work in this directory or above")
		}
		dir = parent
	}
}
