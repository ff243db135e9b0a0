package report

import (
	"context"
	"iter"
)

// Split returns a source for each run of s, in their order. Tests, coverage and what could not be placed
// belong to no run and are in none of them. It reads nothing.
func Split(s Source) []Source {
	runs := s.Head().Runs
	parts := make([]Source, len(runs))
	for i := range runs {
		parts[i] = &single{source: s, run: i, head: Head{Runs: runs[i : i+1 : i+1]}}
	}
	return parts
}

// single is one run of a source.
type single struct {
	source Source
	run    int
	head   Head
}

func (s *single) Head() Head { return s.head }

func (s *single) All(ctx context.Context) iter.Seq2[Finding, error] {
	return allRuns(ctx, s, 1, needAll)
}

func (s *single) ofRun(ctx context.Context, i int, need needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		if i != 0 {
			return
		}
		for f, err := range ofRun(ctx, s.source, s.run, need) {
			f.Run = 0
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}
