package govulncheck_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/govulncheck"
)

func ExampleScanner_Scan() {
	dir := app() // a module that calls a vulnerable function
	defer os.RemoveAll(dir)

	// A copy of the database on disk makes the scan work offline.
	s, err := govulncheck.New(&govulncheck.Options{DB: "testdata/db"})
	if err != nil {
		panic(err)
	}
	res, err := s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: dir})
	if err != nil {
		panic(err)
	}
	fmt.Println(res.Status, res.Notes)
	for _, f := range res.Report.Findings {
		fmt.Println(f.Level, f.Rule, f.Location.Path, f.Location.StartLine)
	}
	// Output:
	// findings [vulnerability database of 2026-01-02]
	// error GO-2099-0001 main.go 6
}

func ExampleScanner_Scan_failure() {
	dir, err := os.MkdirTemp("", "empty")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := govulncheck.New(&govulncheck.Options{DB: "testdata/db"})
	if err != nil {
		panic(err)
	}
	_, err = s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: dir})
	fmt.Println(errors.Is(err, scan.ErrSkipped))
	// Output:
	// true
}

func app() (dir string) {
	dir, err := os.MkdirTemp("", "app")
	if err != nil {
		panic(err)
	}
	for name, text := range map[string]string{
		"go.mod":                              "module example.com/app\n\ngo 1.22\n\nrequire example.com/called v1.0.0\n",
		"main.go":                             "package main\n\nimport \"example.com/called\"\n\nfunc main() {\n\tcalled.Parse(\"x\")\n}\n",
		"vendor/modules.txt":                  "# example.com/called v1.0.0\n## explicit; go 1.22\nexample.com/called\n",
		"vendor/example.com/called/called.go": "package called\n\nfunc Parse(string) {}\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			panic(err)
		}
	}
	return dir
}
