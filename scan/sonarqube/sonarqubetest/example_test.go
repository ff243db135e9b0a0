package sonarqubetest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan/sonarqube/sonarqubetest"
)

// Any client of the web API will do. An analysis is done when its task has been asked about, and the gate is computed
// from what was submitted.
func ExampleStart() {
	srv, err := sonarqubetest.Start(&sonarqubetest.Options{
		Gate: []sonarqubetest.Condition{{Metric: "coverage", Op: "LT", Error: 80}},
	})
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	task := srv.Submit(sonarqubetest.Analysis{Project: "shop", Report: &report.Report{
		Coverage: &report.Coverage{Files: []report.FileCoverage{{Path: "main.go", Lines: []report.LineCoverage{{Number: 1, Hits: 1}, {Number: 2}}}}},
	}})

	ask(srv, "/api/ce/task?id="+task) // pending
	ask(srv, "/api/ce/task?id="+task) // done
	fmt.Println(ask(srv, "/api/qualitygates/project_status?projectKey=shop"))
	// Output:
	// 200 OK {"projectStatus":{"caycStatus":"compliant","conditions":[{"actualValue":"50","comparator":"LT","errorThreshold":"80","metricKey":"coverage","status":"ERROR"}],"ignoredConditions":false,"status":"ERROR"}}
}

// A server that is not up yet, as it is after an upgrade.
func ExampleServer_Inject() {
	srv, err := sonarqubetest.Start(nil)
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	srv.Inject(sonarqubetest.Fault{Status: http.StatusServiceUnavailable})

	for range 2 {
		fmt.Println(ask(srv, "/api/server/version"))
	}
	// Output:
	// 503 Service Unavailable
	// 200 OK 25.11.0.114957
}

func ask(srv *sonarqubetest.Server, path string) string {
	req, err := http.NewRequest(http.MethodGet, srv.URL+path, nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+srv.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(resp.Status + " " + string(body))
}
