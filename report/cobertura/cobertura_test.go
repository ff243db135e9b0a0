package cobertura_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/cobertura"
	reader "github.com/waybill-dev/waybill/report/format/cobertura"
	"github.com/waybill-dev/waybill/report/internal/sample"
)

func TestWrite(t *testing.T) {
	want := sample.Shop(t).Coverage
	var out bytes.Buffer
	require.NoError(t, cobertura.Write(&out, want, nil))
	golden.Check(t, "testdata/shop.xml", out.Bytes())

	got, err := reader.Read(t.Context(), &out, nil)
	require.NoError(t, err)
	assert.Equal(t, want.Counts(), got.Coverage.Counts())
	assert.ElementsMatch(t, []string{"web/app.js", "cart/cart.go"}, []string{got.Coverage.Files[0].Path, got.Coverage.Files[1].Path})
}

func TestWrite_nothing(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, cobertura.Write(&out, nil, nil))
	rep, err := reader.Read(t.Context(), &out, nil)
	require.NoError(t, err)
	assert.Empty(t, rep.Coverage.Files)
}

func TestWrite_hostile(t *testing.T) {
	for _, evil := range sample.Evil {
		var out bytes.Buffer
		require.NoError(t, cobertura.Write(&out, sample.Hostile(t, evil).Coverage, &cobertura.Options{Source: evil}))
		assert.NotContains(t, out.String(), "##", "%q", evil)
		dec := xml.NewDecoder(&out)
		n := 0
		for {
			tok, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if _, ok := tok.(xml.StartElement); ok {
				n++
			}
		}
		assert.Equal(t, 10, n, "%q", evil)
	}
}

func TestWrite_error(t *testing.T) {
	err := cobertura.Write(sample.Full{}, sample.Shop(t).Coverage, nil)
	require.ErrorIs(t, err, sample.ErrGone)
	var e *report.Error
	require.ErrorAs(t, err, &e)
}

func ExampleWrite() {
	c := &report.Coverage{Files: []report.FileCoverage{{Path: "cart/cart.go", Lines: []report.LineCoverage{{Number: 3, Hits: 1}, {Number: 4}}}}}
	if err := cobertura.Write(os.Stdout, c, nil); err != nil {
		fmt.Println(err)
	}
	// Output:
	// <?xml version="1.0" encoding="UTF-8"?>
	// <coverage line-rate="0.5000" branch-rate="1" lines-covered="1" lines-valid="2" branches-covered="0" branches-valid="0" complexity="0" version="1" timestamp="0">
	//   <sources><source>.</source></sources>
	//   <packages>
	//     <package name="cart" line-rate="0.5000" branch-rate="1" complexity="0">
	//       <classes>
	//         <class name="cart.go" filename="cart/cart.go" line-rate="0.5000" branch-rate="1" complexity="0">
	//           <methods/>
	//           <lines>
	//             <line number="3" hits="1"/>
	//             <line number="4" hits="0"/>
	//           </lines>
	//         </class>
	//       </classes>
	//     </package>
	//   </packages>
	// </coverage>
}
