package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshTransport runs git's services over one SSH connection, each exchange in a session of its own.
type sshTransport struct {
	client  *ssh.Client
	path    string
	timeout time.Duration
	idle    *sshReply // upload-pack that has said its references and waits for a request
}

func (r *Repo) dialSSH(ctx context.Context) (transport, error) {
	text, err := r.o.SSHKey(ctx)
	if err != nil {
		return nil, faultf(ErrDenied, "no SSH key: %w", err)
	}
	key, err := ssh.ParsePrivateKey([]byte(text))
	if err != nil {
		return nil, faultf(ErrOptions, "SSHKey: %w", err)
	}
	addr := r.endpoint.host
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), "22")
	}
	check, algorithms, err := hostKeys(r.o.KnownHosts, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, min(r.o.Timeout, 30*time.Second))
	defer cancel()
	dialer := &net.Dialer{KeepAlive: 30 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, sshUnreachable(ctx, err)
	}
	// The handshake knows no context: closing the connection ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	var keyErr error
	c, channels, requests, err := ssh.NewClientConn(conn, addr, &ssh.ClientConfig{
		User: r.endpoint.user,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: func(hostname string, remote net.Addr, key ssh.PublicKey) error {
			keyErr = check(hostname, remote, key)
			return keyErr
		},
		HostKeyAlgorithms: algorithms,
	})
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, handshakeError(ctx, err, keyErr)
	}
	return &sshTransport{client: ssh.NewClient(c, channels, requests), path: r.endpoint.path, timeout: r.o.Timeout}, nil
}

// handshakeError classifies a failed handshake; for a refused key there is only text.
func handshakeError(ctx context.Context, err, keyErr error) error {
	switch {
	case keyErr != nil:
		return &fault{ErrHostKey, keyErr}
	case ctx.Err() != nil:
		return sshUnreachable(ctx, ctx.Err())
	case strings.Contains(err.Error(), "unable to authenticate"):
		return &fault{ErrDenied, err}
	case strings.Contains(err.Error(), "no common algorithm for host key"):
		return faultf(ErrHostKey, "the server has no key or certificate of the kinds in KnownHosts: %w", err)
	}
	return sshUnreachable(ctx, err)
}

func sshUnreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &fault{ErrUnavailable, err}
}

// hostKeys reads known_hosts and returns the check of a host's key, and the algorithms to ask the host for:
// only those for which a key is known. Asking for others gets a key that is not in the file from a host that
// has one that is.
func hostKeys(known []byte, addr string) (ssh.HostKeyCallback, []string, error) {
	f, err := tempFile() // the parser reads files only
	if err != nil {
		return nil, nil, faultf(ErrOptions, "KnownHosts: it is read from a temporary file, and none can be made; set TMPDIR to a directory that can be written to: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(known)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, faultf(ErrOptions, "KnownHosts: %w", err)
	}
	check, err := knownhosts.New(f.Name())
	if err != nil {
		return nil, nil, faultf(ErrOptions, "KnownHosts: %s", strings.ReplaceAll(err.Error(), f.Name(), "line"))
	}
	explained := func(hostname string, remote net.Addr, key ssh.PublicKey) error {
		err := check(hostname, remote, key)
		var ke *knownhosts.KeyError
		var re *knownhosts.RevokedError
		switch {
		case errors.As(err, &re):
			return fmt.Errorf("%s: the key %s is revoked in KnownHosts", hostname, ssh.FingerprintSHA256(key))
		case errors.As(err, &ke) && len(ke.Want) == 0:
			return fmt.Errorf("%s is not in KnownHosts; it shows the %s key %s", hostname, key.Type(), ssh.FingerprintSHA256(key))
		case errors.As(err, &ke):
			return fmt.Errorf("%s shows the %s key %s, KnownHosts has another one: somebody may be listening in", hostname, key.Type(), ssh.FingerprintSHA256(key))
		}
		if c, ok := key.(*ssh.Certificate); ok && err != nil {
			return fmt.Errorf("%s shows a certificate by %s, which does not hold by KnownHosts: %w", hostname, ssh.FingerprintSHA256(c.SignatureKey), err)
		}
		return err
	}
	return explained, knownAlgorithms(check, addr, known), nil
}

// tempFile makes a file for a moment. A container made from scratch has no /tmp, and one whose root is read-only
// none to write to; on Linux both have /dev/shm.
func tempFile() (*os.File, error) {
	f, err := os.CreateTemp("", "known_hosts")
	if err != nil {
		if memory, merr := os.CreateTemp("/dev/shm", "known_hosts"); merr == nil {
			return memory, nil
		}
	}
	return f, err
}

// knownAlgorithms asks about a key that nobody has; the answer names those that are known for the host, and the
// authorities that vouch for it. Certificates come last: a host whose key is known needs none.
func knownAlgorithms(check ssh.HostKeyCallback, addr string, known []byte) []string {
	var ke *knownhosts.KeyError
	if !errors.As(check(addr, &net.TCPAddr{}, noKey{}), &ke) {
		return nil
	}
	lines := bytes.Split(known, []byte("\n"))
	var algorithms, certificates []string
	for _, k := range ke.Want {
		switch t := k.Key.Type(); {
		case bytes.HasPrefix(bytes.TrimSpace(lines[k.Line-1]), []byte("@cert-authority")):
			// The key of the host may be of another type than that of the authority.
			certificates = []string{
				ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
				ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
			}
		case t == ssh.KeyAlgoRSA:
			algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			algorithms = append(algorithms, t)
		}
	}
	slices.Sort(algorithms)
	return append(slices.Compact(algorithms), certificates...)
}

// noKey is a public key that equals no other.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// wantsAny: over SSH a server hands out by hash only what its settings allow.
func (t *sshTransport) wantsAny(capabilities map[string]string) bool {
	_, tip := capabilities["allow-tip-sha1-in-want"]
	_, reachable := capabilities["allow-reachable-sha1-in-want"]
	return tip && reachable
}

// rtt: each exchange starts a program on the server, so that many small ones never pay.
func (t *sshTransport) rtt() time.Duration { return near }

func (t *sshTransport) close() error {
	if t.idle != nil {
		_, _ = io.WriteString(t.idle.stdin, "0000") // want nothing, and go
		_ = t.idle.Close()
	}
	return t.client.Close()
}

// sshReply is the output of a service. It ends with its session.
type sshReply struct {
	io.Reader
	stdin   io.WriteCloser
	session *ssh.Session
	stop    func() bool
	cancel  context.CancelFunc
	ctx     context.Context //nolint:containedctx // the deadline of this reply
	stderr  *capped
}

func (r *sshReply) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == nil || n > 0 {
		return n, err
	}
	if r.ctx.Err() != nil {
		return n, fmt.Errorf("%w: %w", err, context.Cause(r.ctx))
	}
	return n, err
}

func (r *sshReply) Close() error {
	r.stop()
	r.cancel()
	_ = r.session.Close()
	return nil
}

// start runs a service. Its path is quoted for the shell that may stand behind the server.
func (t *sshTransport) start(ctx context.Context, service string) (*sshReply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, fmt.Errorf("no complete answer within Options.Timeout, %v", t.timeout))
	session, err := t.client.NewSession()
	if err != nil {
		cancel()
		return nil, sshUnreachable(ctx, err)
	}
	r := &sshReply{session: session, cancel: cancel, ctx: ctx, stderr: &capped{}}
	r.stop = context.AfterFunc(ctx, func() { _ = t.client.Close() })
	session.Stderr = r.stderr
	var err1, err2 error
	r.stdin, err1 = session.StdinPipe()
	r.Reader, err2 = session.StdoutPipe()
	err = session.Start(service + " '" + strings.ReplaceAll(t.path, "'", `'\''`) + "'")
	if err = errors.Join(err1, err2, err); err != nil {
		_ = r.Close()
		return nil, sshUnreachable(ctx, err)
	}
	return r, nil
}

// advertise leaves the service waiting: the first request goes to it.
func (t *sshTransport) advertise(ctx context.Context, service string) (io.ReadCloser, error) {
	r, err := t.start(ctx, service)
	if err != nil {
		return nil, err
	}
	text, err := r.readAdvert()
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	t.idle = r
	return io.NopCloser(bytes.NewReader(text)), nil
}

func (t *sshTransport) exchange(ctx context.Context, service string, request []byte) (io.ReadCloser, error) {
	r := t.idle
	if r != nil && service == uploadPack {
		t.idle = nil
	} else {
		var err error
		if r, err = t.start(ctx, service); err != nil {
			return nil, err
		}
		if _, err := r.readAdvert(); err != nil {
			_ = r.Close()
			return nil, err
		}
	}
	_, err := r.stdin.Write(request)
	if err = errors.Join(err, r.stdin.Close()); err != nil {
		_ = r.Close()
		return nil, sshUnreachable(ctx, err)
	}
	return r, nil
}

// readAdvert returns the advertisement, up to and with its flush.
func (r *sshReply) readAdvert() ([]byte, error) {
	var b bytes.Buffer
	s := pktline.NewScanner(io.TeeReader(io.LimitReader(r, maxAdvert), &b))
	for s.Scan() {
		if len(s.Bytes()) == 0 {
			return b.Bytes(), nil
		}
	}
	if said, ok := errors.AsType[*pktline.ErrorLine](s.Err()); ok {
		return nil, refusal(said.Text)
	}
	if b.Len() >= maxAdvert {
		return nil, faultf(ErrTooLarge, "the reference advertisement is larger than the cap of %d bytes", maxAdvert)
	}
	if errors.Is(s.Err(), pktline.ErrInvalidPktLen) {
		// Not to be waited for: what runs there may be a shell that takes its time.
		return nil, faultf(ErrProtocol, "the answer begins with %.20q, not as git's does: does a program other than git answer, or a profile print something?", b.Bytes())
	}
	// No advertisement: what the server has to say is on its standard error, complete when it has ended.
	_ = r.session.Wait()
	if said := r.stderr.String(); said != "" {
		return nil, refusal(said)
	}
	if err := r.ctx.Err(); err != nil {
		return nil, faultf(ErrUnavailable, "%w", context.Cause(r.ctx))
	}
	return nil, faultf(ErrUnavailable, "the server closed the connection without a word")
}

// capped keeps the first bytes of what is written to it.
type capped struct{ b bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	c.b.Write(p[:min(len(p), max(0, 4096-c.b.Len()))])
	return len(p), nil
}

func (c *capped) String() string { return c.b.String() }
