package grype_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/grype"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, grype.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, grype.Read, "image.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, grype.Read, "*.*") }

func ExampleRead() {
	rep, err := grype.Read(context.Background(), strings.NewReader(`{"matches":[{
		"vulnerability":{"id":"CVE-2099-0001","severity":"High","fix":{"versions":["1.1-r0"],"state":"fixed"}},
		"artifact":{"name":"libx","version":"1.0-r0","type":"apk","purl":"pkg:apk/alpine/libx@1.0-r0"}
	}],"descriptor":{"name":"grype","version":"0.104.0"}}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.Package.PURL, "->", f.Package.Fixed)
	// Output: CVE-2099-0001 high pkg:apk/alpine/libx@1.0-r0 -> 1.1-r0
}

func ExampleRead_truncated() {
	_, err := grype.Read(context.Background(), strings.NewReader(`{"matches":[{`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
