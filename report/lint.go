package report

import (
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// Problem is something about a SARIF log that somebody who reads it will mind.
type Problem struct {
	// Code names the kind of problem: "schema/required", "github/too-many-results", "scans/level-missing".
	// Its first part says who minds: the schema of SARIF 2.1.0, GitHub code scanning, or the "Scans" tab of
	// Azure Pipelines (the SARIF SAST Scans Tab extension).
	Code string `json:"code"`
	// Level is error when the log is refused or not shown, warning when something is shown wrong or missing,
	// note for advice.
	Level Level `json:"level"`
	// Where is the first place: "runs[0].results[7].level". Count says how many places there are.
	Where   string `json:"where"`
	Count   int    `json:"count"`
	Message string `json:"message"`
}

// String returns the problem in one line.
func (p Problem) String() string {
	s := fmt.Sprintf("%s: %s: %s: %s", p.Level, p.Code, p.Where, p.Message)
	if p.Count > 1 {
		s += fmt.Sprintf(" (%d times)", p.Count)
	}
	return s
}

// LintSARIF says what is wrong with a SARIF file: against the schema, why GitHub would refuse it, and why the
// Scans tab would be empty or wrong. The same problem at many places is one entry. A file that is no JSON, or
// no SARIF 2.1.0, is an error as of [OpenSARIF]; what can be read is linted, whatever its size. o may be nil.
func LintSARIF(ctx context.Context, path string, o *Options) ([]Problem, error) {
	f, err := OpenSARIF(ctx, path, o)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l := &linter{byKey: map[string]int{}, doc: f.doc}
	if err := l.log(ctx); err != nil {
		return nil, err
	}
	if err := l.file(ctx, path); err != nil {
		return nil, err
	}
	slices.SortStableFunc(l.problems, func(a, b Problem) int {
		return cmp.Or(int(b.Level)-int(a.Level), strings.Compare(a.Code, b.Code))
	})
	return l.problems, nil
}

type linter struct {
	doc      *document
	problems []Problem
	byKey    map[string]int
	results  int // in all runs
	hidden   int // of them, by the default filter of the Scans tab
}

// place is where the linter is. Its text is made only when there is something to say.
type place struct {
	parent *place
	name   string
	index  int // of an element, -1 for a member
}

func (p *place) member(name string) *place { return &place{p, name, -1} }

func (p *place) text(indexes bool) string {
	switch {
	case p == nil:
		return ""
	case p.index >= 0 && indexes:
		return p.parent.text(indexes) + "[" + strconv.Itoa(p.index) + "]"
	case p.index >= 0:
		return p.parent.text(indexes) + "[]"
	case p.parent == nil:
		return p.name
	}
	return p.parent.text(indexes) + "." + p.name
}

func (l *linter) add(code string, level Level, where *place, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	key := code + " " + where.text(false) + " " + message
	if i, ok := l.byKey[key]; ok {
		l.problems[i].Count++
		return
	}
	if len(l.byKey) > 1000 { // a log can be wrong in more ways than anybody reads
		return
	}
	l.byKey[key] = len(l.problems)
	l.problems = append(l.problems, Problem{code, level, where.text(true), 1, message})
}

func (l *linter) log(ctx context.Context) error {
	types := sarifTypes()
	top := &place{name: "log", index: -1}
	for _, m := range l.doc.members {
		v, err := l.doc.raw(m)
		if err != nil {
			return err
		}
		if m.name == "$schema" || m.name == "version" || m.name == "properties" || types["log"].members[m.name] == nil {
			l.value(v, types["log"].members[m.name], &place{nil, m.name, -1}, nil)
		}
	}
	if !l.doc.hasRuns {
		l.add("schema/required", LevelError, top, "runs is missing")
		l.add("scans/no-runs", LevelError, top, "without runs the tab never leaves its loading state")
	}
	if n := len(l.doc.runs); n > 20 {
		l.add("github/too-many-runs", LevelError, top, "%d runs, GitHub takes 20", n)
	}
	seen := map[string]bool{}
	for i, run := range l.doc.runs {
		at := &place{&place{nil, "runs", -1}, "", i}
		key := strings.ToLower(run.head.Tool) + "\x00" + run.head.Category
		if seen[key] {
			l.add("github/same-category", LevelError, at, "another run has the same tool and category; GitHub refuses both (give each its automationDetails.id, or merge them)")
		}
		seen[key] = true
		if err := l.run(ctx, run, at); err != nil {
			return err
		}
	}
	if l.results > 0 && l.hidden == l.results {
		l.add("scans/all-hidden", LevelWarning, top, "the tab looks empty: its first filter hides all %d results (level note or none, unchanged, or suppressed)", l.results)
	}
	if l.results == 0 {
		l.add("scans/no-results", LevelNote, top, "the tab says that nothing was found")
	}
	return nil
}

func (l *linter) run(ctx context.Context, run *sarifRun, at *place) error {
	t := sarifTypes()["run"]
	if run.tool.name == "" {
		l.add("schema/required", LevelError, at, "tool is missing")
		l.add("scans/no-tool", LevelError, at, "the tab cannot show a run without tool.driver.name")
	} else {
		v, err := l.doc.raw(run.tool)
		if err != nil {
			return err
		}
		l.value(v, t.members["tool"], at.member("tool"), run)
		l.tool(v, at.member("tool"))
	}
	for _, m := range run.members {
		if m.list {
			i := 0
			dec := l.doc.decoder(ctx, m.from, m.to)
			if _, err := array(dec, func() error {
				v, err := dec.ReadValue()
				if err != nil {
					return err
				}
				l.value(v, element(t.members[m.name]), &place{at.member(m.name), "", i}, run)
				i++
				return nil
			}); err != nil {
				return l.doc.fail("lint", m.from, err)
			}
			continue
		}
		v, err := l.doc.raw(m)
		if err != nil {
			return err
		}
		l.value(v, t.members[m.name], at.member(m.name), run)
	}
	if len(run.results) == 0 {
		l.add("github/no-results", LevelError, at, "results is missing; GitHub wants a list, empty if nothing was found")
	}
	switch n := run.count; {
	case n > 25_000:
		l.add("github/too-many-results", LevelError, at, "%d results, GitHub takes 25000 of a run and keeps the worst 5000", n)
	case n > 5_000:
		l.add("github/too-many-results", LevelWarning, at, "%d results, GitHub keeps the worst 5000", n)
	}
	i := 0
	for _, part := range run.results {
		dec := l.doc.decoder(ctx, part.from, part.to)
		if _, err := array(dec, func() error {
			v, err := dec.ReadValue()
			if err != nil {
				return err
			}
			where := &place{at.member("results"), "", i}
			i++
			l.value(v, element(t.members["results"]), where, run)
			l.result(v, where, run)
			return nil
		}); err != nil {
			return l.doc.fail("lint", part.from, err)
		}
	}
	return nil
}

// element is the type of the elements of a list.
func element(m *memberType) *memberType {
	if m == nil {
		return nil
	}
	e := *m
	e.form = 0
	return &e
}

// value checks a value against the schema. m is nil for a member that the schema does not know.
func (l *linter) value(v []byte, m *memberType, at *place, run *sarifRun) {
	if m == nil {
		l.add("schema/unknown-member", LevelError, at, "the schema knows no such member; other data goes into properties")
		return
	}
	switch {
	case m.form == '[':
		if v[0] != '[' {
			l.wrongType(v, "a list", at)
			return
		}
		i := 0
		for e := range rawjson.Elements(v) {
			l.value(e, element(m), &place{at, "", i}, run)
			i++
		}
	case m.form == '{':
		if v[0] != '{' {
			l.wrongType(v, "an object", at)
			return
		}
		for name, e := range rawjson.Members(v) {
			l.value(e, element(m), at.member(rawjson.Name(name)), run)
		}
	case m.object != nil:
		l.object(v, m.object, at, run)
	default:
		l.scalar(v, m, at, run)
	}
}

func (l *linter) wrongType(v []byte, want string, at *place) {
	is := map[byte]string{'n': "null", 't': "true", 'f': "false", '"': "a string", '{': "an object", '[': "a list"}[v[0]]
	l.add("schema/type", LevelError, at, "is %s, must be %s", cmp.Or(is, "a number"), want)
}

func (l *linter) object(v []byte, t *objectType, at *place, run *sarifRun) {
	if v[0] != '{' {
		l.wrongType(v, "an object", at)
		return
	}
	seen := map[string]bool{}
	for name, e := range rawjson.Members(v) {
		n := rawjson.Name(name)
		if seen[n] {
			l.add("schema/repeated", LevelError, at.member(n), "the member is there more than once")
		}
		seen[n] = true
		l.value(e, t.members[n], at.member(n), run)
	}
	for _, n := range t.required {
		if !seen[n] {
			l.add("schema/required", LevelError, at, "%s is missing", n)
		}
	}
}

func (l *linter) scalar(v []byte, m *memberType, at *place, run *sarifRun) {
	text, isString := rawjson.String(v)
	switch m.kind {
	case 's', 'u', 't', '=':
		if !isString {
			l.wrongType(v, "a string", at)
			return
		}
	}
	switch m.kind {
	case 'u':
		if !validURI(text) {
			l.add("schema/uri", LevelError, at, "is no valid URI: spaces and the like must be percent-encoded")
		}
	case 't':
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			l.add("schema/date-time", LevelError, at, "is no date and time as of RFC 3339")
		}
	case '=':
		if !slices.Contains(m.enum, text) {
			l.add("schema/enum", LevelError, at, "is none of %s", strings.Join(m.enum, ", "))
		}
	case 'b':
		if _, ok := rawjson.Bool(v); !ok {
			l.wrongType(v, "true or false", at)
		}
	case 'n':
		if _, ok := rawjson.Number(v); !ok {
			l.wrongType(v, "a number", at)
		}
	case 'p':
		if v[0] != '{' {
			l.wrongType(v, "an object", at)
		}
	case 'i', '>':
		n, ok := rawjson.Int(v)
		if !ok {
			l.wrongType(v, "an integer", at)
			return
		}
		if least := leastValue(at.name, m); n < least {
			l.add("schema/range", LevelError, at, "is %d, must be at least %d", n, least)
		}
		if size, known := listSize(run, m.list); known && n >= size {
			l.add("sarif/index", LevelError, at, "counts past the end of %s", m.list)
		}
	}
}

// leastValue is the least value the schema allows.
func leastValue(name string, m *memberType) int {
	switch name {
	case "startLine", "startColumn", "endLine", "endColumn", "occurrenceCount":
		return 1
	case "charLength", "byteLength", "nestingLevel":
		return 0
	}
	if m.kind == '>' || name == "charOffset" || name == "byteOffset" {
		return -1
	}
	return -1 << 62
}

// listSize returns how many elements a list of the run has. Rules may be those of an extension; they are not
// known here.
func listSize(run *sarifRun, list string) (int, bool) {
	switch {
	case run == nil:
		return 0, false
	case list == "artifacts":
		return len(run.artifacts), true
	case list == "rules" && len(run.components) == 1:
		return len(run.components[0].rules), true
	case isBulk(list) || list == "invocations":
		return run.lengths[list], true
	}
	return 0, false
}

// tool checks what the schema does not say of the tool.
func (l *linter) tool(v []byte, at *place) {
	if rawjson.Text(rawjson.Member(rawjson.Member(v, "driver"), "name")) == "" {
		l.add("scans/no-tool", LevelError, at, "the tab cannot show a run without tool.driver.name")
	}
	extensions := rawjson.Member(v, "extensions")
	n := 0
	for e := range rawjson.Elements(extensions) {
		n++
		if rawjson.Member(e, "rules") != nil {
			l.add("scans/extension-rules", LevelNote, at.member("extensions"), "the tab does not read the rules of extensions")
		}
	}
	if n > 100 {
		l.add("github/too-many-extensions", LevelError, at, "%d extensions, GitHub takes 100", n)
	}
	rules := 0
	for e := range rawjson.Elements(rawjson.Member(rawjson.Member(v, "driver"), "rules")) {
		where := &place{at.member("driver").member("rules"), "", rules}
		rules++
		properties := rawjson.Member(e, "properties")
		switch tags := len(rawjson.Strings(rawjson.Member(properties, "tags"))); {
		case tags > 20:
			l.add("github/too-many-tags", LevelError, where, "more than 20 tags, GitHub takes 20 and shows 10")
		case tags > 10:
			l.add("github/too-many-tags", LevelNote, where, "more than 10 tags, GitHub shows 10")
		}
		if s := rawjson.Member(properties, "security-severity"); s != nil {
			if _, ok := ParseScore(rawjson.Text(s)); !ok {
				l.add("github/security-severity", LevelError, where, "security-severity must be a number from 0.0 to 10.0 in a string")
			}
		}
		if rawjson.Member(e, "shortDescription") == nil && rawjson.Member(e, "fullDescription") == nil {
			l.add("github/no-description", LevelNote, where, "without shortDescription GitHub shows the id as the title")
		}
	}
	if rules > 25_000 {
		l.add("github/too-many-rules", LevelError, at, "%d rules, GitHub takes 25000", rules)
	}
}

// result checks what the schema does not say of a result.
func (l *linter) result(v []byte, at *place, run *sarifRun) {
	if v[0] != '{' {
		return
	}
	l.results++
	var level, kind, rule, message, locations, codeFlows, fingerprints []byte
	hidden := false
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "level":
			level = value
		case "kind":
			kind = value
		case "ruleId":
			rule = value
		case "message":
			message = value
		case "locations":
			locations = value
		case "codeFlows":
			codeFlows = value
		case "partialFingerprints":
			fingerprints = value
		case "baselineState":
			hidden = hidden || rawjson.Text(value) == "unchanged"
		case "suppressions":
			for e := range rawjson.Elements(value) {
				_, accepted := readSuppression(e)
				hidden = hidden || accepted
			}
		}
	}
	if level == nil && (kind == nil || rawjson.Text(kind) == "fail") {
		l.add("scans/level-missing", LevelWarning, at, "the tab shows it as a warning, whatever the level of its rule is")
	}
	hidden = hidden || rawjson.Text(level) == "note" || rawjson.Text(level) == "none"
	if hidden {
		l.hidden++
	}
	if rawjson.Text(rule) == "" {
		l.add("scans/no-rule", LevelWarning, at, "without ruleId the tab puts it under \"(No Rule)\"")
	}
	if rawjson.Text(rawjson.Member(message, "text")) == "" && rawjson.Text(rawjson.Member(message, "id")) == "" {
		l.add("github/no-message", LevelError, at, "the message has no text")
	}
	l.locations(locations, at, run)
	flows := 0
	for c := range rawjson.Elements(codeFlows) {
		for t := range rawjson.Elements(rawjson.Member(c, "threadFlows")) {
			for range rawjson.Elements(rawjson.Member(t, "locations")) {
				flows++
			}
		}
	}
	if flows > 10_000 {
		l.add("github/too-many-steps", LevelError, at, "more than 10000 locations of thread flows, GitHub takes 10000 and shows 1000")
	}
	if rawjson.Member(fingerprints, lineHashKey) == nil {
		l.add("github/no-fingerprint", LevelNote, at, "without partialFingerprints.%s an upload through the API makes a new alert whenever lines move", lineHashKey)
	}
}

func (l *linter) locations(v []byte, at *place, run *sarifRun) {
	n := 0
	for loc := range rawjson.Elements(v) {
		if n++; n > 1 {
			continue
		}
		physical := rawjson.Member(loc, "physicalLocation")
		artifact := rawjson.Member(physical, "artifactLocation")
		uri := rawjson.Text(rawjson.Member(artifact, "uri"))
		where := at.member("locations")
		switch {
		case uri == "" && rawjson.Member(artifact, "index") == nil:
			l.add("github/no-location", LevelError, where, "the first location names no file")
		case strings.HasPrefix(uri, "/"), strings.HasPrefix(strings.ToLower(uri), "file:"):
			l.add("github/absolute-path", LevelWarning, where, "the path is absolute: GitHub and the tab link only paths relative to the root of the repository")
		case strings.HasPrefix(uri, "./"), strings.HasPrefix(uri, "../"):
			l.add("github/path", LevelWarning, where, "the path begins with a dot: write it relative to the root of the repository")
		case strings.Contains(uri, `\`):
			l.add("github/path", LevelWarning, where, "the path has back-slashes")
		}
		if base := rawjson.Text(rawjson.Member(artifact, "uriBaseId")); base != "" {
			if b, ok := run.bases[base]; ok && b.uri != "" && !strings.Contains(b.uri, ":") {
				l.add("scans/base-ignored", LevelWarning, where, "the tab does not look at uriBaseId, and the base is below the root")
			}
		}
		if rawjson.Member(rawjson.Member(physical, "region"), "startLine") == nil {
			l.add("github/no-line", LevelNote, where, "without region.startLine GitHub shows it at the first line")
		}
	}
	switch {
	case n == 0:
		l.add("github/no-location", LevelError, at, "GitHub refuses a result without a location")
	case n > 1000:
		l.add("github/too-many-locations", LevelError, at, "more than 1000 locations, GitHub takes 1000 and shows 100")
	}
}

// file checks the file as such.
func (l *linter) file(ctx context.Context, path string) error {
	at := &place{nil, filepath.Base(path), -1}
	if !strings.HasSuffix(path, ".sarif") && !strings.HasSuffix(path, ".sarif.json") {
		l.add("scans/file-name", LevelError, at, "the tab reads only files that end in .sarif or .sarif.json")
	}
	const limit = 10 << 20
	if l.doc.size <= limit {
		return nil
	}
	l.add("scans/large", LevelWarning, at, "%d MB are loaded into the browser whole; write several files", l.doc.size>>20)
	f, err := os.Open(path)
	if err != nil {
		return &Error{Op: "lint", Subject: path, Err: pathCause(err)}
	}
	defer f.Close()
	var n countWriter
	z, err := gzip.NewWriterLevel(&n, gzip.BestSpeed)
	if err != nil {
		return &Error{Op: "lint", Subject: path, Err: err}
	}
	if _, err := io.Copy(z, contextReader{func() error { return context.Cause(ctx) }, f}); err != nil {
		return &Error{Op: "lint", Subject: path, Err: err}
	}
	if err := z.Close(); err != nil {
		return &Error{Op: "lint", Subject: path, Err: err}
	}
	if n > limit {
		l.add("github/too-large", LevelError, at, "%d MB compressed, GitHub takes 10", n>>20)
	}
	return nil
}
