package depcheck_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
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
	var b strings.Builder
	b.WriteString("| package | packages | modules |\n|---|--:|--:|\n")
	light := 0
	for _, p := range g.Own() {
		if dir := p.Dir(); dir != "" && !hidden(dir) {
			packages, modules := g.Weight(p.ImportPath)
			if packages == 0 {
				light++
				continue
			}
			fmt.Fprintf(&b, "| `%s` | %d | %d |\n", dir, packages, modules)
		}
	}
	fmt.Fprintf(&b, "| the other %d packages | 0 | 0 |\n", light)
	return b.String()
}
