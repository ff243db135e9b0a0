package report_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

func TestParseSeverity(t *testing.T) {
	tests := []struct {
		in   string
		want report.Severity
		ok   bool
	}{
		{"CRITICAL", report.SeverityCritical, true},
		{"Blocker", report.SeverityCritical, true},
		{" high ", report.SeverityHigh, true},
		{"MODERATE", report.SeverityMedium, true},
		{"Negligible", report.SeverityInfo, true},
		{"9.8", report.SeverityCritical, true},
		{"7", report.SeverityHigh, true},
		{"3.9", report.SeverityLow, true},
		{"0.0", report.SeverityInfo, true},
		{"11", report.SeverityUnknown, false},
		{"NaN", report.SeverityUnknown, false},
		{"", report.SeverityUnknown, false},
		{"spicy", report.SeverityUnknown, false},
	}
	for _, tt := range tests {
		got, ok := report.ParseSeverity(tt.in)
		assert.Equal(t, tt.want, got, tt.in)
		assert.Equal(t, tt.ok, ok, tt.in)
	}
}

func TestSeverity_JSON(t *testing.T) {
	out, err := json.Marshal(report.SeverityHigh)
	require.NoError(t, err)
	assert.Equal(t, `"high"`, string(out))
	var s report.Severity
	require.NoError(t, json.Unmarshal([]byte(`"low"`), &s))
	assert.Equal(t, report.SeverityLow, s)
	assert.ErrorContains(t, json.Unmarshal([]byte(`"HIGH"`), &s), "none of")
}

// The vectors and scores are the examples of the CVSS documents of FIRST.
func TestScoreCVSS(t *testing.T) {
	tests := []struct {
		vector string
		want   float64
		ok     bool
	}{
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, true},
		{"CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4, true},
		{"CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, true},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0, true},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:P", 10, true},
		{"AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8, true},
		{"(AV:N/AC:L/Au:N/C:C/I:C/A:C)", 10, true},
		{"AV:L/AC:H/Au:N/C:C/I:C/A:C", 6.2, true},
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 0, false},
		{"CVSS:3.1/AV:N/AC:L", 0, false},
		{"nonsense", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		got, ok := report.ScoreCVSS(tt.vector)
		assert.Equal(t, tt.ok, ok, tt.vector)
		assert.InDelta(t, tt.want, got, 0.001, tt.vector)
	}
}
