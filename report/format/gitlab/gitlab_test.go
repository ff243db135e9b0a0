package gitlab_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/gitlab"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, gitlab.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, gitlab.Read, "sast.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, gitlab.Read, "*.*") }

func ExampleRead() {
	rep, err := gitlab.Read(context.Background(), strings.NewReader(`{"version":"15.2.1","scan":{"type":"sast","status":"success","scanner":{"id":"semgrep","name":"Semgrep"}},
		"vulnerabilities":[{"id":"1","name":"Command injection","severity":"High","location":{"file":"cmd/main.go","start_line":12},
		"identifiers":[{"type":"semgrep_id","name":"go.command","value":"go.command"},{"type":"cwe","name":"CWE-78","value":"78"}]}]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Tool, f.Rule, f.Severity, f.CWE, f.Location.Path)
	// Output: Semgrep go.command high [CWE-78] cmd/main.go
}

func ExampleRead_truncated() {
	_, err := gitlab.Read(context.Background(), strings.NewReader(`{"version":"15.2.1","scan":{"type":"sast`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
