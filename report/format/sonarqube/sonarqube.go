// Package sonarqube reads what SonarQube's web API answers: issues (api/issues/search) and security hotspots
// (api/hotspots/search), one page.
//
// A page is not a scan: when the answer says that there are more issues than it lists, the run has failed.
// Issues that were accepted or are false positives are suppressed, those that were fixed are absent.
//
// # Errors
//
// [Read] returns the errors of package report.
package sonarqube

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

// page is an answer of the API.
type page struct {
	Paging *struct {
		PageIndex input.Number `json:"pageIndex"`
		PageSize  input.Number `json:"pageSize"`
		Total     input.Number `json:"total"`
	} `json:"paging"`
	Total      *input.Number         `json:"total"` // before version 10 beside paging
	Issues     input.List[issue]     `json:"issues"`
	Hotspots   input.List[hotspot]   `json:"hotspots"`
	Components input.List[component] `json:"components"`
	Rules      input.List[rule]      `json:"rules"`
}

type component struct {
	Key  string `json:"key"`
	Path string `json:"path"`
}

type rule struct {
	Key  string `json:"key"`
	Name string `json:"name"`
}

type textRange struct {
	StartLine   input.Number `json:"startLine"`
	EndLine     input.Number `json:"endLine"`
	StartOffset input.Number `json:"startOffset"` // counted from 0
	EndOffset   input.Number `json:"endOffset"`
}

type issue struct {
	Key         string       `json:"key"`
	Rule        string       `json:"rule"`
	Severity    string       `json:"severity"`
	Component   string       `json:"component"`
	Project     string       `json:"project"`
	Line        input.Number `json:"line"`
	TextRange   *textRange   `json:"textRange"`
	Status      string       `json:"status"`
	IssueStatus string       `json:"issueStatus"`
	Resolution  string       `json:"resolution"`
	Message     string       `json:"message"`
	Type        string       `json:"type"`
	Tags        input.Texts  `json:"tags"`
	Impacts     []struct {
		SoftwareQuality string `json:"softwareQuality"`
		Severity        string `json:"severity"`
	} `json:"impacts"`
}

type hotspot struct {
	Key         string       `json:"key"`
	Component   string       `json:"component"`
	Category    string       `json:"securityCategory"`
	Probability string       `json:"vulnerabilityProbability"`
	Status      string       `json:"status"`
	Resolution  string       `json:"resolution"`
	Line        input.Number `json:"line"`
	Message     string       `json:"message"`
	RuleKey     string       `json:"ruleKey"`
	TextRange   *textRange   `json:"textRange"`
}

// Read reads a page. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("SonarQube JSON", o)
	var p page
	if err := b.JSON(r, &p); err != nil {
		return nil, err
	}
	rd := reader{b: b, paths: map[string]string{}, names: map[string]string{}}
	rd.run = b.Run(report.Run{Tool: "SonarQube", InformationURI: "https://www.sonarsource.com/products/sonarqube/"})
	if !p.Issues.Present && !p.Hotspots.Present {
		b.Report.Runs[rd.run].Status = report.StatusNoResults
		b.Report.Runs[rd.run].Reason = "the answer has neither issues nor hotspots"
	}
	if listed, total := p.Issues.Len()+p.Hotspots.Len(), p.total(); total > listed {
		b.Failed(rd.run, fmt.Sprintf("this is one page: it lists %d of %d", listed, total))
	}
	for c := range input.Each(b, rd.run, "component", p.Components) {
		rd.paths[c.Key] = c.Path
	}
	for r := range input.Each(b, rd.run, "rule", p.Rules) {
		rd.names[r.Key] = r.Name
	}
	for i := range input.Each(b, rd.run, "issue", p.Issues) {
		b.Add(rd.issue(i))
	}
	for h := range input.Each(b, rd.run, "hotspot", p.Hotspots) {
		b.Add(rd.hotspot(h))
	}
	return b.Done(ctx)
}

func (p *page) total() int {
	if p.Paging != nil {
		return p.Paging.Total.Int()
	}
	if p.Total != nil {
		return p.Total.Int()
	}
	return 0
}

type reader struct {
	b     *input.Builder
	run   int
	paths map[string]string // by component key; keys hold colons, so they are not taken apart
	names map[string]string // of rules
}

func (rd *reader) location(component string, line input.Number, r *textRange) report.Location {
	path, known := rd.paths[component]
	if !known {
		rd.b.Report.AddUnplaced("SonarQube", "component is not in the list of components", 1)
		// Project keys may hold colons, paths rarely do.
		path = component[strings.LastIndexByte(component, ':')+1:]
	}
	loc := report.Location{Path: path, StartLine: line.Int(), EndLine: line.Int()}
	if r != nil {
		loc.StartLine, loc.EndLine = r.StartLine.Int(), r.EndLine.Int()
		loc.StartColumn, loc.EndColumn = r.StartOffset.Int()+1, r.EndOffset.Int()+1
	}
	return loc
}

func (rd *reader) issue(i issue) report.Finding {
	f := report.Finding{
		Run:          rd.run,
		Rule:         i.Rule,
		Title:        input.OneLine(input.First(rd.names[i.Rule], i.Message)),
		Message:      i.Message,
		Severity:     rd.severity(i),
		Location:     rd.location(i.Component, i.Line, i.TextRange),
		Tags:         i.Tags,
		Fingerprints: map[string]string{"sonarqube": i.Key},
	}
	if i.Type != "" {
		f.Tags = append(f.Tags, strings.ToLower(i.Type))
	}
	rd.resolve(&f, i.Status, input.First(i.Resolution, i.IssueStatus))
	return f
}

// severity prefers the impact on a software quality, which replaced the severity of the rule in version 10.
func (rd *reader) severity(i issue) report.Severity {
	worst := report.SeverityUnknown
	for _, m := range i.Impacts {
		if s, ok := severities[m.Severity]; ok {
			worst = max(worst, s)
		}
	}
	if worst != report.SeverityUnknown {
		return worst
	}
	if s, ok := severities[i.Severity]; ok {
		return s
	}
	return rd.b.Severity(rd.run, i.Severity)
}

// severities has SonarQube's five steps in their order: CRITICAL is its second, MAJOR its middle.
var severities = map[string]report.Severity{
	"BLOCKER": report.SeverityCritical,
	"HIGH":    report.SeverityHigh, "CRITICAL": report.SeverityHigh,
	"MEDIUM": report.SeverityMedium, "MAJOR": report.SeverityMedium,
	"LOW": report.SeverityLow, "MINOR": report.SeverityLow,
	"INFO": report.SeverityInfo,
}

func (rd *reader) hotspot(h hotspot) report.Finding {
	f := report.Finding{
		Run:          rd.run,
		Rule:         input.First(h.RuleKey, h.Category),
		Title:        input.OneLine(h.Message),
		Message:      h.Message,
		Severity:     rd.b.Severity(rd.run, h.Probability),
		Location:     rd.location(h.Component, h.Line, h.TextRange),
		Tags:         []string{"hotspot"},
		Fingerprints: map[string]string{"sonarqube": h.Key},
	}
	if h.Category != "" {
		f.Tags = append(f.Tags, h.Category)
	}
	rd.resolve(&f, h.Status, h.Resolution)
	return f
}

// resolve says what was decided about a finding on the server.
func (rd *reader) resolve(f *report.Finding, status, resolution string) {
	switch strings.ToUpper(strings.ReplaceAll(resolution, "-", "_")) {
	case "FIXED", "REMOVED":
		f.State = report.StateAbsent
	case "FALSE_POSITIVE", "WONTFIX", "ACCEPTED", "SAFE", "ACKNOWLEDGED":
		f.Suppressed = &report.Suppression{Kind: "external", Reason: "SonarQube: " + strings.ToLower(resolution), From: "SonarQube"}
	default:
		if status == "CLOSED" {
			f.State = report.StateAbsent
		}
	}
}
