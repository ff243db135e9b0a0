// Package vaulttest is a Vault for tests: an in-process server that speaks the part of Vault's HTTP API that
// programs use, well enough for the vault command and github.com/hashicorp/vault/api.
//
// It knows the key-value engine in both versions, dynamic database credentials, tokens with expiry, use limits
// and children, policies in Vault's language, the auth methods approle, jwt, kubernetes and userpass, response
// wrapping, leases, and sealing. It is set up as a real Vault is, over the API with the root token, so that the
// same set-up serves both; [Server.Put] is a shortcut. What it does not know it answers with 404, as Vault does.
//
// Replies, statuses and texts are those of Vault 1.21; the conformance suite of secrets/vault runs on both.
// Beyond that it can be told to misbehave, see [Fault], and records what it was asked.
package vaulttest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options configures a [Server].
type Options struct {
	// TLS serves https; [Server.Client] trusts it.
	TLS bool
	// Sealed starts sealed; unseal with the key [Server.UnsealKey].
	Sealed bool
	// Storage is the storage type Vault reports; empty means "raft". "inmem" is what dev mode has.
	Storage string
	// Now is the clock for everything that expires; nil means time.Now.
	Now func() time.Time
}

// Server is a Vault for tests. Mounted are secret/ (KV version 2), kv/ (KV version 1) and database/; enabled is
// token authentication, others over the API.
type Server struct {
	URL       string
	RootToken string
	UnsealKey string

	o    Options
	http *httptest.Server

	mu       sync.Mutex
	sealed   bool
	mounts   map[string]*mount // by path with a slash at the end
	auths    map[string]*auth
	policies map[string]string
	tokens   map[string]*token
	wrapped  map[string]*wrapping
	leases   map[string]*Lease
	requests []Request
	faults   []*Fault
}

// Request is one recorded request. The token is left out; Body is what was sent.
type Request struct {
	Method    string
	Path      string // below /v1/
	Query     string
	Namespace string
	Body      string
	HasToken  bool
	Status    int // of the reply; 0 when the connection was cut
}

// Fault makes matching requests go wrong. The first fault that matches and is not used up is taken.
type Fault struct {
	Method string // empty for any
	Path   string // prefix of the path below /v1/; empty for any
	Times  int    // how often; 0 for always

	Delay    time.Duration // before anything else; ends early when the client leaves
	After    bool          // let the request have its effect, then go wrong
	Drop     bool          // cut the connection instead of replying
	Truncate int           // cut the connection after so many bytes of the body
	Status   int           // reply with this status, Header and Body; 0 leaves the reply as it is
	Header   http.Header
	Body     []byte

	used int
}

// NewServer starts a server that ends with the test.
func NewServer(tb testing.TB, o *Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatalf("vaulttest: %v", err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// Start starts a server on a free port of this machine. Close it.
func Start(o *Options) (*Server, error) {
	s := New(o)
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that leave are no news
	if s.o.TLS {
		s.http.StartTLS()
	} else {
		s.http.Start()
	}
	s.URL = s.http.URL
	return s, nil
}

// New returns a server that listens nowhere: it is an [http.Handler], for callers with a transport of their own.
func New(o *Options) *Server {
	s := &Server{
		RootToken: "hvs.root-" + random(12), UnsealKey: random(32),
		mounts: map[string]*mount{}, auths: map[string]*auth{}, policies: map[string]string{"default": defaultPolicy},
		tokens: map[string]*token{}, wrapped: map[string]*wrapping{}, leases: map[string]*Lease{},
	}
	if o != nil {
		s.o = *o
	}
	if s.o.Storage == "" {
		s.o.Storage = "raft"
	}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	s.sealed = s.o.Sealed
	s.mounts["secret/"] = newMount("kv", 2)
	s.mounts["kv/"] = newMount("kv", 1)
	s.mounts["database/"] = newMount("database", 0)
	s.auths["token/"] = &auth{kind: "token"}
	s.tokens[s.RootToken] = &token{id: s.RootToken, accessor: random(12), policies: []string{"root"}, kind: "service", created: s.o.Now(), name: "root", path: "auth/token/root"}
	return s
}

// Close ends the server. Tests that left a connection open are not waited for. It returns nil.
func (s *Server) Close() error {
	s.http.CloseClientConnections()
	s.http.Close()
	return nil
}

// Client returns an HTTP client that trusts the server.
func (s *Server) Client() *http.Client { return s.http.Client() }

// CA returns the server's certificate in PEM, when it serves TLS.
func (s *Server) CA() []byte { return certificatePEM(s.http.Certificate()) }

// Put writes a secret to a key-value mount, such as "secret/app". It returns the version, 0 for KV version 1.
func (s *Server) Put(path string, data map[string]any) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, rest := s.mountOf(path)
	if m == nil || m.kind != "kv" {
		return 0, errors.New("vaulttest: no key-value mount at " + path)
	}
	if m.version == 1 {
		m.kv1[rest] = normal(data)
		return 0, nil
	}
	return m.secret(rest, true).put(normal(data), s.o.Now()), nil
}

// Fail adds a fault. It returns a function that takes it away.
func (s *Server) Fail(f Fault) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &f
	s.faults = append(s.faults, p)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, q := range s.faults {
			if q == p {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
				return
			}
		}
	}
}

// Seal seals the server: everything answers 503 until it is unsealed.
func (s *Server) Seal() { s.setSealed(true) }

// Unseal undoes Seal.
func (s *Server) Unseal() { s.setSealed(false) }

func (s *Server) setSealed(v bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = v
}

// Requests returns what was asked so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Count returns how many requests had this method (empty for any) and a path with this prefix.
func (s *Server) Count(method, prefix string) int {
	n := 0
	for _, r := range s.Requests() {
		if (method == "" || r.Method == method) && strings.HasPrefix(r.Path, prefix) {
			n++
		}
	}
	return n
}

// RevokeTokens revokes every token but the root token, with its leases, and returns how many there were.
func (s *Server) RevokeTokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, t := range s.tokens {
		if t.id != s.RootToken {
			s.revokeToken(t)
			n++
		}
	}
	return n
}

// Tokens returns how many tokens are alive, the root token not counted.
func (s *Server) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	return len(s.tokens) - 1
}

// Leases returns the leases that are alive.
func (s *Server) Leases() []Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	out := make([]Lease, 0, len(s.leases))
	for _, l := range s.leases {
		out = append(out, *l)
	}
	return out
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 32<<20))
	if err != nil {
		http.Error(w, `{"errors":["failed to parse JSON input"]}`, http.StatusBadRequest)
		return
	}
	path, _ := strings.CutPrefix(req.URL.Path, "/v1/")
	record := Request{
		Method: req.Method, Path: path, Query: req.URL.RawQuery, Namespace: req.Header.Get("X-Vault-Namespace"),
		Body: string(body), HasToken: tokenOf(req) != "",
	}
	fault := s.fault(record)
	if fault != nil && fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-req.Context().Done():
		}
	}
	var r reply
	if fault == nil || fault.After || fault.Status == 0 && !fault.Drop {
		r = s.handle(req, path, body)
	}
	if fault != nil && fault.Status != 0 {
		r = reply{status: fault.Status, raw: fault.Body, header: fault.Header}
	}
	out := r.bytes()
	record.Status = r.status
	if fault != nil && fault.Drop {
		record.Status = 0
	}
	s.mu.Lock()
	s.requests = append(s.requests, record)
	s.mu.Unlock()

	maps.Copy(w.Header(), r.header)
	if w.Header().Get("Content-Type") == "" && len(out) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case fault != nil && fault.Drop:
		panic(http.ErrAbortHandler) // net/http's way to cut a connection
	case fault != nil && fault.Truncate > 0:
		w.WriteHeader(r.status)
		_, _ = w.Write(out[:min(fault.Truncate, len(out))])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // net/http's way to cut a connection
	}
	w.WriteHeader(r.status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(out)
	}
}

func (s *Server) fault(r Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if (f.Method == "" || f.Method == r.Method) && strings.HasPrefix(r.Path, f.Path) && (f.Times == 0 || f.used < f.Times) {
			f.used++
			return f
		}
	}
	return nil
}

// reply is what goes back.
type reply struct {
	status   int
	data     any
	auth     map[string]any
	wrap     map[string]any
	lease    *Lease
	ttl      int // lease_duration without a lease
	mount    string
	warnings []string
	errors   []string
	raw      []byte // in place of all of the above
	flat     bool   // data is the whole body too, as sys/ paths have it
	header   http.Header
}

func ok(data any) reply                           { return reply{status: http.StatusOK, data: data} }
func noContent() reply                            { return reply{status: http.StatusNoContent} }
func failed(status int, messages ...string) reply { return reply{status: status, errors: messages} }

func (r reply) bytes() []byte {
	if r.raw != nil || r.status == http.StatusNoContent {
		return r.raw
	}
	var body any
	switch {
	case r.data == nil && r.auth == nil && r.wrap == nil && r.warnings == nil:
		if r.errors == nil {
			r.errors = []string{}
		}
		body = map[string]any{"errors": r.errors}
	default:
		m := map[string]any{
			"request_id": uuid(), "lease_id": "", "renewable": false, "lease_duration": r.ttl,
			"data": r.data, "wrap_info": nil, "warnings": nil, "auth": nil, "mount_type": r.mount,
		}
		if r.flat {
			if fields, ok := r.data.(map[string]any); ok {
				maps.Copy(m, fields)
			}
		}
		if r.auth != nil {
			m["auth"] = r.auth
		}
		if r.wrap != nil {
			m["wrap_info"] = r.wrap
		}
		if r.warnings != nil {
			m["warnings"] = r.warnings
		}
		if r.lease != nil {
			m["lease_id"], m["renewable"], m["lease_duration"] = r.lease.ID, r.lease.Renewable, r.ttl
		}
		body = m
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body)
	return b.Bytes()
}

func tokenOf(req *http.Request) string {
	if t := req.Header.Get("X-Vault-Token"); t != "" {
		return t
	}
	t, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	return t
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func uuid() string {
	h := random(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// normal makes of data what Vault stores: what came in as JSON, numbers with their digits.
func normal(data map[string]any) map[string]any {
	b, err := json.Marshal(data)
	if err != nil {
		return map[string]any{}
	}
	var out map[string]any
	_ = unmarshal(b, &out)
	return out
}

func unmarshal(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	return dec.Decode(into)
}

// DatabaseRole sets up dynamic credentials at database/creds/name that live for ttl, at most for maxTTL, such as
// "1h".
func (s *Server) DatabaseRole(name, ttl, maxTTL string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mounts["database/"]
	if m == nil {
		return errors.New("vaulttest: database/ is not mounted")
	}
	m.roles[name] = map[string]any{"default_ttl": ttl, "max_ttl": maxTTL}
	return nil
}
