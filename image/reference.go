package image

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// reference is a parsed image reference: where, and which tag, digest or both.
type reference struct {
	host   string // registry as written in references, such as "index.docker.io"; logins go by it
	repo   string
	tag    string // may be empty when digest is set
	digest string // may be empty when tag is set
}

// repoPattern is the grammar of repository names. The library checks the characters only, and "a/../../b" would
// lead to another path of the registry's API.
var repoPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// parseReference parses "host[:port]/repo[:tag][@digest]" by the rules of the distribution reference
// grammar. A name without a host is Docker Hub's, one without tag and digest means tag "latest".
func parseReference(s string) (reference, error) {
	if len(s) > 1024 {
		return reference{}, fail(ErrInvalid, "reference of %d characters, at most 1024 are allowed", len(s))
	}
	if hasLogin(s) {
		return reference{}, fail(ErrInvalid, "%w", errLogin)
	}
	base, digest, pinned := strings.Cut(s, "@")
	tag, err := name.NewTag(base, name.WeakValidation)
	if err != nil {
		return reference{}, fail(ErrInvalid, "reference %q: %w", s, err)
	}
	r := reference{host: tag.RegistryStr(), repo: tag.RepositoryStr(), tag: tag.TagStr()}
	if !repoPattern.MatchString(r.repo) {
		return reference{}, fail(ErrInvalid, "reference %q: %q is no repository name", s, r.repo)
	}
	// The library takes hosts that no URL can have.
	if u, err := url.Parse("https://" + r.endpoint()); err != nil || u.Host != r.endpoint() || u.Hostname() == "" {
		return reference{}, fail(ErrInvalid, "reference %q: %q is no host", s, r.host)
	}
	if !pinned {
		return r, nil
	}
	if _, err := parseDigest(digest); err != nil {
		return reference{}, fail(ErrInvalid, "reference %q: %w", s, err)
	}
	if r.digest = digest; !strings.HasSuffix(base, ":"+r.tag) {
		r.tag = ""
	}
	return r, nil
}

// errLogin refuses a reference without repeating it.
var errLogin = errors.New("the reference has a login in it, as \"user:password@host/repo:tag\"; logins come from Options.Keychain")

// hasLogin reports whether something stands before an @ that is not the one of a digest.
func hasLogin(s string) bool {
	if _, rest, isURL := strings.Cut(s, "://"); isURL {
		s = rest
	}
	before, after, found := strings.Cut(s, "@")
	return found && (strings.Contains(after, "/") || !strings.Contains(before, "/") && !strings.HasPrefix(after, "sha"))
}

// endpoint returns the host and port that serve the registry's API.
func (r reference) endpoint() string {
	if r.host == name.DefaultRegistry {
		return "registry-1.docker.io"
	}
	return r.host
}

// identifier is what names the manifest in a URL.
func (r reference) identifier() string {
	if r.digest != "" {
		return r.digest
	}
	return r.tag
}

func (r reference) name() string { return r.host + "/" + r.repo }

func (r reference) String() string {
	s := r.name()
	if r.tag != "" {
		s += ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + r.digest
	}
	return s
}

// pinned is the reference with its digest set.
func (r reference) pinned(digest string) string {
	r.digest = digest
	return r.String()
}
