package sonarqubetest

import (
	"math"
	"strconv"

	"github.com/waybill-dev/waybill/report"
)

// measure computes the metrics of an analysis. What was not submitted has no measure, as on the real server: a
// project without a coverage report has no coverage, not one of 0 %.
func measure(r *report.Report, issues, hotspots []entry) map[string]float64 {
	m := map[string]float64{
		"violations": float64(len(issues)), "bugs": 0, "vulnerabilities": 0, "code_smells": 0,
		"blocker_violations": 0, "critical_violations": 0, "major_violations": 0, "minor_violations": 0, "info_violations": 0,
		"security_hotspots": float64(len(hotspots)),
	}
	for _, i := range issues {
		m[map[string]string{"BUG": "bugs", "VULNERABILITY": "vulnerabilities", "CODE_SMELL": "code_smells"}[i.kind]]++
		m[map[string]string{
			"BLOCKER": "blocker_violations", "CRITICAL": "critical_violations", "MAJOR": "major_violations", "MINOR": "minor_violations", "INFO": "info_violations",
		}[i.severity]]++
	}
	if r == nil {
		return m
	}
	if r.Tests != nil {
		c := r.Tests.Counts()
		m["tests"], m["test_failures"], m["test_errors"], m["skipped_tests"] = float64(c.Total), float64(c.Failed), float64(c.Errors), float64(c.Skipped)
		if c.Total > 0 {
			m["test_success_density"] = round(100 * float64(c.Total-c.Failed-c.Errors) / float64(c.Total))
		}
	}
	if r.Coverage != nil {
		c := r.Coverage.Counts()
		m["lines_to_cover"], m["uncovered_lines"] = float64(c.Lines), float64(c.Lines-c.LinesCovered)
		if c.Lines > 0 {
			m["line_coverage"] = round(100 * float64(c.LinesCovered) / float64(c.Lines))
		}
		// SonarQube's coverage mixes lines and branches.
		if all := c.Lines + c.Branches; all > 0 {
			m["coverage"] = round(100 * float64(c.LinesCovered+c.BranchesCovered) / float64(all))
		}
	}
	return m
}

func round(percent float64) float64 { return math.Round(percent*10) / 10 }

// verdict applies a gate to measures. A condition on something that was not measured is met.
func verdict(gate []Condition, measures map[string]float64) map[string]any {
	if len(gate) == 0 {
		return map[string]any{"status": "NONE", "conditions": []any{}, "ignoredConditions": false}
	}
	status := "OK"
	conditions := []any{}
	for _, c := range gate {
		out := map[string]any{"status": "OK", "metricKey": c.Metric, "comparator": c.Op, "errorThreshold": number(c.Error)}
		if actual, ok := measures[c.Metric]; ok {
			out["actualValue"] = number(actual)
			if c.Op == "LT" && actual < c.Error || c.Op == "GT" && actual > c.Error {
				out["status"], status = "ERROR", "ERROR"
			}
		}
		conditions = append(conditions, out)
	}
	return map[string]any{"status": status, "conditions": conditions, "ignoredConditions": false, "caycStatus": "compliant"}
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
