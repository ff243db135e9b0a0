package gosec_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/gosec"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, gosec.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, gosec.Read, "issues.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, gosec.Read, "*.*") }

func ExampleRead() {
	rep, err := gosec.Read(context.Background(), strings.NewReader(`{"Golang errors":{},"Issues":[{
		"severity":"MEDIUM","confidence":"HIGH","cwe":{"id":"78"},"rule_id":"G204",
		"details":"Subprocess launched with variable","file":"cmd/main.go","line":"12-13","column":"9"
	}],"Stats":{}}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.CWE, f.Location.StartLine, f.Location.EndLine)
	// Output: G204 medium [CWE-78] 12 13
}

func ExampleRead_truncated() {
	_, err := gosec.Read(context.Background(), strings.NewReader(`{"Golang errors":{},"Issues":[{`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
