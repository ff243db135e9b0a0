package report

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

const sarifSchemaURI = "https://json.schemastore.org/sarif-2.1.0.json"

// WriteSARIF writes a source as one SARIF 2.1.0 log, run by run, as it reads it: the memory needed does not
// grow with the number of findings. What was read from SARIF is written with all it had, also what this
// package does not know; white space goes, references are renumbered where runs were joined, paths are
// written relative to the root where that is known, and each result gets its level, its suppressions and its
// [Identity]. The same source gives the same bytes.
//
// Errors are those of the source and of w; then the output is not whole.
func WriteSARIF(ctx context.Context, w io.Writer, s Source) error {
	out := &sarifWriter{w: bufio.NewWriterSize(w, 256<<10), source: s}
	out.log(ctx)
	if err := out.w.Flush(); err != nil && out.err == nil {
		out.err = err
	}
	if _, ok := errors.AsType[*Error](out.err); ok || out.err == nil {
		return out.err
	}
	return &Error{Op: "write", Subject: "SARIF", Err: out.err}
}

// sarifWriter keeps the first error and does nothing after it.
type sarifWriter struct {
	w      *bufio.Writer
	source Source
	buf    []byte
	err    error
}

func (o *sarifWriter) raw(s string) {
	if o.err == nil {
		_, o.err = o.w.WriteString(s)
	}
}

func (o *sarifWriter) bytes(b []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(b)
	}
}

func (o *sarifWriter) log(ctx context.Context) {
	o.raw(`{"$schema":"` + sarifSchemaURI + `","version":"2.1.0","runs":[`)
	head := o.source.Head()
	for i := range head.Runs {
		if i > 0 {
			o.raw(",")
		}
		o.run(ctx, i, &head.Runs[i])
	}
	o.raw("]")
	// Members of the log beside the runs: properties, and what other versions of the world put there.
	seen := map[string]bool{"$schema": true, "version": true}
	var docs []*document
	for _, run := range head.Runs {
		for _, r := range slices.Concat(run.sarif, run.old) {
			if !slices.Contains(docs, r.doc) {
				docs = append(docs, r.doc)
			}
		}
	}
	for _, d := range docs {
		for _, m := range d.members {
			if seen[m.name] {
				continue
			}
			seen[m.name] = true
			o.member(d, m)
		}
	}
	o.raw("}\n")
}

// member copies a member of a document.
func (o *sarifWriter) member(d *document, m span) {
	if o.err != nil {
		return
	}
	v, err := d.raw(m)
	if err != nil {
		o.err = err
		return
	}
	o.raw(",")
	o.bytes(append(rawjson.AppendString(o.buf[:0], m.name), ':'))
	o.bytes(appendValue(nil, v))
}

// runOut is a run that is being written: how each run it comes from is renumbered, and where rules are.
type runOut struct {
	head   *Run
	runs   []*sarifRun // what it comes from, old ones last
	from   map[*sarifRun]*rewriter
	ruleAt map[string]int
}

func (o *sarifWriter) run(ctx context.Context, i int, head *Run) {
	r := &runOut{head: head, from: map[*sarifRun]*rewriter{}, ruleAt: map[string]int{}}
	r.runs = slices.Concat(head.sarif, head.old)
	o.raw("{")
	switch {
	case len(r.runs) == 0:
		o.header(r)
	case len(r.runs) == 1 && head.rules == nil && head.limits == nil:
		o.copyHeader(ctx, r, r.runs[0])
	default:
		o.joinHeaders(ctx, r)
	}
	o.results(ctx, i, r)
	o.raw("}")
}

func (o *sarifWriter) results(ctx context.Context, i int, r *runOut) {
	// A run without results must not come out as one that found nothing.
	absent := len(r.runs) > 0 && !slices.ContainsFunc(r.runs, func(s *sarifRun) bool { return len(s.results) > 0 })
	first := true
	for f, err := range ofRun(ctx, o.source, i, needAll) {
		if err != nil {
			if o.err == nil {
				o.err = err
			}
			return
		}
		if first {
			o.raw(`,"results":[`)
		} else {
			o.raw(",")
		}
		first = false
		o.buf = r.result(o.buf[:0], &f)
		o.bytes(o.buf)
		if o.err != nil {
			return
		}
	}
	if !first {
		o.raw("]")
	} else if !absent {
		o.raw(`,"results":[]`)
	}
}

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
	if r.head.Category != "" {
		b = append(b, `,"automationDetails":{"id":`...)
		b = append(rawjson.AppendString(b, r.head.Category+"/"), '}')
	}
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
	b = appendRunProperties(b, r.head, nil, StatusCompleted)
	o.buf = b
	o.bytes(b)
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
	if head.Status != seen && head.Status != StatusFailed {
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

// copyHeader writes a run that comes from one run of a document as that has it.
func (o *sarifWriter) copyHeader(ctx context.Context, r *runOut, run *sarifRun) {
	w := &rewriter{run: run, norm: newNormalizer(run.doc.opts)}
	r.from[run] = w
	for i, rule := range run.components[0].rules {
		if _, ok := r.ruleAt[rule.ID]; !ok {
			r.ruleAt[rule.ID] = i
		}
	}
	if run.tool.name == "" {
		o.raw(`"tool":{"driver":{"name":"unknown"}}`)
	} else {
		v, err := run.doc.raw(run.tool)
		if err != nil {
			o.err = err
			return
		}
		o.raw(`"tool":`)
		o.bytes(appendValue(nil, v))
	}
	var bags [][]byte
	seen := map[string]bool{}
	for _, m := range run.members {
		switch {
		case seen[m.name]:
		case m.name == "properties":
			bags = o.bags(run, m, bags)
		case isBulk(m.name):
			o.raw(`,"` + m.name + `":[`)
			first := true
			o.elements(ctx, w, m, &first, nil)
			o.raw("]")
		default:
			o.member(run.doc, m)
		}
		seen[m.name] = true
	}
	o.bytes(appendRunProperties(nil, r.head, bags, run.head.Status))
}

func (o *sarifWriter) bags(run *sarifRun, m span, bags [][]byte) [][]byte {
	v, err := run.doc.raw(m)
	if err != nil && o.err == nil {
		o.err = err
	}
	return append(bags, v)
}

// elements copies the elements of a list of a run, one by one, those for which keep is nil or true.
func (o *sarifWriter) elements(ctx context.Context, w *rewriter, m span, first *bool, keep func(i int, v []byte) bool) {
	if o.err != nil {
		return
	}
	t := sarifTypes()["run"].members[m.name]
	dec := w.run.doc.decoder(ctx, m.from, m.to)
	i := 0
	_, err := array(dec, func() error {
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		i++
		if keep != nil && !keep(i-1, v) {
			return nil
		}
		if !*first {
			o.raw(",")
		}
		*first = false
		o.buf = o.buf[:0]
		if t != nil && t.object != nil {
			o.buf = w.object(o.buf, v, t.object)
		} else {
			o.buf = appendValue(o.buf, v)
		}
		o.bytes(o.buf)
		return o.err
	})
	if err != nil && o.err == nil {
		o.err = w.run.doc.fail("read", m.from, err)
	}
}

// joinHeaders writes the header of a run that comes from several runs.
func (o *sarifWriter) joinHeaders(ctx context.Context, r *runOut) {
	for _, run := range r.runs {
		r.from[run] = &rewriter{run: run, norm: newNormalizer(run.doc.opts), lists: map[string][]int32{}, bases: map[string]string{}, limits: r.head.limits}
	}
	o.joinTools(r)
	o.joinArtifacts(ctx, r)
	o.joinBases(r)
	var bags [][]byte
	done := map[string]bool{"artifacts": true, "originalUriBaseIds": true}
	lists := []string{"invocations", "logicalLocations", "threadFlowLocations", "graphs", "addresses", "webRequests", "webResponses"}
	for _, name := range lists {
		done[name] = true
		o.numberList(r, name)
	}
	for _, name := range []string{"taxonomies", "translations", "policies", "versionControlProvenance", "runAggregates", "redactionTokens"} {
		done[name] = true
		o.uniqueList(r, name)
	}
	// Lists are written after all of them are numbered, since they refer to each other.
	for _, name := range lists {
		o.writeList(ctx, r, name)
	}
	for _, run := range r.runs {
		for _, m := range run.members {
			switch {
			case r.onlyOld(run, m.name):
			case m.name == "properties":
				bags = o.bags(run, m, bags)
			case !done[m.name]:
				done[m.name] = true
				o.member(run.doc, m)
			}
		}
	}
	seen := StatusCompleted
	if slices.ContainsFunc(r.head.sarif, func(run *sarifRun) bool { return run.head.Status == StatusFailed }) {
		seen = StatusFailed
	}
	o.bytes(appendRunProperties(nil, r.head, bags, seen))
}

// onlyOld says that a member of a run describes that run itself, and that the run is an old one: how it went
// must not be taken for how this one went.
func (r *runOut) onlyOld(run *sarifRun, name string) bool {
	switch name {
	case "properties", "invocations", "versionControlProvenance", "runAggregates", "automationDetails", "baselineGuid", "conversion":
		return slices.Contains(r.head.old, run) && len(r.head.sarif) > 0
	}
	return false
}

// joinTools writes one driver with the rules of all, and the extensions of all.
func (o *sarifWriter) joinTools(r *runOut) {
	var extensions []byte
	extensionAt := map[[32]byte]int32{}
	var rules, notifications, driver []byte
	firstRule, firstNote, firstMember := true, true, true
	notes := int32(0)
	members := map[string]bool{"rules": true, "notifications": true}
	for _, run := range r.runs {
		w := r.from[run]
		if run.tool.name == "" {
			continue
		}
		v, err := run.doc.raw(run.tool)
		if err != nil {
			o.err = err
			return
		}
		d := rawjson.Member(v, "driver")
		for name, value := range rawjson.Members(d) {
			switch n := string(name); {
			case n == "rules":
				for e := range rawjson.Elements(value) {
					id := rawjson.Text(rawjson.Member(e, "id"))
					if r.head.rules != nil && !r.head.rules[id] {
						w.lists["rules"] = append(w.lists["rules"], -1)
						continue
					}
					at, ok := r.ruleAt[id]
					if !ok {
						at = len(r.ruleAt)
						r.ruleAt[id] = at
						if !firstRule {
							rules = append(rules, ',')
						}
						firstRule = false
						rules = w.rule(rules, e)
					}
					w.lists["rules"] = append(w.lists["rules"], int32(at))
				}
			case n == "notifications":
				for e := range rawjson.Elements(value) {
					if !firstNote {
						notifications = append(notifications, ',')
					}
					firstNote = false
					notifications = appendValue(notifications, e)
					w.lists["notifications"] = append(w.lists["notifications"], notes)
					notes++
				}
			case !members[n]:
				members[n] = true
				driver = appendName(driver, name, &firstMember)
				driver = appendValue(driver, value)
			}
		}
		for e := range rawjson.Elements(rawjson.Member(v, "extensions")) {
			text := appendValue(nil, e)
			sum := sha256.Sum256(text)
			at, ok := extensionAt[sum]
			if !ok {
				at = int32(len(extensionAt))
				extensionAt[sum] = at
				if at > 0 {
					extensions = append(extensions, ',')
				}
				extensions = append(extensions, text...)
			}
			w.lists["extensions"] = append(w.lists["extensions"], at)
		}
	}
	for i := range r.head.Rules {
		rules = r.appendRule(rules, &r.head.Rules[i], &firstRule)
	}
	if firstMember {
		driver = append(driver, `"name":"unknown"`...)
	}
	o.raw(`"tool":{"driver":{`)
	o.bytes(driver)
	o.raw(`,"rules":[`)
	o.bytes(rules)
	o.raw("]")
	if notes > 0 {
		o.raw(`,"notifications":[`)
		o.bytes(notifications)
		o.raw("]")
	}
	o.raw("}")
	if len(extensionAt) > 0 {
		o.raw(`,"extensions":[`)
		o.bytes(extensions)
		o.raw("]")
	}
	o.raw("}")
}

// joinArtifacts writes each artifact once, by its location.
func (o *sarifWriter) joinArtifacts(ctx context.Context, r *runOut) {
	at := map[string]int32{}
	fresh := map[*sarifRun][]bool{}
	for _, run := range r.runs {
		w := r.from[run]
		for _, a := range run.artifacts {
			i, ok := at[a]
			if !ok || a == "\x00" {
				i = int32(len(at))
				at[a] = i
				if a == "\x00" { // without a location: never the same as another
					at[a+strconv.Itoa(len(at))] = i
				}
			}
			w.lists["artifacts"] = append(w.lists["artifacts"], i)
			fresh[run] = append(fresh[run], !ok || a == "\x00")
		}
	}
	if len(at) == 0 {
		return
	}
	o.raw(`,"artifacts":[`)
	first := true
	for _, run := range r.runs {
		for _, m := range run.members {
			if m.name == "artifacts" {
				o.elements(ctx, r.from[run], m, &first, func(i int, _ []byte) bool { return i < len(fresh[run]) && fresh[run][i] })
				break
			}
		}
	}
	o.raw("]")
}

// joinBases writes the base URIs of all; one that means different things gets another name in later runs.
func (o *sarifWriter) joinBases(r *runOut) {
	have := map[string]baseURI{}
	first := true
	for _, run := range r.runs {
		w := r.from[run]
		renamed := map[string]string{}
		for _, id := range run.sortedBases() {
			if was, ok := have[id]; ok && was != run.bases[id] {
				for n := 2; ; n++ {
					name := id + "-" + strconv.Itoa(n)
					if was, ok := have[name]; !ok || was == run.bases[id] {
						renamed[id] = name
						break
					}
				}
			}
		}
		w.bases = renamed
		for _, m := range run.members {
			if m.name != "originalUriBaseIds" {
				continue
			}
			v, err := run.doc.raw(m)
			if err != nil {
				o.err = err
				return
			}
			for name, value := range rawjson.Members(v) {
				id := rawjson.Name(name)
				as := id
				if renamed[id] != "" {
					as = renamed[id]
				}
				if _, ok := have[as]; ok {
					continue
				}
				have[as] = run.bases[id]
				if first {
					o.raw(`,"originalUriBaseIds":{`)
				} else {
					o.raw(",")
				}
				first = false
				b := append(rawjson.AppendString(nil, as), ':')
				keep := *w
				keep.norm = nil // a base is where it is
				o.bytes(keep.object(b, value, sarifTypes()["artifactLocation"]))
			}
			break
		}
	}
	if !first {
		o.raw("}")
	}
}

// numberList gives the elements of a list new numbers, one run after the other.
func (o *sarifWriter) numberList(r *runOut, name string) {
	next := int32(0)
	for _, run := range r.runs {
		w := r.from[run]
		for range run.lengths[name] {
			if r.onlyOld(run, name) {
				w.lists[name] = append(w.lists[name], -1) // "none", in SARIF
				continue
			}
			w.lists[name] = append(w.lists[name], next)
			next++
		}
	}
}

func (o *sarifWriter) writeList(ctx context.Context, r *runOut, name string) {
	opened, first := false, true
	for _, run := range r.runs {
		for _, m := range run.members {
			if m.name == name && run.lengths[name] > 0 && !r.onlyOld(run, name) {
				if !opened {
					o.raw(`,"` + name + `":[`)
					opened = true
				}
				o.elements(ctx, r.from[run], m, &first, nil)
				break
			}
		}
	}
	if opened {
		o.raw("]")
	}
}

// uniqueList writes each different element of a list once.
func (o *sarifWriter) uniqueList(r *runOut, name string) {
	at := map[[32]byte]int32{}
	first := true
	for _, run := range r.runs {
		w := r.from[run]
		for _, m := range run.members {
			if m.name != name || r.onlyOld(run, name) {
				continue
			}
			v, err := run.doc.raw(m)
			if err != nil {
				o.err = err
				return
			}
			for e := range rawjson.Elements(v) {
				text := appendValue(nil, e)
				sum := sha256.Sum256(text)
				i, ok := at[sum]
				if !ok {
					i = int32(len(at))
					at[sum] = i
					if first {
						o.raw(`,"` + name + `":[`)
					} else {
						o.raw(",")
					}
					first = false
					o.bytes(text)
				}
				w.lists[name] = append(w.lists[name], i)
			}
			break
		}
	}
	if !first {
		o.raw("]")
	}
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
	if !strings.Contains(uri, "://") || !validURI(uri) {
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
				b = appendTextFirst(b, name, f.Fingerprints[name], &first)
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
	already := readSuppressions(have)
	for e := range rawjson.Elements(have) {
		if already != nil && s == nil {
			status := rawjson.Member(e, "status")
			if rawjson.Null(status) || rawjson.Text(status) == "accepted" {
				continue // no longer in force
			}
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendWithoutNulls(b, e)
	}
	if s == nil || already != nil {
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
	if f.sarif == nil {
		switch { // see appendLocation
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
	} else if f.SeverityFrom == "dedupe" || f.Category == CategorySecret || len(f.Aliases) > 0 || f.SaidBy != nil {
		b = appendText(b, "category", string(f.Category))
		b = appendText(b, "severity", f.Severity.String())
		b = appendText(b, "severityFrom", f.SeverityFrom)
		b = appendText(b, "commit", f.Location.Commit)
		b = appendTexts(b, "aliases", f.Aliases)
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
