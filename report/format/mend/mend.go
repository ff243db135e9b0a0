// Package mend reads the reports of Mend, formerly WhiteSource: the scan report of the Unified Agent, the
// vulnerabilities of a project from API 1.x, those of API 3.0, the summary of policy rejections, and the tree
// of checked policies.
//
// Of API 3.0 only findings that are active count as open; the others are read as suppressed. Truth values and
// scores are read as the type they should have and as text, since Mend writes both.
//
// # Errors
//
// [Read] returns the errors of package report.
package mend

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

const tool = "Mend"

type document struct {
	// The scan report of the Unified Agent.
	ProjectVitals struct {
		Name        string `json:"name"`
		ProductName string `json:"productName"`
	} `json:"projectVitals"`
	Libraries        input.List[library] `json:"libraries"`
	PolicyStatistics struct {
		TotalRejected input.Number `json:"totalRejected"`
	} `json:"policyStatistics"`

	// API 1.x.
	Vulnerabilities input.List[vulnerability] `json:"vulnerabilities"`

	// API 3.0.
	Response       input.List[item] `json:"response"`
	AdditionalData struct {
		TotalItems input.Number    `json:"totalItems"`
		Paging     json.RawMessage `json:"paging"`
	} `json:"additionalData"`

	// policyRejectionSummary.json.
	RejectingPolicies input.List[policy] `json:"rejectingPolicies"`
	Summary           struct {
		TotalRejectedLibraries input.Number `json:"totalRejectedLibraries"`
	} `json:"summary"`

	// checkPolicies-json.txt.
	ExistingProjects map[string]node `json:"existingProjects"`
	NewProjects      map[string]node `json:"newProjects"`
}

type library struct {
	Type            string                    `json:"type"`
	Name            string                    `json:"name"`
	Filename        string                    `json:"filename"`
	ArtifactID      string                    `json:"artifactId"`
	GroupID         string                    `json:"groupId"`
	Version         string                    `json:"version"`
	Vulnerabilities input.List[vulnerability] `json:"vulnerabilities"`
	Locations       []struct {
		Path string `json:"path"`
	} `json:"locations"`
}

type vulnerability struct {
	Name          string     `json:"name"`
	Severity      string     `json:"severity"`
	Score         input.Text `json:"score"`
	CVSS3Severity string     `json:"cvss3_severity"`
	CVSS3Score    input.Text `json:"cvss3_score"`
	Vector        string     `json:"scoreMetadataVector"`
	URL           string     `json:"url"`
	Description   string     `json:"description"`
	TopFix        fix        `json:"topFix"`
	Library       *library   `json:"library"`
	Project       string     `json:"project"`
	Locations     []struct {
		Path string `json:"path"`
	} `json:"locations"`
}

type fix struct {
	Resolution string `json:"fixResolution"`
	Message    string `json:"message"`
}

// version takes the versions out of "left - 1.0.1, left - 2.0.0" or "org.example:thing:4.1".
func (f fix) version() string {
	var versions []string
	for part := range strings.FieldsFuncSeq(f.Resolution, func(r rune) bool { return r == ',' || r == ';' }) {
		part = strings.TrimSpace(part)
		if i := strings.LastIndex(part, " - "); i >= 0 {
			part = part[i+3:]
		}
		part = strings.TrimSpace(part[strings.LastIndexByte(part, ':')+1:])
		if part != "" && !slices.Contains(versions, part) {
			versions = append(versions, part)
		}
	}
	return strings.Join(versions, ", ")
}

type item struct {
	Name      string `json:"name"`
	Component struct {
		Name        string `json:"name"`
		Type        string `json:"componentType"`
		LibraryType string `json:"libraryType"`
		GroupID     string `json:"groupId"`
		ArtifactID  string `json:"artifactId"`
		Version     string `json:"version"`
		Path        string `json:"path"`
	} `json:"component"`
	FindingInfo struct {
		Status string `json:"status"`
	} `json:"findingInfo"`
	Vulnerability struct {
		Name        string     `json:"name"`
		Severity    string     `json:"severity"`
		Score       input.Text `json:"score"`
		Description string     `json:"description"`
	} `json:"vulnerability"`
	TopFix    fix        `json:"topFix"`
	Malicious input.Flag `json:"malicious"`
	Vector    string     `json:"scoreMetadataVector"`
	Threat    struct {
		Maturity string `json:"exploitCodeMaturity"`
	} `json:"threatAssessment"`
}

type policy struct {
	PolicyName        string `json:"policyName"`
	FilterType        string `json:"filterType"`
	RejectedLibraries input.List[struct {
		Name         string `json:"name"`
		Link         string `json:"link"`
		SystemPath   string `json:"systemPath"`
		ManifestFile string `json:"manifestFile"`
	}] `json:"rejectedLibraries"`
}

type node struct {
	Resource struct {
		DisplayName string `json:"displayName"`
		Link        string `json:"link"`
	} `json:"resource"`
	Policy *struct {
		DisplayName string `json:"displayName"`
		FilterType  string `json:"filterType"`
		ActionType  string `json:"actionType"`
	} `json:"policy"`
	Children []node `json:"children"`
}

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("Mend JSON", o)
	var d document
	if err := b.JSON(r, &d); err != nil {
		return nil, err
	}
	run := b.Run(report.Run{Tool: tool, Target: d.ProjectVitals.Name, InformationURI: "https://www.mend.io"})
	rd := reader{b: b, run: run}
	rd.read(&d)
	return b.Done(ctx)
}

type reader struct {
	b   *input.Builder
	run int
}

func (rd *reader) read(d *document) {
	if !d.Libraries.Present && !d.Vulnerabilities.Present && !d.Response.Present && !d.RejectingPolicies.Present &&
		d.ExistingProjects == nil && d.NewProjects == nil {
		rd.b.Report.Runs[rd.run].Status = report.StatusNoResults
		rd.b.Report.Runs[rd.run].Reason = "the report has no list of libraries, vulnerabilities or policies"
	}
	for l := range input.Each(rd.b, rd.run, "library", d.Libraries) {
		for v := range input.Each(rd.b, rd.run, "vulnerability", l.Vulnerabilities) {
			rd.b.Add(rd.vulnerability(v, l))
		}
	}
	for v := range input.Each(rd.b, rd.run, "vulnerability", d.Vulnerabilities) {
		l := library{}
		if v.Library != nil {
			l = *v.Library
		}
		rd.b.Add(rd.vulnerability(v, l))
	}
	for i := range input.Each(rd.b, rd.run, "finding", d.Response) {
		rd.b.Add(rd.item(i))
	}
	if total := d.AdditionalData.TotalItems.Int(); total > d.Response.Len() {
		rd.b.Failed(rd.run, fmt.Sprintf("this is one page: it lists %d of %d", d.Response.Len(), total))
	}
	listed := 0
	for p := range input.Each(rd.b, rd.run, "policy", d.RejectingPolicies) {
		rd.policy(p)
		listed += p.RejectedLibraries.Len()
	}
	if total := d.Summary.TotalRejectedLibraries.Int(); total > listed {
		rd.b.Failed(rd.run, fmt.Sprintf("the summary counts %d rejected libraries, and %d are listed", total, listed))
	}
	// The scan report counts what the policies reject, and says neither which policy nor which library.
	if n := d.PolicyStatistics.TotalRejected.Int(); n > 0 {
		f := rejection(rd.run, "", "")
		f.Title, f.Message, f.Package = "Policy violation", fmt.Sprintf("Mend's policies reject %d libraries of %s", n, d.ProjectVitals.Name), nil
		rd.b.Add(f)
	}
	for _, projects := range []map[string]node{d.ExistingProjects, d.NewProjects} {
		for _, name := range slices.Sorted(maps.Keys(projects)) {
			rd.node(projects[name], name)
		}
	}
}

func (rd *reader) vulnerability(v vulnerability, l library) report.Finding {
	f := report.Finding{
		Run:         rd.run,
		Rule:        v.Name,
		Title:       v.Name + " in " + l.title(),
		Description: v.Description,
		HelpURI:     v.URL,
		Category:    report.CategoryPackage,
		Vector:      v.Vector,
		Package:     &report.Package{Name: l.title(), Installed: l.Version, Fixed: v.TopFix.version(), PURL: l.purl()},
	}
	// CVSS 3 grades better than CVSS 2, which stands in the plain members.
	rd.grade(&f, input.First(v.CVSS3Severity, v.Severity), cmp.Or(v.CVSS3Score, v.Score))
	for _, at := range slices.Concat(v.Locations, l.Locations) {
		f.Location.Path = input.First(f.Location.Path, at.Path)
	}
	f.Message = input.Vulnerable(l.title(), l.Version, input.First(input.OneLine(v.Description), v.Name), v.TopFix.version())
	return f
}

func (rd *reader) grade(f *report.Finding, word string, score input.Text) {
	f.Severity = rd.b.Severity(rd.run, word)
	if score == "" {
		return
	}
	n, ok := report.ParseScore(string(score))
	if !ok {
		rd.b.Report.AddUnplaced(tool, "score out of range", 1)
	}
	f.Score = n
}

// title is the name a package manager knows the library by, where the report has it.
func (l library) title() string {
	if l.GroupID != "" && l.Type != "NODE_PACKAGED_MODULE" && l.ArtifactID != "" && strings.Contains(strings.ToUpper(l.Type), "MAVEN") {
		return l.GroupID + ":" + l.ArtifactID
	}
	if l.GroupID != "" && strings.HasPrefix(l.Type, "NODE") {
		return l.GroupID
	}
	return input.First(l.Name, l.Filename, l.ArtifactID)
}

func (l library) purl() string {
	typ := strings.ToUpper(strings.ReplaceAll(l.Type, " ", "_"))
	name := strings.TrimSuffix(strings.TrimSuffix(l.ArtifactID, "-"+l.Version+".tgz"), ".tgz")
	switch {
	case l.Version == "":
		return ""
	case strings.HasPrefix(typ, "NODE") || typ == "NPM":
		// The group of a Node module is its name, scope included.
		return report.PURL("npm", "", input.First(l.GroupID, name), l.Version)
	case strings.HasPrefix(typ, "JAVA") || strings.HasPrefix(typ, "MAVEN"):
		if l.GroupID == "" {
			return ""
		}
		return report.PURL("maven", l.GroupID, strings.TrimSuffix(strings.TrimSuffix(l.ArtifactID, ".jar"), "-"+l.Version), l.Version)
	case strings.HasPrefix(typ, "PYTHON"):
		return report.PURL("pypi", "", strings.ToLower(input.First(l.GroupID, name)), l.Version)
	case strings.HasPrefix(typ, "NUGET") || strings.HasPrefix(typ, "DOT_NET"):
		return report.PURL("nuget", "", input.First(l.GroupID, name), l.Version)
	case strings.HasPrefix(typ, "GO"):
		return report.PURL("golang", "", input.First(l.GroupID, name), l.Version)
	}
	return ""
}

func (rd *reader) item(i item) report.Finding {
	c, v := i.Component, i.Vulnerability
	l := library{Type: input.First(c.LibraryType, c.Type), Name: c.Name, GroupID: c.GroupID, ArtifactID: c.ArtifactID, Version: c.Version}
	f := report.Finding{
		Run:         rd.run,
		Rule:        input.First(v.Name, i.Name),
		Description: v.Description,
		Category:    report.CategoryPackage,
		Vector:      i.Vector,
		Location:    report.Location{Path: c.Path},
		Package:     &report.Package{Name: l.title(), Installed: c.Version, Fixed: i.TopFix.version(), PURL: l.purl()},
	}
	rd.grade(&f, v.Severity, v.Score)
	f.Title = f.Rule + " in " + l.title()
	f.Message = input.Vulnerable(l.title(), c.Version, input.First(input.OneLine(v.Description), f.Rule), i.TopFix.version())
	if i.Malicious {
		f.Tags = append(f.Tags, "malicious")
	}
	if m := i.Threat.Maturity; m != "" && m != "NOT_DEFINED" {
		f.Tags = append(f.Tags, "exploit:"+strings.ToLower(m))
	}
	if s := i.FindingInfo.Status; s != "" && s != "ACTIVE" {
		f.Suppressed = &report.Suppression{Kind: "external", Reason: "Mend: " + strings.ToLower(s), From: tool}
	}
	return f
}

func (rd *reader) policy(p policy) {
	for l := range input.Each(rd.b, rd.run, "rejected library", p.RejectedLibraries) {
		f := rejection(rd.run, p.PolicyName, l.Name)
		f.HelpURI = l.Link
		f.Location.Path = input.First(l.ManifestFile, l.SystemPath)
		rd.b.Add(f)
	}
}

// node reads a tree of libraries with the policies that apply to them.
func (rd *reader) node(n node, project string) {
	if p := n.Policy; p != nil && strings.EqualFold(p.ActionType, "Reject") {
		f := rejection(rd.run, p.DisplayName, n.Resource.DisplayName)
		f.HelpURI = n.Resource.Link
		f.Location.Logical = project
		rd.b.Add(f)
	}
	for _, child := range n.Children {
		rd.node(child, project)
	}
}

func rejection(run int, policy, lib string) report.Finding {
	return report.Finding{
		Run:      run,
		Rule:     input.First(policy, "policy"),
		Title:    "Rejected by the policy " + policy,
		Message:  lib + " is rejected by the policy " + policy,
		Category: report.CategoryPolicy,
		Level:    report.LevelError,
		Package:  &report.Package{Name: lib},
	}
}
