package imagetest

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// grant is what a token allows.
type grant struct {
	scopes  []string // "repository:NAME:ACTION", one action each
	expires time.Time
}

// authorized reports whether a request may pass; when not it has been answered with a challenge.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	if s.opts.User == "" && s.opts.Azure == nil {
		return true
	}
	needs := needed(r)
	if s.opts.Token {
		if t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && s.granted(t, needs) {
			return true
		}
	} else if s.isUser(r) {
		return true
	}
	s.challenge(w, needs)
	writeError(w, refuse(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required"))
	return false
}

func (s *Server) challenge(w http.ResponseWriter, needs []string) {
	c := `Basic realm="imagetest"`
	if s.opts.Token {
		c = fmt.Sprintf(`Bearer realm="%s/token",service="imagetest"`, s.URL())
		if len(needs) > 0 {
			c += fmt.Sprintf(`,scope="%s"`, strings.Join(needs, " "))
		}
	}
	w.Header().Set("WWW-Authenticate", c)
}

func (s *Server) isUser(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && s.opts.User != "" && user == s.opts.User && subtle.ConstantTimeCompare([]byte(password), []byte(s.opts.Password)) == 1
}

// needed are the scopes a request wants.
func needed(r *http.Request) []string {
	m := route.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return nil
	}
	scopes := []string{"repository:" + m[1] + ":pull"}
	if !reads(r.Method) {
		scopes = append(scopes, "repository:"+m[1]+":push")
	}
	if from := r.URL.Query().Get("from"); from != "" {
		scopes = append(scopes, "repository:"+from+":pull")
	}
	return scopes
}

func (s *Server) granted(token string, needs []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.tokens[token]
	return g != nil && time.Now().Before(g.expires) && !slices.ContainsFunc(needs, func(n string) bool { return !slices.Contains(g.scopes, n) })
}

func (s *Server) isRefreshToken(t string) bool {
	if s.opts.Azure != nil && isAzureToken(t, "refresh", s.Host()) {
		return true
	}
	return s.opts.IdentityToken != "" && subtle.ConstantTimeCompare([]byte(t), []byte(s.opts.IdentityToken)) == 1
}

// ExpireTokens makes every token handed out so far worthless, as if its time had come.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// token is the token server: a GET with the login, or an OAuth 2 POST with a refresh token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		writeError(w, refuse(http.StatusBadRequest, "UNSUPPORTED", "malformed form"))
		return
	}
	allowed := s.isUser(r)
	if r.Method == http.MethodPost {
		allowed = r.PostFormValue("grant_type") == "refresh_token" && s.isRefreshToken(r.PostFormValue("refresh_token"))
	}
	if !allowed {
		writeError(w, refuse(http.StatusUnauthorized, "UNAUTHORIZED", "wrong login"))
		return
	}
	g := &grant{expires: time.Now().Add(s.opts.TokenTTL)}
	for _, value := range r.Form["scope"] {
		for scope := range strings.FieldsSeq(value) {
			i := strings.LastIndex(scope, ":")
			for action := range strings.SplitSeq(scope[i+1:], ",") {
				g.scopes = append(g.scopes, scope[:i+1]+action)
			}
		}
	}
	var b [16]byte
	_, _ = rand.Read(b[:])
	t := hex.EncodeToString(b[:])
	s.mu.Lock()
	s.tokens[t] = g
	s.mu.Unlock()
	key := "token"
	if r.Method == http.MethodPost {
		key = "access_token"
	}
	raw, _ := json.Marshal(map[string]any{key: t, "expires_in": int(s.opts.TokenTTL.Seconds())})
	_ = reply(w, http.StatusOK, "application/json", raw)
}
