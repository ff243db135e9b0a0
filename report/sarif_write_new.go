package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// header writes the run of a tool that did not write SARIF.
func (o *sarifWriter) header(r *runOut) {
	b := append(o.buf[:0], `"tool":{"driver":{"name":`...)
	b = rawjson.AppendString(b, toolName(r.head.Tool))
	b = appendText(b, "fullName", strings.TrimSpace(toolName(r.head.Tool)+" "+r.head.Version))
	b = appendText(b, "version", r.head.Version)
	if validURI(r.head.InformationURI) {
		b = appendText(b, "informationUri", r.head.InformationURI)
	}
	b = append(b, `,"rules":[`...)
	first := true
	for i := range r.head.Rules {
		b = r.appendRule(b, &r.head.Rules[i], &first)
	}
	b = append(b, `]}}`...)
	b = appendDetails(b, r.head.Category, nil)
	if r.head.Status == StatusCompleted || r.head.Status == StatusFailed {
		b = append(b, `,"invocations":[{"executionSuccessful":`...)
		b = strconv.AppendBool(b, r.head.Status == StatusCompleted)
		if r.head.Status == StatusFailed {
			b = appendText(b, "exitCodeDescription", r.head.Reason)
		}
		b = appendTime(b, "startTimeUtc", r.head.Started)
		b = appendTime(b, "endTimeUtc", r.head.Finished)
		b = append(b, `}]`...)
	}
	b = append(b, `,"columnKind":"utf16CodeUnits"`...)
	seen := StatusCompleted
	if r.head.Status == StatusFailed {
		seen = StatusFailed
	}
	b = appendRunProperties(b, r.head, nil, seen)
	o.buf = b
	o.bytes(b)
}

// appendDetails writes the automationDetails a run had, with the category it has now.
func appendDetails(b []byte, category string, have []byte) []byte {
	start := len(b)
	b = append(b, `,"automationDetails":{`...)
	first := true
	if category != "" {
		b = appendTextFirst(b, "id", category+"/", &first)
	}
	for name, value := range rawjson.Members(have) {
		if rawjson.Name(name) != "id" {
			b = appendName(b, name, &first)
			b = appendValue(b, value)
		}
	}
	if first {
		return b[:start]
	}
	return append(b, '}')
}

func toolName(s string) string {
	if s == "" {
		return "unknown" // the schema wants a name, and viewers title the run by it
	}
	return s
}

// appendRule writes a rule that is not there yet.
func (r *runOut) appendRule(b []byte, rule *Rule, first *bool) []byte {
	if _, ok := r.ruleAt[rule.ID]; ok || r.head.rules != nil && !r.head.rules[rule.ID] {
		return b
	}
	r.ruleAt[rule.ID] = len(r.ruleAt)
	if !*first {
		b = append(b, ',')
	}
	*first = false
	b = append(b, `{"id":`...)
	b = rawjson.AppendString(b, rule.ID)
	// GitHub and Azure DevOps refuse rules without any of these; the nearest text stands in for a missing one.
	title := cmp.Or(rule.Title, rule.Name, rule.ID)
	description := cmp.Or(rule.Description, title)
	help := cmp.Or(rule.Help, description)
	b = appendText(b, "name", cmp.Or(rule.Name, friendlyName(rule)))
	b = appendMulti(b, "shortDescription", title, "")
	b = appendMulti(b, "fullDescription", description, "")
	b = appendMulti(b, "help", help, rule.Help)
	if rule.Level != LevelUnset {
		b = append(b, `,"defaultConfiguration":{"level":"`+rule.Level.String()+`"}`...)
	}
	if rule.HelpURI != "" && validURI(rule.HelpURI) && strings.Contains(rule.HelpURI, ":") {
		b = appendText(b, "helpUri", rule.HelpURI)
	}
	b = append(b, `,"properties":{"tags":[`...)
	tags := slices.Clone(rule.Tags)
	if !slices.Contains(tags, "security") && (rule.Score > 0 || len(rule.CWE) > 0 || rule.Severity != SeverityUnknown) {
		tags = append(tags, "security")
	}
	for _, cwe := range rule.CWE {
		if tag := "external/cwe/" + strings.ToLower(cwe); !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	for i, t := range slices.Compact(tags) {
		if l := r.head.limits; l != nil && i >= l.Tags {
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = rawjson.AppendString(b, t)
	}
	b = append(b, ']')
	if score := ruleScore(rule); score != "" {
		b = appendText(b, "security-severity", score)
	}
	return append(b, `}}`...)
}

func appendMulti(b []byte, name, text, markdown string) []byte {
	b = append(b, `,"`+name+`":{"text":`...)
	b = rawjson.AppendString(b, text)
	return append(appendText(b, "markdown", markdown), '}')
}

// friendlyName makes a name like HardCodedPassword, which must not be the id again, of the title or the id.
func friendlyName(rule *Rule) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(cmp.Or(rule.Title, rule.ID), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if b.Len() > 60 {
			break
		}
		first, size := utf8.DecodeRuneInString(word)
		b.WriteRune(unicode.ToUpper(first))
		b.WriteString(word[size:])
	}
	if name := b.String(); name != "" && name != rule.ID {
		return name
	}
	return b.String() + "Rule"
}

// ruleScore is the score by which GitHub sorts; for a severity known by word only, one within its band.
func ruleScore(r *Rule) string {
	score := r.Score
	if score == 0 || SeverityOfScore(score) != r.Severity {
		switch r.Severity {
		case SeverityCritical:
			score = 9.5
		case SeverityHigh:
			score = 8
		case SeverityMedium:
			score = 5.5
		case SeverityLow:
			score = 2
		default:
			return ""
		}
	}
	return strconv.FormatFloat(math.Round(score*10)/10, 'f', 1, 64)
}

// newResult writes a finding that was not read from SARIF.
func (r *runOut) newResult(b []byte, f *Finding) []byte {
	b = append(b, `{"ruleId":`...)
	b = rawjson.AppendString(b, f.Rule)
	if at, ok := r.ruleAt[f.Rule]; ok {
		b = append(b, `,"ruleIndex":`...)
		b = strconv.AppendInt(b, int64(at), 10)
	}
	if f.Kind != "" && f.Kind != KindFail {
		b = appendText(b, "kind", string(f.Kind))
	}
	b = appendText(b, "level", f.Level.String())
	b = append(b, `,"message":{"text":`...)
	message := f.Message
	if message == "" {
		message = f.Rule
	}
	b = append(rawjson.AppendString(b, message), '}')
	b = appendLocation(b, &f.Location, r.head)
	b = append(b, `,"partialFingerprints":`...)
	b = appendFingerprints(b, nil, f)
	b = appendText(b, "baselineState", string(f.State))
	b = append(b, `,"suppressions":`...)
	b = appendSuppressions(b, nil, f.Suppressed)
	if p := appendProperties(nil, nil, f); len(p) > len("{}") {
		b = append(b, `,"properties":`...)
		b = append(b, p...)
	}
	return append(b, '}')
}

// appendLocation writes the location. A finding about the whole target stands at the target: GitHub and Azure
// DevOps refuse a result that is nowhere.
func appendLocation(b []byte, l *Location, run *Run) []byte {
	uri := cmp.Or(l.Path, run.Target, toolName(run.Tool))
	switch {
	case strings.HasPrefix(l.Path, "/"): // outside the root, or no root is known
		uri = "file://" + escapeURI(uri)
	case len(l.Path) > 2 && l.Path[1:3] == ":/":
		uri = "file:///" + l.Path[:2] + escapeURI(l.Path[2:])
	case !strings.Contains(uri, "://") || !validURI(uri):
		uri = escapeURI(uri)
	}
	b = append(b, `,"locations":[{"physicalLocation":{"artifactLocation":{"uri":`...)
	b = append(rawjson.AppendString(b, uri), '}')
	b = appendRegion(b, l)
	b = append(b, '}')
	if l.Logical != "" {
		b = append(b, `,"logicalLocations":[{"fullyQualifiedName":`...)
		b = append(rawjson.AppendString(b, l.Logical), `}]`...)
	}
	return append(b, `}]`...)
}

// appendRegion writes the region: the first line where none is known, since viewers show it there anyway and
// the rules of Azure DevOps want one.
func appendRegion(b []byte, l *Location) []byte {
	b = append(b, `,"region":{"startLine":`...)
	b = strconv.AppendInt(b, int64(max(1, l.StartLine)), 10)
	number := func(name string, n int) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		b = strconv.AppendInt(b, int64(n), 10)
	}
	end := max(l.EndLine, l.StartLine)
	if l.StartColumn > 0 {
		number("startColumn", l.StartColumn)
	}
	if l.EndLine > 0 {
		number("endLine", end)
	}
	// An end before the start is worse than none.
	if l.EndColumn > 0 && l.StartColumn > 0 && (end > l.StartLine || l.EndColumn >= l.StartColumn) {
		number("endColumn", l.EndColumn)
	}
	if l.Snippet != "" {
		b = append(b, `,"snippet":{"text":`...)
		b = append(rawjson.AppendString(b, l.Snippet), '}')
	}
	return append(b, '}')
}
