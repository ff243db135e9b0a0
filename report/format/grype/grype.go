// Package grype reads the JSON report of Grype. Matches that Grype was told to ignore are read as suppressed.
//
// # Errors
//
// [Read] returns the errors of package report.
package grype

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

type document struct {
	Matches        input.List[match] `json:"matches"`
	IgnoredMatches input.List[match] `json:"ignoredMatches"`
	Source         struct {
		Type   string          `json:"type"`
		Target json.RawMessage `json:"target"`
	} `json:"source"`
	Descriptor struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		Timestamp string `json:"timestamp"`
	} `json:"descriptor"`
}

type match struct {
	Vulnerability vulnerability `json:"vulnerability"`
	Related       []struct {
		ID   string `json:"id"`
		CVSS []cvss `json:"cvss"`
	} `json:"relatedVulnerabilities"`
	Artifact struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		Type      string `json:"type"`
		PURL      string `json:"purl"`
		Locations []struct {
			Path string `json:"path"`
		} `json:"locations"`
	} `json:"artifact"`
	AppliedIgnoreRules []struct {
		Reason        string `json:"reason"`
		Namespace     string `json:"namespace"`
		VEXStatus     string `json:"vex-status"`
		Justification string `json:"vex-justification"`
	} `json:"appliedIgnoreRules"`
}

type vulnerability struct {
	ID             string          `json:"id"`
	DataSource     string          `json:"dataSource"`
	Severity       string          `json:"severity"`
	Description    string          `json:"description"`
	CVSS           []cvss          `json:"cvss"`
	CWEs           []cwe           `json:"cwes"`
	KnownExploited json.RawMessage `json:"knownExploited"`
	Fix            struct {
		Versions []string `json:"versions"`
		State    string   `json:"state"`
	} `json:"fix"`
}

type cvss struct {
	Version string `json:"version"`
	Vector  string `json:"vector"`
	Metrics struct {
		BaseScore float64 `json:"baseScore"`
	} `json:"metrics"`
}

// cwe is written as an object by newer versions and as text by some.
type cwe string

func (c *cwe) UnmarshalJSON(b []byte) error {
	var object struct {
		CWE string `json:"cwe"`
	}
	if b[0] == '{' {
		err := json.Unmarshal(b, &object)
		*c = cwe(object.CWE)
		return err
	}
	var text input.Text
	err := text.UnmarshalJSON(b)
	*c = cwe(text)
	return err
}

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("Grype JSON", o)
	var d document
	if err := b.JSON(r, &d); err != nil {
		return nil, err
	}
	run := b.Run(report.Run{
		Tool: input.First(d.Descriptor.Name, "grype"), Version: d.Descriptor.Version, Target: target(d.Source.Target),
		InformationURI: "https://github.com/anchore/grype",
	})
	if !d.Matches.Present {
		b.Report.Runs[run].Status = report.StatusNoResults
		b.Report.Runs[run].Reason = "the report has no list of matches"
	}
	image := d.Source.Type == "image"
	for m := range input.Each(b, run, "match", d.Matches) {
		b.Add(finding(b, run, m, image))
	}
	for m := range input.Each(b, run, "ignored match", d.IgnoredMatches) {
		f := finding(b, run, m, image)
		f.Suppressed = &report.Suppression{Kind: "external", From: "grype"}
		for _, rule := range m.AppliedIgnoreRules {
			f.Suppressed.Reason = input.First(f.Suppressed.Reason, rule.Reason, rule.Justification, rule.VEXStatus)
		}
		b.Add(f)
	}
	return b.Done(ctx)
}

// target is a path, or an object that describes an image.
func target(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var image struct {
		UserInput string `json:"userInput"`
	}
	_ = json.Unmarshal(raw, &image)
	return image.UserInput
}

func finding(b *input.Builder, run int, m match, image bool) report.Finding {
	v, a := m.Vulnerability, m.Artifact
	ratings := ratingsOf(v.CVSS)
	f := report.Finding{
		Run:         run,
		Rule:        v.ID,
		Title:       v.ID + " in " + a.Name,
		Description: v.Description,
		HelpURI:     v.DataSource,
		Category:    report.CategoryPackage,
		Severity:    b.Severity(run, v.Severity),
		Package:     &report.Package{PURL: a.PURL, Name: a.Name, Installed: a.Version, Fixed: strings.Join(v.Fix.Versions, ", ")},
	}
	f.Message = input.Vulnerable(a.Name, a.Version, input.First(input.OneLine(v.Description), v.ID), f.Package.Fixed)
	for _, c := range v.CWEs {
		f.CWE = append(f.CWE, string(c))
	}
	for _, r := range m.Related {
		f.Aliases = append(f.Aliases, r.ID)
		if len(v.CVSS) == 0 {
			ratings = append(ratings, ratingsOf(r.CVSS)...)
		}
	}
	best := input.BestCVSS(ratings)
	f.Score, f.Vector = best.Score, best.Vector
	if len(a.Locations) > 0 {
		f.Location.Path = a.Locations[0].Path
		if image {
			f.Location.Path = input.ImagePath(f.Location.Path)
		}
	}
	if k := string(v.KnownExploited); k != "" && k != "null" && k != "[]" {
		f.Tags = append(f.Tags, "known-exploited")
	}
	return f
}

func ratingsOf(list []cvss) []input.CVSS {
	var out []input.CVSS
	for _, c := range list {
		out = append(out, input.CVSS{Version: c.Version, Vector: c.Vector, Score: c.Metrics.BaseScore})
	}
	return out
}
