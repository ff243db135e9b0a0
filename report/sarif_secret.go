package report

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// hide masks the secret that a result is about: in the finding, and in the text of the result, which it
// returns. The secret is what the tool quotes as the text of the region.
func (run *sarifRun) hide(v []byte, f *Finding, key []byte) []byte {
	var quoted []string
	collectSnippets(v, false, &quoted)
	var secrets []string
	for _, q := range quoted {
		secrets = append(secrets, secretsIn(q)...)
	}
	if len(key) > 0 && f.secretMAC == "" && len(secrets) > 0 {
		f.secretMAC = secretMAC(secrets[0], key)
	}
	if commit := f.Fingerprints["commitSha"]; commit != "" {
		f.Location.Commit = commit
	}
	if gitleaksFingerprints(f.Fingerprints) {
		fp := map[string]string{}
		for k, s := range f.Fingerprints {
			if !isAuthorData(k) {
				fp[k] = s
			}
		}
		f.Fingerprints = fp
	}
	const most = 256 // a private key has some fifty lines, each of which counts
	h := hider{all: len(secrets) > most}
	h.mask = newMasker(secrets[:min(len(secrets), most)]...)
	if h.all {
		f.Message, f.Location.Snippet, f.Fingerprints, f.Tags = Mask, Mask, nil, nil
		if f.Suppressed != nil {
			f.Suppressed.Reason, f.Suppressed.By = Mask, ""
		}
	}
	f.hide(h.mask)
	f.Location.Snippet = h.snippet(f.Location.Snippet)
	return h.value(nil, v, "")
}

func secretMAC(secret string, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(secret))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// collectSnippets gathers the quoted text of regions. That of context regions says too little of where in it
// the secret is.
func collectSnippets(v []byte, region bool, out *[]string) {
	if len(v) == 0 {
		return
	}
	switch v[0] {
	case '[':
		for e := range rawjson.Elements(v) {
			collectSnippets(e, region, out)
		}
	case '{':
		for name, value := range rawjson.Members(v) {
			if region && string(name) == "snippet" {
				if s := rawjson.Text(rawjson.Member(value, "text")); s != "" {
					*out = append(*out, s)
				}
				continue
			}
			collectSnippets(value, string(name) == "region", out)
		}
	}
}

// secretsIn finds what may be the secret in a snippet: the whole when it is one word, and what stands in
// quotes or after "=" or ":" when the tool quotes a whole line.
func secretsIn(snippet string) []string {
	text := strings.TrimSpace(snippet)
	if text == "" || masked(text) {
		return nil
	}
	secrets := []string{text}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != text && len(line) >= 8 {
			secrets = append(secrets, line)
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\"'`=:,;()[]{}<>", r) }) {
			// A word of the program is not masked everywhere; a secret has digits, capitals or length.
			if len(word) >= 8 && (strings.ContainsAny(word, "0123456789") || len(word) >= 20) {
				secrets = append(secrets, word)
			}
		}
		for _, quote := range []string{`"`, `'`, "`"} {
			parts := strings.Split(line, quote)
			for i := 1; i < len(parts)-1; i += 2 {
				if len(parts[i]) >= 4 {
					secrets = append(secrets, parts[i])
				}
			}
		}
	}
	return secrets
}

// gitleaksFingerprints recognises the partial fingerprints of gitleaks, which are data about the author.
func gitleaksFingerprints(fp map[string]string) bool {
	_, ok := fp["commitSha"]
	return ok
}

func isAuthorData(name string) bool {
	switch name {
	case "commitMessage", "author", "email", "date", "commitSha":
		return true
	}
	return false
}

// hider masks a result, or with no known secret a part of a run that has secrets: then all quoted text.
type hider struct {
	mask masker
	all  bool // too many secrets to look for each: every text is masked that is no name of a rule or place
}

// snippet masks a quoted text; one in which nothing was found to mask is masked as a whole, as is the beginning
// of a secret that its tool cut short.
func (h hider) snippet(s string) string {
	if m := h.mask.apply(s); m != s || s == "" || masked(s) && !strings.HasSuffix(s, "...") {
		return m
	}
	return Mask
}

func (h hider) value(dst, v []byte, parent string) []byte {
	switch {
	case len(v) == 0:
		return append(dst, "null"...)
	case v[0] == '"':
		s := rawjson.Text(v)
		if h.all && parent != "ruleId" && parent != "uri" && parent != "level" && parent != "kind" {
			return append(append(append(dst, '"'), Mask...), '"')
		}
		m := h.mask.apply(s)
		if parent == "snippet" || parent == "contents" {
			m = h.snippet(s)
		}
		if m == s {
			return append(dst, v...)
		}
		return rawjson.AppendString(dst, m)
	case v[0] == '[':
		dst = append(dst, '[')
		first := true
		for e := range rawjson.Elements(v) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = h.value(dst, e, parent)
		}
		return append(dst, ']')
	case v[0] == '{':
		dst = append(dst, '{')
		first := true
		for name, value := range rawjson.Members(v) {
			if parent == "partialFingerprints" && isAuthorData(string(name)) && string(name) != "commitSha" {
				continue
			}
			key := name
			if s := rawjson.Name(name); h.mask.apply(s) != s {
				quoted := rawjson.AppendString(nil, h.mask.apply(s))
				key = quoted[1 : len(quoted)-1]
			}
			dst = appendName(dst, key, &first)
			under := string(name)
			if parent == "snippet" || parent == "contents" {
				under = parent // text, binary and rendered alike
			}
			dst = h.value(dst, value, under)
		}
		return append(dst, '}')
	}
	return append(dst, v...)
}

// withoutUserinfo masks what stands before the @ of a web address, which tools copy from the remotes of
// repositories, tokens included; of other schemes only what has a password. It returns v itself when there is
// nothing to mask.
func withoutUserinfo(v []byte) []byte {
	if bytes.IndexByte(v, '@') < 0 || !bytes.Contains(v, []byte(":/")) && !bytes.Contains(v, []byte(`:\/`)) {
		return v
	}
	return userinfo.ReplaceAll(v, []byte("${1}${2}"+Mask+"@"))
}

// userinfo knows slashes also as some writers of JSON escape them.
var userinfo = regexp.MustCompile(`(?i)(https?:(?:\\?/){2})[^/?#\s"'\\<>@]+@|([a-z][a-z0-9+.-]*:(?:\\?/){2})[^/?#:\s"'\\<>@]*:[^/?#\s"'\\<>@]+@`)
