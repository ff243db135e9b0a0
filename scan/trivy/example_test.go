//go:build unix

package trivy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/trivy"
)

func ExampleScanner_Scan() {
	dir, err := os.MkdirTemp("", "trivy")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	// A stand-in for Trivy that always finds the same.
	path := filepath.Join(dir, "trivy")
	program := `#!/bin/sh
if [ "$1" = --version ]; then echo 'Version: 0.68.2'; exit; fi
while [ "$1" != --output ]; do shift; done
cat > "$2" <<'END'
` + jsonFound + `
END
`
	if err := os.WriteFile(path, []byte(program), 0o700); err != nil { //nolint:gosec // a program
		panic(err)
	}

	s, err := trivy.New(&trivy.Options{
		Path: path, Offline: true, CacheDir: "/var/cache/trivy", Severities: []report.Severity{report.SeverityHigh, report.SeverityCritical},
	})
	if err != nil {
		panic(err)
	}
	res, err := s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: dir})
	if err != nil {
		panic(err)
	}
	for _, f := range res.Report.Findings {
		fmt.Println(f.Severity, f.Rule, f.Package.Name, f.Package.Installed, "fixed in", f.Package.Fixed)
	}
	// Output:
	// high CVE-2099-0001 example.com/a 1.0.0 fixed in 1.0.1
}

func ExampleScanner_Scan_failure() {
	s, err := trivy.New(&trivy.Options{Path: "/nowhere/trivy"})
	if err != nil {
		panic(err)
	}
	_, err = s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: "."})
	fmt.Println(errors.Is(err, scan.ErrToolMissing))
	// Output:
	// true
}
