package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// File makes the edits in one file and returns the new bytes and what changed, in the order of the file. If
// nothing changes, out is in. An image that does not stand in this file is no error here, see
// [Editor.Check]. A file that ends in an error counts as one that holds no image.
func (e *Editor) File(name string, in []byte) (out []byte, ch []Change, err error) {
	fail := func(kind, err error) ([]byte, []Change, error) {
		return nil, nil, &Error{Op: "set", File: name, Kind: kind, Err: err}
	}
	utf16 := bytes.HasPrefix(in, []byte("\xff\xfe")) || bytes.HasPrefix(in, []byte("\xfe\xff"))
	switch {
	case utf16 && e.related(bytes.ReplaceAll(in, []byte{0}, nil)):
		return fail(ErrUnsupported, errors.New("UTF-16; save it as UTF-8"))
	case utf16 || !e.related(in):
		return in, nil, nil
	case len(in) > e.o.MaxBytes:
		return fail(ErrTooLarge, fmt.Errorf("%d bytes; the cap MaxBytes is %d", len(in), e.o.MaxBytes))
	}
	matched := make([]int, len(e.edits))
	for i := range e.edits {
		matched[i] = e.edits[i].matched
	}
	defer func() {
		if err == nil {
			return
		}
		for i := range e.edits {
			e.edits[i].matched = matched[i]
		}
	}()
	var edited []byte
	done := 0              // how far the output has come
	lines, counted := 0, 0 // lines up to an offset
	for _, d := range documents(in) {
		if !e.related(d.text) {
			continue
		}
		lines += countLines(in[counted:d.start])
		counted, d.line = d.start, lines
		text, changes, err := e.document(name, d)
		if err != nil {
			if me, ok := errors.AsType[*Error](err); ok && errors.Is(me.Kind, ErrSyntax) && bytes.Contains(in, []byte("{{")) {
				me.Kind = ErrTemplate
			}
			return nil, nil, err
		}
		if len(changes) == 0 {
			continue
		}
		if ch = append(ch, changes...); edited == nil {
			edited = make([]byte, 0, len(in)+256)
		}
		edited = append(append(edited, in[done:d.start]...), text...)
		done = d.start + len(d.text)
	}
	if len(ch) == 0 {
		return in, nil, nil
	}
	return append(edited, in[done:]...), ch, nil
}

// related reports whether the text has to be parsed: whether an image of the edits can stand in it.
func (e *Editor) related(text []byte) bool {
	if e.o.ParseAll {
		return true
	}
	for i := range e.edits {
		ed := &e.edits[i]
		if ed.Path != "" { // it may lead to a tag alone
			return true
		}
		for _, all := range ed.spellings {
			if !slices.ContainsFunc(all, func(word []byte) bool { return !holds(text, word) }) {
				return true
			}
		}
	}
	return bytes.IndexByte(text, '\\') >= 0 && escape.Match(text)
}

// escape is what letters of an image can be written with in double quotes.
var escape = regexp.MustCompile(`\\[xuU\r\n]`)

// words are the parts of a repository, without its registry. However an image is written down, in one scalar or
// several, each of them stands there as it is, unless it is written with escapes.
func words(id string) (all [][]byte) {
	domain, path := splitDomain(id)
	if domain == "docker.io" {
		path = strings.TrimPrefix(path, "library/")
	}
	for part := range strings.SplitSeq(path, "/") {
		all = append(all, []byte(part))
	}
	slices.Reverse(all) // the last is the rarest
	return all
}

// holds reports whether a part of a repository stands in the text, and not only as a piece of a longer part.
func holds(text, word []byte) bool {
	inside := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
	}
	for at := 0; ; at++ {
		i := bytes.Index(text[at:], word)
		if i < 0 {
			return false
		}
		at += i
		end := at + len(word)
		if (at == 0 || !inside(text[at-1])) && (end == len(text) || !inside(text[end])) {
			return true
		}
	}
}

// documents parts a file at its "---" lines. A line that begins with "---" ends a document wherever it stands,
// in quotes and blocks too, so the parts can be parsed one by one. A file with directives stays whole.
func documents(in []byte) []*document {
	whole := []*document{{text: in}}
	if bytes.HasPrefix(in, []byte("%")) || bytes.HasPrefix(in, []byte("\ufeff%")) || bytes.Contains(in, []byte("\n%")) ||
		bytes.Contains(in, []byte("\r%")) {
		return whole
	}
	var parts []*document
	start := 0
	for at := 0; ; {
		i := bytes.Index(in[at:], []byte("\n---"))
		if i < 0 {
			break
		}
		at += i + 1
		if next := at + 3; next == len(in) || strings.IndexByte(" \t\r\n", in[next]) >= 0 {
			parts = append(parts, &document{start: start, text: in[start:at]})
			start = at
		}
	}
	return append(parts, &document{start: start, text: in[start:]})
}

// maxNodes and maxDepth bound the tree of one document.
const (
	maxNodes = 5_000_000
	maxDepth = 1000
)

// parse reads a document, and any further ones in it ("..." without "---"), as the children of one root.
func (d *document) parse() error {
	d.root = yaml.Node{Kind: yaml.SequenceNode}
	decoder := yaml.NewDecoder(bytes.NewReader(forYAML(d.text)))
	nodes := 0
	for {
		var n yaml.Node
		if err := decoder.Decode(&n); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := measure(&n, 0, &nodes, d.line); err != nil {
			return err
		}
		d.root.Content = append(d.root.Content, &n)
	}
}

// forYAML makes readable what the parser refuses: the surrogate pairs of JSON ("\ud83d\ude00"), each half of which
// becomes another character, and the directive of YAML 1.2, which is read as 1.1 is. Nothing moves.
func forYAML(text []byte) []byte {
	if bytes.Contains(text, []byte("%YAML 1.2")) {
		text = bytes.ReplaceAll(text, []byte("%YAML 1.2"), []byte("%YAML 1.1"))
	}
	if !surrogate.Match(text) || !json.Valid(text) {
		return text
	}
	return surrogate.ReplaceAll(text, []byte(`\ufffd`))
}

var surrogate = regexp.MustCompile(`\\u[dD][89a-fA-F][0-9a-fA-F]{2}`)

var errTree = errors.New("the tree is too large")

// measure holds a tree to its caps, and makes its line numbers those of the file.
func measure(n *yaml.Node, depth int, nodes *int, lines int) error {
	*nodes++
	n.Line += lines
	if depth > maxDepth || *nodes > maxNodes {
		return fmt.Errorf("%w: the caps are %d levels and %d values", errTree, maxDepth, maxNodes)
	}
	for _, c := range n.Content {
		if err := measure(c, depth+1, nodes, lines); err != nil {
			return err
		}
	}
	return nil
}

// document makes the edits in one document.
func (e *Editor) document(name string, d *document) ([]byte, []Change, error) {
	if err := d.parse(); err != nil {
		return nil, nil, parseError(name, d.line, err)
	}
	var ops []op
	var changes []Change
	for _, root := range d.root.Content {
		o, c, err := e.plan(name, root)
		if err != nil {
			return nil, nil, err
		}
		ops, changes = append(ops, o...), append(changes, c...)
	}
	if len(ops) == 0 {
		return d.text, nil, nil
	}
	d.lines = lineOffsets(d.text)
	text, err := d.make(name, ops, changes)
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return text, changes, nil
}

// make applies the operations and proves the result.
func (d *document) make(name string, ops []op, changes []Change) ([]byte, error) {
	var all []splice
	for i, o := range ops {
		s, err := d.splices(o)
		if err != nil {
			return nil, &Error{Op: "set", File: name, Line: changes[i].Line, Column: changes[i].Column, Image: changes[i].Image, Kind: ErrUnsupported, Err: err}
		}
		all = append(all, s...)
	}
	for _, o := range ops {
		o.mutate()
	}
	slices.SortStableFunc(all, func(a, b splice) int { return cmp.Compare(a.from, b.from) })
	text, err := apply(d.text, all)
	if err == nil {
		err = d.prove(text)
	}
	if err != nil {
		return nil, &Error{Op: "set", File: name, Line: changes[0].Line, Column: changes[0].Column, Kind: ErrProof, Err: err}
	}
	return text, nil
}

// prove parses the new text and compares it with the tree the operations were done to.
func (d *document) prove(text []byte) error {
	after := document{text: text, line: d.line}
	if err := after.parse(); err != nil {
		return fmt.Errorf("it no longer parses: %w", err)
	}
	return same(&d.root, &after.root)
}

// same says where two trees differ in meaning.
func same(want, got *yaml.Node) error {
	switch {
	case want.Kind != got.Kind,
		want.Kind == yaml.ScalarNode && (want.ShortTag() != got.ShortTag() || want.Value != got.Value),
		want.Anchor != got.Anchor,
		want.Kind == yaml.AliasNode && want.Value != got.Value,
		want.Kind != yaml.ScalarNode && want.Tag != got.Tag,
		len(want.Content) != len(got.Content):
		return fmt.Errorf("line %d: want %q, got %q", got.Line, want.Value, got.Value)
	}
	for i := range want.Content {
		if err := same(want.Content[i], got.Content[i]); err != nil {
			return err
		}
	}
	return nil
}

// plan finds the images of the edits in a tree and says what to do, and which change that is.
func (e *Editor) plan(name string, root *yaml.Node) ([]op, []Change, error) {
	f := &finder{file: name, aliases: map[*yaml.Node][]*yaml.Node{}, blocked: map[*yaml.Node]bool{}}
	f.walk(root, "", "", object{}, false)
	if f.err != nil {
		return nil, nil, &Error{Op: "set", File: name, Line: f.pos.Line, Column: f.pos.Column, Kind: ErrSyntax, Err: f.err}
	}
	chosen := e.choose(f, root)

	var ops []op
	var changes []Change
	planned := map[*yaml.Node]op{} // scalar -> what becomes of it
	type place struct {
		*edit
		*yaml.Node
	}
	counted := map[place]bool{}          // a place counts once, however many aliases lead there
	values := map[*yaml.Node][]*target{} // scalar -> targets it belongs to
	for _, t := range f.targets {
		for _, s := range t.slots() {
			values[s.scalar()] = append(values[s.scalar()], t)
		}
	}
	wanted := map[*target]map[*yaml.Node]string{}
	for _, t := range f.targets {
		ed := chosen[t]
		if ed == nil {
			if name := t.ref.name; name != "" && len(e.seen) < maxNear {
				e.seen[name] = true
			}
			continue
		}
		at := t.slots()[len(t.slots())-1].scalar()
		todo, err := t.plan(ed.to)
		if err != nil {
			return nil, nil, &Error{Op: "set", File: name, Line: at.Line, Column: at.Column, Image: ed.Image, Kind: ErrUnsupported, Err: err}
		}
		if !counted[place{ed, at}] {
			counted[place{ed, at}] = true
			ed.matched++
		}
		wanted[t] = map[*yaml.Node]string{}
		for _, o := range todo {
			if o.kind != insert {
				n := o.slot.scalar()
				wanted[t][n] = o.value
				if before, twice := planned[n]; twice && before.kind == o.kind && before.value == o.value {
					continue // the same scalar by another way
				}
				planned[n] = o
			}
			ops = append(ops, o)
			changes = append(changes, change(name, t, ed, o))
		}
	}
	for i, o := range ops {
		if o.kind == insert {
			continue
		}
		if err := f.sharing(o, values, wanted); err != nil {
			return nil, nil, &Error{Op: "set", File: name, Line: changes[i].Line, Column: changes[i].Column, Image: changes[i].Image, Kind: ErrAlias, Err: err}
		}
	}
	return ops, changes, nil
}

// choose says which edit a target belongs to. An edit with a path takes its place before edits without.
func (e *Editor) choose(f *finder, root *yaml.Node) map[*target]*edit {
	chosen := map[*target]*edit{}
	for i := range e.edits {
		ed := &e.edits[i]
		if ed.Path == "" {
			continue
		}
		t := f.at(root, ed.Path, ed.id)
		if t == nil {
			continue
		}
		if !slices.Contains(f.targets, t) {
			f.targets = append(f.targets, t)
		}
		if slices.Contains(t.ids, ed.id) || t.is(ed.to) {
			chosen[t] = ed
		}
	}
	for i := range e.edits {
		ed := &e.edits[i]
		for _, t := range f.targets {
			if ed.Path == "" && chosen[t] == nil && (slices.Contains(t.ids, ed.id) || t.is(ed.to)) {
				chosen[t] = ed
			}
		}
	}
	return chosen
}

// is reports whether the image is already what a full reference asks for: an image that was moved to another
// repository is found again the second time.
func (t *target) is(to reference) bool {
	return to.name != "" && identity(to.name) == identity(t.ref.name) && to.tag == t.ref.tag && to.digest == t.ref.digest
}

// sharing makes sure that all who use a scalar, by an anchor or a merge, want the same of it.
func (f *finder) sharing(o op, values map[*yaml.Node][]*target, wanted map[*target]map[*yaml.Node]string) error {
	n := o.slot.scalar()
	ways := map[*yaml.Node]bool{} // the aliases through which an edited image reaches the scalar
	for _, t := range values[n] {
		if v, ok := wanted[t][n]; !ok || v != o.value {
			return fmt.Errorf("the value on line %d is used by %s too", n.Line, t.ref.name)
		}
		for _, s := range t.slots() {
			if s.scalar() == n {
				ways[s.val] = true
			}
		}
	}
	for _, alias := range f.aliases[n] {
		if !ways[alias] {
			return fmt.Errorf("*%s on line %d is no image that is to change", n.Anchor, alias.Line)
		}
	}
	if f.blocked[n] {
		return fmt.Errorf("the value on line %d is used where no image stands", n.Line)
	}
	return nil
}

// change describes an operation.
func change(file string, t *target, ed *edit, o op) Change {
	after := t.after(ed)
	c := Change{
		File: file, Object: t.object, Path: o.path, New: o.value, Image: ed.Image,
		OldTag: t.ref.tag, NewTag: after.tag, NewRef: after.String(),
	}
	at := o.slot.scalar()
	if o.kind != insert {
		c.Old = o.slot.text()
	}
	c.Line, c.Column = at.Line, at.Column
	if t.ref.digest != "" && ed.to.digest == "" {
		c.DroppedDigest = t.ref.digest
	}
	return c
}

// after is the image as it will stand.
func (t *target) after(ed *edit) reference {
	r := t.ref.with(ed.to)
	if t.form == split && t.digest != nil && r.tag == "" { // the tag beside a digest stays where none was given
		r.tag = t.ref.tag
	}
	if r.name == "" { // a tag reached by its path, with no repository beside it
		r.name = ed.Image
	}
	return r
}

// parseError classifies what the parser says.
func parseError(name string, lines int, err error) error {
	e := &Error{Op: "set", File: name, Kind: ErrSyntax, Err: err}
	if errors.Is(err, errTree) {
		e.Kind = ErrTooLarge
		return e
	}
	if le, ok := errors.AsType[*yaml.LoadError](err); ok {
		e.Line, e.Column = le.Mark.Line+lines, le.Mark.Column
		e.Err = errors.New(le.Message)
	}
	return e
}
