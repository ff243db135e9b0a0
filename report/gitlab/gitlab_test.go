package gitlab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/internal/schematest"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format"
	"github.com/waybill-dev/waybill/report/gitlab"
	"github.com/waybill-dev/waybill/report/internal/sample"
)

func write(tb testing.TB, s report.Source, o *gitlab.Options) []byte {
	tb.Helper()
	var out bytes.Buffer
	require.NoError(tb, gitlab.Write(tb.Context(), &out, s, o))
	return out.Bytes()
}

func TestWrite(t *testing.T) {
	for _, typ := range types {
		out := write(t, sample.Shop(t), &gitlab.Options{Type: typ, Image: "registry.example.org/shop/web:1"})
		golden.Check(t, "testdata/shop-"+string(typ)+".json", out)
	}
}

func TestWrite_readAgain(t *testing.T) {
	rep, err := format.Read(t.Context(), bytes.NewReader(write(t, sample.Shop(t), nil)), nil)
	require.NoError(t, err)
	assert.Len(t, rep.Findings, 4) // neither the suppressed nor the absent one
	assert.Equal(t, report.StatusFailed, rep.Runs[0].Status, "a run that failed must not come back as one that did not")
	assert.Equal(t, report.SeverityCritical, rep.Findings[2].Severity)
	assert.Equal(t, "libx", rep.Findings[2].Package.Name)
}

func TestWriteCodeQuality(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, gitlab.WriteCodeQuality(t.Context(), &out, sample.Shop(t)))
	golden.Check(t, "testdata/codequality.json", out.Bytes())
	var list []map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &list))
	assert.Len(t, list, 3)
}

// Neither a tool of the baseline that does not run today nor a result by which a tool says that all is well
// changes anything.
func TestWrite_nothingWrong(t *testing.T) {
	r := sample.Shop(t)
	r.Runs = r.Runs[:3]
	want := write(t, r, nil)
	assert.Contains(t, string(want), `"status":"success"`)
	r.Runs = append(r.Runs, report.Run{Tool: "grype", Status: report.StatusAbsent})
	for _, kind := range []report.Kind{report.KindPass, report.KindNotApplicable, report.KindInformational} {
		r.Findings = append(r.Findings, report.Finding{Rule: "BA2001", Kind: kind})
	}
	assert.Equal(t, string(want), string(write(t, r, nil)))
}

func TestWrite_hostile(t *testing.T) {
	for _, evil := range sample.Evil {
		out := write(t, sample.Hostile(t, evil), nil)
		assert.NotContains(t, string(out), "##", "%q", evil)
		assert.True(t, json.Valid(out), "%q", evil)
		assert.NotContains(t, string(out), "<script")
		assert.NotContains(t, string(out), `"url":"javascript:`)
	}
}

var types = []gitlab.Type{"", gitlab.SAST, gitlab.SecretDetection, gitlab.DependencyScanning, gitlab.ContainerScanning}

// GitLab refuses a report that breaks its schema.
func TestWrite_schema(t *testing.T) {
	rules, err := os.ReadFile("testdata/rules-15.2.1.json")
	require.NoError(t, err)
	valid := schematest.Compile(t, string(rules))
	for _, typ := range types {
		assert.NoError(t, valid(write(t, sample.Shop(t), &gitlab.Options{Type: typ})), typ)
		for _, evil := range sample.Evil {
			assert.NoError(t, valid(write(t, sample.Hostile(t, evil), &gitlab.Options{Type: typ})), "%s %q", typ, evil)
		}
		for _, cat := range []report.Category{"", report.CategorySecret, report.CategoryPackage} {
			bare := &report.Report{
				Runs: []report.Run{{InformationURI: "javascript:alert(1)"}},
				Findings: []report.Finding{
					{Category: cat, CWE: []string{"CWE-1"}},
					{Category: cat, Title: strings.Repeat("é", 300), Package: &report.Package{Fixed: strings.Repeat("1.2.3, ", 3000)}},
				},
			}
			assert.NoError(t, valid(write(t, bare, &gitlab.Options{Type: typ})), "%s %q", typ, cat)
		}
	}
	for was, is := range map[string]string{`"status"`: `"state"`, `"High"`: `"HIGH"`, `"2026-01-02T03:04:05"`: `"2026-01-02T03:04:05Z"`, `"sast"`: `"secret_detection"`} {
		broken := bytes.ReplaceAll(write(t, sample.Shop(t), nil), []byte(was), []byte(is))
		assert.Error(t, valid(broken), "%s instead of %s goes unnoticed", is, was)
	}
}

func TestWrite_unknownType(t *testing.T) {
	err := gitlab.Write(t.Context(), &strings.Builder{}, sample.Shop(t), &gitlab.Options{Type: "dast"})
	require.ErrorIs(t, err, report.ErrInvalid)
}

func TestWrite_errors(t *testing.T) {
	sample.Errors(t, func(w interface{ Write([]byte) (int, error) }, s report.Source) error {
		return gitlab.Write(t.Context(), w, s, nil)
	})
	sample.Errors(t, func(w interface{ Write([]byte) (int, error) }, s report.Source) error {
		return gitlab.WriteCodeQuality(t.Context(), w, s)
	})
}

func ExampleWrite() {
	r := &report.Report{
		Runs:     []report.Run{{Tool: "gosec", Status: report.StatusCompleted}},
		Findings: []report.Finding{{Tool: "gosec", Rule: "G204", Message: "Subprocess launched with a variable", Severity: report.SeverityMedium, Location: report.Location{Path: "main.go", StartLine: 7}}},
	}
	var out strings.Builder
	if err := gitlab.Write(context.Background(), &out, r, nil); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Contains(out.String(), `"location":{"file":"main.go","start_line":7}`))
	// Output: true
}
