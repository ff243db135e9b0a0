package report

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Join makes one source of several: runs of the same tool and category become one, tests and coverage are put
// together. It reads nothing.
//
// The joined run completed only if all its runs did; otherwise it has the status and reason of the worst.
func Join(sources ...Source) Source {
	j := &joined{}
	groups := map[string]int{}
	for _, s := range sources {
		h := s.Head()
		for i, run := range h.Runs {
			key := strings.ToLower(run.Tool) + "\x00" + run.Category
			g, ok := groups[key]
			if !ok {
				g = len(j.parts)
				groups[key] = g
				j.parts = append(j.parts, nil)
				j.head.Runs = append(j.head.Runs, run)
			} else {
				j.head.Runs[g] = joinRuns(j.head.Runs[g], run)
			}
			j.parts[g] = append(j.parts[g], part{s, i})
		}
		j.head.Tests = joinTests(j.head.Tests, h.Tests)
		j.head.Coverage = joinCoverage(j.head.Coverage, h.Coverage)
		for _, u := range h.Unplaced {
			j.head.Unplaced = addUnplaced(j.head.Unplaced, u.Tool, u.Reason, u.Count)
		}
	}
	if len(sources) == 1 && len(j.head.Runs) == len(sources[0].Head().Runs) {
		return sources[0] // nothing to join
	}
	return j
}

type joined struct {
	head  Head
	parts [][]part // of each run
}

type part struct {
	source Source
	run    int
}

func (j *joined) Head() Head { return j.head }

func (j *joined) All(ctx context.Context) iter.Seq2[Finding, error] {
	return allRuns(ctx, j, len(j.head.Runs), needAll)
}

func (j *joined) ofRun(ctx context.Context, i int, need needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		for _, p := range j.parts[i] {
			for f, err := range ofRun(ctx, p.source, p.run, need) {
				f.Run, f.Tool = i, j.head.Runs[i].Tool
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

// statusRank puts the worst last. A run that did not take place says nothing about one that did.
var statusRank = map[Status]int{StatusAbsent: -1, StatusCompleted: 0, StatusUnknown: 1, StatusNoResults: 2, StatusFailed: 3}

func joinRuns(a, b Run) Run {
	if statusRank[b.Status] > statusRank[a.Status] {
		a.Status, a.Reason = b.Status, b.Reason
	}
	if a.Version == "" {
		a.Version = b.Version
	}
	if a.InformationURI == "" {
		a.InformationURI = b.InformationURI
	}
	if b.Target != "" && !slices.Contains(strings.Split(a.Target, ", "), b.Target) {
		a.Target = strings.TrimPrefix(a.Target+", "+b.Target, ", ")
	}
	if !b.Started.IsZero() && (a.Started.IsZero() || b.Started.Before(a.Started)) {
		a.Started = b.Started
	}
	if b.Finished.After(a.Finished) {
		a.Finished = b.Finished
	}
	a.Rules = joinRules(a.Rules, b.Rules)
	a.sarif, a.old = slices.Concat(a.sarif, b.sarif), slices.Concat(a.old, b.old)
	return a
}

// joinRules adds the rules of b that a does not have. Of rules in both, the worse severity stands.
func joinRules(a, b []Rule) []Rule {
	at := make(map[string]int, len(a)+len(b))
	out := slices.Clone(a)
	for i, r := range out {
		if _, ok := at[r.ID]; !ok {
			at[r.ID] = i
		}
	}
	for _, r := range b {
		i, ok := at[r.ID]
		if !ok {
			at[r.ID] = len(out)
			out = append(out, r)
			continue
		}
		have := &out[i]
		have.Severity, have.Score, have.Level = max(have.Severity, r.Severity), max(have.Score, r.Score), max(have.Level, r.Level)
	}
	return out
}

func joinTests(a, b *Tests) *Tests {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	return &Tests{Suites: slices.Concat(a.Suites, b.Suites)}
}

// joinCoverage joins files of the same path line by line: a line is covered if either covered it.
func joinCoverage(a, b *Coverage) *Coverage {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	files := map[string]FileCoverage{}
	for _, f := range slices.Concat(a.Files, b.Files) {
		have, ok := files[f.Path]
		if !ok {
			files[f.Path] = f
			continue
		}
		have.Lines = slices.Concat(have.Lines, f.Lines)
		have.Sort()
		have.Statements = max(have.Statements, f.Statements)
		have.StatementsCovered = max(have.StatementsCovered, f.StatementsCovered)
		files[f.Path] = have
	}
	out := &Coverage{}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		out.Files = append(out.Files, files[p])
	}
	return out
}
