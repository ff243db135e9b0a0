package report_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report"
)

const exampleLog = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"codescan","version":"2.0","rules":[
  {"id":"SQL1","shortDescription":{"text":"SQL injection"},"properties":{"security-severity":"9.1","tags":["external/cwe/cwe-089"]}}]}},
 "results":[
  {"ruleId":"SQL1","message":{"text":"query from a request"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/shop.go"},"region":{"startLine":12}}}]},
  {"ruleId":"STYLE","level":"note","message":{"text":"long function"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/shop.go"},"region":{"startLine":40}}}]}
 ]}]}`

// Read a scanner's report, judge it, and say why.
func Example() {
	ctx := context.Background()
	r, err := report.ReadSARIF(ctx, strings.NewReader(exampleLog), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range r.Findings {
		fmt.Println(f.Severity, f.Level, f.Location.Path, f.Message, f.CWE)
	}
	policy := report.Policy{Fail: []report.Clause{{Severity: report.SeverityHigh}}, RequireTools: []string{"codescan"}}
	verdict, err := policy.Gate(ctx, r)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("pass:", verdict.Pass)
	for _, reason := range verdict.Reasons {
		fmt.Println(reason)
	}
	// Output:
	// critical error src/shop.go query from a request [CWE-89]
	// low note src/shop.go long function []
	// pass: false
	// severity high: 1 found; the worst: critical codescan SQL1 src/shop.go:12
}

// A report that was cut short is an error and never a short report.
func ExampleReadSARIF_truncated() {
	_, err := report.ReadSARIF(context.Background(), strings.NewReader(exampleLog[:400]), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	fmt.Println(err)
	// Output:
	// true
	// report: read: input is truncated: at byte 400: unexpected end of input
}

// A scan that broke fails the gate, even when it found nothing.
func ExamplePolicy_Gate_broken() {
	ctx := context.Background()
	r, err := report.ReadSARIF(ctx, strings.NewReader(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"codescan"}},
		"invocations":[{"executionSuccessful":false,"exitCodeDescription":"out of memory"}],"results":[]}]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	verdict, err := report.Policy{Fail: []report.Clause{{Severity: report.SeverityCritical}}}.Gate(ctx, r)
	fmt.Println(verdict.Pass, err)
	fmt.Println(verdict.Reasons[0])
	// Output:
	// false <nil>
	// runs: the run of codescan did not complete (failed): the run says executionSuccessful: false: out of memory
}

// Merge puts the reports of several tools into one log.
func ExampleMerge() {
	ctx := context.Background()
	var sources []report.Source
	for range 2 { // the same report twice
		r, err := report.ReadSARIF(ctx, strings.NewReader(exampleLog), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		sources = append(sources, r)
	}
	sum, err := report.Merge(ctx, io.Discard, sources, &report.MergeOptions{Dedupe: true})
	fmt.Println(len(sum.Runs), sum.Findings, sum.BySeverity.Critical, err)
	// Output: 1 2 1 <nil>
}

// Compare says what is new; a line that only moved is unchanged.
func ExampleCompare() {
	ctx := context.Background()
	before, err := report.ReadSARIF(ctx, strings.NewReader(exampleLog), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	moved := strings.ReplaceAll(exampleLog, `"startLine":12`, `"startLine":15`)
	moved = strings.ReplaceAll(moved, "long function", "deep nesting")
	now, err := report.ReadSARIF(ctx, strings.NewReader(moved), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	compared, err := report.Compare(ctx, now, before, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for f, err := range compared.All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(f.State, f.Message)
	}
	// Output:
	// unchanged query from a request
	// new deep nesting
	// absent long function
}

// Suppress accepts findings for a time; every entry says why and until when.
func ExampleSuppress() {
	ctx := context.Background()
	r, err := report.ReadSARIF(ctx, strings.NewReader(exampleLog), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	list, err := report.ParseSuppressions([]byte(`{"version":1,"suppressions":[
		{"rule":"SQL1","path":"src/**","reason":"behind the firewall","by":"ann","expires":"2030-06-30"},
		{"rule":"GONE","reason":"was a false positive","expires":"2030-12-31"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	accepted, result, err := report.Suppress(ctx, r, list, &report.SuppressOptions{Now: time.Date(2030, 6, 20, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("suppressed:", result.Findings, "expiring:", result.Expiring, "unused:", result.Unused)
	sum, err := report.Summarize(ctx, accepted)
	fmt.Println("left:", sum.Findings, err)
	// Output:
	// suppressed: 1 expiring: [rule SQL1, path src/**] unused: [rule GONE]
	// left: 1 <nil>
}
