package cyclonedx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/cyclonedx"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, cyclonedx.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, cyclonedx.Read, "bom.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, cyclonedx.Read, "*.*") }

func ExampleRead() {
	rep, err := cyclonedx.Read(context.Background(), strings.NewReader(`{"bomFormat":"CycloneDX","specVersion":"1.6",
		"components":[{"bom-ref":"x","name":"libx","version":"1.0","purl":"pkg:generic/libx@1.0"}],
		"vulnerabilities":[{"id":"CVE-2099-0001","ratings":[{"severity":"high"}],"affects":[{"ref":"x"}]}]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.Package.PURL)
	// Output: CVE-2099-0001 high pkg:generic/libx@1.0
}

func ExampleRead_truncated() {
	_, err := cyclonedx.Read(context.Background(), strings.NewReader(`{"bomFormat":"CycloneDX","specVersion":"`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
