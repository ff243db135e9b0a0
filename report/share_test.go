package report_test

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

// passes counts how often its findings are read, and fails at one of them when told to.
type passes struct {
	*report.Report
	n      atomic.Int32
	failAt int
}

var errBroken = errors.New("broken")

func (p *passes) All(ctx context.Context) iter.Seq2[report.Finding, error] {
	p.n.Add(1)
	return func(yield func(report.Finding, error) bool) {
		i := 0
		for f, err := range p.Report.All(ctx) {
			if i++; i == p.failAt {
				yield(report.Finding{}, errBroken)
				return
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func numbered(t *testing.T, n int) *report.Report {
	t.Helper()
	r := &report.Report{Runs: []report.Run{{Tool: "x"}}}
	for i := range n {
		r.Findings = append(r.Findings, report.Finding{Rule: strconv.Itoa(i)})
	}
	require.NoError(t, r.Normalize(t.Context(), nil))
	return r
}

func TestShare(t *testing.T) {
	const n = 1000
	s := &passes{Report: numbered(t, n)}
	use := func(times, most int) func(report.Source) error {
		return func(s report.Source) error {
			for range times {
				i := 0
				for f, err := range s.All(t.Context()) {
					if err != nil {
						return err
					}
					if f.Rule != strconv.Itoa(i) {
						return errors.New("out of order: " + f.Rule)
					}
					if i++; i == most {
						break
					}
				}
				if i != min(most, n) {
					return errors.New("stopped at " + strconv.Itoa(i))
				}
			}
			return nil
		}
	}
	require.NoError(t, report.Share(t.Context(), s, use(1, 9*n), use(2, 9*n), use(0, 0), use(1, 9*n), use(2, 10), use(3, 700)))
	assert.EqualValues(t, 3, s.n.Load(), "as many passes as the use with the most")
	require.NoError(t, report.Share(t.Context(), s))
	require.NoError(t, report.Share(t.Context(), s, func(s report.Source) error {
		assert.Equal(t, "x", s.Head().Runs[0].Tool)
		return nil
	}))
}

func TestShare_errors(t *testing.T) {
	count := func(s report.Source) error {
		for _, err := range s.All(t.Context()) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	own := errors.New("disk full")
	err := report.Share(t.Context(), &passes{Report: numbered(t, 1000), failAt: 600}, count, func(report.Source) error { return own }, count)
	require.ErrorIs(t, err, errBroken)
	require.ErrorIs(t, err, own)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = report.Share(ctx, numbered(t, 10), count)
	require.ErrorIs(t, err, context.Canceled)
}
