package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Shop is a repository, served over HTTP, with a Deployment called shop for each application that deploys it:
// APPLICATION/shop.yaml on the branch main.
type Shop struct {
	URL  string
	work string
	git  string
}

// NewShop makes the repository with a first commit.
func NewShop(tb TB, apps ...string) *Shop {
	tb.Helper()
	server := GitHTTP(tb, nil)
	s := &Shop{URL: server.Init("shop.git"), work: filepath.Join(tb.TempDir(), "work"), git: Debian(tb, "git", "git")}
	ctx := tb.Context()
	if _, err := s.run(ctx, "", "clone", "-q", s.URL, s.work); err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	for _, app := range apps {
		if _, err := s.Commit(ctx, app, "registry.example.com/shop:first", true); err != nil {
			tb.Fatalf("testbed: %v", err)
		}
	}
	return s
}

// Deployment is the manifest of a Deployment of one container. The pods of one that is not healthy find no node,
// and the Deployment gives up after three seconds.
func Deployment(name, image string, healthy bool) string {
	selector, patience := "{}", 600
	if !healthy {
		selector, patience = `{example.com/no-such-node: "yes"}`, 3
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  replicas: 1
  progressDeadlineSeconds: %[4]d
  selector:
    matchLabels: {app: %[1]s}
  template:
    metadata:
      labels: {app: %[1]s}
    spec:
      nodeSelector: %[3]s
      containers:
        - name: %[1]s
          image: %[2]s
`, name, image, selector, patience)
}

// Commit writes and pushes an application's [Deployment] and returns the commit.
func (s *Shop) Commit(ctx context.Context, app, image string, healthy bool) (string, error) {
	return s.Push(ctx, app+": "+image, map[string]string{app + "/shop.yaml": Deployment("shop", image, healthy)})
}

// Push writes and pushes files, on top of what others have pushed, and returns the commit.
func (s *Shop) Push(ctx context.Context, message string, files map[string]string) (string, error) {
	if _, err := s.run(ctx, s.work, "fetch", "-q"); err != nil {
		return "", err
	}
	if _, err := s.run(ctx, s.work, "rev-parse", "-q", "--verify", "origin/main"); err == nil {
		if _, err := s.run(ctx, s.work, "reset", "-q", "--hard", "origin/main"); err != nil {
			return "", err
		}
	}
	for name, text := range files {
		file := filepath.Join(s.work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	for _, args := range [][]string{
		{"add", "-A"},
		{"-c", "user.name=testbed", "-c", "user.email=testbed@example.com", "commit", "-q", "--allow-empty", "-m", message},
		{"push", "-q", "origin", "HEAD:main"},
	} {
		if _, err := s.run(ctx, s.work, args...); err != nil {
			return "", err
		}
	}
	return s.run(ctx, s.work, "rev-parse", "HEAD")
}

// Descends reports whether rev has ancestor among its ancestors.
func (s *Shop) Descends(ctx context.Context, ancestor, rev string) (bool, error) {
	if _, err := s.run(ctx, s.work, "fetch", "-q"); err != nil {
		return false, err
	}
	_, err := s.run(ctx, s.work, "merge-base", "--is-ancestor", ancestor, rev)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

func (s *Shop) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.git, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, text)
	}
	return text, nil
}
