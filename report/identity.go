package report

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Identity names a finding so that it is known again: in the next report, after lines moved, in a new image,
// after a version bump, from another tool. It is "v1/", the way it was made, "/" and 32 hexadecimal digits.
// Identities of different versions never compare equal.
//
//   - v1/package: the package URL without version, and the advisory (of its names the CVE where there is one)
//   - v1/secret: the HMAC of the secret; without a key the rule, path and text around, the secret masked
//   - v1/code: the weakness where there is exactly one (else tool and rule), the path and the text around,
//     white space ignored; without text the tool's own fingerprint; without that the rule, path and message
//     with its numbers ignored
//
// A number is added to the second and later of the same identity in one run.
type Identity string

// Version returns "v1", or "" for no identity.
func (id Identity) Version() string {
	v, _, ok := strings.Cut(string(id), "/")
	if !ok {
		return ""
	}
	return v
}

// identifier makes identities for the findings of one source, in their order.
type identifier struct {
	seen map[ordinalKey]int32
}

// ordinalKey is a digest of run and identity; findings that share it are numbered.
type ordinalKey [16]byte

func newIdentifier(*Options) identifier {
	return identifier{seen: map[ordinalKey]int32{}}
}

func (d *identifier) identify(f *Finding) {
	kind, parts := identityParts(f)
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p))))
		h.Write([]byte{':'})
		h.Write([]byte(p))
	}
	f.Identity = Identity("v1/" + kind + "/" + hex.EncodeToString(h.Sum(nil)[:16]))
}

func identityParts(f *Finding) (kind string, parts []string) {
	switch {
	case f.Package != nil && (f.Package.PURL != "" || f.Package.Name != ""):
		name := f.Package.PURL
		if name == "" {
			name = f.Package.Name
		}
		return "package", []string{PURLWithoutVersion(name), advisory(f)}
	case f.Category == CategorySecret && f.secretMAC != "":
		return "secret", []string{"hmac", f.secretMAC}
	case f.Category == CategorySecret:
		return "secret", []string{f.Rule, f.Location.Path, squeeze(f.Location.Snippet)}
	}
	rule := f.Tool + "\x00" + f.Rule
	if len(f.CWE) == 1 {
		rule = f.CWE[0]
	}
	if text := squeeze(f.Location.Snippet); text != "" {
		return "code", []string{"text", rule, f.Location.Path, text}
	}
	return "code", []string{"message", rule, f.Location.Path, template(f)}
}

// advisory picks the name of the finding's advisory that other tools most likely use too.
func advisory(f *Finding) string {
	best := f.Rule
	for _, a := range append([]string{f.Rule}, f.Aliases...) {
		if a != "" && (advisoryRank(a) < advisoryRank(best) || advisoryRank(a) == advisoryRank(best) && a < best) {
			best = a
		}
	}
	return best
}

func advisoryRank(id string) int {
	for i, prefix := range []string{"CVE-", "GHSA-", "GO-"} {
		if strings.HasPrefix(id, prefix) {
			return i
		}
	}
	return 9
}

// squeeze drops white space, so that a reformat does not count as a change.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\n', '\r', '\v', '\f', '\u00a0':
			return -1
		}
		return r
	}, s)
}

// template is what the messages of the same finding have in common when lines move.
func template(f *Finding) string {
	if f.messageID != "" {
		return f.messageID
	}
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, f.Message)
}
