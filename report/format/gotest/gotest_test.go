package gotest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/gotest"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T) { formattest.Golden(t, gotest.Read, "*.json") }
func FuzzRead(f *testing.F) { formattest.Fuzz(f, gotest.Read, "*.json") }

func TestRead_tooManyPackages(t *testing.T) {
	for _, event := range []string{`{"Action":"start","Package":"p%d"}`, `{"Action":"build-fail","ImportPath":"p%d"}`} {
		var b strings.Builder
		for i := range 100_001 {
			fmt.Fprintf(&b, event+"\n", i)
		}
		_, err := gotest.Read(t.Context(), strings.NewReader(b.String()), nil)
		require.ErrorIs(t, err, report.ErrTooLarge)
	}
}

func ExampleRead() {
	rep, err := gotest.Read(context.Background(), strings.NewReader(`{"Action":"run","Package":"shop/cart","Test":"TestAdd"}
{"Action":"output","Package":"shop/cart","Test":"TestAdd","Output":"    cart_test.go:7: got 3, want 2\n"}
{"Action":"fail","Package":"shop/cart","Test":"TestAdd","Elapsed":0.01}
{"Action":"fail","Package":"shop/cart","Elapsed":0.02}
`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := rep.Tests.Suites[0].Cases[0]
	fmt.Println(c.Name, c.Status, c.File, c.Line, c.Message)
	// Output: TestAdd failed cart_test.go 7 got 3, want 2
}

func ExampleRead_truncated() {
	_, err := gotest.Read(context.Background(), strings.NewReader(`{"Action":"run","Pack`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
