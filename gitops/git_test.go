package gitops_test

import (
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"
)

// serveBare puts git's own http-backend in front of a repository and returns its URL.
func serveBare(tb testing.TB, bare string) string {
	tb.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		tb.Skip("no git program")
	}
	git(tb, bare, "config", "http.receivepack", "true")
	srv := httptest.NewServer(&cgi.Handler{
		Path: path, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(bare), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=ci", "GIT_CONFIG_NOSYSTEM=1"},
	})
	tb.Cleanup(srv.Close)
	return srv.URL + "/" + filepath.Base(bare)
}
