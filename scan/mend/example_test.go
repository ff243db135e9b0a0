package mend_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/mend"
)

func ExampleNewReader() {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	summary := `{"rejectingPolicies": [{"policyName": "no GPL", "rejectedLibraries": [{"name": "left-1.0.0.tgz"}]}], "summary": {"totalRejectedLibraries": 1}}`
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, "whitesource"), 0o755),
		os.WriteFile(filepath.Join(dir, "whitesource", "policyRejectionSummary.json"), []byte(summary), 0o600),
	); err != nil {
		panic(err)
	}

	s, err := mend.NewReader()
	if err != nil {
		panic(err)
	}
	res, err := s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: dir})
	if err != nil {
		panic(err)
	}
	fmt.Println(res.Status, len(res.Report.Findings), res.Report.Findings[0].Category)
	// Output:
	// findings 1 policy
}

func ExampleNewReader_failure() {
	s, err := mend.NewReader()
	if err != nil {
		panic(err)
	}
	_, err = s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: "."})
	fmt.Println(errors.Is(err, scan.ErrTarget))
	// Output:
	// true
}
