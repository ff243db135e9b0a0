package ci

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/waybill-dev/waybill/report"
)

// ScansFolder is the name of the artifact whose SARIF files the Scans tab of Azure DevOps shows.
const ScansFolder = "CodeAnalysisLogs"

// ScansOptions says what the Scans tab gets. The zero value is fine.
type ScansOptions struct {
	// MaxResults caps the results of each file, the worst first, since the tab loads whole files into the
	// browser; 0: 5,000. What is left out is said in [Scan.LeftOut].
	MaxResults int
}

// Scan is one file of the folder.
type Scan struct {
	Path    string // of the file
	Tool    string
	Results int
	LeftOut int
}

// WriteScans writes the folder dir/CodeAnalysisLogs anew: a SARIF file for each run of s, with what the
// Scans tab looks at. That is a level on each result, the identifier of the rule beside its index, paths that
// are relative to the repository, and a list of results even where a run has none, without which the tab
// loads for ever. A tool that ran more than once gets a card for each of its categories, as the tab takes
// the name of the file then.
//
// Two things to know about the tab: it hides notes and what is unchanged until its filters are opened, and it
// shows no line numbers but in the link to the source. o may be nil.
func WriteScans(ctx context.Context, dir string, s report.Source, o *ScansOptions) ([]Scan, error) {
	limit := 5000
	if o != nil && o.MaxResults > 0 {
		limit = o.MaxResults
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
	for i, run := range s.Head().Runs {
		path := filepath.Join(dir, fileName(&run, taken))
		part, counts, err := report.Trim(ctx, oneRun{s, i}, report.Limits{ResultsPerRun: limit})
		if err != nil {
			return scans, failed("write", path, err)
		}
		_ = counts
		n, err := writeFile(ctx, path, part)
		if err != nil {
			return scans, failed("write", path, err)
		}
		scans = append(scans, Scan{Path: path, Tool: run.Tool, Results: n})
	}
	return scans, nil
}
