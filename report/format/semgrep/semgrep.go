// Package semgrep reads the JSON report of Semgrep and Opengrep. An error of the scanner makes the run a
// failed one; files that it could only parse in part are counted. Code is not taken over for rules about
// secrets.
//
// # Errors
//
// [Read] returns the errors of package report.
package semgrep

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
	"github.com/waybill-dev/waybill/report/internal/secretrule"
)

type document struct {
	Version string             `json:"version"`
	Results input.List[result] `json:"results"`
	Errors  input.List[fault]  `json:"errors"`
}

type result struct {
	CheckID string   `json:"check_id"`
	Path    string   `json:"path"`
	Start   position `json:"start"`
	End     position `json:"end"`
	Extra   struct {
		Message     string `json:"message"`
		Severity    string `json:"severity"`
		Lines       string `json:"lines"`
		Fingerprint string `json:"fingerprint"`
		IsIgnored   bool   `json:"is_ignored"`
		Metavars    map[string]struct {
			AbstractContent string `json:"abstract_content"`
		} `json:"metavars"`
		Metadata struct {
			CWE         input.Texts `json:"cwe"`
			Confidence  input.Text  `json:"confidence"`
			Source      string      `json:"source"`
			References  input.Texts `json:"references"`
			Description string      `json:"description"`
			Category    input.Text  `json:"category"`
		} `json:"metadata"`
		SCA *struct {
			Match struct {
				Found struct {
					Package   string `json:"package"`
					Version   string `json:"version"`
					Ecosystem string `json:"ecosystem"`
				} `json:"found_dependency"`
				LockfilePath string `json:"lockfile"`
			} `json:"dependency_match"`
		} `json:"sca_info"`
	} `json:"extra"`
}

type position struct {
	Line input.Number `json:"line"`
	Col  input.Number `json:"col"`
}

type fault struct {
	Level   string          `json:"level"`
	Type    json.RawMessage `json:"type"`
	Message string          `json:"message"`
	Path    string          `json:"path"`
}

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("Semgrep JSON", o)
	var d document
	if err := b.JSON(r, &d); err != nil {
		return nil, err
	}
	run := b.Run(report.Run{Tool: "semgrep", Version: d.Version, InformationURI: "https://semgrep.dev"})
	if !d.Results.Present {
		b.Report.Runs[run].Status = report.StatusNoResults
		b.Report.Runs[run].Reason = "the report has no list of results"
	}
	for e := range input.Each(b, run, "error", d.Errors) {
		if strings.EqualFold(e.Level, "error") || e.Level == "" {
			// The message may quote source code; the first line names what went wrong.
			b.Failed(run, input.First(input.OneLine(e.Message), "semgrep reported an error"))
			continue
		}
		b.Report.AddUnplaced("semgrep", "file that could only be read in part", 1)
	}
	for res := range input.Each(b, run, "result", d.Results) {
		f := finding(b, run, res)
		if f.Category == report.CategorySecret {
			b.AddSecret(f, "", res.Extra.Lines)
			continue
		}
		b.Add(f)
	}
	return b.Done(ctx)
}

// placeholder is what Semgrep writes for what it shows to its customers only.
const placeholder = "requires login"

func finding(b *input.Builder, run int, res result) report.Finding {
	x := res.Extra
	f := report.Finding{
		Run:         run,
		Rule:        res.CheckID,
		Title:       input.OneLine(x.Message),
		Message:     x.Message,
		Description: x.Metadata.Description,
		HelpURI:     x.Metadata.Source,
		Severity:    b.Severity(run, x.Severity),
		CWE:         x.Metadata.CWE,
		Location: report.Location{
			Path:      res.Path,
			StartLine: res.Start.Line.Int(), StartColumn: res.Start.Col.Int(),
			EndLine: res.End.Line.Int(), EndColumn: res.End.Col.Int(),
		},
	}
	if f.HelpURI == "" && len(x.Metadata.References) > 0 {
		f.HelpURI = x.Metadata.References[0]
	}
	if c := string(x.Metadata.Confidence); c != "" {
		f.Tags = []string{"confidence:" + strings.ToLower(c)}
	}
	if x.Fingerprint != "" && x.Fingerprint != placeholder {
		f.Fingerprints = map[string]string{"semgrep": x.Fingerprint}
	}
	if x.IsIgnored {
		f.Suppressed = &report.Suppression{Kind: "inSource", From: "semgrep"}
	}
	switch dep := x.SCA; {
	case dep != nil:
		found := dep.Match.Found
		f.Package = &report.Package{Name: found.Package, Installed: found.Version, PURL: purl(found.Ecosystem, found.Package, found.Version)}
	case secretrule.Holds(res.CheckID, x.Metadata.CWE):
		f.Category = report.CategorySecret
		// A message may quote what the variables of the rule matched.
		for _, v := range x.Metavars {
			if text := strings.Trim(v.AbstractContent, "\"'` "); len(text) >= 4 {
				f.Title = strings.ReplaceAll(f.Title, text, report.Mask)
				f.Message = strings.ReplaceAll(f.Message, text, report.Mask)
			}
		}
	case x.Lines != placeholder:
		f.Location.Snippet = x.Lines
	}
	return f
}

func purl(ecosystem, name, version string) string {
	types := map[string]string{"npm": "npm", "pypi": "pypi", "gomod": "golang", "cargo": "cargo", "gem": "gem", "nuget": "nuget", "composer": "composer", "pub": "pub", "hex": "hex"}
	if ecosystem == "maven" {
		group, artifact, _ := strings.Cut(name, ":")
		return report.PURL("maven", group, artifact, version)
	}
	if t := types[strings.ToLower(ecosystem)]; t != "" {
		return report.PURL(t, "", name, version)
	}
	return ""
}
