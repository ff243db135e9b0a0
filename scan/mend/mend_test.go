//go:build unix

package mend_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/mend"
	"github.com/waybill-dev/waybill/scan/scantest"
)

const (
	sarifClean = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Mend"}},"results":[]}]}`
	sarifFound = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Mend"}},"results":[{"ruleId":"R1","level":"error","message":{"text":"bad"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":3}}}]}]}]}`
	sarifBroke = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Mend"}},"results":[],"invocations":[{"executionSuccessful":false}]}]}`
	rejected   = `{"rejectingPolicies":[{"policyName":"no GPL","filterType":"LICENSE_GROUP","rejectedLibraries":[{"name":"left-1.0.0.tgz"}]}],"summary":{"totalRejectedLibraries":1}}`
	approved   = `{"rejectingPolicies":[],"summary":{"totalRejectedLibraries":0}}`
	scanReport = `{"projectVitals":{"productName":"P","name":"web"},"libraries":[{"keyUuid":"k","type":"NODE_PACKAGED_MODULE","name":"left-1.0.0.tgz","artifactId":"left-1.0.0.tgz","version":"1.0.0","vulnerabilities":[{"name":"CVE-2099-0002","type":"CVE","severity":"medium","score":5.0,"cvss3_severity":"HIGH","cvss3_score":7.5}]}]}`
)

// cli is a program that behaves like the Mend CLI: it tells its version and runs body with $out set to where the
// report goes. For code that is a name it adds the suffix to, and nowhere without --report.
func cli(t *testing.T, body string) string {
	t.Helper()
	return scantest.Script(t, "mend", `if [ "$1" = version ]; then echo 'Mend CLI version 24.10.1'; exit; fi
product=$1; all="$*"; out=/dev/null; report=
while [ $# -gt 0 ]; do case "$1" in --report) report=yes;; --filename) out=$2;; esac; shift; done
if [ $product = code ]; then out=$out.sarif; test "$report" || out=/dev/null; fi
`+body)
}

func write(report string) string { return "cat > \"$out\" <<'END'\n" + report + "\nEND" }

func newCLI(t *testing.T, body string, o mend.CLIOptions) *mend.Scanner {
	t.Helper()
	if o.Path == "" {
		o.Path = cli(t, body)
	}
	s, err := mend.NewCLI(&o)
	require.NoError(t, err)
	return s
}

func files(t *testing.T, content map[string]string) scan.Target {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return scan.Target{Kind: scan.Dir, Path: dir}
}

func TestScanner(t *testing.T) {
	code := mend.CLIOptions{Product: mend.Code}
	setup := func(body string, o mend.CLIOptions) func() scantest.Setup {
		return func() scantest.Setup {
			return scantest.Setup{Scanner: newCLI(t, body, o), Target: files(t, nil)}
		}
	}
	scantest.TestScanner(t, scantest.Harness{
		Clean:       setup(write(sarifClean), code),
		Findings:    setup(write(sarifFound)+"\nexit 9", code),
		Broken:      setup("echo 'Error: engine crashed' >&2; exit 6", code),
		MissingTool: setup("", mend.CLIOptions{Path: "/nowhere/mend"}),
		Slow: func() scantest.Setup {
			started := filepath.Join(t.TempDir(), "started")
			return scantest.Setup{
				Scanner: newCLI(t, "touch "+started+"; sleep 600", code), Target: files(t, nil),
				Started: func() bool { _, err := os.Stat(started); return err == nil },
			}
		},
		HugeOutput: setup(`head -c 70000000 /dev/zero`, code),
		Secret: func() scantest.Setup {
			o := code
			o.Email, o.UserKey = "ci@example.com", func(context.Context) (string, error) { return "hunter2-hunter2", nil }
			s := setup(`echo "login with $MEND_USER_KEY refused"; exit 5`, o)()
			s.Secret = "hunter2-hunter2"
			return s
		},
		Unsupported: func() scantest.Setup {
			return scantest.Setup{Scanner: newCLI(t, "", code), Target: scan.Target{Kind: scan.Layout, Path: "."}}
		},
		NotApplicable: map[string]string{"WrongVersion": "no version is known not to work"},
	})
}

func TestCLI_outcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		product mend.Product
		body    string
		status  scan.Status
		kind    error
		says    string
	}{
		"dependencies approved":       {mend.Dependencies, "exit 0", scan.Clean, nil, ""},
		"dependencies rejected":       {mend.Dependencies, "exit 9", scan.Findings, nil, "policies reject"},
		"rejected with reasons":       {mend.Dependencies, "mkdir -p mend; echo '" + rejected + "' > mend/policyRejectionSummary.json; exit 9", scan.Findings, nil, "no GPL"},
		"approved with a summary":     {mend.Dependencies, "mkdir -p mend; echo '" + approved + "' > mend/policyRejectionSummary.json", scan.Clean, nil, ""},
		"code found, policy violated": {mend.Code, write(sarifFound) + "\nexit 9", scan.Findings, nil, "policies reject"},
		"code without a report":       {mend.Code, "exit 0", "", scan.ErrOutput, "no report"},
		"code violated, no report":    {mend.Code, "exit 9", scan.Findings, nil, "policies reject"},
		"half a report":               {mend.Code, write(sarifFound[:80]), "", scan.ErrOutput, "mend.sarif"},
		"bad parameter":               {mend.Code, "echo 'unknown flag: --x'; exit 1", "", scan.ErrConfig, "unknown flag"},
		"no server":                   {mend.Code, "exit 2", "", scan.ErrUnavailable, "cannot be reached"},
		"no licence":                  {mend.Code, "exit 3", "", scan.ErrDenied, "licence"},
		"no language":                 {mend.Code, "exit 4", "", scan.ErrSkipped, "language"},
		"engine":                      {mend.Code, "exit 8", "", scan.ErrBroken, "updated"},
		"code of another product":     {mend.Dependencies, "exit 4", "", scan.ErrBroken, "exit code 4"},
		"report says it broke":        {mend.Code, write(sarifBroke), "", scan.ErrBroken, "did not complete"},
		"empty report":                {mend.Code, `: > "$out"`, "", scan.ErrOutput, "mend.sarif"},
		"another code":                {mend.Code, "exit 77", "", scan.ErrBroken, "exit code 77"},
		"killed":                      {mend.Code, "kill -9 $$", "", scan.ErrBroken, "killed"},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := newCLI(t, tc.body, mend.CLIOptions{Product: tc.product}).Scan(t.Context(), files(t, nil))
			if tc.kind != nil {
				require.ErrorIs(t, err, tc.kind)
				assert.ErrorContains(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.status, res.Status)
			assert.Equal(t, "24.10.1", res.Version)
			said := ""
			for _, f := range res.Report.Findings {
				said += f.Message + "\n"
			}
			assert.Contains(t, said, tc.says)
		})
	}
}

func TestCLI_arguments(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	image := scan.Target{Kind: scan.Image, Path: "web:1"}
	tree := files(t, map[string]string{"web.tar": ""})
	archive := scan.Target{Kind: scan.Archive, Path: filepath.Join(tree.Path, "web.tar")}
	for name, tc := range map[string]struct {
		o      mend.CLIOptions
		target scan.Target
		want   string
	}{
		"image":        {mend.CLIOptions{Product: mend.Container, Scope: "org//app//web", Update: true, Args: []string{"--extended"}}, image, `image --non-interactive --fail-policy --scope org//app//web --update --format sarif --filename \S+mend.sarif web:1 --extended`},
		"archive":      {mend.CLIOptions{Product: mend.Container}, archive, `image --non-interactive --fail-policy --format sarif --filename \S+mend.sarif --tar \S+/web.tar`},
		"code":         {mend.CLIOptions{Product: mend.Code}, tree, `code --non-interactive --fail-policy --dir . --report --formats sarif --filename \S+/mend`},
		"dependencies": {mend.CLIOptions{}, tree, `dep --non-interactive --fail-policy --dir .`},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.URL, tc.o.Email, tc.o.UserKey = "https://saas.example.com", "ci@example.com", func(context.Context) (string, error) { return "the-key", nil }
			_, err := newCLI(t, `echo "$all" > `+seen+`; echo "$MEND_URL $MEND_EMAIL $MEND_USER_KEY" >> `+seen+"\n"+write(sarifClean), tc.o).Scan(t.Context(), tc.target)
			require.NoError(t, err)
			b, err := os.ReadFile(seen)
			require.NoError(t, err)
			assert.Regexp(t, `^`+tc.want+`\nhttps://saas.example.com ci@example.com the-key\n$`, string(b))
		})
	}
}

// The version is good to know, and a CLI that does not say it is used all the same.
func TestCLI_noVersion(t *testing.T) {
	s := newCLI(t, "", mend.CLIOptions{Path: scantest.Script(t, "mend", `test "$1" = dep || { echo unknown command; exit 1; }`)})
	res, err := s.Scan(t.Context(), files(t, nil))
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)
	assert.Empty(t, res.Version)
}

func TestAgent(t *testing.T) {
	jar := filepath.Join(t.TempDir(), "wss-unified-agent.jar")
	require.NoError(t, os.WriteFile(jar, nil, 0o600))
	for name, tc := range map[string]struct {
		body   string
		status scan.Status
		kind   error
		says   string
	}{
		"vulnerable":           {"mkdir -p whitesource; echo '" + scanReport + "' > whitesource/web-scan_report.json", scan.Findings, nil, "CVE-2099-0002"},
		"rejected":             {"mkdir -p whitesource; echo '" + rejected + "' > whitesource/policyRejectionSummary.json; exit 254", scan.Findings, nil, ""},
		"rejected, no report":  {"exit 254", scan.Findings, nil, "policy-violation"},
		"no report":            {"exit 0", "", scan.ErrOutput, "no report"},
		"failed":               {"echo '[ERROR] no luck'; exit 255", "", scan.ErrBroken, "no luck"},
		"no server":            {"exit 252", "", scan.ErrUnavailable, "-4"},
		"server failed":        {"exit 251", "", scan.ErrUnavailable, "-5"},
		"client failed":        {"exit 253", "", scan.ErrBroken, "-3"},
		"earlier step":         {"exit 250", "", scan.ErrBroken, "-6"},
		"another code":         {"exit 3", "", scan.ErrBroken, "exit code 3"},
		"killed":               {"kill -9 $$", "", scan.ErrBroken, "killed"},
		"told what to do":      {`test "$WS_GENERATESCANREPORT $WS_CHECKPOLICIES $WS_WSS_URL $WS_APIKEY $*" = "true false https://x secret-api-key -jar ` + jar + ` -d . -c $PWD/x.config" || exit 9; mkdir -p mend; echo '` + approved + `' > mend/policyRejectionSummary.json`, scan.Clean, nil, ""},
		"counts say otherwise": {"mkdir -p mend; echo '" + strings.Replace(approved, ":0", ":3", 1) + "' > mend/policyRejectionSummary.json", "", scan.ErrBroken, "did not complete"},
	} {
		t.Run(name, func(t *testing.T) {
			target := files(t, nil)
			s, err := mend.NewAgent(&mend.AgentOptions{
				Jar: jar, Java: scantest.Script(t, "java", tc.body), Config: filepath.Join(target.Path, "x.config"), URL: "https://x", Product: "p", Project: "q", Env: []string{"WS_CHECKPOLICIES=false"},
				APIKey: func(context.Context) (string, error) { return "secret-api-key", nil },
			})
			require.NoError(t, err)
			res, err := s.Scan(t.Context(), target)
			if tc.kind != nil {
				require.ErrorIs(t, err, tc.kind)
				assert.ErrorContains(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.status, res.Status)
			rules := ""
			for _, f := range res.Report.Findings {
				rules += f.Rule + "\n"
			}
			assert.Contains(t, rules, tc.says)
		})
	}
	s, err := mend.NewAgent(&mend.AgentOptions{Jar: "/nowhere.jar"})
	require.NoError(t, err)
	_, err = s.Scan(t.Context(), files(t, nil))
	require.ErrorIs(t, err, scan.ErrToolMissing)
}

// A report of an earlier run is not that of this one.
func TestAgent_stale(t *testing.T) {
	jar := filepath.Join(t.TempDir(), "x.jar")
	require.NoError(t, os.WriteFile(jar, nil, 0o600))
	target := files(t, map[string]string{"whitesource/policyRejectionSummary.json": approved})
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(target.Path, "whitesource/policyRejectionSummary.json"), old, old))
	s, err := mend.NewAgent(&mend.AgentOptions{Jar: jar, Java: scantest.Script(t, "java", "exit 0")})
	require.NoError(t, err)
	_, err = s.Scan(t.Context(), target)
	require.ErrorIs(t, err, scan.ErrOutput)
}

func TestReader(t *testing.T) {
	s, err := mend.NewReader()
	require.NoError(t, err)
	res, err := s.Scan(t.Context(), files(t, map[string]string{"whitesource/a-scan_report.json": scanReport, "mend/policyRejectionSummary.json": approved}))
	require.NoError(t, err)
	assert.Len(t, res.Report.Runs, 2)
	require.Len(t, res.Report.Findings, 1)
	assert.Equal(t, report.SeverityHigh, res.Report.Findings[0].Severity)

	_, err = s.Scan(t.Context(), files(t, nil))
	require.ErrorIs(t, err, scan.ErrTarget)

	s, err = mend.NewReader("out/**/*.json")
	require.NoError(t, err)
	_, err = s.Scan(t.Context(), files(t, map[string]string{"out/x/y.json": "<html>"}))
	require.ErrorIs(t, err, scan.ErrOutput)
	_, err = s.Scan(t.Context(), files(t, nil))
	require.ErrorIs(t, err, scan.ErrOutput)
	assert.ErrorContains(t, err, "no file matches")
}

// The shapes of what Mend's tools and Bolt leave behind, each where it is left.
func TestReader_shapes(t *testing.T) {
	shapes := "../../report/format/mend/testdata/"
	for left, tc := range map[string]struct {
		shape   string
		found   int
		partial bool
	}{
		"whitesource/web-2026-01-02T030405+0000-scan_report.json": {"scan_report.json", 1, false},
		"mend/scan_report.json":                                   {"scan_report.json", 1, false}, // scanReportFilenameFormat=static
		"whitesource/policyRejectionSummary.json":                 {"policyRejectionSummary.json", 1, false},
		"whitesource/checkPolicies-json.txt":                      {"checkPolicies.json", 1, false},
		"out/platform.json":                                       {"platform3.json", 1, true},
		"out/alerts.json":                                         {"project_vulnerabilities.json", 1, false},
	} {
		t.Run(left, func(t *testing.T) {
			b, err := os.ReadFile(shapes + tc.shape)
			require.NoError(t, err)
			var reports []string
			if strings.HasPrefix(left, "out/") {
				reports = []string{"out/*.json"}
			}
			s, err := mend.NewReader(reports...)
			require.NoError(t, err)
			res, err := s.Scan(t.Context(), files(t, map[string]string{left: "\xef\xbb\xbf" + string(b)}))
			if tc.partial {
				require.ErrorIs(t, err, scan.ErrBroken, "one page of several is no verdict")
			} else {
				require.NoError(t, err)
				assert.Equal(t, scan.Findings, res.Status)
			}
			assert.GreaterOrEqual(t, scan.Count(res.Report), tc.found)
		})
	}
}

func TestNew_bad(t *testing.T) {
	_, err := mend.NewReader("../x")
	require.ErrorIs(t, err, scan.ErrConfig)
	_, err = mend.NewCLI(&mend.CLIOptions{Product: "x", Email: "y"})
	require.ErrorIs(t, err, scan.ErrConfig)
	assert.ErrorContains(t, err, "Product")
	assert.ErrorContains(t, err, "UserKey")
	_, err = mend.NewAgent(&mend.AgentOptions{Reports: []string{"a["}})
	require.ErrorIs(t, err, scan.ErrConfig)
	assert.ErrorContains(t, err, "Jar")
}
