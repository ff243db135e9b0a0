package report_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

// A path that is not below the root is written as what it is, an absolute one, and read again as it was.
func TestWriteSARIF_absolutePaths(t *testing.T) {
	paths := []string{"/src/a b.go", "C:/agent/x.cs", "cmd/main.go", "//host/share"}
	r := &report.Report{Runs: []report.Run{{Tool: "x", Status: report.StatusCompleted}}}
	for _, p := range paths {
		r.Findings = append(r.Findings, report.Finding{Rule: p, Location: report.Location{Path: p, StartLine: 1}})
	}
	require.NoError(t, r.Normalize(t.Context(), nil))
	var out bytes.Buffer
	require.NoError(t, report.WriteSARIF(t.Context(), &out, r))
	assert.Contains(t, out.String(), `"uri":"file:///src/a%20b.go"`)
	assert.Contains(t, out.String(), `"uri":"file:///C:/agent/x.cs"`)
	again, err := report.ReadSARIF(t.Context(), &out, nil)
	require.NoError(t, err)
	for i := range paths {
		assert.Equal(t, r.Findings[i].Location.Path, again.Findings[i].Location.Path)
	}
}
