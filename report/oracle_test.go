//go:build integration

package report_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/report"
)

// accepted are the rules of the Multitool that what we write may break, and why.
var accepted = map[string]string{
	"GHAzDO1014": "the pipeline in which it ran is told by the task that publishes to Azure DevOps",
	"GHAzDO1019": "the same",
	"GHAzDO1020": "the same",
	"SARIF2004":  "a list of artifacts with nothing but locations is kept as the tool wrote it",
}

// tidyRun is a run of a tool that does all that the rules want.
const tidyRun = `{
  "tool": {"driver": {"name": "tidy", "fullName": "tidy 2.0", "version": "2.0", "informationUri": "https://example.org",
    "rules": [{"id": "A1", "name": "SomeRule", "shortDescription": {"text": "A one."}, "fullDescription": {"text": "All of A one."}, "help": {"text": "Do it."},
      "helpUri": "https://example.org/A1", "defaultConfiguration": {"level": "error"}, "properties": {"security-severity": "9.1", "tags": ["external/cwe/cwe-089"]}}]}},
  "automationDetails": {"id": "backend/"},
  "originalUriBaseIds": {"SRC": {"uri": "file:///build/"}},
  "results": [
    {"ruleIndex": 0, "message": {"text": "one"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "src/a b.go", "uriBaseId": "SRC"}, "region": {"startLine": 7, "startColumn": 3}}}]},
    {"ruleId": "A1", "kind": "pass", "message": {"text": "fine"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "file:///build/src/c.go"}, "region": {"startLine": 1}}}]},
    {"ruleId": "A1", "message": {"text": "ok"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "src/d.go"}, "region": {"startLine": 2}}}], "suppressions": [{"kind": "external", "status": null, "guid": null}]}
  ]
}`

// validate runs the Multitool's rules on a file and returns what it says of warning and error level.
func validate(t *testing.T, path string) []string {
	t.Helper()
	tool := testbed.Require(t, testbed.Multitool)
	out := path + ".validated.json"
	cmd := exec.CommandContext(t.Context(), tool.Path, "validate", "--rule-kind=Sarif;GH;GHAzDO", "--level=Error;Warning", "--output="+out, path)
	cmd.Env = append(os.Environ(), testbed.MultitoolEnv)
	said, err := cmd.CombinedOutput()
	data, readErr := os.ReadFile(out)
	require.NoError(t, readErr, "%v: %s", err, said)
	var log struct {
		Runs []struct {
			Results []struct {
				RuleID, Level string
				Message       struct {
					ID        string
					Arguments []string
				}
			}
			Invocations []struct {
				ExecutionSuccessful bool
			}
		}
	}
	require.NoError(t, json.Unmarshal(data, &log))
	require.NotEmpty(t, log.Runs)
	var list []string
	for _, r := range log.Runs[0].Results {
		if accepted[r.RuleID] == "" {
			list = append(list, fmt.Sprint(r.RuleID, " ", r.Level, " ", r.Message.ID, " ", r.Message.Arguments))
		}
	}
	return list
}

func TestMultitool_validate(t *testing.T) {
	made := &report.Report{
		Runs: []report.Run{
			{Tool: "trivy", Version: "0.68.2", Status: report.StatusCompleted, Category: "image", Target: "app:1", InformationURI: "https://trivy.dev"},
			{Tool: "gitleaks", Version: "8.30.1", InformationURI: "https://gitleaks.io", Status: report.StatusFailed, Reason: "killed"},
		},
		Findings: []report.Finding{
			{
				Rule: "CVE-2099-1", Title: "libx: overflow.", Message: "libx 1.0 has an overflow.", Severity: report.SeverityHigh, Score: 7.5, HelpURI: "https://example.org/CVE-2099-1",
				Location: report.Location{Path: "lib/apk db/installed", StartLine: 3}, Package: &report.Package{Name: "libx", PURL: "pkg:apk/alpine/libx@1.0", Installed: "1.0", Fixed: "1.1"}, CWE: []string{"CWE-787"}, Aliases: []string{"GHSA-xxxx"},
			},
			{Run: 1, Rule: "aws-key", Title: "AWS key.", Description: "A key of AWS stands in clear.", Message: "A key.", Location: report.Location{Path: "a.env", StartLine: 7, StartColumn: 2, EndLine: 7, EndColumn: 20, Snippet: report.Mask, Commit: "abc"}},
			{Rule: "CVE-2099-2", Message: "About the image as a whole."},
		},
	}
	require.NoError(t, made.Normalize(t.Context(), nil))
	code := open(t, log(tidyRun), &report.Options{Root: "/build"})
	compared, err := report.Compare(t.Context(), code, read(t, log(strings.Replace(tidyRun, `"ruleIndex": 0, "message": {"text": "one"}`, `"ruleIndex": 0, "message": {"text": "gone"}`, 1)), nil), nil)
	require.NoError(t, err)
	trimmed, _, err := report.Trim(t.Context(), big(t, 200), report.GitHubLimits())
	require.NoError(t, err)
	for name, s := range map[string]report.Source{
		"made": made, "merged": report.Join(made, code, big(t, 50)), "compared": compared, "trimmed": trimmed,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.sarif")
			require.NoError(t, os.WriteFile(path, []byte(write(t, s)), 0o644))
			said := validate(t, path)
			slices.Sort(said)
			for _, s := range slices.Compact(said) {
				t.Error(s)
			}
		})
	}
}
