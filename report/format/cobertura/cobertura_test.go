package cobertura_test

import (
	"os"
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
