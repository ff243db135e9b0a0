package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan/sonarqube/sonarqubetest"
)

// inputs is a directory with everything that decides how a run ends: the shop's source with its history, the
// policy, and what the stand-ins are filled with. -extract writes one to edit, -inputs takes it.
type inputs string

func (d inputs) source() string      { return filepath.Join(string(d), "source") }
func (d inputs) policy() string      { return filepath.Join(string(d), "policy.json") }
func (d inputs) vulndb() string      { return filepath.Join(string(d), "vulndb") }
func (d inputs) qualityGate() string { return filepath.Join(string(d), "quality-gate.json") }
func (d inputs) deploy() string      { return filepath.Join(string(d), "deploy") }

//go:embed inputs
var embeddedInputs embed.FS

// extractInputs writes the inputs of an ordinary run.
func extractInputs(ctx context.Context, dir string) (inputs, error) {
	d := inputs(dir)
	if _, err := os.Stat(dir); err == nil {
		return d, fmt.Errorf("%w: %s is there already", errUsage, dir)
	}
	files, err := fs.Sub(embeddedInputs, "inputs")
	if err != nil {
		return d, err
	}
	if err := os.CopyFS(dir, files); err != nil {
		return d, err
	}
	manifests, err := fs.Sub(deployFiles, "deploy/manifests")
	if err != nil {
		return d, err
	}
	if err := os.CopyFS(d.deploy(), manifests); err != nil {
		return d, err
	}
	if err := extract(d.source()); err != nil {
		return d, err
	}
	if err := git(ctx, d.source(), "init", "-q", "-b", "main"); err != nil {
		return d, err
	}
	return d, commitAll(ctx, d.source(), "the shop")
}

// commitAll commits everything in the work tree. The same content gives the same commit.
func commitAll(ctx context.Context, dir, message string) error {
	if err := git(ctx, dir, "add", "-A", "-f"); err != nil {
		return err
	}
	return git(ctx, dir, "-c", "user.name=shop", "-c", "user.email=shop@example.com", "-c", "commit.gpgSign=false",
		"commit", "-q", "--no-verify", "-m", message)
}

// git runs git in a directory of ours, untouched by what the user has set up.
func git(ctx context.Context, dir string, args ...string) error {
	_, err := gitWith(ctx, []string{
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_DATE=2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z",
	}, dir, args...)
	return err
}

// userGit runs git on the user's source as the user has set it up: with the credential helpers, and the
// safe.directory that CI systems write.
func userGit(ctx context.Context, dir string, args ...string) (stdout string, err error) {
	return gitWith(ctx, nil, dir, args...)
}

func gitWith(ctx context.Context, env []string, dir string, args ...string) (stdout string, err error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), namesRepository), append(env, "GIT_TERMINAL_PROMPT=0")...)
	out, err := cmd.Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(e.Stderr)))
		}
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// namesRepository reports whether a variable says of which repository git is to be: in a hook of another one, it
// would be that one, and not the directory's.
func namesRepository(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{
		"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE",
	}, name)
}

// policy says what may be shipped: what package report can gate on, and which steps may not be left to a
// stand-in.
type policy struct {
	report.Policy
	Require map[string]executed
}

// readPolicy reads the JSON form of a [report.Policy], with one member more: "require" maps steps to "real".
func readPolicy(path string) (policy, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return policy{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	var p policy
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return p, fmt.Errorf("%w: %s: %w", errUsage, path, err)
	}
	if raw, ok := members["require"]; ok {
		if err := json.Unmarshal(raw, &p.Require); err != nil {
			return p, fmt.Errorf("%w: %s: require: %w", errUsage, path, err)
		}
		delete(members, "require")
		if b, err = json.Marshal(members); err != nil {
			return p, err
		}
	}
	for name, what := range p.Require {
		if what != actual || !knownStep(name) {
			return p, fmt.Errorf("%w: %s: require: %q: %q: want a step and %q", errUsage, path, name, what, actual)
		}
	}
	if p.Policy, err = report.ParsePolicy(b); err != nil {
		return p, fmt.Errorf("%w: %s: %w", errUsage, path, err)
	}
	return p, nil
}

// readQualityGate reads the conditions of the stand-in for SonarQube.
func readQualityGate(path string) ([]sonarqubetest.Condition, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var gate []sonarqubetest.Condition
	if err := json.Unmarshal(b, &gate); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return gate, nil
}
