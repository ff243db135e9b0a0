package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

func lint(t *testing.T, name, text string) []report.Problem {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	list, err := report.LintSARIF(t.Context(), path, nil)
	require.NoError(t, err)
	return list
}

func TestLintSARIF(t *testing.T) {
	good := `{"tool":{"driver":{"name":"x","rules":[{"id":"R","shortDescription":{"text":"r"}}]}},"results":[{"ruleId":"R","ruleIndex":0,"level":"error","message":{"text":"m"},` +
		`"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":1}}}],"partialFingerprints":{"primaryLocationLineHash":"a:1"}}]}`
	assert.Empty(t, lint(t, "a.sarif", log(good)))

	edit := func(old, replacement string) string { return log(strings.Replace(good, old, replacement, 1)) }
	tests := []struct {
		name, text string
		want       []string // code and place
	}{
		{"unknown member", edit(`"ruleIndex":0`, `"ruleIndex":0,"extra":1`), []string{"schema/unknown-member runs[0].results[0].extra"}},
		{"wrong type", edit(`"ruleId":"R"`, `"ruleId":7`), []string{"schema/type runs[0].results[0].ruleId", "scans/no-rule runs[0].results[0]"}},
		{"null", edit(`"ruleIndex":0`, `"guid":null`), []string{"schema/type runs[0].results[0].guid"}},
		{"missing", edit(`"name":"x",`, ``), []string{"scans/no-tool runs[0].tool", "schema/required runs[0].tool.driver"}},
		{"enum", edit(`"level":"error"`, `"level":"High"`), []string{"schema/enum runs[0].results[0].level"}},
		{"range", edit(`"startLine":1`, `"startLine":0`), []string{"schema/range runs[0].results[0].locations[0].physicalLocation.region.startLine"}},
		{"index", edit(`"ruleIndex":0`, `"ruleIndex":3`), []string{"sarif/index runs[0].results[0].ruleIndex"}},
		{"uri", edit(`"a.go"`, `"a b.go"`), []string{"schema/uri runs[0].results[0].locations[0].physicalLocation.artifactLocation.uri"}},
		{"absolute", edit(`"a.go"`, `"file:///src/a.go"`), []string{"github/absolute-path runs[0].results[0].locations"}},
		{"repeated", edit(`"ruleIndex":0`, `"ruleIndex":0,"ruleIndex":0`), []string{"schema/repeated runs[0].results[0].ruleIndex"}},
		{"no level", edit(`"level":"error",`, ``), []string{"scans/level-missing runs[0].results[0]"}},
		{"hidden", edit(`"level":"error"`, `"level":"note"`), []string{"scans/all-hidden log"}},
		{"hidden as unchanged", edit(`"level":"error"`, `"level":"error","baselineState":"unchanged"`), []string{"scans/all-hidden log"}},
		{"nowhere", edit(`{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":1}}}`, ``), []string{"github/no-location runs[0].results[0]"}},
		{"twice", log(good, good), []string{"github/same-category runs[1]"}},
		{"no results", log(`{"tool":{"driver":{"name":"x"}}}`), []string{"github/no-results runs[0]", "scans/no-results log"}},
		{"no runs", `{"version":"2.1.0"}`, []string{"scans/no-runs log", "schema/required log", "scans/no-results log"}},
		{"severity", edit(`"shortDescription":{"text":"r"}`, `"shortDescription":{"text":"r"},"properties":{"security-severity":"HIGH"}`), []string{"github/security-severity runs[0].tool.driver.rules[0]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range lint(t, "a.sarif", tt.text) {
				got = append(got, p.Code+" "+p.Where)
				assert.NotEmpty(t, p.Message)
			}
			assert.Equal(t, tt.want, got)
		})
	}
	assert.Equal(t, "scans/file-name", lint(t, "a.json", log(good))[0].Code)

	many := lint(t, "a.sarif", edit(`{"ruleId"`, `{"extra":1,"ruleId":"R"},{"extra":2,"ruleId"`))
	assert.Equal(t, 2, problem(t, many, "schema/unknown-member").Count)

	_, err := report.LintSARIF(t.Context(), filepath.Join(t.TempDir(), "none.sarif"), nil)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func problem(t *testing.T, list []report.Problem, code string) report.Problem {
	t.Helper()
	for _, p := range list {
		if p.Code == code {
			return p
		}
	}
	require.Fail(t, "no "+code)
	return report.Problem{}
}
