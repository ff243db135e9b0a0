package cobertura_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/cobertura"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, cobertura.Read, "*.xml") }
func TestRead_bad(t *testing.T) { formattest.BadXML(t, cobertura.Read, "coverage.xml") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, cobertura.Read, "*.xml") }

func TestRead_pathsBelowTheRoot(t *testing.T) {
	for root, want := range map[string]string{"/src": "shop/cart/cart.py", "/src/shop": "cart/cart.py", "/other": "cart/cart.py", "": "cart/cart.py"} {
		in, err := os.Open("testdata/coverage.xml")
		require.NoError(t, err)
		rep, err := cobertura.Read(t.Context(), in, &report.Options{Root: root})
		require.NoError(t, err)
		require.NoError(t, in.Close())
		assert.Equal(t, want, rep.Coverage.Files[0].Path)
	}
}

func ExampleRead() {
	rep, err := cobertura.Read(context.Background(), strings.NewReader(`<coverage line-rate="0.5"><packages><package name="cart"><classes>
		<class name="Cart" filename="cart/cart.py"><lines><line number="3" hits="1"/><line number="4" hits="0"/></lines></class>
	</classes></package></packages></coverage>`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := rep.Coverage.Counts()
	fmt.Println(rep.Coverage.Files[0].Path, c.LinesCovered, "of", c.Lines)
	// Output: cart/cart.py 1 of 2
}

func ExampleRead_truncated() {
	_, err := cobertura.Read(context.Background(), strings.NewReader(`<coverage line-rate="0.5"><packages>`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
