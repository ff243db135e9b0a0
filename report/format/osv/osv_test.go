package osv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/osv"
)

func TestRead(t *testing.T)     { formattest.Golden(t, osv.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, osv.Read, "lockfile.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, osv.Read, "*.*") }

func ExampleRead() {
	rep, err := osv.Read(context.Background(), strings.NewReader(`{"results":[{"source":{"path":"go.mod","type":"lockfile"},"packages":[{
		"package":{"name":"example.org/mod","version":"1.2.3","ecosystem":"Go"},
		"vulnerabilities":[{"id":"GO-2099-0001","summary":"Panic in mod","aliases":["CVE-2099-0011"]}],
		"groups":[{"ids":["GO-2099-0001"],"aliases":["CVE-2099-0011"],"max_severity":"7.5"}]
	}]}]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Aliases, f.Severity, f.Location.Path)
	// Output: GO-2099-0001 [CVE-2099-0011] high go.mod
}

func ExampleRead_truncated() {
	_, err := osv.Read(context.Background(), strings.NewReader(`{"results":[{"source":{"path":"go.mod","`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
