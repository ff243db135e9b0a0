// Package osv reads the JSON report of OSV-Scanner.
//
// A group of advisories about the same flaw is one finding, with the others as aliases. Advisories that
// OSV-Scanner found not to be called are tagged "uncalled".
//
// # Errors
//
// [Read] returns the errors of package report.
package osv

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

type document struct {
	Results input.List[result] `json:"results"`
}

type result struct {
	Source struct {
		Path string `json:"path"`
		Type string `json:"type"`
	} `json:"source"`
	Packages input.List[pkg] `json:"packages"`
}

type pkg struct {
	Package struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		Ecosystem string `json:"ecosystem"`
		Commit    string `json:"commit"`
	} `json:"package"`
	Vulnerabilities   input.List[vulnerability] `json:"vulnerabilities"`
	Groups            input.List[group]         `json:"groups"`
	LicenseViolations input.Texts               `json:"license_violations"`
}

type group struct {
	IDs         []string   `json:"ids"`
	Aliases     []string   `json:"aliases"`
	MaxSeverity input.Text `json:"max_severity"`
	Analysis    map[string]struct {
		Called      bool `json:"called"`
		Unimportant bool `json:"unimportant"`
	} `json:"experimental_analysis"`
}

type vulnerability struct {
	ID        string   `json:"id"`
	Summary   string   `json:"summary"`
	Details   string   `json:"details"`
	Aliases   []string `json:"aliases"`
	Withdrawn string   `json:"withdrawn"`
	Severity  []struct {
		Type  string `json:"type"`
		Score string `json:"score"` // a vector
	} `json:"severity"`
	Affected []struct {
		Package struct {
			Name      string `json:"name"`
			Ecosystem string `json:"ecosystem"`
			PURL      string `json:"purl"`
		} `json:"package"`
		Ranges []struct {
			Type   string `json:"type"`
			Events []struct {
				Fixed string `json:"fixed"`
			} `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
	DatabaseSpecific struct {
		CWEIDs   input.Texts `json:"cwe_ids"`
		Severity input.Text  `json:"severity"`
	} `json:"database_specific"`
}

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("OSV-Scanner JSON", o)
	var d document
	if err := b.JSON(r, &d); err != nil {
		return nil, err
	}
	run := b.Run(report.Run{Tool: "osv-scanner", InformationURI: "https://google.github.io/osv-scanner/"})
	if !d.Results.Present {
		b.Report.Runs[run].Status = report.StatusNoResults
		b.Report.Runs[run].Reason = "the report has no list of results"
	}
	for res := range input.Each(b, run, "result", d.Results) {
		for p := range input.Each(b, run, "package", res.Packages) {
			known := slices.Collect(input.Each(b, run, "vulnerability", p.Vulnerabilities))
			for _, g := range groups(slices.Collect(input.Each(b, run, "group", p.Groups)), known) {
				b.Add(finding(b, run, res, p, g, known))
			}
			for _, l := range p.LicenseViolations {
				b.Add(report.Finding{
					Run: run, Rule: l, Title: "Licence " + l + " is not allowed", Category: report.CategoryLicense,
					Message:  p.Package.Name + " " + p.Package.Version + " has the licence " + l + ", which is not allowed",
					Location: location(res), Package: packageOf(p),
				})
			}
		}
	}
	return b.Done(ctx)
}

// groups returns the groups of a package, and one of its own for each vulnerability that is in none.
func groups(list []group, known []vulnerability) []group {
	for _, v := range known {
		if !slices.ContainsFunc(list, func(g group) bool { return slices.Contains(g.IDs, v.ID) }) {
			list = append(list, group{IDs: []string{v.ID}, Aliases: v.Aliases})
		}
	}
	return list
}

func location(res result) report.Location { return report.Location{Path: res.Source.Path} }

func packageOf(p pkg) *report.Package {
	return &report.Package{
		PURL: purl(p.Package.Ecosystem, p.Package.Name, p.Package.Version),
		Name: p.Package.Name, Installed: input.First(p.Package.Version, p.Package.Commit),
	}
}

func finding(b *input.Builder, run int, res result, p pkg, g group, known []vulnerability) report.Finding {
	f := report.Finding{Run: run, Category: report.CategoryPackage, Location: location(res), Package: packageOf(p)}
	if len(g.IDs) > 0 {
		f.Rule = g.IDs[0]
	} else {
		b.Report.AddUnplaced("osv-scanner", "group without an advisory", 1)
	}
	f.Aliases = slices.Concat(g.IDs, g.Aliases)
	var ratings []input.CVSS
	for _, v := range known {
		if !slices.Contains(g.IDs, v.ID) {
			continue
		}
		f.Title = input.First(f.Title, input.OneLine(v.Summary))
		f.Description = input.First(f.Description, v.Details)
		f.Aliases = append(f.Aliases, v.Aliases...)
		f.CWE = append(f.CWE, v.DatabaseSpecific.CWEIDs...)
		for _, s := range v.Severity {
			ratings = append(ratings, input.CVSS{Vector: s.Score})
		}
		if f.Severity == report.SeverityUnknown {
			f.Severity = b.Severity(run, string(v.DatabaseSpecific.Severity))
		}
		f.Package.Fixed = input.First(f.Package.Fixed, fixed(v, p))
	}
	best := input.BestCVSS(ratings)
	f.Vector, f.Score = best.Vector, best.Score
	// The scanner's own score is the worst of the group.
	if score, ok := report.ParseScore(string(g.MaxSeverity)); ok && g.MaxSeverity != "" {
		f.Score = score
	}
	if f.Score > 0 {
		f.Severity, f.SeverityFrom = report.SeverityOfScore(f.Score), "score"
	}
	for _, a := range g.Analysis {
		if !a.Called {
			f.Tags = []string{"uncalled"}
		}
	}
	if strings.HasPrefix(f.Rule, "MAL-") {
		f.Tags = append(f.Tags, "malicious")
	}
	if f.Rule != "" {
		f.HelpURI = "https://osv.dev/" + f.Rule
	}
	f.Title = input.First(f.Title, f.Rule+" in "+p.Package.Name)
	f.Message = input.Vulnerable(f.Package.Name, f.Package.Installed, f.Title, f.Package.Fixed)
	return f
}

// fixed returns the versions that repair v in the package, in the order of the advisory.
func fixed(v vulnerability, p pkg) string {
	var versions []string
	for _, a := range v.Affected {
		if a.Package.Name != p.Package.Name {
			continue
		}
		for _, r := range a.Ranges {
			for _, e := range r.Events {
				if e.Fixed != "" && r.Type != "GIT" && !slices.Contains(versions, e.Fixed) {
					versions = append(versions, e.Fixed)
				}
			}
		}
	}
	return strings.Join(versions, ", ")
}

// purl builds a package URL from an ecosystem, "Alpine:v3.20" among them.
func purl(ecosystem, name, version string) string {
	base, _, _ := strings.Cut(ecosystem, ":")
	types := map[string]string{
		"npm": "npm", "PyPI": "pypi", "Go": "golang", "RubyGems": "gem", "crates.io": "cargo", "NuGet": "nuget",
		"Packagist": "composer", "Pub": "pub", "Hex": "hex", "ConanCenter": "conan", "CRAN": "cran", "GitHub Actions": "githubactions",
	}
	switch base {
	case "Alpine", "Wolfi", "Chainguard":
		return report.PURL("apk", strings.ToLower(base), name, version)
	case "Debian", "Ubuntu":
		return report.PURL("deb", strings.ToLower(base), name, version)
	case "Red Hat", "Rocky Linux", "AlmaLinux", "SUSE", "openSUSE":
		return report.PURL("rpm", strings.ToLower(strings.ReplaceAll(base, " ", "")), name, version)
	case "Maven":
		group, artifact, _ := strings.Cut(name, ":")
		return report.PURL("maven", group, artifact, version)
	case "PyPI":
		name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	}
	if t := types[base]; t != "" {
		return report.PURL(t, "", name, version)
	}
	return ""
}
