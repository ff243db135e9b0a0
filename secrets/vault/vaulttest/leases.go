package vaulttest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Lease is a dynamic secret that is alive.
type Lease struct {
	ID        string
	Path      string
	Username  string // of the database credential
	Issued    time.Time
	Expires   time.Time
	Renewable bool

	token    string
	ttl, max time.Duration
}

// handleDatabase makes up credentials; there is no database behind them. Server.mu is held.
func (s *Server) handleDatabase(op operation, m *mount, rest string) reply {
	kind, name, _ := strings.Cut(rest, "/")
	switch kind + " " + op.verb {
	case "config update":
		return noContent()
	case "roles update":
		m.roles[name] = op.in
		return noContent()
	case "roles read":
		if role := m.roles[name]; role != nil {
			return ok(role)
		}
		return failed(http.StatusNotFound)
	case "creds read":
		role := m.roles[name]
		if role == nil {
			return failed(http.StatusBadRequest, fmt.Sprintf("unknown role: %s", name))
		}
		now := s.o.Now()
		l := &Lease{
			ID: op.path + "/" + random(12), Path: op.path, Username: "v-token-" + name + "-" + random(10), Issued: now, Renewable: true,
			token: op.token.id, ttl: seconds(role["default_ttl"]), max: seconds(role["max_ttl"]),
		}
		if l.ttl == 0 {
			l.ttl = defaultTTL
		}
		l.Expires = now.Add(l.ttl)
		s.leases[l.ID] = l
		return reply{
			status: http.StatusOK, mount: "database", lease: l, ttl: int(l.ttl.Seconds()),
			data: map[string]any{"username": l.Username, "password": "A1a-" + random(8)},
		}
	}
	return failed(http.StatusMethodNotAllowed, "1 error occurred:\n\t* unsupported operation\n\n")
}

// handleLeases serves sys/leases/. Server.mu is held.
func (s *Server) handleLeases(op operation, rest string) reply {
	if prefix, found := strings.CutPrefix(rest, "lookup"); found && op.verb == "list" {
		return s.listLeases(strings.Trim(prefix, "/"))
	}
	action, path, _ := strings.Cut(rest, "/")
	id := text(op.in["lease_id"])
	if id == "" {
		id = path
	}
	l := s.leases[id]
	now := s.o.Now()
	switch action {
	case "renew":
		if l == nil {
			return failed(http.StatusBadRequest, "lease not found")
		}
		ttl := l.ttl
		if inc := seconds(op.in["increment"]); inc > 0 {
			ttl = inc
		}
		r := reply{status: http.StatusOK, lease: l}
		l.Expires = now.Add(ttl)
		if end := l.Issued.Add(l.max); l.max > 0 && end.Before(l.Expires) {
			l.Expires = end
			r.warnings = []string{fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", ttl, l.max)}
		}
		r.ttl = int(l.Expires.Sub(now).Seconds())
		r.data = map[string]any{}
		return r
	case "revoke":
		delete(s.leases, id)
		return noContent()
	case "revoke-prefix", "revoke-force":
		for k := range s.leases {
			if strings.HasPrefix(k, path) {
				delete(s.leases, k)
			}
		}
		return noContent()
	case "lookup":
		if l == nil {
			return failed(http.StatusBadRequest, "invalid lease")
		}
		return ok(map[string]any{
			"id": l.ID, "issue_time": stamp(l.Issued), "expire_time": stamp(l.Expires), "renewable": l.Renewable, "ttl": int(l.Expires.Sub(now).Seconds()),
		})
	}
	return failed(http.StatusNotFound)
}

func (s *Server) listLeases(prefix string) reply {
	var ids []string
	for id := range s.leases {
		if rest, below := strings.CutPrefix(id, prefix+"/"); below {
			ids = append(ids, rest)
		}
	}
	if len(ids) == 0 {
		return failed(http.StatusNotFound)
	}
	slices.Sort(ids)
	return ok(map[string]any{"keys": ids})
}
