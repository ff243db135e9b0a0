package scantest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
)

// How a program takes a scanner that finds something, and what it asked for.
func ExampleNew() {
	s := scantest.New("secrets", scantest.Found(report.Finding{Rule: "aws-key", Message: "an AWS key"}))

	res, err := s.Scan(context.Background(), scan.Target{Kind: scan.Git, Path: "."})
	fmt.Println(res.Status, err)
	fmt.Println(s.Scans())
	// Output:
	// findings <nil>
	// [git:.]
}

// The first scan breaks, and all that come after it find nothing: does the program try again?
func ExampleNew_failure() {
	s := scantest.New("packages", scantest.Broken(errors.New("the database is locked")), scantest.Clean())

	for range 2 {
		_, err := s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: "."})
		fmt.Println("broken:", errors.Is(err, scan.ErrBroken))
	}
	// Output:
	// broken: true
	// broken: false
}
