package depcheck_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/internal/testbed"
)

const (
	weightsBegin = "<!-- weights: go test ./internal/depcheck -run Weights -update -->\n"
	weightsEnd   = "<!-- end of weights -->\n"
)

// The README's table of what each package brings is as measured.
func TestWeights(t *testing.T) {
	root, err := testbed.Root()
	require.NoError(t, err)
	path := filepath.Join(root, "README.md")
	readme, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := bytes.Cut(readme, []byte(weightsBegin))
	require.True(t, ok, "README.md has no line %q", weightsBegin)
	_, after, ok := bytes.Cut(rest, []byte(weightsEnd))
	require.True(t, ok, "README.md has no line %q", weightsEnd)
	golden.Check(t, path, bytes.Join([][]byte{before, []byte(weightsBegin + weights(t) + weightsEnd), after}, nil))
}

func weights(t *testing.T) string {
	t.Helper()
	g := load(t)
	type weight struct{ packages, modules int }
	var dirs []string
	weightOf := map[string]weight{}
	for _, p := range g.Own() {
		if dir := p.Dir(); dir != "" && !hidden(dir) {
			packages, modules := g.Weight(p.ImportPath)
			dirs = append(dirs, dir)
			weightOf[dir] = weight{packages, modules}
		}
	}
	names := map[weight][]string{}
	for tree, rest := "-", dirs; len(rest) > 0; rest = rest[1:] {
		dir := rest[0]
		if strings.HasPrefix(dir, tree) { // said already
			continue
		}
		name := dir
		below := slices.DeleteFunc(slices.Clone(rest), func(d string) bool { return !strings.HasPrefix(d, dir+"/") })
		if len(below) > 0 && !slices.ContainsFunc(below, func(d string) bool { return weightOf[d] != weightOf[dir] }) {
			name, tree = dir+"/...", dir+"/"
		}
		names[weightOf[dir]] = append(names[weightOf[dir]], "`"+name+"`")
	}
	var b strings.Builder
	b.WriteString("| package | packages | modules |\n|---|--:|--:|\n")
	for _, w := range slices.SortedFunc(maps.Keys(names), func(a, b weight) int { return cmp.Compare(a.packages, b.packages) }) {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", strings.Join(names[w], " "), w.packages, w.modules)
	}
	return b.String()
}
