package vaulttest

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type mount struct {
	kind    string // kv, database
	version int    // of kv
	kv1     map[string]map[string]any
	kv2     map[string]*secret
	roles   map[string]map[string]any // of database
}

func newMount(kind string, version int) *mount {
	return &mount{kind: kind, version: version, kv1: map[string]map[string]any{}, kv2: map[string]*secret{}, roles: map[string]map[string]any{}}
}

func (m *mount) describe() map[string]any {
	d := map[string]any{"type": m.kind, "description": "", "local": false, "options": nil, "accessor": m.kind + "_" + "fake", "config": map[string]any{}}
	if m.kind == "kv" {
		d["options"] = map[string]any{"version": strconv.Itoa(m.version)}
	}
	return d
}

type wrapping struct {
	content reply
	path    string
	created time.Time
	expires time.Time
}

// operation is one authenticated request.
type operation struct {
	path   string
	method string
	verb   string // create and update are one: update
	in     map[string]any
	req    *http.Request
	token  *token // nil for the paths that need none
}

// mountOf returns the mount a path is below, and the rest of the path.
func (s *Server) mountOf(path string) (*mount, string) {
	for at, m := range s.mounts {
		if rest, below := strings.CutPrefix(path+"/", at); below {
			return m, strings.TrimSuffix(rest, "/")
		}
	}
	return nil, ""
}

func (s *Server) handle(req *http.Request, path string, body []byte) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	switch path {
	case "sys/health":
		return s.health()
	case "sys/seal-status":
		return s.sealStatus()
	case "sys/leader":
		return plain(http.StatusOK, map[string]any{"ha_enabled": false, "is_self": false, "leader_address": "", "leader_cluster_address": "", "performance_standby": false})
	}
	in := map[string]any{}
	if len(body) > 0 && unmarshal(body, &in) != nil {
		return failed(http.StatusBadRequest, "failed to parse JSON input: invalid JSON")
	}
	if path == "sys/unseal" {
		if text(in["key"]) != s.UnsealKey {
			return failed(http.StatusBadRequest, "'key' must be a valid hex or base64 string")
		}
		s.sealed = false
		return s.sealStatus()
	}
	if s.sealed {
		return failed(http.StatusServiceUnavailable, "Vault is sealed")
	}
	op := operation{path: strings.TrimSuffix(path, "/"), method: req.Method, in: in, req: req}
	switch req.Method {
	case http.MethodGet:
		op.verb = "read"
		if req.URL.Query().Get("list") == "true" {
			op.verb = "list"
		}
	case "LIST":
		op.verb = "list"
	case http.MethodPost, http.MethodPut:
		op.verb = "update"
	case http.MethodPatch:
		op.verb = "patch"
	case http.MethodDelete:
		op.verb = "delete"
	default:
		return failed(http.StatusMethodNotAllowed)
	}
	if r, done := s.login(op); done {
		return s.wrap(req, op.path, r)
	}
	if op.path == "sys/wrapping/unwrap" {
		return s.unwrap(op)
	}
	t, failure := s.authenticate(req)
	if t == nil {
		return failure
	}
	op.token = t
	if t.uses > 0 {
		if t.uses--; t.uses == 0 {
			defer s.revokeToken(t) // after this last one
		}
	}
	return s.wrap(req, op.path, s.route(op))
}

func (s *Server) authenticate(req *http.Request) (*token, reply) {
	id := tokenOf(req)
	if id == "" {
		return nil, noToken
	}
	t := s.tokens[id]
	if t == nil {
		return nil, invalidToken
	}
	return t, reply{}
}

func (s *Server) route(op operation) reply {
	if rest, found := strings.CutPrefix(op.path, "sys/internal/ui/mounts"); found {
		return s.uiMounts(op, strings.Trim(rest, "/"))
	}
	m, rest := s.mountOf(op.path)
	verb := op.verb
	if m != nil && verb == "update" && m.kind == "kv" && !m.exists(rest) {
		verb = "create"
	}
	path := op.path
	if op.verb == "list" {
		path += "/"
	}
	if !s.allowed(op.token, path, verb) && !s.allowed(op.token, op.path, verb) {
		return denied
	}
	switch {
	case strings.HasPrefix(op.path, "auth/token/"):
		return s.handleToken(op)
	case strings.HasPrefix(op.path, "auth/"):
		return s.handleAuth(op)
	case strings.HasPrefix(op.path, "sys/"):
		return s.handleSys(op)
	case m == nil:
		return failed(http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", op.path))
	case m.kind == "kv" && m.version == 1:
		return m.handleV1(op, rest)
	case m.kind == "kv":
		return m.handleV2(op, rest, s.o.Now())
	case m.kind == "database":
		return s.handleDatabase(op, m, rest)
	}
	return failed(http.StatusNotFound)
}

func (s *Server) health() reply {
	status := http.StatusOK
	if s.sealed {
		status = http.StatusServiceUnavailable
	}
	return plain(status, map[string]any{
		"initialized": true, "sealed": s.sealed, "standby": false, "performance_standby": false, "replication_performance_mode": "disabled",
		"replication_dr_mode": "disabled", "server_time_utc": s.o.Now().Unix(), "version": Version, "cluster_name": "vaulttest", "cluster_id": "vaulttest",
	})
}

// Version is the Vault whose answers are given.
const Version = "1.21.1"

func (s *Server) sealStatus() reply {
	return plain(http.StatusOK, map[string]any{
		"type": "shamir", "initialized": true, "sealed": s.sealed, "t": 1, "n": 1, "progress": 0, "nonce": "", "version": Version,
		"build_date": "2025-11-18T13:04:32Z", "migration": false, "cluster_name": "vaulttest", "cluster_id": "vaulttest", "recovery_seal": false, "storage_type": s.o.Storage,
	})
}

// plain is a reply without the envelope.
func plain(status int, data any) reply {
	b := mustJSON(data)
	return reply{status: status, raw: b}
}

func (s *Server) handleSys(op operation) reply {
	path := strings.TrimPrefix(op.path, "sys/")
	first, rest, _ := strings.Cut(path, "/")
	switch {
	case path == "seal" && op.verb == "update":
		s.sealed = true
		return noContent()
	case path == "mounts" && op.verb == "read":
		all := map[string]any{}
		for p, m := range s.mounts {
			all[p] = m.describe()
		}
		return reply{status: http.StatusOK, data: all, flat: true}
	case first == "mounts" && op.verb == "update":
		return s.enable(rest, op.in)
	case first == "mounts" && op.verb == "delete":
		delete(s.mounts, strings.Trim(rest, "/")+"/")
		return noContent()
	case path == "auth" && op.verb == "read":
		all := map[string]any{}
		for p, a := range s.auths {
			all[p] = map[string]any{"type": a.kind, "accessor": "auth_" + a.kind, "description": "", "config": map[string]any{}, "local": false}
		}
		return reply{status: http.StatusOK, data: all, flat: true}
	case first == "auth" && op.verb == "update":
		kind := text(op.in["type"])
		if !slices.Contains([]string{"approle", "jwt", "kubernetes", "userpass"}, kind) {
			return failed(http.StatusBadRequest, fmt.Sprintf("plugin not found in the catalog: %s", kind))
		}
		p := strings.Trim(rest, "/") + "/"
		if s.auths[p] != nil {
			return failed(http.StatusBadRequest, "path is already in use at "+p)
		}
		s.auths[p] = newAuth(kind)
		return noContent()
	case path == "audit" && op.verb == "read":
		return reply{status: http.StatusOK, data: map[string]any{}, flat: true}
	case path == "capabilities-self":
		return s.capabilitiesSelf(op)
	case strings.HasPrefix(path, "policies/acl"), strings.HasPrefix(path, "policy"):
		return s.handlePolicy(op, path)
	case first == "leases":
		return s.handleLeases(op, rest)
	case path == "renew" || path == "revoke": // the old spelling, which the vault command uses
		return s.handleLeases(op, path)
	case path == "wrapping/lookup":
		w := s.wrapped[text(op.in["token"])]
		if w == nil {
			return failed(http.StatusBadRequest, "wrapping token is not valid or does not exist")
		}
		return ok(map[string]any{"creation_path": w.path, "creation_ttl": int(w.expires.Sub(w.created).Seconds()), "creation_time": w.created.Format(time.RFC3339Nano)})
	}
	return failed(http.StatusNotFound)
}

func (s *Server) enable(path string, in map[string]any) reply {
	path = strings.Trim(path, "/") + "/"
	for p := range s.mounts {
		if strings.HasPrefix(p, path) || strings.HasPrefix(path, p) {
			return failed(http.StatusBadRequest, "path is already in use at "+p)
		}
	}
	kind, version := text(in["type"]), 0
	switch kind {
	case "kv":
		version = 1
		if o, ok := in["options"].(map[string]any); ok && text(o["version"]) == "2" {
			version = 2
		}
	case "kv-v2":
		kind, version = "kv", 2
	case "database":
	default:
		return failed(http.StatusBadRequest, "plugin not found in the catalog: "+kind)
	}
	s.mounts[path] = newMount(kind, version)
	return noContent()
}

func (s *Server) uiMounts(op operation, path string) reply {
	if path == "" {
		return ok(map[string]any{"secret": map[string]any{}, "auth": map[string]any{}})
	}
	for p, m := range s.mounts {
		if strings.HasPrefix(path+"/", p) {
			if !s.seesMount(op.token, p) {
				break
			}
			d := m.describe()
			d["path"] = p
			return ok(d)
		}
	}
	return failed(http.StatusForbidden, fmt.Sprintf("preflight capability check returned 403, please ensure client's policies grant access to path %q", path+"/"))
}

// seesMount reports whether the token has some right below the mount.
func (s *Server) seesMount(t *token, mount string) bool {
	if t.root() {
		return true
	}
	for _, name := range t.policies {
		for _, rule := range policyPath.FindAllStringSubmatch(stripComments(s.policies[name]), -1) {
			pattern := rule[1]
			fixed := pattern
			if i := strings.IndexAny(pattern, "+*"); i >= 0 {
				fixed = pattern[:i]
			}
			if strings.HasPrefix(fixed, mount) || fixed != pattern && strings.HasPrefix(mount, fixed) {
				if m := policyCaps.FindStringSubmatch(rule[2]); m != nil && !strings.Contains(m[1], "deny") {
					return true
				}
			}
		}
	}
	return false
}

func (s *Server) capabilitiesSelf(op operation) reply {
	paths := list(op.in["paths"])
	if p := text(op.in["path"]); p != "" {
		paths = append(paths, p)
	}
	out := map[string]any{}
	for _, p := range paths {
		out[p] = s.capabilities(op.token, p)
	}
	if len(paths) == 1 {
		out["capabilities"] = out[paths[0]]
	}
	return reply{status: http.StatusOK, data: out, flat: true}
}

func (s *Server) handlePolicy(op operation, path string) reply {
	name := strings.Trim(strings.TrimPrefix(strings.TrimPrefix(path, "policies/acl"), "policy"), "/")
	switch {
	case name == "" && (op.verb == "list" || op.verb == "read"):
		keys := append(slices.Sorted(maps.Keys(s.policies)), "root")
		return reply{status: http.StatusOK, data: map[string]any{"keys": keys, "policies": keys}, flat: true}
	case op.verb == "read":
		p, found := s.policies[name]
		if !found {
			return failed(http.StatusNotFound)
		}
		return reply{status: http.StatusOK, data: map[string]any{"name": name, "policy": p, "rules": p}, flat: true}
	case op.verb == "update":
		p := text(op.in["policy"])
		if !policyPath.MatchString(p) {
			return failed(http.StatusBadRequest, "failed to parse policy: no path in it")
		}
		for _, rule := range policyPath.FindAllStringSubmatch(stripComments(p), -1) {
			for _, c := range capabilitiesOf(rule[2]) {
				if !slices.Contains([]string{"create", "read", "update", "patch", "delete", "list", "sudo", "deny", "subscribe", "recover"}, c) {
					return failed(http.StatusBadRequest, fmt.Sprintf("failed to parse policy: path %q: invalid capability %q", rule[1], c))
				}
			}
		}
		s.policies[name] = p
		return noContent()
	case op.verb == "delete":
		delete(s.policies, name)
		return noContent()
	}
	return failed(http.StatusMethodNotAllowed, "unsupported operation")
}

// wrap puts a reply behind a single-use token where the request asks for it.
func (s *Server) wrap(req *http.Request, path string, r reply) reply {
	ttl := seconds(req.Header.Get("X-Vault-Wrap-TTL"))
	if ttl <= 0 || r.status != http.StatusOK {
		return r
	}
	now := s.o.Now()
	id := "hvs.wrap-" + random(16)
	s.wrapped[id] = &wrapping{content: r, path: path, created: now, expires: now.Add(ttl)}
	return reply{status: http.StatusOK, wrap: map[string]any{
		"token": id, "accessor": random(12), "ttl": int(ttl.Seconds()), "creation_time": now.Format(time.RFC3339Nano), "creation_path": path,
	}}
}

func (s *Server) unwrap(op operation) reply {
	id := text(op.in["token"])
	if id == "" {
		id = tokenOf(op.req)
	}
	w := s.wrapped[id]
	if w == nil {
		return failed(http.StatusBadRequest, "wrapping token is not valid or does not exist")
	}
	delete(s.wrapped, id)
	return w.content
}

func certificatePEM(c *x509.Certificate) []byte {
	if c == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
