package vaulttest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type token struct {
	id, accessor string
	policies     []string
	kind         string // service or batch
	name, path   string
	created      time.Time
	ttl          time.Duration
	expires      time.Time // zero: never
	ends         time.Time // of the maximum; zero: none
	renewable    bool
	uses         int // left; 0: unlimited, -1: used up
	parent       string
	meta         map[string]string
}

func (t *token) root() bool { return slices.Contains(t.policies, "root") }

// grant is what a role says of the tokens made by it.
type grant struct {
	policies  []string
	ttl, max  time.Duration
	uses      int
	noDefault bool
	batch     bool
}

const (
	defaultTTL    = 768 * time.Hour
	defaultPolicy = `
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/renew" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
`
)

// newToken makes a token. Server.mu is held.
func (s *Server) newToken(g grant, path, name, parent string) *token {
	now := s.o.Now()
	t := &token{
		id: "hvs." + random(24), accessor: random(12), kind: "service", name: name, path: path, created: now,
		parent: parent, uses: g.uses, renewable: true, ttl: g.ttl,
	}
	t.policies = append(t.policies, g.policies...)
	if !g.noDefault && !t.root() && !slices.Contains(t.policies, "default") {
		t.policies = append(t.policies, "default")
	}
	slices.Sort(t.policies)
	if g.batch {
		t.kind, t.id, t.renewable, t.accessor = "batch", "hvb."+random(24), false, ""
	}
	if t.ttl == 0 && !t.root() {
		t.ttl = defaultTTL
	}
	if g.max > 0 {
		t.ttl = min(t.ttl, g.max)
		t.ends = now.Add(g.max)
	}
	if t.ttl > 0 {
		t.expires = now.Add(t.ttl)
	} else {
		t.renewable = false
	}
	s.tokens[t.id] = t
	return t
}

func (t *token) left(now time.Time) int {
	if t.expires.IsZero() {
		return 0
	}
	return int(t.expires.Sub(now).Round(time.Second).Seconds())
}

func (t *token) auth(now time.Time) map[string]any {
	return map[string]any{
		"client_token": t.id, "accessor": t.accessor, "policies": t.policies, "token_policies": t.policies,
		"identity_policies": nil, "metadata": t.meta, "lease_duration": t.left(now), "renewable": t.renewable,
		"entity_id": "", "token_type": t.kind, "orphan": t.parent == "", "mfa_requirement": nil, "num_uses": max(t.uses, 0),
	}
}

func (t *token) describe(now time.Time) map[string]any {
	d := map[string]any{
		"id": t.id, "accessor": t.accessor, "policies": t.policies, "display_name": t.name, "path": t.path, "ttl": t.left(now),
		"creation_time": t.created.Unix(), "creation_ttl": int(t.ttl.Seconds()), "explicit_max_ttl": 0, "entity_id": "",
		"num_uses": max(t.uses, 0), "orphan": t.parent == "", "renewable": t.renewable, "type": t.kind, "meta": t.meta, "expire_time": nil,
	}
	if !t.expires.IsZero() {
		d["expire_time"] = t.expires.Format(time.RFC3339Nano)
	}
	return d
}

// sweep drops what has expired. Server.mu is held.
func (s *Server) sweep() {
	now := s.o.Now()
	for _, t := range s.tokens {
		if !t.expires.IsZero() && !now.Before(t.expires) {
			s.revokeToken(t)
		}
	}
	for id, l := range s.leases {
		if !now.Before(l.Expires) {
			delete(s.leases, id)
		}
	}
	for id, w := range s.wrapped {
		if !now.Before(w.expires) {
			delete(s.wrapped, id)
		}
	}
}

// revoke answers a request to revoke t. Server.mu is held.
func (s *Server) revoke(t *token) reply {
	if t.kind == "batch" {
		return failed(http.StatusBadRequest, "batch tokens cannot be revoked")
	}
	s.revokeToken(t)
	return noContent()
}

// revokeToken drops a token, its leases and its children. Server.mu is held.
func (s *Server) revokeToken(t *token) {
	delete(s.tokens, t.id)
	for id, l := range s.leases {
		if l.token == t.id {
			delete(s.leases, id)
		}
	}
	for _, child := range s.tokens {
		if child.parent == t.id {
			s.revokeToken(child)
		}
	}
}

var (
	denied       = failed(http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	noToken      = failed(http.StatusForbidden, "permission denied")
	invalidToken = failed(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
)

// handleToken serves auth/token/. Server.mu is held.
func (s *Server) handleToken(op operation) reply {
	now := s.o.Now()
	target := func() *token {
		id, _ := op.in["token"].(string)
		return s.tokens[id]
	}
	switch op.path {
	case "auth/token/lookup-self":
		return ok(op.token.describe(now))
	case "auth/token/renew-self":
		return s.renewToken(op.token, op.in)
	case "auth/token/revoke-self":
		return s.revoke(op.token)
	case "auth/token/lookup":
		if t := target(); t != nil {
			return ok(t.describe(now))
		}
		return failed(http.StatusForbidden, "bad token")
	case "auth/token/renew":
		if t := target(); t != nil {
			return s.renewToken(t, op.in)
		}
		return failed(http.StatusBadRequest, "token not found")
	case "auth/token/revoke":
		if t := target(); t != nil {
			return s.revoke(t)
		}
		return noContent()
	case "auth/token/accessors":
		var all []string
		for _, t := range s.tokens {
			if t.accessor != "" {
				all = append(all, t.accessor)
			}
		}
		return ok(map[string]any{"keys": all})
	case "auth/token/lookup-accessor", "auth/token/revoke-accessor":
		for _, t := range s.tokens {
			if t.accessor != "" && t.accessor == text(op.in["accessor"]) {
				if strings.HasSuffix(op.path, "revoke-accessor") {
					s.revokeToken(t)
					return noContent()
				}
				d := t.describe(now)
				d["id"] = ""
				return ok(d)
			}
		}
		return failed(http.StatusForbidden, "1 error occurred:\n\t* invalid accessor\n\n")
	case "auth/token/create", "auth/token/create-orphan":
		g := grantOf(op.in, "")
		if g.policies == nil {
			g.policies = slices.DeleteFunc(slices.Clone(op.token.policies), func(p string) bool { return p == "default" })
		}
		parent := op.token.id
		if flag(op.in["no_parent"]) || strings.HasSuffix(op.path, "orphan") {
			parent = ""
		}
		t := s.newToken(g, op.path, "token", parent)
		if text(op.in["renewable"]) == "false" {
			t.renewable = false
		}
		return reply{status: http.StatusOK, auth: t.auth(now)}
	}
	return failed(http.StatusNotFound)
}

func (s *Server) renewToken(t *token, in map[string]any) reply {
	now := s.o.Now()
	if !t.renewable {
		return failed(http.StatusBadRequest, "lease is not renewable")
	}
	ttl := t.ttl
	if inc := seconds(in["increment"]); inc > 0 {
		ttl = inc
	}
	t.expires = now.Add(ttl)
	r := reply{status: http.StatusOK}
	if !t.ends.IsZero() && t.ends.Before(t.expires) {
		t.expires = t.ends
		r.warnings = []string{fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", ttl, t.ends.Sub(t.created))}
	}
	r.auth = t.auth(now)
	return r
}

// grantOf reads the token parameters of a role or of a token creation.
func grantOf(in map[string]any, prefix string) grant {
	g := grant{
		ttl: seconds(in[prefix+"ttl"]), max: seconds(in[prefix+"max_ttl"]),
		noDefault: flag(in[prefix+"no_default_policy"]) || flag(in["no_default_policy"]),
		batch:     text(in[prefix+"type"]) == "batch",
	}
	if d := seconds(in["explicit_max_ttl"]); d > 0 {
		g.max = d
	}
	if n, err := strconv.Atoi(text(in[prefix+"num_uses"])); err == nil {
		g.uses = n
	} else if n, err := strconv.Atoi(text(in["num_uses"])); err == nil {
		g.uses = n
	}
	if g.policies = list(in[prefix+"policies"]); g.policies == nil {
		g.policies = list(in["policies"]) // as it was called before, and still is in much that was written
	}
	return g
}

func list(v any) []string {
	switch x := v.(type) {
	case string:
		var out []string
		for p := range strings.SplitSeq(x, ",") {
			if p = strings.TrimSpace(p); p != "" {
				out = append(out, p)
			}
		}
		return out
	case []any:
		var out []string
		for _, p := range x {
			out = append(out, text(p))
		}
		return out
	}
	return nil
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func flag(v any) bool {
	b, _ := strconv.ParseBool(text(v))
	return b
}

// seconds reads a duration as Vault does: seconds, or with a unit.
func seconds(v any) time.Duration {
	s := text(v)
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Duration(n * float64(time.Second))
	}
	d, _ := time.ParseDuration(s)
	return d
}

var (
	policyPath = regexp.MustCompile(`(?s)path\s+"([^"]+)"\s*\{(.*?)\}`)
	policyCaps = regexp.MustCompile(`(?s)capabilities\s*=\s*\[(.*?)\]`)
)

// capabilities returns what a token may do with a path, by the rule Vault documents: an exact path goes before
// one with wildcards, a longer before a shorter, and deny before all else. Server.mu is held.
func (s *Server) capabilities(t *token, path string) []string {
	if t.root() {
		return []string{"root"}
	}
	best, caps := "", []string(nil)
	for _, name := range t.policies {
		for _, rule := range policyPath.FindAllStringSubmatch(stripComments(s.policies[name]), -1) {
			pattern := rule[1]
			if !pathMatches(pattern, path) || best != "" && pattern != best && !moreSpecific(pattern, best) {
				continue
			}
			if pattern != best {
				best, caps = pattern, nil
			}
			caps = append(caps, capabilitiesOf(rule[2])...)
		}
	}
	if len(caps) == 0 || slices.Contains(caps, "deny") {
		return []string{"deny"}
	}
	slices.Sort(caps)
	return slices.Compact(caps)
}

// capabilitiesOf reads the body of a rule.
func capabilitiesOf(body string) []string {
	m := policyCaps.FindStringSubmatch(body)
	if m == nil {
		return nil
	}
	var caps []string
	for c := range strings.SplitSeq(m[1], ",") {
		if c = strings.Trim(c, " \t\r\n\""); c != "" {
			caps = append(caps, c)
		}
	}
	return caps
}

func stripComments(policy string) string {
	return regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(policy, "")
}

func pathMatches(pattern, path string) bool {
	prefix := strings.HasSuffix(pattern, "*")
	pattern = strings.TrimSuffix(pattern, "*")
	if !strings.Contains(pattern, "+") {
		return path == pattern || prefix && strings.HasPrefix(path, pattern)
	}
	re := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\+`, `[^/]+`)
	if !prefix {
		re += "$"
	}
	return regexp.MustCompile("^" + re).MatchString(path)
}

func moreSpecific(a, b string) bool {
	wild := func(p string) int {
		if i := strings.IndexAny(p, "+*"); i >= 0 {
			return i
		}
		return len(p) + 1<<20
	}
	return wild(a) > wild(b)
}

func (s *Server) allowed(t *token, path, capability string) bool {
	caps := s.capabilities(t, path)
	return slices.Contains(caps, "root") || slices.Contains(caps, capability)
}
