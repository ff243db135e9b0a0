package notifytest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// SMTPOptions of an [SMTPServer]. The zero value is a server that offers STARTTLS and takes mail from
// anybody, encrypted or not.
type SMTPOptions struct {
	Addr         string            // where to listen; default 127.0.0.1:0
	Users        map[string]string // name to password (or token, for XOAUTH2); when set, mail needs AUTH
	Mechanisms   []string          // offered for AUTH: PLAIN, LOGIN, XOAUTH2; default PLAIN and LOGIN
	ImplicitTLS  bool              // TLS from the first byte (smtps)
	NoSTARTTLS   bool              // do not offer STARTTLS
	RequireTLS   bool              // answer 530 to MAIL and AUTH before STARTTLS
	SMTPUTF8     bool              // offer SMTPUTF8; without it addresses must be ASCII
	No8BitMIME   bool              // do not offer 8BITMIME; mail with bytes over 127 is then refused with 554
	MaxSize      int               // offered in SIZE, enforced with 552; default 32 MiB
	Certificates []tls.Certificate // default: one made for this server, see SMTPServer.RootCAs
}

// SMTPFault makes an SMTPServer misbehave at one point of the conversation.
type SMTPFault struct {
	// At is the verb it strikes at: EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, RSET, QUIT; or "CONNECT" for
	// the greeting, "BODY" for the time while the body comes in, and "." for the answer to the body.
	At   string
	Arg  string // strikes only when the command's argument contains this
	Skip int    // lets so many pass first
	Once bool   // strikes a single time

	Reply  string        // answered instead of doing what was asked, such as "450 4.2.0 try later"
	Keep   bool          // does what was asked all the same, before Reply, Silent and Close
	Delay  time.Duration // waits first
	Drip   time.Duration // sends the answer one byte at a time with this pause between them
	Close  bool          // closes the connection, after Reply if there is one
	Reset  bool          // closes it with a TCP reset instead
	Silent bool          // says nothing more until the client leaves or the server is closed
	Do     func()        // called when it strikes, after Keep and before everything else
}

// Command is one line an SMTPServer was sent, credentials left out.
type Command struct {
	Verb, Arg string
	TLS       bool
}

// SMTPServer is an SMTP server (RFC 5321 with SIZE, 8BITMIME, ENHANCEDSTATUSCODES, STARTTLS, AUTH and, on
// request, SMTPUTF8) that keeps what it is sent.
type SMTPServer struct {
	Addr    string         // host:port
	RootCAs *x509.CertPool // trusts the server's own certificate
	CAPEM   []byte         // the same as PEM, for clients that want a file

	o      SMTPOptions
	tls    *tls.Config
	ln     net.Listener
	done   chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	conns  map[net.Conn]bool
	mails  []Mail
	cmds   []Command
	faults []*SMTPFault
	opened int
	secret []string
}

// NewSMTPServer starts a server that ends with the test. o may be nil.
func NewSMTPServer(tb testing.TB, o *SMTPOptions) *SMTPServer {
	tb.Helper()
	s, err := StartSMTP(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// StartSMTP starts a server, to be ended with Close. o may be nil.
func StartSMTP(o *SMTPOptions) (*SMTPServer, error) {
	s := &SMTPServer{done: make(chan struct{}), conns: map[net.Conn]bool{}}
	if o != nil {
		s.o = *o
	}
	if s.o.Addr == "" {
		s.o.Addr = "127.0.0.1:0"
	}
	if s.o.MaxSize == 0 {
		s.o.MaxSize = 32 << 20
	}
	if len(s.o.Mechanisms) == 0 {
		s.o.Mechanisms = []string{"PLAIN", "LOGIN"}
	}
	for _, password := range s.o.Users {
		s.secret = append(s.secret, password)
	}
	ca, err := newCA()
	if err != nil {
		return nil, err
	}
	s.RootCAs, s.CAPEM = ca.pool, ca.pem
	if len(s.o.Certificates) == 0 {
		s.o.Certificates = []tls.Certificate{ca.leaf}
	}
	s.tls = &tls.Config{Certificates: s.o.Certificates, MinVersion: tls.VersionTLS12}
	if s.ln, err = new(net.ListenConfig).Listen(context.Background(), "tcp", s.o.Addr); err != nil {
		return nil, fmt.Errorf("notifytest: %w", err)
	}
	s.Addr = s.ln.Addr().String()
	s.wg.Go(s.accept)
	return s, nil
}

// Close ends the server and its connections and waits until all is gone.
func (s *SMTPServer) Close() error {
	s.mu.Lock()
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	err := s.ln.Close()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Fail adds faults. Each strikes at the first command it fits, in the order they were added.
func (s *SMTPServer) Fail(faults ...SMTPFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &f)
	}
}

// Heal takes all faults away.
func (s *SMTPServer) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Mails returns what was taken so far, oldest first.
func (s *SMTPServer) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Commands returns the commands received so far, of all connections.
func (s *SMTPServer) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.cmds)
}

// Connections returns how many connections were made so far.
func (s *SMTPServer) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

func (s *SMTPServer) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		select {
		case <-s.done:
			s.mu.Unlock()
			_ = c.Close()
			return
		default:
		}
		s.conns[c] = true
		s.opened++
		s.mu.Unlock()
		s.wg.Go(func() {
			(&session{s: s, raw: c, conn: c, tls: false}).run()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			_ = c.Close()
		})
	}
}

// strike returns the fault for this point of the conversation, if there is one.
func (s *SMTPServer) strike(at, arg string) *SMTPFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if !strings.EqualFold(f.At, at) || !strings.Contains(arg, f.Arg) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Once {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return f
	}
	return nil
}

// session is one connection.
type session struct {
	s    *SMTPServer
	raw  net.Conn
	conn net.Conn // raw, or TLS over it
	in   *bufio.Reader
	tls  bool
	drip time.Duration

	helo string
	user string
	from *Mail // the transaction, from MAIL on
}

var errBye = errors.New("connection ends")

func (c *session) run() {
	if c.s.o.ImplicitTLS && c.startTLS() != nil {
		return
	}
	c.in = bufio.NewReader(c.conn)
	if c.point("CONNECT", "", func() error { return c.reply("220 notifytest ESMTP") }) != nil {
		return
	}
	for {
		line, err := c.line()
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(line, " ")
		verb, arg = strings.ToUpper(verb), strings.TrimSpace(arg)
		c.note(verb, arg)
		if c.point(verb, arg, func() error { return c.command(verb, arg) }) != nil {
			return
		}
	}
}

func (c *session) note(verb, arg string) {
	if verb == "AUTH" {
		arg, _, _ = strings.Cut(arg, " ")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.cmds = append(c.s.cmds, Command{verb, arg, c.tls})
}

// point does what was asked, unless a fault strikes here.
func (c *session) point(at, arg string, do func() error) error {
	f := c.s.strike(at, arg)
	if f == nil {
		return do()
	}
	if f.Keep {
		out := c.conn
		if f.Reply != "" || f.Silent || f.Close || f.Reset {
			c.conn = mute{out} // the effect without the answer
		}
		err := do()
		c.conn = out
		if err != nil {
			return err
		}
	}
	if f.Do != nil {
		f.Do()
	}
	if f.Delay > 0 && !c.wait(f.Delay) {
		return errBye
	}
	c.drip = f.Drip
	defer func() { c.drip = 0 }()
	if f.Reply != "" {
		if err := c.reply(f.Reply); err != nil {
			return err
		}
	}
	switch {
	case f.Reset:
		if tcp, ok := c.raw.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return errBye
	case f.Close:
		return errBye
	case f.Silent:
		_, _ = io.Copy(io.Discard, c.conn) // until the client leaves or Close
		return errBye
	case f.Reply == "" && !f.Keep:
		return do()
	}
	return nil
}

type mute struct{ net.Conn }

func (mute) Write(p []byte) (int, error) { return len(p), nil }

func (c *session) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.s.done:
		return false
	}
}

func (c *session) reply(lines ...string) error {
	out := []byte(strings.Join(lines, "\r\n") + "\r\n")
	if c.drip == 0 {
		_, err := c.conn.Write(out)
		return err
	}
	for i := range out {
		if _, err := c.conn.Write(out[i : i+1]); err != nil {
			return err
		}
		if !c.wait(c.drip) {
			return errBye
		}
	}
	return nil
}

// line reads a line without its end, at most 4 KiB.
func (c *session) line() (string, error) {
	var b []byte
	for {
		part, err := c.in.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case len(b) > 4096:
			_ = c.reply("500 5.5.2 line too long")
			return "", errBye
		case err == nil:
			return strings.TrimRight(string(b), "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

func (c *session) command(verb, arg string) error {
	switch verb {
	case "HELO", "EHLO":
		return c.hello(verb, arg)
	case "STARTTLS":
		switch {
		case c.s.o.NoSTARTTLS || c.tls:
			return c.reply("502 5.5.1 not available")
		case arg != "":
			return c.reply("501 5.5.4 no arguments, please")
		}
		if err := c.reply("220 2.0.0 go ahead"); err != nil {
			return err
		}
		if c.in.Buffered() > 0 {
			return errBye // commands smuggled in before the handshake
		}
		c.helo, c.user, c.from = "", "", nil
		return c.startTLS()
	case "AUTH":
		return c.auth(arg)
	case "MAIL":
		return c.mail(arg)
	case "RCPT":
		return c.rcpt(arg)
	case "DATA":
		return c.data()
	case "RSET":
		c.from = nil
		return c.reply("250 2.0.0 reset")
	case "NOOP":
		return c.reply("250 2.0.0 ok")
	case "VRFY":
		return c.reply("252 2.1.5 try it")
	case "QUIT":
		_ = c.reply("221 2.0.0 bye")
		return errBye
	}
	return c.reply("500 5.5.1 unknown command")
}

func (c *session) hello(verb, arg string) error {
	if arg == "" {
		return c.reply("501 5.5.4 who are you?")
	}
	c.helo, c.from = arg, nil
	if verb == "HELO" {
		return c.reply("250 notifytest")
	}
	ext := []string{"notifytest", "PIPELINING", "ENHANCEDSTATUSCODES", "SIZE " + strconv.Itoa(c.s.o.MaxSize)}
	if !c.s.o.No8BitMIME {
		ext = append(ext, "8BITMIME")
	}
	if c.s.o.SMTPUTF8 {
		ext = append(ext, "SMTPUTF8")
	}
	if !c.s.o.NoSTARTTLS && !c.tls {
		ext = append(ext, "STARTTLS")
	}
	if len(c.s.o.Users) > 0 && (c.tls || !c.s.o.RequireTLS) {
		ext = append(ext, "AUTH "+strings.Join(c.s.o.Mechanisms, " "))
	}
	for i := range ext {
		sep := "-"
		if i == len(ext)-1 {
			sep = " "
		}
		ext[i] = "250" + sep + ext[i]
	}
	return c.reply(ext...)
}

func (c *session) startTLS() error {
	t := tls.Server(c.raw, c.s.tls)
	if err := t.HandshakeContext(context.Background()); err != nil { // Close ends it
		return err
	}
	c.conn, c.in, c.tls = t, bufio.NewReader(t), true
	return nil
}

func (c *session) auth(arg string) error {
	mech, initial, _ := strings.Cut(arg, " ")
	mech = strings.ToUpper(mech)
	switch {
	case c.s.o.RequireTLS && !c.tls:
		return c.reply("530 5.7.0 STARTTLS first")
	case len(c.s.o.Users) == 0 || !slices.Contains(c.s.o.Mechanisms, mech):
		return c.reply("504 5.5.4 mechanism not offered")
	case c.user != "" || c.from != nil:
		return c.reply("503 5.5.1 not now")
	}
	ask := func(challenge string) (string, error) {
		if err := c.reply("334 " + base64.StdEncoding.EncodeToString([]byte(challenge))); err != nil {
			return "", err
		}
		return c.line()
	}
	var user, password string
	var err error
	switch mech {
	case "PLAIN":
		if initial == "" {
			if initial, err = ask(""); err != nil {
				return err
			}
		}
		parts := strings.Split(decode64(initial), "\x00")
		if len(parts) == 3 {
			user, password = parts[1], parts[2]
		}
	case "LOGIN":
		if initial == "" {
			if initial, err = ask("Username:"); err != nil {
				return err
			}
		}
		user = decode64(initial)
		if password, err = ask("Password:"); err != nil {
			return err
		}
		password = decode64(password)
	case "XOAUTH2":
		for part := range strings.SplitSeq(decode64(initial), "\x01") {
			if v, ok := strings.CutPrefix(part, "user="); ok {
				user = v
			}
			if v, ok := strings.CutPrefix(part, "auth=Bearer "); ok {
				password = v
			}
		}
	}
	if want, ok := c.s.o.Users[user]; !ok || want != password {
		return c.reply("535 5.7.8 authentication credentials invalid")
	}
	c.user = user
	return c.reply("235 2.7.0 welcome")
}

func decode64(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

func (c *session) mail(arg string) error {
	address, params, ok := path(arg, "FROM:")
	switch {
	case c.helo == "":
		return c.reply("503 5.5.1 EHLO first")
	case c.s.o.RequireTLS && !c.tls:
		return c.reply("530 5.7.0 STARTTLS first")
	case len(c.s.o.Users) > 0 && c.user == "":
		return c.reply("530 5.7.0 authentication required")
	case c.from != nil:
		return c.reply("503 5.5.1 one at a time")
	case !ok:
		return c.reply("501 5.1.7 bad sender address")
	}
	m := &Mail{From: address, TLS: c.tls, User: c.user}
	for _, p := range params {
		name, value, _ := strings.Cut(strings.ToUpper(p), "=")
		switch {
		case name == "SIZE":
			if n, err := strconv.Atoi(value); err == nil && n > c.s.o.MaxSize {
				return c.reply("552 5.3.4 message too big")
			}
		case name == "BODY" && (value == "7BIT" || value == "8BITMIME" && !c.s.o.No8BitMIME):
			m.Body8 = value == "8BITMIME"
		case name == "SMTPUTF8" && c.s.o.SMTPUTF8:
			m.UTF8 = true
		default:
			return c.reply("555 5.5.4 parameter not understood")
		}
	}
	if !m.UTF8 && !ascii(address) {
		return c.reply("553 5.6.7 needs SMTPUTF8")
	}
	c.from = m
	return c.reply("250 2.1.0 sender ok")
}

func (c *session) rcpt(arg string) error {
	address, params, ok := path(arg, "TO:")
	switch {
	case c.from == nil:
		return c.reply("503 5.5.1 MAIL first")
	case !ok || address == "":
		return c.reply("501 5.1.3 bad recipient address")
	case len(params) > 0:
		return c.reply("555 5.5.4 parameter not understood")
	case !c.from.UTF8 && !ascii(address):
		return c.reply("553 5.6.7 needs SMTPUTF8")
	}
	c.from.To = append(c.from.To, address)
	return c.reply("250 2.1.5 recipient ok")
}

func (c *session) data() error {
	if c.from == nil || len(c.from.To) == 0 {
		return c.reply("503 5.5.1 RCPT first")
	}
	if err := c.reply("354 end with a dot on a line of its own"); err != nil {
		return err
	}
	if err := c.point("BODY", "", func() error { return nil }); err != nil {
		return err
	}
	m := c.from
	c.from = nil
	tooBig, lineStart := false, true
	for {
		part, err := c.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if lineStart && string(part) == ".\r\n" {
			break
		}
		if lineStart {
			part = bytes.TrimPrefix(part, []byte("."))
		}
		if tooBig = tooBig || len(m.Data)+len(part) > c.s.o.MaxSize; !tooBig {
			m.Data = append(m.Data, part...)
		}
		lineStart = err == nil
	}
	return c.point(".", "", func() error {
		switch {
		case tooBig:
			return c.reply("552 5.3.4 message too big")
		case c.s.o.No8BitMIME && !ascii(string(m.Data)):
			return c.reply("554 5.6.1 eight-bit content without 8BITMIME")
		}
		c.s.mu.Lock()
		c.s.mails = append(c.s.mails, *m)
		c.s.mu.Unlock()
		return c.reply("250 2.0.0 taken")
	})
}

// path takes "FROM:<a@b> SIZE=1" apart. An odd quoted local part may contain spaces and ">".
func path(arg, prefix string) (address string, params []string, ok bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", nil, false
	}
	rest := strings.TrimSpace(arg[len(prefix):])
	if !strings.HasPrefix(rest, "<") {
		return "", nil, false
	}
	quoted := false
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && quoted:
			i++
		case rest[i] == '"':
			quoted = !quoted
		case rest[i] == '>' && !quoted:
			return rest[1:i], strings.Fields(rest[i+1:]), i == 1 || strings.Contains(rest[1:i], "@")
		}
	}
	return "", nil, false
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 126 })
}
