package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/owenrumney/go-sarif/v2/sarif"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

// log puts runs into a SARIF log.
func log(runs ...string) string {
	return `{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[` + strings.Join(runs, ",") + `]}`
}

func read(t *testing.T, text string, o *report.Options) *report.Report {
	t.Helper()
	r, err := report.ReadSARIF(t.Context(), strings.NewReader(text), o)
	require.NoError(t, err)
	return r
}

// open puts text into a file and opens it.
func open(t *testing.T, text string, o *report.Options) *report.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.sarif")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	f, err := report.OpenSARIF(t.Context(), path, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

func write(t *testing.T, s report.Source) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.WriteSARIF(t.Context(), &b, s))
	require.True(t, json.Valid(b.Bytes()), b.String())
	return b.String()
}

func findings(t *testing.T, s report.Source) []report.Finding {
	t.Helper()
	var list []report.Finding
	for f, err := range s.All(context.Background()) {
		require.NoError(t, err)
		list = append(list, f)
	}
	return list
}

const codeRun = `{
  "tool": {"driver": {"name": "codetool", "version": "2.0", "informationUri": "https://example.org",
    "rules": [
      {"id": "A1", "shortDescription": {"text": "A one"}, "helpUri": "https://example.org/A1", "defaultConfiguration": {"level": "error"},
       "messageStrings": {"m": {"text": "bad {0} in {{x}}"}}, "properties": {"security-severity": "9.1", "tags": ["external/cwe/cwe-089"]}},
      {"id": "A2", "properties": {"problem.severity": "recommendation"}}
    ]}},
  "automationDetails": {"id": "backend/"},
  "artifacts": [{"location": {"uri": "src/a.go", "uriBaseId": "SRC"}}, {"location": {"uri": "src/b.go"}}],
  "originalUriBaseIds": {"SRC": {"uri": "file:///build/"}},
  "x-unknown": {"kept": [1, 2]},
  "results": [
    {"ruleIndex": 0, "message": {"id": "m", "arguments": ["query"]}, "locations": [{"physicalLocation": {"artifactLocation": {"index": 0}, "region": {"startLine": 7, "startColumn": 3}}}], "x-own": {"a": null}},
    {"ruleId": "A2/sub", "kind": "pass", "message": {"text": "fine"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "file:///build/src/c%20d.go"}, "region": {"startLine": 1}}}]},
    {"ruleId": "A2", "level": "note", "message": {"text": "odd"}, "suppressions": [{"kind": "inSource", "status": "underReview"}]},
    {"ruleId": "A2", "message": {"text": "gone"}, "baselineState": "absent"},
    {"ruleId": "Z9", "message": {"text": "ok"}, "suppressions": [{"kind": "external", "justification": "because", "status": null, "guid": null}]}
  ]
}`

func TestReadSARIF(t *testing.T) {
	r := read(t, log(codeRun), &report.Options{Root: "/build"})
	require.Len(t, r.Runs, 1)
	run := r.Runs[0]
	assert.Equal(t, "codetool", run.Tool)
	assert.Equal(t, "2.0", run.Version)
	assert.Equal(t, "backend", run.Category)
	assert.Equal(t, report.StatusCompleted, run.Status)
	require.Len(t, r.Findings, 5)

	f := r.Findings[0]
	assert.Equal(t, "A1", f.Rule)
	assert.Equal(t, "bad query in {x}", f.Message)
	assert.Equal(t, report.SeverityCritical, f.Severity)
	assert.Equal(t, "score", f.SeverityFrom)
	assert.InDelta(t, 9.1, f.Score, 0.001)
	assert.Equal(t, report.LevelError, f.Level)
	assert.Equal(t, "src/a.go", f.Location.Path)
	assert.Equal(t, 7, f.Location.StartLine)
	assert.Equal(t, []string{"CWE-89"}, f.CWE)
	assert.Equal(t, "A one", f.Title)

	f = r.Findings[1]
	assert.Equal(t, report.KindPass, f.Kind)
	assert.Equal(t, report.LevelNone, f.Level)
	assert.Equal(t, report.SeverityInfo, f.Severity)
	assert.Equal(t, "src/c d.go", f.Location.Path)

	f = r.Findings[2]
	assert.Equal(t, report.LevelNote, f.Level)
	assert.Equal(t, report.SeverityInfo, f.Severity, "the word of the rule")
	assert.Nil(t, f.Suppressed, "under review is still shown")

	assert.Equal(t, report.StateAbsent, r.Findings[3].State)
	require.NotNil(t, r.Findings[4].Suppressed)
	assert.Equal(t, "because", r.Findings[4].Suppressed.Reason)
	assert.Equal(t, report.LevelWarning, r.Findings[4].Level, "the default of SARIF")
}

// What a file has and we do not know survives; so does everything that needs no change.
func TestWriteSARIF_lossless(t *testing.T) {
	for name, s := range map[string]report.Source{
		"report": read(t, log(codeRun), &report.Options{Root: "/build"}),
		"file":   open(t, log(codeRun), &report.Options{Root: "/build"}),
	} {
		t.Run(name, func(t *testing.T) {
			out := write(t, s)
			assert.Contains(t, out, `"x-unknown":{"kept":[1,2]}`)
			assert.Contains(t, out, `"x-own":{"a":null}`)
			assert.Contains(t, out, `"uri":"src/c%20d.go"`)
			assert.Equal(t, 5, strings.Count(out, `"suppressions":[`))
			assert.Equal(t, 5, strings.Count(out, `"waybillIdentity/v1"`))
			assert.NotContains(t, out, `"status":null`)
			again := write(t, read(t, out, nil))
			assert.Equal(t, out, again, "writing what was written changes nothing")
		})
	}
}

func TestReadSARIF_errors(t *testing.T) {
	tests := []struct {
		name, in string
		want     error
	}{
		{"empty", "", report.ErrEmpty},
		{"white space", " \n ", report.ErrEmpty},
		{"null", "null", report.ErrUnknownFormat},
		{"array", "[]", report.ErrUnknownFormat},
		{"other object", `{"a":1}`, report.ErrUnknownFormat},
		{"old version", `{"version":"2.0.0","runs":[]}`, report.ErrUnsupported},
		{"no version", `{"runs":[]}`, report.ErrUnsupported},
		{"truncated", log(codeRun)[:500], report.ErrTruncated},
		{"truncated in a string", log(`{"tool":{"driver":{"name":"x`)[:80], report.ErrTruncated},
		{"broken", `{"version":"2.1.0","runs":[{]}`, report.ErrSyntax},
		{"more behind", log() + "x", report.ErrSyntax},
		{"two logs", log() + log(), report.ErrSyntax},
		{"invalid UTF-8", "{\"version\":\"2.1.0\",\"x\":\"\xff\"}", report.ErrSyntax},
		{"NUL", "{\"version\":\"2.1.0\",\"x\":\"\x00\"}", report.ErrSyntax},
		{"UTF-16", "\xff\xfe{\x00", report.ErrUnsupported},
		{"deep", `{"version":"2.1.0","runs":` + strings.Repeat("[", 100_000), report.ErrTooLarge},
		{"deep result", log(`{"tool":{"driver":{"name":"x"}},"results":[` + strings.Repeat(`{"a":`, 100_000)), report.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := report.ReadSARIF(t.Context(), strings.NewReader(tt.in), nil)
			require.ErrorIs(t, err, tt.want)
			var e *report.Error
			require.ErrorAs(t, err, &e)
			assert.LessOrEqual(t, len(err.Error()), 300)
			path := filepath.Join(t.TempDir(), "f")
			require.NoError(t, os.WriteFile(path, []byte(tt.in), 0o644))
			_, err = report.OpenSARIF(t.Context(), path, nil)
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestReadSARIF_caps(t *testing.T) {
	big := log(`{"tool":{"driver":{"name":"x"}},"results":[{"message":{"text":"` + strings.Repeat("a", 1<<20) + `"}}]}`)
	_, err := report.ReadSARIF(t.Context(), strings.NewReader(big), &report.Options{MaxBytes: 1000})
	require.ErrorIs(t, err, report.ErrTooLarge)
	assert.ErrorContains(t, err, "Options.MaxBytes")
	value := strings.Repeat("a", 1<<20)
	for name, text := range map[string]string{
		"a result":          big,
		"the log's bag":     `{"version":"2.1.0","properties":{"a":"` + value + `"},"runs":[]}`,
		"the tool":          log(`{"tool":{"driver":{"name":"` + value + `"}}}`),
		"a name":            `{"` + value + `":1}`,
		"an artifact":       log(`{"artifacts":[{"contents":{"text":"` + value + `"}}]}`),
		"a number":          log(`{"results":[` + strings.Repeat("1", 1<<20) + `]}`),
		"an unknown member": log(`{"more":{"a":["` + value + `"]}}`),
	} {
		_, err := report.ReadSARIF(t.Context(), strings.NewReader(text), &report.Options{MaxValueBytes: 1000})
		require.ErrorIs(t, err, report.ErrTooLarge, name)
		assert.ErrorContains(t, err, "Options.MaxValueBytes", name)
	}
}

func TestReadSARIF_counts(t *testing.T) {
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat("{},", n), ",") }
	for want, text := range map[string]string{
		"more than 10000 runs":      log(many(10_001)),
		"more than 200000 rules":    log(`{"tool":{"driver":{"rules":[` + many(200_002) + `]}}}`),
		"extensions in a run":       log(`{"tool":{"driver":{},"extensions":[` + many(200_002) + `]}}`),
		"more than 1000000 artifac": log(`{"artifacts":[` + many(1_000_001) + `]}`),
	} {
		_, err := report.ReadSARIF(t.Context(), strings.NewReader(text), nil)
		require.ErrorIs(t, err, report.ErrTooLarge)
		assert.ErrorContains(t, err, want)
	}
	assert.Len(t, read(t, log(`{"results":[`+many(50_000)+`]}`), nil).Findings, 50_000)
}

// Whatever is odd is read, and counted.
func TestReadSARIF_odd(t *testing.T) {
	r := read(t, "\xef\xbb\xbf"+log(
		`{"results":[{}, null, 7, {"ruleId":7,"message":"text","level":"WRONG","locations":{},"ruleIndex":99999999999999999999}]}`,
		`{"tool":{"driver":{"name":"a"}},"results":null}`,
		`{"tool":{"driver":{"name":"b"}}}`,
		`{"tool":{"driver":{"name":"c"}},"results":[],"results":[{"ruleId":"r"}]}`,
		`7`,
	), nil)
	require.Len(t, r.Runs, 4)
	assert.Len(t, r.Findings, 5)
	assert.Equal(t, report.StatusCompleted, r.Runs[0].Status)
	assert.Equal(t, report.StatusNoResults, r.Runs[1].Status)
	assert.Equal(t, report.StatusNoResults, r.Runs[2].Status)
	assert.Equal(t, []report.Unplaced{
		{Reason: "result that is no object", Count: 2},
		{Reason: "result without a rule", Count: 1},
		{Reason: "result without a message", Count: 2},
		{Reason: "member of a result with a value that means nothing", Count: 5},
		{Reason: "run without a tool", Count: 1},
		{Tool: "c", Reason: "member of a run repeated", Count: 1},
		{Tool: "c", Reason: "result without a message", Count: 1},
		{Reason: "run that is no object", Count: 1},
	}, r.Unplaced)
	write(t, r)
}

// A line that no file has is not known, and counted.
func TestReadSARIF_oddRegion(t *testing.T) {
	region := func(numbers string) string {
		return `{"ruleId":"r","message":{"text":"m"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{` + numbers + `}}}]}`
	}
	r := read(t, log(run("a",
		region(`"startLine":1e99,"endLine":-5`), region(`"startLine":7,"startColumn":"8"`), region(`"startLine":99999999999,"endLine":1.5`),
		region(`"startLine":7.0,"startColumn":0,"endLine":null`), region(`"startLine":3,"endLine":4`))), nil)
	assert.Equal(t, []report.Unplaced{{Tool: "a", Reason: "line or column that is no place", Count: 5}}, r.Unplaced)
	var lines [][2]int
	for _, f := range r.Findings {
		lines = append(lines, [2]int{f.Location.StartLine, f.Location.EndLine})
	}
	assert.Equal(t, [][2]int{{0, 0}, {7, 7}, {0, 0}, {7, 7}, {3, 4}}, lines)
}

// A word that means nothing makes nothing harmless, and is counted.
func TestReadSARIF_oddKind(t *testing.T) {
	r := read(t, log(run("a",
		`{"ruleId":"r","kind":"Fail","level":"error","message":{"text":"m"}}`, `{"ruleId":"r","kind":"Fail","message":{"text":"m"}}`,
		`{"ruleId":"r","kind":"notApplicable","baselineState":"New","message":{"text":"m"}}`)), nil)
	assert.Equal(t, report.SeverityHigh, r.Findings[0].Severity)
	assert.Equal(t, report.SeverityMedium, r.Findings[1].Severity)
	assert.Equal(t, report.SeverityInfo, r.Findings[2].Severity)
	assert.Equal(t, []report.Unplaced{{Tool: "a", Reason: "member of a result with a value that means nothing", Count: 3}}, r.Unplaced)
}

// A suppression ends, also when it stands in the log.
func TestReadSARIF_expired(t *testing.T) {
	in := func(expiry string) string {
		return log(run("a", strings.Replace(result("R", "x.go", 1, "m"), "{", `{"suppressions":[{"kind":"external","guid":"g","properties":{"expiryUtc":"`+expiry+`"}}],`, 1)))
	}
	for _, tt := range []struct {
		expiry, now string
		want        bool
	}{
		{"2030-01-10T00:00:00Z", "2030-01-10T23:59:59Z", true}, // our own: the last day
		{"2030-01-10T00:00:00.000Z", "2030-01-11T00:00:00Z", false},
		{"2030-01-10T12:00:00+02:00", "2030-01-10T09:59:59Z", true},
		{"2030-01-10T12:00:00+02:00", "2030-01-10T10:00:00Z", false},
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		require.NoError(t, err)
		r := read(t, in(tt.expiry), &report.Options{Now: now})
		assert.Equal(t, tt.want, r.Findings[0].Suppressed != nil, "%v", tt)
		out := write(t, r)
		assert.Equal(t, tt.want, strings.Contains(out, `"guid":"g"`), "%v: %s", tt, out)
		back := read(t, out, &report.Options{Now: now.AddDate(-1, 0, 0)})
		assert.Equal(t, r.Findings[0].Suppressed, back.Findings[0].Suppressed, "%v", tt)
	}
	assert.Nil(t, read(t, in("2020-01-01T00:00:00Z"), nil).Findings[0].Suppressed)

	// Accepted anew.
	r := read(t, in("2020-01-01T00:00:00Z"), nil)
	r.Findings[0].Suppressed = &report.Suppression{Kind: "external", Reason: "again", From: "suppressions"}
	assert.Equal(t, r.Findings[0].Suppressed, read(t, write(t, r), nil).Findings[0].Suppressed)
}

// How a run ended is not forgotten, however often it is written.
func TestWriteSARIF_status(t *testing.T) {
	for _, status := range []report.Status{report.StatusUnknown, report.StatusCompleted, report.StatusNoResults, report.StatusFailed, report.StatusAbsent} {
		made := &report.Report{Runs: []report.Run{{Tool: "a", Status: status, Reason: "why"}}}
		mixed := report.Join(made, read(t, log(run("a")), nil)) // the note is all that says it
		want := mixed.Head().Runs[0].Status
		for name, s := range map[string]report.Source{"made": made, "mixed": mixed} {
			want := want
			if name == "made" {
				want = status
			}
			for range 3 {
				s = open(t, write(t, s), nil)
				assert.Equal(t, want, s.Head().Runs[0].Status, "%s %q", name, status)
			}
			s = open(t, write(t, report.Join(s, s)), nil)
			assert.Equal(t, want, s.Head().Runs[0].Status, "%s %q, joined", name, status)
		}
	}
}

// What the rule gets so that GitHub sorts by it is no score of the finding, and its commit is not the result's.
func TestWriteSARIF_own(t *testing.T) {
	r := &report.Report{Runs: []report.Run{{Tool: "gitleaks", Status: report.StatusCompleted}}, Findings: []report.Finding{
		{Rule: "key", Title: "a key", Category: report.CategorySecret, Severity: report.SeverityHigh, Location: report.Location{Path: "a.env", StartLine: 3, EndLine: 3, Commit: "abc"}},
		{Rule: "R", Title: "m", Score: 9.1, Location: report.Location{Path: "a.go", StartLine: 3, EndLine: 3}},
		{Rule: "R", Title: "n", Severity: report.SeverityLow, Location: report.Location{Path: "a.go"}},
		{Rule: "R", Title: "own", Severity: report.SeverityLow},
	}}
	require.NoError(t, r.Normalize(t.Context(), nil))
	s := write(t, r)
	for range 3 {
		back := read(t, s, nil)
		for i, f := range back.Findings {
			was := r.Findings[i]
			assert.Equal(t, []any{was.Score, was.Severity, was.SeverityFrom, was.Title, was.Location}, []any{f.Score, f.Severity, f.SeverityFrom, f.Title, f.Location})
		}
		s = write(t, back)
	}
}

func TestReadSARIF_failedRun(t *testing.T) {
	r := read(t, log(`{"tool":{"driver":{"name":"x"}},"invocations":[{"executionSuccessful":false,"exitCodeDescription":"out of memory"}],"results":[]}`), nil)
	assert.Equal(t, report.StatusFailed, r.Runs[0].Status)
	assert.Contains(t, r.Runs[0].Reason, "out of memory")
	v, err := report.Policy{Fail: []report.Clause{{Severity: report.SeverityHigh}}}.Gate(t.Context(), r)
	require.NoError(t, err)
	assert.False(t, v.Pass)
	assert.Contains(t, v.Reasons[0].String(), "out of memory")
}

// Two runs of one tool and category become one; every reference still means the same thing.
func TestMerge(t *testing.T) {
	other := `{
	  "tool": {"driver": {"name": "CodeTool", "version": "2.1", "rules": [{"id": "B1", "defaultConfiguration": {"level": "note"}}, {"id": "A1"}]}},
	  "automationDetails": {"id": "backend"},
	  "artifacts": [{"location": {"uri": "src/b.go"}}, {"location": {"uri": "new.go", "index": 1}}],
	  "originalUriBaseIds": {"SRC": {"uri": "file:///elsewhere/"}},
	  "threadFlowLocations": [{"location": {"physicalLocation": {"artifactLocation": {"index": 1}}}}],
	  "results": [
	    {"rule": {"index": 0}, "message": {"text": "x"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "new.go", "uriBaseId": "SRC", "index": 1}}}],
	     "codeFlows": [{"threadFlows": [{"locations": [{"index": 0}]}]}]},
	    {"ruleId": "A1", "ruleIndex": 1, "message": {"text": "y"}, "locations": [{"physicalLocation": {"artifactLocation": {"index": 0}}}]}
	  ]}`
	third := `{"tool":{"driver":{"name":"other"}},"results":[]}`
	var b bytes.Buffer
	sum, err := report.Merge(t.Context(), &b, []report.Source{open(t, log(codeRun), nil), read(t, log(other, third), nil)}, nil)
	require.NoError(t, err)
	require.True(t, json.Valid(b.Bytes()), b.String())
	assert.Len(t, sum.Runs, 2)
	assert.Equal(t, 5, sum.Findings)
	assert.Equal(t, 1, sum.Absent)
	assert.Equal(t, 1, sum.Suppressed)

	var out struct {
		Runs []struct {
			Tool struct {
				Driver struct {
					Rules []struct{ ID string }
				}
			}
			Artifacts []struct {
				Location struct {
					URI   string
					Index *int
				}
			}
			OriginalURIBaseIDs  map[string]struct{ URI string }
			ThreadFlowLocations []struct {
				Location struct {
					PhysicalLocation struct{ ArtifactLocation struct{ Index int } }
				}
			}
			Results []struct {
				RuleIndex *int
				Rule      *struct{ Index int }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct {
							URI, URIBaseID string
							Index          *int
						}
					}
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &out))
	run := out.Runs[0]
	require.Len(t, run.Tool.Driver.Rules, 3)
	assert.Equal(t, "B1", run.Tool.Driver.Rules[2].ID)
	require.Len(t, run.Artifacts, 3)
	assert.Equal(t, "new.go", run.Artifacts[2].Location.URI)
	assert.Equal(t, 2, *run.Artifacts[2].Location.Index)
	assert.Equal(t, "file:///elsewhere/", run.OriginalURIBaseIDs["SRC-2"].URI)
	require.Len(t, run.Results, 7)
	assert.Equal(t, 2, run.Results[5].Rule.Index)
	assert.Equal(t, 2, *run.Results[5].Locations[0].PhysicalLocation.ArtifactLocation.Index)
	assert.Equal(t, "SRC-2", run.Results[5].Locations[0].PhysicalLocation.ArtifactLocation.URIBaseID)
	assert.Equal(t, 0, *run.Results[6].RuleIndex)
	assert.Equal(t, 1, *run.Results[6].Locations[0].PhysicalLocation.ArtifactLocation.Index)
	assert.Equal(t, 2, run.ThreadFlowLocations[0].Location.PhysicalLocation.ArtifactLocation.Index)

	// What we wrote reads as what we had.
	back := read(t, b.String(), nil)
	assert.Len(t, back.Findings, 7)
	assert.Equal(t, "B1", back.Findings[5].Rule)
	assert.Equal(t, "src/b.go", back.Findings[6].Location.Path)
}

// A file may hold several runs of a tool; GitHub takes no more than one of a category.
func TestMerge_oneFile(t *testing.T) {
	in := log(run("a", result("R1", "x.go", 1, "m")), run("b"), run("A", result("R2", "y.go", 2, "n")))
	for name, s := range map[string]report.Source{"report": read(t, in, nil), "file": open(t, in, nil)} {
		var b bytes.Buffer
		sum, err := report.Merge(t.Context(), &b, []report.Source{s}, nil)
		require.NoError(t, err)
		assert.Len(t, sum.Runs, 2, name)
		assert.Equal(t, 2, sum.Findings, name)
		back := read(t, b.String(), nil)
		require.Len(t, back.Runs, 2, name)
		assert.Equal(t, []string{"R1", "R2"}, []string{back.Findings[0].Rule, back.Findings[1].Rule}, name)
	}
	s := read(t, log(run("a"), run("b")), nil)
	assert.Same(t, s, report.Join(s), "nothing to join")
}

// A tool that ran only for the baseline says nothing about the same tool that ran.
func TestJoin_absent(t *testing.T) {
	for _, order := range [][]report.Status{{report.StatusAbsent, report.StatusCompleted}, {report.StatusCompleted, report.StatusAbsent}} {
		s := report.Join(&report.Report{Runs: []report.Run{{Tool: "a", Status: order[0]}}}, &report.Report{Runs: []report.Run{{Tool: "a", Status: order[1]}}})
		assert.Equal(t, report.StatusCompleted, s.Head().Runs[0].Status)
	}
}

// Some tools number artifacts and rules that they do not list. Such a number must not point at those of another run.
func TestJoin_danglingIndex(t *testing.T) {
	run := func(lists, rules, uri string) string {
		return log(`{"tool":{"driver":{"name":"a"` + rules + `}}` + lists + `,"results":[{"ruleId":"` + uri + `","ruleIndex":0,"message":{"text":"m"},` +
			`"locations":[{"physicalLocation":{"artifactLocation":{"uri":"` + uri + `","index":0}}}]}]}`)
	}
	full := read(t, run(`,"artifacts":[{"location":{"uri":"full.go"}}]`, `,"rules":[{"id":"full.go"}]`, "full.go"), nil)
	bare := read(t, run("", "", "bare.go"), nil)
	for _, s := range []report.Source{report.Join(full, bare), report.Join(bare, full)} {
		out := write(t, s)
		assert.Contains(t, out, `{"uri":"full.go","index":0}`)
		assert.Contains(t, out, `{"uri":"bare.go","index":-1}`)
		assert.Equal(t, 1, strings.Count(out, `"ruleIndex":-1`))
		back := read(t, out, nil)
		assert.ElementsMatch(t, []string{"full.go", "bare.go"}, []string{back.Findings[0].Rule, back.Findings[1].Rule})
	}
	assert.Contains(t, write(t, bare), `{"uri":"bare.go","index":0}`, "a run by itself stays as it is")
}

// The category that the caller gives a run is written, whatever it was read with.
func TestWriteSARIF_category(t *testing.T) {
	plain := func() *report.Report { return read(t, log(run("a", result("R", "x.go", 1, "m"))), nil) }
	named := func() *report.Report {
		return read(t, log(`{"tool":{"driver":{"name":"a"}},"automationDetails":{"id":"old/","guid":"g"},"results":[`+result("S", "y.go", 1, "m")+`]}`), nil)
	}
	give := func(r *report.Report, category string) *report.Report {
		r.Runs[0].Category = category
		return r
	}
	for name, tt := range map[string]struct {
		s          report.Source
		want, text string
	}{
		"kept":            {named(), "old", `"automationDetails":{"id":"old/","guid":"g"}`},
		"given":           {give(plain(), "new"), "new", `"automationDetails":{"id":"new/"}`},
		"changed":         {give(named(), "new"), "new", `"automationDetails":{"id":"new/","guid":"g"}`},
		"taken":           {give(named(), ""), "", `"automationDetails":{"guid":"g"}`},
		"joined, given":   {report.Join(give(plain(), "new"), give(plain(), "new")), "new", `"automationDetails":{"id":"new/"}`},
		"joined, changed": {report.Join(give(plain(), "new"), give(named(), "new")), "new", `"automationDetails":{"id":"new/","guid":"g"}`},
	} {
		t.Run(name, func(t *testing.T) {
			out := write(t, tt.s)
			assert.Contains(t, out, tt.text)
			assert.Equal(t, 1, strings.Count(out, "automationDetails"))
			back := read(t, out, nil)
			assert.Equal(t, tt.want, back.Runs[0].Category)
			s, err := report.Compare(t.Context(), tt.s, back, nil)
			require.NoError(t, err)
			sum, err := report.Summarize(t.Context(), s)
			require.NoError(t, err)
			assert.Equal(t, sum.Findings, sum.Unchanged)
		})
	}
}

func TestDedupe(t *testing.T) {
	res := func(tool, rule, cwe, sev string, line int) string {
		return fmt.Sprintf(`{"tool":{"driver":{"name":%q}},"results":[{"ruleId":%q,"message":{"text":"m"},"properties":{"cwe":%q,"severity":%q},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":%d,"snippet":{"text":"exec(x)"}}}}]}]}`, tool, rule, cwe, sev, line)
	}
	s, err := report.Dedupe(t.Context(), report.Join(
		read(t, log(res("one", "R1", "CWE-78", "low", 3)), nil),
		read(t, log(res("two", "S9", "78", "high", 3)), nil),
		read(t, log(res("three", "T", "CWE-79", "high", 3)), nil)))
	require.NoError(t, err)
	list := findings(t, s)
	require.Len(t, list, 2)
	assert.Equal(t, []report.SaidBy{{Tool: "one", Rule: "R1"}, {Tool: "two", Rule: "S9"}}, list[0].SaidBy)
	assert.Equal(t, report.SeverityHigh, list[0].Severity, "joining hides nothing")
	assert.Equal(t, list, findings(t, s), "again the same")
	back := read(t, write(t, s), nil)
	assert.Equal(t, list[0].SaidBy, back.Findings[0].SaidBy)
	assert.Equal(t, report.SeverityHigh, back.Findings[0].Severity)
}

// The first of the same tool stays, with what is worst about all.
func TestDedupe_worst(t *testing.T) {
	pkg := func(state report.BaselineState, installed, fixed string) report.Finding {
		return report.Finding{Rule: "CVE-1", State: state, Severity: report.SeverityHigh, Package: &report.Package{Name: "log4j", PURL: "pkg:maven/a/log4j@" + installed, Fixed: fixed}}
	}
	p := report.Policy{Fail: []report.Clause{{FixAvailable: true, NewOnly: true}}}
	for _, tt := range []struct {
		state report.BaselineState
		want  report.BaselineState
		pass  bool
	}{
		{report.StateUnchanged, report.StateUnchanged, true}, {report.StateUpdated, report.StateUpdated, true}, {report.StateNew, report.StateNew, false}, {"", "", false}, {"New", "", false},
	} {
		r := &report.Report{Runs: []report.Run{{Tool: "t", Status: report.StatusCompleted}}, Findings: []report.Finding{
			pkg(report.StateUnchanged, "1.2", ""), pkg(tt.state, "2.14", "2.17"), pkg(report.StateUnchanged, "2.15", "2.18"),
		}}
		require.NoError(t, r.Normalize(t.Context(), nil))
		s, err := report.Dedupe(t.Context(), r)
		require.NoError(t, err)
		list := findings(t, s)
		require.Len(t, list, 1)
		assert.Equal(t, "2.17", list[0].Package.Fixed)
		assert.Empty(t, list[0].SaidBy)
		assert.Equal(t, tt.want, list[0].State)
		v, err := p.Gate(t.Context(), s)
		require.NoError(t, err)
		assert.Equal(t, tt.pass, v.Pass, tt.state)
	}
}

// Reports of one tool in two formats are one run, and what one of them says of its end is not lost.
func TestMerge_mixed(t *testing.T) {
	made := &report.Report{
		Runs:     []report.Run{{Tool: "codetool", Category: "backend", Status: report.StatusFailed, Reason: "killed"}},
		Findings: []report.Finding{{Rule: "N1", Title: "new", Message: "m", Location: report.Location{Path: "n.go", StartLine: 1}}, {Rule: "A1", Message: "m"}},
	}
	require.NoError(t, made.Normalize(t.Context(), nil))
	failed := strings.Replace(codeRun, `"artifacts"`, `"invocations":[{"executionSuccessful":true,"toolExecutionNotifications":[{"message":{"text":"kept"}}]}],"artifacts"`, 1)
	s := report.Join(read(t, log(failed), nil), made)
	require.Len(t, s.Head().Runs, 1)
	out := write(t, s)
	assert.Contains(t, out, "kept")
	back := read(t, out, nil)
	assert.Equal(t, report.StatusFailed, back.Runs[0].Status)
	assert.Equal(t, "killed", back.Runs[0].Reason)
	require.Len(t, back.Findings, 7)
	assert.Equal(t, "new", back.Findings[5].Title)
	assert.Empty(t, back.Findings[6].Location.Path)
	assert.Len(t, back.Runs[0].Rules, 3)
}

func TestWriteSARIF_sameBytes(t *testing.T) {
	s := report.Join(open(t, log(codeRun), nil), big(t, 500), read(t, log(run("gitleaks", result("R", "a.go", 1, "m"))), nil))
	d, err := report.Dedupe(t.Context(), s)
	require.NoError(t, err)
	first := write(t, d)
	for range 3 {
		assert.Equal(t, first, write(t, d))
	}
}

// What Trivy writes of a package stands in the message, and there only.
func TestReadSARIF_trivy(t *testing.T) {
	message := func(pkg, severity string) string {
		return `{"ruleId":"CVE-2099-1","ruleIndex":0,"level":"note","message":{"text":"Package: ` + pkg + `\nInstalled Version: 1.0\nVulnerability CVE-2099-1\nSeverity: ` + severity + `\nFixed Version: \nLink: [CVE](https://x.example)"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"library/app","uriBaseId":"ROOTPATH"},"region":{"startLine":1,"startColumn":1,"endLine":1,"endColumn":1}}}]}`
	}
	r := read(t, log(`{"tool":{"driver":{"name":"Trivy","rules":[{"id":"CVE-2099-1","properties":{"security-severity":"0.0","tags":["vulnerability","security","UNKNOWN"]}}]}},
		"originalUriBaseIds":{"ROOTPATH":{"uri":"file:///"}},"properties":{"imageName":"app:1"},"results":[`+message("liba", "CRITICAL")+`,`+message("libb", "UNKNOWN")+`]}`), nil)
	assert.Equal(t, "app:1", r.Runs[0].Target)
	assert.Equal(t, report.SeverityCritical, r.Findings[0].Severity)
	assert.Equal(t, &report.Package{Name: "liba", Installed: "1.0"}, r.Findings[0].Package)
	assert.Equal(t, "library/app", r.Findings[0].Location.Path)
	assert.Equal(t, report.SeverityUnknown, r.Findings[1].Severity)
	assert.NotEqual(t, r.Findings[0].Identity, r.Findings[1].Identity)
	v, err := report.Policy{Fail: []report.Clause{{Severity: report.SeverityHigh}}}.Gate(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, 2, v.Failing, "nobody said that the unknown one is harmless")
}

// No result is so large that reading it takes more than its share of time.
func TestReadSARIF_hostileLists(t *testing.T) {
	var cwe, snippets, members strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&cwe, `"CWE-%d",`, i+1)
		fmt.Fprintf(&snippets, `{"physicalLocation":{"region":{"snippet":{"text":"secret%d"}}}},`, i)
		fmt.Fprintf(&members, `"m%d":%d,`, i, i)
	}
	text := log(`{"tool":{"driver":{"name":"gitleaks"}},"results":[{"ruleId":"r","message":{"text":"secret19999"},"relatedLocations":[` + strings.TrimSuffix(snippets.String(), ",") +
		`],"properties":{` + members.String() + `"cwe":[` + strings.TrimSuffix(cwe.String(), ",") + `]}}]}`)
	start := time.Now()
	out := write(t, read(t, text, nil))
	lint(t, "a.sarif", text)
	assert.Less(t, time.Since(start), time.Minute)
	assert.NotContains(t, out, "secret19999")
	assert.NotContains(t, read(t, text, nil).Findings[0].Message, "secret19999")
}

func TestFromSARIF(t *testing.T) {
	in, err := sarif.New(sarif.Version210)
	require.NoError(t, err)
	run := sarif.NewRunWithInformationURI("lintx", "https://example.org")
	run.AddRule("L1").WithDescription("one")
	res := run.CreateResultForRule("L1").WithLevel("error").WithMessage(sarif.NewTextMessage("bad")).
		WithSuppression([]*sarif.Suppression{{Kind: "inSource"}})
	res.AddLocation(sarif.NewLocationWithPhysicalLocation(sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewSimpleArtifactLocation("a.go")).WithRegion(sarif.NewSimpleRegion(3, 4))))
	in.AddRun(run)
	r, err := report.FromSARIF(t.Context(), in, nil)
	require.NoError(t, err)
	require.Len(t, r.Findings, 1)
	f := r.Findings[0]
	assert.Equal(t, "bad a.go 3 4", fmt.Sprint(f.Message, " ", f.Location.Path, " ", f.Location.StartLine, " ", f.Location.EndLine))
	assert.NotNil(t, f.Suppressed)
	assert.NotContains(t, write(t, r), "null", "go-sarif writes members that are null, which the schema does not allow")

	out, err := r.SARIF(t.Context())
	require.NoError(t, err)
	require.Len(t, out.Runs, 1)
	assert.Equal(t, "L1", *out.Runs[0].Results[0].RuleID)
	assert.Equal(t, string(f.Identity), out.Runs[0].Results[0].PartialFingerprints["waybillIdentity/v1"])
}

// Whoever rejected a suppression, or still reviews one, has not accepted the finding.
func TestReadSARIF_rejectedSuppression(t *testing.T) {
	const result = `{"tool": {"driver": {"name": "x"}}, "results": [{"ruleId": "R", "message": {"text": "m"}, "suppressions": %s}]}`
	for list, suppressed := range map[string]bool{
		`[{"kind": "inSource"}, {"kind": "external", "status": "accepted"}]`:    true,
		`[{"kind": "inSource"}, {"kind": "external", "status": "rejected"}]`:    false,
		`[{"kind": "external", "status": "underReview"}, {"kind": "inSource"}]`: false,
	} {
		r := read(t, log(fmt.Sprintf(result, list)), nil)
		assert.Equal(t, suppressed, r.Findings[0].Suppressed != nil, list)
		assert.Equal(t, suppressed, read(t, write(t, r), nil).Findings[0].Suppressed != nil, list)

		// What the caller accepts stays accepted in what is written.
		accepted, err := report.ParseSuppressions([]byte(`{"version":1,"suppressions":[{"rule":"R","reason":"ours","expires":"2999-01-01"}]}`))
		require.NoError(t, err)
		s, _, err := report.Suppress(t.Context(), r, accepted, nil)
		require.NoError(t, err)
		assert.NotNil(t, read(t, write(t, s), nil).Findings[0].Suppressed, list)
	}
}
