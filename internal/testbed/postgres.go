//go:build unix

package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// PostgresServer is a PostgreSQL of Debian's with its data in a temporary directory.
type PostgresServer struct {
	Addr     string // host and port
	User     string // the superuser
	Password string
	Process  *Process
	psql     string
}

// StartPostgres starts a PostgreSQL that ends with the test. It does not run as root, so as root it takes the
// account that Debian's package makes.
func StartPostgres(tb TB) *PostgresServer {
	tb.Helper()
	bin := func(name string) string {
		versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
		return Debian(tb, "postgresql", name, versions...)
	}
	initdb, postgres := bin("initdb"), bin("postgres")
	// tb.TempDir is closed to other accounts.
	dir, err := os.MkdirTemp("", "waybill-postgres-")
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	account := postgresAccount(tb)
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			tb.Fatalf("testbed: %v", err)
		}
	}
	p := &PostgresServer{Addr: FreeAddr(tb), User: "postgres", Password: "postgres-test-password", psql: bin("psql")}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + dir}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
		return cmd
	}
	passwordFile := filepath.Join(dir, "password")
	WriteFile(tb, passwordFile, p.Password)
	if account != nil {
		_ = os.Chown(passwordFile, int(account.Uid), int(account.Gid))
	}
	data := filepath.Join(dir, "data")
	if out, err := command(initdb, "-D", data, "-A", "scram-sha-256", "--pwfile="+passwordFile, "-U", p.User, "--no-sync").CombinedOutput(); err != nil {
		tb.Fatalf("testbed: initdb: %v\n%s", err, out)
	}
	_, port, _ := strings.Cut(p.Addr, ":")
	p.Process = StartProcess(tb, "postgres",
		command(postgres, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-k", dir, "-c", "fsync=off"),
		func(ctx context.Context) error { return p.Login(ctx, p.User, p.Password) })
	return p
}

// Login reports whether a user can log in.
func (p *PostgresServer) Login(ctx context.Context, userName, password string) error {
	host, port, _ := strings.Cut(p.Addr, ":")
	cmd := exec.CommandContext(ctx, p.psql, "-h", host, "-p", port, "-U", userName, "-d", "postgres", "-w", "-c", "select 1")
	cmd.Env = []string{"PGPASSWORD=" + password, "LC_ALL=C"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

func postgresAccount(tb TB) *syscall.Credential {
	tb.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		tb.Fatalf("testbed: %v; PostgreSQL refuses to run as root", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
