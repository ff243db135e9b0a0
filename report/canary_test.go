package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

// A secret that a tool puts into SARIF comes out nowhere: not in another SARIF, a table, a verdict, an error,
// nor a value that somebody prints.
func TestCanary(t *testing.T) {
	const plain = "cAnaRy-7f3a9b2e4d"
	const lines = "-----BEGIN KEY-----\nMIICanaryCanary7f3a\nAbCdEfCanary9b2e\n-----END KEY-----"
	quote := func(s string) string {
		b, err := json.Marshal(s)
		require.NoError(t, err)
		return string(b)
	}
	gitleaks := func(secret string) string {
		line := "password := " + secret + " // here"
		return `{"tool":{"driver":{"name":"gitleaks","semanticVersion":"v8.0.0","rules":[{"id":"key"}]}},
			"artifacts":[{"location":{"uri":"a.env"},"contents":{"text":` + quote(line) + `}}],
			"results":[{"ruleId":"key","message":{"text":` + quote("found "+secret+" in a.env") + `},
			"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.env","index":0},"region":{"startLine":3,"snippet":{"text":` + quote(secret) + `}},"contextRegion":{"startLine":2,"snippet":{"text":` + quote(line) + `}}}}],
			"relatedLocations":[{"message":{"text":` + quote(line) + `}}],
			"codeFlows":[{"threadFlows":[{"locations":[{"location":{"physicalLocation":{"artifactLocation":{"uri":"a.env"},"region":{"startLine":1,"snippet":{"text":` + quote("other "+secret) + `,"rendered":{"text":` + quote(secret) + `}}}}}}]}]}],
			"fixes":[{"artifactChanges":[{"artifactLocation":{"uri":"a.env"},"replacements":[{"deletedRegion":{"startLine":3,"snippet":{"text":` + quote(secret) + `}},"insertedContent":{"text":` + quote("was "+secret) + `}}]}]}],
			"suppressions":[{"kind":"inSource","justification":` + quote("is "+secret) + `}],
			"partialFingerprints":{"commitSha":"abc","author":"A","email":"a@example.org","commitMessage":` + quote("add "+secret) + `,"x":` + quote(secret) + `},
			"properties":{"tags":[` + quote(secret) + `],` + quote(secret) + `:1,"url":` + quote("https://x.example/?t="+url.QueryEscape(secret)) + `}}]}`
	}
	semgrep := `{"tool":{"driver":{"name":"semgrep","rules":[{"id":"hard-coded","properties":{"tags":["CWE-798: Use of Hard-coded Credentials"]}}]}},
		"results":[{"ruleId":"hard-coded","message":{"text":"secret ` + plain + `"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":3,"snippet":{"text":"password = \"` + plain + `\""}}}}]}]}`
	token := `{"tool":{"driver":{"name":"x"}},"versionControlProvenance":[{"repositoryUri":"https://oauth:` + plain + `@example.org/r"}],"properties":{"imageName":"https://` + plain + `@example.org/i"},
		"results":[{"ruleId":"r","message":{"text":"see https://` + plain + `@example.org/r"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"https://` + plain + `@example.org/r/a.go"}}}]}]}`
	codeql := `{"tool":{"driver":{"name":"CodeQL","rules":[{"id":"hard-coded","properties":{"tags":["external/cwe/cwe-798"]}}]}},
		"results":[{"ruleId":"hard-coded","message":{"text":"a password"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.js"},"region":{"startLine":3},"contextRegion":{"startLine":2,"snippet":{"text":"/**** creds ****/\npassword = \"` + plain + `\""}}}}]}]}`
	gosec := `{"tool":{"driver":{"name":"gosec","rules":[{"id":"G101","properties":{"tags":["security","HIGH"]},"relationships":[{"target":{"id":"798","toolComponent":{"name":"CWE"}}}]}]}},
		"results":[{"ruleId":"G101","message":{"text":"a password"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":3,"snippet":{"text":"password = \"` + plain + `\""}}}}]}]}`
	checkov := strings.ReplaceAll(gosec, "G101", "CKV_SECRET_6")
	checkov = strings.Replace(checkov, `,"rules":[{"id"`, `,"x":[{"id"`, 1)
	cut := `{"tool":{"driver":{"name":"gitleaks"}},"results":[{"ruleId":"key","message":{"text":"a key"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.env"},"region":{"startLine":3,"snippet":{"text":"` + plain[:12] + `..."}}}}]}]}`
	dots := strings.Replace(semgrep, `"password = \"`+plain+`\""`, `"def f(pw=\"`+plain+`\"): ..."`, 1)
	part := `{"tool":{"driver":{"name":"gitleaks"}},"results":[{"ruleId":"key","message":{"text":"found hunter2x1-` + plain + `"},"locations":[
		{"physicalLocation":{"artifactLocation":{"uri":"a.env"},"region":{"startLine":3,"snippet":{"text":"hunter2x1"}}}},
		{"physicalLocation":{"artifactLocation":{"uri":"a.env"},"region":{"startLine":4,"snippet":{"text":"hunter2x1-` + plain + `"}}}}]}]}`

	for name, tt := range map[string]struct {
		text    string
		secrets []string
	}{
		"gitleaks":           {log(gitleaks(plain)), []string{plain}},
		"gitleaks, escaped":  {strings.ReplaceAll(log(gitleaks(plain)), plain, `\u0063AnaRy-7f3a9b2e4d`), []string{plain}},
		"gitleaks, key":      {log(gitleaks(lines)), []string{"MIICanaryCanary7f3a", "AbCdEfCanary9b2e"}},
		"gitleaks, unusual":  {log(gitleaks(`p"a\s<s>&wörd+/=`)), []string{`p"a\s<s>&wörd`, `p\"a\\s`, url.QueryEscape(`p"a\s<s>&wörd+/=`)}},
		"whole line":         {log(semgrep), []string{plain}},
		"only a context":     {log(codeql), []string{plain}},
		"dots at the end":    {log(dots), []string{plain}},
		"taxon of the rule":  {log(gosec), []string{plain}},
		"name of the rule":   {log(checkov), []string{plain}},
		"redacted in part":   {log(cut), []string{plain[:12]}},
		"one in the other":   {log(part), []string{plain}},
		"token in addresses": {log(token), []string{plain}},
		"escaped slashes":    {strings.ReplaceAll(log(token), "://", `:\/\/`), []string{plain}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			for _, o := range []*report.Options{nil, {SecretKey: []byte("k")}} {
				for _, s := range []report.Source{read(t, tt.text, o), open(t, tt.text, o)} {
					require.NoError(t, report.WriteSARIF(t.Context(), &out, s))
					require.NoError(t, report.WriteCSV(t.Context(), &out, s))
					require.NoError(t, report.WriteJSONLines(t.Context(), &out, s))
					_, err := report.Merge(t.Context(), &out, []report.Source{s, read(t, tt.text, o)}, &report.MergeOptions{Dedupe: true})
					require.NoError(t, err)
					v, err := report.Policy{Fail: []report.Clause{{}}}.Gate(t.Context(), s)
					require.NoError(t, err)
					fmt.Fprintf(&out, "%+v %#v\n", v, s.Head())
					for _, f := range findings(t, s) {
						fmt.Fprintf(&out, "%+v\n", f)
						require.NoError(t, json.NewEncoder(&out).Encode(f))
					}
				}
			}
			// Broken anywhere, the error says nothing of it.
			for cut := 10; cut < len(tt.text); cut += 7 {
				_, err := report.ReadSARIF(t.Context(), strings.NewReader(tt.text[:cut]+"\x01"), nil)
				fmt.Fprintln(&out, err)
			}
			path := filepath.Join(t.TempDir(), "a.sarif")
			require.NoError(t, os.WriteFile(path, []byte(tt.text), 0o644))
			problems, err := report.LintSARIF(t.Context(), path, nil)
			require.NoError(t, err)
			fmt.Fprintln(&out, problems)

			for _, secret := range tt.secrets {
				if i := strings.Index(out.String(), secret); i >= 0 {
					assert.Fail(t, "leaked", "%q", out.String()[max(0, i-200):min(out.Len(), i+100)])
				}
			}
			assert.Contains(t, out.String(), report.Mask)
			assert.NotContains(t, out.String(), "a@example.org", "data of the author is no fingerprint")
		})
	}
}
