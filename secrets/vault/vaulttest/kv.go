package vaulttest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// secret is one path of KV version 2.
type secret struct {
	versions []*version // the first is 1; nil where more came than are kept
	created  time.Time
	updated  time.Time
	custom   any

	max         int // versions kept; 0 means 10
	oldest      int // that is kept; 0 while none was dropped
	casRequired bool
}

type version struct {
	data      map[string]any
	created   time.Time
	deleted   time.Time // zero: not
	destroyed bool
}

func (m *mount) exists(rest string) bool {
	if m.version == 1 {
		return m.kv1[rest] != nil
	}
	_, path, _ := strings.Cut(rest, "/")
	return m.kv2[path] != nil
}

func (m *mount) secret(path string, create bool) *secret {
	s := m.kv2[path]
	if s == nil && create {
		s = &secret{}
		m.kv2[path] = s
	}
	return s
}

func (s *secret) put(data map[string]any, now time.Time) int {
	if len(s.versions) == 0 {
		s.created = now
	}
	s.updated = now
	data = floats(data)
	s.versions = append(s.versions, &version{data: data, created: now})
	if drop := len(s.versions) - cmp.Or(s.max, 10); drop > 0 {
		clear(s.versions[:drop])
		s.oldest = drop + 1
	}
	return len(s.versions)
}

// floats loses the digits that Vault's KV version 2 loses: it keeps numbers as 64-bit floating point.
func floats(data map[string]any) map[string]any {
	var out map[string]any
	_ = json.Unmarshal(mustJSON(data), &out)
	return out
}

func (s *secret) version(n int) *version {
	if n == 0 {
		n = len(s.versions)
	}
	if n < 1 || n > len(s.versions) {
		return nil
	}
	return s.versions[n-1]
}

func (s *secret) describe(n int) map[string]any {
	v := s.versions[n-1]
	return map[string]any{
		"version": n, "created_time": v.created.UTC().Format(time.RFC3339Nano), "deletion_time": stamp(v.deleted), "destroyed": v.destroyed, "custom_metadata": s.custom,
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func (m *mount) handleV1(op operation, path string) reply {
	switch op.verb {
	case "list":
		return keys(maps.Keys(m.kv1), path)
	case "read":
		if d := m.kv1[path]; d != nil {
			return reply{status: http.StatusOK, data: d, ttl: int(defaultTTL.Seconds()), mount: "kv"}
		}
		return failed(http.StatusNotFound)
	case "update":
		if len(op.in) == 0 {
			return failed(http.StatusBadRequest, "missing data fields")
		}
		m.kv1[path] = op.in
		return noContent()
	case "delete":
		delete(m.kv1, path)
		return noContent()
	}
	return failed(http.StatusMethodNotAllowed, "1 error occurred:\n\t* unsupported operation\n\n")
}

const versionedHint = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation."

func (m *mount) handleV2(op operation, rest string, now time.Time) reply {
	kind, path, _ := strings.Cut(rest, "/")
	s := m.secret(path, false)
	switch kind + " " + op.verb {
	case "data read":
		return m.readV2(op, s)
	case "data update":
		return m.writeV2(op, path, now, false)
	case "data patch":
		if s == nil || s.version(0) == nil || s.version(0).data == nil {
			return failed(http.StatusNotFound)
		}
		return m.writeV2(op, path, now, true)
	case "data delete":
		if s != nil && s.version(0) != nil && s.version(0).deleted.IsZero() {
			s.version(0).deleted = now
		}
		return noContent()
	case "delete update", "undelete update", "destroy update":
		return s.change(kind, op, now)
	case "metadata read":
		if s == nil {
			return failed(http.StatusNotFound)
		}
		return ok(s.metadata())
	case "metadata update":
		if op.in["delete_version_after"] != nil {
			return failed(http.StatusBadRequest, "vaulttest knows no delete_version_after")
		}
		s = m.secret(path, true)
		if custom := op.in["custom_metadata"]; custom != nil {
			s.custom = custom
		}
		if n := op.in["max_versions"]; n != nil {
			s.max, _ = strconv.Atoi(text(n))
		}
		if required := op.in["cas_required"]; required != nil {
			s.casRequired = flag(required)
		}
		return noContent()
	case "metadata delete":
		delete(m.kv2, path)
		return noContent()
	case "metadata list":
		return keys(maps.Keys(m.kv2), path)
	case "config read":
		return ok(map[string]any{"cas_required": false, "delete_version_after": "0s", "max_versions": 0})
	}
	if slices.Contains([]string{"data", "metadata", "delete", "undelete", "destroy", "config", "subkeys"}, kind) {
		return failed(http.StatusMethodNotAllowed, "1 error occurred:\n\t* unsupported operation\n\n")
	}
	return reply{status: http.StatusNotFound, warnings: []string{versionedHint}}
}

func (m *mount) readV2(op operation, s *secret) reply {
	if s == nil || len(s.versions) == 0 {
		return failed(http.StatusNotFound)
	}
	n, _ := strconv.Atoi(op.req.URL.Query().Get("version"))
	v := s.version(n)
	if v == nil {
		return failed(http.StatusNotFound)
	}
	if n == 0 {
		n = len(s.versions)
	}
	r := reply{status: http.StatusOK, data: map[string]any{"data": v.data, "metadata": s.describe(n)}, mount: "kv"}
	if !v.deleted.IsZero() || v.destroyed {
		r.status = http.StatusNotFound
		r.data = map[string]any{"data": nil, "metadata": s.describe(n)}
	}
	return r
}

func (m *mount) writeV2(op operation, path string, now time.Time, patch bool) reply {
	data, isObject := op.in["data"].(map[string]any)
	if !isObject {
		return failed(http.StatusBadRequest, "no data provided")
	}
	s := m.secret(path, true)
	if o, isObject := op.in["options"].(map[string]any); isObject && o["cas"] != nil {
		if text(o["cas"]) != strconv.Itoa(len(s.versions)) {
			return failed(http.StatusBadRequest, "check-and-set parameter did not match the current version")
		}
	} else if s.casRequired {
		return failed(http.StatusBadRequest, "check-and-set parameter required for this call")
	}
	if patch {
		merged := maps.Clone(s.version(0).data)
		for k, v := range data {
			if merged[k] = v; v == nil {
				delete(merged, k)
			}
		}
		data = merged
	}
	n := s.put(data, now)
	return ok(s.describe(n))
}

func (s *secret) change(kind string, op operation, now time.Time) reply {
	if s == nil {
		return failed(http.StatusNotFound)
	}
	for _, text := range list(op.in["versions"]) {
		n, _ := strconv.Atoi(text)
		if v := s.version(n); v != nil && n > 0 {
			switch kind {
			case "delete":
				v.deleted = now
			case "undelete":
				v.deleted = time.Time{}
			case "destroy":
				v.destroyed, v.data = true, nil
			}
		}
	}
	return noContent()
}

func (s *secret) metadata() map[string]any {
	versions := map[string]any{}
	for i := max(s.oldest-1, 0); i < len(s.versions); i++ {
		d := s.describe(i + 1)
		delete(d, "version")
		delete(d, "custom_metadata")
		versions[strconv.Itoa(i+1)] = d
	}
	return map[string]any{
		"versions": versions, "current_version": len(s.versions), "oldest_version": s.oldest, "max_versions": s.max, "cas_required": s.casRequired,
		"created_time": stamp(s.created), "updated_time": stamp(s.updated), "delete_version_after": "0s", "custom_metadata": s.custom,
	}
}

// keys lists what lies directly below a folder.
func keys(all func(yield func(string) bool), folder string) reply {
	folder = strings.TrimSuffix(folder, "/")
	if folder != "" {
		folder += "/"
	}
	seen := map[string]bool{}
	for k := range all {
		if rest, below := strings.CutPrefix(k, folder); below {
			if name, _, deeper := strings.Cut(rest, "/"); deeper {
				rest = name + "/"
			}
			seen[rest] = true
		}
	}
	if len(seen) == 0 {
		return failed(http.StatusNotFound)
	}
	return ok(map[string]any{"keys": slices.Sorted(maps.Keys(seen))})
}

func mustJSON(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}
