// Package gitlab writes a report for GitLab: as a security report of schema 15.2.1, and as a code quality report.
//
// Both hold open findings only, since GitLab has no place for what is suppressed, absent, or a result by which
// a tool says that nothing is wrong.
//
// # Errors
//
// [Write] and [WriteCodeQuality] return errors of type [*report.Error]: that of the source, of the context, or
// of the writer. A Type that is not known is [report.ErrInvalid].
package gitlab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/internal/tally"
)

// Type is a kind of security report. GitLab takes one file of each.
type Type string

// The types.
const (
	// SAST holds code, configuration, licences and policies.
	SAST Type = "sast"
	// SecretDetection holds secrets.
	SecretDetection Type = "secret_detection"
	// DependencyScanning holds packages.
	DependencyScanning Type = "dependency_scanning"
	// ContainerScanning holds packages too; use it for reports about images.
	ContainerScanning Type = "container_scanning"
)

// Options says what is written. The zero value is fine.
type Options struct {
	// Type chooses the findings of that type. Empty: all findings, in a report of type [SAST].
	Type Type
	// Image is the image of a [ContainerScanning] report; empty: the target of the first run.
	Image string
}

const (
	schemaVersion = "15.2.1"
	timeLayout    = "2006-01-02T15:04:05"
)

type scanner struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Vendor  vendor `json:"vendor"`
	URL     string `json:"url,omitempty"`
}

type vendor struct {
	Name string `json:"name"`
}

type scan struct {
	Analyzer scanner   `json:"analyzer"`
	Scanner  scanner   `json:"scanner"`
	Type     Type      `json:"type"`
	Start    string    `json:"start_time"`
	End      string    `json:"end_time"`
	Status   string    `json:"status"`
	Messages []message `json:"messages,omitempty"`
}

type message struct {
	Level string `json:"level"`
	Value string `json:"value"`
}

type vulnerability struct {
	ID          string       `json:"id"`
	Name        string       `json:"name,omitempty"`
	Description string       `json:"description,omitempty"`
	Severity    string       `json:"severity"`
	Solution    string       `json:"solution,omitempty"`
	Identifiers []identifier `json:"identifiers"`
	Links       []link       `json:"links,omitempty"`
	Location    location     `json:"location"`
}

type identifier struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
	URL   string `json:"url,omitempty"`
}

type link struct {
	URL string `json:"url"`
}

type location struct {
	File       string      `json:"file,omitempty"`
	StartLine  int         `json:"start_line,omitempty"`
	EndLine    int         `json:"end_line,omitempty"`
	Dependency *dependency `json:"dependency,omitempty"`
	Image      string      `json:"image,omitempty"`
	OS         string      `json:"operating_system,omitempty"`
	Commit     *commit     `json:"commit,omitempty"`
}

type dependency struct {
	Package struct {
		Name string `json:"name"`
	} `json:"package"`
	Version string `json:"version"`
}

type commit struct {
	SHA string `json:"sha"`
}

// Write writes a security report. Findings are streamed. o may be nil.
func Write(ctx context.Context, w io.Writer, s report.Source, o *Options) error {
	if o == nil {
		o = &Options{}
	}
	types := []Type{"", SAST, SecretDetection, DependencyScanning, ContainerScanning}
	if !slices.Contains(types, o.Type) {
		return &report.Error{Op: "write", Subject: "GitLab report", Kind: report.ErrInvalid, Err: fmt.Errorf("Type %.40q is none of %v", o.Type, types[1:])}
	}
	head := s.Head()
	meta, err := json.Marshal(newScan(head.Runs, o.Type))
	if err != nil {
		return failed(err)
	}
	image := o.Image
	if image == "" && len(head.Runs) > 0 {
		image = head.Runs[0].Target
	}
	bw := bufio.NewWriterSize(w, 64<<10)
	fmt.Fprintf(bw, `{"version":%q,"scan":%s,"vulnerabilities":`, schemaVersion, harmless(meta))
	err = list(ctx, bw, s, func(f *report.Finding) any {
		if o.Type != "" && !belongs(f, o.Type) {
			return nil
		}
		return newVulnerability(f, o.Type, image)
	})
	if err != nil {
		return failed(err)
	}
	fmt.Fprintln(bw, "}")
	if err := bw.Flush(); err != nil {
		return failed(err)
	}
	return nil
}

// list streams a JSON list of what element makes of the open findings, nil for those it leaves out.
func list(ctx context.Context, w *bufio.Writer, s report.Source, element func(*report.Finding) any) error {
	sep := "[\n"
	for f, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		if f.Suppressed != nil || f.State == report.StateAbsent || tally.Passed(&f) {
			continue
		}
		e := element(&f)
		if e == nil {
			continue
		}
		out, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := w.WriteString(sep); err != nil {
			return err
		}
		if _, err := w.Write(harmless(out)); err != nil {
			return err
		}
		sep = ",\n"
	}
	if sep == "[\n" {
		_, err := w.WriteString("[]")
		return err
	}
	_, err := w.WriteString("\n]")
	return err
}

// harmless returns the same JSON, in which nothing is a command to Azure Pipelines where a log shows it.
func harmless(b []byte) []byte { return bytes.ReplaceAll(b, []byte("##"), []byte(`#\u0023`)) }

func failed(err error) error {
	if e := (*report.Error)(nil); errors.As(err, &e) {
		return err
	}
	return &report.Error{Op: "write", Subject: "GitLab report", Err: err}
}

func newScan(runs []report.Run, typ Type) scan {
	ours := scanner{ID: "waybill", Name: "waybill", Version: "1", Vendor: vendor{"waybill"}}
	sc := scan{Analyzer: ours, Scanner: ours, Type: typ, Status: "success"}
	if typ == "" {
		sc.Type = SAST
	}
	// What only the baseline has did not run.
	runs = slices.DeleteFunc(slices.Clone(runs), func(r report.Run) bool { return r.Status == report.StatusAbsent })
	// GitLab wants times; those of the runs, or none that changes with the clock.
	start, end := time.Unix(0, 0), time.Unix(0, 0)
	for i, r := range runs {
		if len(runs) == 1 {
			name := first(r.Tool, "unknown")
			sc.Scanner = scanner{ID: slug(name), Name: name, Version: first(r.Version, "unknown"), Vendor: vendor{name}}
			if web(r.InformationURI) {
				sc.Scanner.URL = r.InformationURI
			}
		}
		if i == 0 && !r.Started.IsZero() {
			start = r.Started
		}
		if r.Finished.After(end) {
			end = r.Finished
		}
		if tally.Broken(&r) {
			sc.Status = "failure"
			sc.Messages = append(sc.Messages, message{"fatal", strings.TrimSpace(r.Tool + " did not complete: " + r.Reason)})
		}
	}
	if end.Before(start) {
		end = start
	}
	sc.Start, sc.End = start.UTC().Format(timeLayout), end.UTC().Format(timeLayout)
	return sc
}

func belongs(f *report.Finding, typ Type) bool {
	switch typ {
	case SecretDetection:
		return f.Category == report.CategorySecret
	case DependencyScanning, ContainerScanning:
		return f.Category == report.CategoryPackage
	}
	return f.Category != report.CategorySecret && f.Category != report.CategoryPackage
}

func newVulnerability(f *report.Finding, typ Type, image string) *vulnerability {
	v := &vulnerability{
		ID:          id(f),
		Name:        clip(first(f.Title, f.Rule), 255),
		Description: clip(first(f.Message, f.Description), 1<<20),
		Severity:    severity(f.Severity),
		Identifiers: identifiers(f),
		Location:    location{File: f.Location.Path, StartLine: f.Location.StartLine, EndLine: f.Location.EndLine},
	}
	if web(f.HelpURI) {
		v.Links = []link{{f.HelpURI}}
	}
	if f.Location.Commit != "" {
		v.Location.Commit = &commit{f.Location.Commit}
	}
	if typ == SecretDetection && v.Location.Commit == nil {
		v.Location.Commit = &commit{strings.Repeat("0", 40)}
	}
	if p := f.Package; p != nil {
		v.Location.Dependency = &dependency{Version: p.Installed}
		v.Location.Dependency.Package.Name = p.Name
		if p.Fixed != "" {
			v.Solution = clip("Upgrade "+p.Name+" to "+p.Fixed, 7000)
		}
	} else if typ == DependencyScanning || typ == ContainerScanning {
		v.Location.Dependency = &dependency{}
		v.Location.Dependency.Package.Name = "unknown"
	}
	switch typ {
	case ContainerScanning:
		v.Location.Image = first(image, "unknown")
		v.Location.OS = "unknown"
	case DependencyScanning:
		v.Location.File = first(v.Location.File, "unknown")
	}
	return v
}

// id makes a UUID of what the finding is, so that it stays the same from pipeline to pipeline.
func id(f *report.Finding) string {
	sum := sha256.Sum256([]byte(f.Tool + "\x00" + f.Rule + "\x00" + string(f.Identity)))
	sum[6] = sum[6]&0x0f | 0x80 // version 8: made as one likes
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func identifiers(f *report.Finding) []identifier {
	var out []identifier
	add := func(name string) {
		switch {
		case name == "":
		case strings.HasPrefix(name, "CVE-"):
			out = append(out, identifier{"cve", name, name, "https://nvd.nist.gov/vuln/detail/" + name})
		case strings.HasPrefix(name, "GHSA-"):
			out = append(out, identifier{"ghsa", name, name, "https://github.com/advisories/" + name})
		default:
			out = append(out, identifier{slug(f.Tool) + "_rule_id", name, name, ""})
		}
	}
	add(first(f.Rule, f.Title, "unknown"))
	for _, a := range f.Aliases[:min(len(f.Aliases), 10)] {
		add(a)
	}
	for _, c := range f.CWE[:min(len(f.CWE), 5)] {
		n := strings.TrimPrefix(c, "CWE-")
		out = append(out, identifier{"cwe", c, n, "https://cwe.mitre.org/data/definitions/" + n + ".html"})
	}
	return out
}

func severity(s report.Severity) string {
	name := s.String()
	return strings.ToUpper(name[:1]) + name[1:]
}

func slug(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
	return first(clip(s, 60), "tool")
}

func web(u string) bool {
	return strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "http://")
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
