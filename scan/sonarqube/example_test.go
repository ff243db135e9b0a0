package sonarqube_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/sonarqube"
	"github.com/waybill-dev/waybill/scan/sonarqube/sonarqubetest"
)

func ExampleScanner_Scan() {
	// A server of our own, and an analysis on it; sonar-scanner would have left report-task.txt behind.
	srv, err := sonarqubetest.Start(nil)
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	task := srv.Submit(sonarqubetest.Analysis{Project: "shop", Report: &report.Report{
		Findings: []report.Finding{{Rule: "go:S1764", Message: "identical operands", Location: report.Location{Path: "main.go", StartLine: 10}}},
	}})
	if err := srv.WriteReportTask(dir, task); err != nil {
		panic(err)
	}

	s, err := sonarqube.New(&sonarqube.Options{
		URL: srv.URL, ProjectKey: "shop", Token: func(context.Context) (string, error) { return srv.Token, nil },
	})
	if err != nil {
		panic(err)
	}
	res, err := s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: dir})
	if err != nil {
		panic(err)
	}
	fmt.Println(res.Status)
	for _, f := range res.Report.Findings {
		fmt.Println(f.Rule, f.Message)
	}
	// Output:
	// findings
	// go:S1764 identical operands
	// quality-gate:violations violations is 1, and must be at most 0
}

func ExampleScanner_Scan_failure() {
	srv, err := sonarqubetest.Start(nil)
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	s, err := sonarqube.New(&sonarqube.Options{
		URL: srv.URL, ProjectKey: "shop", Token: func(context.Context) (string, error) { return srv.Token, nil },
	})
	if err != nil {
		panic(err)
	}
	// Nobody analysed this directory.
	_, err = s.Scan(context.Background(), scan.Target{Kind: scan.Dir, Path: os.TempDir()})
	fmt.Println(errors.Is(err, scan.ErrTarget))
	// Output:
	// true
}
