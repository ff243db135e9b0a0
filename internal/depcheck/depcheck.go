// Package depcheck reads the import graph of this repository, for the tests that keep every package to the
// third-party modules it is allowed and for the table of what each package costs.
package depcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Root is the import path of the root module.
const Root = "github.com/waybill-dev/waybill"

// Package is one package as go list knows it.
type Package struct {
	ImportPath string
	Imports    []string // of its non-test files
	Standard   bool
	Module     *struct{ Path string }
}

// Own reports whether the package belongs to this repository.
func (p *Package) Own() bool {
	return p.ImportPath == Root || strings.HasPrefix(p.ImportPath, Root+"/")
}

// Dir returns the package's directory below the repository's root.
func (p *Package) Dir() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, Root), "/")
}

// Graph is a set of packages with everything they import.
type Graph map[string]*Package

// Load returns the graph of the packages that the patterns name, as seen from dir.
func Load(ctx context.Context, dir string, patterns ...string) (Graph, error) {
	args := append([]string{"list", "-deps", "-json=ImportPath,Imports,Standard,Module"}, patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	g := Graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return g, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		g[p.ImportPath] = &p
	}
}

// Own returns the repository's own packages, sorted.
func (g Graph) Own() []*Package {
	var own []*Package
	for _, p := range g {
		if p.Own() {
			own = append(own, p)
		}
	}
	slices.SortFunc(own, func(a, b *Package) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return own
}

// Chain returns a shortest way of imports from one package to another, both included, or nil.
func (g Graph) Chain(from, to string) []string {
	prev := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at == to {
			var chain []string
			for ; at != ""; at = prev[at] {
				chain = append(chain, at)
			}
			slices.Reverse(chain)
			return chain
		}
		if g[at] == nil {
			continue
		}
		for _, next := range g[at].Imports {
			if _, seen := prev[next]; !seen {
				prev[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// Weight counts what importing the package brings from outside the standard library and this repository.
func (g Graph) Weight(path string) (packages, modules int) {
	seen, mods := map[string]bool{}, map[string]bool{}
	var visit func(string)
	visit = func(path string) {
		p := g[path]
		if p == nil || p.Standard || seen[path] {
			return
		}
		seen[path] = true
		if !p.Own() && p.Module != nil {
			packages++
			mods[p.Module.Path] = true
		}
		for _, next := range p.Imports {
			visit(next)
		}
	}
	visit(path)
	return packages, len(mods)
}
