package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
	"github.com/waybill-dev/waybill/report/internal/secretrule"
)

// Caps on what an index keeps in memory for each, far above what tools write: a few bytes in a file must not
// take hundreds in memory without an end.
const (
	maxRuns      = 10_000
	maxRules     = 200_000 // of all components of a run
	maxArtifacts = 1_000_000
)

func tooMany(what string, most int) error {
	return &Error{Op: "read", Kind: ErrTooLarge, Err: fmt.Errorf("more than %d %s", most, what)}
}

// document is a SARIF log that stays where it is, on disk or in memory: a first pass over it remembers where
// its parts are and what results refer to (rules, artifacts, base URIs); results are read again when needed.
type document struct {
	name     string
	ra       io.ReaderAt
	size     int64
	maxValue int64
	opts     *Options
	hasRuns  bool
	// stat asks the file for its size and time, which was modified when the index was made; nil in memory.
	stat     func() (int64, time.Time, error)
	modified time.Time
	members  []span // of the log, without runs
	runs     []*sarifRun
	unplaced []Unplaced
}

// span is a member and where its value stands in the document.
type span struct {
	name     string
	from, to int64
	list     bool // it is a list that may be long, to be read element by element
}

// sarifRun is a run of a document.
type sarifRun struct {
	doc     *document
	members []span // of the run, without tool and results
	tool    span
	results []span // more than one where the member is repeated
	count   int    // of results
	odd     oddities
	spaced  bool // there is white space between the tokens of some result

	head       Run
	seen       Status // how the run ended, by all but the note
	said       Status // what our own writer noted, when it noted anything
	saidWhy    string
	noted      bool
	components []component // the driver, then the extensions
	artifacts  []string    // base id, NUL and URI of each
	bases      map[string]baseURI
	taxonomies []string       // their names
	lengths    map[string]int // of the other lists that something counts into
	image      bool           // paths are those of an image
}

// component is the tool's driver or an extension, with what results take from its rules.
type component struct {
	name  string
	guid  string
	rules []ruleInfo
	byID  map[string]int
}

type ruleInfo struct {
	Rule
	messages map[string]string
	secret   bool
	word     Severity // severity given in words
}

type baseURI struct{ uri, base string }

// limitReader counts what a decoder has read and not yet used, so that no single value fills the memory, and
// stops at the end of the context.
type limitReader struct {
	ended func() error // the cause when the context ended
	r     io.Reader
	dec   *jsontext.Decoder
	base  int64
	n     int64
	max   int64
}

func (l *limitReader) Read(p []byte) (int, error) {
	// Errors of ours are told from those of the syntax however deep the decoder wraps them.
	if err := l.ended(); err != nil {
		return 0, &Error{Op: "read", Err: err}
	}
	if l.n-l.dec.InputOffset() > l.max {
		return 0, &Error{Op: "read", Kind: ErrTooLarge, Err: fmt.Errorf("the value at byte %d is longer than %d bytes (Options.MaxValueBytes)", l.base+l.dec.InputOffset(), l.max)}
	}
	n, err := l.r.Read(p)
	l.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &Error{Op: "read", Err: pathCause(err)}
	}
	return n, err
}

// decoder reads the part of the document from a byte on.
func (d *document) decoder(ctx context.Context, from, to int64) *jsontext.Decoder {
	l := &limitReader{ended: func() error { return context.Cause(ctx) }, r: io.NewSectionReader(d.ra, from, to-from), base: from, max: d.maxValue}
	l.dec = jsontext.NewDecoder(l, jsontext.AllowDuplicateNames(true))
	return l.dec
}

// fail turns an error of a decoder that began at base into ours.
func (d *document) fail(op string, base int64, err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return &Error{Op: op, Subject: d.name, Kind: own.Kind, Err: own.Err}
	}
	syn, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		return &Error{Op: op, Subject: d.name, Err: err}
	}
	where := fmt.Sprintf("at byte %d", base+syn.ByteOffset)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Op: op, Subject: d.name, Kind: ErrTruncated, Err: fmt.Errorf("%s: unexpected end of input", where)}
	case isDepthError(syn):
		return &Error{Op: op, Subject: d.name, Kind: ErrTooLarge, Err: fmt.Errorf("%s: nested deeper than 10000", where)}
	}
	return &Error{Op: op, Subject: d.name, Kind: ErrSyntax, Err: fmt.Errorf("%s: %w", where, plain(syn))}
}

// isDepthError knows the one error that jsontext tells only by its text; a test pins it.
func isDepthError(err *jsontext.SyntacticError) bool {
	return err.Err != nil && strings.Contains(err.Err.Error(), "max depth")
}

// plain is a syntax error without the pointer into the document: member names of a broken file are not ours
// to repeat.
func plain(err *jsontext.SyntacticError) error {
	if err.Err != nil {
		return err.Err
	}
	return errors.New("invalid JSON")
}

// index makes the first pass.
func (d *document) index(ctx context.Context) error {
	from, err := d.begin()
	if err != nil {
		return err
	}
	dec := d.decoder(ctx, from, d.size)
	fail := func(err error) error { return d.fail("read", from, err) }
	if dec.PeekKind() != '{' {
		if _, err := dec.ReadToken(); err != nil {
			if errors.Is(err, io.EOF) {
				return &Error{Op: "read", Subject: d.name, Kind: ErrEmpty}
			}
			return fail(err)
		}
		return &Error{Op: "read", Subject: d.name, Kind: ErrUnknownFormat, Err: errors.New("not a SARIF log: not a JSON object")}
	}
	var version string
	var runs bool
	err = object(dec, from, func(name string, at int64) error {
		switch name {
		case "version":
			v, err := dec.ReadValue()
			if err != nil {
				return err
			}
			version = rawjson.Text(v)
			if version != "2.1.0" {
				return d.versionError(version)
			}
		case "runs":
			if runs {
				d.count("", "member runs repeated", 1)
			}
			runs, d.hasRuns = true, true
			if dec.PeekKind() != '[' {
				return dec.SkipValue()
			}
			_, err := array(dec, func() error { return d.indexRun(ctx, dec, from) })
			return err
		default:
			// Read, not skipped: it is written in one piece, so it must fit.
			if _, err := dec.ReadValue(); err != nil {
				return err
			}
		}
		d.members = append(d.members, span{name, at, from + dec.InputOffset(), false})
		return nil
	})
	if err != nil {
		return fail(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = &Error{Kind: ErrSyntax, Err: fmt.Errorf("at byte %d: more after the end of the log", from+dec.InputOffset())}
		}
		return fail(err)
	}
	switch {
	case version == "" && !runs:
		return &Error{Op: "read", Subject: d.name, Kind: ErrUnknownFormat, Err: errors.New("not a SARIF log: it has neither version nor runs")}
	case version == "":
		return d.versionError("")
	}
	for i, m := range d.members {
		if m.name == "version" && i > 0 && slices.ContainsFunc(d.members[:i], func(o span) bool { return o.name == "version" }) {
			d.count("", "member version repeated", 1)
		}
		if m.name == "inlineExternalProperties" {
			d.count("", "inlineExternalProperties are kept, not read", 1)
		}
	}
	return nil
}

func (d *document) versionError(version string) error {
	said := "no version"
	if version != "" {
		said = fmt.Sprintf("version %.20q", version)
	}
	return &Error{Op: "read", Subject: d.name, Kind: ErrUnsupported, Err: fmt.Errorf("SARIF %s; only 2.1.0 is read", said)}
}

// begin looks at the first bytes.
func (d *document) begin() (int64, error) {
	if d.size == 0 {
		return 0, &Error{Op: "read", Subject: d.name, Kind: ErrEmpty}
	}
	var b [3]byte
	n, _ := d.ra.ReadAt(b[:], 0)
	switch head := string(b[:n]); {
	case head == "\xef\xbb\xbf":
		return 3, nil
	case strings.HasPrefix(head, "\xff\xfe"), strings.HasPrefix(head, "\xfe\xff"):
		return 0, &Error{Op: "read", Subject: d.name, Kind: ErrUnsupported, Err: errors.New("the text is UTF-16; SARIF is UTF-8")}
	}
	return 0, nil
}

func (d *document) count(tool, reason string, n int) {
	d.unplaced = addUnplaced(d.unplaced, tool, reason, n)
}

// object calls f for each member of the next object; f must consume the value, which begins after byte at,
// behind the colon.
func object(dec *jsontext.Decoder, base int64, f func(name string, at int64) error) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		tok, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := tok.String()
		if err := f(name, base+dec.InputOffset()); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// array calls f before each element of the next array; f must consume it. It returns where the array begins.
func array(dec *jsontext.Decoder, f func() error) (int64, error) {
	if _, err := dec.ReadToken(); err != nil {
		return 0, err
	}
	from := dec.InputOffset() - 1
	for dec.PeekKind() != ']' {
		if err := f(); err != nil {
			return from, err
		}
	}
	_, err := dec.ReadToken()
	return from, err
}

func (d *document) indexRun(ctx context.Context, dec *jsontext.Decoder, base int64) error {
	if len(d.runs) == maxRuns {
		return tooMany("runs", maxRuns)
	}
	if dec.PeekKind() != '{' {
		d.count("", "run that is no object", 1)
		return dec.SkipValue()
	}
	run := &sarifRun{doc: d, lengths: map[string]int{}}
	var resultsNull, repeated int
	seen := map[string]bool{}
	err := object(dec, base, func(name string, at int64) error {
		again := seen[name]
		if again {
			repeated++
		}
		seen[name] = true
		end := func() int64 { return base + dec.InputOffset() }
		switch {
		case name == "results" && dec.PeekKind() == '[':
			from, err := array(dec, func() error {
				run.count++
				v, err := dec.ReadValue()
				run.inspect(v)
				return err
			})
			run.results = append(run.results, span{name, base + from, end(), true})
			return err
		case name == "results":
			resultsNull++
			return dec.SkipValue()
		case name == "artifacts" && dec.PeekKind() == '[':
			from, err := array(dec, func() error {
				v, err := dec.ReadValue()
				if len(run.artifacts) == maxArtifacts {
					return tooMany("artifacts in a run", maxArtifacts)
				}
				if loc := rawjson.Member(v, "location"); !again {
					run.artifacts = append(run.artifacts, rawjson.Text(rawjson.Member(loc, "uriBaseId"))+"\x00"+rawjson.Text(rawjson.Member(loc, "uri")))
				}
				return err
			})
			run.members = append(run.members, span{name, base + from, end(), true})
			return err
		case dec.PeekKind() == '[' && isBulk(name):
			from, err := array(dec, func() error {
				if !again {
					run.lengths[name]++
				}
				_, err := dec.ReadValue()
				return err
			})
			run.members = append(run.members, span{name, base + from, end(), true})
			return err
		}
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		where := span{name, end() - int64(len(v)), end(), name == "invocations" && v[0] == '['}
		v = withoutUserinfo(v)
		switch name {
		case "tool":
			run.tool = where
			return run.indexTool(v)
		case "automationDetails":
			run.head.Category = strings.TrimSuffix(rawjson.Text(rawjson.Member(v, "id")), "/")
		case "invocations":
			for range rawjson.Elements(v) {
				run.lengths[name]++
			}
			run.indexInvocations(v)
		case "originalUriBaseIds":
			run.bases = map[string]baseURI{}
			for id, loc := range rawjson.Members(v) {
				run.bases[rawjson.Name(id)] = baseURI{rawjson.Text(rawjson.Member(loc, "uri")), rawjson.Text(rawjson.Member(loc, "uriBaseId"))}
			}
		case "taxonomies":
			for e := range rawjson.Elements(v) {
				run.taxonomies = append(run.taxonomies, rawjson.Text(rawjson.Member(e, "name")))
			}
		case "properties":
			run.indexProperties(v)
		case "externalPropertyFileReferences":
			d.count(run.head.Tool, "external property files are not read", 1)
		}
		run.members = append(run.members, where)
		return nil
	})
	if err != nil {
		return err
	}
	run.finish(resultsNull)
	if repeated > 0 {
		d.count(run.head.Tool, "member of a run repeated", repeated)
	}
	for i, n := range run.odd {
		if n > 0 {
			d.count(run.head.Tool, oddityNames[i], n)
		}
	}
	if len(run.components) == 0 {
		d.count("", "run without a tool", 1)
		run.components = []component{{}}
	}
	if run.count > 0 && resultsNull > 0 || resultsNull > 1 {
		d.count(run.head.Tool, "results that are no list", resultsNull)
	}
	d.runs = append(d.runs, run)
	return nil
}

// oddities are what is wrong with results, counted.
type oddities [6]int

var oddityNames = [len(oddities{})]string{
	"result that is no object", "result without a rule", "result without a message",
	"member of a result repeated", "member of a result with a value that means nothing", "line or column that is no place",
}

// inspect counts what is odd about a result. It is read as far as it makes sense all the same.
func (run *sarifRun) inspect(v []byte) {
	run.spaced = run.spaced || spaced(v)
	if len(v) == 0 || v[0] != '{' {
		run.odd[0]++
		return
	}
	var rule, message bool
	var seen uint32
	for name, value := range rawjson.Members(v) {
		bit, ok := uint32(0), true
		switch string(name) {
		case "ruleId":
			bit, rule = 1, true
			ok = value[0] == '"'
		case "ruleIndex":
			bit, rule = 1<<1, true
			i, isInt := rawjson.Int(value)
			ok = isInt && i >= -1
		case "rule":
			bit, rule = 1<<2, true
			ok = value[0] == '{'
		case "message":
			bit, message = 1<<3, value[0] == '{'
			ok = message
		case "level":
			bit = 1 << 4
			_, ok = ParseLevel(rawjson.Text(value))
		case "locations":
			bit = 1 << 5
			ok = value[0] == '['
			run.inspectRegion(value)
		case "kind":
			bit = 1 << 6
			ok = slices.Contains(kinds, Kind(rawjson.Text(value)))
		case "baselineState":
			bit = 1 << 7
			ok = slices.Contains(baselineStates, BaselineState(rawjson.Text(value)))
		case "suppressions":
			bit = 1 << 8
			ok = value[0] == '['
		}
		if seen&bit != 0 {
			run.odd[3]++
		}
		seen |= bit
		if !ok && value[0] != 'n' { // null stands for nothing in what some tools write
			run.odd[4]++
		}
	}
	if !rule {
		run.odd[1]++
	}
	if !message {
		run.odd[2]++
	}
}

// inspectRegion looks at the numbers of the first location's region. 0 is what tools write that know no line.
func (run *sarifRun) inspectRegion(locations []byte) {
	physical := rawjson.Member(rawjson.First(locations), "physicalLocation")
	for name, value := range rawjson.Members(rawjson.Member(physical, "region")) {
		switch string(name) {
		case "startLine", "startColumn", "endLine", "endColumn":
			if n, ok := rawjson.Int(value); !rawjson.Null(value) && (!ok || n < 0 || n > math.MaxInt32) {
				run.odd[5]++
			}
		}
	}
}

// isBulk names the arrays of a run that may be long; they are read element by element.
func isBulk(name string) bool {
	switch name {
	case "artifacts", "logicalLocations", "threadFlowLocations", "graphs", "addresses", "webRequests", "webResponses":
		return true
	}
	return false
}

// finish derives what needs the whole run.
func (run *sarifRun) finish(resultsNull int) {
	if run.head.Status == StatusUnknown {
		run.head.Status = StatusCompleted
		if len(run.results) == 0 {
			run.head.Status, run.head.Reason = StatusNoResults, "the run has no results, not even an empty list"
			if resultsNull > 0 {
				run.head.Reason = "the results of the run are null"
			}
		}
	}
	run.seen = run.head.Status
	if run.noted {
		run.head.Status, run.head.Reason = run.said, run.saidWhy
	}
	if len(run.components) > 0 {
		for _, r := range run.components[0].rules {
			run.head.Rules = append(run.head.Rules, r.Rule)
		}
	}
}

func (run *sarifRun) indexTool(v []byte) error {
	run.components = nil
	driver := rawjson.Member(v, "driver")
	run.head.Tool = cleanName(rawjson.Text(rawjson.Member(driver, "name")))
	for _, m := range []string{"semanticVersion", "version"} {
		if s := rawjson.Text(rawjson.Member(driver, m)); s != "" {
			run.head.Version = s
		}
	}
	run.head.InformationURI = rawjson.Text(rawjson.Member(driver, "informationUri"))
	budget := 8 << 20 // of help texts kept in memory
	if driver != nil {
		run.components = append(run.components, newComponent(driver, &budget))
	} else {
		run.components = append(run.components, component{})
	}
	rules := len(run.components[0].rules)
	for e := range rawjson.Elements(rawjson.Member(v, "extensions")) {
		c := newComponent(e, &budget)
		// An extension counts as a rule, so that empty ones come to an end too.
		if rules += 1 + len(c.rules); rules > maxRules {
			break
		}
		run.components = append(run.components, c)
	}
	if rules > maxRules {
		return tooMany("rules and extensions in a run", maxRules)
	}
	return nil
}

// cleanName keeps the name of a tool to one line.
func cleanName(s string) string { return strings.Join(strings.Fields(s), " ") }

func newComponent(v []byte, budget *int) component {
	c := component{byID: map[string]int{}}
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "name":
			c.name = rawjson.Text(value)
		case "guid":
			c.guid = rawjson.Text(value)
		case "rules":
			for e := range rawjson.Elements(value) {
				if len(c.rules) > maxRules {
					break // refused by the caller
				}
				r := newRule(e, budget)
				if _, ok := c.byID[r.ID]; !ok {
					c.byID[r.ID] = len(c.rules)
				}
				c.rules = append(c.rules, r)
			}
		}
	}
	return c
}

func newRule(v []byte, budget *int) ruleInfo {
	var r ruleInfo
	multi := func(v []byte) (text, markdown string) {
		return rawjson.Text(rawjson.Member(v, "text")), rawjson.Text(rawjson.Member(v, "markdown"))
	}
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "id":
			r.ID = rawjson.Text(value)
		case "name":
			r.Name = rawjson.Text(value)
		case "shortDescription":
			r.Title, _ = multi(value)
		case "fullDescription":
			r.Description, _ = multi(value)
		case "help":
			text, markdown := multi(value)
			if r.Help = markdown; r.Help == "" {
				r.Help = text
			}
			if *budget -= len(r.Help); *budget < 0 {
				r.Help = ""
			}
		case "helpUri":
			r.HelpURI = rawjson.Text(value)
		case "defaultConfiguration":
			r.Level, _ = ParseLevel(rawjson.Text(rawjson.Member(value, "level")))
		case "messageStrings":
			for id, m := range rawjson.Members(value) {
				if r.messages == nil {
					r.messages = map[string]string{}
				}
				r.messages[rawjson.Name(id)], _ = multi(m)
			}
		case "relationships":
			for e := range rawjson.Elements(value) {
				target := rawjson.Member(e, "target")
				if cwe, ok := taxonCWE(target, ""); ok {
					r.CWE = append(r.CWE, cwe)
				}
			}
		case "properties":
			r.properties(value)
		}
	}
	r.CWE = cleanList(r.CWE, ParseCWE)
	r.secret = r.secret || secretrule.Holds("", r.CWE) || secretrule.Named(r.ID) || secretrule.Named(r.Name) || secretrule.Named(r.Title)
	if r.Severity == SeverityUnknown {
		r.Severity = r.word
	}
	return r
}

func (r *ruleInfo) properties(v []byte) {
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "security-severity":
			r.Score, r.Severity = securitySeverity(value)
		case "severity", "problem.severity":
			if s, ok := ParseSeverity(rawjson.Text(value)); ok {
				r.word = max(r.word, s)
			}
		case "tags":
			r.Tags = rawjson.Strings(value)
			for _, t := range r.Tags {
				if cwe, ok := ParseCWE(t); ok && !allDigits(t) {
					r.CWE = append(r.CWE, cwe)
				}
				r.secret = r.secret || isSecretTag(t)
			}
		case "cwe", "cwes", "CWE":
			if s, ok := rawjson.String(value); ok {
				r.CWE = append(r.CWE, s)
			}
			r.CWE = append(r.CWE, rawjson.Strings(value)...)
		}
	}
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// taxonCWE reads a reference to a weakness in the CWE taxonomy: its id is "79" or "CWE-79".
func taxonCWE(ref []byte, taxonomy string) (string, bool) {
	id := rawjson.Text(rawjson.Member(ref, "id"))
	if name := rawjson.Text(rawjson.Member(rawjson.Member(ref, "toolComponent"), "name")); name != "" {
		taxonomy = name
	}
	if strings.EqualFold(taxonomy, "CWE") || len(id) > 4 && strings.EqualFold(id[:4], "CWE-") {
		return ParseCWE(id)
	}
	return "", false
}

// securitySeverity reads GitHub's property, a score in a string; some tools write a number or a word.
func securitySeverity(v []byte) (score float64, s Severity) {
	if n, ok := rawjson.Number(v); ok && n >= 0 && n <= 10 {
		return n, SeverityOfScore(n)
	}
	text := rawjson.Text(v)
	if n, ok := ParseScore(text); ok {
		return n, SeverityOfScore(n)
	}
	s, _ = ParseSeverity(text)
	return 0, s
}

func (run *sarifRun) indexInvocations(v []byte) {
	for inv := range rawjson.Elements(v) {
		if t, err := time.Parse(time.RFC3339, rawjson.Text(rawjson.Member(inv, "startTimeUtc"))); err == nil && run.head.Started.IsZero() {
			run.head.Started = t
		}
		if t, err := time.Parse(time.RFC3339, rawjson.Text(rawjson.Member(inv, "endTimeUtc"))); err == nil {
			run.head.Finished = t
		}
		if ok, said := rawjson.Bool(rawjson.Member(inv, "executionSuccessful")); said && !ok {
			run.head.Status = StatusFailed
			run.head.Reason = "the run says executionSuccessful: false"
			for _, m := range []string{"exitCodeDescription", "processStartFailureMessage", "exitSignalName"} {
				if s := rawjson.Text(rawjson.Member(inv, m)); s != "" {
					run.head.Reason += ": " + s
				}
			}
			for n := range rawjson.Elements(rawjson.Member(inv, "toolExecutionNotifications")) {
				if rawjson.Text(rawjson.Member(n, "level")) == "error" {
					run.head.Reason += ": " + rawjson.Text(rawjson.Member(rawjson.Member(n, "message"), "text"))
					break
				}
			}
		}
	}
}

// indexProperties takes what tools say of the target in the property bag of the run.
func (run *sarifRun) indexProperties(v []byte) {
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "imageName":
			run.head.Target, run.image = rawjson.Text(value), true
		case propTarget:
			run.head.Target = rawjson.Text(value)
		case propStatus:
			run.noted, run.said = true, Status(rawjson.Text(value))
			run.saidWhy = rawjson.Text(rawjson.Member(v, propReason))
		}
	}
}

// resolve turns an artifactLocation into a path. A base URI counts as the root of the sources, unless root or
// one of the mounts says otherwise.
func (run *sarifRun) resolve(uri, base string, n *normalizer) string {
	if uri == "" && base == "" {
		return ""
	}
	rel := uri
	if !strings.Contains(uri, ":") && !strings.HasPrefix(uri, "/") {
		abs := unescapeURI(uri)
		rel = abs
		// Bases may have bases; a few steps are enough, and a circle ends.
		for range 8 {
			b, ok := run.bases[base]
			if !ok || base == "" {
				break
			}
			if strings.Contains(b.uri, ":") || strings.HasPrefix(b.uri, "/") {
				if p := CleanPath(b.uri, ""); p != "" {
					if inside, ok := n.below(path.Join(p, abs)); ok {
						return inside
					}
				}
				break
			}
			abs = path.Join(unescapeURI(b.uri), abs)
			rel = abs
			base = b.base
		}
	}
	p := n.path(rel)
	if run.image {
		p = strings.TrimPrefix(p, "/")
	}
	return p
}

func unescapeURI(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// sortedBases returns the ids of the base URIs in order.
func (run *sarifRun) sortedBases() []string { return sortedKeys(run.bases) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
