package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A slot is one value in the tree: the pair it stands in and the pointer to it.
type slot struct {
	key  *yaml.Node // nil for an item of a list
	val  *yaml.Node // as it stands; an alias stays an alias
	path string
}

// scalar returns the scalar behind the slot, through an alias, or nil.
func (s *slot) scalar() *yaml.Node {
	if s == nil {
		return nil
	}
	if n := deref(s.val); n.Kind == yaml.ScalarNode {
		return n
	}
	return nil
}

// text returns the value of the slot; null and no slot are empty.
func (s *slot) text() string {
	if n := s.scalar(); n != nil && n.ShortTag() != "!!null" {
		return n.Value
	}
	return ""
}

func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// A form is a way to write an image down.
type form int

const (
	whole     form = iota // one scalar: image: nginx:1
	split                 // repository, tag, digest in values of their own
	kustomize             // name, newName, newTag, digest
	loneTag               // a tag without a repository beside it, reached by Edit.Path
)

// A target is one image in the tree.
type target struct {
	form    form
	path    string
	object  string
	mapping *yaml.Node // what a missing key can be added to; nil where that is impossible
	prefix  string     // kustomize.images of an Application: "name=" before the reference

	whole, registry, repository, newName, tag, digest *slot

	ref reference // the image as it stands
	ids []string  // identities under which it can be asked for
}

// slots returns the values the target consists of.
func (t *target) slots() []*slot {
	all := []*slot{t.whole, t.registry, t.repository, t.newName, t.tag, t.digest}
	return slices.DeleteFunc(all, func(s *slot) bool { return s.scalar() == nil })
}

// A finder walks one document and collects all images in it.
type finder struct {
	file    string
	targets []*target
	aliases map[*yaml.Node][]*yaml.Node // scalar with an anchor -> aliases of it
	blocked map[*yaml.Node]bool         // scalars also used where no image stands
	pos     *yaml.Node                  // where an error was met
	err     error
}

// leftAlone are keys whose values hold no images, whatever they look like. A Ceph device is called "image" too.
var leftAlone = map[string]bool{
	"metadata": true, "labels": true, "annotations": true, "matchLabels": true,
	"env": true, "envFrom": true, "args": true, "command": true, "rbd": true,
}

// object is what the walk knows about the Kubernetes object it is in.
type object struct {
	name  string // for changes
	group string // API group, or "" outside objects and in the core group
	kind  string
}

func (f *finder) walk(n *yaml.Node, path string, parent string, o object, off bool) {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			f.walk(c, path, "", o, off)
		}
	case yaml.AliasNode:
		// The anchor is walked where it stands. Here only the use is noted.
		if target := deref(n); target.Kind == yaml.ScalarNode {
			f.aliases[target] = append(f.aliases[target], n)
		}
	case yaml.ScalarNode:
		if off && n.Anchor != "" {
			f.blocked[n] = true
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			f.walk(c, path+"/"+strconv.Itoa(i), parent, o, off)
		}
	case yaml.MappingNode:
		o = f.enter(n, o, &off)
		if !off {
			f.mapping(n, path, parent, o)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			below := ""
			if len(v.Content) > 0 { // most values are scalars and need no path
				below = path + "/" + escapePointer(k.Value)
			}
			f.walk(v, below, k.Value, o, off || leftAlone[k.Value])
		}
	}
}

// enter recognises a Kubernetes object and says which objects are left alone.
func (f *finder) enter(n *yaml.Node, o object, off *bool) object {
	api, kind := f.lookup(n, "", "apiVersion").text(), f.lookup(n, "", "kind").text()
	if kind == "" || api == "" && !isKustomization(f.file) {
		return o
	}
	group, _, found := strings.Cut(api, "/")
	if !found {
		group = ""
	}
	o = object{name: kind, group: group, kind: kind}
	if meta := f.lookup(n, "", "metadata"); meta != nil {
		m := deref(meta.val)
		for _, key := range []string{"namespace", "name"} {
			if v := f.lookup(m, "", key).text(); v != "" {
				o.name += "/" + v
			}
		}
	}
	switch {
	case group == "" && (kind == "ConfigMap" || kind == "Secret"),
		kind == "CustomResourceDefinition",
		group == "image.toolkit.fluxcd.io": // there an image is a repository to watch, without a tag
		*off = true
	}
	return o
}

// isKustomization tells a kustomization by its name; the apiVersion in it is optional.
func isKustomization(file string) bool {
	switch file[strings.LastIndexAny(file, `/\`)+1:] {
	case "kustomization.yaml", "kustomization.yml", "Kustomization":
		return true
	}
	return false
}

// mapping collects the images written in the pairs of one mapping.
func (f *finder) mapping(n *yaml.Node, path, parent string, o object) {
	before := len(f.targets)
	f.imageKey(n, path, o)
	f.splitImage(n, path, parent, o)
	switch {
	case (o.kind == "Kustomization" || o.kind == "Component") && (parent == "" || parent == "spec"),
		parent == "" && isKustomization(f.file):
		f.kustomizeImages(n, path, o)
	case o.group == "argoproj.io" && parent == "helm":
		f.helmParameters(n, path, o)
	case o.group == "argoproj.io" && parent == "kustomize":
		f.kustomizeStrings(n, path, o)
	}
	f.blockUnclaimedMerges(n, path, f.targets[before:])
}

// imageKey finds image: REFERENCE, and image: {reference: REFERENCE} as image volumes have it.
func (f *finder) imageKey(n *yaml.Node, path string, o object) {
	s := f.lookup(n, path, "image")
	if s == nil {
		return
	}
	if m := deref(s.val); m.Kind == yaml.MappingNode {
		if s = f.lookup(m, s.path, "reference"); s == nil {
			return
		}
	}
	ref, err := parseReference(s.text())
	if err != nil {
		return
	}
	if tag := f.lookup(n, path, "tag"); tag.scalar() != nil && ref.tag == "" && ref.digest == "" {
		f.add(&target{
			form: split, path: path, object: o.name, mapping: n,
			repository: s, tag: tag, digest: f.scalarAt(n, path, "digest"),
		})
		return
	}
	f.add(&target{form: whole, path: s.path, object: o.name, whole: s, ref: ref, ids: []string{identity(ref.name)}})
}

// splitImage finds {registry, repository, tag, digest}. A mapping called …image needs no tag yet.
func (f *finder) splitImage(n *yaml.Node, path, parent string, o object) {
	t := f.splitAt(n, path)
	t.object = o.name
	named := strings.HasSuffix(strings.ToLower(parent), "image")
	if t.repository == nil && named && t.tag != nil {
		t.repository = f.scalarAt(n, path, "name")
	}
	if t.repository == nil || t.tag == nil && t.digest == nil && !named {
		return
	}
	f.add(t)
}

func (f *finder) splitAt(n *yaml.Node, path string) *target {
	return &target{
		form: split, path: path, mapping: n,
		registry: f.scalarAt(n, path, "registry"), repository: f.scalarAt(n, path, "repository"),
		tag: f.scalarAt(n, path, "tag"), digest: f.scalarAt(n, path, "digest"),
	}
}

// add completes a target and keeps it, unless it is no image after all, or a template of one.
func (f *finder) add(t *target) {
	if slices.ContainsFunc(t.slots(), func(s *slot) bool { return strings.Contains(s.text(), "{{") }) {
		return
	}
	switch t.form {
	case split:
		name := t.repository.text()
		if registry := strings.TrimSuffix(t.registry.text(), "/"); registry != "" {
			name = registry + "/" + name
		}
		ref, err := parseReference(name)
		if err != nil || ref.tag != "" || ref.digest != "" {
			return
		}
		t.ref = withTag(ref, t.tag.text(), t.digest.text())
		t.ids = []string{identity(ref.name)}
	case kustomize:
		name := t.repository.text()
		t.ids = []string{identity(name)}
		if newName := t.newName.text(); newName != "" {
			name = newName
			t.ids = append(t.ids, identity(name))
		}
		t.ref = withTag(reference{name: name}, t.tag.text(), t.digest.text())
	}
	f.targets = append(f.targets, t)
}

// withTag adds a tag and a digest; the tag of a values file may carry a digest itself ("v1@sha256:…").
func withTag(r reference, tag, digest string) reference {
	r.tag, r.digest, _ = strings.Cut(tag, "@")
	if digest != "" {
		r.digest = digest
	}
	return r
}

// kustomizeImages finds the entries of images in a kustomization.
func (f *finder) kustomizeImages(n *yaml.Node, path string, o object) {
	images := f.lookup(n, path, "images")
	if images == nil || deref(images.val).Kind != yaml.SequenceNode {
		return
	}
	for i, item := range deref(images.val).Content {
		m, at := deref(item), images.path+"/"+strconv.Itoa(i)
		name := f.scalarAt(m, at, "name")
		if name.text() == "" {
			continue
		}
		f.add(&target{
			form: kustomize, path: at, object: o.name, mapping: m, repository: name,
			newName: f.scalarAt(m, at, "newName"), tag: f.scalarAt(m, at, "newTag"), digest: f.scalarAt(m, at, "digest"),
		})
	}
}

// kustomizeStrings finds spec.source.kustomize.images of an Application: "[name=]reference".
func (f *finder) kustomizeStrings(n *yaml.Node, path string, o object) {
	images := f.lookup(n, path, "images")
	if images == nil || deref(images.val).Kind != yaml.SequenceNode {
		return
	}
	for i, item := range deref(images.val).Content {
		s := &slot{val: item, path: images.path + "/" + strconv.Itoa(i)}
		text := s.text()
		var ids []string
		prefix := ""
		if name, _, found := strings.Cut(text, "="); found {
			prefix = name + "="
			ids = append(ids, identity(name))
		}
		ref, err := parseReference(text[len(prefix):])
		if err != nil {
			continue
		}
		f.add(&target{form: whole, path: s.path, object: o.name, whole: s, prefix: prefix, ref: ref, ids: append(ids, identity(ref.name))})
	}
}

// helmParameters finds spec.source.helm.parameters of an Application: a list of {name, value} in which
// image.repository and image.tag belong together, under any common beginning.
func (f *finder) helmParameters(n *yaml.Node, path string, o object) {
	parameters := f.lookup(n, path, "parameters")
	if parameters == nil || deref(parameters.val).Kind != yaml.SequenceNode {
		return
	}
	byName := map[string]*slot{}
	var names []string
	for i, item := range deref(parameters.val).Content {
		m, at := deref(item), parameters.path+"/"+strconv.Itoa(i)
		name, value := f.scalarAt(m, at, "name").text(), f.scalarAt(m, at, "value")
		if name != "" && value != nil && byName[name] == nil {
			byName[name] = value
			names = append(names, name)
		}
	}
	for _, name := range names {
		prefix, last := "", name
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			prefix, last = name[:i+1], name[i+1:]
		}
		switch s := byName[name]; last {
		case "repository":
			t := &target{
				form: split, path: s.path, object: o.name, registry: byName[prefix+"registry"],
				repository: s, tag: byName[prefix+"tag"], digest: byName[prefix+"digest"],
			}
			if t.tag != nil || t.digest != nil {
				f.add(t)
			}
		case "image":
			if ref, err := parseReference(s.text()); err == nil {
				f.add(&target{form: whole, path: s.path, object: o.name, whole: s, ref: ref, ids: []string{identity(ref.name)}})
			}
		}
	}
}

// lookup returns the pair of a mapping with that key, the mapping's own before those merged into it by "<<".
func (f *finder) lookup(m *yaml.Node, path, key string) *slot {
	if m.Kind != yaml.MappingNode {
		return nil
	}
	var found *slot
	for i := 0; i+1 < len(m.Content); i += 2 {
		k := m.Content[i]
		if k.Kind != yaml.ScalarNode || k.Value != key {
			continue
		}
		if found != nil {
			f.fail(k, fmt.Errorf("key %q stands twice in one mapping, first on line %d", key, found.key.Line))
		}
		found = &slot{key: k, val: m.Content[i+1], path: path + "/" + escapePointer(key)}
	}
	if found != nil {
		return found
	}
	for _, base := range merged(m) {
		for i := 0; i+1 < len(base.Content); i += 2 {
			if k := base.Content[i]; k.Kind == yaml.ScalarNode && k.Value == key {
				return &slot{key: k, val: base.Content[i+1], path: path + "/" + escapePointer(key)}
			}
		}
	}
	return nil
}

// scalarAt is lookup for a scalar.
func (f *finder) scalarAt(m *yaml.Node, path, key string) *slot {
	if s := f.lookup(m, path, key); s.scalar() != nil {
		return s
	}
	return nil
}

// merged returns the mappings merged into m by "<<", directly or by way of others, those that win first.
func merged(m *yaml.Node) []*yaml.Node {
	seen := map[*yaml.Node]bool{m: true} // a mapping may be merged into itself
	var bases []*yaml.Node
	var merge func(m *yaml.Node)
	add := func(n *yaml.Node) {
		if n = deref(n); n.Kind == yaml.MappingNode && !seen[n] {
			seen[n] = true
			bases = append(bases, n)
			merge(n)
		}
	}
	merge = func(m *yaml.Node) {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if k := m.Content[i]; k.Kind != yaml.ScalarNode || k.Value != "<<" || k.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
				continue
			}
			if v := deref(m.Content[i+1]); v.Kind == yaml.SequenceNode {
				for _, item := range v.Content {
					add(item)
				}
			} else {
				add(v)
			}
		}
	}
	merge(m)
	return bases
}

// blockUnclaimedMerges notes scalars that come into a mapping by "<<" and are not part of an image there: they
// have a user that is no image, so they cannot be edited.
func (f *finder) blockUnclaimedMerges(n *yaml.Node, path string, here []*target) {
	claimed := map[*yaml.Node]bool{}
	for _, t := range here {
		for _, s := range t.slots() {
			claimed[s.scalar()] = true
		}
	}
	for _, base := range merged(n) {
		for i := 0; i+1 < len(base.Content); i += 2 {
			k, v := base.Content[i], base.Content[i+1]
			if s := f.lookup(n, path, k.Value); s != nil && s.val == v && deref(v).Kind == yaml.ScalarNode && !claimed[deref(v)] {
				f.blocked[deref(v)] = true
			}
		}
	}
}

// at returns the target Edit.Path names in this document, or nil if the document has no such place.
func (f *finder) at(root *yaml.Node, pointer string, id string) *target {
	n, path := root, ""
	if n.Kind == yaml.DocumentNode {
		if len(n.Content) == 0 {
			return nil
		}
		n = n.Content[0]
	}
	var parent *yaml.Node
	var last *slot
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		parent = deref(n)
		switch parent.Kind {
		case yaml.MappingNode:
			last = f.lookup(parent, path, token)
		case yaml.SequenceNode:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(parent.Content) {
				return nil
			}
			last = &slot{val: parent.Content[i], path: path + "/" + token}
		default:
			return nil
		}
		if last == nil {
			return nil
		}
		n, path = last.val, last.path
	}
	for _, t := range f.targets { // known already, as a whole or by its tag
		if t.path == pointer || t.tag != nil && t.tag.path == pointer || t.digest != nil && t.digest.path == pointer {
			return t
		}
	}
	n = deref(n)
	if n.Kind == yaml.MappingNode {
		t := f.splitAt(n, path)
		if t.tag == nil && t.digest == nil {
			return nil
		}
		t.ref, t.ids = withTag(reference{}, t.tag.text(), t.digest.text()), []string{id}
		return t
	}
	if n.Kind != yaml.ScalarNode {
		return nil
	}
	// One word, with a digest or without, is a tag unless it is the repository.
	if ref, err := parseReference(last.text()); err == nil && (ref.tag != "" || strings.Contains(ref.name, "/") || identity(ref.name) == id) {
		return &target{form: whole, path: path, whole: last, ref: ref, ids: []string{identity(ref.name)}}
	}
	return &target{form: loneTag, path: path, tag: last, ref: withTag(reference{}, last.text(), ""), ids: []string{id}}
}

func (f *finder) fail(at *yaml.Node, err error) {
	if f.err == nil {
		f.pos, f.err = at, err
	}
}

// escapePointer writes a key as a token of a JSON pointer.
func escapePointer(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
