package gitleaks_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/gitleaks"
)

// scanMe makes the test binary a program that scans one repository, so that its time and memory can be compared
// with those of the command.
const scanMe = "WAYBILL_SCAN_THIS"

func TestMain(m *testing.M) {
	dir := os.Getenv(scanMe)
	if dir == "" {
		goleak.VerifyTestMain(m)
		return
	}
	s, err := gitleaks.New(nil)
	if err == nil {
		var res *scan.Result
		if res, err = s.Scan(context.Background(), scan.Target{Kind: scan.Git, Path: dir}); err == nil {
			fmt.Println(len(res.Report.Findings))
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
