// Package trivy reads the JSON reports of Trivy: images, file systems, repositories, configuration, secrets,
// licences and Kubernetes clusters, of schema version 2 and of the list before it.
//
// Trivy leaves Results out when it found nothing, so a report without them is clean. What Trivy itself
// suppressed (--show-suppressed) is read as suppressed. The text around a secret is taken over only when
// Trivy has censored it, and the lines of a misconfiguration about secrets not at all.
//
// # Errors
//
// [Read] returns the errors of package report.
package trivy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
	"github.com/waybill-dev/waybill/report/internal/secretrule"
)

const (
	format = "Trivy JSON"
	tool   = "Trivy"
	home   = "https://trivy.dev"
)

type document struct {
	SchemaVersion input.Number
	ArtifactName  string
	ArtifactType  string
	CreatedAt     string
	Trivy         struct{ Version string }
	Metadata      struct{ RepoURL, Commit string }
	Results       input.List[result]

	// Kubernetes reports.
	ClusterName       string
	Resources         input.List[resource]
	Vulnerabilities   input.List[resource]
	Misconfigurations input.List[resource]
	Findings          input.List[resource]
}

type resource struct {
	Namespace, Kind, Name string
	Error                 string
	Results               input.List[result]
}

type result struct {
	Target, Class, Type string
	Packages            input.List[pkg]
	Vulnerabilities     input.List[vulnerability]
	Misconfigurations   input.List[misconfiguration]
	Secrets             input.List[secret]
	Licenses            input.List[license]

	ExperimentalModifiedFindings input.List[modified]
}

type pkg struct {
	Name, Version string
	Locations     []struct{ StartLine, EndLine input.Number }
}

type vulnerability struct {
	VulnerabilityID  string
	VendorIDs        input.Texts
	PkgName          string
	PkgPath          string
	PkgIdentifier    struct{ PURL string }
	InstalledVersion string
	FixedVersion     string
	SeveritySource   string
	Severity         input.Text
	PrimaryURL       string
	Title            string
	Description      string
	CweIDs           input.Texts
	CVSS             map[string]cvss
	Fingerprint      string
}

type cvss struct {
	V2Vector, V3Vector, V40Vector string
	V2Score, V3Score, V40Score    input.Number
}

type misconfiguration struct {
	Type, ID, AVDID, Title, Description, Message, Resolution string
	Severity                                                 input.Text
	PrimaryURL                                               string
	Status                                                   input.Text
	CauseMetadata                                            struct {
		Resource, Provider, Service string
		StartLine, EndLine          input.Number
		Code                        struct {
			Lines []struct {
				Content string
				IsCause bool
			}
		}
	}
}

type secret struct {
	RuleID, Category, Title string
	Severity                input.Text
	StartLine, EndLine      input.Number
	Match                   string
}

type license struct {
	Severity                                input.Text
	Category, PkgName, FilePath, Name, Link string
}

type modified struct {
	Type, Status, Statement, Source string
	Finding                         json.RawMessage
}

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New(format, o)
	doc, err := input.ReadJSON(r, b.Limits())
	if err != nil {
		return nil, b.Fail(err)
	}
	b.Document(doc)
	var d document
	if c := bytes.TrimSpace(doc.Data)[0]; c == '[' || c == 'n' {
		_, err = doc.Decode(&d.Results) // before schema version 2
	} else {
		_, err = doc.Decode(&d)
	}
	if err != nil {
		return nil, b.Fail(err)
	}
	if v := d.SchemaVersion; v != 0 && v != 2 {
		return nil, b.Fail(errors.Join(input.ErrUnsupported, fmt.Errorf("schema version %v; 2 is read", v)))
	}
	rd := reader{b: b, run: b.Run(report.Run{
		Tool: tool, Version: d.Trivy.Version, InformationURI: home,
		Target: input.First(d.ArtifactName, d.ClusterName),
	})}
	if d.SchemaVersion == 0 && !d.Results.Present && d.ArtifactName == "" && d.ClusterName == "" {
		b.Report.Runs[rd.run].Status = report.StatusNoResults
		b.Report.Runs[rd.run].Reason = "the report says neither its schema version nor what was scanned"
	}
	rd.commit = d.Metadata.Commit
	rd.image = d.ArtifactType == "container_image"
	rd.results(d.Results, "")
	for _, list := range []input.List[resource]{d.Resources, d.Vulnerabilities, d.Misconfigurations, d.Findings} {
		for res := range input.Each(b, rd.run, "resource", list) {
			where := strings.Trim(res.Namespace+"/"+res.Kind+"/"+res.Name, "/")
			if res.Error != "" {
				b.Failed(rd.run, where+": "+res.Error)
			}
			rd.results(res.Results, where)
		}
	}
	return b.Done(ctx)
}

type reader struct {
	b      *input.Builder
	run    int
	commit string
	image  bool // paths are those in an image
}

// results reads the results of an artifact; resource names the Kubernetes object they belong to.
func (rd *reader) results(list input.List[result], resource string) {
	for res := range input.Each(rd.b, rd.run, "result", list) {
		if res.Target == "" && res.Class == "" && res.Type == "" {
			rd.b.Report.AddUnplaced(tool, "result that says nothing of what was scanned", 1)
		}
		p := place{image: rd.image, target: res.Target, class: res.Class, typ: res.Type, resource: resource}
		p.lines = linesOf(input.Each(rd.b, rd.run, "package", res.Packages))
		for v := range input.Each(rd.b, rd.run, "vulnerability", res.Vulnerabilities) {
			rd.b.Add(rd.vulnerability(v, p))
		}
		for m := range input.Each(rd.b, rd.run, "misconfiguration", res.Misconfigurations) {
			// PASS and EXCEPTION are not findings. Old reports left the status out, or wrote a number.
			if s := strings.ToUpper(string(m.Status)); s == "PASS" || s == "EXCEPTION" {
				continue
			}
			rd.b.Add(rd.misconfiguration(m, p))
		}
		for s := range input.Each(rd.b, rd.run, "secret", res.Secrets) {
			f, match := rd.secret(s, p)
			rd.b.AddSecret(f, "", match)
		}
		for l := range input.Each(rd.b, rd.run, "licence", res.Licenses) {
			rd.b.Add(rd.license(l, p))
		}
		for m := range input.Each(rd.b, rd.run, "suppressed finding", res.ExperimentalModifiedFindings) {
			rd.modified(m, p)
		}
	}
}

// place is what a result says about where its findings are.
type place struct {
	image              bool
	target, class, typ string
	resource           string
	lines              map[[2]string][2]int // of a package in its lock file
}

func linesOf(packages iter.Seq[pkg]) map[[2]string][2]int {
	lines := map[[2]string][2]int{}
	for p := range packages {
		if len(p.Locations) > 0 {
			at := p.Locations[0]
			lines[[2]string{p.Name, p.Version}] = [2]int{at.StartLine.Int(), at.EndLine.Int()}
		}
	}
	return lines
}

// location is a file where the target is one. The packages of an operating system are in no file of the
// sources, and their target holds the image tag.
func (p place) location(path string) report.Location {
	loc := report.Location{Logical: p.resource}
	switch {
	case path != "":
		loc.Path = path
	case p.class == "os-pkgs" || p.class == "":
		loc.Logical = input.First(loc.Logical, p.target)
	default:
		loc.Path = p.target
	}
	if p.image {
		loc.Path = input.ImagePath(loc.Path)
	}
	return loc
}

func (rd *reader) vulnerability(v vulnerability, p place) report.Finding {
	f := report.Finding{
		Run:         rd.run,
		Rule:        v.VulnerabilityID,
		Title:       input.OneLine(v.Title),
		Description: v.Description,
		HelpURI:     v.PrimaryURL,
		Category:    report.CategoryPackage,
		Severity:    rd.b.Severity(rd.run, string(v.Severity)),
		Location:    p.location(v.PkgPath),
		Package: &report.Package{
			PURL:      input.First(v.PkgIdentifier.PURL, purl(p.typ, v.PkgName, v.InstalledVersion)),
			Name:      v.PkgName,
			Installed: v.InstalledVersion,
			Fixed:     v.FixedVersion,
		},
		CWE:     v.CweIDs,
		Aliases: v.VendorIDs,
	}
	f.Location.Commit = rd.commit
	if f.Title == "" {
		f.Title = v.VulnerabilityID + " in " + v.PkgName
	}
	f.Message = input.Vulnerable(v.PkgName, v.InstalledVersion, v.Title, v.FixedVersion)
	if at, ok := p.lines[[2]string{v.PkgName, v.InstalledVersion}]; ok && v.PkgPath == "" {
		f.Location.StartLine, f.Location.EndLine = at[0], at[1]
	}
	f.Score, f.Vector = score(v.CVSS, v.SeveritySource)
	f.Score = rd.b.Score(rd.run, f.Score)
	if v.Fingerprint != "" {
		f.Fingerprints = map[string]string{"trivy": v.Fingerprint}
	}
	return f
}

// score takes the newest CVSS of the source that graded the vulnerability, of NVD or of whoever has one.
func score(all map[string]cvss, source string) (float64, string) {
	sources := []string{source, "nvd", "ghsa", "redhat"}
	rest := make([]string, 0, len(all))
	for name := range all {
		rest = append(rest, name)
	}
	slices.Sort(rest)
	for _, name := range append(sources, rest...) {
		c := all[name]
		best := input.BestCVSS([]input.CVSS{
			{Version: "4.0", Vector: c.V40Vector, Score: float64(c.V40Score)},
			{Version: "3", Vector: c.V3Vector, Score: float64(c.V3Score)},
			{Version: "2", Vector: c.V2Vector, Score: float64(c.V2Score)},
		})
		if best.Score > 0 {
			return best.Score, best.Vector
		}
	}
	return 0, ""
}

func (rd *reader) misconfiguration(m misconfiguration, p place) report.Finding {
	f := report.Finding{
		Run:         rd.run,
		Rule:        input.First(m.ID, m.AVDID),
		Title:       input.OneLine(m.Title),
		Message:     input.First(m.Message, m.Title),
		Description: input.Join(m.Description, m.Resolution),
		HelpURI:     m.PrimaryURL,
		Category:    report.CategoryConfig,
		Severity:    rd.b.Severity(rd.run, string(m.Severity)),
		Location:    p.location(""),
	}
	if m.AVDID != "" {
		f.Aliases = []string{m.AVDID}
	}
	cause := m.CauseMetadata
	f.Location.StartLine, f.Location.EndLine = cause.StartLine.Int(), cause.EndLine.Int()
	f.Location.Logical = input.First(f.Location.Logical, cause.Resource)
	if secretrule.Holds(m.Title+" "+m.Message, nil) {
		return f // the lines may hold it
	}
	var snippet []string
	for _, line := range cause.Code.Lines {
		if line.IsCause {
			snippet = append(snippet, line.Content)
		}
	}
	f.Location.Snippet = strings.Join(snippet, "\n")
	return f
}

func (rd *reader) secret(s secret, p place) (f report.Finding, match string) {
	f = report.Finding{
		Run:      rd.run,
		Rule:     s.RuleID,
		Title:    input.OneLine(cmp.Or(s.Title, s.RuleID)),
		Category: report.CategorySecret,
		Severity: rd.b.Severity(rd.run, string(s.Severity)),
		Location: p.location(""),
	}
	if s.Category != "" {
		f.Tags = []string{s.Category}
	}
	f.Location.StartLine, f.Location.EndLine = s.StartLine.Int(), s.EndLine.Int()
	if strings.Contains(s.Match, "***") {
		f.Location.Snippet = s.Match
		return f, ""
	}
	return f, s.Match
}

func (rd *reader) license(l license, p place) report.Finding {
	f := report.Finding{
		Run:      rd.run,
		Rule:     l.Name,
		Title:    fmt.Sprintf("Licence %s (%s)", l.Name, input.First(l.Category, "unknown category")),
		HelpURI:  l.Link,
		Category: report.CategoryLicense,
		Severity: rd.b.Severity(rd.run, string(l.Severity)),
		Location: p.location(l.FilePath),
	}
	f.Message = f.Title
	if l.PkgName != "" {
		f.Package = &report.Package{Name: l.PkgName, PURL: purl(p.typ, l.PkgName, "")}
		f.Message = l.PkgName + ": " + f.Title
	}
	return f
}

// modified reads a finding that Trivy suppressed.
func (rd *reader) modified(m modified, p place) {
	var f report.Finding
	var mismatch, err error
	match := ""
	switch m.Type {
	case "vulnerability":
		var v vulnerability
		mismatch, err = input.Decode(m.Finding, &v)
		f = rd.vulnerability(v, p)
	case "misconfiguration":
		var c misconfiguration
		mismatch, err = input.Decode(m.Finding, &c)
		f = rd.misconfiguration(c, p)
	case "secret":
		var s secret
		mismatch, err = input.Decode(m.Finding, &s)
		f, match = rd.secret(s, p)
	case "license":
		var l license
		mismatch, err = input.Decode(m.Finding, &l)
		f = rd.license(l, p)
	default:
		err = errors.New("type not known")
	}
	if err != nil {
		rd.b.Report.AddUnplaced(tool, "suppressed finding not read", 1)
		return
	}
	if mismatch != nil {
		rd.b.Report.AddUnplaced(tool, "suppressed finding read in part", 1)
	}
	f.Suppressed = &report.Suppression{
		Kind:   "external",
		Reason: input.First(m.Statement, m.Status),
		From:   input.First(m.Source, "trivy"),
	}
	if f.Category == report.CategorySecret {
		rd.b.AddSecret(f, "", match)
		return
	}
	rd.b.Add(f)
}

// purl builds a package URL from Trivy's type of result, for reports that have none. It is empty where the
// type has no package URL type.
func purl(typ, name, version string) string {
	if name == "" {
		return ""
	}
	switch typ {
	case "alpine", "wolfi", "chainguard":
		return report.PURL("apk", typ, name, version)
	case "debian", "ubuntu":
		return report.PURL("deb", typ, name, version)
	case "redhat", "centos", "rocky", "alma", "oracle", "amazon", "fedora", "photon", "cbl-mariner", "azurelinux":
		return report.PURL("rpm", typ, name, version)
	case "npm", "yarn", "pnpm", "node-pkg", "bun":
		return report.PURL("npm", "", name, version)
	case "pip", "pipenv", "poetry", "uv", "python-pkg", "conda-pkg":
		return report.PURL("pypi", "", strings.ToLower(strings.ReplaceAll(name, "_", "-")), version)
	case "gomod", "gobinary":
		return report.PURL("golang", "", name, version)
	case "jar", "pom", "gradle", "sbt":
		group, artifact, ok := strings.Cut(name, ":")
		if !ok {
			group, artifact = "", name
		}
		return report.PURL("maven", group, artifact, version)
	case "bundler", "gemspec":
		return report.PURL("gem", "", name, version)
	case "cargo", "rustbinary":
		return report.PURL("cargo", "", name, version)
	case "composer", "composer-vendor":
		return report.PURL("composer", "", name, version)
	case "nuget", "dotnet-core", "packages-props":
		return report.PURL("nuget", "", name, version)
	}
	return ""
}
