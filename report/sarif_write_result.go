package report

import (
	"strconv"
	"time"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// appendText appends a member unless its text is empty. It follows another member.
func appendText(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return rawjson.AppendString(b, text)
}

func appendTime(b []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return appendText(b, name, t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// appendRunProperties writes the property bag of a run: what it had, and what SARIF has no place for. The
// status is written only when a reader would not see it from the rest.
func appendRunProperties(b []byte, head *Run, have [][]byte, seen Status) []byte {
	start := len(b)
	b = append(b, `,"properties":{`...)
	first := true
	names := map[string]bool{}
	for _, bag := range have {
		for name, value := range rawjson.Members(bag) {
			n := rawjson.Name(name)
			if names[n] || n == propTarget || n == propStatus || n == propReason {
				continue
			}
			names[n] = true
			b = appendName(b, name, &first)
			b = appendValue(b, value)
		}
	}
	own := func(name, text string) {
		b = appendName(b, []byte(name), &first)
		b = rawjson.AppendString(b, text)
	}
	if head.Target != "" && !names["imageName"] {
		own(propTarget, head.Target)
	}
	if head.Status != seen {
		own(propStatus, string(head.Status))
		if head.Reason != "" {
			own(propReason, head.Reason)
		}
	}
	if first {
		return b[:start]
	}
	return append(b, '}')
}

// result appends a finding as a result.
func (r *runOut) result(b []byte, f *Finding) []byte {
	if f.sarif == nil || f.sarif.raw == nil || r.from[f.sarif.run] == nil {
		return r.newResult(b, f)
	}
	w := r.from[f.sarif.run]
	w.compact = true // see stream
	t := sarifTypes()["result"]
	v := f.sarif.raw
	foreign := w.foreign(v, t)
	b = append(b, '{')
	first := true
	var fingerprints, suppressions, properties, ruleID, level, state bool
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "level":
			level = true
			b = appendTextFirst(b, "level", f.Level.String(), &first)
			continue
		case "baselineState":
			state = true
			b = appendTextFirst(b, "baselineState", string(f.State), &first)
			continue
		case "suppressions":
			suppressions = true
			b = appendName(b, name, &first)
			b = appendSuppressions(b, value, f.Suppressed)
			continue
		case "partialFingerprints":
			fingerprints = true
			b = appendName(b, name, &first)
			b = appendFingerprints(b, value, f)
			continue
		case "properties":
			properties = true
			b = appendName(b, name, &first)
			b = appendProperties(b, value, f)
			continue
		case "ruleId":
			ruleID = true
		}
		b = appendName(b, name, &first)
		b = w.member(b, value, t.members[string(name)], foreign)
	}
	if !ruleID && f.Rule != "" {
		b = appendTextFirst(b, "ruleId", f.Rule, &first)
	}
	if !level {
		b = appendTextFirst(b, "level", f.Level.String(), &first)
	}
	if !state {
		b = appendTextFirst(b, "baselineState", string(f.State), &first)
	}
	if !fingerprints {
		b = appendName(b, []byte("partialFingerprints"), &first)
		b = appendFingerprints(b, nil, f)
	}
	if !suppressions {
		b = appendName(b, []byte("suppressions"), &first)
		b = appendSuppressions(b, nil, f.Suppressed)
	}
	if !properties {
		if p := appendProperties(nil, nil, f); len(p) > len("{}") {
			b = appendName(b, []byte("properties"), &first)
			b = append(b, p...)
		}
	}
	return append(b, '}')
}

func appendTextFirst(b []byte, name, text string, first *bool) []byte {
	if text == "" {
		return b
	}
	if *first {
		b = appendName(b, []byte(name), first)
		return rawjson.AppendString(b, text)
	}
	return appendText(b, name, text)
}

// appendFingerprints writes the fingerprints a result has, then ours.
func appendFingerprints(b, have []byte, f *Finding) []byte {
	b = append(b, '{')
	first := true
	seen := func(name string) bool { return name == identityKey || name == plainIdentityKey }
	lineHash := false
	for name, value := range rawjson.Members(have) {
		if seen(string(name)) {
			continue
		}
		lineHash = lineHash || string(name) == lineHashKey
		b = appendName(b, name, &first)
		b = appendValue(b, value)
	}
	if have == nil && f.sarif == nil {
		for _, name := range sortedKeys(f.Fingerprints) {
			if !seen(name) && name != lineHashKey {
				quoted := rawjson.AppendString(nil, name)
				b = appendTextFirst(b, string(quoted[1:len(quoted)-1]), f.Fingerprints[name], &first)
			}
		}
	}
	if !lineHash {
		b = appendTextFirst(b, lineHashKey, f.Fingerprints[lineHashKey], &first)
	}
	b = appendTextFirst(b, identityKey, string(f.Identity), &first)
	if f.plain != f.Identity {
		b = appendTextFirst(b, plainIdentityKey, string(f.plain), &first)
	}
	return append(b, '}')
}

// appendSuppressions writes the suppressions a result has. The list is always there, since a run must say
// suppressions for all of its results or for none (section 3.27.23).
func appendSuppressions(b, have []byte, s *Suppression) []byte {
	b = append(b, '[')
	first := true
	already, undone := false, false
	for e := range rawjson.Elements(have) {
		was, accepted := readSuppression(e)
		already = already || accepted && s != nil && was == *s
		undone = undone || !accepted
	}
	already = already && !undone
	for e := range rawjson.Elements(have) {
		if _, accepted := readSuppression(e); !already && (accepted || s != nil) {
			continue // no longer in force, or it would undo s
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendWithoutNulls(b, e)
	}
	if s == nil || already {
		return append(b, ']')
	}
	if !first {
		b = append(b, ',')
	}
	kind := s.Kind
	if kind != "inSource" {
		kind = "external"
	}
	b = append(b, `{"kind":"`+kind+`","status":"accepted"`...)
	b = appendText(b, "justification", s.Reason)
	b = append(b, `,"properties":{"from":`...)
	b = rawjson.AppendString(b, s.From)
	b = appendText(b, "by", s.By)
	b = appendTime(b, "expiryUtc", s.Expires)
	return append(b, `}}]`...)
}

// appendWithoutNulls writes an object without members that are null: some writers emit them where the schema
// wants nothing or a value.
func appendWithoutNulls(b, v []byte) []byte {
	if len(v) == 0 || v[0] != '{' {
		return appendValue(b, v)
	}
	b = append(b, '{')
	first := true
	for name, value := range rawjson.Members(v) {
		if !rawjson.Null(value) {
			b = appendName(b, name, &first)
			b = appendValue(b, value)
		}
	}
	return append(b, '}')
}

// appendProperties writes the property bag a result has, and below the member "waybill" what SARIF has no
// member for.
func appendProperties(b, have []byte, f *Finding) []byte {
	b = append(b, '{')
	first := true
	for name, value := range rawjson.Members(have) {
		if string(name) == propFinding {
			continue
		}
		b = appendName(b, name, &first)
		b = appendValue(b, value)
	}
	own := appendOwn(nil, f)
	if len(own) > 0 {
		b = appendName(b, []byte(propFinding), &first)
		b = append(append(b, '{'), own[1:]...) // without the leading comma
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendOwn(b []byte, f *Finding) []byte {
	// A result of SARIF says this itself, unless we have said more of it.
	if f.sarif == nil || f.sarif.own || f.SeverityFrom == "dedupe" || f.Category == CategorySecret || len(f.Aliases) > 0 || f.SaidBy != nil {
		switch { // see appendLocation
		case f.sarif != nil:
			b = appendText(b, "place", f.sarif.place)
		case f.Location.Path == "":
			b = appendText(b, "place", "target")
		case f.Location.StartLine == 0:
			b = appendText(b, "place", "file")
		}
		b = appendText(b, "category", string(f.Category))
		b = appendText(b, "severity", f.Severity.String())
		b = appendText(b, "severityFrom", f.SeverityFrom)
		if f.Score > 0 {
			b = append(b, `,"score":`...)
			b = strconv.AppendFloat(b, f.Score, 'g', -1, 64)
		}
		b = appendText(b, "vector", f.Vector)
		b = appendText(b, "title", f.Title)
		b = appendText(b, "commit", f.Location.Commit)
		b = appendTexts(b, "aliases", f.Aliases)
		b = appendTexts(b, "cwe", f.CWE)
	}
	b = appendText(b, "secret", f.secretMAC)
	if p := f.Package; p != nil {
		b = appendText(b, "purl", p.PURL)
		b = appendText(b, "package", p.Name)
		b = appendText(b, "installed", p.Installed)
		b = appendText(b, "fixed", p.Fixed)
	}
	if len(f.SaidBy) > 0 {
		b = append(b, `,"saidBy":[`...)
		for i, s := range f.SaidBy {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"tool":`...)
			b = rawjson.AppendString(b, s.Tool)
			b = append(appendText(b, "rule", s.Rule), '}')
		}
		b = append(b, ']')
	}
	return b
}

func appendTexts(b []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, `,"`+name+`":[`...)
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = rawjson.AppendString(b, s)
	}
	return append(b, ']')
}
