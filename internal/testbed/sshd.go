package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// SSHServer is OpenSSH's sshd, which lets one key in.
type SSHServer struct {
	Addr       string // host and port
	User       string // who is let in: the user running the test
	KnownHosts string // the lines a client needs
}

// SSHD starts an sshd on this machine that accepts the key, given as a line of an authorized_keys file.
func SSHD(tb TB, authorizedKey string) *SSHServer {
	tb.Helper()
	sshd := Debian(tb, "openssh-server", "sshd", "/usr/sbin")
	keygen := Debian(tb, "openssh-client", "ssh-keygen")
	dir, addr := tb.TempDir(), FreeAddr(tb)
	host, port, _ := strings.Cut(addr, ":")
	me, err := user.Current()
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	if me.Uid == "0" { // where sshd shuts itself in before it knows who is there
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			tb.Fatalf("testbed: %v", err)
		}
	}
	s := &SSHServer{Addr: addr, User: me.Username}
	config := fmt.Sprintf("ListenAddress %s\nPort %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
		host, port, filepath.Join(dir, "authorized_keys"))
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		key := filepath.Join(dir, "host_"+kind)
		if out, err := exec.Command(keygen, "-q", "-t", kind, "-N", "", "-f", key).CombinedOutput(); err != nil {
			tb.Fatalf("testbed: ssh-keygen: %v\n%s", err, out)
		}
		public, err := os.ReadFile(key + ".pub")
		if err != nil {
			tb.Fatalf("testbed: %v", err)
		}
		config += "HostKey " + key + "\n" //nolint:modernize,perfsprint // three of them
		s.KnownHosts += fmt.Sprintf("[%s]:%s %s", host, port, public)
	}
	WriteFile(tb, filepath.Join(dir, "authorized_keys"), authorizedKey+"\n")
	WriteFile(tb, filepath.Join(dir, "sshd_config"), config)
	StartProcess(tb, "sshd", exec.Command(sshd, "-D", "-e", "-f", filepath.Join(dir, "sshd_config")), Listens("tcp", addr))
	return s
}
