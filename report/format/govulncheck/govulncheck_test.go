package govulncheck_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/govulncheck"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, govulncheck.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, govulncheck.Read, "list.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, govulncheck.Read, "*.*") }

func ExampleRead() {
	rep, err := govulncheck.Read(context.Background(), strings.NewReader(`
		{"config":{"scanner_name":"govulncheck","scanner_version":"v1.1.4"}}
		{"osv":{"id":"GO-2099-0001","summary":"Panic in mod","aliases":["CVE-2099-0011"]}}
		{"finding":{"osv":"GO-2099-0001","fixed_version":"v1.2.4","trace":[
			{"module":"example.org/mod","version":"v1.2.3","package":"example.org/mod/parse","function":"Parse"},
			{"module":"shop","package":"shop/cart","function":"Load","position":{"filename":"cart/load.go","line":21}}]}}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.Tags, f.Location.Path, f.Location.StartLine)
	// Output: GO-2099-0001 high [called] cart/load.go 21
}

func ExampleRead_truncated() {
	_, err := govulncheck.Read(context.Background(), strings.NewReader(`{"config":{`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
