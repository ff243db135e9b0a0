package report

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
	"github.com/waybill-dev/waybill/report/internal/secretrule"
)

// Names in property bags under which this package keeps what SARIF has no member for.
const (
	propFinding = "waybill"
	propTarget  = "waybill/target"
	propStatus  = "waybill/status"
	propReason  = "waybill/reason"

	// Our names among partialFingerprints. The plain identity is made without the source and written only
	// where it differs.
	identityKey      = "waybillIdentity/v1"
	plainIdentityKey = "waybillPlainIdentity/v1"
)

// sarifResult is the SARIF result a finding was read from. Its text holds no secret.
type sarifResult struct {
	run       *sarifRun
	raw       []byte
	own       bool   // our own writer said more of it
	place     string // what it said of the location
	component int    // of the rule: 0 is the driver
	rule      int    // index in the component, or -1
}

// decode reads a result. Whatever is odd about it, it is a finding.
func (run *sarifRun) decode(v []byte, f *Finding, n *normalizer) {
	r := &sarifResult{run: run, rule: -1}
	f.sarif = r
	var ruleRef, message, locations, suppressions, properties, taxa []byte
	ruleIndex := -1
	for name, value := range rawjson.Members(v) {
		if rawjson.Null(value) {
			continue
		}
		switch string(name) {
		case "ruleId":
			f.Rule = rawjson.Text(value)
		case "ruleIndex":
			if i, ok := rawjson.Int(value); ok {
				ruleIndex = i
			}
		case "rule":
			ruleRef = value
		case "kind":
			f.Kind = Kind(rawjson.Text(value))
		case "level":
			f.Level, _ = ParseLevel(rawjson.Text(value))
		case "message":
			message = value
		case "locations":
			locations = value
		case "baselineState":
			f.State = BaselineState(rawjson.Text(value))
		case "suppressions":
			suppressions = value
		case "properties":
			properties = value
		case "taxa":
			taxa = value
		case "fingerprints", "partialFingerprints":
			for id, fp := range rawjson.Members(value) {
				if s, ok := rawjson.String(fp); ok {
					if f.Fingerprints == nil {
						f.Fingerprints = map[string]string{}
					}
					f.Fingerprints[rawjson.Name(id)] = s
				}
			}
		}
	}
	rule := run.rule(r, ruleRef, ruleIndex, &f.Rule)
	if rule != nil {
		f.Title, f.Description, f.HelpURI, f.CWE, f.Tags = rule.Title, rule.Description, rule.HelpURI, rule.CWE, rule.Tags
	}
	f.Message, f.messageID = run.message(message, rule)
	run.location(locations, f, n)
	f.Suppressed = readSuppressions(suppressions, n.now)
	for e := range rawjson.Elements(taxa) {
		taxonomy := ""
		if i, ok := rawjson.Int(rawjson.Member(rawjson.Member(e, "toolComponent"), "index")); ok && i >= 0 && i < len(run.taxonomies) {
			taxonomy = run.taxonomies[i]
		}
		if cwe, ok := taxonCWE(e, taxonomy); ok {
			f.CWE = append(slices.Clip(f.CWE), cwe)
		}
	}
	run.own(f, run.grade(f, rule, properties))
	f.Tool = run.head.Tool
	if f.Package == nil && f.Tool == "Trivy" {
		f.Package = trivyPackage(f.Message)
	}
	n.finding(f, &run.head)
	if f.Category == CategorySecret {
		v = run.hide(v, f, n.key)
	}
	r.raw = v
}

// rule finds the rule of a result, by index where there is one, else by id; of a hierarchical id
// ("CA1000/1") the rule is the longest leading part that has one.
func (run *sarifRun) rule(r *sarifResult, ref []byte, index int, id *string) *ruleInfo {
	if ref != nil {
		if i, ok := rawjson.Int(rawjson.Member(ref, "index")); ok && index < 0 {
			index = i
		}
		if s := rawjson.Text(rawjson.Member(ref, "id")); s != "" && *id == "" {
			*id = s
		}
		r.component = run.component(rawjson.Member(ref, "toolComponent"))
	}
	c := &run.components[r.component]
	if index >= 0 && index < len(c.rules) {
		r.rule = index
		if *id == "" {
			*id = c.rules[index].ID
		}
		return &c.rules[index]
	}
	for name := *id; name != ""; {
		if i, ok := c.byID[name]; ok {
			r.rule = i
			return &c.rules[i]
		}
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			break
		}
		name = name[:slash]
	}
	return nil
}

// component finds the tool component a reference means; 0, the driver, when it means none we know.
func (run *sarifRun) component(ref []byte) int {
	if ref == nil {
		return 0
	}
	if i, ok := rawjson.Int(rawjson.Member(ref, "index")); ok && i >= 0 && i+1 < len(run.components) {
		return i + 1
	}
	name, guid := rawjson.Text(rawjson.Member(ref, "name")), rawjson.Text(rawjson.Member(ref, "guid"))
	for i, c := range run.components {
		if guid != "" && c.guid == guid || guid == "" && name != "" && c.name == name {
			return i
		}
	}
	return 0
}

// message returns the text of a message with its arguments filled in, and its id.
func (run *sarifRun) message(v []byte, rule *ruleInfo) (text, id string) {
	var markdown, args []byte
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "id":
			id = rawjson.Text(value)
		case "text":
			text = rawjson.Text(value)
		case "markdown":
			markdown = value
		case "arguments":
			args = value
		}
	}
	if text == "" && id != "" && rule != nil {
		text = rule.messages[id]
	}
	if text == "" {
		text = rawjson.Text(markdown)
	}
	if args != nil && strings.Contains(text, "{") {
		text = fill(text, rawjson.Strings(args))
	}
	return text, id
}

// fill replaces {0}, {1}… by the arguments, {{ and }} by braces, as section 3.11.5 says.
func fill(text string, args []string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			b.WriteByte(c)
			i++
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			n, ok := 0, end > 1
			if ok {
				n, ok = rawjson.Int([]byte(text[i+1 : i+end]))
			}
			if !ok || n < 0 || n >= len(args) {
				b.WriteByte(c)
				continue
			}
			b.WriteString(args[n])
			i += end
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// location reads the first location.
func (run *sarifRun) location(v []byte, f *Finding, n *normalizer) {
	l := &f.Location
	for name, value := range rawjson.Members(rawjson.First(v)) {
		switch string(name) {
		case "physicalLocation":
			run.physical(value, l, n)
		case "logicalLocations":
			first := rawjson.First(value)
			if l.Logical = rawjson.Text(rawjson.Member(first, "fullyQualifiedName")); l.Logical == "" {
				l.Logical = rawjson.Text(rawjson.Member(first, "name"))
			}
		}
	}
}

func (run *sarifRun) physical(v []byte, l *Location, n *normalizer) {
	var context []byte
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "artifactLocation":
			l.Path = run.artifactPath(value, n)
		case "region":
			for name, value := range rawjson.Members(value) {
				switch string(name) {
				case "startLine":
					l.StartLine = positive(value)
				case "startColumn":
					l.StartColumn = positive(value)
				case "endLine":
					l.EndLine = positive(value)
				case "endColumn":
					l.EndColumn = positive(value)
				case "snippet":
					l.Snippet = rawjson.Text(rawjson.Member(value, "text"))
				}
			}
		case "contextRegion":
			context = value
		}
	}
	if l.Snippet == "" && context != nil {
		l.Snippet = rawjson.Text(rawjson.Member(rawjson.Member(context, "snippet"), "text"))
	}
	if l.StartLine > 0 && l.EndLine == 0 {
		l.EndLine = l.StartLine
	}
}

func positive(v []byte) int {
	n, _ := rawjson.Int(v)
	if n < 0 || n > math.MaxInt32 {
		return 0
	}
	return n
}

func (run *sarifRun) artifactPath(v []byte, n *normalizer) string {
	var uri, base string
	index := -1
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "uri":
			uri = rawjson.Text(value)
		case "uriBaseId":
			base = rawjson.Text(value)
		case "index":
			if i, ok := rawjson.Int(value); ok {
				index = i
			}
		}
	}
	if uri == "" && index >= 0 && index < len(run.artifacts) {
		base, uri, _ = strings.Cut(run.artifacts[index], "\x00")
	}
	return run.resolve(uri, base, n)
}

// readSuppressions returns the suppression in force: the first that is accepted and has not ended. One that is
// rejected or under review undoes the others.
func readSuppressions(v []byte, now time.Time) *Suppression {
	var first *Suppression
	for e := range rawjson.Elements(v) {
		s, accepted := readSuppression(e)
		if !accepted {
			return nil
		}
		if first == nil && !s.over(now) {
			first = &s
		}
	}
	return first
}

// readSuppression reads one. It is accepted when its status says so or is not given; any other status means
// that the finding still counts.
func readSuppression(v []byte) (s Suppression, accepted bool) {
	s.From, accepted = "sarif", true
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "kind":
			s.Kind = rawjson.Text(value)
		case "status":
			accepted = rawjson.Null(value) || rawjson.Text(value) == "accepted"
		case "justification":
			s.Reason = rawjson.Text(value)
		case "properties":
			readSuppressionProperties(value, &s)
		}
	}
	return s, accepted
}

// grade finds level and severity: what the result says wins over what its rule says. It returns what our own
// writer put into the properties.
func (run *sarifRun) grade(f *Finding, rule *ruleInfo, properties []byte) (own []byte) {
	if f.Kind == "" {
		f.Kind = KindFail
	}
	kind := f.Kind
	if !slices.Contains(kinds, kind) {
		kind = KindFail // a word that means nothing makes nothing harmless
	}
	level := f.Level
	said := level != LevelUnset || rule != nil && rule.Level != LevelUnset
	if level == LevelUnset {
		switch {
		case kind != KindFail:
			level = LevelNone
		case rule != nil && rule.Level != LevelUnset:
			level = rule.Level
		default:
			level = LevelWarning
		}
	}
	var word Severity
	for name, value := range rawjson.Members(properties) {
		switch string(name) {
		case "security-severity":
			f.Score, f.Severity = securitySeverity(value)
			f.SeverityFrom = "score"
			if f.Score == 0 && f.Severity != SeverityInfo {
				f.SeverityFrom = "word"
			}
		case "severity", "problem.severity", "issue_severity":
			if s, ok := ParseSeverity(rawjson.Text(value)); ok {
				word = s
			}
		case "tags":
			tags := rawjson.Strings(value)
			for _, t := range tags {
				if cwe, ok := ParseCWE(t); ok && !allDigits(t) {
					f.CWE = append(slices.Clip(f.CWE), cwe)
				}
				if isSecretTag(t) {
					f.Category = CategorySecret
				}
			}
			f.Tags = append(slices.Clip(f.Tags), tags...)
		case "cwe", "cwes", "CWE":
			list := rawjson.Strings(value)
			if s, ok := rawjson.String(value); ok {
				list = append(list, s)
			}
			f.CWE = append(slices.Clip(f.CWE), list...)
		case propFinding:
			own = value
		}
	}
	secret := rule != nil && rule.secret || run.secretTool()
	if !secret && (rule == nil || len(f.CWE) > len(rule.CWE)) { // else the rule said all there is
		secret = secretrule.Named(f.Rule) || secretrule.Holds("", f.CWE)
	}
	trivy, trivySays := run.trivySeverity(f.Message)
	switch {
	case f.Severity != SeverityUnknown:
	case kind.harmless():
		f.Severity, f.SeverityFrom = SeverityInfo, "kind"
	case trivySays:
		f.Severity, f.SeverityFrom = trivy, "word"
		if rule != nil && rule.Severity == trivy {
			f.Score = rule.Score
		}
	case word != SeverityUnknown:
		f.Severity, f.SeverityFrom = word, "word"
	case rule != nil && rule.Score > 0:
		f.Score, f.Severity, f.SeverityFrom = rule.Score, rule.Severity, "score"
	case rule != nil && rule.Severity != SeverityUnknown:
		f.Severity, f.SeverityFrom = rule.Severity, "word"
	case secret && !said:
		// Scanners of secrets grade nothing; a secret that anyone can read is no less than high.
		f.Severity, f.SeverityFrom, level = SeverityHigh, "secret", LevelError
	default:
		f.Severity, f.SeverityFrom = level.Severity(), "level"
	}
	// SARIF's default is warning; where nobody chose a level and there is a real severity, that says more.
	if !said && kind == KindFail && (f.SeverityFrom == "score" || f.SeverityFrom == "word") && f.Severity != SeverityUnknown {
		level = f.Severity.Level()
	}
	f.Level = level
	if secret {
		f.Category = CategorySecret
	}
	return own
}

// own reads back what our own writer put into the property bag. Where that grades the finding, the score and
// the weaknesses are those in the bag or none: the rule may have those of others, and a score made for GitHub.
func (run *sarifRun) own(f *Finding, v []byte) {
	if rawjson.Member(v, "severity") != nil {
		f.Score, f.CWE, f.sarif.own = 0, nil, true
	}
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "place": // the line, or even the path, was put in because it must be there
			f.sarif.place = rawjson.Text(value)
			f.Location.StartLine, f.Location.EndLine = 0, 0
			if f.sarif.place == "target" {
				f.Location.Path = ""
			}
		case "category":
			f.Category = Category(rawjson.Text(value))
		case "severity":
			if s := new(Severity); s.UnmarshalText([]byte(rawjson.Text(value))) == nil {
				f.Severity = *s
			}
		case "severityFrom":
			f.SeverityFrom = rawjson.Text(value)
		case "score":
			if score, ok := rawjson.Number(value); ok && score >= 0 && score <= 10 {
				f.Score = score
			}
		case "vector":
			f.Vector = rawjson.Text(value)
		case "cwe":
			f.CWE = append(slices.Clip(f.CWE), rawjson.Strings(value)...)
		case "aliases":
			f.Aliases = rawjson.Strings(value)
		case "commit":
			f.Location.Commit = rawjson.Text(value)
		case "secret":
			f.secretMAC = rawjson.Text(value)
		case "title":
			f.Title = rawjson.Text(value)
		case "purl":
			f.pkg().PURL = rawjson.Text(value)
		case "package":
			f.pkg().Name = rawjson.Text(value)
		case "installed":
			f.pkg().Installed = rawjson.Text(value)
		case "fixed":
			f.pkg().Fixed = rawjson.Text(value)
		case "saidBy":
			for e := range rawjson.Elements(value) {
				f.SaidBy = append(f.SaidBy, SaidBy{rawjson.Text(rawjson.Member(e, "tool")), rawjson.Text(rawjson.Member(e, "rule"))})
			}
		}
	}
}

func (f *Finding) pkg() *Package {
	if f.Package == nil {
		f.Package = &Package{}
	}
	return f.Package
}

// trivySeverity reads the severity in a message of Trivy. Its rules do not tell: a rule has the severity of the
// last package that it was said of, and 0.0, which is harmless elsewhere, stands for unknown.
func (run *sarifRun) trivySeverity(message string) (s Severity, ok bool) {
	if run.head.Tool != "Trivy" {
		return SeverityUnknown, false
	}
	for line := range strings.Lines(message) {
		if word, ok := strings.CutPrefix(strings.TrimSpace(line), "Severity: "); ok {
			return ParseSeverity(word)
		}
	}
	return SeverityUnknown, false
}

// trivyPackage reads the message of Trivy's SARIF, the only place where it names the package.
func trivyPackage(message string) *Package {
	if !strings.HasPrefix(message, "Package: ") {
		return nil
	}
	p := &Package{}
	for line := range strings.Lines(message) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch name {
		case "Package":
			p.Name = value
		case "Installed Version":
			p.Installed = value
		case "Fixed Version":
			p.Fixed = value
		}
	}
	if p.Installed == "" && p.Fixed == "" {
		return nil // a licence or another finding that only begins alike
	}
	return p
}

// secretTool says that everything the tool reports is a secret.
func (run *sarifRun) secretTool() bool {
	switch strings.ToLower(run.head.Tool) {
	case "gitleaks", "trufflehog", "detect-secrets", "ggshield", "gitguardian", "noseyparker", "nosey parker", "talisman", "whispers", "kingfisher", "betterleaks":
		return true
	}
	return false
}

// secrets says that some of the run's results may be about secrets.
func (run *sarifRun) secrets() bool {
	if run.secretTool() {
		return true
	}
	for _, c := range run.components {
		for i := range c.rules {
			if c.rules[i].secret {
				return true
			}
		}
	}
	return false
}

func isSecretTag(tag string) bool {
	switch strings.ToLower(tag) {
	case "secret", "secrets", "secret-detection", "hardcoded-secret", "hardcoded-credential":
		return true
	}
	return false
}
