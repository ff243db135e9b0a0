package gitleaks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/gitleaks"
)

func ExampleScanner_Scan() {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	// In two pieces, so that this file holds no secret.
	if err := os.WriteFile(filepath.Join(dir, "deploy.env"), []byte("region eu\nkey AKIA"+"Q3ZL5XWT7MVN2KPB\n"), 0o600); err != nil {
		panic(err)
	}

	s, err := gitleaks.New(nil)
	if err != nil {
		panic(err)
	}
	res, err := s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: dir})
	if err != nil {
		panic(err)
	}
	for _, f := range res.Report.Findings {
		fmt.Printf("%s %s:%d %q\n", f.Rule, f.Location.Path, f.Location.StartLine, f.Location.Snippet)
	}
	// Output:
	// aws-access-token deploy.env:2 "***"
}

// The gitleaks command calls an empty directory a repository without leaks.
func ExampleScanner_Scan_failure() {
	dir, err := os.MkdirTemp("", "no-repository")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := gitleaks.New(nil)
	if err != nil {
		panic(err)
	}
	_, err = s.Scan(context.Background(), scan.Target{Kind: scan.Git, Path: dir})
	fmt.Println(errors.Is(err, scan.ErrTarget))
	// Output:
	// true
}

func ExampleScanner_ScanReader() {
	s, err := gitleaks.New(&gitleaks.Options{Config: `
[[rules]]
id = "ticket"
description = "a ticket number"
regex = '''TICKET-\d+'''
`})
	if err != nil {
		panic(err)
	}
	res, err := s.ScanReader(context.Background(), "mail.txt", strings.NewReader("hello\nsee TICKET-42\n"))
	if err != nil {
		panic(err)
	}
	fmt.Println(res.Status, res.Report.Findings[0].Location.StartLine)
	// Output:
	// findings 2
}
