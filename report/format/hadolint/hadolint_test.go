package hadolint_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/hadolint"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, hadolint.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, hadolint.Read, "violations.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, hadolint.Read, "*.*") }

func ExampleRead() {
	rep, err := hadolint.Read(context.Background(), strings.NewReader(`[{
		"code":"DL3008","column":1,"file":"Dockerfile","level":"warning","line":4,"message":"Pin versions in apt get install."
	}]`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.Location.Path, f.Location.StartLine)
	// Output: DL3008 medium Dockerfile 4
}

func ExampleRead_truncated() {
	_, err := hadolint.Read(context.Background(), strings.NewReader(`{"config":{`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
