package cyclonedx

import (
	"strings"

	"github.com/waybill-dev/waybill/report/format/internal/input"
)

// The XML form differs from the JSON form in names and nesting; these types are its shape.
type (
	xmlDocument struct {
		Namespace string `xml:"xmlns,attr"`
		Metadata  struct {
			Tools struct {
				Tools      []tool `xml:"tool"`
				Components []tool `xml:"components>component"`
			} `xml:"tools"`
			Component xmlComponent `xml:"component"`
		} `xml:"metadata"`
		Components      []xmlComponent `xml:"components>component"`
		Vulnerabilities *struct {
			List []xmlVulnerability `xml:"vulnerability"`
		} `xml:"vulnerabilities"`
	}
	xmlComponent struct {
		Ref        string         `xml:"bom-ref,attr"`
		Group      string         `xml:"group"`
		Name       string         `xml:"name"`
		Version    string         `xml:"version"`
		PURL       string         `xml:"purl"`
		Components []xmlComponent `xml:"components>component"`
	}
	xmlVulnerability struct {
		ID         string    `xml:"id"`
		Source     xmlSource `xml:"source"`
		References []struct {
			ID string `xml:"id"`
		} `xml:"references>reference"`
		Ratings []struct {
			Source   xmlSource `xml:"source"`
			Score    string    `xml:"score"`
			Severity string    `xml:"severity"`
			Method   string    `xml:"method"`
			Vector   string    `xml:"vector"`
		} `xml:"ratings>rating"`
		CWEs           []string `xml:"cwes>cwe"`
		Description    string   `xml:"description"`
		Detail         string   `xml:"detail"`
		Recommendation string   `xml:"recommendation"`
		Advisories     []struct {
			URL string `xml:"url"`
		} `xml:"advisories>advisory"`
		Analysis struct {
			State         string `xml:"state"`
			Justification string `xml:"justification"`
			Detail        string `xml:"detail"`
		} `xml:"analysis"`
		Affects []struct {
			Ref      string `xml:"ref"`
			Versions []struct {
				Version string `xml:"version"`
				Status  string `xml:"status"`
			} `xml:"versions>version"`
		} `xml:"affects>target"`
	}
	xmlSource struct {
		Name string `xml:"name"`
		URL  string `xml:"url"`
	}
)

const namespace = "http://cyclonedx.org/schema/bom/"

func readXML(data []byte, limits input.Limits) (document, error) {
	var x xmlDocument
	var d document
	if err := input.DecodeXML(data, limits, &x); err != nil {
		return d, err
	}
	d.SpecVersion = input.Text(strings.TrimPrefix(x.Namespace, namespace))
	if all := append(x.Metadata.Tools.Tools, x.Metadata.Tools.Components...); len(all) > 0 {
		d.Metadata.Tools.first = all[0]
	}
	d.Metadata.Component = x.Metadata.Component.component()
	d.Components = input.ListOf(components(x.Components))
	if x.Vulnerabilities == nil {
		return d, nil
	}
	var list []vulnerability
	for _, v := range x.Vulnerabilities.List {
		list = append(list, v.vulnerability())
	}
	d.Vulnerabilities = input.ListOf(list)
	return d, nil
}

func (c xmlComponent) component() component {
	return component{
		Ref: c.Ref, Group: c.Group, Name: c.Name, Version: c.Version, PURL: c.PURL,
		Components: components(c.Components),
	}
}

func components(list []xmlComponent) []component {
	var out []component
	for _, c := range list {
		out = append(out, c.component())
	}
	return out
}

func (x xmlVulnerability) vulnerability() vulnerability {
	v := vulnerability{
		ID: x.ID, Source: source(x.Source), CWEs: x.CWEs,
		Description: x.Description, Detail: x.Detail, Recommendation: x.Recommendation,
	}
	for _, r := range x.References {
		v.References = append(v.References, struct {
			ID string `json:"id"`
		}{r.ID})
	}
	var ratings []rating
	for _, r := range x.Ratings {
		ratings = append(ratings, rating{source(r.Source), input.ParseNumber(r.Score), r.Severity, r.Method, r.Vector})
	}
	v.Ratings = input.ListOf(ratings)
	for _, a := range x.Advisories {
		v.Advisories = append(v.Advisories, struct {
			URL string `json:"url"`
		}{a.URL})
	}
	v.Analysis.State, v.Analysis.Justification, v.Analysis.Detail = x.Analysis.State, x.Analysis.Justification, x.Analysis.Detail
	var affects []affected
	for _, a := range x.Affects {
		t := affected{Ref: a.Ref}
		for _, version := range a.Versions {
			t.Versions = append(t.Versions, struct {
				Version string `json:"version"`
				Status  string `json:"status"`
			}{version.Version, version.Status})
		}
		affects = append(affects, t)
	}
	v.Affects = input.ListOf(affects)
	return v
}
