package manifest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A splice replaces the bytes [from, to) of a document.
type splice struct {
	from, to int
	text     string
}

// document is one document of a file: a piece of it that can be parsed alone.
type document struct {
	start int // offset in the file
	line  int // lines in front of it
	text  []byte
	root  yaml.Node
	lines []int // offset of each line, as the parser counts lines
}

// offset returns the byte of the document a position in the file means: lines from 1, columns in characters
// from 1.
func (d *document) offset(line, column int) (int, error) {
	line -= d.line
	if line < 1 || line > len(d.lines) || column < 1 {
		return 0, fmt.Errorf("position %d:%d is outside the document", line, column)
	}
	at := d.lines[line-1]
	for range column - 1 {
		if at >= len(d.text) {
			return 0, fmt.Errorf("position %d:%d is outside the document", line, column)
		}
		_, size := utf8.DecodeRune(d.text[at:])
		at += size
	}
	return at, nil
}

var bom = []byte("\ufeff")

// countLines returns the number of line ends, as lineOffsets knows them.
func countLines(text []byte) int {
	count := func(s string) int { return bytes.Count(text, []byte(s)) }
	return count("\n") + count("\r") - count("\r\n") + count("\u0085") + count("\u2028") + count("\u2029")
}

// lineOffsets returns the offset of every line. YAML 1.1 counts CR, LF, CR LF, NEL, LS and PS as line ends.
func lineOffsets(text []byte) []int {
	lines := []int{0}
	if bytes.HasPrefix(text, bom) {
		lines[0] = len(bom)
	}
	for i := range text {
		switch text[i] {
		case '\n':
			lines = append(lines, i+1)
		case '\r':
			if i+1 >= len(text) || text[i+1] != '\n' {
				lines = append(lines, i+1)
			}
		case 0xc2:
			if i+1 < len(text) && text[i+1] == 0x85 {
				lines = append(lines, i+2)
			}
		case 0xe2:
			if i+2 < len(text) && text[i+1] == 0x80 && (text[i+2] == 0xa8 || text[i+2] == 0xa9) {
				lines = append(lines, i+3)
			}
		}
	}
	return lines
}

// span returns where the content of a scalar stands, without its quotes, tag and anchor.
func (d *document) span(n *yaml.Node) (from, to int, err error) {
	at, err := d.offset(n.Line, n.Column)
	if err != nil {
		return 0, 0, err
	}
	if n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		if at, err = d.skipProperties(at); err != nil {
			return 0, 0, err
		}
	}
	rest := d.text[at:]
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return d.blockSpan(at, n.Value)
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		quote := byte('"')
		if n.Style&yaml.SingleQuotedStyle != 0 {
			quote = '\''
		}
		if len(rest) < 2 || rest[0] != quote {
			return 0, 0, fmt.Errorf("no %c where one was expected", quote)
		}
		for i := 1; i < len(rest); i++ {
			switch {
			case quote == '"' && rest[i] == '\\':
				i++
			case rest[i] == quote && quote == '\'' && i+1 < len(rest) && rest[i+1] == quote:
				i++
			case rest[i] == quote:
				return at + 1, at + i, nil
			}
		}
		return 0, 0, fmt.Errorf("no closing %c", quote)
	case !bytes.HasPrefix(rest, []byte(n.Value)):
		return 0, 0, fmt.Errorf("a plain value over several lines")
	}
	return at, at + len(n.Value), nil
}

// skipProperties goes past "&anchor" and "!tag" in front of a value.
func (d *document) skipProperties(at int) (int, error) {
	for at < len(d.text) && (d.text[at] == '&' || d.text[at] == '!') {
		i := bytes.IndexAny(d.text[at:], " \t\r\n")
		if i < 0 {
			return 0, fmt.Errorf("nothing stands behind the anchor or tag")
		}
		at += i
		i = bytes.IndexFunc(d.text[at:], func(r rune) bool { return !strings.ContainsRune(" \t\r\n", r) })
		if i < 0 {
			return 0, fmt.Errorf("nothing stands behind the anchor or tag")
		}
		at += i
	}
	return at, nil
}

// blockSpan finds the one line of a block scalar (| or >) that holds its value.
func (d *document) blockSpan(at int, value string) (from, to int, err error) {
	value = strings.TrimSpace(value)
	if value == "" || strings.ContainsAny(value, "\r\n") {
		return 0, 0, fmt.Errorf("a block value over several lines")
	}
	end := bytes.IndexByte(d.text[at:], '\n')
	if end < 0 {
		return 0, 0, fmt.Errorf("a block value without a line")
	}
	at += end + 1
	i := bytes.Index(d.text[at:], []byte(value))
	if i < 0 || len(bytes.TrimSpace(d.text[at:at+i])) > 0 {
		return 0, 0, fmt.Errorf("a block value that does not stand on the line behind its head")
	}
	return at + i, at + i + len(value), nil
}

// splices turns an operation into replacements of bytes.
func (d *document) splices(o op) ([]splice, error) {
	if o.kind == insert {
		s, err := d.insert(o)
		return []splice{s}, err
	}
	value, err := d.scalar(o.slot.scalar(), o.value, o.slot.key)
	if err != nil || o.kind == set {
		return []splice{value}, err
	}
	key, err := d.scalar(o.slot.key, o.key, nil)
	return []splice{key, value}, err
}

// mutate does the operation to the tree, which afterwards is what the new text must parse to.
func (o op) mutate() {
	setNode := func(n *yaml.Node, value string) { n.Value, n.Tag = value, "!!str" }
	switch o.kind {
	case rename:
		setNode(o.slot.key, o.key)
		setNode(o.slot.scalar(), o.value)
	case set:
		setNode(o.slot.scalar(), o.value)
	case insert:
		k := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: o.key}
		v := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: o.value}
		content := &o.mapping.Content
		i := slices.Index(*content, o.slot.key) + 2
		for i < len(*content) && (*content)[i].Line == 0 {
			i += 2 // behind what was added before
		}
		*content = slices.Insert(*content, i, k, v)
	}
}

// scalar replaces the value of n. key is the key in front of it, if it has one.
func (d *document) scalar(n *yaml.Node, value string, key *yaml.Node) (splice, error) {
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!null" && n.Anchor == "" {
		return d.fill(key, value)
	}
	if n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str" {
		return splice{}, fmt.Errorf("a value with the tag %s", n.ShortTag())
	}
	from, to, err := d.span(n)
	if err != nil {
		return splice{}, err
	}
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0
	block := n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	text := value
	switch {
	case quoted && strings.ContainsAny(value, "'\"\\"), block && value == "":
		return splice{}, fmt.Errorf("%q cannot stand here", value)
	case !quoted && !block && (!isPlainString(value) || isJSON(key)):
		text = `"` + value + `"`
	}
	return splice{from, to, text}, nil
}

// fill writes a value behind a key that has none.
func (d *document) fill(key *yaml.Node, value string) (splice, error) {
	if key == nil {
		return splice{}, fmt.Errorf("an empty item of a list")
	}
	_, at, err := d.span(key)
	if err != nil {
		return splice{}, err
	}
	i := bytes.IndexByte(d.text[at:], ':')
	if i < 0 || i > 1 {
		return splice{}, fmt.Errorf("no colon behind the key")
	}
	at += i + 1
	return splice{at, at, " " + quote(value, isJSON(key))}, nil
}

// insert adds a pair behind another: on a line of its own with the same indentation, or behind a comma.
func (d *document) insert(o op) (splice, error) {
	if o.slot.val.Kind != yaml.ScalarNode || !owns(o.mapping, o.slot) {
		return splice{}, fmt.Errorf("no place to add %s", o.key)
	}
	json := isJSON(o.slot.key)
	pair := quote(o.key, json) + ": " + quote(o.value, json)
	_, end, err := d.span(o.slot.val)
	if err != nil {
		return splice{}, err
	}
	if quoted := o.slot.val.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0; quoted {
		end++
	}
	if o.mapping.Style&yaml.FlowStyle != 0 {
		return splice{end, end, ", " + pair}, nil
	}
	start, err := d.offset(o.slot.key.Line, o.slot.key.Column)
	if err != nil {
		return splice{}, err
	}
	eol := len(d.text)
	if i := bytes.IndexAny(d.text[start:], "\r\n"); i >= 0 {
		eol = start + i
	}
	if eol < end {
		return splice{}, fmt.Errorf("no place to add %s behind a value over several lines", o.key)
	}
	return splice{eol, eol, d.newline(eol) + strings.Repeat(" ", o.slot.key.Column-1) + pair}, nil
}

// newline returns the line end at that place, or the one the document uses.
func (d *document) newline(at int) string {
	for _, text := range [][]byte{d.text[at:], d.text} {
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			if i > 0 && text[i-1] == '\r' {
				return "\r\n"
			}
			return "\n"
		}
	}
	return "\n"
}

// isJSON reports whether a key is written as JSON wants it, so that its value has to be a JSON string.
func isJSON(key *yaml.Node) bool {
	return key != nil && key.Style&yaml.DoubleQuotedStyle != 0
}

func quote(value string, always bool) string {
	if always || !isPlainString(value) {
		return `"` + value + `"`
	}
	return value
}

// apply makes the replacements, which do not overlap.
func apply(text []byte, splices []splice) ([]byte, error) {
	var out []byte
	at := 0
	for _, s := range splices {
		if s.from < at {
			return nil, fmt.Errorf("two changes in the same place")
		}
		out = append(append(out, text[at:s.from]...), s.text...)
		at = s.to
	}
	return append(out, text[at:]...), nil
}
