package sonarqube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
)

// gate is the verdict of a quality gate.
type gate struct {
	Status     string
	Conditions []condition
}

type condition struct {
	Status, MetricKey, Comparator, ErrorThreshold, ActualValue string
}

// gate asks for the verdict on one analysis: that of the branch could be a later one already.
func (c *client) gate(ctx context.Context, analysis string) (*gate, error) {
	const path = "api/qualitygates/project_status"
	var doc struct{ ProjectStatus gate }
	if err := c.call(ctx, path, url.Values{"analysisId": {analysis}}, &doc); err != nil {
		return nil, err
	}
	switch doc.ProjectStatus.Status {
	case "OK", "WARN", "ERROR", "NONE":
		return &doc.ProjectStatus, nil
	}
	return nil, c.fail(path, scan.ErrOutput, fmt.Errorf("unknown status %q of the quality gate", doc.ProjectStatus.Status))
}

// sawFiles makes sure that the analysis saw something: with the wrong sonar.sources, or without an analyser for the
// language, a project has no issues and meets every gate. A pull request may well touch no file that is analysed.
func (c *client) sawFiles(ctx context.Context) error {
	if c.o.AllowEmpty || c.pullRequest != "" {
		return nil
	}
	const path = "api/measures/component"
	var doc struct {
		Component struct {
			Measures []struct{ Metric, Value string }
		}
	}
	if err := c.call(ctx, path, c.query("component", c.o.ProjectKey, "metricKeys", "files"), &doc); err != nil {
		return err
	}
	for _, m := range doc.Component.Measures {
		if m.Metric == "files" && m.Value != "0" {
			return nil
		}
	}
	return c.fail(path, scan.ErrBroken, errors.New("the analysis saw no file of a language the server knows, which is no pass; AllowEmpty would take it for one"))
}

// addTo adds a finding for each condition that is not met, and one for a gate that failed without saying why.
func (g *gate) addTo(ctx context.Context, r *report.Report) error {
	if g.Status != "ERROR" {
		return nil
	}
	before := len(r.Findings)
	for _, c := range g.Conditions {
		if c.Status == "ERROR" {
			r.Findings = append(r.Findings, policyFinding("quality-gate:"+c.MetricKey, c.String()))
		}
	}
	if len(r.Findings) == before {
		r.Findings = append(r.Findings, policyFinding("quality-gate", "the quality gate failed"))
	}
	return r.Normalize(ctx, nil)
}

func policyFinding(rule, message string) report.Finding {
	return report.Finding{Rule: rule, Title: "Quality gate", Message: message, Category: report.CategoryPolicy, Level: report.LevelError}
}

func (c condition) String() string {
	name := strings.ReplaceAll(c.MetricKey, "_", " ")
	if c.ActualValue == "" {
		return name + " does not meet the quality gate"
	}
	bound := map[string]string{"LT": "at least", "GT": "at most"}[c.Comparator]
	if bound == "" || c.ErrorThreshold == "" {
		return fmt.Sprintf("%s is %s", name, c.ActualValue)
	}
	return fmt.Sprintf("%s is %s, and must be %s %s", name, c.ActualValue, bound, c.ErrorThreshold)
}
