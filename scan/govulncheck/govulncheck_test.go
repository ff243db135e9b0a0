package govulncheck_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/govulncheck"
	"github.com/waybill-dev/waybill/scan/scantest"
)

// files writes a directory.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

// shop is a module that calls one vulnerable function and imports a package with another. What it depends on is
// vendored, so that nothing is downloaded.
func shop(t *testing.T) scan.Target {
	t.Helper()
	return scan.Target{Kind: scan.Dir, Path: files(t, map[string]string{
		"go.mod": "module example.com/app\n\ngo 1.22\n\nrequire (\n\texample.com/called v1.0.0\n\texample.com/imported v1.0.0\n)\n",
		"main.go": `package main

import (
	"example.com/called"
	"example.com/imported"
)

func main() { serve() }

func serve() { called.Parse("x"); imported.Fine() }
`,
		"vendor/modules.txt":                      "# example.com/called v1.0.0\n## explicit; go 1.22\nexample.com/called\n# example.com/imported v1.0.0\n## explicit; go 1.22\nexample.com/imported\n",
		"vendor/example.com/called/called.go":     "package called\n\nfunc Parse(s string) { inner(s) }\n\nfunc inner(string) {}\n",
		"vendor/example.com/imported/imported.go": "package imported\n\nfunc Fine() {}\n\nfunc Bad() {}\n",
	})}
}

// database is a copy of the Go vulnerability database with an advisory for each given module and symbol.
func database(t *testing.T, advisories map[string][2]string) string {
	t.Helper()
	content := map[string]string{"index/db.json": `{"modified":"2026-01-02T03:04:05Z"}`}
	modules := []map[string]any{}
	vulns := []map[string]any{}
	for id, at := range advisories {
		module, symbol := at[0], at[1]
		modules = append(modules, map[string]any{"path": module, "vulns": []any{map[string]any{"id": id, "modified": "2026-01-01T00:00:00Z", "fixed": "1.0.1"}}})
		vulns = append(vulns, map[string]any{"id": id, "modified": "2026-01-01T00:00:00Z", "aliases": []string{"CVE-2099-1"}})
		b, err := json.Marshal(map[string]any{
			"schema_version": "1.3.1", "id": id, "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z",
			"aliases": []string{"CVE-2099-1"}, "summary": "Made-up flaw in " + module, "details": "Details.",
			"affected": []any{map[string]any{
				"package":            map[string]any{"name": module, "ecosystem": "Go"},
				"ranges":             []any{map[string]any{"type": "SEMVER", "events": []any{map[string]any{"introduced": "0"}, map[string]any{"fixed": "1.0.1"}}}},
				"ecosystem_specific": map[string]any{"imports": []any{map[string]any{"path": module, "symbols": []string{symbol}}}},
			}},
			"database_specific": map[string]any{"url": "https://pkg.go.dev/vuln/" + id},
		})
		require.NoError(t, err)
		content["ID/"+id+".json"] = string(b)
	}
	for name, v := range map[string]any{"index/modules.json": modules, "index/vulns.json": vulns} {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		content[name] = string(b)
	}
	return files(t, content)
}

func flaws(t *testing.T) string {
	t.Helper()
	return database(t, map[string][2]string{
		"GO-2099-0001": {"example.com/called", "inner"},
		"GO-2099-0002": {"example.com/imported", "Bad"},
		"GO-2099-0003": {"example.com/elsewhere", "X"},
	})
}

func scanner(t *testing.T, o govulncheck.Options) *govulncheck.Scanner {
	t.Helper()
	s, err := govulncheck.New(&o)
	require.NoError(t, err)
	return s
}

func TestScan(t *testing.T) {
	res, err := scanner(t, govulncheck.Options{DB: flaws(t)}).Scan(t.Context(), shop(t))
	require.NoError(t, err)
	assert.Equal(t, scan.Findings, res.Status)
	assert.Equal(t, "1.9.0", res.Version)
	assert.Equal(t, []string{"vulnerability database of 2026-01-02"}, res.Notes)
	require.Len(t, res.Report.Findings, 2)

	called := res.Report.Findings[0]
	assert.Equal(t, "GO-2099-0001", called.Rule)
	assert.Equal(t, report.LevelError, called.Level)
	assert.Equal(t, []string{"CVE-2099-1"}, called.Aliases)
	assert.Equal(t, "v1.0.1", called.Package.Fixed)
	assert.Equal(t, "main.go", called.Location.Path)
	assert.Equal(t, 8, called.Location.StartLine)
	assert.Contains(t, called.Message, "called: example.com/app.main > example.com/app.serve > example.com/called.Parse > example.com/called.inner")

	imported := res.Report.Findings[1]
	assert.Equal(t, "GO-2099-0002", imported.Rule)
	assert.Equal(t, report.LevelWarning, imported.Level)
}

func TestScanner(t *testing.T) {
	setup := func(o govulncheck.Options, target scan.Target) func() scantest.Setup {
		return func() scantest.Setup { return scantest.Setup{Scanner: scanner(t, o), Target: target} }
	}
	app := shop(t)
	noBuild := scan.Target{Kind: scan.Dir, Path: files(t, map[string]string{"go.mod": "module x\n", "x.go": "package x\n\nfunc f() { undefined() }\n"})}
	scantest.TestScanner(t, scantest.Harness{
		Clean:       setup(govulncheck.Options{DB: database(t, nil)}, app),
		Findings:    setup(govulncheck.Options{DB: flaws(t)}, app),
		Broken:      setup(govulncheck.Options{DB: flaws(t)}, noBuild),
		Slow:        setup(govulncheck.Options{DB: flaws(t)}, app),
		MissingTool: setup(govulncheck.Options{DB: flaws(t), Go: "/nowhere/go"}, app),
		WrongVersion: func() scantest.Setup {
			old := scantest.Script(t, "go", "echo go version go1.11.4 linux/amd64")
			return scantest.Setup{Scanner: scanner(t, govulncheck.Options{DB: flaws(t), Go: old}), Target: app}
		},
		Unsupported: setup(govulncheck.Options{}, scan.Target{Kind: scan.Image, Path: "web:1"}),
		NotApplicable: map[string]string{
			"HugeOutput": "the engine's output is as large as the database and the code it was given",
			"Secret":     "it reads advisories and symbols, and is given no credential",
		},
	})
}

func TestScan_broken(t *testing.T) {
	app := shop(t)
	for name, tc := range map[string]struct {
		o      govulncheck.Options
		target scan.Target
		kind   error
	}{
		"no database":        {govulncheck.Options{DB: filepath.Join(t.TempDir(), "gone")}, app, scan.ErrConfig},
		"empty database":     {govulncheck.Options{DB: t.TempDir()}, app, scan.ErrConfig},
		"advisory is broken": {govulncheck.Options{DB: brokenAdvisory(t)}, app, scan.ErrBroken},
		"no module":          {govulncheck.Options{DB: flaws(t)}, scan.Target{Kind: scan.Dir, Path: t.TempDir()}, scan.ErrSkipped},
		"no directory":       {govulncheck.Options{DB: flaws(t)}, scan.Target{Kind: scan.Dir, Path: "gone"}, scan.ErrTarget},
		"a file":             {govulncheck.Options{DB: flaws(t)}, scan.Target{Kind: scan.Dir, Path: filepath.Join(app.Path, "go.mod")}, scan.ErrTarget},
		"no packages":        {govulncheck.Options{DB: flaws(t), Packages: []string{"./nothing/..."}}, app, scan.ErrBroken},
		"bad go.mod":         {govulncheck.Options{DB: flaws(t)}, scan.Target{Kind: scan.Dir, Path: files(t, map[string]string{"go.mod": "modul x"})}, scan.ErrBroken},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scanner(t, tc.o).Scan(t.Context(), tc.target)
			require.ErrorIs(t, err, tc.kind)
		})
	}
}

func brokenAdvisory(t *testing.T) string {
	t.Helper()
	db := flaws(t)
	require.NoError(t, os.WriteFile(filepath.Join(db, "ID", "GO-2099-0001.json"), []byte(`{"id":`), 0o600))
	return db
}

func TestScan_manyAtOnce(t *testing.T) {
	app, db := shop(t), flaws(t)
	s := scanner(t, govulncheck.Options{DB: db})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			res, err := s.Scan(t.Context(), app)
			if assert.NoError(t, err) {
				assert.Len(t, res.Report.Findings, 2)
			}
		})
	}
	wg.Wait()
}

func TestScan_deadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	_, err := scanner(t, govulncheck.Options{DB: flaws(t)}).Scan(ctx, shop(t))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestNew_bad(t *testing.T) {
	_, err := govulncheck.New(&govulncheck.Options{DB: "http://vuln.example.com", Packages: []string{"-x", ""}, Command: []string{""}})
	require.ErrorIs(t, err, scan.ErrConfig)
	for _, says := range []string{"DB", "Packages", "Command"} {
		assert.ErrorContains(t, err, says)
	}
}

func TestEngineVersion(t *testing.T) {
	b, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	assert.Contains(t, string(b), "golang.org/x/vuln v"+govulncheck.EngineVersion())
}
