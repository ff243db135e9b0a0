package lcov_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/lcov"
)

func TestRead(t *testing.T) { formattest.Golden(t, lcov.Read, "*.info") }
func FuzzRead(f *testing.F) { formattest.Fuzz(f, lcov.Read, "*.info") }

func records(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "SF:%d\nend_of_record\n", i)
	}
	return b.String()
}

func TestRead_bad(t *testing.T) {
	tests := []struct {
		name, in string
		kind     error
	}{
		{"empty", "", report.ErrEmpty},
		{"blank", "\n\n", report.ErrEmpty},
		{"no end of record", "SF:a.js\nDA:1,1\n", report.ErrTruncated},
		{"not a record", "SF:a.js\nhello\nend_of_record\n", report.ErrSyntax},
		{"DA without a count", "SF:a.js\nDA:1\nend_of_record\n", report.ErrSyntax},
		{"BRDA cut", "SF:a.js\nBRDA:1,0\nend_of_record\n", report.ErrSyntax},
		{"files", records(500_001), report.ErrTooLarge},
		{"long line", "SF:" + strings.Repeat("x", 17<<20), report.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := lcov.Read(t.Context(), strings.NewReader(tt.in), nil)
			require.ErrorIs(t, err, tt.kind)
			require.NotContains(t, err.Error(), strings.Repeat("x", 100))
		})
	}
}

func ExampleRead() {
	rep, err := lcov.Read(context.Background(), strings.NewReader(`SF:web/app.js
DA:1,1
DA:2,0
end_of_record
`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := rep.Coverage.Counts()
	fmt.Println(rep.Coverage.Files[0].Path, c.LinesCovered, "of", c.Lines)
	// Output: web/app.js 1 of 2
}

func ExampleRead_truncated() {
	_, err := lcov.Read(context.Background(), strings.NewReader("SF:web/app.js\nDA:1,1\n"), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
