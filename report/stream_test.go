package report_test

import (
	"context"
	"iter"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

// cancelled is a source that breaks in the middle.
type cancelled struct{}

func (cancelled) Head() report.Head {
	return report.Head{Runs: []report.Run{{Tool: "x", Status: report.StatusCompleted}}}
}

func (cancelled) All(context.Context) iter.Seq2[report.Finding, error] {
	return func(yield func(report.Finding, error) bool) {
		_ = yield(report.Finding{}, nil) && yield(report.Finding{}, context.Canceled)
	}
}

func big(t *testing.T, n int) *report.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "big.sarif")
	require.NoError(t, generateFile(path, n, 0))
	s, err := report.OpenSARIF(t.Context(), path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestFile_All(t *testing.T) {
	s := big(t, 3000)
	first := findings(t, s)
	require.Len(t, first, 3000)
	assert.Equal(t, first[1], findings(t, s)[1], "again the same")
	ids := map[report.Identity]bool{}
	for _, f := range first {
		ids[f.Identity] = true
	}
	assert.Len(t, ids, 3000, "no two are the same")
}

func TestFile_All_stop(t *testing.T) {
	s := big(t, 3000)
	for range s.All(t.Context()) {
		break // goroutines end with the loop; goleak sees to it
	}
}

// A context that ends in the middle is an error, never a shorter report.
func TestFile_All_cancel(t *testing.T) {
	s := big(t, 3000)
	for _, at := range []int{0, 1, 500, 2500} {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		var last error
		if at == 0 {
			cancel()
		}
		for _, err := range s.All(ctx) {
			if last = err; err != nil {
				break
			}
			if n++; n == at {
				cancel()
			}
		}
		cancel()
		if n < 3000 {
			require.ErrorIs(t, last, context.Canceled, at)
		}
	}
}
