package junit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/junit"
)

func TestRead(t *testing.T) { formattest.Golden(t, junit.Read, "*.xml") }
func FuzzRead(f *testing.F) { formattest.Fuzz(f, junit.Read, "*.xml") }

func TestRead_bad(t *testing.T) { formattest.BadXML(t, junit.Read, "surefire.xml") }

func ExampleRead() {
	rep, err := junit.Read(context.Background(), strings.NewReader(`<testsuite name="CartTest"><testcase name="adds" classname="CartTest"><failure message="got 3, want 2"/></testcase></testsuite>`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := rep.Tests.Suites[0].Cases[0]
	fmt.Println(c.Name, c.Status, c.Message)
	// Output: adds failed got 3, want 2
}

func ExampleRead_truncated() {
	_, err := junit.Read(context.Background(), strings.NewReader(`<testsuite name="CartTest"><testcase`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
