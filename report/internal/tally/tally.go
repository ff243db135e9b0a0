// Package tally counts the findings of a source, for the pages that people read.
package tally

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/waybill-dev/waybill/report"
)

// Tally counts findings. A finding is open when it is neither suppressed nor absent.
type Tally struct {
	Head       report.Head
	Open       int
	Suppressed int
	Absent     int
	BySeverity Severities
	ByState    map[report.BaselineState]int // of open findings
	ByTool     map[string]*Severities
	ByRule     map[string]*Severities
	// All counts every finding that was yielded, by severity.
	All Severities

	keep  int
	worst [report.SeverityCritical + 1][]report.Finding
}

// Severities counts by severity.
type Severities [report.SeverityCritical + 1]int

// Total returns the sum.
func (s *Severities) Total() (n int) {
	for _, c := range s {
		n += c
	}
	return n
}

// maxRules caps the rules that are counted one by one.
const maxRules = 100_000

// Of reads all findings of s and keeps the keep worst open ones, none when keep is negative.
func Of(ctx context.Context, s report.Source, keep int) (*Tally, error) {
	t := &Tally{
		keep:    max(0, keep),
		Head:    s.Head(),
		ByState: map[report.BaselineState]int{},
		ByTool:  map[string]*Severities{},
		ByRule:  map[string]*Severities{},
	}
	for f, err := range s.All(ctx) {
		if err != nil {
			return nil, err
		}
		t.add(&f)
	}
	return t, nil
}

func (t *Tally) add(f *report.Finding) {
	sev := min(f.Severity, report.SeverityCritical)
	t.All[sev]++
	switch {
	case f.State == report.StateAbsent:
		t.Absent++
		return
	case f.Suppressed != nil:
		t.Suppressed++
		return
	}
	t.Open++
	t.BySeverity[sev]++
	if len(t.worst[sev]) < t.keep {
		t.worst[sev] = append(t.worst[sev], *f)
	}
	t.ByState[f.State]++
	count(t.ByTool, f.Tool, sev)
	if _, known := t.ByRule[f.Rule]; known || len(t.ByRule) < maxRules {
		count(t.ByRule, f.Rule, sev)
	}
}

// Worst returns the worst open findings, at most as many as were to be kept, in the order they came.
func (t *Tally) Worst() []report.Finding {
	var list []report.Finding
	for _, sev := range report.Severities() {
		list = append(list, t.worst[sev][:min(len(t.worst[sev]), t.keep-len(list))]...)
	}
	return list
}

func count(m map[string]*Severities, key string, sev report.Severity) {
	s := m[key]
	if s == nil {
		s = &Severities{}
		m[key] = s
	}
	s[sev]++
}

// Named is one entry of a chart.
type Named struct {
	Name string
	*Severities
}

// worst returns the worst severity there is.
func (s *Severities) worst() report.Severity {
	for _, sev := range report.Severities() {
		if s[sev] > 0 {
			return sev
		}
	}
	return report.SeverityUnknown
}

// Most returns at most n entries of m, those with the most findings first.
func Most(m map[string]*Severities, n int) []Named {
	all := make([]Named, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, Named{name, m[name]})
	}
	slices.SortStableFunc(all, func(a, b Named) int {
		return cmp.Or(cmp.Compare(b.Total(), a.Total()), cmp.Compare(b.worst(), a.worst()))
	})
	return all[:min(n, len(all))]
}
