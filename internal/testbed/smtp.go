package testbed

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// MailServer is a real SMTP server whose deliveries can be read back.
type MailServer struct {
	Addr               string // host:port
	CAFile             string // the certificate to trust, as PEM; empty when the server does not speak TLS
	Username, Password string // what to log in with; empty when it wants no login
	boxes              string // a directory; mail is in files below directories called "new"
}

// Mails returns what was delivered, headers and body, oldest first.
func (s *MailServer) Mails(tb TB) [][]byte {
	tb.Helper()
	var files []string
	for _, pattern := range []string{"new/*", "*/new/*", "*/*/new/*"} {
		found, err := filepath.Glob(filepath.Join(s.boxes, pattern))
		if err != nil {
			tb.Fatalf("testbed: %v", err)
		}
		files = append(files, found...)
	}
	age := func(path string) time.Time {
		info, err := os.Stat(path)
		if err != nil {
			tb.Fatalf("testbed: %v", err)
		}
		return info.ModTime()
	}
	slices.SortFunc(files, func(a, b string) int { return age(a).Compare(age(b)) })
	var mails [][]byte
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			tb.Fatalf("testbed: %v", err)
		}
		mails = append(mails, b)
	}
	return mails
}

// OpenSMTPD starts opensmtpd, which takes any mail in the clear and delivers it into maildirs. Its TLS does not
// work on Debian 12. It uses a queue and a socket of the whole machine, so only one runs at a time; the next
// one waits.
func OpenSMTPD(tb TB) *MailServer {
	tb.Helper()
	smtpd := Debian(tb, "opensmtpd", "smtpd", "/usr/sbin/smtpd")
	if os.Getuid() != 0 {
		missing(tb, "opensmtpd has to be started as root")
	}
	unlock, err := lock(filepath.Join(os.TempDir(), "waybill-testbed-smtpd.lock"))
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	tb.Cleanup(unlock)
	// Mail is delivered by the user mail, who has to get there: a test's own directory is closed to it.
	dir, err := os.MkdirTemp("", "waybill-smtpd-")
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	boxes := filepath.Join(dir, "box")
	for _, args := range [][]string{{"chmod", "755", dir}, {"install", "-d", "-o", "mail", "-g", "mail", boxes}} {
		if out, err := exec.CommandContext(tb.Context(), args[0], args[1:]...).CombinedOutput(); err != nil { //nolint:gosec // fixed programs
			tb.Fatalf("testbed: %v: %s", err, out)
		}
	}
	s := &MailServer{Addr: FreeAddr(tb), boxes: boxes}
	host, port, _ := net.SplitHostPort(s.Addr)
	conf := filepath.Join(dir, "smtpd.conf")
	WriteFile(tb, conf, fmt.Sprintf(`table catchall { "@" = "mail" }
listen on %s port %s
action "box" maildir "%s/%%{rcpt.domain}/%%{rcpt.user}" virtual <catchall>
match from any for any action "box"
`, host, port, boxes))
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), smtpd, "-d", "-f", conf)
	StartProcess(tb, "opensmtpd", cmd, Listens("tcp", s.Addr))
	return s
}

// AIOSMTPD starts the SMTP server of python3-aiosmtpd: STARTTLS is required, and so is logging in (with PLAIN or LOGIN).
func AIOSMTPD(tb TB) *MailServer {
	tb.Helper()
	python := Debian(tb, "python3-aiosmtpd", "/usr/bin/python3")
	if out, err := exec.CommandContext(tb.Context(), python, "-c", "import aiosmtpd").CombinedOutput(); err != nil {
		missing(tb, "python3-aiosmtpd is not installed; apt-get install python3-aiosmtpd (%s)", strings.TrimSpace(string(out)))
	}
	dir := tb.TempDir()
	s := &MailServer{
		Addr: FreeAddr(tb), CAFile: filepath.Join(dir, "cert.pem"), Username: "ci", Password: "correct horse",
		boxes: filepath.Join(dir, "box"),
	}
	if err := os.MkdirAll(filepath.Join(s.boxes, "new"), 0o700); err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	openssl := exec.CommandContext(tb.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
		"-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
		"-keyout", filepath.Join(dir, "key.pem"), "-out", s.CAFile) //nolint:gosec // paths of our own
	if out, err := openssl.CombinedOutput(); err != nil {
		tb.Fatalf("testbed: openssl: %v\n%s", err, out)
	}
	script := filepath.Join(dir, "server.py")
	WriteFile(tb, script, aiosmtpdScript)
	host, port, _ := net.SplitHostPort(s.Addr)
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), python, script, host, port, dir, s.Username, s.Password) //nolint:gosec // our script
	StartProcess(tb, "aiosmtpd", cmd, Listens("tcp", s.Addr))
	return s
}

// A refusal must come with handled=False: with True the server leaves the answer to us.
const aiosmtpdScript = `
import asyncio, os, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

host, port, directory, user, password = sys.argv[1:]
count = 0

class Handler:
    async def handle_DATA(self, server, session, envelope):
        global count
        count += 1
        box = os.path.join(directory, "box")
        part = os.path.join(box, "%06d.part" % count)
        with open(part, "wb") as f:
            f.write(envelope.original_content)
        os.rename(part, os.path.join(box, "new", "%06d" % count))
        return "250 2.0.0 taken"

def authenticate(server, session, envelope, mechanism, data):
    good = data.login.decode() == user and data.password.decode() == password
    return AuthResult(success=good, handled=False)

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem"))

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), tls_context=context, require_starttls=True,
        auth_required=True, authenticator=authenticate, loop=loop), host, int(port))
    await server.serve_forever()

asyncio.run(main())
`
