package sonarqube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
	"github.com/waybill-dev/waybill/scan/sonarqube"
	"github.com/waybill-dev/waybill/scan/sonarqube/sonarqubetest"
)

// withTrouble is a report with an issue and a hotspot in app.py.
func withTrouble() *report.Report {
	return &report.Report{Findings: []report.Finding{
		{Rule: "python:S1764", Title: "Identical expressions", Message: "a == a", Level: report.LevelError, Severity: report.SeverityMedium, Location: report.Location{Path: "app.py", StartLine: 3}},
		{Rule: "python:S2068", Message: "a password?", Kind: report.KindReview, Severity: report.SeverityHigh, Location: report.Location{Path: "app.py", StartLine: 5}},
	}}
}

func tests(passed, failed int) *report.Tests {
	var cases []report.TestCase
	for i := range passed + failed {
		status := report.TestPassed
		if i < failed {
			status = report.TestFailed
		}
		cases = append(cases, report.TestCase{Name: fmt.Sprint(i), Status: status})
	}
	return &report.Tests{Suites: []report.TestSuite{{Name: "s", Cases: cases}}}
}

func coverage(covered, lines int) *report.Coverage {
	f := report.FileCoverage{Path: "app.py"}
	for i := range lines {
		l := report.LineCoverage{Number: i + 1}
		if i < covered {
			l.Hits = 1
		}
		f.Lines = append(f.Lines, l)
	}
	return &report.Coverage{Files: []report.FileCoverage{f}}
}

// analysed submits an analysis and returns a directory that scanned it.
func analysed(tb testing.TB, srv *sonarqubetest.Server, a sonarqubetest.Analysis) scan.Target {
	tb.Helper()
	dir := tb.TempDir()
	require.NoError(tb, srv.WriteReportTask(dir, srv.Submit(a)))
	return scan.Target{Kind: scan.Dir, Path: dir}
}

func scanner(tb testing.TB, srv *sonarqubetest.Server, o sonarqube.Options) *sonarqube.Scanner {
	tb.Helper()
	if o.ProjectKey == "" {
		o.ProjectKey = "shop"
	}
	if o.URL == "" {
		o.URL = srv.URL
	}
	if o.Token == nil {
		o.Token = func(context.Context) (string, error) { return srv.Token, nil }
	}
	if o.Poll == 0 {
		o.Poll = time.Millisecond
	}
	s, err := sonarqube.New(&o)
	require.NoError(tb, err)
	return s
}

func TestBackend_fake(t *testing.T) {
	srv := sonarqubetest.NewServer(t, nil)
	sonarqubetest.TestBackend(t, sonarqubetest.Backend{
		URL: srv.URL, Token: srv.Token,
		Analyse: func(tb testing.TB, project string, clean bool) string {
			tb.Helper()
			a := sonarqubetest.Analysis{Project: project, Report: &report.Report{}}
			if !clean {
				a.Report = withTrouble()
			}
			return analysed(tb, srv, a).Path
		},
		Empty: func(tb testing.TB, project string) string {
			tb.Helper()
			return analysed(tb, srv, sonarqubetest.Analysis{Project: project, Empty: true}).Path
		},
	})
}

func TestScanner(t *testing.T) {
	srv := sonarqubetest.NewServer(t, nil)
	setup := func(o sonarqube.Options, a sonarqubetest.Analysis) func() scantest.Setup {
		return func() scantest.Setup {
			a.Project = "shop"
			return scantest.Setup{Scanner: scanner(t, srv, o), Target: analysed(t, srv, a)}
		}
	}
	script := func(body string) sonarqube.Options {
		return sonarqube.Options{Analyze: true, Scanner: scantest.Script(t, "sonar-scanner", body)}
	}
	scantest.TestScanner(t, scantest.Harness{
		Clean:        setup(sonarqube.Options{}, sonarqubetest.Analysis{Report: &report.Report{}}),
		Findings:     setup(sonarqube.Options{}, sonarqubetest.Analysis{Report: withTrouble()}),
		Broken:       setup(sonarqube.Options{}, sonarqubetest.Analysis{Fail: "out of memory"}),
		HugeOutput:   setup(sonarqube.Options{MaxIssues: 1}, sonarqubetest.Analysis{Report: many(2, 1)}),
		MissingTool:  setup(sonarqube.Options{Analyze: true, Scanner: "/nowhere/sonar-scanner"}, sonarqubetest.Analysis{}),
		WrongVersion: setup(script("echo INFO: SonarScanner 4.8.1.3023"), sonarqubetest.Analysis{}),
		Slow: func() scantest.Setup {
			s := setup(sonarqube.Options{}, sonarqubetest.Analysis{Hang: true})()
			before := len(srv.Requests())
			s.Started = func() bool { return len(srv.Requests()) > before+3 }
			return s
		},
		Secret: func() scantest.Setup {
			o := script(`if [ "$1" = --version ]; then echo SonarScanner 6.2.1; exit; fi; echo "ERROR token $SONAR_TOKEN refused"; exit 2`)
			o.Token = func(context.Context) (string, error) { return "squ_0123456789", nil }
			s := setup(o, sonarqubetest.Analysis{})()
			s.Secret = "squ_0123456789"
			return s
		},
		Unsupported: func() scantest.Setup {
			return scantest.Setup{Scanner: scanner(t, srv, sonarqube.Options{}), Target: scan.Target{Kind: scan.Image, Path: "web:1"}}
		},
	})
}

// The gate is computed from what was submitted.
func TestScan_gate(t *testing.T) {
	for name, tc := range map[string]struct {
		r    report.Report
		want []string
	}{
		"all well":        {report.Report{Tests: tests(3, 0), Coverage: coverage(8, 10)}, nil},
		"failed test":     {report.Report{Tests: tests(3, 1)}, []string{"test failures is 1, and must be at most 0"}},
		"little coverage": {report.Report{Coverage: coverage(79, 100)}, []string{"coverage is 79, and must be at least 80"}},
		"an issue":        {report.Report{Findings: withTrouble().Findings[:1]}, []string{"violations is 1, and must be at most 0"}},
		"a hotspot":       {report.Report{Findings: withTrouble().Findings[1:]}, []string{"security hotspots is 1, and must be at most 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := sonarqubetest.NewServer(t, nil)
			res, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Report: &tc.r}))
			require.NoError(t, err)
			var got []string
			for _, f := range res.Report.Findings {
				if f.Category == report.CategoryPolicy {
					got = append(got, f.Message)
				}
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestScan_noGate(t *testing.T) {
	srv := sonarqubetest.NewServer(t, &sonarqubetest.Options{Gate: []sonarqubetest.Condition{}})
	target := analysed(t, srv, sonarqubetest.Analysis{Project: "shop"})
	res, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), target)
	require.ErrorIs(t, err, scan.ErrBroken)
	assert.ErrorContains(t, err, "NONE")
	assert.Equal(t, scan.Failed, res.Status)

	res, err = scanner(t, srv, sonarqube.Options{AllowNoGate: true}).Scan(t.Context(), target)
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)
	assert.Contains(t, res.Notes, "no quality gate was applied")
}

func TestScan_task(t *testing.T) {
	for name, tc := range map[string]struct {
		a    sonarqubetest.Analysis
		says string
	}{
		"failed":    {sonarqubetest.Analysis{Fail: "disk\nfull"}, "disk full"},
		"cancelled": {sonarqubetest.Analysis{Cancel: true}, "cancelled on the server"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := sonarqubetest.NewServer(t, nil)
			tc.a.Project = "shop"
			_, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), analysed(t, srv, tc.a))
			require.ErrorIs(t, err, scan.ErrBroken)
			assert.ErrorContains(t, err, tc.says)
		})
	}
	t.Run("never done", func(t *testing.T) {
		srv := sonarqubetest.NewServer(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := scanner(t, srv, sonarqube.Options{}).Scan(ctx, analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Hang: true}))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Regexp(t, "last seen (PENDING|IN_PROGRESS)", err.Error())
	})
}

func TestScan_branches(t *testing.T) {
	srv := sonarqubetest.NewServer(t, nil)
	_ = analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Report: withTrouble()})
	target := analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Branch: "fix", Report: &report.Report{}})
	res, err := scanner(t, srv, sonarqube.Options{Branch: "fix"}).Scan(t.Context(), target)
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)

	target = analysed(t, srv, sonarqubetest.Analysis{Project: "shop", PullRequest: "42", Report: withTrouble()})
	for _, key := range []string{"42", ""} { // a build may know that it is for a pull request, and its caller not
		res, err = scanner(t, srv, sonarqube.Options{PullRequest: key}).Scan(t.Context(), target)
		require.NoError(t, err)
		assert.Equal(t, scan.Findings, res.Status)
		assert.Len(t, res.Report.Findings, 4, "two conditions, an issue, a hotspot")
	}
}

// The issues of another branch say nothing about the analysis.
func TestScan_anotherBranch(t *testing.T) {
	srv := sonarqubetest.NewServer(t, nil)
	submit := func(branch, pullRequest string) scan.Target {
		return analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Branch: branch, PullRequest: pullRequest, Report: &report.Report{}})
	}
	onMain, onFix, on7 := submit("", ""), submit("fix", ""), submit("", "7")
	for name, tc := range map[string]struct {
		target scan.Target
		o      sonarqube.Options
		says   string
	}{
		"main for a branch":         {onMain, sonarqube.Options{Branch: "fix"}, `about the main branch, not the branch "fix"`},
		"main for a pull request":   {onMain, sonarqube.Options{PullRequest: "7"}, `about the main branch, not the pull request "7"`},
		"a branch for main":         {onFix, sonarqube.Options{Branch: "main"}, `about the branch "fix", not the branch "main"`},
		"a pull request for main":   {on7, sonarqube.Options{Branch: "main"}, `about the pull request "7", not the branch "main"`},
		"another pull request":      {on7, sonarqube.Options{PullRequest: "8"}, `about the pull request "7", not the pull request "8"`},
		"main by its name":          {onMain, sonarqube.Options{Branch: "main"}, ""},
		"a branch nobody asked for": {onFix, sonarqube.Options{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scanner(t, srv, tc.o).Scan(t.Context(), tc.target)
			if tc.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, scan.ErrTarget)
			assert.ErrorContains(t, err, tc.says)
		})
	}
}

// Servers before version 10 take a token as a user name.
func TestScan_login(t *testing.T) {
	for version, want := range map[string]string{"9.9.8.100196": "basic", "10.1.0.73491": "bearer", "25.11.0.114957": "bearer", "8.0.0.56719": "basic"} {
		srv := sonarqubetest.NewServer(t, &sonarqubetest.Options{Version: version})
		res, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Report: withTrouble()}))
		require.NoError(t, err)
		assert.Equal(t, version, res.Version)
		assert.Len(t, res.Report.Findings, 4, "two conditions, an issue, a hotspot")
		for _, r := range srv.Requests() {
			old := strings.HasPrefix(version, "9.") || strings.HasPrefix(version, "10.1.") || strings.HasPrefix(version, "8.")
			if r.Path == "/api/hotspots/search" {
				assert.Equal(t, old, r.Query.Has("projectKey"), "the parameter got another name in 10.2")
			}
			if r.Path != "/api/server/version" {
				assert.Equal(t, want, r.Auth, r.Path)
			} else {
				assert.Empty(t, r.Auth, "nobody need see the token to tell the version")
			}
		}
	}
}

// many is a report with n issues of the given number of rules, spread over files.
func many(n, rules int) *report.Report {
	r := &report.Report{Findings: make([]report.Finding, n)}
	for i := range r.Findings {
		r.Findings[i] = report.Finding{
			Rule: fmt.Sprintf("go:S%d", i%rules), Message: "m", Severity: report.SeverityMedium, Level: report.LevelWarning,
			Location: report.Location{Path: fmt.Sprintf("pkg%d/file.go", i%97), StartLine: i + 1},
		}
	}
	return r
}

// The server hands out 10,000 per search; the rest must not be lost.
func TestScan_manyIssues(t *testing.T) {
	for name, r := range map[string]*report.Report{
		"by rule":                       many(25_000, 40),
		"by file":                       many(25_000, 1), // one rule, so that only files tell the issues apart
		"rules the facet does not list": many(25_000, 250),
	} {
		t.Run(name, func(t *testing.T) {
			const project = "com.acme:shop" // as Maven's
			srv := sonarqubetest.NewServer(t, nil)
			res, err := scanner(t, srv, sonarqube.Options{ProjectKey: project}).Scan(t.Context(), analysed(t, srv, sonarqubetest.Analysis{Project: project, Report: r}))
			require.NoError(t, err)
			assert.Len(t, res.Report.Findings, 25_001, "every issue, and the gate")
		})
	}
	t.Run("one of no file", func(t *testing.T) {
		r := many(10_100, 1)
		r.Findings[0].Location = report.Location{}
		srv := sonarqubetest.NewServer(t, nil)
		_, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Report: r}))
		require.ErrorIs(t, err, scan.ErrOutput)
		assert.ErrorContains(t, err, "counts 10100 issues, and its slices add up to 10099")
	})
	t.Run("too many in one file", func(t *testing.T) {
		r := many(11_000, 1)
		for i := range r.Findings {
			r.Findings[i].Location.Path = "one.go"
		}
		srv := sonarqubetest.NewServer(t, nil)
		_, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Report: r}))
		require.ErrorIs(t, err, scan.ErrTooLarge)
	})
	t.Run("more than the cap", func(t *testing.T) {
		srv := sonarqubetest.NewServer(t, nil)
		_, err := scanner(t, srv, sonarqube.Options{MaxIssues: 100}).Scan(t.Context(), analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Report: many(101, 1)}))
		require.ErrorIs(t, err, scan.ErrTooLarge)
		assert.ErrorContains(t, err, "cap of 100 (MaxIssues)")
	})
}

func TestScan_faults(t *testing.T) {
	const task, issues = "/api/ce/task", "/api/issues/search"
	for name, tc := range map[string]struct {
		fault sonarqubetest.Fault
		kind  error
		says  string
	}{
		"busy for a moment":      {sonarqubetest.Fault{Path: issues, Times: 2, Status: 503, Body: "{}"}, nil, ""},
		"connection lost once":   {sonarqubetest.Fault{Path: task, Drop: true}, nil, ""},
		"answer cut once":        {sonarqubetest.Fault{Path: issues, Cut: true}, nil, ""},
		"indexing for long":      {sonarqubetest.Fault{Path: issues, Times: -1, Status: 503, Body: `{"errors":[{"msg":"Server is indexing"}]}`}, scan.ErrUnavailable, "Server is indexing"},
		"gone for long":          {sonarqubetest.Fault{Times: -1, Drop: true}, scan.ErrUnavailable, ""},
		"web page":               {sonarqubetest.Fault{Path: task, Status: 200, Body: "<!doctype html><title>Log in</title>", Header: http.Header{"Content-Type": {"text/html"}}}, scan.ErrOutput, "web page"},
		"web page for a version": {sonarqubetest.Fault{Path: "/api/server/version", Status: 200, Body: "hello"}, scan.ErrOutput, "no version"},
		"refused":                {sonarqubetest.Fault{Path: task, Status: 401}, scan.ErrDenied, "not valid, or expired"},
		"forbidden":              {sonarqubetest.Fault{Path: issues, Status: 403}, scan.ErrDenied, "may not browse"},
		"elsewhere":              {sonarqubetest.Fault{Path: task, Status: 302, Header: http.Header{"Location": {"https://login.example.com/"}}}, scan.ErrOutput, "redirect refused"},
		"no JSON":                {sonarqubetest.Fault{Path: issues, Status: 200, Body: "{"}, scan.ErrOutput, "no JSON"},
		"another JSON":           {sonarqubetest.Fault{Path: task, Status: 200, Body: `{"hello":1}`}, scan.ErrOutput, "unknown status"},
		"no analysis":            {sonarqubetest.Fault{Path: task, Status: 200, Body: `{"task":{"status":"SUCCESS"}}`}, scan.ErrOutput, "names no analysis"},
		"another's task":         {sonarqubetest.Fault{Path: task, Status: 200, Body: `{"task":{"status":"SUCCESS","analysisId":"x","componentKey":"else"}}`}, scan.ErrTarget, "else"},
		"no measures":            {sonarqubetest.Fault{Path: "/api/measures/component", Status: 200, Body: `{"component":{"measures":[{"metric":"files","value":"0"}]}}`}, scan.ErrBroken, "saw no file"},
		"unknown verdict":        {sonarqubetest.Fault{Path: "/api/qualitygates/project_status", Status: 200, Body: `{"projectStatus":{}}`}, scan.ErrOutput, "unknown status"},
		"fewer than counted":     {sonarqubetest.Fault{Path: issues, Status: 200, Body: `{"paging":{"total":7},"issues":[]}`}, scan.ErrOutput, "counts 7 issues"},
		"entry without a key":    {sonarqubetest.Fault{Path: issues, Status: 200, Body: `{"paging":{"total":1},"issues":[{}]}`}, scan.ErrOutput, "without a key"},
		"huge answer":            {sonarqubetest.Fault{Path: issues, Status: 200, Body: `{"x":"` + strings.Repeat("x", 65<<20) + `"}`}, scan.ErrTooLarge, "cap"},
		"teapot":                 {sonarqubetest.Fault{Path: task, Status: 418}, scan.ErrBroken, "418"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := sonarqubetest.NewServer(t, nil)
			target := analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Report: &report.Report{}})
			srv.Inject(tc.fault)
			res, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), target)
			if tc.kind == nil {
				require.NoError(t, err)
				assert.Equal(t, scan.Clean, res.Status)
				return
			}
			require.ErrorIs(t, err, tc.kind)
			assert.ErrorContains(t, err, tc.says)
			assert.NotContains(t, err.Error(), srv.Token)
		})
	}
}

func TestScan_expiringToken(t *testing.T) {
	srv := sonarqubetest.NewServer(t, nil)
	target := analysed(t, srv, sonarqubetest.Analysis{Project: "shop"})
	soon := time.Now().Add(3 * 24 * time.Hour).UTC()
	srv.Inject(sonarqubetest.Fault{Times: -1, Header: http.Header{"Sonarqube-Authentication-Token-Expiration": {soon.Format("2006-01-02T15:04:05-0700")}}})
	res, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), target)
	require.NoError(t, err)
	assert.Contains(t, res.Notes, "the token expires on "+soon.Format(time.DateOnly))
}

func TestScan_reportTask(t *testing.T) {
	srv := sonarqubetest.NewServer(t, nil)
	write := func(name, content string) scan.Target {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return scan.Target{Kind: scan.Dir, Path: dir}
	}
	good := "projectKey=shop\nceTaskId=" + srv.Submit(sonarqubetest.Analysis{Project: "shop"}) + "\n"
	for _, name := range []string{"target/sonar/report-task.txt", "build/sonar/report-task.txt", ".sonarqube/out/.sonar/report-task.txt"} {
		_, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), write(name, good))
		require.NoError(t, err)
	}
	for name, target := range map[string]scan.Target{
		"none":            {Kind: scan.Dir, Path: t.TempDir()},
		"no directory":    {Kind: scan.Dir, Path: "gone"},
		"half":            write(".scannerwork/report-task.txt", "projectKey=shop\nceTas"),
		"another project": write(".scannerwork/report-task.txt", "projectKey=else\nceTaskId=1\n"),
		"too large":       write(".scannerwork/report-task.txt", strings.Repeat("x=y\n", 100_000)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), target)
			require.ErrorIs(t, err, scan.ErrTarget)
		})
	}
}

// The address in report-task.txt lies in the source tree: the token must not follow it.
func TestScan_tokenStaysHome(t *testing.T) {
	srv, thief := sonarqubetest.NewServer(t, nil), sonarqubetest.NewServer(t, nil)
	target := analysed(t, srv, sonarqubetest.Analysis{Project: "shop"})
	path := filepath.Join(target.Path, ".scannerwork", "report-task.txt")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(b), srv.URL, thief.URL)), 0o600))
	_, err = scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), target)
	require.NoError(t, err)
	assert.Empty(t, thief.Requests())
}

func TestScan_analyze(t *testing.T) {
	srv := sonarqubetest.NewServer(t, nil)
	task := srv.Submit(sonarqubetest.Analysis{Project: "shop", PullRequest: "7", Report: &report.Report{}})
	argsFile := filepath.Join(t.TempDir(), "args")
	fake := scantest.Script(t, "sonar-scanner", `if [ "$1" = --version ]; then echo '10:00 INFO SonarScanner CLI 6.2.1.4610'; exit; fi
printf '%s\n' "$@" > `+argsFile+`
test "$SONAR_TOKEN" = `+srv.Token+` || { echo 'ERROR Not authorized'; exit 2; }
for a in "$@"; do case "$a" in -Dsonar.scanner.metadataFilePath=*) printf 'projectKey=shop\nceTaskId=`+task+`\n' > "${a#*=}";; esac; done`)
	o := sonarqube.Options{
		Analyze: true, Scanner: fake, PullRequest: "7", PullRequestBranch: "fix", PullRequestBase: "main", Properties: map[string]string{"sonar.sources": "src dir"},
	}
	target := scan.Target{Kind: scan.Dir, Path: t.TempDir()}
	res, err := scanner(t, srv, o).Scan(t.Context(), target)
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)
	b, err := os.ReadFile(argsFile)
	require.NoError(t, err)
	for _, want := range []string{"-Dsonar.sources=src dir\n", "-Dsonar.projectKey=shop\n", "-Dsonar.pullrequest.key=7\n", "-Dsonar.pullrequest.branch=fix\n", "-Dsonar.pullrequest.base=main\n", "-Dsonar.host.url=" + srv.URL + "\n"} {
		assert.Contains(t, string(b), want)
	}
	assert.NotContains(t, string(b), srv.Token)

	o.Scanner = scantest.Script(t, "sonar-scanner", `if [ "$1" = --version ]; then echo SonarScanner 6.2.1; exit; fi; echo 'INFO hello'; echo 'ERROR You must define sonar.sources'; exit 2`)
	_, err = scanner(t, srv, o).Scan(t.Context(), target)
	require.ErrorIs(t, err, scan.ErrBroken)
	assert.ErrorContains(t, err, "a property is missing or wrong")
	assert.ErrorContains(t, err, "You must define sonar.sources")
}

func TestNew_bad(t *testing.T) {
	_, err := sonarqube.New(nil)
	require.ErrorIs(t, err, scan.ErrConfig)
	for _, says := range []string{"URL", "Token", "ProjectKey"} {
		assert.ErrorContains(t, err, says)
	}
	token := func(context.Context) (string, error) { return "x", nil }
	for url, says := range map[string]string{
		"http://sonar.example.com":              "AllowInsecureHTTP",
		"https://user:secret@sonar.example.com": "user",
		"ftp://sonar.example.com":               "http or https",
		"https://":                              "http or https",
		"https://sonar.example.com/%zz":         "parsed",
	} {
		_, err := sonarqube.New(&sonarqube.Options{URL: url, Token: token, ProjectKey: "x"})
		require.ErrorIs(t, err, scan.ErrConfig, url)
		assert.ErrorContains(t, err, says)
		assert.NotContains(t, err.Error(), "secret")
	}
	_, err = sonarqube.New(&sonarqube.Options{URL: "https://x", Token: token, ProjectKey: "x", Branch: "a", PullRequest: "1", Analyze: true, ReportTask: "x", Properties: map[string]string{
		"sonar.token": "hunter2", "sonar.login": "hunter2", "http.proxyPassword": "hunter2", "sonar.sources": "src",
	}})
	for _, says := range []string{"Branch and PullRequest", "Analyze and ReportTask", "sonar.token in", "sonar.login in", "http.proxyPassword in"} {
		assert.ErrorContains(t, err, says)
	}
	assert.NotContains(t, err.Error(), "hunter2")
	assert.NotContains(t, err.Error(), "sonar.sources")
}

// What the fake counts must follow from what was submitted.
func TestFake_measures(t *testing.T) {
	srv := sonarqubetest.NewServer(t, &sonarqubetest.Options{Pending: -1})
	r := withTrouble()
	r.Tests, r.Coverage = tests(9, 1), coverage(1, 3)
	_, err := scanner(t, srv, sonarqube.Options{}).Scan(t.Context(), analysed(t, srv, sonarqubetest.Analysis{Project: "shop", Report: r}))
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/measures/component?component=shop&metricKeys=coverage,tests,test_success_density,bugs,security_hotspots", nil)
	require.NoError(t, err)
	req.SetBasicAuth(srv.Token, "")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var doc struct {
		Component struct {
			Measures []struct{ Metric, Value string }
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&doc))
	got := map[string]string{}
	for _, m := range doc.Component.Measures {
		got[m.Metric] = m.Value
	}
	assert.Equal(t, map[string]string{"coverage": "33.3", "tests": "10", "test_success_density": "90", "bugs": "1", "security_hotspots": "1"}, got)
}
