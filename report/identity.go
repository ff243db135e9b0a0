package report

import (
	"bytes"
	"cmp"
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
//   - v1/secret: the HMAC of the secret where Options.SecretKey is given; else the rule, the path and the
//     lines around, without the secret
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

// window is how many characters of text make an identity.
const window = 64

// identifier makes the identities of one run's findings, in their order.
type identifier struct {
	source *sourceTree
	// Findings are numbered apart by identities with and without the source.
	plain, sourced ordinals
	buf            []byte
}

func newIdentifier(root string) *identifier {
	d := &identifier{}
	if root != "" {
		d.source = newSourceTree(root)
	}
	return d
}

// identify sets f.Identity, and f.plain to the identity it would have without the source: by it a finding is
// compared with an older report whose sources are gone.
func (d *identifier) identify(f *Finding) {
	if d.source != nil {
		d.source.fingerprint(f)
	}
	if id := Identity(f.Fingerprints[identityKey]); id.Version() == "v1" && len(id) < 64 {
		f.Identity, f.plain = id, cmp.Or(Identity(f.Fingerprints[plainIdentityKey]), id)
		return
	}
	switch {
	case f.Package != nil && (f.Package.PURL != "" || f.Package.Name != ""):
		d.begin("package", packageKey(f.Package), advisory(f))
		f.Identity = d.end(nil, f)
	case f.Category == CategorySecret && f.secretMAC != "":
		d.begin("secret", "hmac", f.secretMAC)
		f.Identity = d.end(nil, f)
	case f.Category == CategorySecret:
		d.begin("secret", f.Tool, f.Rule, f.Location.Path)
		f.Identity = d.end(&d.plain, f)
		if around := d.source.around(f.Location); around != "" {
			f.plain = f.Identity
			d.begin("secret", f.Tool, f.Rule, f.Location.Path, around)
			f.Identity = d.end(&d.sourced, f)
			return
		}
	default:
		tool, rule := f.Tool, f.Rule
		if len(f.CWE) == 1 {
			tool, rule = "", f.CWE[0]
		}
		if text := squeeze(f.Location.Snippet, window); text != "" {
			d.begin("code", tool, rule, f.Location.Path, "text", text)
		} else if name, fp := fingerprint(f); fp != "" {
			d.begin("code", tool, rule, f.Location.Path, name, fp)
		} else {
			d.begin("code", f.Tool, f.Rule, f.Location.Path, "message", template(f))
		}
		f.Identity = d.end(&d.plain, f)
		if text := d.source.text(f.Location); text != "" {
			f.plain = f.Identity
			d.begin("code", tool, rule, f.Location.Path, "text", text)
			f.Identity = d.end(&d.sourced, f)
			return
		}
	}
	f.plain = f.Identity
}

func (d *identifier) begin(kind string, parts ...string) {
	d.buf = append(d.buf[:0], kind...)
	d.buf = append(d.buf, '/')
	for _, p := range parts {
		d.buf = binary.AppendUvarint(d.buf, uint64(len(p)))
		d.buf = append(d.buf, p...)
	}
}

// end returns the identity of what was begun; with o, second and later places of the same are numbered.
func (d *identifier) end(o *ordinals, f *Finding) Identity {
	sum := sha256.Sum256(d.buf)
	if o != nil {
		if n := o.number(binary.LittleEndian.Uint64(sum[:]), f.Location); n > 1 {
			d.buf = binary.AppendUvarint(d.buf, uint64(n))
			sum = sha256.Sum256(d.buf)
		}
	}
	kind := d.buf[:bytes.IndexByte(d.buf, '/')+1]
	var id [64]byte
	text := append(append(id[:0], "v1/"...), kind...)
	return Identity(hex.AppendEncode(text, sum[:16]))
}

// ordinals numbers the places at which an identity occurs, beginning with 1.
type ordinals struct{ ids, places table }

func (o *ordinals) number(id uint64, l Location) uint32 {
	place := id*31 + uint64(l.StartLine)*0x9e3779b97f4a7c15 + uint64(l.StartColumn)*0xbf58476d1ce4e5b9
	p := o.places.at(place ^ place>>29)
	if p.n == 0 {
		s := o.ids.at(id)
		s.n++
		p.n = s.n
	}
	return p.n
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

// template is what the messages of the same finding have in common when lines move.
func template(f *Finding) string {
	if f.messageID != "" {
		return f.messageID
	}
	if !strings.ContainsAny(f.Message, "0123456789") {
		return f.Message
	}
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, f.Message)
}
