package image

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Spec says what an image is made of. The zero value is an empty image for linux on this machine's
// architecture. The same Spec and the same content give the same bytes.
type Spec struct {
	// Base is the reference of the image to build on; empty or "scratch" means nothing. Each platform is
	// taken from its index. BaseLayout is the same from a layout on disk. At most one of them may be set.
	Base       string
	BaseLayout *Layout

	Platforms []string // "os/arch[/variant]"; empty means linux and this machine's architecture; several make an index
	Layers    []Source // one layer each, the last on top

	// The configuration of the container. What is empty is taken from the base; Env and Labels are merged
	// with the base's. An Entrypoint drops the base's Cmd. When there is no Entrypoint and exactly one
	// [GoProgram] among the layers, that program is the entrypoint.
	User       string   // "name", "uid" or "uid:gid"
	WorkDir    string   // absolute
	Entrypoint []string // the program and its fixed arguments
	Cmd        []string // default arguments
	Env        []string // "KEY=VALUE"
	Ports      []string // "8080", "8080/tcp" or "53/udp"
	Labels     map[string]string

	// Annotations go to the manifests and the index, beside the ones made of the fields below. Those are
	// set as label and as annotation, under the names of the OCI image specification.
	Annotations map[string]string
	Revision    string // org.opencontainers.image.revision: the commit
	Source      string // org.opencontainers.image.source: where the source is
	Version     string // org.opencontainers.image.version

	// Created is the time in the image and of every file in it, cut to seconds. The zero value means
	// 1970-01-01; see [SourceDateEpochFromEnv].
	Created time.Time
}

// SourceDateEpochFromEnv returns the time in the environment variable SOURCE_DATE_EPOCH, seconds since
// 1970, as the reproducible-builds specification defines it; the zero time when it is not set.
func SourceDateEpochFromEnv() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH") //nolint:forbidigo // a FromEnv function
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 253402300799 { // the end of the year 9999, as far as RFC 3339 goes
		return time.Time{}, wrap("build", "", fail(ErrInvalid, "SOURCE_DATE_EPOCH=%q is not a number of seconds since 1970", s))
	}
	return time.Unix(n, 0).UTC(), nil
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// plan is a checked Spec.
type plan struct {
	Spec
	platforms []v1.Platform
	created   time.Time
	ports     map[string]struct{}
}

// check returns everything that is wrong with the Spec at once.
func (s Spec) check() (*plan, error) {
	p := &plan{Spec: s, created: time.Unix(0, 0).UTC(), ports: map[string]struct{}{}}
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("Spec.%s: "+format, append([]any{field}, args...)...))
	}
	if p.Base == "scratch" {
		p.Base = ""
	}
	if p.Base != "" {
		if p.BaseLayout != nil {
			bad("Base", "set together with BaseLayout")
		}
		if _, err := parseReference(p.Base); err != nil {
			bad("Base", "%w", err)
		}
	}
	if len(p.Platforms) == 0 {
		p.Platforms = []string{"linux/" + runtime.GOARCH}
	}
	for _, s := range p.Platforms {
		platform, err := platformOf(s)
		if err != nil {
			bad("Platforms", "%w", err)
		} else if slices.ContainsFunc(p.platforms, func(o v1.Platform) bool { return matches(o, platform) }) {
			bad("Platforms", "%s twice", s)
		}
		p.platforms = append(p.platforms, platform)
	}
	if slices.ContainsFunc(p.Layers, func(src Source) bool { return inner(src) == nil || inner(src) == FS(nil) }) {
		bad("Layers", "holds nil")
	}
	if p.WorkDir != "" && !path.IsAbs(p.WorkDir) {
		bad("WorkDir", "%q is not absolute", p.WorkDir)
	}
	if strings.ContainsFunc(p.User, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		bad("User", "%q holds a space or control character", p.User)
	} else if strings.Count(p.User, ":") > 1 {
		bad("User", "%q is none of name, uid and uid:gid", p.User)
	}
	for _, e := range p.Env {
		if key, _, ok := strings.Cut(e, "="); !ok || key == "" || strings.ContainsRune(e, 0) {
			bad("Env", "%q is not KEY=VALUE", key) // the value may be confidential
		}
	}
	for _, s := range p.Ports {
		port, err := portOf(s)
		if err != nil {
			bad("Ports", "%w", err)
		}
		p.ports[port] = struct{}{}
	}
	for _, m := range []map[string]string{p.Labels, p.Annotations} {
		if _, has := m[""]; has {
			bad("Labels, Annotations", "an empty key")
		}
	}
	if !s.Created.IsZero() {
		p.created = s.Created.UTC().Truncate(time.Second)
		if p.created.Unix() < 0 || p.created.Year() > 9999 {
			bad("Created", "%s is before 1970 or after 9999", p.created)
		}
	}
	if err := p.findEntrypoint(); err != nil {
		bad("Layers", "%w", err)
	}
	if len(errs) > 0 {
		return nil, fail(ErrInvalid, "%w", errors.Join(errs...))
	}
	return p, nil
}

func (p *plan) findEntrypoint() error {
	if len(p.Entrypoint) > 0 {
		return nil
	}
	var programs []string
	for _, src := range p.Layers {
		if g, ok := src.(GoProgram); ok {
			name, err := g.EntryPath()
			if err != nil {
				return err
			}
			programs = append(programs, name)
		}
	}
	if len(programs) == 1 {
		p.Entrypoint = programs
	}
	return nil
}

// checkApart refuses directories that the build writes into inside of a directory that it reads: the image would hold
// pieces of itself, other ones each time.
func (s Spec) checkApart(dirs ...string) error {
	var errs []error
	for _, src := range s.Layers {
		for _, dir := range dirs {
			if d, ok := inner(src).(Dir); ok && dir != "" && isBelow(dir, string(d)) {
				errs = append(errs, fmt.Errorf("Spec.Layers: directory %s has the layout or cache %s in it; put that elsewhere", string(d), dir))
			}
		}
	}
	if len(errs) > 0 {
		return fail(ErrInvalid, "%w", errors.Join(errs...))
	}
	return nil
}

// isBelow reports whether a directory, which need not exist yet, is root or below it.
func isBelow(dir, root string) bool {
	want, err := os.Stat(root)
	if err != nil {
		return false // reading it will say so
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return false
	}
	for ; ; dir = filepath.Dir(dir) {
		if target, err := filepath.EvalSymlinks(dir); err == nil { // the directory above a link is that above its target
			dir = target
		}
		if have, err := os.Stat(dir); err == nil && os.SameFile(have, want) {
			return true
		}
		if dir == filepath.Dir(dir) {
			return false
		}
	}
}

func portOf(s string) (string, error) {
	number, protocol, ok := strings.Cut(s, "/")
	if !ok {
		protocol = "tcp"
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return "", fmt.Errorf("%q is not PORT[/tcp|udp|sctp]", s)
	}
	return strconv.FormatUint(n, 10) + "/" + protocol, nil
}

// ociKeys are the predefined keys that speak of one image and are never inherited from its base.
const (
	keyCreated    = "org.opencontainers.image.created"
	keyRevision   = "org.opencontainers.image.revision"
	keySource     = "org.opencontainers.image.source"
	keyVersion    = "org.opencontainers.image.version"
	keyBaseName   = "org.opencontainers.image.base.name"
	keyBaseDigest = "org.opencontainers.image.base.digest"
	keyRefName    = "org.opencontainers.image.ref.name"
)

// provenance is what labels and annotations say of the image in common.
func (p *plan) provenance(b *base) map[string]string {
	m := map[string]string{
		keyCreated:  p.created.Format(time.RFC3339),
		keyRevision: p.Revision,
		keySource:   p.Source,
		keyVersion:  p.Version,
	}
	if b != nil {
		m[keyBaseName], m[keyBaseDigest] = b.name, b.digest
	}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

// configure changes the base's configuration into the image's.
func (p *plan) configure(c *v1.Config, b *base) {
	if b == nil {
		c.Env, c.WorkingDir = []string{defaultPath}, "/"
	}
	for _, e := range p.Env {
		key, _, _ := strings.Cut(e, "=")
		if i := slices.IndexFunc(c.Env, func(o string) bool { return strings.HasPrefix(o, key+"=") }); i >= 0 {
			c.Env[i] = e
		} else {
			c.Env = append(c.Env, e)
		}
	}
	if len(p.Entrypoint) > 0 {
		c.Entrypoint, c.Cmd = p.Entrypoint, nil
	}
	if len(p.Cmd) > 0 {
		c.Cmd = p.Cmd
	}
	if p.User != "" {
		c.User = p.User
	}
	if p.WorkDir != "" {
		c.WorkingDir = path.Clean(p.WorkDir)
	}
	if len(p.ports) > 0 && c.ExposedPorts == nil {
		c.ExposedPorts = map[string]struct{}{}
	}
	maps.Copy(c.ExposedPorts, p.ports)
	labels := maps.Clone(c.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for _, k := range []string{keyCreated, keyRevision, keySource, keyVersion, keyBaseName, keyBaseDigest} {
		delete(labels, k)
	}
	maps.Copy(labels, p.provenance(b))
	maps.Copy(labels, p.Labels)
	c.Labels = labels
}

func (p *plan) annotations(b *base) map[string]string {
	m := p.provenance(b)
	maps.Copy(m, p.Annotations)
	return m
}
