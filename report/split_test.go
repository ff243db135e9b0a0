package report_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

func TestSplit(t *testing.T) {
	r := &report.Report{
		Runs:     []report.Run{{Tool: "a"}, {Tool: "b"}, {Tool: "c"}},
		Findings: []report.Finding{{Run: 2, Rule: "c1"}, {Run: 0, Rule: "a1"}, {Run: 2, Rule: "c2"}},
		Tests:    &report.Tests{},
	}
	require.NoError(t, r.Normalize(t.Context(), nil))
	got := map[string][]string{}
	for _, part := range report.Split(r) {
		head := part.Head()
		require.Len(t, head.Runs, 1)
		assert.Nil(t, head.Tests)
		tool := head.Runs[0].Tool
		got[tool] = nil
		for f, err := range part.All(t.Context()) {
			require.NoError(t, err)
			assert.Equal(t, 0, f.Run)
			assert.Equal(t, tool, f.Tool)
			got[tool] = append(got[tool], f.Rule)
		}
	}
	assert.Equal(t, map[string][]string{"a": {"a1"}, "b": nil, "c": {"c1", "c2"}}, got)
	assert.Empty(t, report.Split(&report.Report{}))
}
