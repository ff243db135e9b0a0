//go:build integration

package gitops_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/internal/testbed"
)

func TestConformance_httpBackend(t *testing.T) {
	for name, settings := range map[string][]string{
		"default":            nil,
		"no filter":          {"uploadpack.allowFilter=false"},
		"only what is named": {"uploadpack.allowAnySHA1InWant=false"},
		"strict":             {"receive.fsckObjects=true", "transfer.fsckObjects=true"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &httpBackend{git: testbed.GitHTTP(t, nil), settings: settings, work: t.TempDir()}
			for _, c := range gitopstest.Conformance() {
				t.Run(c.Name, func(t *testing.T) { assert.NoError(t, c.Run(t.Context(), b)) })
			}
			for i := range b.n {
				out, err := exec.CommandContext(t.Context(), "git", "-C", b.bare(i+1), "fsck", "--strict", "--connectivity-only").CombinedOutput()
				assert.NoError(t, err, string(out))
			}
		})
	}
}

func TestConformance_sshd(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	text, signer := privateKey(t, key)
	sshd := testbed.SSHD(t, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))))
	for name, settings := range map[string][]string{
		"default": {"uploadpack.allowFilter=false", "uploadpack.allowAnySHA1InWant=false"},
		"partial": nil,
	} {
		t.Run(name, func(t *testing.T) {
			b := &sshBackend{httpBackend{git: testbed.GitHTTP(t, nil), settings: settings, work: t.TempDir()}, sshd, text}
			for _, c := range gitopstest.Conformance() {
				t.Run(c.Name, func(t *testing.T) { assert.NoError(t, c.Run(t.Context(), b)) })
			}
		})
	}
}

// sshBackend is the same repositories behind sshd.
type sshBackend struct {
	httpBackend
	sshd *testbed.SSHServer
	key  string
}

func (b *sshBackend) Create(files map[string]string) (string, error) {
	_, err := b.httpBackend.Create(files)
	return "ssh://" + b.sshd.User + "@" + b.sshd.Addr + b.bare(b.n), err
}

func (b *sshBackend) Open(url string, o *gitops.Options) (*gitops.Repo, error) {
	with := gitops.Options{}
	if o != nil {
		with = *o
	}
	with.KnownHosts = []byte(b.sshd.KnownHosts)
	with.SSHKey = func(context.Context) (string, error) { return b.key, nil }
	return gitops.New(url, &with)
}

// httpBackend is git's own server.
type httpBackend struct {
	git      *testbed.Git
	settings []string
	work     string
	n        int
}

func (b *httpBackend) bare(i int) string { return filepath.Join(b.git.Dir, fmt.Sprintf("r%d", i)) }

func (b *httpBackend) Open(url string, o *gitops.Options) (*gitops.Repo, error) {
	return gitops.New(url, o)
}

func (b *httpBackend) Create(files map[string]string) (string, error) {
	b.n++
	url := b.git.Init(fmt.Sprintf("r%d", b.n), b.settings...)
	work := filepath.Join(b.work, fmt.Sprint(b.n))
	for name, text := range files {
		path := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"add", "-A"},
		{"-c", "user.name=A", "-c", "user.email=a@example.test", "commit", "-qm", "first"},
		{"push", "-q", b.bare(b.n), "main"},
	} {
		if out, err := exec.Command("git", append([]string{"-C", work}, args...)...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("git %v: %w\n%s", args, err, out)
		}
	}
	return url, nil
}

func (b *httpBackend) Head(url, branch string) (string, error) {
	out, err := exec.Command("git", "-C", filepath.Join(b.git.Dir, filepath.Base(url)), "rev-parse", branch).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (b *httpBackend) Reject(url, words string) error {
	hook := filepath.Join(b.git.Dir, filepath.Base(url), "hooks", "pre-receive")
	return os.WriteFile(hook, []byte("#!/bin/sh\necho '"+words+"' >&2\nexit 1\n"), 0o755)
}
