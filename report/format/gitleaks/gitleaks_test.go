package gitleaks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/gitleaks"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, gitleaks.Read, "*.json") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, gitleaks.Read, "leaks.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, gitleaks.Read, "*.json") }

func TestRead_noSecretAnywhere(t *testing.T) {
	in, err := os.Open("testdata/leaks.json")
	require.NoError(t, err)
	defer in.Close()
	rep, err := gitleaks.Read(t.Context(), in, &report.Options{SecretKey: []byte("key")})
	require.NoError(t, err)
	out, err := json.Marshal(rep)
	require.NoError(t, err)
	assert.NotContains(t, string(out), "CANARY")
	assert.NotContains(t, string(out), "a@example.org")
	assert.NotContains(t, fmt.Sprintf("%+v", rep), "CANARY")
}

func TestRead_version7(t *testing.T) {
	_, err := gitleaks.Read(t.Context(), strings.NewReader(`[{"line":"x","lineNumber":1,"offender":"x","rule":"r"}]`), nil)
	require.ErrorIs(t, err, report.ErrUnsupported)
}

func TestRead_notAList(t *testing.T) {
	_, err := gitleaks.Read(t.Context(), strings.NewReader(`{"RuleID":"x"}`), nil)
	require.ErrorIs(t, err, report.ErrSyntax)
}

func ExampleRead() {
	rep, err := gitleaks.Read(context.Background(), strings.NewReader(`[{
		"RuleID": "acme-token", "Description": "An Acme token", "StartLine": 7, "EndLine": 7,
		"Match": "token = acme_0123456789", "Secret": "acme_0123456789", "File": "app.env"
	}]`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := rep.Findings[0]
	fmt.Println(f.Location.Path, f.Location.StartLine, f.Severity, f.Location.Snippet)
	// Output: app.env 7 high token = ***
}

func ExampleRead_truncated() {
	_, err := gitleaks.Read(context.Background(), strings.NewReader(`[{"RuleID": "acme-to`), nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, report.ErrTruncated))
	// Output:
	// report: read Gitleaks JSON: input is truncated: byte 20: the input ends too early
	// true
}
