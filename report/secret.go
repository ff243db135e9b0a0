package report

import (
	"net/url"
	"slices"
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
		f.secretMAC = secretMAC(secret, key)
	}
	f.hide(newMasker(secret)) // first, so that of the text around it something stays
	f.hide(newMasker(match))
}

// hide masks every text of the finding. Maps and slices are replaced, not changed: rules may share them.
func (f *Finding) hide(mask masker) {
	for _, p := range []*string{&f.Rule, &f.Title, &f.Message, &f.Description, &f.HelpURI, &f.Location.Snippet, &f.Location.Path, &f.Location.Logical} {
		*p = mask.apply(*p)
	}
	if s := f.Suppressed; s != nil {
		f.Suppressed = &Suppression{Kind: s.Kind, Reason: mask.apply(s.Reason), By: mask.apply(s.By), From: mask.apply(s.From), Expires: s.Expires}
	}
	for k, v := range f.Fingerprints {
		if mask.apply(v) != v || mask.apply(k) != k {
			f.Fingerprints = mask.mapped(f.Fingerprints)
			break
		}
	}
	for i, t := range f.Tags {
		if m := mask.apply(t); m != t {
			f.Tags = slices.Clone(f.Tags)
			f.Tags[i] = m
		}
	}
}

func (m masker) mapped(in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[m.apply(k)] = m.apply(v)
	}
	return out
}

// masked says that a tool has masked the secret itself. Code may end in dots too; only one word is cut short.
func masked(secret string) bool {
	return secret == "REDACTED" || strings.Trim(secret, "*") == "" ||
		strings.HasSuffix(secret, "...") && !strings.ContainsAny(secret, " \t\r\n\"'`=:")
}

// masker replaces a secret, and the forms in which it may be written, by [Mask].
type masker struct{ old []string }

// newMasker masks the given secrets. Each is also masked line by line, since a tool may print the lines of a
// private key one by one, and as it stands in a URL.
func newMasker(secrets ...string) masker {
	var m masker
	add := func(s string) {
		// Two letters are no secret, and masking them would eat the text around.
		if len(s) < 3 || s == "REDACTED" || strings.Trim(s, "*") == "" {
			return
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			if !slices.Contains(m.old, form) {
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
	// A part of a secret must not be masked before the whole is.
	slices.SortStableFunc(m.old, func(a, b string) int { return len(b) - len(a) })
	return m
}

func (m masker) apply(s string) string {
	for _, old := range m.old {
		if strings.Contains(s, old) {
			s = strings.ReplaceAll(s, old, Mask)
		}
	}
	return s
}
