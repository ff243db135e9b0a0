package testbed

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Git is a git server over smart HTTP: git's own http-backend.
type Git struct {
	URL string // of the server; a repository stands below it by its directory's name
	Dir string // holds the bare repositories
	tb  TB
}

// GitHTTP starts a git server that lets anybody read and write. wrap, when not nil, is put in front of it,
// to ask for a password or to spoil replies.
func GitHTTP(tb TB, wrap func(http.Handler) http.Handler) *Git {
	tb.Helper()
	git := Debian(tb, "git", "git")
	dir := tb.TempDir()
	var handler http.Handler = &cgi.Handler{
		Path: git,
		Args: []string{"http-backend"},
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=ci", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + dir},
	}
	if wrap != nil {
		handler = wrap(handler)
	}
	srv := httptest.NewServer(handler)
	tb.Cleanup(srv.Close)
	return &Git{URL: srv.URL, Dir: dir, tb: tb}
}

// Init makes a bare repository that serves partial clones and takes pushes, and returns its URL. Its branch
// is main; more settings come as name=value pairs.
func (g *Git) Init(name string, settings ...string) string {
	g.tb.Helper()
	g.run("init", "-q", "--bare", "--initial-branch=main", filepath.Join(g.Dir, name))
	for _, setting := range append([]string{"http.receivepack=true", "uploadpack.allowFilter=true", "uploadpack.allowAnySHA1InWant=true"}, settings...) {
		key, value, _ := strings.Cut(setting, "=")
		g.run("-C", filepath.Join(g.Dir, name), "config", key, value)
	}
	return g.URL + "/" + name
}

func (g *Git) run(args ...string) {
	g.tb.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+g.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		g.tb.Fatalf("testbed: git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
