package mend_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/mend"
)

func TestRead(t *testing.T)     { formattest.Golden(t, mend.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, mend.Read, "scan_report.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, mend.Read, "*.*") }

// What a report counts must be in it, or it says so.
func TestRead_counts(t *testing.T) {
	r, err := mend.Read(t.Context(), strings.NewReader(`{"projectVitals":{"name":"web"},"libraries":[],"policyStatistics":{"totalRejected":2}}`), nil)
	require.NoError(t, err)
	require.Len(t, r.Findings, 1)
	assert.Equal(t, report.CategoryPolicy, r.Findings[0].Category)
	assert.Equal(t, "Mend's policies reject 2 libraries of web", r.Findings[0].Message)

	r, err = mend.Read(t.Context(), strings.NewReader(`{"rejectingPolicies":[],"summary":{"totalRejectedLibraries":1}}`), nil)
	require.NoError(t, err)
	assert.Equal(t, report.StatusFailed, r.Runs[0].Status)
}

func ExampleRead() {
	rep, err := mend.Read(context.Background(), strings.NewReader(`{"projectVitals":{"name":"web"},"libraries":[{
		"type":"NODE_PACKAGED_MODULE","groupId":"left","artifactId":"left-1.0.0.tgz","version":"1.0.0","vulnerabilities":[{
			"name":"CVE-2099-0003","severity":"medium","score":5.0,"cvss3_severity":"HIGH","cvss3_score":7.5,"topFix":{"fixResolution":"left - 1.0.1"}
	}]}]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.Package.PURL, "->", f.Package.Fixed)
	// Output: CVE-2099-0003 high pkg:npm/left@1.0.0 -> 1.0.1
}

func ExampleRead_truncated() {
	_, err := mend.Read(context.Background(), strings.NewReader(`{"projectVitals":{"name":"web"},"librari`), nil)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output: true
}
