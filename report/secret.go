package report

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// Mask is what stands where a secret stood.
const Mask = "***"

// SetSecret makes f a finding about a secret: it sets the category, masks the secret (and match, the text
// around it that the tool printed) in every text of the finding, and with a key (see [Options.SecretKey])
// keeps an HMAC of the secret for its identity. Readers call it after they have filled f; the secret is kept
// nowhere.
func (f *Finding) SetSecret(secret, match string, key []byte) {
	f.Category = CategorySecret
	if len(key) > 0 && secret != "" && !masked(secret) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(secret))
		f.secretMAC = hex.EncodeToString(mac.Sum(nil)[:16])
	}
	mask := newMasker(secret, match)
	for _, p := range []*string{&f.Title, &f.Message, &f.Description, &f.HelpURI, &f.Location.Snippet, &f.Location.Path, &f.Location.Logical} {
		*p = mask.apply(*p)
	}
	for k, v := range f.Fingerprints {
		f.Fingerprints[k] = mask.apply(v)
	}
	for i := range f.Tags {
		f.Tags[i] = mask.apply(f.Tags[i])
	}
}

// masked says that a tool has masked the secret itself.
func masked(secret string) bool {
	return secret == "REDACTED" || strings.Trim(secret, "*") == "" || strings.HasSuffix(secret, "...")
}

// masker replaces a secret, and the forms in which it may be written, by [Mask].
type masker struct{ old []string }

// newMasker masks the given secrets. Each is also masked line by line, since a tool may print the lines of a
// private key one by one, and as it stands in a URL.
func newMasker(secrets ...string) masker {
	var m masker
	add := func(s string) {
		// Two letters are no secret, and masking them would eat the text around.
		if len(s) < 3 || masked(s) {
			return
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			if !contains(m.old, form) {
				m.old = append(m.old, form)
			}
		}
	}
	for _, s := range secrets {
		add(s)
		add(strings.TrimSpace(s))
		if strings.ContainsAny(s, "\r\n") {
			for line := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
				if line = strings.TrimSpace(line); len(line) >= 8 {
					add(line)
				}
			}
		}
	}
	return m
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (m masker) apply(s string) string {
	for _, old := range m.old {
		if strings.Contains(s, old) {
			s = strings.ReplaceAll(s, old, Mask)
		}
	}
	return s
}
