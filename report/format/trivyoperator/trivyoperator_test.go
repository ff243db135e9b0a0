package trivyoperator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/trivyoperator"
)

func TestRead(t *testing.T)     { formattest.Golden(t, trivyoperator.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, trivyoperator.Read, "list.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, trivyoperator.Read, "*.*") }

func ExampleRead() {
	rep, err := trivyoperator.Read(context.Background(), strings.NewReader(`{"apiVersion":"aquasecurity.github.io/v1alpha1","kind":"ConfigAuditReport","metadata":{"namespace":"shop","name":"deployment-web"},
		"report":{"scanner":{"name":"Trivy"},"checks":[{"checkID":"KSV001","title":"Can elevate its own privileges","severity":"MEDIUM","success":false}]}}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.Location.Logical)
	// Output: KSV001 medium shop/ConfigAuditReport/deployment-web
}

func ExampleRead_truncated() {
	_, err := trivyoperator.Read(context.Background(), strings.NewReader(`{"apiVersion":"aquasecurity.github.io/v1`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
