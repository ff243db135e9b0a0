// Package golden compares what a test made with a file kept beside it.
//
// Run the test with -update to write the files anew, and read the difference before committing it.
package golden

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// Updating reports whether the test was run with -update.
func Updating() bool { return *update }

// Check fails the test when got differs by a byte from the file at path (by habit below testdata). With
// -update it writes the file instead.
func Check(tb testing.TB, path string, got []byte) {
	tb.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			tb.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("%v (run the test with -update to make it)", err)
	}
	if bytes.Equal(want, got) {
		return
	}
	line, w, g := firstDifference(want, got)
	tb.Errorf("%s differs from line %d on (run with -update to accept):\n  want: %q\n  got:  %q", path, line, w, g)
}

func firstDifference(want, got []byte) (line int, w, g []byte) {
	ws, gs := bytes.SplitAfter(want, []byte("\n")), bytes.SplitAfter(got, []byte("\n"))
	for i := range max(len(ws), len(gs)) {
		w, g = nil, nil
		if i < len(ws) {
			w = ws[i]
		}
		if i < len(gs) {
			g = gs[i]
		}
		if !bytes.Equal(w, g) {
			return i + 1, w, g
		}
	}
	return 0, nil, nil
}
