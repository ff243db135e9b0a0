package ci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/ci"
	"github.com/waybill-dev/waybill/report/internal/sample"
)

func TestAzure(t *testing.T) {
	var out bytes.Buffer
	a := ci.NewAzure(&out)
	require.NoError(t, a.PublishTests([]string{"/w/a.xml", "/w/b;c].xml"}, &ci.TestOptions{RunTitle: "unit 100%", FailTask: true}))
	require.NoError(t, a.PublishTests([]string{"/w/a.xml"}, &ci.TestOptions{SkipMerge: true}))
	require.NoError(t, a.PublishCoverage("/w/coverage.xml", "/w/html"))
	require.NoError(t, a.PublishCoverage("/w/coverage.xml", ""))
	require.NoError(t, a.UploadArtifact("drop", "/w/out dir"))
	require.NoError(t, a.UploadScans("/w/CodeAnalysisLogs"))
	require.NoError(t, a.UploadSummary("/w/summary.md"))
	require.NoError(t, a.LogIssue(report.LevelError, "two\nlines; and ]", "cmd/main.go", 12, 9, "G204"))
	require.NoError(t, a.LogIssue(report.LevelNote, "no place", "", 0, 0, ""))
	require.NoError(t, a.LogIssues(t.Context(), sample.Shop(t), 2))
	require.NoError(t, a.AddBuildTag("findings"))
	require.NoError(t, a.Complete(ci.SucceededWithIssues, "2 findings"))
	golden.Check(t, "testdata/azure.txt", out.Bytes())
}

func TestAzure_invalid(t *testing.T) {
	var out bytes.Buffer
	a := ci.NewAzure(&out)
	for _, err := range []error{
		a.PublishTests(nil, nil), a.PublishTests([]string{"a,b.xml"}, nil), a.PublishTests([]string{""}, nil), a.PublishCoverage("", "x"),
		a.UploadArtifact("", "x"), a.UploadArtifact("x", ""), a.UploadSummary(""), a.AddBuildTag(" "), a.Complete("Fine", ""),
	} {
		require.ErrorIs(t, err, report.ErrInvalid)
	}
	assert.Empty(t, out.String())
}

func TestAnnotate(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, ci.Annotate(t.Context(), &out, sample.Shop(t), nil))
	require.NoError(t, ci.Annotate(t.Context(), &out, sample.Shop(t), &ci.AnnotateOptions{Max: 1}))
	golden.Check(t, "testdata/github.txt", out.Bytes())
}

var (
	azureLine  = regexp.MustCompile(`^##vso\[[a-z]+\.[a-z]+( [^\]\r\n]*)?\][^\r\n]*$`)
	githubLine = regexp.MustCompile(`^::(error|warning|notice) ([a-zA-Z]+=[^:,\r\n]*,?)+::[^\r\n]*$`)
)

func TestHostile(t *testing.T) {
	for _, evil := range sample.Evil {
		s := sample.Hostile(t, evil)
		var azure, github bytes.Buffer
		a := ci.NewAzure(&azure)
		require.NoError(t, a.LogIssues(t.Context(), s, 0))
		require.NoError(t, a.LogIssue(report.LevelError, evil, evil, 1, 1, evil))
		require.NoError(t, a.UploadArtifact("x"+evil, "x"+evil))
		require.NoError(t, a.UploadSummary(evil))
		require.NoError(t, a.AddBuildTag("x"+evil))
		require.NoError(t, a.Complete(ci.Failed, evil))
		require.NoError(t, a.PublishTests([]string{strings.ReplaceAll(evil, ",", "")}, &ci.TestOptions{RunTitle: evil}))
		lines := strings.Split(strings.TrimSuffix(azure.String(), "\n"), "\n")
		assert.Len(t, lines, 7, "%q", evil)
		for _, line := range lines {
			assert.Regexp(t, azureLine, line)
			assert.Equal(t, 1, strings.Count(strings.ToLower(line), "##vso["), line)
			assert.NotContains(t, line, "##[")
		}
		require.NoError(t, ci.Annotate(t.Context(), &github, s, nil))
		lines = strings.Split(strings.TrimSuffix(github.String(), "\n"), "\n")
		assert.Len(t, lines, 1, "%q", evil)
		for _, line := range lines {
			assert.Regexp(t, githubLine, line)
			assert.NotContains(t, line, "##[")
		}
	}
}

// A result by which a tool says that all is well is no annotation.
func TestPassed(t *testing.T) {
	r := &report.Report{Runs: []report.Run{{Tool: "BinSkim"}}}
	for _, kind := range []report.Kind{report.KindPass, report.KindNotApplicable, report.KindInformational} {
		r.Findings = append(r.Findings, report.Finding{Rule: "BA2001", Kind: kind, Level: report.LevelError})
	}
	var out bytes.Buffer
	require.NoError(t, ci.Annotate(t.Context(), &out, r, nil))
	require.NoError(t, ci.NewAzure(&out).LogIssues(t.Context(), r, 1))
	assert.Empty(t, out.String())
}

func TestErrors(t *testing.T) {
	sample.Errors(t, func(w interface{ Write([]byte) (int, error) }, s report.Source) error {
		return ci.Annotate(t.Context(), w, s, nil)
	})
	sample.Errors(t, func(w interface{ Write([]byte) (int, error) }, s report.Source) error {
		return ci.NewAzure(w).LogIssues(t.Context(), s, 0)
	})
}

func TestWriteScans(t *testing.T) {
	dir := t.TempDir()
	// What was there before must not be shown again.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ci.ScansFolder), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ci.ScansFolder, "old.sarif"), nil, 0o600))

	scans, err := ci.WriteScans(t.Context(), dir, sample.Shop(t), nil)
	require.NoError(t, err)
	var names []string
	var shown bytes.Buffer
	for _, s := range scans {
		names = append(names, filepath.Base(s.Path))
		in, err := os.ReadFile(s.Path)
		require.NoError(t, err)
		checkForTab(t, in, &shown)
	}
	golden.Check(t, "testdata/scans.txt", shown.Bytes())
	assert.Equal(t, []string{"gosec.sarif", "Trivy-image-web.sarif", "gitleaks.sarif", "semgrep.sarif"}, names)
	files, err := os.ReadDir(filepath.Join(dir, ci.ScansFolder))
	require.NoError(t, err)
	assert.Len(t, files, 4)
}

// checkForTab checks what the code of the Scans tab looks at, and writes down what it shows.
func checkForTab(t *testing.T, in []byte, shown io.Writer) {
	t.Helper()
	var log struct {
		Version string
		Runs    []struct {
			Tool    struct{ Driver struct{ Name string } }
			Results []struct {
				RuleID    string
				Level     string
				Kind      string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
					}
				}
				BaselineState string
				Suppressions  []struct{ Status string }
			}
		}
	}
	require.NoError(t, json.Unmarshal(in, &log))
	assert.Equal(t, "2.1.0", log.Version)
	require.Len(t, log.Runs, 1)
	assert.NotEmpty(t, log.Runs[0].Tool.Driver.Name)
	assert.NotNil(t, log.Runs[0].Results)
	fmt.Fprintln(shown, "card", log.Runs[0].Tool.Driver.Name)
	for _, r := range log.Runs[0].Results {
		assert.NotEmpty(t, r.RuleID)
		assert.NotEmpty(t, r.Level)
		assert.NotEmpty(t, r.Message.Text)
		fmt.Fprintf(shown, "  %s %s %q state=%s suppressions=%v\n", r.Level, r.RuleID, r.Message.Text, r.BaselineState, r.Suppressions)
		for _, l := range r.Locations {
			// uriBaseId the tab does not look at.
			uri := l.PhysicalLocation.ArtifactLocation.URI
			assert.False(t, strings.HasPrefix(uri, "./") || strings.HasPrefix(uri, "file:") || strings.HasPrefix(uri, "/"), uri)
		}
	}
}

func TestWriteScans_sarifWithoutResults(t *testing.T) {
	r, err := report.ReadSARIF(t.Context(), strings.NewReader(`{"version":"2.1.0","runs":[
		{"tool":{"driver":{"name":"a/../b"}}},
		{"tool":{"driver":{"name":"A-..-B"}},"results":[{"message":{"text":"m"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/a.go","uriBaseId":"SRCROOT"}}}],"ruleId":"r"}],"originalUriBaseIds":{"SRCROOT":{"uri":"file:///src/"}}}
	]}`), nil)
	require.NoError(t, err)
	scans, err := ci.WriteScans(t.Context(), t.TempDir(), r, nil)
	require.NoError(t, err)
	require.Len(t, scans, 2)
	assert.Equal(t, "a-..-b.sarif", filepath.Base(scans[0].Path))
	assert.Equal(t, "A-..-B-2.sarif", filepath.Base(scans[1].Path))
	for _, s := range scans {
		in, err := os.ReadFile(s.Path)
		require.NoError(t, err)
		checkForTab(t, in, io.Discard)
	}
	in, err := os.ReadFile(scans[0].Path)
	require.NoError(t, err)
	assert.Contains(t, string(in), ci.IncompleteRule)
}

// A tool of the baseline that does not run today has not failed.
func TestWriteScans_absentRun(t *testing.T) {
	r := &report.Report{Runs: []report.Run{{Tool: "gosec", Status: report.StatusCompleted}, {Tool: "grype", Status: report.StatusAbsent}}}
	scans, err := ci.WriteScans(t.Context(), t.TempDir(), r, nil)
	require.NoError(t, err)
	require.Len(t, scans, 1)
	assert.Equal(t, "gosec", scans[0].Tool)
	r.Findings = []report.Finding{{Run: 1, Rule: "gone", State: report.StateAbsent}}
	scans, err = ci.WriteScans(t.Context(), t.TempDir(), r, nil)
	require.NoError(t, err)
	require.Len(t, scans, 2)
	in, err := os.ReadFile(scans[1].Path)
	require.NoError(t, err)
	assert.NotContains(t, string(in), ci.IncompleteRule)
}

func TestWriteScans_tooMany(t *testing.T) {
	scans, err := ci.WriteScans(t.Context(), t.TempDir(), sample.Shop(t), &ci.ScansOptions{MaxResults: 1})
	require.NoError(t, err)
	assert.Equal(t, 2, scans[0].LeftOut)
}

func TestWriteScans_hostileNames(t *testing.T) {
	for _, evil := range append(sample.Evil, "../../etc/passwd", "..", strings.Repeat("x", 500), "CON") {
		dir := t.TempDir()
		scans, err := ci.WriteScans(t.Context(), dir, sample.Hostile(t, evil), nil)
		require.NoError(t, err)
		for _, s := range scans {
			assert.Equal(t, filepath.Join(dir, ci.ScansFolder), filepath.Dir(s.Path))
			in, err := os.ReadFile(s.Path)
			require.NoError(t, err)
			assert.True(t, json.Valid(in), "%q makes %s", evil, in)
		}
	}
}

func ExampleAzure_LogIssues() {
	r := &report.Report{
		Runs:     []report.Run{{Tool: "gosec", Status: report.StatusCompleted}},
		Findings: []report.Finding{{Tool: "gosec", Rule: "G204", Message: "Subprocess launched with a variable", Severity: report.SeverityMedium, Level: report.LevelWarning, Location: report.Location{Path: "main.go", StartLine: 7}}},
	}
	if err := ci.NewAzure(os.Stdout).LogIssues(context.Background(), r, 0); err != nil {
		fmt.Println(err)
	}
	// Output: ##vso[task.logissue type=warning;sourcepath=main.go;linenumber=7;code=G204;]Subprocess launched with a variable (medium, gosec)
}

func ExampleAzure_PublishTests() {
	err := ci.NewAzure(os.Stdout).PublishTests([]string{"a,b.xml"}, nil)
	fmt.Println(err)
	// Output: report: write results.publish: invalid: path "a,b.xml" is empty or holds a comma
}
