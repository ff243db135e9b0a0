//go:build integration

package sonarqube_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/sonarqube"
	"github.com/waybill-dev/waybill/scan/sonarqube/sonarqubetest"
)

const trouble = `import hashlib


def login(a):
    if a == a:
        print(hashlib.md5(b"x"))
    password = "hunter2hunter2"
    return password
`

func TestIntegration(t *testing.T) {
	srv := testbed.StartSonarQube(t)
	srv.Post(t, "qualitygates/create", "name", "strict")
	srv.Post(t, "qualitygates/create_condition", "gateName", "strict", "metric", "violations", "op", "GT", "error", "0")

	analyseFile := func(tb testing.TB, project, gate, name, content string) string {
		tb.Helper()
		dir := tb.TempDir()
		require.NoError(tb, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		srv.Post(tb, "projects/create", "project", project, "name", project)
		if gate != "" {
			srv.Post(tb, "qualitygates/select", "gateName", gate, "projectKey", project)
		}
		cmd := exec.Command(srv.Scanner, "-Dsonar.host.url="+srv.URL, "-Dsonar.projectKey="+project, "-Dsonar.sources=.", "-Dsonar.python.version=3.11", "-Dsonar.scanner.skipJreProvisioning=true")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "SONAR_TOKEN="+srv.Token)
		out, err := cmd.CombinedOutput()
		require.NoError(tb, err, "%s", out)
		return dir
	}
	t.Run("suite", func(t *testing.T) {
		sonarqubetest.TestBackend(t, sonarqubetest.Backend{
			URL: srv.URL, Token: srv.Token,
			Analyse: func(tb testing.TB, project string, clean bool) string {
				tb.Helper()
				if clean {
					return analyseFile(tb, project, "", "app.py", "def add(a, b):\n    return a + b\n")
				}
				return analyseFile(tb, project, "strict", "app.py", trouble)
			},
			Empty: func(tb testing.TB, project string) string {
				tb.Helper()
				return analyseFile(tb, project, "", "notes.xyz", "no language\n")
			},
		})
	})
	t.Run("analyse", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "app.py"), []byte(trouble), 0o600))
		s, err := sonarqube.New(&sonarqube.Options{
			URL: srv.URL, Token: func(context.Context) (string, error) { return srv.Token, nil }, ProjectKey: "analysed",
			Analyze: true, Scanner: srv.Scanner, Properties: map[string]string{"sonar.sources": ".", "sonar.scanner.skipJreProvisioning": "true"},
		})
		require.NoError(t, err)
		res, err := s.Scan(t.Context(), scan.Target{Kind: scan.Dir, Path: dir})
		require.NoError(t, err)
		assert.Equal(t, scan.Findings, res.Status)
		assert.Equal(t, testbed.SonarQubeVersion, res.Version)

		s, err = sonarqube.New(&sonarqube.Options{
			URL: srv.URL, Token: func(context.Context) (string, error) { return "squ_wrong_token", nil }, ProjectKey: "analysed",
			Analyze: true, Scanner: srv.Scanner, Properties: map[string]string{"sonar.scanner.skipJreProvisioning": "true"},
		})
		require.NoError(t, err)
		_, err = s.Scan(t.Context(), scan.Target{Kind: scan.Dir, Path: dir})
		require.ErrorIs(t, err, scan.ErrBroken)
		assert.NotContains(t, err.Error(), "squ_wrong_token")
	})
}
