package coverprofile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/coverprofile"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T) { formattest.Golden(t, coverprofile.Read, "*.out") }
func FuzzRead(f *testing.F) { formattest.Fuzz(f, coverprofile.Read, "*.out") }

// blocks are n blocks of a file that are as long as a file may be.
func blocks(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a.go:1.%d,200000.1 1 1\n", i)
	}
	return b.String()
}

func TestRead_bad(t *testing.T) {
	tests := []struct {
		name, in string
		kind     error
	}{
		{"empty", "", report.ErrEmpty},
		{"blank", "\n \n", report.ErrEmpty},
		{"no mode", "a.go:1.1,2.2 1 1\n", report.ErrSyntax},
		{"mode not known", "mode: maybe\n", report.ErrSyntax},
		{"not a block", "mode: set\nhello\nmode: set\n", report.ErrSyntax},
		{"cut", "mode: set\na.go:1.1,2.2 1", report.ErrTruncated},
		{"ends before it starts", "mode: set\na.go:9.1,2.2 1 1\n", report.ErrSyntax},
		{"line beyond all files", "mode: set\na.go:1.1,999999999.2 1 1\n", report.ErrTooLarge},
		{"blocks on top of each other", "mode: set\n" + blocks(200), report.ErrTooLarge},
		{"long line", "mode: set\n" + strings.Repeat("x", 17<<20), report.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := coverprofile.Read(t.Context(), strings.NewReader(tt.in), nil)
			require.ErrorIs(t, err, tt.kind)
			var e *report.Error
			require.ErrorAs(t, err, &e)
		})
	}
}

func TestRead_pathsByTheModule(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("// a module\nmodule \"example.org/shop\" // ours\n\ngo 1.26\n"), 0o600))
	in := strings.NewReader("mode: set\nexample.org/shop/cart/cart.go:1.1,2.2 1 1\nexample.org/other/x.go:1.1,2.2 1 1\n")
	rep, err := coverprofile.Read(t.Context(), in, &report.Options{Root: root})
	require.NoError(t, err)
	assert.Equal(t, "cart/cart.go", rep.Coverage.Files[0].Path)
	assert.Equal(t, "example.org/other/x.go", rep.Coverage.Files[1].Path)
}

func ExampleRead() {
	rep, err := coverprofile.Read(context.Background(), strings.NewReader(`mode: set
shop/cart/cart.go:3.21,5.3 2 1
shop/cart/cart.go:7.21,8.3 1 0
`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := rep.Coverage.Counts()
	fmt.Println(c.StatementsCovered, "of", c.Statements, "statements,", c.Percent, "% of lines")
	// Output: 2 of 3 statements, 60 % of lines
}

func ExampleRead_truncated() {
	_, err := coverprofile.Read(context.Background(), strings.NewReader("mode: set\nshop/cart/cart.go:3.21,5."), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
