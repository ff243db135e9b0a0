package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

// FuzzReadSARIF reads anything: an error of ours or a report that can be written, read again with the same
// findings, merged with itself and linted.
func FuzzReadSARIF(f *testing.F) {
	for _, s := range []string{
		log(codeRun), log(), `{"version":"2.1.0"}`, log(run("gitleaks", result("R", "a.go", 1, "m"))),
		log(`{"tool":{"driver":{"name":"a","rules":[{"id":"x"},7,null]},"extensions":[{"name":"e","rules":[{"id":"y"}]}]},"results":[{"rule":{"index":0,"toolComponent":{"index":0}},"locations":[7]},[],{"taxa":[{"index":1,"toolComponent":{"name":"CWE"},"id":"79"}]}]}`),
		log(`{"results":{},"artifacts":[{"location":{"index":0},"parentIndex":0}],"logicalLocations":7,"invocations":[{"executionSuccessful":false}]}`),
		"\xef\xbb\xbf" + log(), "[]", "", "{", `{"version":"2.1.0","runs":[{"results":[{"properties":{"waybill":{"saidBy":[{}],"place":"target"}}}]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := report.ReadSARIF(t.Context(), bytes.NewReader(in), &report.Options{Root: "/src", SecretKey: []byte("k")})
		if err != nil {
			_, ok := errors.AsType[*report.Error](err)
			require.True(t, ok, "%v", err)
			return
		}
		var out bytes.Buffer
		require.NoError(t, report.WriteSARIF(t.Context(), &out, r))
		require.True(t, json.Valid(out.Bytes()), "%s", out.Bytes())
		back, err := report.ReadSARIF(t.Context(), bytes.NewReader(out.Bytes()), nil)
		require.NoError(t, err)
		require.Len(t, back.Findings, len(r.Findings))
		for i := range r.Findings {
			a, b := r.Findings[i], back.Findings[i]
			assert.Equal(t, a.Rule, b.Rule)
			assert.Equal(t, a.Severity, b.Severity)
			assert.Equal(t, a.Identity, b.Identity)
			assert.Equal(t, a.State, b.State)
			assert.Equal(t, a.Suppressed == nil, b.Suppressed == nil)
		}
		var merged bytes.Buffer
		sum, err := report.Merge(t.Context(), &merged, []report.Source{r, back}, &report.MergeOptions{Dedupe: true})
		require.NoError(t, err)
		require.True(t, json.Valid(merged.Bytes()), "%s", merged.Bytes())
		assert.LessOrEqual(t, sum.Findings+sum.Suppressed+sum.Absent, 2*len(r.Findings))
		path := filepath.Join(t.TempDir(), "a.sarif")
		require.NoError(t, os.WriteFile(path, in, 0o644))
		_, err = report.LintSARIF(t.Context(), path, nil)
		require.NoError(t, err)
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(`{"version":1,"fail":[{"severity":"high","paths":["a/**"],"rules":["[a-z]*"]}],"tests":{},"coverage":{"minPercent":1}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := report.ParsePolicy(in)
		if err != nil {
			return
		}
		_, err = p.Gate(t.Context(), &report.Report{Runs: []report.Run{{Tool: "x", Status: report.StatusCompleted}}, Findings: []report.Finding{{Rule: "r", Location: report.Location{Path: "a/b"}}}})
		require.NoError(t, err)
	})
}

func FuzzParseSuppressions(f *testing.F) {
	f.Add([]byte(`{"version":1,"suppressions":[{"rule":"r","path":"a/**","package":"pkg:npm/a@1?x=y","reason":"x","expires":"2030-01-01"}]}`))
	f.Add([]byte(`{"@context":"https://openvex.dev/ns/v0.2.0","statements":[{"vulnerability":{"name":"r"},"products":[{"@id":"pkg:npm/a@1","subcomponents":[{"@id":"x"}]},"pkg:npm/%40a/b"],"status":"fixed"}]}`))
	r := &report.Report{Runs: []report.Run{{Tool: "x", Status: report.StatusCompleted}}, Findings: []report.Finding{{Rule: "r", Package: &report.Package{PURL: "pkg:npm/a@1?x=y"}}}}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, parse := range []func([]byte) (*report.Suppressions, error){report.ParseSuppressions, report.ParseOpenVEX} {
			if list, err := parse(in); err == nil {
				_, _, err = report.Suppress(t.Context(), r, list, nil)
				require.NoError(t, err)
			}
		}
	})
}
