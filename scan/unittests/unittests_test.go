package unittests_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
	"github.com/waybill-dev/waybill/scan/unittests"
)

const module = "module example.com/shop\n\ngo 1.22\n"

const code = `package shop

func Sum(a, b int) int {
	if a == 0 {
		return b
	}
	return a + b
}
`

const passing = `package shop

import "testing"

func TestSum(t *testing.T) {
	if Sum(1, 2) != 3 {
		t.Fatal("wrong")
	}
}
`

const failing = `package shop

import "testing"

func TestSum(t *testing.T) { t.Error("one and two is", Sum(1, 2)) }
func TestOther(t *testing.T) {}
`

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

func TestGo(t *testing.T) {
	target := files(t, map[string]string{"go.mod": module, "shop.go": code, "shop_test.go": passing})
	res, err := unittests.NewGo(nil).Scan(t.Context(), target)
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)
	assert.Equal(t, report.TestCounts{Total: 1, Passed: 1}, res.Report.Tests.Counts())
	require.Len(t, res.Report.Coverage.Files, 1)
	assert.Equal(t, "shop.go", res.Report.Coverage.Files[0].Path)
	c := res.Report.Coverage.Counts()
	assert.Equal(t, []int{3, 2}, []int{c.Statements, c.StatementsCovered})
	assert.Equal(t, "go test", res.Report.Runs[0].Tool)
	assert.NotEmpty(t, res.Version)
}

func TestGo_options(t *testing.T) {
	target := files(t, map[string]string{"go.mod": module, "shop.go": code, "shop_test.go": failing, "sub/sub_test.go": "package sub\n"})
	res, err := unittests.NewGo(&unittests.GoOptions{
		Run: "Other", Packages: []string{"."}, DisableCoverage: true, DisableShuffle: true, Tags: []string{"x", "y"},
		Timeout: time.Minute, Args: []string{"-short"},
	}).Scan(t.Context(), target)
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)
	assert.Equal(t, 1, res.Report.Tests.Counts().Total)
	assert.Nil(t, res.Report.Coverage)
}

func TestGo_failures(t *testing.T) {
	for name, tc := range map[string]struct {
		test string
		o    unittests.GoOptions
		want report.TestCounts
	}{
		"a test":         {failing, unittests.GoOptions{}, report.TestCounts{Total: 2, Passed: 1, Failed: 1}},
		"a panic":        {"package shop\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) { panic(\"boom\") }\n", unittests.GoOptions{}, report.TestCounts{Total: 1, Failed: 1}},
		"an early exit":  {"package shop\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestSum(t *testing.T) { os.Exit(3) }\n", unittests.GoOptions{}, report.TestCounts{Total: 1, Failed: 1}},
		"no build":       {"package shop\n\nfunc TestSum(t *testing.T) { undefined() }\n", unittests.GoOptions{}, report.TestCounts{Total: 1, Errors: 1}},
		"no time left":   {"package shop\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) { select {} }\n", unittests.GoOptions{Timeout: 100 * time.Millisecond}, report.TestCounts{Total: 1, Failed: 1}},
		"failed in main": {"package shop\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestMain(m *testing.M) { os.Exit(1) }\n\nfunc TestSum(t *testing.T) {}\n", unittests.GoOptions{}, report.TestCounts{Total: 1, Errors: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			target := files(t, map[string]string{"go.mod": module, "shop.go": code, "shop_test.go": tc.test})
			res, err := unittests.NewGo(&tc.o).Scan(t.Context(), target)
			require.NoError(t, err)
			assert.Equal(t, scan.Findings, res.Status)
			assert.Equal(t, tc.want, res.Report.Tests.Counts())
		})
	}
}

func TestGo_broken(t *testing.T) {
	for name, tc := range map[string]struct {
		content map[string]string
		o       unittests.GoOptions
		kind    error
	}{
		"no module":     {map[string]string{"x.txt": ""}, unittests.GoOptions{}, scan.ErrTarget},
		"no tests":      {map[string]string{"go.mod": module, "shop.go": code}, unittests.GoOptions{}, scan.ErrSkipped},
		"unknown flag":  {map[string]string{"go.mod": module, "shop.go": code}, unittests.GoOptions{Args: []string{"-mod=nonsense"}}, scan.ErrBroken},
		"no go":         {map[string]string{"go.mod": module}, unittests.GoOptions{Go: "/nowhere/go"}, scan.ErrToolMissing},
		"bad module":    {map[string]string{"go.mod": "modul x"}, unittests.GoOptions{}, scan.ErrBroken},
		"no such place": {nil, unittests.GoOptions{}, scan.ErrTarget},
	} {
		t.Run(name, func(t *testing.T) {
			target := files(t, tc.content)
			if tc.content == nil {
				target.Path += "/gone"
			}
			res, err := unittests.NewGo(&tc.o).Scan(t.Context(), target)
			require.ErrorIs(t, err, tc.kind)
			assert.Nil(t, res)
		})
	}
}

// A go command that ends badly, or prints something else, must not look like tests that passed.
func TestGo_goesWrong(t *testing.T) {
	const pass = `{"Action":"run","Package":"p","Test":"T"}\n{"Action":"pass","Package":"p","Test":"T"}\n{"Action":"pass","Package":"p"}\n`
	for name, tc := range map[string]struct {
		body string
		kind error
		says string
	}{
		"fails without a failed test": {"printf '" + pass + "'; echo out of memory >&2; exit 1", scan.ErrBroken, "out of memory"},
		"killed":                      {"printf '" + pass + "'; kill -9 $$", scan.ErrBroken, "killed"},
		"no JSON":                     {"echo ok p 0.1s", scan.ErrOutput, "go test -json"},
		"nothing":                     {"exit 0", scan.ErrOutput, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := scantest.Script(t, "go", `case "$1" in version) echo go version go1.26.8 linux/amd64; exit;; env) echo x/go.mod; exit;; esac`+"\n"+tc.body)
			_, err := unittests.NewGo(&unittests.GoOptions{Go: fake}).Scan(t.Context(), files(t, map[string]string{"go.mod": module}))
			require.ErrorIs(t, err, tc.kind)
			assert.ErrorContains(t, err, tc.says)
		})
	}
	old := scantest.Script(t, "go", "echo go version go1.4 linux/amd64")
	_, err := unittests.NewGo(&unittests.GoOptions{Go: old}).Scan(t.Context(), files(t, map[string]string{"go.mod": module}))
	require.ErrorIs(t, err, scan.ErrToolVersion)
}

func TestGo_cancelled(t *testing.T) {
	target := files(t, map[string]string{"go.mod": module, "shop.go": code, "shop_test.go": "package shop\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) { select {} }\n"})
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := unittests.NewGo(nil).Scan(ctx, target)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestScan_skips(t *testing.T) {
	dir := t.TempDir()
	for _, target := range []scan.Target{
		{Kind: scan.Image, Path: "x"},
		{Kind: scan.Staged, Path: dir},
		{Kind: scan.Git, Path: dir, Range: "a..b"},
	} {
		_, err := unittests.NewGo(nil).Scan(t.Context(), target)
		require.ErrorIs(t, err, scan.ErrSkipped)
	}
}

const junit = `<testsuites><testsuite name="web" tests="2" failures="0"><testcase name="a" classname="w" time="0.1"/><testcase name="b" classname="w" time="0.2"/></testsuite></testsuites>`

const junitFailed = `<testsuite name="web" tests="1" failures="1"><testcase name="a" classname="w"><failure message="no">trace</failure></testcase></testsuite>`

func TestRunner(t *testing.T) {
	target := files(t, map[string]string{
		"web/target/surefire/one.xml": junit,
		"api/target/surefire/two.xml": junit,
		"cover.out":                   "mode: set\nexample.com/shop/shop.go:3.24,4.12 1 1\n",
	})
	s, err := unittests.NewRunner(&unittests.RunnerOptions{Reports: []string{"**/surefire/*.xml", "cover.out"}})
	require.NoError(t, err)
	res, err := s.Scan(t.Context(), target)
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)
	assert.Equal(t, 4, res.Report.Tests.Counts().Total)
	assert.Equal(t, 1, res.Report.Coverage.Counts().StatementsCovered)
}

func TestRunner_command(t *testing.T) {
	write := func(report string, code string) string {
		return scantest.Script(t, "runner", "printf '%s' '"+report+"' > report.xml; echo noise >&2; exit "+code)
	}
	for name, tc := range map[string]struct {
		report, code string
		status       scan.Status
		kind         error
		says         string
	}{
		"passed":                    {junit, "0", scan.Clean, nil, ""},
		"failed":                    {junitFailed, "1", scan.Findings, nil, ""},
		"failed and exits with 0":   {junitFailed, "0", scan.Findings, nil, ""},
		"fails but says all passed": {junit, "1", "", scan.ErrBroken, "names no failed test"},
		"skipped all":               {`<testsuite name="w"><testcase name="a"><skipped/></testcase></testsuite>`, "0", "", scan.ErrSkipped, "1 were skipped"},
		"half a report":             {junit[:60], "0", "", scan.ErrOutput, "report.xml"},
		"an empty report":           {"", "0", "", scan.ErrOutput, "report.xml"},
		"another format":            {"hello", "0", "", scan.ErrOutput, "report.xml"},
		"findings":                  {`[{"RuleID":"x","File":"a"}]`, "0", "", scan.ErrOutput, "neither tests nor coverage"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := unittests.NewRunner(&unittests.RunnerOptions{Command: []string{write(tc.report, tc.code)}, Reports: []string{"report.xml"}})
			require.NoError(t, err)
			res, err := s.Scan(t.Context(), files(t, map[string]string{"x": ""}))
			if tc.kind != nil {
				require.ErrorIs(t, err, tc.kind)
				assert.ErrorContains(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.status, res.Status)
		})
	}
}

// Yesterday's report is no proof that today's tests passed.
func TestRunner_stale(t *testing.T) {
	target := files(t, map[string]string{"report.xml": junit})
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(target.Path, "report.xml"), old, old))
	s, err := unittests.NewRunner(&unittests.RunnerOptions{Command: []string{scantest.Script(t, "runner", "exit 0")}, Reports: []string{"report.xml"}})
	require.NoError(t, err)
	_, err = s.Scan(t.Context(), target)
	require.ErrorIs(t, err, scan.ErrOutput)
	assert.ErrorContains(t, err, "left over")

	s, err = unittests.NewRunner(&unittests.RunnerOptions{Reports: []string{"report.xml", "*.info"}})
	require.NoError(t, err)
	_, err = s.Scan(t.Context(), target)
	require.ErrorIs(t, err, scan.ErrOutput)
	assert.ErrorContains(t, err, `no file matches "*.info"`)
}

// ./gradlew is the target's, wherever the caller is.
func TestRunner_ownProgram(t *testing.T) {
	target := files(t, map[string]string{"work/gradlew": "#!/bin/sh\necho '" + junit + "' > report.xml\n"})
	require.NoError(t, os.Chmod(filepath.Join(target.Path, "work", "gradlew"), 0o700))
	t.Chdir(target.Path)
	target.Path = "work"
	s, err := unittests.NewRunner(&unittests.RunnerOptions{Command: []string{"./gradlew"}, Reports: []string{"report.xml"}})
	require.NoError(t, err)
	res, err := s.Scan(t.Context(), target)
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)
}

func TestNewRunner_bad(t *testing.T) {
	_, err := unittests.NewRunner(nil)
	require.ErrorIs(t, err, scan.ErrConfig)
	_, err = unittests.NewRunner(&unittests.RunnerOptions{Command: []string{}, Reports: []string{"../x.xml", "a[", "ok.xml"}})
	require.ErrorIs(t, err, scan.ErrConfig)
	for _, says := range []string{"Command", `"../x.xml"`, `"a["`} {
		assert.ErrorContains(t, err, says)
	}
}
