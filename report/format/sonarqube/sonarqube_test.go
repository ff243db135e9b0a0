package sonarqube_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/sonarqube"
)

func TestRead(t *testing.T)     { formattest.Golden(t, sonarqube.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, sonarqube.Read, "issues.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, sonarqube.Read, "*.*") }

func ExampleRead() {
	rep, err := sonarqube.Read(context.Background(), strings.NewReader(`{"paging":{"pageIndex":1,"pageSize":100,"total":1},
		"issues":[{"key":"AY1","rule":"go:S1192","severity":"CRITICAL","component":"org:shop:cart/cart.go","line":3,"message":"Define a constant.","status":"OPEN"}],
		"components":[{"key":"org:shop:cart/cart.go","path":"cart/cart.go"}]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.Location.Path, f.Location.StartLine)
	// Output: go:S1192 high cart/cart.go 3
}

func ExampleRead_truncated() {
	_, err := sonarqube.Read(context.Background(), strings.NewReader(`{"paging":{"pageIndex":1,"pageSize":100,`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
