package ci

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/waybill-dev/waybill/report"
)

// ScansFolder is the name of the artifact whose SARIF files the Scans tab of Azure DevOps shows.
const ScansFolder = "CodeAnalysisLogs"

// IncompleteRule is the rule of the result that stands for a scan that did not complete.
const IncompleteRule = "scan-incomplete"

// ScansOptions says what the Scans tab gets. The zero value is fine.
type ScansOptions struct {
	// MaxResults caps the results of each file, since the tab loads whole files into the browser; the worst
	// stay. 0: 5,000.
	MaxResults int
}

// Scan is one file of the folder.
type Scan struct {
	Path    string // of the file
	Tool    string
	LeftOut int // results that MaxResults left out
}

// WriteScans writes the folder dir/CodeAnalysisLogs anew: a SARIF file for each run of s, with all that the
// Scans tab looks at. That is a level on each result, the identifier of the rule beside its index, and paths
// that are relative to the repository. A scan that did not complete and found nothing gets a result that says
// so, since the tab would praise it; for the same reason a run that only the baseline has gets a file only when
// there is something absent to show in it. A tool that ran more than once gets a card for each of its
// categories: the tab takes the name of the file then.
//
// Two things to know about the tab: it hides notes and what is unchanged until its filters are opened, and it
// shows line numbers only in the link to the source. o may be nil.
func WriteScans(ctx context.Context, dir string, s report.Source, o *ScansOptions) ([]Scan, error) {
	limits := report.Limits{Results: 5000}
	if o != nil {
		limits.Results = cmp.Or(o.MaxResults, limits.Results)
	}
	dir = filepath.Join(dir, ScansFolder)
	if err := os.RemoveAll(dir); err != nil {
		return nil, failed("write", ScansFolder, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, failed("write", ScansFolder, err)
	}
	var scans []Scan
	taken := map[string]bool{}
	for _, part := range report.Split(s) {
		part, err := explained(ctx, part)
		if err != nil {
			return scans, failed("write", ScansFolder, err)
		}
		if part == nil {
			continue
		}
		part, trimmed, err := report.Trim(ctx, part, limits)
		if err != nil {
			return scans, failed("write", ScansFolder, err)
		}
		run := part.Head().Runs[0]
		path := filepath.Join(dir, fileName(&run, taken))
		if err := writeFile(ctx, path, part); err != nil {
			return scans, failed("write", path, err)
		}
		scans = append(scans, Scan{Path: path, Tool: run.Tool, LeftOut: trimmed.Results})
	}
	return scans, nil
}

// explained puts a result in place of a run that did not complete and has none. It is nil for one that did not
// take place and has none.
func explained(ctx context.Context, part report.Source) (report.Source, error) {
	run := part.Head().Runs[0]
	if run.Status == report.StatusCompleted {
		return part, nil
	}
	for _, err := range part.All(ctx) {
		return part, err
	}
	if run.Status == report.StatusAbsent {
		return nil, nil
	}
	message := fmt.Sprintf("%s did not complete (%s)", run.Tool, cmp.Or(run.Status, "status unknown"))
	if run.Reason != "" {
		message += ": " + run.Reason
	}
	r := &report.Report{
		Runs: []report.Run{{
			Tool: run.Tool, Version: run.Version, Category: run.Category, Target: run.Target,
			Status: run.Status, Reason: run.Reason, InformationURI: run.InformationURI,
		}},
		Findings: []report.Finding{{
			Rule: IncompleteRule, Title: "The scan did not complete", Message: message,
			Level: report.LevelError, Category: report.CategoryPolicy,
		}},
	}
	return r, r.Normalize(ctx, nil)
}

// fileName is made of tool and category; the tab wants the ending.
func fileName(run *report.Run, taken map[string]bool) string {
	name := run.Tool
	if run.Category != "" {
		name += "-" + run.Category
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, name)
	name = strings.Trim(name[:min(len(name), 80)], ".-")
	base := cmp.Or(name, "scan")
	name = base
	// File systems may not tell capitals apart.
	for n := 2; taken[strings.ToLower(name)]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	taken[strings.ToLower(name)] = true
	return name + ".sarif"
}

func writeFile(ctx context.Context, path string, s report.Source) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	if err := report.WriteSARIF(ctx, w, s); err != nil {
		_ = f.Close()
		return err
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
