package semgrep_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/semgrep"
)

func TestRead(t *testing.T)     { formattest.Golden(t, semgrep.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, semgrep.Read, "results.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, semgrep.Read, "*.*") }

func ExampleRead() {
	rep, err := semgrep.Read(context.Background(), strings.NewReader(`{"results":[{
		"check_id":"go.lang.command","path":"cmd/main.go","start":{"line":12,"col":9},"end":{"line":12,"col":27},
		"extra":{"message":"A command is built from input.","severity":"ERROR","metadata":{"cwe":["CWE-78: OS Command Injection"]}}
	}],"errors":[],"paths":{}}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.CWE, f.Location.Path)
	// Output: go.lang.command high [CWE-78] cmd/main.go
}

func ExampleRead_truncated() {
	_, err := semgrep.Read(context.Background(), strings.NewReader(`{"results":[{`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
