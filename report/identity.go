package report

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Identity names a finding so that it is known again: in the next report, after lines moved, in a new image,
// after a version bump, from another tool. It is "v1/", the way it was made, "/" and 32 hexadecimal digits.
// Identities of different versions never compare equal.
//
//   - v1/package: the package URL without version, and the advisory (of its names the CVE where there is one)
//   - v1/secret: the HMAC of the secret where Options.SecretKey is given; else the rule, the path, the text
//     that the tool printed with the secret masked, and the lines around where the sources can be read. SARIF
//     keeps of that text only the mask: two secrets of one rule in one file are told apart by their number
//     alone, and one that takes the place of another is taken for it
//   - v1/code: the weakness where there is exactly one (else tool and rule), the path, and the text from the
//     line on; without source or snippet the tool's own fingerprint; without that the rule, the path and the
//     message with its numbers left out
//
// Text is compared by its first 64 characters that are no white space, so that neither moved nor reformatted
// lines matter. Findings of a run that would be equal in all this, and stand at different places, are numbered.
type Identity string

// Version returns "v1", or "" for no identity.
func (id Identity) Version() string {
	v, _, ok := strings.Cut(string(id), "/")
	if !ok {
		return ""
	}
	return v
}

// valid says whether id is of the form that this package writes.
func (id Identity) valid() bool {
	kind, digits, ok := strings.Cut(strings.TrimPrefix(string(id), "v1/"), "/")
	return ok && id.Version() == "v1" && len(digits) == 32 && strings.Trim(digits, "0123456789abcdef") == "" &&
		(kind == "code" || kind == "package" || kind == "secret")
}

// window is how many characters of text make an identity.
const window = 64

// digest is an identity in the making.
type digest struct {
	kind     string
	sum      [sha256.Size]byte
	numbered bool
}

// identifier makes identities. It is for one goroutine at a time.
type identifier struct{ buf []byte }

// identify makes the identity of a finding from what the report says of it.
func (d *identifier) identify(f *Finding) digest {
	switch {
	case f.Package != nil && (f.Package.PURL != "" || f.Package.Name != ""):
		d.begin(packageKey(f.Package), advisory(f))
		return d.end("package", false)
	case f.Category == CategorySecret && f.secretMAC != "":
		d.begin("hmac", f.secretMAC)
		return d.end("secret", false)
	case f.Category == CategorySecret:
		d.begin(strings.ToLower(f.Tool), f.Rule, f.Location.Path, maskedText(f))
		return d.end("secret", true)
	}
	tool, rule := ruleKey(f)
	if text := squeeze(f.Location.Snippet, window); text != "" {
		d.begin(tool, rule, f.Location.Path, "text", text)
	} else if name, fp := fingerprint(f); fp != "" {
		d.begin(tool, rule, f.Location.Path, name, fp)
	} else {
		d.begin(strings.ToLower(f.Tool), f.Rule, f.Location.Path, "message")
		d.template(f)
	}
	return d.end("code", true)
}

// identifySource makes the identity from the source text, where that can be read.
func (d *identifier) identifySource(f *Finding, source *sourceTree) (digest, bool) {
	switch {
	case source == nil || f.Package != nil || f.Category == CategorySecret && f.secretMAC != "":
		return digest{}, false
	case f.Category == CategorySecret:
		around := source.around(f.Location)
		d.begin(strings.ToLower(f.Tool), f.Rule, f.Location.Path, maskedText(f), around)
		return d.end("secret", true), around != ""
	}
	text := source.text(f.Location)
	tool, rule := ruleKey(f)
	d.begin(tool, rule, f.Location.Path, "text", text)
	return d.end("code", true), text != ""
}

// maskedText is the text around a secret without the mask, which differs from tool to tool.
func maskedText(f *Finding) string {
	return squeeze(strings.NewReplacer("*", "", "REDACTED", "").Replace(f.Location.Snippet), window)
}

// ruleKey names the rule so that another tool's rule for the same weakness has the same name.
func ruleKey(f *Finding) (tool, rule string) {
	if len(f.CWE) == 1 {
		return "", f.CWE[0]
	}
	return strings.ToLower(f.Tool), f.Rule
}

func (d *identifier) begin(parts ...string) {
	d.buf = d.buf[:0]
	for _, p := range parts {
		d.buf = binary.AppendUvarint(d.buf, uint64(len(p)))
		d.buf = append(d.buf, p...)
	}
}

// template adds what the messages of the same finding have in common when lines move: the text without its
// numbers.
func (d *identifier) template(f *Finding) {
	if f.messageID != "" {
		d.buf = append(d.buf, f.messageID...)
		return
	}
	d.buf = appendTemplate(d.buf, f.Message)
}

func appendTemplate(b []byte, s string) []byte {
	start := 0
	for i := range len(s) {
		if c := s[i]; '0' <= c && c <= '9' {
			b = append(b, s[start:i]...)
			start = i + 1
		}
	}
	return append(b, s[start:]...)
}

func (d *identifier) end(kind string, numbered bool) digest {
	return digest{kind: kind, sum: sha256.Sum256(d.buf), numbered: numbered}
}

// identity returns the identity; second and later places of the same digest are numbered.
func (d digest) identity(o *ordinals, l Location) Identity {
	if d.numbered {
		if n := o.number(binary.LittleEndian.Uint64(d.sum[:]), l); n > 1 {
			d.sum = sha256.Sum256(binary.LittleEndian.AppendUint32(d.sum[:], n))
		}
	}
	var id [64]byte
	text := append(id[:0], "v1/"...)
	text = append(append(text, d.kind...), '/')
	return Identity(hex.AppendEncode(text, d.sum[:16]))
}

// setIdentity sets f.Identity, and f.plain to the identity it would have without the source: by it a finding
// is compared with an older report whose sources are gone. A finding that we wrote keeps what we wrote. The
// findings of a run come here in their order.
func (n *normalizer) setIdentity(f *Finding, d digest) {
	if id := Identity(f.Fingerprints[identityKey]); id.valid() {
		f.Identity, f.plain = id, id
		if plain := Identity(f.Fingerprints[plainIdentityKey]); plain.valid() {
			f.plain = plain
		}
		return
	}
	f.plain = d.identity(&n.plain, f.Location)
	f.Identity = f.plain
	if n.source == nil {
		return
	}
	n.source.fingerprint(f)
	if d, ok := n.ids.identifySource(f, n.source); ok {
		f.Identity = d.identity(&n.sourced, f.Location)
	}
}

// ordinals numbers the places at which a digest occurs, beginning with 1.
type ordinals struct{ ids, places counter }

func (o *ordinals) number(id uint64, l Location) uint32 {
	place := id*31 + uint64(l.StartLine)*0x9e3779b97f4a7c15 + uint64(l.StartColumn)*0xbf58476d1ce4e5b9
	p := o.places.at(place ^ place>>29)
	if p.n() == 0 {
		p.set(o.ids.at(id).add())
	}
	return p.n()
}

func packageKey(p *Package) string {
	if p.PURL != "" {
		return PURLWithoutVersion(p.PURL)
	}
	return p.Name
}

// fingerprint picks one of the tool's own fingerprints, not those that are known to be none (gitleaks writes
// author and commit there) and not GitHub's, which changes with the lines that follow.
func fingerprint(f *Finding) (name, value string) {
	for k, v := range f.Fingerprints {
		switch {
		case k == lineHashKey, k == "commitSha", k == "commitMessage", k == "author", k == "email", k == "date",
			strings.HasPrefix(k, "waybill"), v == "":
		case name == "" || k < name:
			name, value = k, v
		}
	}
	if name == "" {
		if v := f.Fingerprints[lineHashKey]; v != "" {
			return lineHashKey, v
		}
	}
	return name, value
}

// advisory picks the name of the finding's advisory that other tools most likely use too.
func advisory(f *Finding) string {
	best, rank := f.Rule, advisoryRank(f.Rule)
	for _, a := range f.Aliases {
		if r := advisoryRank(a); a != "" && (r < rank || r == rank && a < best) {
			best, rank = a, r
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

// squeeze drops white space and returns at most limit bytes, cut at a character, of what is left.
func squeeze(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case ' ', '\t', '\n', '\r', '\v', '\f', '\u00a0', '\ufeff':
			continue
		}
		if b.Len() >= limit {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
