// Package gitlab reads GitLab security reports of the schemas 14 and 15: SAST, dependency scanning, container
// scanning, secret detection, and the others with the same outside.
//
// # Errors
//
// [Read] returns the errors of package report.
package gitlab

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
	"github.com/waybill-dev/waybill/report/internal/secretrule"
)

type document struct {
	Version string `json:"version"`
	Scan    struct {
		Scanner   scanner `json:"scanner"`
		Analyzer  scanner `json:"analyzer"`
		Type      string  `json:"type"`
		Status    string  `json:"status"`
		StartTime string  `json:"start_time"`
		EndTime   string  `json:"end_time"`
		Messages  []struct {
			Level string `json:"level"`
			Value string `json:"value"`
		} `json:"messages"`
	} `json:"scan"`
	Vulnerabilities input.List[vulnerability] `json:"vulnerabilities"`
}

type scanner struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	URL     string `json:"url"`
}

type vulnerability struct {
	ID          string  `json:"id"`
	Category    string  `json:"category"`
	Name        string  `json:"name"`
	Message     string  `json:"message"`
	Description string  `json:"description"`
	Severity    string  `json:"severity"`
	Solution    string  `json:"solution"`
	Scanner     scanner `json:"scanner"`
	Extract     string  `json:"raw_source_code_extract"`
	Identifiers []struct {
		Type  string     `json:"type"`
		Name  string     `json:"name"`
		Value input.Text `json:"value"`
		URL   string     `json:"url"`
	} `json:"identifiers"`
	Links []struct {
		URL string `json:"url"`
	} `json:"links"`
	Flags []struct {
		Type        string `json:"type"`
		Origin      string `json:"origin"`
		Description string `json:"description"`
	} `json:"flags"`
	CVSS []struct {
		Vendor string `json:"vendor"`
		Vector string `json:"vector"`
	} `json:"cvss_vectors"`
	Location location `json:"location"`
}

type location struct {
	File       string       `json:"file"`
	StartLine  input.Number `json:"start_line"`
	EndLine    input.Number `json:"end_line"`
	Class      string       `json:"class"`
	Method     string       `json:"method"`
	Image      string       `json:"image"`
	Hostname   string       `json:"hostname"`
	Path       string       `json:"path"`
	Dependency struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
		Version string `json:"version"`
	} `json:"dependency"`
	Commit struct {
		SHA string `json:"sha"`
	} `json:"commit"`
}

// Read reads a report. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("GitLab report", o)
	var d document
	if err := b.JSON(r, &d); err != nil {
		return nil, err
	}
	if major, _, _ := strings.Cut(d.Version, "."); major != "14" && major != "15" && major != "" {
		return nil, b.Fail(errors.Join(input.ErrUnsupported, errors.New("schema "+input.OneLine(d.Version)+"; 14 and 15 are read")))
	}
	s := d.Scan
	run := b.Run(report.Run{
		Tool:    input.First(s.Scanner.Name, s.Scanner.ID, s.Analyzer.Name, "GitLab"),
		Version: s.Scanner.Version, InformationURI: s.Scanner.URL,
		Started: instant(s.StartTime), Finished: instant(s.EndTime),
	})
	if !d.Vulnerabilities.Present {
		b.Report.Runs[run].Status = report.StatusNoResults
		b.Report.Runs[run].Reason = "the report has no list of vulnerabilities"
	}
	if s.Status != "" && s.Status != "success" {
		reason := "the scan ended with the status " + s.Status
		for _, m := range s.Messages {
			if m.Level == "fatal" || m.Level == "error" {
				b.Failed(run, reason+": "+m.Value)
			}
		}
		b.Failed(run, reason) // the first reason stays
	}
	for v := range input.Each(b, run, "vulnerability", d.Vulnerabilities) {
		f := finding(b, run, v)
		if kind := input.First(v.Category, s.Type); kind == "secret_detection" || secretrule.Holds("", f.CWE) {
			b.AddSecret(f, v.Extract, "")
			continue
		}
		b.Add(f)
	}
	return b.Done(ctx)
}

// instant reads a time without a zone, which is UTC.
func instant(s string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

func finding(b *input.Builder, run int, v vulnerability) report.Finding {
	loc := v.Location
	f := report.Finding{
		Run:         run,
		Title:       input.OneLine(input.First(v.Name, v.Message)),
		Message:     input.First(v.Message, v.Description, v.Name),
		Description: input.Join(v.Description, v.Solution),
		Severity:    b.Severity(run, v.Severity),
		Location: report.Location{
			Path: loc.File, StartLine: loc.StartLine.Int(), EndLine: loc.EndLine.Int(),
			Logical: input.First(strings.Trim(loc.Class+"."+loc.Method, "."), loc.Image, loc.Hostname),
		},
	}
	// Without history GitLab's scanner of secrets writes zeros.
	if strings.Trim(loc.Commit.SHA, "0") != "" {
		f.Location.Commit = loc.Commit.SHA
	}
	if name := loc.Dependency.Package.Name; name != "" {
		f.Package = &report.Package{Name: name, Installed: loc.Dependency.Version}
		f.Message = input.Vulnerable(name, loc.Dependency.Version, f.Title, "")
		f.Message = strings.TrimSuffix(f.Message, " (no fix yet)")
	}
	for _, id := range v.Identifiers {
		value := string(id.Value)
		switch strings.ToLower(id.Type) {
		case "cwe":
			f.CWE = append(f.CWE, value)
		case "cve", "ghsa", "osvdb", "gemnasium", "usn", "rhsa":
			f.Aliases = append(f.Aliases, value)
		}
		f.HelpURI = input.First(f.HelpURI, id.URL)
	}
	f.Rule = rule(v)
	if f.Rule == "" {
		b.Report.AddUnplaced(b.Report.Runs[run].Tool, "vulnerability without an identifier", 1)
		f.Rule = f.Title
	}
	for _, l := range v.Links {
		f.HelpURI = input.First(f.HelpURI, l.URL)
	}
	var ratings []input.CVSS
	for _, c := range v.CVSS {
		ratings = append(ratings, input.CVSS{Vector: c.Vector})
	}
	best := input.BestCVSS(ratings)
	f.Score, f.Vector = best.Score, best.Vector
	for _, flag := range v.Flags {
		if flag.Type == "flagged-as-likely-false-positive" {
			f.Tags = append(f.Tags, "likely-false-positive")
		}
	}
	if v.ID != "" {
		f.Fingerprints = map[string]string{"gitlab": v.ID}
	}
	return f
}

// rule is the first identifier, by which GitLab itself knows a vulnerability; a CVE is a better name.
func rule(v vulnerability) string {
	for _, id := range v.Identifiers {
		if strings.EqualFold(id.Type, "cve") {
			return string(id.Value)
		}
	}
	for _, id := range v.Identifiers {
		if name := input.First(string(id.Value), id.Name); name != "" {
			return name
		}
	}
	return ""
}
