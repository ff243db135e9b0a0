package report_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
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
		{"CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.3, true},         // CVE-2022-41741
		{"CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.7, true},         // CVE-2020-3549
		{"CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U", 7.7, true},     // the same, with a threat
		{"CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:L/VA:L/SC:N/SI:N/SA:N", 8.3, true},         // CVE-2023-3089
		{"CVSS:4.0/AV:L/AC:L/AT:N/PR:N/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 4.6, true},         // CVE-2021-44714
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:A/VC:N/VI:N/VA:N/SC:L/SI:L/SA:N", 5.1, true},         // CVE-2022-21830
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:L/SI:L/SA:N", 6.9, true},         // CVE-2022-22186
		{"CVSS:4.0/AV:L/AC:L/AT:N/PR:H/UI:N/VC:N/VI:N/VA:N/SC:H/SI:N/SA:N", 5.9, true},         // CVE-2023-21989
		{"CVSS:4.0/AV:L/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 9.4, true},         // CVE-2020-3947
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:H/VA:N/SC:H/SI:H/SA:H", 9.3, true},         // CVE-2023-48228
		{"CVSS:4.0/AV:P/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:H/SA:N/S:P/V:D", 8.3, true}, // CVE-2023-30560
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N/E:A", 8.7, true},     // CVE-2014-0160
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 10, true},          // CVE-2021-44228
		{"CVSS:4.0/AV:A/AC:L/AT:N/PR:N/UI:N/VC:N/VI:L/VA:N/SC:H/SI:N/SA:H", 6.4, true},         // CVE-2013-6014
		{"CVSS:4.0/AV:L/AC:L/AT:N/PR:H/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/R:I", 8.4, true},     // CVE-2016-5729
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0, true},
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:R/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 0, false},
		{"CVSS:4.0/AV:N/AC:L/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 0, false},
		{"CVSS:5.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 0, false},
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

// Every base vector there is. The sums are of the scores as the calculator of Red Hat, PyPI's cvss 3.6, writes
// them for the same vectors in the same order, with one decimal and a line end each.
func TestScoreCVSS_everyVector(t *testing.T) {
	v3 := []string{"AV:NALP", "AC:LH", "PR:NLH", "UI:NR", "S:UC", "C:HLN", "I:HLN", "A:HLN"}
	tests := []struct {
		prefix  string
		metrics []string
		vectors int
		sum     string
	}{
		{"", []string{"AV:LAN", "AC:HML", "Au:MSN", "C:NPC", "I:NPC", "A:NPC"}, 729, "9f500575af40791508384f628508499ba6865bfeb59c97ae15f6ea00cb5fd21d"},
		{"CVSS:3.0/", v3, 2592, "f4427804b4150244516d033479a5397cc249ef7fe0a454e07164a0011f6e618e"},
		{"CVSS:3.1/", v3, 2592, "f4427804b4150244516d033479a5397cc249ef7fe0a454e07164a0011f6e618e"},
		{"CVSS:4.0/", []string{"AV:NALP", "AC:LH", "AT:NP", "PR:NLH", "UI:NPA", "VC:HLN", "VI:HLN", "VA:HLN", "SC:HLN", "SI:HLN", "SA:HLN"}, 104976, "c03fa30a63957b282f68e73d0c6419de1af387cdb80a36e0a9e0c00e666f46a3"},
	}
	for _, tt := range tests {
		sum, n := sha256.New(), 0
		var walk func(vector string, left []string)
		walk = func(vector string, left []string) {
			if len(left) == 0 {
				score, ok := report.ScoreCVSS(vector[:len(vector)-1])
				require.True(t, ok, vector)
				fmt.Fprintf(sum, "%.1f\n", score)
				n++
				return
			}
			name, values, _ := strings.Cut(left[0], ":")
			for _, v := range values {
				walk(vector+name+":"+string(v)+"/", left[1:])
			}
		}
		walk(tt.prefix, tt.metrics)
		assert.Equal(t, tt.vectors, n, tt.prefix)
		assert.Equal(t, tt.sum, hex.EncodeToString(sum.Sum(nil)), tt.prefix)
	}
}
