package scan_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
)

func ExampleRun() {
	target := scan.Target{Kind: scan.Dir, Path: "."}
	secrets := scantest.New("secrets", scantest.Found(report.Finding{Rule: "aws-key", Message: "an AWS key"}))
	packages := scantest.New("packages", scantest.Clean())

	results, err := scan.Run(context.Background(), []scan.Job{
		{Scanner: secrets, Target: target},
		{Scanner: packages, Target: target},
	}, nil)
	if err != nil {
		fmt.Println(err)
	}
	for _, r := range results {
		fmt.Println(r.Scanner, r.Status, scan.Count(r.Report))
	}
	// Output:
	// secrets findings 1
	// packages clean 0
}

// A scanner that breaks does not take the others with it, and is not taken for clean.
func ExampleRun_failure() {
	target := scan.Target{Kind: scan.Dir, Path: "."}
	jobs := []scan.Job{
		{Scanner: scantest.New("secrets", scantest.Broken(errors.New("git was killed"))), Target: target},
		{Scanner: scantest.New("packages", scantest.Skip("no go.mod")), Target: target},
	}
	results, err := scan.Run(context.Background(), jobs, nil)
	fmt.Println(errors.Is(err, scan.ErrBroken))
	for _, r := range results {
		fmt.Println(r.Scanner, r.Status, "-", r.Reason)
	}
	// Output:
	// true
	// secrets failed - scan: secrets: scan dir:.: scanner failed: git was killed
	// packages skipped - scan: packages: scan dir:.: nothing to scan: no go.mod
}

func ExampleParseTarget() {
	for _, s := range []string{"git:.@main..HEAD", "image:registry.example/web:1.2.0", "image:-v"} {
		t, err := scan.ParseTarget(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s %q %q\n", t.Kind, t.Path, t.Range)
	}
	// Output:
	// git "." "main..HEAD"
	// image "registry.example/web:1.2.0" ""
	// scan: parse target image:-v: bad target: a reference does not start with a dash
}
