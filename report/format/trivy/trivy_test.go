package trivy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/trivy"
)

func TestRead(t *testing.T)     { formattest.Golden(t, trivy.Read, "*.json") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, trivy.Read, "image.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, trivy.Read, "*.json") }

func TestRead_schemaVersion(t *testing.T) {
	_, err := trivy.Read(t.Context(), strings.NewReader(`{"SchemaVersion":3,"ArtifactName":"x"}`), nil)
	require.ErrorIs(t, err, report.ErrUnsupported)
}

func TestRead_resultsAreNoList(t *testing.T) {
	rep, err := trivy.Read(t.Context(), strings.NewReader(`{"SchemaVersion":2,"ArtifactName":"x","Results":"oops"}`), nil)
	require.NoError(t, err)
	assert.Equal(t, report.StatusFailed, rep.Runs[0].Status)
}

func TestRead_uncensoredMatchIsNotTakenOver(t *testing.T) {
	rep, err := trivy.Read(t.Context(), strings.NewReader(
		`{"SchemaVersion":2,"ArtifactName":"x","Results":[{"Target":"f","Class":"secret","Secrets":[{"RuleID":"r","Title":"CANARY0001 found","Match":"CANARY0001"}]}]}`), nil)
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprintf("%+v", rep), "CANARY")
}

// The lines of a misconfiguration are quoted as they are.
func TestRead_linesWithSecretAreNotTakenOver(t *testing.T) {
	rep, err := trivy.Read(t.Context(), strings.NewReader(
		`{"SchemaVersion":2,"ArtifactName":"x","Results":[{"Target":"Dockerfile","Class":"config","Type":"dockerfile","Misconfigurations":[{"ID":"DS-0031","Title":"Secrets passed via build-args or envs or copied secret files",
			"Message":"Possible exposure of secret env \"PASSWORD\" in ENV","Severity":"CRITICAL","Status":"FAIL","CauseMetadata":{"StartLine":2,"EndLine":2,"Code":{"Lines":[{"Number":2,"Content":"ENV PASSWORD=CANARY0001","IsCause":true}]}}}]}]}`), nil)
	require.NoError(t, err)
	assert.Equal(t, 2, rep.Findings[0].Location.StartLine)
	assert.NotContains(t, fmt.Sprintf("%+v", rep), "CANARY")
}

func ExampleRead() {
	rep, err := trivy.Read(context.Background(), strings.NewReader(`{"SchemaVersion":2,"ArtifactName":"app:1","Results":[{
		"Target":"app:1 (alpine 3.20.1)","Class":"os-pkgs","Type":"alpine","Vulnerabilities":[{
			"VulnerabilityID":"CVE-2099-0001","PkgName":"libx","InstalledVersion":"1.0-r0","FixedVersion":"1.1-r0","Severity":"HIGH"
	}]}]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Rule, f.Severity, f.Package.PURL, "->", f.Package.Fixed)
	// Output: CVE-2099-0001 high pkg:apk/alpine/libx@1.0-r0 -> 1.1-r0
}
