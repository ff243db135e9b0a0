package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan/scantest"
	"github.com/waybill-dev/waybill/scan/sonarqube/sonarqubetest"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	write("leaky/a.env", "key "+"AKIA"+"Q3ZL5XWT7MVN2KPB\n")
	write("clean/a.env", "nothing\n")
	for _, name := range []string{"-dash/a.env", "two words\nand lines/a.env"} {
		write(name, "key "+"AKIA"+"Q3ZL5XWT7MVN2KPB\n")
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	require.NoError(t, os.Symlink("leaky", filepath.Join(dir, "link")))
	write("module/go.mod", "module example.com/m\n\ngo 1.22\n")
	write("module/m_test.go", "package m\n\nimport \"testing\"\n\nfunc TestM(t *testing.T) { t.Fatal() }\n")
	write("mend/whitesource/policyRejectionSummary.json", `{"rejectingPolicies":[],"summary":{"totalRejectedLibraries":0}}`)
	own := write("own.toml", "[[rules]]\nid = 'nothing'\nregex = '''nothing'''\n")
	db := filepath.Dir(filepath.Dir(write("db/index/modules.json", "[]")))
	write("db/index/db.json", `{"modified":"2026-01-02T03:04:05Z"}`)
	write("db/index/vulns.json", "[]")
	const sarif = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[{"message":{"text":"m"},"ruleId":"R"}]}]}`
	t.Chdir(dir)

	for name, tc := range map[string]struct {
		args     []string
		code     int
		status   string
		findings int
	}{
		"secret":             {[]string{"-scanner", "gitleaks", "leaky"}, 0, "findings", 1},
		"clean":              {[]string{"-scanner", "gitleaks", "dir:clean"}, 0, "clean", 0},
		"configuration":      {[]string{"-scanner", "gitleaks", "-config", own, "clean"}, 0, "findings", 1},
		"no repository":      {[]string{"-scanner", "gitleaks", "git:clean"}, 3, "failed", 0},
		"not for it":         {[]string{"-scanner", "gitleaks", "image:web:1"}, 1, "skipped", 0},
		"failed test":        {[]string{"-scanner", "unittests", "module"}, 0, "findings", 1},
		"dependencies":       {[]string{"-scanner", "govulncheck", "-db", db, "module"}, 0, "clean", 0},
		"no module":          {[]string{"-scanner", "govulncheck", "-db", db, "clean"}, 1, "skipped", 0},
		"left by Mend":       {[]string{"-scanner", "mend", "mend"}, 0, "clean", 0},
		"empty directory":    {[]string{"-scanner", "gitleaks", "empty"}, 1, "skipped", 0},
		"a link":             {[]string{"-scanner", "gitleaks", "link"}, 0, "findings", 1},
		"leading dash":       {[]string{"-scanner", "gitleaks", "dir:-dash"}, 0, "findings", 1},
		"spaces, lines":      {[]string{"-scanner", "gitleaks", "two words\nand lines"}, 0, "findings", 1},
		"killed":             {[]string{"-scanner", "command", "clean", "--", "sh", "-c", "echo '" + sarif + "'; kill -9 $$"}, 3, "failed", 0},
		"warnings first":     {[]string{"-scanner", "command", "clean", "--", "sh", "-c", "echo WARN; echo '" + sarif + "'"}, 3, "failed", 0},
		"no output":          {[]string{"-scanner", "command", "clean", "--", "true"}, 3, "failed", 0},
		"cut short":          {[]string{"-scanner", "command", "clean", "--", "printf", "%s", sarif[:60]}, 3, "failed", 0},
		"no tests":           {[]string{"-scanner", "command", "clean", "--", "echo", "<testsuites/>"}, 3, "failed", 0},
		"any command":        {[]string{"-scanner", "command", "clean", "--", "echo", sarif}, 0, "findings", 1},
		"no such command":    {[]string{"-scanner", "command", "clean", "--", "no-such-tool"}, 3, "failed", 0},
		"out of time":        {[]string{"-scanner", "command", "-timeout", "10ms", "clean", "--", "sleep", "60"}, 3, "failed", 0},
		"no target":          {[]string{"-scanner", "gitleaks"}, 2, "", 0},
		"no such target":     {[]string{"-scanner", "gitleaks", "gone"}, 2, "", 0},
		"no such scanner":    {[]string{"-scanner", "nope", "clean"}, 2, "", 0},
		"no command":         {[]string{"-scanner", "command", "clean"}, 2, "", 0},
		"no server":          {[]string{"-scanner", "sonarqube", "clean"}, 2, "", 0},
		"unknown flag":       {[]string{"-x"}, 2, "", 0},
		"help":               {[]string{"-h"}, 0, "", 0},
		"database not there": {[]string{"-scanner", "govulncheck", "-db", "gone", "module"}, 3, "failed", 0},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.sarif")
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), append([]string{"-o", out}, tc.args...), &stdout, &stderr)
			require.Equal(t, tc.code, code, stderr.String())
			if tc.status == "" {
				assert.Empty(t, stdout.String())
				assert.NoFileExists(t, out)
				return
			}
			var got summary
			require.NoError(t, json.Unmarshal(stdout.Bytes(), &got))
			assert.Equal(t, tc.status, string(got.Status))
			assert.Equal(t, tc.findings, got.Findings)
			assert.Equal(t, tc.status == "failed" || tc.status == "skipped", got.Reason != "")

			f, err := os.Open(out)
			require.NoError(t, err)
			defer f.Close()
			r, err := report.ReadSARIF(t.Context(), f, nil)
			if tc.status != "skipped" { // nothing was scanned, and so there is no run to read
				require.NoError(t, err)
				assert.Equal(t, tc.status == "failed", r.Runs[0].Status != report.StatusCompleted)
			}
		})
	}
}

// Only files are replaced: as root it would be the machine's /dev/null.
func TestRun_output(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no /dev/fd")
	}
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target.sarif"), filepath.Join(dir, "link.sarif")
	require.NoError(t, os.WriteFile(target, []byte("before"), 0o600))
	require.NoError(t, os.Symlink(target, link))
	r, w, err := os.Pipe()
	require.NoError(t, err)
	for _, out := range []string{link, fmt.Sprintf("/dev/fd/%d", w.Fd())} {
		var stdout, stderr bytes.Buffer
		require.Zero(t, run(t.Context(), []string{"-scanner", "command", "-o", out, dir, "--", "echo", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[]}]}`}, &stdout, &stderr), "%s%s", &stdout, &stderr)
	}
	require.NoError(t, w.Close())
	piped, err := io.ReadAll(r)
	require.NoError(t, err)
	linked, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Contains(t, string(piped), `"2.1.0"`)
	assert.JSONEq(t, string(linked), string(piped))
}

// sonar-scanner reads its configuration itself: a file may hold credentials and lines that go on.
func TestRun_sonarQube(t *testing.T) {
	srv := sonarqubetest.NewServer(t, nil)
	task := srv.Submit(sonarqubetest.Analysis{Project: "com.acme:shop", Report: &report.Report{}})
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.WriteFile("sonar.properties", []byte("# sonar.projectKey=x\nsonar.projectKey: com.acme\\:shop \r\nsonar.exclusions=a,\\\n  b\nsonar.password=hunter2\n"), 0o600))
	fake := scantest.Script(t, "sonar-scanner", `if [ "$1" = --version ]; then echo SonarScanner 6.2.1; exit; fi
case "$*" in *hunter2*|*exclusions*) exit 9;; *-Dproject.settings=`+dir+`/sonar.properties*) ;; *) exit 9;; esac
for a in "$@"; do case "$a" in -Dsonar.scanner.metadataFilePath=*) printf 'projectKey=com.acme:shop\nceTaskId=`+task+`\n' > "${a#*=}";; esac; done`)
	t.Setenv("PATH", filepath.Dir(fake)+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("SONAR_HOST_URL", srv.URL)
	t.Setenv("SONAR_TOKEN", srv.Token)
	t.Setenv("SONAR_PROJECT_KEY", "")
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitDone, run(t.Context(), []string{"-scanner", "sonarqube", "-config", "sonar.properties", "dir:."}, &stdout, &stderr), "%s%s", &stdout, &stderr)
	assert.Contains(t, stdout.String(), `"status":"clean"`)
}
