package manifest

import (
	"fmt"
	"regexp"
	"strings"
)

// A reference is an image reference taken apart, each part as it is spelled.
type reference struct {
	name   string // registry and repository: "ghcr.io/acme/shop"
	tag    string // without ":"
	digest string // without "@", with its algorithm
}

var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	domainPattern     = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$`)
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestPattern     = regexp.MustCompile(`^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-zA-Z=_-]{32,}$`)
	sha256Pattern     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// parseReference takes text apart, or says what is wrong with it.
func parseReference(text string) (reference, error) {
	name, digest, pinned := strings.Cut(text, "@")
	r := reference{name: name, digest: digest}
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.Contains(name[i:], "/") {
		r.name, r.tag = name[:i], name[i+1:]
		if !tagPattern.MatchString(r.tag) {
			return reference{}, fmt.Errorf("%q is not a tag", r.tag)
		}
	}
	if pinned {
		if err := checkDigest(digest); err != nil {
			return reference{}, err
		}
	}
	if len(r.name) > 255 {
		return reference{}, fmt.Errorf("repository of %d bytes; the limit is 255", len(r.name))
	}
	domain, path := splitDomain(r.name)
	if domain != "" && !domainPattern.MatchString(domain) {
		return reference{}, fmt.Errorf("%q is not a registry", domain)
	}
	if !repositoryPattern.MatchString(path) {
		return reference{}, fmt.Errorf("%q is not a repository", path)
	}
	return r, nil
}

func checkDigest(d string) error {
	if strings.HasPrefix(d, "sha256:") && !sha256Pattern.MatchString(d) {
		return fmt.Errorf("%q is not a digest: sha256 has 64 hex digits in lower case", d)
	}
	if !digestPattern.MatchString(d) {
		return fmt.Errorf("%q is not a digest", d)
	}
	return nil
}

// splitDomain parts a name into the registry, if it names one, and the repository below it.
func splitDomain(name string) (domain, path string) {
	first, rest, found := strings.Cut(name, "/")
	if !found || (!strings.ContainsAny(first, ".:") && first != "localhost" && strings.ToLower(first) == first) {
		return "", name
	}
	return first, rest
}

// identity returns the one spelling under which equal repositories are equal.
func identity(name string) string {
	domain, path := splitDomain(name)
	domain = strings.ToLower(domain)
	switch domain {
	case "", "index.docker.io", "registry-1.docker.io":
		domain = "docker.io"
	}
	if domain == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return domain + "/" + path
}

func (r reference) String() string {
	s := r.name
	if r.tag != "" {
		s += ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + r.digest
	}
	return s
}

// with returns what r becomes under to.
func (r reference) with(to reference) reference {
	if to.name != "" {
		return to
	}
	to.name = r.name
	return to
}

// parseTo reads Edit.To. Without "/" and ":" before any "@" it is a tag, a digest or both, and the name of
// the result is empty.
func parseTo(to string) (reference, error) {
	before, digest, pinned := strings.Cut(to, "@")
	if strings.ContainsAny(before, "/:") {
		r, err := parseReference(to)
		if err == nil && r.tag == "" && r.digest == "" {
			return reference{}, fmt.Errorf("%q has neither tag nor digest", to)
		}
		return r, err
	}
	r := reference{tag: before, digest: digest}
	if before != "" && !tagPattern.MatchString(before) {
		return reference{}, fmt.Errorf("%q is not a tag", before)
	}
	if pinned {
		if err := checkDigest(digest); err != nil {
			return reference{}, err
		}
	}
	if r == (reference{}) {
		return reference{}, fmt.Errorf("empty: want a tag, tag@digest, @digest or a full reference")
	}
	return r, nil
}
