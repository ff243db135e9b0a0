package manifest

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// An op is one change of the tree.
type op struct {
	kind    opKind
	slot    *slot      // set, rename: the value; insert: the pair to stand behind
	mapping *yaml.Node // insert: where
	key     string     // rename, insert: the new key
	value   string
	path    string // pointer of the value after the change
}

type opKind int

const (
	set    opKind = iota // give a scalar another value
	rename               // give a pair another key and value
	insert               // add a pair
)

// plan says what has to change for the target to be as wanted. Nothing to change is no operations.
func (t *target) plan(to reference) ([]op, error) {
	p := planner{}
	switch t.form {
	case whole:
		p.set(t.whole, t.prefix+t.ref.with(to).String())
	case loneTag:
		if to.name != "" {
			return nil, fmt.Errorf("only a tag stands here, no repository: give a tag instead of %s", to)
		}
		if to.tag == "" {
			return nil, fmt.Errorf("only a tag stands here: give a tag, or a tag and a digest")
		}
		p.set(t.tag, joinTag(to))
	case split:
		if err := p.split(t, to); err != nil {
			return nil, err
		}
	case kustomize:
		p.kustomize(t, to)
	}
	return p.ops, nil
}

type planner struct{ ops []op }

func (p *planner) set(s *slot, value string) {
	if n := s.scalar(); n.Value == value && n.ShortTag() == "!!str" || value == "" && s.text() == "" {
		return
	}
	p.ops = append(p.ops, op{kind: set, slot: s, value: value, path: s.path})
}

func (p *planner) rename(s *slot, path, key, value string) {
	p.ops = append(p.ops, op{kind: rename, slot: s, key: key, value: value, path: path + "/" + key})
}

func (p *planner) insert(m *yaml.Node, after *slot, path, key, value string) {
	p.ops = append(p.ops, op{kind: insert, mapping: m, slot: after, key: key, value: value, path: path + "/" + key})
}

// split plans for repository, tag and digest in values of their own.
func (p *planner) split(t *target, to reference) error {
	if to.name != "" && (t.repository == nil || identity(to.name) != identity(t.ref.name)) {
		if t.repository == nil {
			return fmt.Errorf("no repository stands here: give a tag instead of %s", to)
		}
		repository := to.name
		if t.registry != nil {
			domain, path := splitDomain(to.name)
			if domain == "" && t.registry.text() != "" {
				domain = "docker.io"
			}
			p.set(t.registry, domain)
			repository = path
		}
		p.set(t.repository, repository)
	}
	if t.digest == nil {
		switch {
		case to.tag == "":
			return fmt.Errorf("no digest key stands here: give the tag as well (tag@digest)")
		case t.tag != nil:
			p.set(t.tag, joinTag(to))
		case t.mapping == nil:
			return fmt.Errorf("no tag stands here and none can be added")
		default:
			p.insert(t.mapping, t.repository, t.path, "tag", joinTag(to))
		}
		return nil
	}
	// With a digest of its own the tag stays where only a digest was asked for: charts that write
	// "repository:tag@digest" need one.
	if to.tag != "" {
		if t.tag != nil {
			p.set(t.tag, to.tag)
		} else if to.digest == "" {
			return fmt.Errorf("no tag key stands here beside the digest: give a digest")
		}
	}
	p.set(t.digest, to.digest)
	return nil
}

// kustomize plans for an entry of images. newTag and digest give way to each other under the key's name, so
// that an entry keeps its length.
func (p *planner) kustomize(t *target, to reference) {
	if to.name != "" && identity(to.name) != identity(t.ref.name) {
		if t.newName != nil {
			p.set(t.newName, to.name)
		} else {
			p.insert(t.mapping, t.repository, t.path, "newName", to.name)
		}
	}
	behind := t.repository
	if t.newName != nil {
		behind = t.newName
	}
	put := func(s *slot, key, value string) {
		switch {
		case s != nil:
			p.set(s, value)
		case value != "":
			p.insert(t.mapping, behind, t.path, key, value)
		}
	}
	own := func(s *slot) bool { return s.val.Kind == yaml.ScalarNode && owns(t.mapping, s) }
	switch {
	case to.digest == "" && t.tag == nil && t.digest != nil && own(t.digest):
		p.rename(t.digest, t.path, "newTag", to.tag)
	case to.tag == "" && t.digest == nil && t.tag != nil && own(t.tag):
		p.rename(t.tag, t.path, "digest", to.digest)
	default:
		put(t.tag, "newTag", to.tag)
		put(t.digest, "digest", to.digest)
	}
}

// owns reports whether the pair stands in the mapping itself and not in one merged into it.
func owns(m *yaml.Node, s *slot) bool {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i] == s.key {
			return true
		}
	}
	return false
}

func joinTag(r reference) string {
	if r.digest == "" {
		return r.tag
	}
	return r.tag + "@" + r.digest
}
