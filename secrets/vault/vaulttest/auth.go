package vaulttest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"
)

// auth is one enabled auth method.
type auth struct {
	kind    string
	config  map[string]any
	roles   map[string]map[string]any
	users   map[string]map[string]any
	secrets map[string]*secretID // approle, by secret id
}

type secretID struct {
	role    string
	uses    int       // left; 0: unlimited
	expires time.Time // zero: never
}

func newAuth(kind string) *auth {
	return &auth{kind: kind, roles: map[string]map[string]any{}, users: map[string]map[string]any{}, secrets: map[string]*secretID{}}
}

// authOf returns the auth method a path is below, its mount and the rest. Server.mu is held.
func (s *Server) authOf(path string) (a *auth, at, rest string) {
	path, found := strings.CutPrefix(path, "auth/")
	if !found {
		return nil, "", ""
	}
	for at, a := range s.auths {
		if rest, below := strings.CutPrefix(path, at); below {
			return a, "auth/" + at, rest
		}
	}
	return nil, "", ""
}

// login serves the login paths, which need no token. Server.mu is held.
func (s *Server) login(op operation) (reply, bool) {
	a, at, rest := s.authOf(op.path)
	if a == nil || op.verb != "update" {
		return reply{}, false
	}
	kind, name, _ := strings.Cut(rest, "/")
	if kind != "login" || a.kind == "token" {
		return reply{}, false
	}
	switch a.kind {
	case "approle":
		return s.loginAppRole(a, at, op), true
	case "jwt":
		return s.loginJWT(a, at, op), true
	case "kubernetes":
		return s.loginKubernetes(a, at, op), true
	case "userpass":
		u := a.users[name]
		if u == nil || text(u["password"]) != text(op.in["password"]) {
			return failed(http.StatusBadRequest, "invalid username or password"), true
		}
		return s.grantLogin(grantOf(u, "token_"), at+"login/"+name, a.kind+"-"+name, map[string]string{"username": name}), true
	}
	return reply{}, false
}

func (s *Server) grantLogin(g grant, path, name string, meta map[string]string) reply {
	t := s.newToken(g, path, name, "")
	t.meta = meta
	return reply{status: http.StatusOK, auth: t.auth(s.o.Now()), warnings: nil}
}

func (s *Server) loginAppRole(a *auth, at string, op operation) reply {
	bad := failed(http.StatusBadRequest, "invalid role or secret ID")
	for name, role := range a.roles {
		if text(role["role_id"]) != text(op.in["role_id"]) {
			continue
		}
		id := text(op.in["secret_id"])
		sid := a.secrets[id]
		if sid == nil || sid.role != name || !sid.expires.IsZero() && !s.o.Now().Before(sid.expires) {
			return bad
		}
		if sid.uses > 0 {
			if sid.uses--; sid.uses == 0 {
				delete(a.secrets, id)
			}
		}
		return s.grantLogin(grantOf(role, "token_"), at+"login", "approle", map[string]string{"role_name": name})
	}
	return bad
}

// handleAuth serves the set-up of auth methods. Server.mu is held.
func (s *Server) handleAuth(op operation) reply {
	a, _, rest := s.authOf(op.path)
	if a == nil {
		return failed(http.StatusNotFound, "no handler for route \""+op.path+"\". route entry not found.")
	}
	kind, name, _ := strings.Cut(rest, "/")
	name, field, _ := strings.Cut(name, "/")
	switch {
	case kind == "config" && op.verb == "update":
		a.config = op.in
		return noContent()
	case kind == "users" && op.verb == "update":
		a.users[name] = op.in
		return noContent()
	case kind == "role" && field == "" && op.verb == "update":
		if a.roles[name] == nil {
			a.roles[name] = map[string]any{"role_id": uuid()}
		}
		maps.Copy(a.roles[name], op.in)
		return noContent()
	case kind == "role" && a.roles[name] == nil:
		return failed(http.StatusNotFound)
	case kind == "role" && field == "" && op.verb == "read":
		return ok(a.roles[name])
	case kind == "role" && field == "role-id" && op.verb == "read":
		return ok(map[string]any{"role_id": a.roles[name]["role_id"]})
	case kind == "role" && field == "role-id" && op.verb == "update":
		a.roles[name]["role_id"] = op.in["role_id"]
		return noContent()
	case kind == "role" && field == "secret-id" && op.verb == "update":
		id := uuid()
		n := int(seconds(a.roles[name]["secret_id_num_uses"]).Seconds())
		ttl := seconds(a.roles[name]["secret_id_ttl"])
		a.secrets[id] = &secretID{role: name, uses: n}
		if ttl > 0 {
			a.secrets[id].expires = s.o.Now().Add(ttl)
		}
		return ok(map[string]any{"secret_id": id, "secret_id_accessor": uuid(), "secret_id_num_uses": n, "secret_id_ttl": int(ttl.Seconds())})
	}
	return failed(http.StatusMethodNotAllowed, "unsupported operation")
}

// loginJWT checks a token against jwt_validation_pubkeys, as far as tests need it: signature (RS256, ES256),
// expiry, issuer, audience, subject.
func (s *Server) loginJWT(a *auth, at string, op operation) reply {
	role := a.roles[text(op.in["role"])]
	if role == nil {
		return failed(http.StatusBadRequest, "role \""+text(op.in["role"])+"\" could not be found")
	}
	bad := func(why string) reply {
		return failed(http.StatusBadRequest, "error validating token: "+why)
	}
	claims, err := verifyJWT(text(op.in["jwt"]), list(a.config["jwt_validation_pubkeys"]))
	if err != "" {
		return bad(err)
	}
	if exp, isNumber := claims["exp"].(json.Number); isNumber {
		if at, _ := exp.Int64(); !s.o.Now().Before(time.Unix(at, 0).Add(time.Minute)) { // leeway, as Vault has
			return bad("token is expired")
		}
	}
	if want := text(a.config["bound_issuer"]); want != "" && want != text(claims["iss"]) {
		return bad("invalid issuer (iss) claim")
	}
	if want := list(role["bound_audiences"]); len(want) > 0 {
		match := false
		for _, aud := range list(claims["aud"]) {
			match = match || slices.Contains(want, aud)
		}
		if !match {
			return bad("invalid audience (aud) claim: audience claim does not match any bound audience")
		}
	}
	if want := text(role["bound_subject"]); want != "" && want != text(claims["sub"]) {
		return bad("sub claim does not match bound subject")
	}
	user := text(claims[text(role["user_claim"])])
	if user == "" {
		return bad("claim not found in token")
	}
	return s.grantLogin(grantOf(role, "token_"), at+"login", "jwt-"+user, map[string]string{"role": text(op.in["role"])})
}

func verifyJWT(jwt string, keys []string) (claims map[string]any, problem string) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil, "token is malformed"
	}
	payload, err1 := base64.RawURLEncoding.DecodeString(parts[1])
	signature, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	if err1 != nil || err2 != nil || unmarshal(payload, &claims) != nil {
		return nil, "token is malformed"
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, text := range keys {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			continue
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			continue
		}
		switch key := key.(type) {
		case *rsa.PublicKey:
			if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil {
				return claims, ""
			}
		case *ecdsa.PublicKey:
			if len(signature) == 64 && ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
				return claims, ""
			}
		}
	}
	return nil, "no known key successfully validated the token signature"
}

// loginKubernetes asks the API server's TokenReview, as Vault does.
func (s *Server) loginKubernetes(a *auth, at string, op operation) reply {
	name := text(op.in["role"])
	role := a.roles[name]
	if role == nil {
		return failed(http.StatusBadRequest, "invalid role name \""+name+"\"")
	}
	review := mustJSON(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": map[string]any{"token": text(op.in["jwt"])}})
	req, err := http.NewRequestWithContext(op.req.Context(), http.MethodPost, text(a.config["kubernetes_host"])+"/apis/authentication.k8s.io/v1/tokenreviews", bytes.NewReader(review))
	if err != nil {
		return failed(http.StatusInternalServerError, "internal error")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+text(a.config["token_reviewer_jwt"]))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return failed(http.StatusInternalServerError, "internal error")
	}
	defer resp.Body.Close()
	var out struct {
		Status struct {
			Authenticated bool
			User          struct{ Username string }
		}
	}
	if json.NewDecoder(resp.Body).Decode(&out) != nil || !out.Status.Authenticated {
		return denied
	}
	account := strings.Split(strings.TrimPrefix(out.Status.User.Username, "system:serviceaccount:"), ":")
	match := func(bound any, name string) bool {
		l := list(bound)
		return slices.Contains(l, "*") || slices.Contains(l, name)
	}
	if len(account) != 2 || !match(role["bound_service_account_namespaces"], account[0]) || !match(role["bound_service_account_names"], account[1]) {
		return failed(http.StatusForbidden, "service account name not authorized")
	}
	return s.grantLogin(grantOf(role, "token_"), at+"login", "kubernetes-"+account[0]+"-"+account[1], map[string]string{"role": name})
}
