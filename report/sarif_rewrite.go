package report

import (
	"bytes"
	"math"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// rewriter copies parts of a SARIF run into another run: it drops white space, renumbers what counts into
// lists of the run, and makes paths relative.
type rewriter struct {
	run   *sarifRun
	lists map[string][]int32 // new index by old index; lists that are not here keep their numbers
	// joined says that the run becomes a part of another: a number that counts into nothing here must not count
	// into what others bring.
	joined bool
	bases  map[string]string // new names of base URIs that clash
	norm   *normalizer       // makes paths relative; nil leaves them
	// compact says that the text has no white space between its tokens.
	compact bool
	limits  *Limits // nil for none
}

// object appends v, which has type t.
func (w *rewriter) object(dst, v []byte, t *objectType) []byte {
	if !t.deep || len(v) == 0 || v[0] != '{' {
		return w.value(dst, v)
	}
	if t.name == "artifactLocation" {
		return w.artifactLocation(dst, v, t)
	}
	foreign := w.foreign(v, t)
	dst = append(dst, '{')
	first := true
	for name, value := range rawjson.Members(v) {
		dst = appendName(dst, name, &first)
		dst = w.member(dst, value, t.members[string(name)], foreign)
	}
	return append(dst, '}')
}

// atMost is how many elements a list may have.
func (w *rewriter) atMost(object string) int {
	if w.limits != nil {
		switch object {
		case "location":
			return w.limits.Locations
		case "threadFlowLocation":
			return w.limits.ThreadFlowLocations
		}
	}
	return math.MaxInt
}

// rule appends a rule with no more tags than the limits allow.
func (w *rewriter) rule(dst, v []byte) []byte {
	if w.limits == nil || v[0] != '{' {
		return appendValue(dst, v)
	}
	dst = append(dst, '{')
	first := true
	for name, value := range rawjson.Members(v) {
		dst = appendName(dst, name, &first)
		if string(name) != "properties" {
			dst = appendValue(dst, value)
			continue
		}
		dst = append(dst, '{')
		first := true
		for name, value := range rawjson.Members(value) {
			dst = appendName(dst, name, &first)
			if tags := rawjson.Strings(value); string(name) == "tags" && len(tags) > w.limits.Tags {
				dst = append(dst, appendTexts(nil, "", tags[:w.limits.Tags])[len(`,"":`):]...)
				continue
			}
			dst = appendValue(dst, value)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// foreign says that the indexes in v count into a component that is not the driver, and stay.
func (w *rewriter) foreign(v []byte, t *objectType) bool {
	switch t.name {
	case "reportingDescriptorReference/related":
		return rawjson.Member(v, "toolComponent") != nil
	case "result":
		if len(w.run.components) == 1 {
			return false
		}
		v = rawjson.Member(v, "rule")
	case "reportingDescriptorReference/rule", "reportingDescriptorReference/notification":
	default:
		return false
	}
	ref := rawjson.Member(v, "toolComponent")
	return ref != nil && w.run.component(ref) != 0
}

func (w *rewriter) member(dst, v []byte, m *memberType, foreign bool) []byte {
	switch {
	case m == nil:
		return w.value(dst, v)
	case m.kind == '>' && m.form == 0:
		list := w.lists[m.list]
		i, ok := rawjson.Int(v)
		switch {
		case foreign && (m.list == "rules" || m.list == "notifications") || !ok || i < 0:
		case i < len(list):
			return strconv.AppendInt(dst, int64(list[i]), 10)
		case w.joined:
			return append(dst, "-1"...) // "none", in SARIF
		}
		return w.value(dst, v)
	case m.object == nil || !m.object.deep:
		return w.value(dst, v)
	case m.form == '[' && v[0] == '[':
		dst = append(dst, '[')
		left := w.atMost(m.object.name)
		first := true
		for e := range rawjson.Elements(v) {
			if left--; left < 0 {
				break
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = w.object(dst, e, m.object)
		}
		return append(dst, ']')
	case m.form == '{' && v[0] == '{':
		dst = append(dst, '{')
		first := true
		for name, e := range rawjson.Members(v) {
			dst = appendName(dst, name, &first)
			dst = w.object(dst, e, m.object)
		}
		return append(dst, '}')
	}
	return w.object(dst, v, m.object)
}

// artifactLocation writes the location with a path relative to the root, where it has one and did not say so.
func (w *rewriter) artifactLocation(dst, v []byte, t *objectType) []byte {
	var uri, base string
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "uri":
			uri = rawjson.Text(value)
		case "uriBaseId":
			base = rawjson.Text(value)
		}
	}
	changed := false
	if w.norm != nil && uri != "" {
		p := w.run.resolve(uri, base, w.norm)
		if p != "" && !path.IsAbs(p) && !strings.Contains(p, ":") && p != unescapeURI(uri) || !validURI(uri) {
			uri, changed = escapeURI(p), true
		}
	}
	dst = append(dst, '{')
	first := true
	for name, value := range rawjson.Members(v) {
		switch {
		case changed && string(name) == "uriBaseId":
			continue
		case changed && string(name) == "uri":
			dst = appendName(dst, name, &first)
			dst = rawjson.AppendString(dst, uri)
			continue
		case string(name) == "uriBaseId" && w.bases[base] != "":
			dst = appendName(dst, name, &first)
			dst = rawjson.AppendString(dst, w.bases[base])
			continue
		}
		dst = appendName(dst, name, &first)
		dst = w.member(dst, value, t.members[string(name)], false)
	}
	return append(dst, '}')
}

// validURI says whether s is a URI reference with nothing in it that must be escaped.
func validURI(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\^{|}`+"`", c) >= 0 {
			return false
		}
	}
	if !strings.ContainsAny(s, "%:") {
		return true
	}
	_, err := url.Parse(s)
	return err == nil
}

// escapeURI writes a path as a URI reference.
func escapeURI(p string) string {
	escaped := (&url.URL{Path: p}).EscapedPath()
	// A colon in the first segment would end a scheme.
	if first, rest, _ := strings.Cut(escaped, "/"); strings.Contains(first, ":") {
		escaped = strings.ReplaceAll(first, ":", "%3A") + escaped[len(escaped)-len(rest)-min(1, len(escaped)-len(first)):]
	}
	return escaped
}

func appendName(dst, name []byte, first *bool) []byte {
	if !*first {
		dst = append(dst, ',')
	}
	*first = false
	dst = append(append(append(dst, '"'), name...), '"')
	return append(dst, ':')
}

// appendValue appends v without white space.
func appendValue(dst, v []byte) []byte {
	if spaced(v) {
		return rawjson.Compact(dst, v)
	}
	return append(dst, v...)
}

// spaced says whether there may be white space between the tokens of v. It almost always comes with a line
// break, or after a colon or comma; text that has none of these is taken as it stands.
func spaced(v []byte) bool {
	return bytes.IndexByte(v, '\n') >= 0 || bytes.IndexByte(v, '\r') >= 0 || bytes.Contains(v, []byte("\": ")) || bytes.Contains(v, []byte(", \""))
}

// value is appendValue for parts of a text that was compacted already, when w knows that.
func (w *rewriter) value(dst, v []byte) []byte {
	if w.compact {
		return append(dst, v...)
	}
	return appendValue(dst, v)
}
