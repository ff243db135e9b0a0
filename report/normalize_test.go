package report_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

func TestCleanPath(t *testing.T) {
	tests := []struct{ in, root, want string }{
		{"./a/b.go", "", "a/b.go"},
		{`a\b\c.cs`, "", "a/b/c.cs"},
		{"file:///src/app/a%20b.go", "/src/app", "a b.go"},
		{"/src/app/x.go", "/src/app/", "x.go"},
		{"/src/application/x.go", "/src/app", "/src/application/x.go"},
		{"file:///C:/work/x.cs", `C:\work`, "x.cs"},
		{"a/../b", "", "b"},
		{"https://example.org/x", "/", "https://example.org/x"},
		{"pkg:npm/left@1", "", "pkg:npm/left@1"},
		{"", "/src", ""},
		{".", "", ""},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, report.CleanPath(tt.in, tt.root), tt.in)
	}
}

func TestParseCWE(t *testing.T) {
	for in, want := range map[string]string{
		"CWE-79: Improper Neutralization": "CWE-79", "external/cwe/cwe-079": "CWE-79", "79": "CWE-79",
		"cwe_89": "CWE-89", "scwe-1": "", "": "", "0": "", "CVE-2024-1": "",
	} {
		got, ok := report.ParseCWE(in)
		assert.Equal(t, want, got, in)
		assert.Equal(t, want != "", ok, in)
	}
}

func TestPURL(t *testing.T) {
	assert.Equal(t, "pkg:npm/%40scope/left@1.0.0", report.PURL("npm", "@scope", "left", "1.0.0"))
	assert.Equal(t, "pkg:golang/github.com/a/b@v1.2.3%2Bincompatible", report.PURL("golang", "github.com/a", "b", "v1.2.3+incompatible"))
	for in, want := range map[string]string{
		"pkg:npm/%40scope/left@1.0.0":                     "pkg:npm/%40scope/left",
		"pkg:apk/alpine/libx@1.0-r0?arch=x86_64#sub/path": "pkg:apk/alpine/libx",
		"pkg:npm/@scope/left":                             "pkg:npm/@scope/left",
		"left":                                            "left",
	} {
		assert.Equal(t, want, report.PURLWithoutVersion(in), in)
	}
}

func TestReport_Normalize(t *testing.T) {
	r := &report.Report{
		Runs: []report.Run{{Tool: "x", Status: report.StatusCompleted}},
		Findings: []report.Finding{
			{Rule: "CVE-1", Title: "bad", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Package: &report.Package{Name: "left", PURL: "pkg:npm/left@1"}},
			{Rule: "R1", Message: "m", Level: report.LevelWarning, CWE: []string{"cwe-079", "79", "junk"}, Location: report.Location{Path: "./a.go"}},
		},
	}
	require.NoError(t, r.Normalize(t.Context(), nil))
	f := r.Findings[0]
	assert.Equal(t, "bad", f.Message)
	assert.Equal(t, report.SeverityCritical, f.Severity)
	assert.Equal(t, "cvss", f.SeverityFrom)
	assert.Equal(t, report.LevelError, f.Level)
	assert.Equal(t, report.CategoryPackage, f.Category)
	assert.Equal(t, "v1", f.Identity.Version())
	f = r.Findings[1]
	assert.Equal(t, []string{"CWE-79"}, f.CWE)
	assert.Equal(t, "a.go", f.Location.Path)
	assert.Equal(t, report.SeverityMedium, f.Severity)
	assert.Equal(t, "level", f.SeverityFrom)
	assert.Len(t, r.Runs[0].Rules, 2)
	assert.Equal(t, report.SeverityCritical, r.Runs[0].Rules[0].Severity)

	r.Findings = append(r.Findings, report.Finding{Rule: "R2", Message: "nobody graded it"})
	for range 2 {
		require.NoError(t, r.Normalize(t.Context(), nil))
		assert.Equal(t, report.SeverityUnknown, r.Findings[2].Severity, "safe to call twice")
	}

	r.Findings[0].Run = 7
	assert.ErrorIs(t, r.Normalize(t.Context(), nil), report.ErrInvalid)
}
