package report

import (
	"compress/gzip"
	"context"
	"iter"
	"math"
	"slices"
)

// Limits is what a service accepts of a SARIF log. A zero member means no limit.
type Limits struct {
	Runs                int   // of a log
	Results             int   // of a run
	Rules               int   // of a run
	Locations           int   // of a result
	ThreadFlowLocations int   // of a thread flow of a result
	Tags                int   // of a rule
	GzipBytes           int64 // of the log, compressed
}

// GitHubLimits returns the limits of GitHub code scanning: what it shows, where that is less than what it
// accepts (it takes 25,000 results of a run and keeps 5,000).
func GitHubLimits() Limits {
	return Limits{Runs: 20, Results: 5_000, Rules: 25_000, Locations: 100, ThreadFlowLocations: 1_000, Tags: 10, GzipBytes: 10 << 20}
}

// Trimmed counts what Trim left out.
type Trimmed struct {
	Runs    int
	Results int
}

// Trim returns a source that stays within the limits when it is written as SARIF. Of the results of a run the
// worst stay: present ones before suppressed and absent ones, then by severity and score, then the earlier.
// Of the runs the ones with the worst results stay. Lists within a result or rule are cut.
//
// It reads s once, and more often only when the compressed size is too large; memory does not grow with the
// findings. The error is that of s.
func Trim(ctx context.Context, s Source, l Limits) (Source, Trimmed, error) {
	// A cap of 0 is none.
	for _, n := range []*int{&l.Runs, &l.Results, &l.Rules, &l.Locations, &l.ThreadFlowLocations, &l.Tags} {
		if *n <= 0 {
			*n = math.MaxInt
		}
	}
	ranks, err := rankAll(ctx, s)
	if err != nil {
		return nil, Trimmed{}, err
	}
	limit := l.Results
	for {
		t := newTrimmed(s, ranks, l, limit)
		if err := t.keepRules(ctx); err != nil {
			return nil, Trimmed{}, err
		}
		if l.GzipBytes <= 0 {
			return t, t.result, nil
		}
		size, err := compressedSize(ctx, t)
		if err != nil {
			return nil, Trimmed{}, err
		}
		largest := 0
		for _, k := range t.kept {
			largest = max(largest, k)
		}
		if size <= l.GzipBytes || largest <= 1 {
			return t, t.result, nil
		}
		// Results are of much the same size; a little less than the share that fits makes a second round rare.
		limit = max(1, min(largest-1, int(float64(largest)*0.9*float64(l.GzipBytes)/float64(size))))
	}
}

// The rank of a finding is a number from 0 to ranks-1, higher is worse.
const rankCount = 2048

func rank(f *Finding) int {
	switch {
	case f.State == StateAbsent:
		return 0
	case f.Suppressed != nil:
		return 1
	}
	score := 0.0
	if f.Score > 0 { // also no NaN
		score = min(f.Score, 10)
	}
	return 2 + int(worry(min(f.Severity, SeverityCritical)))*128 + int(score*10)
}

// rankAll counts the findings of each run by rank.
func rankAll(ctx context.Context, s Source) ([][]int32, error) {
	ranks := make([][]int32, len(s.Head().Runs))
	for i := range ranks {
		ranks[i] = make([]int32, rankCount)
		for f, err := range ofRun(ctx, s, i, 0) {
			if err != nil {
				return nil, err
			}
			ranks[i][rank(&f)]++
		}
	}
	return ranks, nil
}

type trimmed struct {
	source Source
	head   Head
	result Trimmed
	runs   []int // of the source, that stay
	least  []int // rank of the mildest findings that stay, by run of the source
	last   []int // how many of that rank stay
	kept   []int
}

func newTrimmed(s Source, ranks [][]int32, l Limits, limit int) *trimmed {
	t := &trimmed{source: s, head: s.Head()}
	all := t.head.Runs
	t.head.Runs = nil
	for i := range all {
		t.runs = append(t.runs, i)
	}
	if len(t.runs) > l.Runs {
		slices.SortStableFunc(t.runs, func(a, b int) int { return slices.Compare(worstFirst(ranks[b]), worstFirst(ranks[a])) })
		for _, i := range t.runs[l.Runs:] {
			t.result.Runs++
			for _, n := range ranks[i] {
				t.result.Results += int(n)
			}
		}
		t.runs = t.runs[:l.Runs]
		slices.Sort(t.runs)
	}
	t.least, t.last, t.kept = make([]int, len(all)), make([]int, len(all)), make([]int, len(all))
	for _, i := range t.runs {
		left := limit
		for r := rankCount - 1; r >= 0; r-- {
			n := int(ranks[i][r])
			if n > left {
				t.least[i], t.last[i] = r, left
				t.kept[i] += left
				for ; r >= 0; r-- {
					t.result.Results += int(ranks[i][r])
				}
				t.result.Results -= left
				break
			}
			left -= n
			t.kept[i] += n
			t.least[i], t.last[i] = r, n
		}
		run := all[i]
		run.limits = &l
		t.head.Runs = append(t.head.Runs, run)
	}
	return t
}

func worstFirst(ranks []int32) []int32 {
	r := slices.Clone(ranks)
	slices.Reverse(r)
	return r
}

// keepRules finds the rules to keep of runs that have too many.
func (t *trimmed) keepRules(ctx context.Context) error {
	for i := range t.head.Runs {
		run := &t.head.Runs[i]
		if len(run.Rules) <= run.limits.Rules {
			continue
		}
		keep := map[string]bool{}
		for f, err := range t.ofRun(ctx, i, 0) {
			if err != nil {
				return err
			}
			if len(keep) < run.limits.Rules {
				keep[f.Rule] = true
			}
		}
		run.rules = keep
	}
	return nil
}

func (t *trimmed) Head() Head { return t.head }

func (t *trimmed) All(ctx context.Context) iter.Seq2[Finding, error] {
	return allRuns(ctx, t, len(t.runs), needAll)
}

func (t *trimmed) ofRun(ctx context.Context, i int, need needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		from := t.runs[i]
		left := t.last[from]
		for f, err := range ofRun(ctx, t.source, from, need) {
			if err == nil {
				r := rank(&f)
				if r < t.least[from] || r == t.least[from] && left == 0 {
					continue
				}
				if r == t.least[from] {
					left--
				}
				f.Run = i
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// compressedSize writes the source to nowhere and returns the size of its compressed form.
func compressedSize(ctx context.Context, s Source) (int64, error) {
	var n countWriter
	z := gzip.NewWriter(&n)
	if err := WriteSARIF(ctx, z, s); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	return int64(n), nil
}

type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) {
	*c += countWriter(len(p))
	return len(p), nil
}
