//go:build unix

package command_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "src")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	lint := `[{"line": 1, "column": 1, "code": "DL3006", "level": "warning", "message": "tag the version", "file": "Dockerfile"}]`
	if err := os.WriteFile(filepath.Join(dir, "lint.json"), []byte(lint), 0o600); err != nil {
		panic(err)
	}

	// cat stands for a linter that prints its report; it runs in the target's directory.
	s, err := command.New(&command.Options{Tool: command.Tool{Name: "cat"}, Args: []string{"lint.json"}, Format: "hadolint"})
	if err != nil {
		panic(err)
	}
	res, err := s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: dir})
	if err != nil {
		panic(err)
	}
	for _, f := range res.Report.Findings {
		fmt.Println(f.Rule, f.Location.Path, f.Location.StartLine, f.Severity)
	}
	// Output:
	// DL3006 Dockerfile 1 medium
}

// A tool that ended well and wrote nothing has not said that all is well.
func ExampleNew_failure() {
	s, err := command.New(&command.Options{Tool: command.Tool{Name: "true"}})
	if err != nil {
		panic(err)
	}
	_, err = s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: "."})
	fmt.Println(errors.Is(err, scan.ErrOutput))
	// Output:
	// true
}
