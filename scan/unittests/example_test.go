package unittests_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/unittests"
)

func ExampleNewGo() {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"go.mod": module, "shop.go": code, "shop_test.go": passing} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			panic(err)
		}
	}

	res, err := unittests.NewGo(nil).Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: dir})
	if err != nil {
		panic(err)
	}
	fmt.Println(res.Status, res.Report.Tests.Counts().Passed, "passed")
	c := res.Report.Coverage.Counts()
	fmt.Printf("%d of %d statements\n", c.StatementsCovered, c.Statements)
	// Output:
	// clean 1 passed
	// 2 of 3 statements
}

// A directory without a Go module is no set of tests that passed.
func ExampleNewGo_failure() {
	dir, err := os.MkdirTemp("", "empty")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	_, err = unittests.NewGo(nil).Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: dir})
	fmt.Println(errors.Is(err, scan.ErrTarget))
	// Output:
	// true
}
