package report

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Policy says what a report must be like to pass. It is data: see [ParsePolicy] for its JSON form.
//
// Whatever the policy, a report fails that holds a run which did not complete, or, when there is a clause
// about findings or a required tool, no run at all: nothing scanned is not nothing found.
type Policy struct {
	// Fail lists what makes the report fail. A finding that is suppressed or absent never does.
	Fail []Clause `json:"fail,omitempty"`
	// RequireTools names tools that must have run to the end, whatever their case.
	RequireTools []string `json:"requireTools,omitempty"`
	// AllowIncomplete names tools whose runs may have failed.
	AllowIncomplete []string `json:"allowIncomplete,omitempty"`
	// Tests and Coverage are not looked at when nil.
	Tests    *TestPolicy     `json:"tests,omitempty"`
	Coverage *CoveragePolicy `json:"coverage,omitempty"`
}

// Clause describes findings that make a report fail. A finding is meant when all that is given here fits it;
// an empty clause means every finding.
type Clause struct {
	// Name is how the verdict calls the clause; empty: what it says.
	Name string `json:"name,omitempty"`
	// Severity is the least severity meant; unknown means any. Findings of unknown severity are always meant,
	// since nobody said that they are harmless.
	Severity Severity `json:"severity,omitempty"`
	// Tools, Categories and CWE name what is meant; Rules and Paths are patterns as of path.Match, in which "**"
	// stands for any number of directories: "dir/**", "**/*.env". A rule is also meant by an alias, and a rule or tool
	// by everyone in SaidBy; the path is that of the finding itself, which after [Dedupe] is that of the first.
	Tools      []string   `json:"tools,omitempty"`
	Rules      []string   `json:"rules,omitempty"`
	Categories []Category `json:"categories,omitempty"`
	CWE        []string   `json:"cwe,omitempty"`
	Paths      []string   `json:"paths,omitempty"`
	// NewOnly leaves out what the report before had too. Where nothing was compared, all is new.
	NewOnly bool `json:"newOnly,omitempty"`
	// FixAvailable leaves out packages that have no fixed version yet.
	FixAvailable bool `json:"fixAvailable,omitempty"`
	// Max is how many such findings are still accepted.
	Max int `json:"max,omitempty"`
}

// TestPolicy says which test results pass.
type TestPolicy struct {
	// Min is the least number of tests that must have run (skipped ones did not). At least one must.
	Min int `json:"min,omitempty"`
	// MaxFailed is how many may fail, errors included.
	MaxFailed int `json:"maxFailed,omitempty"`
}

// CoveragePolicy says which coverage passes.
type CoveragePolicy struct {
	// MinPercent is the least percentage of lines, 0 to 100.
	MinPercent float64 `json:"minPercent"`
}

// Verdict is what [Policy.Gate] says, and why.
type Verdict struct {
	Pass bool `json:"pass"`
	// Reasons says why it failed; it is empty when Pass is true.
	Reasons []Reason `json:"reasons"`
	// Failing counts the findings that a clause means, whether or not its Max accepts them.
	Failing int `json:"failing"`
	// Decisions explains the findings one by one, worst first, at most [MaxDecisions] of those that fail.
	Decisions []Decision `json:"decisions"`
	// Spared counts the other findings by why they do not fail.
	Spared map[string]int `json:"spared"`
}

// MaxDecisions is how many decisions a verdict lists.
const MaxDecisions = 100

// Reason is one reason for failing.
type Reason struct {
	// Clause names the clause or the requirement: "severity high", "requireTools", "tests", "coverage", "runs".
	Clause  string `json:"clause"`
	Message string `json:"message"`
}

// String returns the reason in one line.
func (r Reason) String() string { return r.Clause + ": " + r.Message }

// Decision is what a policy says of one finding.
type Decision struct {
	Tool     string   `json:"tool"`
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Path     string   `json:"path,omitempty"`
	Line     int      `json:"line,omitempty"`
	Package  string   `json:"package,omitempty"`
	Identity Identity `json:"identity"`
	Fails    bool     `json:"fails"`
	// Because says which clause means the finding, the first where several do, or why none does.
	Because string `json:"because"`
}

// Decide says what the policy thinks of one finding, on its own: Max is not looked at.
func (p Policy) Decide(f Finding) Decision {
	d := Decision{Tool: f.Tool, Rule: f.Rule, Severity: f.Severity, Path: f.Location.Path, Line: f.Location.StartLine, Identity: f.Identity}
	if f.Package != nil {
		d.Package = strings.TrimSpace(f.Package.Name + " " + f.Package.Installed)
	}
	d.Because = spared(&f)
	if d.Because != "" {
		return d
	}
	d.Because = "no clause means it"
	for _, c := range p.Fail {
		why := c.spares(&f)
		if why == "" {
			d.Fails, d.Because = true, c.String()
			return d
		}
		if len(p.Fail) == 1 {
			d.Because = why
		}
	}
	return d
}

func spared(f *Finding) string {
	switch {
	case f.State == StateAbsent:
		return "absent"
	case f.Suppressed != nil:
		return "suppressed"
	}
	if f.Kind.harmless() {
		return "kind " + string(f.Kind)
	}
	return ""
}

// spares says why the clause does not mean the finding, "" when it does.
func (c *Clause) spares(f *Finding) string {
	switch {
	case f.Severity < c.Severity && f.Severity != SeverityUnknown:
		return "severity below " + c.Severity.String()
	case len(c.Tools) > 0 && !slices.ContainsFunc(c.Tools, func(t string) bool { return saidByTool(f, t) }):
		return "other tool"
	case len(c.Rules) > 0 && !slices.ContainsFunc(c.Rules, func(p string) bool { return matchRule(p, f) }):
		return "other rule"
	case len(c.Categories) > 0 && !slices.Contains(c.Categories, f.Category):
		return "other category"
	case len(c.CWE) > 0 && !slices.ContainsFunc(c.CWE, func(w string) bool { w, _ = ParseCWE(w); return slices.Contains(f.CWE, w) }):
		return "other CWE"
	case len(c.Paths) > 0 && !slices.ContainsFunc(c.Paths, func(p string) bool { return matchPattern(p, f.Location.Path) }):
		return "other path"
	case c.NewOnly && (f.State == StateUnchanged || f.State == StateUpdated):
		return "not new"
	case c.FixAvailable && f.Package != nil && f.Package.Fixed == "":
		return "no fix available"
	}
	return ""
}

func saidByTool(f *Finding, tool string) bool {
	return strings.EqualFold(f.Tool, tool) || slices.ContainsFunc(f.SaidBy, func(s SaidBy) bool { return strings.EqualFold(s.Tool, tool) })
}

// matchRule looks at every name that the finding has.
func matchRule(pattern string, f *Finding) bool {
	return matchPattern(pattern, f.Rule) ||
		slices.ContainsFunc(f.SaidBy, func(s SaidBy) bool { return matchPattern(pattern, s.Rule) }) ||
		slices.ContainsFunc(f.Aliases, func(a string) bool { return matchPattern(pattern, a) })
}

func matchPattern(pattern, name string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/**"); pattern == name || ok && strings.HasPrefix(name, dir+"/") {
		return true // also where a name has * or [ in it
	}
	if strings.Contains(pattern, "**") {
		return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// matchParts matches part by part; "**" is any number of parts, at the end at least one.
func matchParts(pattern, name []string) bool {
	for i, p := range pattern {
		switch {
		case p == "**" && i == len(pattern)-1:
			return i < len(name)
		case p == "**":
			for j := i; j < len(name); j++ {
				if matchParts(pattern[i+1:], name[j:]) {
					return true
				}
			}
			return false
		case i >= len(name):
			return false
		}
		if ok, err := path.Match(p, name[i]); !ok || err != nil {
			return false
		}
	}
	return len(pattern) == len(name)
}

// String returns the name of the clause, or what it says.
func (c *Clause) String() string {
	if c.Name != "" {
		return c.Name
	}
	var parts []string
	if c.NewOnly {
		parts = append(parts, "new")
	}
	if c.FixAvailable {
		parts = append(parts, "fixable")
	}
	if c.Severity != SeverityUnknown {
		parts = append(parts, "severity "+c.Severity.String())
	}
	for _, m := range []struct {
		name string
		list []string
	}{{"tool", c.Tools}, {"rule", c.Rules}, {"CWE", c.CWE}, {"path", c.Paths}} {
		if len(m.list) > 0 {
			parts = append(parts, m.name+" "+strings.Join(m.list, "|"))
		}
	}
	for _, cat := range c.Categories {
		parts = append(parts, "category "+string(cat))
	}
	if len(parts) == 0 {
		return "any finding"
	}
	return strings.Join(parts, ", ")
}

// Gate judges a source. It reads it once and keeps little of it; the error is that of the source, or
// ErrInvalid for a policy that asks for nothing (it would let everything pass) or contradicts itself. With an
// error there is no verdict, and Pass is false.
func (p Policy) Gate(ctx context.Context, s Source) (Verdict, error) {
	if err := p.Validate(); err != nil {
		return Verdict{}, err
	}
	v := Verdict{Reasons: []Reason{}, Decisions: []Decision{}, Spared: map[string]int{}}
	head := s.Head()
	p.gateRuns(head, &v)
	clauses := make([]meant, len(p.Fail))
	for f, err := range all(ctx, s, needIdentity) {
		if err != nil {
			return Verdict{}, err
		}
		d := p.Decide(f)
		if !d.Fails {
			v.Spared[d.Because]++
			continue
		}
		v.Failing++
		for i := range p.Fail {
			if p.Fail[i].spares(&f) == "" {
				clauses[i].add(&d)
			}
		}
		v.Decisions = keepWorst(v.Decisions, d)
	}
	slices.SortStableFunc(v.Decisions, func(a, b Decision) int { return int(worry(b.Severity)) - int(worry(a.Severity)) })
	for i, c := range p.Fail {
		if n := clauses[i].count; n > c.Max {
			m := fmt.Sprintf("%d found", n)
			if c.Max > 0 {
				m += fmt.Sprintf(", %d accepted", c.Max)
			}
			v.Reasons = append(v.Reasons, Reason{c.String(), m + "; the worst: " + clauses[i].worst.place()})
		}
	}
	p.gateTests(head, &v)
	v.Pass = len(v.Reasons) == 0
	return v, nil
}

// worry orders severities for people: unknown stands between high and medium, since it may be either.
func worry(s Severity) uint8 {
	if s == SeverityUnknown {
		return 2*uint8(SeverityMedium) + 1
	}
	return 2 * uint8(s)
}

// keepWorst adds a decision to a full list only in place of a milder one.
func keepWorst(list []Decision, d Decision) []Decision {
	if len(list) < MaxDecisions {
		return append(list, d)
	}
	mildest := len(list) - 1
	for i, have := range slices.Backward(list) {
		if worry(have.Severity) < worry(list[mildest].Severity) {
			mildest = i
		}
	}
	if worry(d.Severity) > worry(list[mildest].Severity) {
		return append(slices.Delete(list, mildest, mildest+1), d)
	}
	return list
}

// meant is what a clause means: how many findings, and the worst, of equals the first.
type meant struct {
	count int
	worst Decision
}

func (m *meant) add(d *Decision) {
	if m.count == 0 || worry(d.Severity) > worry(m.worst.Severity) {
		m.worst = *d
	}
	m.count++
}

// place names the finding for people.
func (d *Decision) place() string {
	where := d.Path
	if d.Line > 0 {
		where += fmt.Sprintf(":%d", d.Line)
	}
	if d.Package != "" {
		where = strings.TrimSpace(d.Package + " " + where)
	}
	return fmt.Sprintf("%s %s %s %s", d.Severity, d.Tool, d.Rule, where)
}

func (p Policy) gateRuns(head Head, v *Verdict) {
	fail := func(clause, format string, args ...any) {
		v.Reasons = append(v.Reasons, Reason{clause, fmt.Sprintf(format, args...)})
	}
	ran := func(r Run) bool { return r.Status != StatusAbsent }
	if len(p.Fail) > 0 && !slices.ContainsFunc(head.Runs, ran) {
		fail("runs", "the report holds no run of any tool")
	}
	for _, r := range head.Runs {
		if r.Status == StatusCompleted || r.Status == StatusAbsent || slices.ContainsFunc(p.AllowIncomplete, func(t string) bool { return strings.EqualFold(t, r.Tool) }) {
			continue
		}
		status := string(r.Status)
		if r.Status == StatusUnknown {
			status = "unknown"
		}
		why := ""
		if r.Reason != "" {
			why = ": " + r.Reason
		}
		fail("runs", "the run of %s did not complete (%s)%s", toolName(r.Tool), status, why)
	}
	for _, t := range p.RequireTools {
		if !slices.ContainsFunc(head.Runs, func(r Run) bool { return strings.EqualFold(r.Tool, t) && r.Status == StatusCompleted }) {
			fail("requireTools", "%s did not run", t)
		}
	}
}

func (p Policy) gateTests(head Head, v *Verdict) {
	fail := func(clause, format string, args ...any) {
		v.Reasons = append(v.Reasons, Reason{clause, fmt.Sprintf(format, args...)})
	}
	if p.Tests != nil {
		c := head.Tests.Counts()
		ran := c.Total - c.Skipped
		if least := max(1, p.Tests.Min); ran < least {
			fail("tests", "%d ran, at least %d must", ran, least)
		}
		if bad := c.Failed + c.Errors; bad > p.Tests.MaxFailed {
			fail("tests", "%d of %d failed", bad, ran)
		}
	}
	if p.Coverage != nil {
		c := head.Coverage.Counts()
		switch {
		case c.Lines == 0:
			fail("coverage", "nothing was measured")
		case c.Percent < p.Coverage.MinPercent:
			fail("coverage", "%.2f%% of lines, at least %g%% must be", c.Percent, p.Coverage.MinPercent)
		}
	}
}

// Validate says everything that is wrong with the policy, as one ErrInvalid, or nil.
func (p Policy) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(p.Fail) == 0 && len(p.RequireTools) == 0 && p.Tests == nil && p.Coverage == nil {
		bad("it asks for nothing: give fail, requireTools, tests or coverage")
	}
	for i, c := range p.Fail {
		if c.Max < 0 {
			bad("fail[%d].max is negative", i)
		}
		if int(c.Severity) >= len(severityNames) {
			bad("fail[%d].severity is none of the scale", i)
		}
		for _, cat := range c.Categories {
			if !slices.Contains(categories, cat) {
				bad("fail[%d].categories: %q is none of %v", i, cat, categories)
			}
		}
		for _, w := range c.CWE {
			if _, ok := ParseCWE(w); !ok {
				bad("fail[%d].cwe: %q is no weakness like CWE-79", i, w)
			}
		}
		for _, pattern := range slices.Concat(c.Rules, c.Paths) {
			if _, err := path.Match(pattern, ""); err != nil {
				bad("fail[%d]: pattern %q: %w", i, pattern, err)
			}
		}
		if slices.Contains(slices.Concat(c.Tools, c.Rules, c.Paths), "") {
			bad("fail[%d]: one of tools, rules or paths is empty and would match nothing", i)
		}
	}
	if slices.Contains(slices.Concat(p.RequireTools, p.AllowIncomplete), "") {
		bad("requireTools and allowIncomplete must not hold an empty name")
	}
	for _, t := range p.RequireTools {
		if slices.ContainsFunc(p.AllowIncomplete, func(a string) bool { return strings.EqualFold(a, t) }) {
			bad("%s is in both requireTools and allowIncomplete", t)
		}
	}
	if t := p.Tests; t != nil && (t.Min < 0 || t.MaxFailed < 0) {
		bad("tests.min and tests.maxFailed must not be negative")
	}
	if c := p.Coverage; c != nil && !(c.MinPercent >= 0 && c.MinPercent <= 100) {
		bad("coverage.minPercent is not between 0 and 100")
	}
	if len(errs) > 0 {
		return &Error{Op: "check", Subject: "policy", Kind: ErrInvalid, Err: errors.Join(errs...)}
	}
	return nil
}

// ParsePolicy reads a policy from JSON (schema: [PolicySchema]). It is strict: a member it does not know, or
// a policy that asks for nothing, is an ErrInvalid, because a policy misread lets everything pass.
func ParsePolicy(data []byte) (Policy, error) {
	var in struct {
		Schema  string `json:"$schema"`
		Version int    `json:"version"`
		Policy
	}
	if err := strictJSON(data, &in); err != nil {
		return Policy{}, &Error{Op: "parse", Subject: "policy", Kind: ErrInvalid, Err: err}
	}
	if in.Version != 1 {
		return Policy{}, &Error{Op: "parse", Subject: "policy", Kind: ErrUnsupported, Err: fmt.Errorf("version is %d, must be 1", in.Version)}
	}
	if err := in.Policy.Validate(); err != nil {
		return Policy{}, err
	}
	return in.Policy, nil
}

// strictJSON reads one JSON value and refuses unknown and repeated members and anything after it.
func strictJSON(data []byte, v any) error {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(data)) == 0 {
		return ErrEmpty
	}
	whole := jsontext.NewDecoder(bytes.NewReader(data))
	if _, err := whole.ReadValue(); err != nil {
		return err
	}
	if _, err := whole.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("more text after the end of the value")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return inWords(dec.Decode(v))
}

// inWords says of a value of the wrong type where it is, which package json does in the names of Go.
func inWords(err error) error {
	wrong := (*json.UnmarshalTypeError)(nil)
	if !errors.As(err, &wrong) {
		return err
	}
	where := cmp.Or(strings.TrimPrefix(wrong.Field, "Policy."), "the file")
	return fmt.Errorf("%s must not be a JSON %s", where, wrong.Value)
}
