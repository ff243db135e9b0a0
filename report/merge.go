package report

import (
	"context"
	"encoding/json"
	"io"
	"iter"
)

// MergeOptions changes how Merge merges.
type MergeOptions struct {
	// Dedupe joins findings that are the same, see [Dedupe].
	Dedupe bool
}

// Merge writes several sources as one SARIF log, with one run for each tool and category, and returns what is
// in it. It is [Join], [Dedupe] if asked for, and [WriteSARIF]; tests and coverage have no place in SARIF and
// are only counted. o may be nil.
//
// Memory does not grow with the findings, except for 16 bytes each with Dedupe.
func Merge(ctx context.Context, w io.Writer, sources []Source, o *MergeOptions) (Summary, error) {
	s := Join(sources...)
	if o != nil && o.Dedupe {
		var err error
		if s, err = Dedupe(ctx, s); err != nil {
			return Summary{}, err
		}
	}
	c := &counted{source: s, sum: newSummary(s.Head())}
	if err := WriteSARIF(ctx, w, c); err != nil {
		return Summary{}, err
	}
	return c.sum, nil
}

// Summary is a report in numbers. Findings counts those that are neither suppressed nor absent, and so do
// BySeverity, New, Unchanged, Updated and the runs.
type Summary struct {
	Runs       []RunSummary    `json:"runs"`
	Findings   int             `json:"findings"`
	BySeverity SeverityCounts  `json:"bySeverity"`
	New        int             `json:"new"`
	Unchanged  int             `json:"unchanged"`
	Updated    int             `json:"updated"`
	Absent     int             `json:"absent"`
	Suppressed int             `json:"suppressed"`
	Unplaced   int             `json:"unplaced"`
	Tests      *TestCounts     `json:"tests"`
	Coverage   *CoverageCounts `json:"coverage"`
	// Verdict is "none", "pass" or "fail"; see [Summary.Judge].
	Verdict string   `json:"verdict"`
	Reasons []string `json:"reasons"`
}

// MarshalJSON implements json.Marshaler. In the text no name or path of a report is a command to a CI system.
func (s Summary) MarshalJSON() ([]byte, error) {
	type plain Summary
	b, err := json.Marshal(plain(s))
	return harmlessJSON(b), err
}

// RunSummary is a run in a [Summary].
type RunSummary struct {
	Tool     string `json:"tool"`
	Version  string `json:"version"`
	Category string `json:"category,omitempty"`
	Status   Status `json:"status"`
	Findings int    `json:"findings"`
}

// SeverityCounts counts findings by severity.
type SeverityCounts struct {
	Critical int `json:"critical"`
	High     int `json:"high"`
	Medium   int `json:"medium"`
	Low      int `json:"low"`
	Info     int `json:"info"`
	Unknown  int `json:"unknown"`
}

// Of returns the count of one severity.
func (c *SeverityCounts) Of(s Severity) int { return *c.at(s) }

func (c *SeverityCounts) at(s Severity) *int {
	switch s {
	case SeverityCritical:
		return &c.Critical
	case SeverityHigh:
		return &c.High
	case SeverityMedium:
		return &c.Medium
	case SeverityLow:
		return &c.Low
	case SeverityInfo:
		return &c.Info
	}
	return &c.Unknown
}

// Summarize counts what is in a source.
func Summarize(ctx context.Context, s Source) (Summary, error) {
	sum := newSummary(s.Head())
	for f, err := range all(ctx, s, 0) {
		if err != nil {
			return Summary{}, err
		}
		sum.add(&f)
	}
	return sum, nil
}

func newSummary(h Head) Summary {
	s := Summary{Runs: []RunSummary{}, Verdict: "none", Reasons: []string{}}
	for _, r := range h.Runs {
		s.Runs = append(s.Runs, RunSummary{Tool: r.Tool, Version: r.Version, Category: r.Category, Status: r.Status})
	}
	for _, u := range h.Unplaced {
		s.Unplaced += u.Count
	}
	if h.Tests != nil {
		c := h.Tests.Counts()
		s.Tests = &c
	}
	if h.Coverage != nil {
		c := h.Coverage.Counts()
		s.Coverage = &c
	}
	return s
}

func (s *Summary) add(f *Finding) {
	switch {
	case f.State == StateAbsent:
		s.Absent++
		return
	case f.Suppressed != nil:
		s.Suppressed++
		return
	}
	s.Findings++
	if f.Run >= 0 && f.Run < len(s.Runs) {
		s.Runs[f.Run].Findings++
	}
	*s.BySeverity.at(f.Severity)++
	switch f.State {
	case StateNew:
		s.New++
	case StateUnchanged:
		s.Unchanged++
	case StateUpdated:
		s.Updated++
	}
}

// Judge puts a verdict into the summary.
func (s *Summary) Judge(v Verdict) {
	s.Verdict = "fail"
	if v.Pass {
		s.Verdict = "pass"
	}
	s.Reasons = []string{}
	for _, r := range v.Reasons {
		s.Reasons = append(s.Reasons, r.String())
	}
}

// counted counts the findings of a source while they pass, once.
type counted struct {
	source Source
	sum    Summary
}

func (c *counted) Head() Head { return c.source.Head() }

func (c *counted) All(ctx context.Context) iter.Seq2[Finding, error] {
	return allRuns(ctx, c, len(c.Head().Runs), needAll)
}

func (c *counted) ofRun(ctx context.Context, i int, need needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		for f, err := range ofRun(ctx, c.source, i, need) {
			if err == nil {
				c.sum.add(&f)
			}
			if !yield(f, err) {
				return
			}
		}
	}
}
