package format_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format"
)

// samples returns the files the readers' own tests use: the directory is the name of the format.
func samples(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	// SARIF is read by package report; its samples alone are here.
	files, err := filepath.Glob("*/testdata/*")
	require.NoError(t, err)
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() && !strings.HasSuffix(f, ".golden") {
			name := filepath.Base(filepath.Dir(filepath.Dir(f)))
			found[name] = append(found[name], f)
		}
	}
	return found
}

// ambiguous are the samples that more than one tool writes.
var ambiguous = map[string]bool{
	"gitleaks/testdata/clean.json": true, "gitleaks/testdata/null.json": true, "hadolint/testdata/clean.json": true,
}

func TestRead_everySampleByItsContent(t *testing.T) {
	found := samples(t)
	for _, name := range format.Names() {
		require.NotEmpty(t, found[name], "no sample of %s", name)
		for _, file := range found[name] {
			t.Run(file, func(t *testing.T) {
				in, err := os.ReadFile(file)
				require.NoError(t, err)
				got, whole, err := format.Detect(bytes.NewReader(in), nil)
				if ambiguous[filepath.ToSlash(file)] {
					require.ErrorIs(t, err, report.ErrUnknownFormat)
					require.ErrorContains(t, err, name)
				} else {
					require.NoError(t, err)
					assert.Equal(t, name, got)
					all, err := io.ReadAll(whole)
					require.NoError(t, err)
					assert.Equal(t, in, all, "Detect lost or changed a byte")
					_, err = format.Read(t.Context(), bytes.NewReader(in), nil)
					require.NoError(t, err)
				}
				_, err = format.Read(t.Context(), bytes.NewReader(in), &format.ReadOptions{Format: name})
				require.NoError(t, err)
			})
		}
	}
}

// A report named as another tool's is an error, and never a clean report of that tool.
func TestRead_everySampleByOtherNames(t *testing.T) {
	for owner, files := range samples(t) {
		for _, file := range files {
			in, err := os.ReadFile(file)
			require.NoError(t, err)
			_, _, detected := format.Detect(bytes.NewReader(in), nil)
			for _, name := range format.Names() {
				if name == owner || ambiguous[filepath.ToSlash(file)] && strings.Contains(detected.Error(), name) {
					continue
				}
				rep, err := format.Read(t.Context(), bytes.NewReader(in), &format.ReadOptions{Format: name})
				if assert.Error(t, err, "%s is read as %s", file, name) {
					assert.ErrorAs(t, err, new(*report.Error))
					assert.Nil(t, rep)
				}
			}
		}
	}
	_, err := format.Open(t.Context(), "trivy/testdata/fs.json", &format.ReadOptions{Format: "gitleaks"})
	require.EqualError(t, err, "report: read trivy/testdata/fs.json: unknown format: the report is trivy, not gitleaks")
}

// What is nobody's report is nobody's clean report either.
func TestRead_nobodysReportByName(t *testing.T) {
	for _, in := range []string{`{}`, `{"a":1}`, `[{}]`, `[1]`, `[[]]`, `"x"`, `1`, `true`, `<a/>`, `<coverage/>`, "hello\n", `{"statements":[],"@context":"x"}`} {
		for _, name := range format.Names() {
			rep, err := format.Read(t.Context(), strings.NewReader(in), &format.ReadOptions{Format: name})
			if err == nil {
				assert.NotEmpty(t, rep.Findings, "%s is a clean report of %s", in, name)
			}
		}
	}
}

// Some tools write so little for "clean" that only the name says whose it is.
func TestRead_cleanByName(t *testing.T) {
	for name, in := range map[string]string{
		"mend": `{"vulnerabilities":[]}`, "osv": `{"results":[]}`, "semgrep": `{"results":[],"errors":[]}`, "grype": `{"matches":[]}`,
		"gitleaks": `[]`, "hadolint": `[]`, "trivy": `null`, "trivyoperator": `{"apiVersion":"v1","kind":"List","items":[]}`,
	} {
		rep, err := format.Read(t.Context(), strings.NewReader(in), &format.ReadOptions{Format: name})
		if assert.NoError(t, err, name) {
			assert.Equal(t, report.StatusCompleted, rep.Runs[0].Status, name)
			assert.Empty(t, rep.Findings)
		}
	}
}

func TestRead_unknown(t *testing.T) {
	tests := []struct {
		name, in string
		kind     error
		says     string
	}{
		{"empty", "", report.ErrEmpty, ""},
		{"blank", " \r\n\t", report.ErrEmpty, ""},
		{"text", "hello", report.ErrUnknownFormat, "text that is neither JSON nor XML"},
		{"binary", "\x00\x01\x02", report.ErrUnknownFormat, "neither JSON nor XML"},
		{"object", `{"a":1,"b":{"secret":"x"}}`, report.ErrUnknownFormat, `a JSON object with "a", "b"`},
		{"no members", `{}`, report.ErrUnknownFormat, `no members`},
		{"list", `[{"a":1}]`, report.ErrUnknownFormat, `a JSON list of objects with "a"`},
		{"list of numbers", `[1]`, report.ErrUnknownFormat, `whose first element is no object`},
		{"empty list", `[]`, report.ErrUnknownFormat, `gitleaks`},
		{"null", `null`, report.ErrUnknownFormat, `gitleaks`},
		{"number", `12`, report.ErrUnknownFormat, ``},
		{"xml", `<a/>`, report.ErrUnknownFormat, `the root element "a"`},
		{"broken xml", `<a`, report.ErrTruncated, ``},
		{"spdx", `{"spdxVersion":"SPDX-2.3"}`, report.ErrUnknownFormat, `SPDX`},
		{"vex", `{"@context":"https://openvex.dev/ns","statements":[]}`, report.ErrUnknownFormat, `OpenVEX`},
		{"clover", `<coverage generated="1"><project/></coverage>`, report.ErrUnknownFormat, `Cobertura`},
		{"jacoco", `<report name="x"/>`, report.ErrUnknownFormat, `Cobertura`},
		{"utf-16", "\xff\xfe[\x00]\x00", report.ErrSyntax, `UTF-16`},
		{"cut", `{"SchemaVers`, report.ErrTruncated, `truncated: the input ends too early; seen so far`},
		{"deep", strings.Repeat(`{"a":`, 100_000), report.ErrTooLarge, `cap of 1000`},
		{"deep lists", `{"a":` + strings.Repeat(`[`, 100_000), report.ErrTooLarge, `cap of 1000`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := format.Read(t.Context(), strings.NewReader(tt.in), nil)
			require.ErrorIs(t, err, tt.kind)
			require.ErrorContains(t, err, tt.says)
			var e *report.Error
			require.ErrorAs(t, err, &e)
		})
	}
}

func TestRead_unknownIsBounded(t *testing.T) {
	r := io.MultiReader(strings.NewReader(`{"a":"`), endless{})
	_, err := format.Read(t.Context(), r, &format.ReadOptions{Options: report.Options{MaxBytes: 1 << 20}})
	require.ErrorIs(t, err, report.ErrTooLarge)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestRead_unknownName(t *testing.T) {
	_, err := format.Read(t.Context(), strings.NewReader(`[]`), &format.ReadOptions{Format: "gitleeks"})
	require.ErrorIs(t, err, report.ErrInvalid)
	require.ErrorContains(t, err, "gitleaks")
}

func FuzzDetect(f *testing.F) {
	files, err := filepath.Glob("*/testdata/*.*")
	require.NoError(f, err)
	for _, file := range files {
		if in, err := os.ReadFile(file); err == nil && len(in) < 1<<16 && !strings.HasSuffix(file, ".golden") {
			f.Add(in)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		_, whole, err := format.Detect(bytes.NewReader(in), nil)
		if err != nil {
			var e *report.Error
			require.ErrorAs(t, err, &e)
			return
		}
		all, err := io.ReadAll(whole)
		require.NoError(t, err)
		require.Equal(t, in, all)
	})
}

func ExampleRead() {
	rep, err := format.Read(context.Background(), strings.NewReader(`[{
		"RuleID":"acme-token","Description":"An Acme token","File":"app.env","StartLine":7,
		"Match":"token = acme_0123456789","Secret":"acme_0123456789"}]`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rep.Runs[0].Tool, len(rep.Findings))
	// Output: gitleaks 1
}

func ExampleRead_ambiguous() {
	_, err := format.Read(context.Background(), strings.NewReader(`[]`), nil)
	fmt.Println(err)
	rep, err := format.Read(context.Background(), strings.NewReader(`[]`), &format.ReadOptions{Format: "gitleaks"})
	fmt.Println(rep.Runs[0].Status, err)
	// Output:
	// report: read input: unknown format: saw an empty JSON list, which may be gitleaks, hadolint, trivy: name the format
	// completed <nil>
}

func TestOpen(t *testing.T) {
	f, err := format.Open(t.Context(), "gitleaks/testdata/leaks.json", nil)
	require.NoError(t, err)
	defer f.Close()
	n := 0
	for _, err := range f.All(t.Context()) {
		require.NoError(t, err)
		n++
	}
	assert.Equal(t, 3, n)
	assert.Equal(t, "gitleaks", f.Head().Runs[0].Tool)
}

func TestOpen_sarif(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sarif")
	require.NoError(t, os.WriteFile(path, []byte(`{"runs":[{"tool":{"driver":{"name":"x"}},"results":[{"ruleId":"r","message":{"text":"m"}}]}],"version":"2.1.0"}`), 0o600))
	f, err := format.Open(t.Context(), path, nil)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	assert.Equal(t, "x", f.Head().Runs[0].Tool)
}

func TestOpen_errors(t *testing.T) {
	_, err := format.Open(t.Context(), "nowhere.json", nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.EqualError(t, err, "report: open nowhere.json: no such file or directory")
	path := filepath.Join(t.TempDir(), "cut.json")
	require.NoError(t, os.WriteFile(path, []byte(`[{"RuleID":"x","File":"y"`), 0o600))
	_, err = format.Open(t.Context(), path, nil)
	require.ErrorIs(t, err, report.ErrTruncated)
	require.ErrorContains(t, err, "cut.json as Gitleaks JSON")
	_, err = format.Open(t.Context(), t.TempDir(), nil)
	require.Error(t, err)
}

// The same flaw of the same package has one identity, whoever reports it.
func TestRead_identityJoinsTools(t *testing.T) {
	ids := map[report.Identity][]string{}
	for _, file := range []string{
		"trivy/testdata/fs.json", "grype/testdata/image.json", "osv/testdata/lockfile.json",
		"mend/testdata/scan_report.json", "mend/testdata/platform3.json",
	} {
		f, err := format.Open(t.Context(), file, nil)
		require.NoError(t, err)
		for finding, err := range f.All(t.Context()) {
			require.NoError(t, err)
			if finding.Package != nil && finding.Package.Name == "left" && finding.Category == report.CategoryPackage {
				ids[finding.Identity] = append(ids[finding.Identity], file)
			}
		}
		require.NoError(t, f.Close())
	}
	assert.Len(t, ids, 1, "%v", ids)
}
