package report_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/schematest"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/internal/sample"
)

// What the parsers accept the schemas accept, and the other way round.
func TestSchemas_agreeWithParsers(t *testing.T) {
	tests := []struct {
		name   string
		schema string
		parse  func([]byte) error
		good   []string
		bad    []string
	}{
		{
			name: "policy", schema: report.PolicySchema(),
			parse: func(b []byte) error { _, err := report.ParsePolicy(b); return err },
			good: []string{
				`{"version":1,"fail":[{}]}`,
				`{"$schema":"https://waybill-dev.github.io/schemas/policy-v1.json","version":1,"fail":[{"name":"new and bad","severity":"high","tools":["Trivy"],"rules":["CVE-*"],"categories":["package"],"cwe":["CWE-79","cwe-89","22"],"paths":["cmd/**"],"newOnly":true,"fixAvailable":true,"max":3}]}`,
				`{"version":1,"requireTools":["gitleaks"],"allowIncomplete":["semgrep"]}`,
				`{"version":1,"tests":{}}`,
				`{"version":1,"tests":{"min":10,"maxFailed":1}}`,
				`{"version":1,"coverage":{"minPercent":80.5}}`,
			},
			bad: []string{
				`null`, `[]`, `{}`, `{"version":1}`, `{"version":2,"fail":[{}]}`, `{"version":1,"fail":[]}`, `{"version":1,"fail":{}}`,
				`{"version":1,"fail":[{"severity":"HIGH"}]}`, `{"version":1,"fail":[{"severity":""}]}`, `{"version":1,"fail":[{"severtiy":"high"}]}`,
				`{"version":1,"fail":[{"categories":["typo"]}]}`, `{"version":1,"fail":[{"cwe":["XSS"]}]}`, `{"version":1,"fail":[{"max":-1}]}`,
				`{"version":1,"fail":[{"max":1.5}]}`, `{"version":1,"fail":[{"tools":[""]}]}`, `{"version":1,"requireTools":[""]}`, `{"version":1,"requireTools":[]}`,
				`{"version":1,"tests":{"min":-1}}`, `{"version":1,"coverage":{"minPercent":101}}`, `{"version":1,"coverage":{"minPercent":-1}}`,
				`{"version":1,"fail":[{}],"also":true}`,
			},
		},
		{
			name: "suppressions", schema: report.SuppressionsSchema(),
			parse: func(b []byte) error { _, err := report.ParseSuppressions(b); return err },
			good: []string{
				`{"version":1,"suppressions":[]}`,
				`{"version":1,"suppressions":[{"rule":"G204","reason":"fixed arguments","expires":"2027-01-31"}]}`,
				`{"version":1,"suppressions":[{"identity":"v1/code/00","tool":"gosec","path":"cmd/**","package":"pkg:npm/left","reason":"x","by":"A. Reviewer","expires":"2027-01-31"}]}`,
			},
			bad: []string{
				`null`, `{}`, `{"version":1}`, `{"version":1,"suppressions":null}`, `{"version":2,"suppressions":[]}`,
				`{"version":1,"suppressions":[{"reason":"x","expires":"2027-01-31"}]}`,
				`{"version":1,"suppressions":[{"rule":"","reason":"x","expires":"2027-01-31"}]}`,
				`{"version":1,"suppressions":[{"rule":"G204","expires":"2027-01-31"}]}`,
				`{"version":1,"suppressions":[{"rule":"G204","reason":" ","expires":"2027-01-31"}]}`,
				`{"version":1,"suppressions":[{"rule":"G204","reason":"x"}]}`,
				`{"version":1,"suppressions":[{"rule":"G204","reason":"x","expires":""}]}`,
				`{"version":1,"suppressions":[{"rule":"G204","reason":"x","expires":"2027-02-30"}]}`,
				`{"version":1,"suppressions":[{"rule":"G204","reason":"x","expires":"2027-01-31T00:00:00Z"}]}`,
				`{"version":1,"suppressions":[{"rule":"G204","reason":"x","expires":"2027-01-31","until":"x"}]}`,
			},
		},
	}
	for _, tt := range tests {
		valid := schematest.Compile(t, tt.schema)
		for _, doc := range tt.good {
			assert.NoError(t, valid([]byte(doc)), "the %s schema refuses %s", tt.name, doc)
			assert.NoError(t, tt.parse([]byte(doc)), doc)
		}
		for _, doc := range tt.bad {
			assert.Error(t, valid([]byte(doc)), "the %s schema accepts %s", tt.name, doc)
			assert.ErrorAs(t, tt.parse([]byte(doc)), new(*report.Error), doc)
		}
	}
	// JSON that says two things is no business of a schema.
	_, err := report.ParsePolicy([]byte(`{"version":1,"fail":[{}],"tests":{},"fail":[]}`))
	require.ErrorIs(t, err, report.ErrInvalid)
	_, err = report.ParseSuppressions([]byte(`{"version":1,"suppressions":[],"suppressions":[]}`))
	require.ErrorIs(t, err, report.ErrInvalid)
}

// What is written is valid by its schema, whatever is in it.
func TestSchemas_ofOutput(t *testing.T) {
	finding, summary := schematest.Compile(t, report.FindingSchema()), schematest.Compile(t, report.SummarySchema())
	check := func(name string, s report.Source) {
		var lines bytes.Buffer
		require.NoError(t, report.WriteJSONLines(t.Context(), &lines, s))
		n := 0
		for line := range bytes.Lines(lines.Bytes()) {
			assert.NoError(t, finding(line), "%s: %s", name, line)
			n++
		}
		assert.Positive(t, n, name)
		sum, err := report.Summarize(t.Context(), s)
		require.NoError(t, err)
		doc, err := json.Marshal(sum)
		require.NoError(t, err)
		assert.NoError(t, summary(doc), "%s: %s", name, doc)
	}
	shop := sample.Shop(t)
	check("shop", shop)
	compared, err := report.Compare(t.Context(), shop, &report.Report{Runs: shop.Runs[:1], Findings: shop.Findings[:1]}, nil)
	require.NoError(t, err)
	check("compared", compared)
	deduped, err := report.Dedupe(t.Context(), report.Join(shop, shop))
	require.NoError(t, err)
	check("deduped", deduped)
	for _, evil := range sample.Evil {
		check(evil, sample.Hostile(t, evil))
	}
	assert.Error(t, finding([]byte(`{"run":0,"tool":"x","rule":"y","message":"","level":"error","severity":"HIGH","location":{}}`)))
	assert.Error(t, summary([]byte(`{"runs":[]}`)))
}
