package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/internal/sample"
)

// result writes a SARIF result.
func result(rule, uri string, line int, message string) string {
	return fmt.Sprintf(`{"ruleId":%q,"message":{"text":%q},"locations":[{"physicalLocation":{"artifactLocation":{"uri":%q},"region":{"startLine":%d}}}]}`, rule, message, uri, line)
}

func run(tool string, results ...string) string {
	return fmt.Sprintf(`{"tool":{"driver":{"name":%q}},"results":[%s]}`, tool, strings.Join(results, ","))
}

func states(t *testing.T, s report.Source) []string {
	t.Helper()
	var list []string
	for _, f := range findings(t, s) {
		list = append(list, f.Rule+" "+string(f.State))
	}
	return list
}

func TestCompare(t *testing.T) {
	before := log(run("a", result("R1", "x.go", 1, "line 1"), result("R1", "x.go", 9, "line 9"), result("R2", "x.go", 3, "gone"), result("R3", "y.go", 3, "was low")),
		run("b", result("B", "z.go", 1, "m")))
	now := log(run("A", result("R1", "x.go", 3, "line 3"), result("R1", "x.go", 11, "line 11"), result("R1", "x.go", 20, "line 20"),
		strings.Replace(result("R3", "y.go", 7, "was low"), `{"ruleId"`, `{"level":"error","ruleId"`, 1)))
	want := []string{"R1 unchanged", "R1 unchanged", "R1 new", "R3 updated", "R2 absent", "B absent"}
	for name, pair := range map[string][2]report.Source{
		"reports": {read(t, now, nil), read(t, before, nil)},
		"files":   {open(t, now, nil), open(t, before, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := report.Compare(t.Context(), pair[0], pair[1], nil)
			require.NoError(t, err)
			assert.Equal(t, want, states(t, s))
			sum, err := report.Summarize(t.Context(), s)
			require.NoError(t, err)
			assert.Equal(t, sum.Findings, sum.New+sum.Unchanged+sum.Updated)
			assert.Equal(t, 2, sum.Absent)
			assert.Equal(t, report.StatusAbsent, s.Head().Runs[1].Status)

			back := read(t, write(t, s), nil)
			assert.Equal(t, want, states(t, back), "the states survive writing")

			s, err = report.Compare(t.Context(), pair[0], pair[1], &report.CompareOptions{DropAbsent: true})
			require.NoError(t, err)
			assert.Equal(t, want[:4], states(t, s))
			assert.Len(t, s.Head().Runs, 1)
		})
	}
}

// The baseline is of other sources: its lines say nothing about those of today.
func TestCompare_stale(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.go"), []byte("package x\n\nfunc fresh() { run(input) }\n\n\nfunc old() { run(other) }\n"), 0o644))
	before := read(t, log(run("a", result("R", "x.go", 3, "m old"))), &report.Options{Root: dir, Stale: true})
	now := read(t, log(run("a", result("R", "x.go", 3, "m fresh"), result("R", "x.go", 6, "m old"))), &report.Options{Root: dir})
	s, err := report.Compare(t.Context(), now, before, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"R new", "R unchanged"}, states(t, s))

	// Written down, identities need the sources no more.
	s, err = report.Compare(t.Context(), read(t, write(t, now), nil), read(t, write(t, before), &report.Options{Root: dir, Stale: true}), nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"R new", "R unchanged"}, states(t, s))
}

// A failed run of yesterday is not a failed run of today.
func TestCompare_oldFailure(t *testing.T) {
	before := log(`{"tool":{"driver":{"name":"a"}},"invocations":[{"executionSuccessful":false}],"results":[` + result("R", "x.go", 1, "m") + `]}`)
	s, err := report.Compare(t.Context(), read(t, log(run("a")), nil), read(t, before, nil), nil)
	require.NoError(t, err)
	assert.Equal(t, report.StatusCompleted, s.Head().Runs[0].Status)
	back := read(t, write(t, s), nil)
	assert.Equal(t, report.StatusCompleted, back.Runs[0].Status)
	assert.Equal(t, []string{"R absent"}, states(t, back))
}

// A new version of a package is the same finding, updated; a new fix too.
func TestCompare_package(t *testing.T) {
	trivy := func(installed, tag string) string {
		return log(`{"tool":{"driver":{"name":"Trivy"}},"properties":{"imageName":"app:` + tag + `"},"results":[{"ruleId":"CVE-2099-1","message":{"text":"Package: libx\nInstalled Version: ` + installed + `\nVulnerability CVE-2099-1\nSeverity: HIGH\nFixed Version: 1.9"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"app-` + tag + `"},"region":{"startLine":1}}}]}]}`)
	}
	s, err := report.Compare(t.Context(), read(t, trivy("1.0", "2"), nil), read(t, trivy("1.0", "1"), nil), nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"CVE-2099-1 unchanged"}, states(t, s))
	f := findings(t, s)[0]
	assert.Equal(t, &report.Package{Name: "libx", Installed: "1.0", Fixed: "1.9"}, f.Package)
	s, err = report.Compare(t.Context(), read(t, trivy("1.1", "2"), nil), read(t, trivy("1.0", "1"), nil), nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"CVE-2099-1 updated"}, states(t, s))
}

// Held against itself nothing has changed, however it was written down.
func TestCompare_itself(t *testing.T) {
	lodash := func(version string) report.Finding {
		return report.Finding{Rule: "CVE-1", Message: "lodash " + version, CWE: []string{"CWE-400", "CWE-1333"}, Package: &report.Package{Name: "lodash", PURL: "pkg:npm/lodash@" + version, Installed: version}}
	}
	r := &report.Report{Runs: []report.Run{{Tool: "t", Status: report.StatusCompleted}}, Findings: []report.Finding{
		lodash("4.17.1"), lodash("4.17.4"), lodash("4.17.20"),
		{Rule: "R", Message: "one", CWE: []string{"CWE-79"}, Location: report.Location{Path: "a.js", StartLine: 1}},
		{Rule: "R", Message: "two", CWE: []string{"CWE-80"}, Location: report.Location{Path: "a.js", StartLine: 2}},
		{Rule: "R", Message: "three", Location: report.Location{Path: "a.js", StartLine: 3}},
	}}
	require.NoError(t, r.Normalize(t.Context(), nil))
	for name, before := range map[string]report.Source{"in memory": r, "written": read(t, write(t, r), nil)} {
		s, err := report.Compare(t.Context(), r, before, nil)
		require.NoError(t, err)
		sum, err := report.Summarize(t.Context(), s)
		require.NoError(t, err)
		assert.Equal(t, len(r.Findings), sum.Unchanged, "%s: %v", name, states(t, s))
		assert.Zero(t, sum.Absent, name)
	}
	r.Findings[1] = lodash("4.17.5")
	now := &report.Report{Runs: r.Runs, Findings: r.Findings[:2]}
	before := read(t, write(t, r), nil)
	before.Findings[1] = before.Findings[0]
	require.NoError(t, now.Normalize(t.Context(), nil))
	s, err := report.Compare(t.Context(), now, before, &report.CompareOptions{DropAbsent: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"CVE-1 unchanged", "CVE-1 updated"}, states(t, s))
}

func TestSuppress(t *testing.T) {
	s := read(t, log(run("a", result("R1", "x.go", 1, "m"), result("R2", "dir/y.go", 1, "m"), result("R3", "z.go", 1, "m"))), nil)
	list, err := report.ParseSuppressions([]byte(`{"version":1,"suppressions":[
		{"rule":"R1","reason":"test data","by":"me","expires":"2030-01-10"},
		{"path":"dir/**","reason":"old","expires":"2029-12-31"},
		{"rule":"R3","path":"other.go","reason":"never used","expires":"2031-01-01"}]}`))
	require.NoError(t, err)
	out, result, err := report.Suppress(t.Context(), s, list, &report.SuppressOptions{Now: time.Date(2030, 1, 5, 23, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	assert.Equal(t, 1, result.Findings)
	require.Len(t, result.Expiring, 1)
	assert.Equal(t, "rule R1", result.Expiring[0].String())
	require.Len(t, result.Expired, 1)
	require.Len(t, result.Unused, 1)
	list2 := findings(t, out)
	require.NotNil(t, list2[0].Suppressed)
	assert.Equal(t, "test data", list2[0].Suppressed.Reason)
	assert.Nil(t, list2[1].Suppressed)

	back := read(t, write(t, out), nil)
	assert.Equal(t, list2[0].Suppressed, back.Findings[0].Suppressed)

	// The last day counts whole.
	_, result, err = report.Suppress(t.Context(), s, list, &report.SuppressOptions{Now: time.Date(2029, 12, 31, 23, 59, 59, 0, time.UTC)})
	require.NoError(t, err)
	assert.Empty(t, result.Expired)
	_, result, err = report.Suppress(t.Context(), s, list, &report.SuppressOptions{Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	assert.Len(t, result.Expired, 1)
}

func TestSuppress_nil(t *testing.T) {
	s, result, err := report.Suppress(t.Context(), read(t, log(run("a", result("R", "x.go", 1, "m"))), nil), nil, nil)
	require.NoError(t, err)
	assert.Zero(t, result)
	assert.Nil(t, findings(t, s)[0].Suppressed)
}

func TestParseSuppressions_invalid(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"no reason":  {`{"version":1,"suppressions":[{"rule":"a","expires":"2030-01-01"},{"rule":"b","reason":"x"}]}`, "suppressions[0]: reason is missing\nsuppressions[1]: expires is missing"},
		"everything": {`{"version":1,"suppressions":[{"reason":"x","expires":"2030-01-01"}]}`, "matches everything"},
		"unknown":    {`{"version":1,"suppressions":[{"rules":"a"}]}`, "unknown field"},
		"date":       {`{"version":1,"suppressions":[{"rule":"a","reason":"x","expires":"tomorrow"}]}`, "not like 2006-01-02"},
		"list":       {`[]`, "the file must not be a JSON array"},
		"more":       {`{"version":1,"suppressions":[]}{}`, "more text"},
		"version":    {`{"suppressions":[]}`, "version is 0"},
		"pattern":    {`{"version":1,"suppressions":[{"path":"[","reason":"x","expires":"2030-01-01"}]}`, "syntax error in pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := report.ParseSuppressions([]byte(tt.in))
			assert.ErrorContains(t, err, tt.want)
			var e *report.Error
			assert.ErrorAs(t, err, &e)
		})
	}
}

func TestParseOpenVEX(t *testing.T) {
	pkg := func(rule, purl string) report.Finding {
		return report.Finding{Rule: rule, Severity: report.SeverityHigh, Package: &report.Package{Name: "x", PURL: purl}}
	}
	r := &report.Report{
		Runs: []report.Run{{Tool: "t", Status: report.StatusCompleted, Target: "registry/app@sha256:aaaa"}, {Tool: "t", Category: "b", Status: report.StatusCompleted, Target: "registry/b@sha256:bbbb"}},
		Findings: []report.Finding{
			pkg("CVE-1", "pkg:apk/alpine/libx@1.0?arch=x86_64"), pkg("CVE-1", "pkg:apk/alpine/libx@2.0"), pkg("CVE-2", "pkg:apk/alpine/liby@1"),
			pkg("CVE-3", "pkg:npm/%40a/z@1"), pkg("CVE-4", "pkg:npm/q@1"), pkg("CVE-4", "pkg:npm/q@1"),
		},
	}
	r.Findings[5].Run = 1
	require.NoError(t, r.Normalize(t.Context(), nil))
	vex, err := report.ParseOpenVEX([]byte(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"sec","timestamp":"2024-01-01T00:00:00Z","version":1,"statements":[
		{"vulnerability":{"name":"CVE-1"},"products":[{"@id":"pkg:apk/alpine/libx@1.0"}],"status":"not_affected","justification":"vulnerable_code_not_present"},
		{"vulnerability":{"name":"CVE-2"},"timestamp":"2024-03-01T00:00:00Z","products":[{"@id":"pkg:apk/alpine/liby"}],"status":"affected"},
		{"vulnerability":{"name":"CVE-2"},"timestamp":"2024-02-01T00:00:00Z","products":[{"@id":"pkg:apk/alpine/liby"}],"status":"fixed"},
		{"vulnerability":"CVE-3","products":["pkg:npm/@a/z"],"status":"fixed"},
		{"vulnerability":{"name":"CVE-4"},"products":[{"@id":"pkg:oci/app@sha256%3Aaaaa","subcomponents":[{"@id":"pkg:npm/q"}]}],"status":"not_affected","impact_statement":"not used"}]}`))
	require.NoError(t, err)
	s, _, err := report.Suppress(t.Context(), r, vex, nil)
	require.NoError(t, err)
	var got []bool
	for _, f := range findings(t, s) {
		got = append(got, f.Suppressed != nil)
	}
	assert.Equal(t, []bool{true, false, false, true, true, false}, got, "the last is in another image")
	assert.Equal(t, "not_affected: vulnerable_code_not_present", findings(t, s)[0].Suppressed.Reason)

	for in, want := range map[string]error{
		"": report.ErrEmpty, "{": report.ErrSyntax, `{"a":1}`: report.ErrUnknownFormat,
		`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"C","status":"not_affected","products":[]}]}`: report.ErrInvalid,
		`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"C","status":"maybe","products":[]}]}`:        report.ErrInvalid,
		// What names nothing must not mean everything.
		`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"C","status":"fixed","products":[{"identifiers":{"cpe23":"cpe:2.3:a:x"}}]}]}`:                              report.ErrInvalid,
		`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"C","status":"fixed","products":[null]}]}`:                                                                 report.ErrInvalid,
		`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"C","status":"fixed","products":[{"@id":"pkg:oci/a@sha256%3Aaa","subcomponents":[{"identifiers":{}}]}]}]}`: report.ErrInvalid,
	} {
		_, err := report.ParseOpenVEX([]byte(in))
		assert.ErrorIs(t, err, want, in)
	}
}

func TestPolicy_Gate(t *testing.T) {
	sev := func(word, rule string, more string) string {
		return `{"ruleId":"` + rule + `","message":{"text":"m"},"properties":{"severity":"` + word + `"}` + more + `}`
	}
	s := read(t, log(run("codetool", sev("critical", "C", `,"baselineState":"unchanged"`), sev("high", "H", `,"baselineState":"new"`), sev("low", "L", ""),
		sev("critical", "S", `,"suppressions":[{"kind":"external"}]`), sev("critical", "P", `,"kind":"pass"`), sev("critical", "A", `,"baselineState":"absent"`))), nil)
	tests := []struct {
		name    string
		policy  report.Policy
		pass    bool
		reasons []string
	}{
		{"severity", report.Policy{Fail: []report.Clause{{Severity: report.SeverityHigh}}}, false, []string{"severity high: 2 found; the worst: critical codetool C"}},
		{"new only", report.Policy{Fail: []report.Clause{{Severity: report.SeverityHigh, NewOnly: true}}}, false, []string{"new, severity high: 1 found; the worst: high codetool H"}},
		{"new critical", report.Policy{Fail: []report.Clause{{Severity: report.SeverityCritical, NewOnly: true}}}, true, nil},
		{"max", report.Policy{Fail: []report.Clause{{Severity: report.SeverityHigh, Max: 2}}}, true, nil},
		{"every clause counts", report.Policy{Fail: []report.Clause{{Severity: report.SeverityMedium, Max: 50}, {Severity: report.SeverityCritical}}}, false, []string{"severity critical: 1 found; the worst: critical codetool C"}},
		{"in any order", report.Policy{Fail: []report.Clause{{Severity: report.SeverityCritical, Max: 1}, {Severity: report.SeverityMedium, Max: 1}}}, false, []string{"severity medium: 2 found, 1 accepted; the worst: critical codetool C"}},
		{"other tool", report.Policy{Fail: []report.Clause{{Tools: []string{"else"}}}}, true, nil},
		{"rule pattern", report.Policy{Fail: []report.Clause{{Rules: []string{"[HL]"}, Max: 1}}}, false, []string{"rule [HL]: 2 found, 1 accepted"}},
		{"required", report.Policy{RequireTools: []string{"CodeTool", "trivy"}}, false, []string{"requireTools: trivy did not run"}},
		{"tests", report.Policy{Tests: &report.TestPolicy{}}, false, []string{"tests: 0 ran, at least 1 must"}},
		{"coverage", report.Policy{Coverage: &report.CoveragePolicy{MinPercent: 50}}, false, []string{"coverage: nothing was measured"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := tt.policy.Gate(t.Context(), s)
			require.NoError(t, err)
			assert.Equal(t, tt.pass, v.Pass)
			require.Len(t, v.Reasons, len(tt.reasons))
			for i, r := range tt.reasons {
				assert.Contains(t, v.Reasons[i].String(), r)
			}
		})
	}
	v, err := report.Policy{Fail: []report.Clause{{Severity: report.SeverityHigh}}}.Gate(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"suppressed": 1, "absent": 1, "kind pass": 1, "severity below high": 1}, v.Spared)
	assert.Equal(t, 2, v.Failing)
	require.Len(t, v.Decisions, 2)
	assert.Equal(t, "C", v.Decisions[0].Rule, "the worst first")
}

// A finding has several names after Dedupe.
func TestPolicy_Decide_names(t *testing.T) {
	f := report.Finding{Tool: "one", Rule: "GHSA-1", Aliases: []string{"CVE-2024-1"}, SaidBy: []report.SaidBy{{Tool: "one", Rule: "GHSA-1"}, {Tool: "two", Rule: "B-7"}}}
	for pattern, want := range map[string]bool{"GHSA-*": true, "CVE-*": true, "B-7": true, "B-8": false} {
		assert.Equal(t, want, report.Policy{Fail: []report.Clause{{Rules: []string{pattern}}}}.Decide(f).Fails, pattern)
	}
}

func TestPolicy_Decide_paths(t *testing.T) {
	f := report.Finding{Location: report.Location{Path: "services/cart/cfg/[a].env"}}
	for pattern, want := range map[string]bool{
		"services/**": true, "services/*/**": true, "services/cart/cfg/**": true, "services/cart/cfg/[a].env/**": false, "service/**": false,
		"**": true, "**/*.env": true, "**/cfg/**": true, "services/**/*.env": true, "services/**/cart/*/*.env": true, "**/*.go": false, "**/services": false,
		"services/*/*/*.env": true, "services/*.env": false, "services/cart/cfg/[a].env": true,
	} {
		assert.Equal(t, want, report.Policy{Fail: []report.Clause{{Paths: []string{pattern}}}}.Decide(f).Fails, pattern)
	}
}

func TestPolicy_Gate_closed(t *testing.T) {
	p := report.Policy{Fail: []report.Clause{{Severity: report.SeverityCritical}}}
	for name, r := range map[string]*report.Report{
		"nothing":       {},
		"unknown":       {Runs: []report.Run{{Tool: "x"}}},
		"no results":    {Runs: []report.Run{{Tool: "x", Status: report.StatusNoResults}}},
		"failed":        {Runs: []report.Run{{Tool: "x", Status: report.StatusFailed, Reason: "boom"}}},
		"only old":      {Runs: []report.Run{{Tool: "x", Status: report.StatusAbsent}}},
		"unknown grade": {Runs: []report.Run{{Tool: "x", Status: report.StatusCompleted}}, Findings: []report.Finding{{Rule: "r"}}},
	} {
		v, err := p.Gate(t.Context(), r)
		require.NoError(t, err, name)
		assert.False(t, v.Pass, name)
		assert.NotEmpty(t, v.Reasons, name)
	}
	v, err := report.Policy{Fail: p.Fail, AllowIncomplete: []string{"X"}}.Gate(t.Context(), &report.Report{Runs: []report.Run{{Tool: "x", Status: report.StatusFailed}}})
	require.NoError(t, err)
	assert.True(t, v.Pass)

	_, err = report.Policy{}.Gate(t.Context(), &report.Report{})
	assert.ErrorIs(t, err, report.ErrInvalid)
	v, err = p.Gate(t.Context(), cancelled{})
	require.Error(t, err)
	assert.False(t, v.Pass)
}

func TestParsePolicy(t *testing.T) {
	p, err := report.ParsePolicy([]byte(`{"version":1,"fail":[{"severity":"high","newOnly":true,"cwe":["CWE-79"]}],"requireTools":["trivy"],"tests":{"maxFailed":1},"coverage":{"minPercent":79.5}}`))
	require.NoError(t, err)
	assert.Equal(t, report.SeverityHigh, p.Fail[0].Severity)
	for in, want := range map[string]string{
		``:                                   "empty",
		`{"version":1}`:                      "asks for nothing",
		`{"version":2,"fail":[{}]}`:          "version is 2",
		`{"version":1,"fails":[{}]}`:         "unknown field",
		`[]`:                                 "the file must not be a JSON array",
		`{"version":1,"fail":[{"max":"3"}]}`: "fail.max must not be a JSON string",
		`{"version":1,"fail":[{"severity":"HIGH"}]}`:                                                "none of critical",
		`{"version":1,"fail":[{"max":-1,"cwe":["x"],"paths":["["]}],"coverage":{"minPercent":101}}`: "fail[0].max is negative\nfail[0].cwe",
	} {
		_, err := report.ParsePolicy([]byte(in))
		assert.ErrorContains(t, err, want, in)
	}
}

func TestWriteCSV(t *testing.T) {
	r := &report.Report{Runs: []report.Run{{Tool: "=cmd()", Status: report.StatusCompleted}}, Findings: []report.Finding{
		{Rule: "R", Message: "=HYPERLINK(\"x\")\nsecond, line", Location: report.Location{Path: " @a", StartLine: 3}},
		{Rule: "-1+1", Message: "\t=1\x00", CWE: []string{"CWE-1", "CWE-2"}},
	}}
	require.NoError(t, r.Normalize(t.Context(), nil))
	var b bytes.Buffer
	require.NoError(t, report.WriteCSV(t.Context(), &b, r))
	rows, err := csv.NewReader(&b).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3)
	for _, row := range rows[1:] {
		for _, c := range row {
			if c != "" {
				assert.NotContains(t, "=+-@\t\r\n", c[:1], c)
				assert.NotContains(t, c, "\x00")
			}
		}
	}
	assert.Equal(t, "'=HYPERLINK(\"x\") second, line", rows[1][18])
	assert.Equal(t, "CWE-1 CWE-2", rows[2][13])
}

// What a report says is no command to the CI system that shows it: not in what is printed, nor in an error.
func TestHarmlessInLogs(t *testing.T) {
	for _, evil := range sample.Evil {
		r := sample.Hostile(t, evil)
		sum, err := report.Summarize(t.Context(), r)
		require.NoError(t, err)
		v, err := report.Policy{Fail: []report.Clause{{}}}.Gate(t.Context(), r)
		require.NoError(t, err)
		sum.Judge(v)
		var out bytes.Buffer
		require.NoError(t, json.NewEncoder(&out).Encode(sum))
		require.NoError(t, report.WriteCSV(t.Context(), &out, r))
		require.NoError(t, report.WriteJSONLines(t.Context(), &out, r))
		fmt.Fprintln(&out, &report.Error{Op: "read", Subject: "x", Err: errors.New(strconv.Quote(evil))})
		for line := range strings.Lines(out.String()) {
			assert.NotContains(t, strings.ToLower(line), "##vso[", "%q", evil)
			assert.NotContains(t, line, "##[", "%q", evil)
			assert.False(t, strings.HasPrefix(strings.TrimSpace(line), "::"), "%q: %s", evil, line)
		}
		// Nothing is lost on the way.
		var back report.Summary
		doc, err := json.Marshal(sum)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(doc, &back))
		assert.Equal(t, strings.ToValidUTF8(sum.Runs[0].Version, "\ufffd"), back.Runs[0].Version)
	}
}

func TestWriteJSONLines(t *testing.T) {
	r := read(t, log(run("a", result("R", "x.go", 1, "</script>"), result("R", "x.go", 2, "b"))), nil)
	var b bytes.Buffer
	require.NoError(t, report.WriteJSONLines(t.Context(), &b, r))
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	require.Len(t, lines, 2)
	assert.NotContains(t, lines[0], "</script>")
	var f report.Finding
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &f))
	assert.Equal(t, r.Findings[0].Identity, f.Identity)
}

func TestTrim(t *testing.T) {
	sev := func(word string, n int) string {
		return fmt.Sprintf(`{"ruleId":"%s%d","message":{"text":"m"},"properties":{"severity":%q}}`, word, n, word)
	}
	text := log(run("a", sev("low", 1), sev("high", 1), sev("low", 2), sev("critical", 1), sev("high", 2), strings.Replace(sev("critical", 9), "{", `{"suppressions":[{"kind":"external"}],`, 1)),
		run("b", sev("low", 3)), run("c", sev("critical", 4)))
	for _, s := range []report.Source{read(t, text, nil), open(t, text, nil)} {
		out, dropped, err := report.Trim(t.Context(), s, report.Limits{Results: 3, Runs: 2})
		require.NoError(t, err)
		var rules []string
		for _, f := range findings(t, out) {
			rules = append(rules, f.Rule)
		}
		assert.Equal(t, []string{"high1", "critical1", "high2", "critical4"}, rules)
		assert.Equal(t, report.Trimmed{Runs: 1, Results: 4}, dropped)
	}

	big := read(t, log(`{"tool":{"driver":{"name":"x","rules":[{"id":"r","properties":{"tags":["a","b","c"]}},{"id":"unused"}]}},"results":[{"ruleId":"r","ruleIndex":0,"message":{"text":"m"},"locations":[`+
		strings.Repeat(`{"id":1},`, 9)+`{"id":2}]}]}`), nil)
	out, _, err := report.Trim(t.Context(), big, report.Limits{Locations: 4, Tags: 2, Rules: 1})
	require.NoError(t, err)
	got := write(t, out)
	assert.Equal(t, 4, strings.Count(got, `{"id":1}`))
	assert.Contains(t, got, `"tags":["a","b"]`)
	assert.NotContains(t, got, "unused")

	var noise strings.Builder
	for i := range 400 {
		if i > 0 {
			noise.WriteByte(',')
		}
		noise.WriteString(result(fmt.Sprint("R", i*7919%1000), "x.go", i+1, fmt.Sprint(i*104729)))
	}
	out, dropped, err := report.Trim(t.Context(), read(t, log(run("a", noise.String())), nil), report.Limits{GzipBytes: 4096})
	require.NoError(t, err)
	assert.Positive(t, dropped.Results)
	assert.NotEmpty(t, findings(t, out))
}

// A score is what a file says, and a file may say anything.
func TestTrim_hostileScore(t *testing.T) {
	odd := strings.Replace(result("R", "x.go", 1, "m"), "{", `{"properties":{"waybill":{"severity":"critical","score":300}},`, 1)
	r := read(t, log(run("a", odd, strings.Replace(odd, "300", "-300", 1))), nil)
	assert.Zero(t, r.Findings[0].Score)
	r.Findings[0].Score, r.Findings[1].Score = 1e9, math.NaN()
	r.Findings = append(r.Findings, report.Finding{Rule: "odd", Severity: 255})
	out, _, err := report.Trim(t.Context(), r, report.Limits{Results: 2})
	require.NoError(t, err)
	assert.Len(t, findings(t, out), 2)
}

// The schemas know exactly the members that are written.
func TestSchemas(t *testing.T) {
	type node struct {
		Properties map[string]json.RawMessage
		Required   []string
		Defs       map[string]json.RawMessage `json:"$defs"`
	}
	names := func(v any) []string {
		var list []string
		for f := range reflect.TypeOf(v).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.IsExported() && name != "-" && name != "" {
				list = append(list, name)
			}
		}
		slices.Sort(list)
		return list
	}
	parse := func(text string) node {
		var n node
		require.NoError(t, json.Unmarshal([]byte(text), &n))
		return n
	}
	keys := func(n node) []string {
		var list []string
		for k := range n.Properties {
			if k != "$schema" && k != "version" {
				list = append(list, k)
			}
		}
		slices.Sort(list)
		return list
	}
	assert.Equal(t, names(report.Finding{}), keys(parse(report.FindingSchema())))
	assert.Equal(t, names(report.Summary{}), keys(parse(report.SummarySchema())))
	policy := parse(report.PolicySchema())
	assert.Equal(t, names(report.Policy{}), keys(policy))
	assert.Equal(t, names(report.Clause{}), keys(parse(string(policy.Defs["clause"]))))
	entry := parse(string(parse(report.SuppressionsSchema()).Defs["entry"]))
	assert.Equal(t, names(report.SuppressionEntry{}), keys(entry))
	sub := parse(string(parse(report.FindingSchema()).Properties["location"]))
	assert.Equal(t, names(report.Location{}), keys(sub))
}
