package gitops_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

// git runs the stock program in a clean environment.
func git(tb testing.TB, dir string, args ...string) string {
	tb.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		tb.Skip("no git program")
	}
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.test",
	}
	out, err := cmd.CombinedOutput()
	require.NoError(tb, err, "git %v\n%s", args, out)
	return string(out)
}

// bareRepository makes a repository on disk with these files.
func bareRepository(tb testing.TB, files map[string]string, settings ...string) string {
	tb.Helper()
	dir := tb.TempDir()
	work, bare := filepath.Join(dir, "work"), filepath.Join(dir, "deploy.git")
	git(tb, dir, "init", "-q", "-b", "main", work)
	for name, text := range files {
		require.NoError(tb, os.MkdirAll(filepath.Dir(filepath.Join(work, name)), 0o755))
		require.NoError(tb, os.WriteFile(filepath.Join(work, name), []byte(text), 0o644))
	}
	git(tb, work, "add", "-A")
	git(tb, work, "commit", "-qm", "first")
	git(tb, dir, "clone", "-q", "--bare", work, bare)
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		git(tb, bare, "config", key, value)
	}
	return bare
}

func privateKey(tb testing.TB, key any) (string, ssh.Signer) {
	tb.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	require.NoError(tb, err)
	text := pem.EncodeToMemory(block)
	signer, err := ssh.ParsePrivateKey(text)
	require.NoError(tb, err)
	return string(text), signer
}

// sshServer lets git's own services be run over SSH. It stands in for a forge.
func sshServer(tb testing.TB, user ssh.PublicKey, hostKeys ...ssh.Signer) string {
	tb.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(user.Marshal()) {
			return nil, os.ErrPermission
		}
		return nil, nil
	}}
	for _, k := range hostKeys {
		config.AddHostKey(k)
	}
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	var wg sync.WaitGroup
	tb.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serveSSH(conn, config) })
		}
	})
	return l.Addr().String()
}

func serveSSH(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			for req := range requests {
				if req.Type != "exec" {
					_ = req.Reply(false, nil)
					continue
				}
				_ = req.Reply(true, nil)
				var payload struct{ Command string }
				_ = ssh.Unmarshal(req.Payload, &payload)
				if strings.HasSuffix(payload.Command, "'/a-shell'") { // that prints, and waits for more
					payload.Command = "echo This is no git.; cat"
				}
				cmd := exec.Command("sh", "-c", payload.Command)
				stdin, _ := cmd.StdinPipe()
				cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
				_ = cmd.Start()
				go func() { _, _ = io.Copy(stdin, channel); _ = stdin.Close() }()
				code := byte(0)
				if cmd.Wait() != nil {
					code = 1
				}
				_, _ = channel.SendRequest("exit-status", false, []byte{0, 0, 0, code})
				_ = channel.Close()
			}
		}()
	}
}

func TestBump_ssh(t *testing.T) {
	_, userKey, _ := ed25519.GenerateKey(rand.Reader)
	userText, user := privateKey(t, userKey)
	_, otherKey, _ := ed25519.GenerateKey(rand.Reader)
	otherText, _ := privateKey(t, otherKey)
	_, hostEd, _ := ed25519.GenerateKey(rand.Reader)
	_, ed := privateKey(t, hostEd)
	hostEC, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ec := privateKey(t, hostEC)
	hostRSA, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, rs := privateKey(t, hostRSA)
	_, caKey, _ := ed25519.GenerateKey(rand.Reader)
	_, ca := privateKey(t, caKey)
	certificate := &ssh.Certificate{Key: ec.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	require.NoError(t, certificate.SignCert(rand.Reader, ca))
	certified, err := ssh.NewCertSigner(certificate, ec)
	require.NoError(t, err)
	addr := sshServer(t, user.PublicKey(), ed, ec, rs)
	knownAt := func(addr string, key ssh.Signer) []byte {
		return []byte(knownhosts.Line([]string{knownhosts.Normalize(addr)}, key.PublicKey()) + "\n")
	}
	known := func(key ssh.Signer) []byte { return knownAt(addr, key) }
	secret := func(text string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return text, nil }
	}
	edits := []manifest.Edit{{Image: "reg.io/shop/web", To: "v2"}}

	for name, settings := range map[string][]string{
		"everything": nil,
		"partial":    {"uploadpack.allowFilter=true", "uploadpack.allowAnySHA1InWant=true"},
	} {
		for kind, host := range map[string]ssh.Signer{"ed25519": ed, "ecdsa": ec, "rsa": rs} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				bare := bareRepository(t, map[string]string{"apps/it's web/web.yaml": web}, settings...)
				repo, err := gitops.New("ssh://git@"+addr+bare, &gitops.Options{SSHKey: secret(userText), KnownHosts: known(host)})
				require.NoError(t, err)
				c, err := repo.Bump(t.Context(), edits, &gitops.BumpOptions{Paths: []string{"apps/*/web.yaml"}})
				require.NoError(t, err)
				assert.Equal(t, c.Revision, strings.TrimSpace(git(t, bare, "rev-parse", "main")))
				git(t, bare, "fsck", "--strict")
				ok, err := repo.Descends(t.Context(), c.Parent, c.Revision)
				require.NoError(t, err)
				assert.True(t, ok)
			})
		}
	}

	vouched := sshServer(t, user.PublicKey(), ed, ec, rs, certified)
	authority := func(key ssh.Signer) []byte { return append([]byte(" @cert-authority "), knownAt(vouched, key)...) }
	for name, tt := range map[string]struct {
		known []byte
		text  string // in the error; empty if it works
	}{
		"certificate":                      {authority(ca), ""},
		"certificate, two authorities":     {append(authority(rs), authority(ca)...), ""},
		"certificate, another authority":   {authority(rs), "no authorities"},
		"certificate of a host not known":  {known(ed), "a certificate by " + ssh.FingerprintSHA256(ca.PublicKey())},
		"known key beside other authority": {append(authority(rs), knownAt(vouched, ed)...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			bare := bareRepository(t, map[string]string{"web.yaml": web})
			repo, err := gitops.New("ssh://git@"+vouched+bare, &gitops.Options{SSHKey: secret(userText), KnownHosts: tt.known, Attempts: 1})
			require.NoError(t, err)
			_, err = repo.Bump(t.Context(), edits, nil)
			if tt.text == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, gitops.ErrHostKey)
			assert.ErrorContains(t, err, tt.text)
		})
	}

	t.Run("no directory for temporary files", func(t *testing.T) {
		if _, err := os.Stat("/dev/shm"); err != nil {
			t.Skip(err)
		}
		bare := bareRepository(t, map[string]string{"web.yaml": web})
		t.Setenv("TMPDIR", filepath.Join(bare, "none"))
		repo, err := gitops.New("ssh://git@"+addr+bare, &gitops.Options{SSHKey: secret(userText), KnownHosts: known(ed), Attempts: 1})
		require.NoError(t, err)
		_, err = repo.Bump(t.Context(), edits, nil)
		require.NoError(t, err)
	})

	t.Run("errors", func(t *testing.T) {
		bare := bareRepository(t, map[string]string{"web.yaml": web})
		unknown := []byte(knownhosts.Line([]string{"elsewhere.test"}, ed.PublicKey()) + "\n")
		_, fresh, _ := ed25519.GenerateKey(rand.Reader)
		_, changed := privateKey(t, fresh)
		for name, tt := range map[string]struct {
			key   string
			known []byte
			path  string
			kind  error
			text  string
		}{
			"unknown host":  {userText, unknown, bare, gitops.ErrHostKey, "is not in KnownHosts"},
			"changed key":   {userText, known(changed), bare, gitops.ErrHostKey, "another one"},
			"wrong key":     {otherText, known(ed), bare, gitops.ErrDenied, ""},
			"no repository": {userText, known(ed), bare + "x", gitops.ErrNotFound, "not appear to be a git repository"},
			"no git":        {userText, known(ed), "/a-shell", gitops.ErrProtocol, `begins with "This"`},
			"broken key":    {"-----BEGIN", known(ed), bare, gitops.ErrOptions, "SSHKey"},
			"broken file":   {userText, []byte("x y z\n"), bare, gitops.ErrOptions, "KnownHosts"},
		} {
			t.Run(name, func(t *testing.T) {
				repo, err := gitops.New("ssh://git@"+addr+tt.path, &gitops.Options{SSHKey: secret(tt.key), KnownHosts: tt.known, Attempts: 1})
				require.NoError(t, err)
				_, err = repo.Bump(t.Context(), edits, nil)
				require.ErrorIs(t, err, tt.kind)
				assert.ErrorContains(t, err, tt.text)
				assert.NotContains(t, err.Error(), "OPENSSH")
			})
		}
	})
}

func TestBump_signed(t *testing.T) {
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	for name, key := range map[string]any{"ed25519": edKey, "rsa": rsaKey} {
		t.Run(name, func(t *testing.T) {
			text, _ := privateKey(t, key)
			signer, err := gitops.NewSSHSigner([]byte(text))
			require.NoError(t, err)
			bare := bareRepository(t, map[string]string{"web.yaml": web})
			url := serveBare(t, bare)
			repo, err := gitops.New(url, nil)
			require.NoError(t, err)
			c, err := repo.Bump(t.Context(), []manifest.Edit{{Image: "reg.io/shop/web", To: "v2"}}, &gitops.BumpOptions{
				Signer: signer, Author: gitops.Identity{Name: "Dev", Email: "dev@example.test"}, SignOff: true, Build: "77",
				Trailers: []gitops.Trailer{{Key: "Ticket", Value: "SHOP-1"}},
			})
			require.NoError(t, err)
			allowed := filepath.Join(t.TempDir(), "allowed")
			require.NoError(t, os.WriteFile(allowed, []byte("dev@example.test "+signer.PublicKey()+"\n"), 0o600))
			out := git(t, bare, "-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", "-v", c.Revision)
			assert.Contains(t, out, `Good "git" signature for dev@example.test`)
			trailers := git(t, bare, "log", "-1", "--format=%(trailers:only,unfold)", c.Revision)
			assert.Equal(t, "Image: reg.io/shop/web:v2\nBuild: 77\nTicket: SHOP-1\nSigned-off-by: Dev <dev@example.test>\n", strings.TrimLeft(trailers, "\n")[:len(strings.TrimSpace(trailers))+1])
			git(t, bare, "fsck", "--strict")
		})
	}
}
