package gitops

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// diffContext is the number of unchanged lines around a change.
const diffContext = 3

// diff returns a unified diff of the changed files, as git writes it.
func diff(s *snapshot, changed map[string][]byte) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		i := slices.IndexFunc(s.files, func(f file) bool { return f.path == name })
		before, _ := s.objs.Blob(s.files[i].hash) // it was edited, so it is there
		from, to, end := quoted("a/"+name), quoted("b/"+name), ""
		if strings.Contains(name, " ") {
			end = "\t" // to patch a name ends at the first space otherwise
		}
		fmt.Fprintf(&b, "diff --git %s %s\n--- %s%s\n+++ %s%s\n", from, to, from, end, to, end)
		unified(&b, splitLines(before), splitLines(changed[name]))
	}
	return b.String()
}

// quoted returns a file name as it stands in a diff: in quotes, with escapes, when it is not plain text.
func quoted(name string) string {
	special := func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' || r == '\\' }
	if utf8.ValidString(name) && !strings.ContainsFunc(name, special) {
		return name
	}
	var b strings.Builder
	for _, c := range []byte(name) {
		if special(rune(c)) || c >= utf8.RuneSelf {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}

func splitLines(data []byte) []string {
	var lines []string
	for line := range bytes.Lines(data) {
		lines = append(lines, string(line))
	}
	return lines
}

// hunk is a run of lines [from, to) of the old text and what stands there in the new one.
type hunk struct{ oldFrom, oldTo, newFrom, newTo int }

// hunks compares two texts that differ by replaced and added lines only. An added line is told from a replaced
// one by the old line that follows it.
func hunks(a, b []string) []hunk {
	var all []hunk
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		if i < len(a) && j < len(b) && a[i] == b[j] {
			i, j = i+1, j+1
			continue
		}
		h := hunk{oldFrom: i, newFrom: j}
		i, j = resume(a, b, i, j)
		h.oldTo, h.newTo = i, j
		all = append(all, h)
	}
	return all
}

// resume finds where the texts are alike again, the nearest place first.
func resume(a, b []string, i, j int) (int, int) {
	for distance := 1; distance <= 64; distance++ {
		for di := range distance + 1 {
			x, y := i+di, j+distance-di
			if x < len(a) && y < len(b) && a[x] == b[y] && len(a)-x <= len(b)-y || x == len(a) && y == len(b) {
				return x, y
			}
		}
	}
	return len(a), len(b)
}

func unified(w *strings.Builder, a, b []string) {
	all := hunks(a, b)
	for len(all) > 0 {
		n := 1 // hunks whose context touches are printed as one
		for n < len(all) && all[n].oldFrom-all[n-1].oldTo <= 2*diffContext {
			n++
		}
		group := all[:n]
		all = all[n:]
		from := max(0, group[0].oldFrom-diffContext)
		to := min(len(a), group[n-1].oldTo+diffContext)
		newFrom := group[0].newFrom - (group[0].oldFrom - from)
		newTo := group[n-1].newTo + (to - group[n-1].oldTo)
		fmt.Fprintf(w, "@@ -%s +%s @@\n", lineRange(from, to), lineRange(newFrom, newTo))
		at := from
		for _, h := range group {
			printLines(w, ' ', a[at:h.oldFrom])
			printLines(w, '-', a[h.oldFrom:h.oldTo])
			printLines(w, '+', b[h.newFrom:h.newTo])
			at = h.oldTo
		}
		printLines(w, ' ', a[at:to])
	}
}

func lineRange(from, to int) string {
	switch to - from {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return strconv.Itoa(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

func printLines(w *strings.Builder, sign byte, lines []string) {
	for _, line := range lines {
		w.WriteByte(sign)
		w.WriteString(line)
		if !strings.HasSuffix(line, "\n") {
			w.WriteString("\n\\ No newline at end of file\n")
		}
	}
}
