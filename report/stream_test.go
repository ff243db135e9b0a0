package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

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

// The goroutines end with the loop, however it ends.
func TestFile_All_stop(t *testing.T) {
	s := big(t, 3000)
	goroutines := goleak.IgnoreCurrent()
	for range s.All(t.Context()) {
		break
	}
	goleak.VerifyNone(t, goroutines)
	assert.Panics(t, func() {
		for range s.All(t.Context()) {
			panic("in the loop")
		}
	})
	goleak.VerifyNone(t, goroutines)
}

// A file that changes under the reader is an error, not a different report.
func TestFile_All_changed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sarif")
	require.NoError(t, generateFile(path, 10, 0))
	s, err := report.OpenSARIF(t.Context(), path, nil)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, os.WriteFile(path, []byte(log()), 0o644))
	for _, err := range s.All(t.Context()) {
		require.ErrorContains(t, err, "has changed since it was opened")
	}
}

// Memory does not grow with the file.
func TestFile_memory(t *testing.T) {
	peak := func(n int) uint64 {
		s := big(t, n)
		var most uint64
		i := 0
		for _, err := range s.All(t.Context()) {
			require.NoError(t, err)
			if i++; i%500 == 0 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		return most
	}
	small, large := peak(2_000), peak(12_000)
	assert.Less(t, large, small+4<<20, "%d and %d bytes", small, large)
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

// Results are cut where they end, wherever the pieces in which the file is read end.
func TestFile_All_pieces(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var want []string
	var text strings.Builder
	text.WriteString(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results": [`)
	for i := range 30 {
		message := strings.Repeat(`a"\ü{[,]}`, random.IntN(20_000)) + strings.Repeat(`\`, random.IntN(4))
		want = append(want, message)
		quoted, err := json.Marshal(message)
		require.NoError(t, err)
		if i > 0 {
			text.WriteString(strings.Repeat(" ", random.IntN(3)) + ",\n\t")
		}
		fmt.Fprintf(&text, `{ "message" : {"text": %s} }`, quoted)
	}
	text.WriteString("\n]}]}")
	for name, s := range map[string]report.Source{"file": open(t, text.String(), nil), "report": read(t, text.String(), nil)} {
		var got []string
		for _, f := range findings(t, s) {
			got = append(got, f.Message)
		}
		require.True(t, slices.Equal(want, got), name)
		back := read(t, write(t, s), nil)
		require.Len(t, back.Findings, len(want), name)
	}
}

// A source may be read by many at once.
func TestFile_All_atOnce(t *testing.T) {
	s := big(t, 1000)
	want := findings(t, s)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			i := 0
			for f, err := range s.All(context.Background()) {
				assert.NoError(t, err)
				assert.Equal(t, want[i].Identity, f.Identity)
				i++
			}
			assert.Len(t, want, i)
		})
	}
	wg.Wait()
}

// Findings of no run are refused, not lost.
func TestReport_noRun(t *testing.T) {
	var b bytes.Buffer
	err := report.WriteSARIF(t.Context(), &b, &report.Report{Runs: []report.Run{{Tool: "x", Status: report.StatusCompleted}}, Findings: []report.Finding{{Run: 3}}})
	require.ErrorIs(t, err, report.ErrInvalid)
	sum, err := report.Merge(t.Context(), &b, []report.Source{&report.Report{Findings: []report.Finding{{Rule: "r"}}}}, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, sum.Findings)
	assert.Equal(t, report.StatusUnknown, sum.Runs[0].Status)
	_, err = report.Policy{Fail: []report.Clause{{}}}.Gate(t.Context(), foreign{})
	require.ErrorIs(t, err, report.ErrInvalid)
}

// foreign is somebody else's source, with a finding of a run it does not have.
type foreign struct{ cancelled }

func (foreign) All(context.Context) iter.Seq2[report.Finding, error] {
	return func(yield func(report.Finding, error) bool) { yield(report.Finding{Run: 9}, nil) }
}

// endsAfter is a context that ends when it was asked a number of times.
type endsAfter struct {
	context.Context
	left int
}

func (c *endsAfter) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// A file that was not read to its end is not called broken.
func TestOpenSARIF_cancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.sarif")
	require.NoError(t, generateFile(path, 300, 0))
	for left := 0; ; left++ {
		f, err := report.OpenSARIF(&endsAfter{t.Context(), left}, path, nil)
		if err == nil {
			require.NoError(t, f.Close())
			require.Greater(t, left, 3)
			return
		}
		require.ErrorIs(t, err, context.Canceled)
		require.EqualError(t, err, "report: read "+path+": context canceled")
	}
}
