// Package cyclonedx reads the vulnerabilities of a CycloneDX 1.x bill of materials, JSON or XML.
//
// A vulnerability is a finding for each component it affects. What the analysis says is resolved, a false
// positive or not affecting is read as suppressed. A bill of materials without a list of vulnerabilities is
// no scan: its run has no results.
//
// # Errors
//
// [Read] returns the errors of package report.
package cyclonedx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

// document is a BOM, in the words of the JSON schema.
type document struct {
	BOMFormat   string     `json:"bomFormat"`
	SpecVersion input.Text `json:"specVersion"`
	Metadata    struct {
		Tools     tools     `json:"tools"`
		Component component `json:"component"`
	} `json:"metadata"`
	Components      input.List[component]     `json:"components"`
	Vulnerabilities input.List[vulnerability] `json:"vulnerabilities"`
}

type component struct {
	Ref        string      `json:"bom-ref"`
	Group      string      `json:"group"`
	Name       string      `json:"name"`
	Version    string      `json:"version"`
	PURL       string      `json:"purl"`
	Components []component `json:"components"`
}

type vulnerability struct {
	ID     string `json:"id"`
	Source source `json:"source"`

	References []struct {
		ID string `json:"id"`
	} `json:"references"`
	Ratings        input.List[rating] `json:"ratings"`
	CWEs           input.Texts        `json:"cwes"`
	Description    string             `json:"description"`
	Detail         string             `json:"detail"`
	Recommendation string             `json:"recommendation"`
	Advisories     []struct {
		URL string `json:"url"`
	} `json:"advisories"`
	Analysis struct {
		State         string `json:"state"`
		Justification string `json:"justification"`
		Detail        string `json:"detail"`
	} `json:"analysis"`
	Affects input.List[affected] `json:"affects"`
}

type source struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

type rating struct {
	Source   source       `json:"source"`
	Score    input.Number `json:"score"`
	Severity string       `json:"severity"`
	Method   string       `json:"method"`
	Vector   string       `json:"vector"`
}

type affected struct {
	Ref      string `json:"ref"`
	Versions []struct {
		Version string `json:"version"`
		Status  string `json:"status"`
	} `json:"versions"`
}

type tool struct {
	Name    string `json:"name" xml:"name"`
	Version string `json:"version" xml:"version"`
}

// tools is a list of tools, or since 1.5 an object with components.
type tools struct{ first tool }

func (t *tools) UnmarshalJSON(raw []byte) error {
	var list []tool
	if raw[0] == '{' {
		var object struct {
			Components []tool `json:"components"`
			Services   []tool `json:"services"`
		}
		if _, err := input.Decode(raw, &object); err != nil {
			return err
		}
		list = append(object.Components, object.Services...)
	} else if _, err := input.Decode(raw, &list); err != nil {
		return err
	}
	if len(list) > 0 {
		t.first = list[0]
	}
	return nil
}

// Read reads a bill of materials. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("CycloneDX", o)
	data, err := input.Whole(r, b.Limits())
	if err != nil {
		return nil, b.Fail(err)
	}
	var d document
	if start := bytes.TrimLeft(data, "\ufeff \t\r\n"); len(start) > 0 && start[0] == '<' {
		if d, err = readXML(data, b.Limits()); err != nil {
			return nil, b.Fail(err)
		}
	} else if err := b.Decode(data, &d); err != nil {
		return nil, err
	}
	if v := string(d.SpecVersion); v != "" && !strings.HasPrefix(v, "1.") {
		return nil, b.Fail(errors.Join(input.ErrUnsupported, errors.New("specification version "+v+"; 1.x is read")))
	}
	return finish(ctx, b, &d)
}

func finish(ctx context.Context, b *input.Builder, d *document) (*report.Report, error) {
	made := d.Metadata.Tools.first
	target := input.First(d.Metadata.Component.Name, d.Metadata.Component.PURL)
	if v := d.Metadata.Component.Version; v != "" && target != "" && !strings.Contains(target, v) {
		target += " " + v
	}
	run := b.Run(report.Run{Tool: input.First(made.Name, "CycloneDX"), Version: made.Version, Target: target})
	if !d.Vulnerabilities.Present {
		b.Report.Runs[run].Status = report.StatusNoResults
		b.Report.Runs[run].Reason = "the bill of materials has no list of vulnerabilities: it is an inventory, not a scan"
	}
	known := map[string]*component{}
	index(known, []component{d.Metadata.Component})
	index(known, slices.Collect(input.Each(b, run, "component", d.Components)))
	for v := range input.Each(b, run, "vulnerability", d.Vulnerabilities) {
		f, affects := finding(b, run, v), false
		for a := range input.Each(b, run, "affected component", v.Affects) {
			affects = true
			b.Add(of(b, run, f, a, known))
		}
		if !affects {
			b.Report.AddUnplaced(b.Report.Runs[run].Tool, "vulnerability that affects no component", 1)
			b.Add(f)
		}
	}
	return b.Done(ctx)
}

// index notes the components by reference and by package URL, nested ones too.
func index(known map[string]*component, list []component) {
	for i := range list {
		c := &list[i]
		for _, ref := range []string{c.Ref, c.PURL} {
			if _, taken := known[ref]; ref != "" && !taken {
				known[ref] = c
			}
		}
		index(known, c.Components)
	}
}

// of is finding f for one affected component.
func of(b *input.Builder, run int, f report.Finding, a affected, known map[string]*component) report.Finding {
	ref := a.Ref
	c := known[ref]
	if _, inside, link := strings.Cut(ref, "#"); c == nil && link && strings.HasPrefix(ref, "urn:cdx:") {
		ref = inside
		c = known[ref]
	}
	if c == nil {
		b.Report.AddUnplaced(b.Report.Runs[run].Tool, "affected component is not in the bill of materials", 1)
		c = &component{Name: ref}
		if strings.HasPrefix(ref, "pkg:") {
			c.PURL = ref
		}
	}
	f.Package = &report.Package{PURL: c.PURL, Name: c.Name, Installed: c.Version}
	if c.Group != "" && c.Name != "" {
		f.Package.Name = c.Group + "/" + c.Name
	}
	for _, v := range a.Versions {
		if v.Status == "affected" || v.Status == "" {
			f.Package.Installed = input.First(f.Package.Installed, v.Version)
		}
	}
	f.Message = input.Vulnerable(f.Package.Name, f.Package.Installed, input.First(input.OneLine(f.Description), f.Rule), "")
	f.Message = strings.TrimSuffix(f.Message, " (no fix yet)") // nobody says so
	return f
}

func finding(b *input.Builder, run int, v vulnerability) report.Finding {
	f := report.Finding{
		Run:         run,
		Rule:        v.ID,
		Title:       input.OneLine(input.First(v.Description, v.ID)),
		Description: input.Join(v.Description, v.Detail, v.Recommendation),
		HelpURI:     v.Source.URL,
		Category:    report.CategoryPackage,
		CWE:         v.CWEs,
	}
	if len(v.Advisories) > 0 {
		f.HelpURI = input.First(f.HelpURI, v.Advisories[0].URL)
	}
	for _, r := range v.References {
		f.Aliases = append(f.Aliases, r.ID)
	}
	var ratings []input.CVSS
	for r := range input.Each(b, run, "rating", v.Ratings) {
		f.Severity = max(f.Severity, b.Severity(run, r.Severity))
		if strings.HasPrefix(r.Method, "CVSS") || strings.HasPrefix(r.Vector, "CVSS:") {
			ratings = append(ratings, input.CVSS{Version: strings.TrimPrefix(r.Method, "CVSSv"), Vector: r.Vector, Score: float64(r.Score)})
		}
	}
	best := input.BestCVSS(ratings)
	f.Score, f.Vector = best.Score, best.Vector
	switch v.Analysis.State {
	case "resolved", "resolved_with_pedigree", "false_positive", "not_affected":
		f.Suppressed = &report.Suppression{
			Kind: "external", From: "CycloneDX",
			Reason: strings.Join(strings.Fields(v.Analysis.State+" "+v.Analysis.Justification+" "+v.Analysis.Detail), " "),
		}
	}
	return f
}
