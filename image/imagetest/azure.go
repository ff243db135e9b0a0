package imagetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Azure makes the registry behave as Azure Container Registry does towards identities, with the identity
// services beside it on the same address: Entra ID below /TENANT/oauth2/v2.0/token and the instance metadata
// service below /metadata/identity/oauth2/token.
type Azure struct {
	Tenant    string
	ClientID  string
	Secret    string // of a service principal
	Assertion string // the token that a workload identity shows
}

// The tokens carry what they are for, so that one cannot be taken for another.
func (a *Azure) access() string { return azureToken("access", a.Tenant) }

func azureToken(kind, of string) string {
	claims := fmt.Sprintf(`{"kind":%q,"of":%q,"exp":%d}`, kind, of, time.Now().Add(3*time.Hour).Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmVk"
}

func isAzureToken(token, kind, of string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Kind, Of string }
	return err == nil && json.Unmarshal(raw, &claims) == nil && claims.Kind == kind && claims.Of == of
}

// serveAzure answers the requests of the identity services and the exchange, and says whether it did.
func (s *Server) serveAzure(w http.ResponseWriter, r *http.Request) bool {
	a := s.opts.Azure
	if a == nil {
		return false
	}
	var refusal, token string
	field := "access_token"
	switch r.URL.Path {
	case "/" + a.Tenant + "/oauth2/v2.0/token":
		bySecret := a.Secret != "" && r.PostFormValue("client_secret") == a.Secret
		byAssertion := a.Assertion != "" && r.PostFormValue("client_assertion") == a.Assertion &&
			r.PostFormValue("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
		if r.Method != http.MethodPost || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("client_id") != a.ClientID ||
			r.PostFormValue("scope") != "https://containerregistry.azure.net/.default" || !bySecret && !byAssertion {
			refusal = "invalid_client"
		}
		token = a.access()
	case "/metadata/identity/oauth2/token":
		q := r.URL.Query()
		if r.Method != http.MethodGet || r.Header.Get("Metadata") != "true" || q.Get("api-version") == "" ||
			q.Get("resource") != "https://containerregistry.azure.net/" || q.Get("client_id") != "" && q.Get("client_id") != a.ClientID {
			refusal = "invalid_request"
		}
		token = a.access()
	case "/oauth2/exchange":
		if r.Method != http.MethodPost || r.PostFormValue("grant_type") != "access_token" || r.PostFormValue("service") != s.Host() ||
			!isAzureToken(r.PostFormValue("access_token"), "access", a.Tenant) {
			refusal = "unauthorized"
		}
		field, token = "refresh_token", azureToken("refresh", s.Host())
	default:
		return false
	}
	if refusal != "" {
		_ = reply(w, http.StatusUnauthorized, "application/json", fmt.Appendf(nil, `{"error":%q}`, refusal))
		return true
	}
	_ = reply(w, http.StatusOK, "application/json", fmt.Appendf(nil, `{%q:%q,"expires_in":3600}`, field, token))
	return true
}
