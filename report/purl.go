package report

import (
	"net/url"
	"strings"
)

// PURL builds a package URL (pkg:type/namespace/name@version). Namespace and version may be empty; the
// namespace may hold slashes.
func PURL(typ, namespace, name, version string) string {
	var b strings.Builder
	b.WriteString("pkg:")
	b.WriteString(strings.ToLower(typ))
	for part := range strings.SplitSeq(namespace+"/"+name, "/") {
		if part != "" {
			b.WriteByte('/')
			b.WriteString(purlEscape(part))
		}
	}
	if version != "" {
		b.WriteByte('@')
		b.WriteString(purlEscape(version))
	}
	return b.String()
}

func purlEscape(s string) string {
	return strings.NewReplacer("+", "%2B", "%3A", ":", "@", "%40").Replace(url.PathEscape(s))
}

// PURLWithoutVersion cuts version, qualifiers and subpath from a package URL: what is left names the package
// across its versions.
func PURLWithoutVersion(purl string) string {
	purl, _, _ = strings.Cut(purl, "#")
	purl, _, _ = strings.Cut(purl, "?")
	if slash, at := strings.LastIndexByte(purl, '/'), strings.LastIndexByte(purl, '@'); at > slash {
		purl = purl[:at]
	}
	return purl
}

type purlParts struct {
	name       string // type, namespace and name
	version    string
	qualifiers map[string]string
}

// parsePURL takes a package URL apart and undoes its escapes, so that two spellings compare equal.
func parsePURL(purl string) purlParts {
	base := PURLWithoutVersion(purl)
	rest := strings.TrimPrefix(purl[len(base):], "@")
	rest, _, _ = strings.Cut(rest, "#")
	version, query, _ := strings.Cut(rest, "?")
	p := purlParts{name: unescapeURI(base), version: unescapeURI(version)}
	if q, err := url.ParseQuery(query); err == nil && query != "" {
		p.qualifiers = map[string]string{}
		for k := range q {
			p.qualifiers[k] = q.Get(k)
		}
	}
	return p
}
