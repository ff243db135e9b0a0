package gitops_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

func files() map[string]string {
	return map[string]string{"apps/web/web.yaml": web, "apps/api/api.yaml": "image: reg.io/api:v1\n"}
}

var toV2 = []manifest.Edit{{Image: "reg.io/shop/web", To: "v2"}}

// TestBump_faults scripts what a server or a network can do, and says what comes of it.
func TestBump_faults(t *testing.T) {
	t.Parallel()
	push := "git-receive-pack"
	other := func(r *gitopstest.Repository) {
		r.Commit("main", "by another", map[string]string{"apps/api/api.yaml": "image: reg.io/api:v9\n"})
	}
	for name, tt := range map[string]struct {
		faults   []gitopstest.Fault
		kind     error  // nil: it works
		text     string // in the error
		attempts int
		commits  int // in the end, the first included; negative: there is no branch
	}{
		"none":                   {nil, nil, "", 1, 2},
		"lost race":              {[]gitopstest.Fault{{Service: push, Race: other}}, nil, "", 2, 3},
		"lost race, thrice":      {[]gitopstest.Fault{{Service: push, Race: other, Times: 3}}, nil, "", 4, 5},
		"always lost":            {[]gitopstest.Fault{{Service: push, Race: other, Times: 8}}, gitops.ErrConflict, "failed to update ref", 0, 9},
		"push cut before":        {[]gitopstest.Fault{{Service: push, Drop: gitopstest.DropBefore}}, nil, "", 2, 2},
		"push cut after":         {[]gitopstest.Fault{{Service: push, Drop: gitopstest.DropAfter}}, nil, "", 1, 2},
		"cut before, and raced":  {[]gitopstest.Fault{{Service: push, Race: other, Drop: gitopstest.DropBefore}}, nil, "", 2, 2},
		"protected branch":       {[]gitopstest.Fault{{Service: push, Reject: "protected branch hook declined", Message: "ask ops\x1b[31m"}}, gitops.ErrRejected, "main: protected branch hook declined: ask ops", 0, 1},
		"blocked by policy":      {[]gitopstest.Fault{{Service: push, Reject: "push blocked by policy", Message: "main is locked for the release"}}, gitops.ErrRejected, "main: push blocked by policy: main is locked", 0, 1},
		"branch locked":          {[]gitopstest.Fault{{Service: push, Reject: "failed to update ref", Message: "cannot lock ref 'refs/heads/main'", Times: 7}}, nil, "", 8, 2},
		"branch locked for good": {[]gitopstest.Fault{{Service: push, Reject: "failed to update ref", Message: "cannot lock ref 'refs/heads/main'", Times: 99}}, gitops.ErrRejected, "cannot lock ref", 0, 1},
		"branch gone meanwhile":  {[]gitopstest.Fault{{Service: push, Race: func(r *gitopstest.Repository) { r.Reset("main", "") }}}, gitops.ErrNotFound, "points to no branch", 0, -1},
		"push forbidden":         {[]gitopstest.Fault{{Service: push, Status: 403}}, gitops.ErrDenied, "HTTP 403 for git-receive-pack", 0, 1},
		"denied":                 {[]gitopstest.Fault{{Status: 401}}, gitops.ErrDenied, "HTTP 401", 0, 1},
		"away for a moment":      {[]gitopstest.Fault{{Status: 503, Times: 3}}, nil, "", 4, 2},
		"away":                   {[]gitopstest.Fault{{Status: 503, Times: 99}}, gitops.ErrUnavailable, "HTTP 503", 0, 1},
		"references cut":         {[]gitopstest.Fault{{Service: "git-upload-pack", Advertise: true, Cut: 40}}, nil, "", 2, 2},
		"a length cut":           {[]gitopstest.Fault{{Service: "git-upload-pack", Advertise: true, Cut: 2}}, nil, "", 2, 2},
		"pack cut":               {[]gitopstest.Fault{{Service: "git-upload-pack", Cut: 60}}, nil, "", 2, 2},
		"every pack cut":         {[]gitopstest.Fault{{Service: "git-upload-pack", Cut: 60, Times: 99}}, gitops.ErrUnavailable, "cut short", 0, 1},
		"teapot":                 {[]gitopstest.Fault{{Status: 418}}, gitops.ErrProtocol, "HTTP 418", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := gitopstest.NewServer(t, nil)
			fake := srv.Create("deploy.git", files())
			srv.Fail(tt.faults...)
			repo, err := gitops.New(fake.URL(), &gitops.Options{Attempts: 8})
			require.NoError(t, err)
			c, err := repo.Bump(t.Context(), toV2, &gitops.BumpOptions{Paths: []string{"apps/web/*"}})
			if tt.kind != nil {
				require.ErrorIs(t, err, tt.kind)
				assert.ErrorContains(t, err, tt.text)
				assert.NotContains(t, err.Error(), "\x1b")
				assert.Nil(t, c)
				var e *gitops.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, "bump", e.Op)
				assert.NotErrorAs(t, e.Err, new(*gitops.Error), "wrapped once")
			} else {
				require.NoError(t, err)
				assert.Equal(t, tt.attempts, c.Attempts)
				fs, _, err := fake.FS(t.Context(), c.Revision)
				require.NoError(t, err)
				f, err := fs.Open("apps/web/web.yaml")
				require.NoError(t, err)
				_ = f.Close()
			}
			if tt.commits < 0 {
				assert.Empty(t, fake.Head("main"), "the branch is not made anew")
				return
			}
			log, err := fake.Log("main")
			require.NoError(t, err)
			assert.Len(t, log, tt.commits)
			require.NoError(t, fake.Fsck())
		})
	}
}

// A push whose answer was lost, and on which another commit came to stand at once, is not repeated.
func TestBump_answerLostAndOvertaken(t *testing.T) {
	srv := gitopstest.NewServer(t, nil)
	fake := srv.Create("deploy.git", files())
	srv.Fail(gitopstest.Fault{Service: "git-receive-pack", Drop: gitopstest.DropAfter})
	var once bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/info/refs") && fakeHas(fake, "v2") && !once {
			once = true
			fake.Commit("main", "by another", map[string]string{"x.yaml": "x: 1\n"})
		}
		srv.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	repo, err := gitops.New(front.URL+"/deploy.git", nil)
	require.NoError(t, err)
	c, err := repo.Bump(t.Context(), toV2, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, c.Attempts)
	log, err := fake.Log("main")
	require.NoError(t, err)
	require.Len(t, log, 3)
	assert.Equal(t, c.Revision, log[1].Hash)
}

func fakeHas(r *gitopstest.Repository, tag string) bool {
	log, err := r.Log("main")
	return err == nil && len(log) > 1 && strings.Contains(log[0].Message, tag)
}

func TestBump_cancelled(t *testing.T) {
	srv := gitopstest.NewServer(t, nil)
	fake := srv.Create("deploy.git", files())
	repo, err := gitops.New(fake.URL(), &gitops.Options{Timeout: 50 * time.Millisecond, Attempts: 2})
	require.NoError(t, err)

	srv.Fail(gitopstest.Fault{Delay: time.Minute, Times: 2})
	_, err = repo.Bump(t.Context(), toV2, nil)
	require.ErrorIs(t, err, gitops.ErrUnavailable)
	assert.ErrorContains(t, err, "Options.Timeout")

	srv.Reset()
	srv.Fail(gitopstest.Fault{Delay: time.Minute})
	slow, err := gitops.New(fake.URL(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = slow.Bump(ctx, toV2, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	srv.Reset()
	srv.Fail(gitopstest.Fault{Status: 503, Times: 1000})
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	ailing, err := gitops.New(fake.URL(), &gitops.Options{OnRetry: func(int, error, time.Duration) { cancel() }})
	require.NoError(t, err)
	_, err = ailing.Bump(ctx, toV2, nil)
	require.ErrorIs(t, err, gitops.ErrUnavailable, "what was wrong last stays visible")
	require.ErrorIs(t, err, context.Canceled)
}

// Over HTTP/2 the answer to a push stops half-way, until Options.Timeout. The commit is in the branch all the same.
func TestBump_answerStalls(t *testing.T) {
	srv := gitopstest.NewServer(t, nil)
	fake := srv.Create("deploy.git", files())
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			srv.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		srv.ServeHTTP(answer, r)
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		_, _ = w.Write(answer.Body.Bytes()[:6])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	repo, err := gitops.New(front.URL+"/deploy.git", &gitops.Options{HTTPClient: front.Client(), Timeout: time.Second})
	require.NoError(t, err)
	c, err := repo.Bump(t.Context(), toV2, nil)
	require.NoError(t, err)
	assert.Equal(t, fake.Head("main"), c.Revision)
	assert.Equal(t, 1, c.Attempts)
}

func TestBump_results(t *testing.T) {
	srv := gitopstest.NewServer(t, nil)
	fake := srv.Create("deploy.git", map[string]string{
		"web.yaml":          "image: reg.io/web:1.10.0\n",
		"chart/web.yaml":    "{{ if .x }}\nimage: reg.io/web:1.10.0\n{{ end }}\n",
		"chart/broken.yaml": "a: b: c\n",
	})
	repo, err := gitops.New(fake.URL(), nil)
	require.NoError(t, err)
	bump := func(to string, o *gitops.BumpOptions) (*gitops.Commit, error) {
		return repo.Bump(t.Context(), []manifest.Edit{{Image: "reg.io/web", To: to}}, o)
	}
	head := fake.Head("main")

	c, err := bump("1.9.0", &gitops.BumpOptions{Supersede: gitops.BySemver})
	require.NoError(t, err)
	assert.Len(t, c.Superseded, 1)
	assert.Empty(t, c.Changes)
	assert.Equal(t, head, c.Revision)
	assert.Equal(t, []string{"chart/web.yaml"}, c.Skipped)

	c, err = bump("1.11.0", &gitops.BumpOptions{Supersede: gitops.ByBuild, DryRun: true})
	require.NoError(t, err)
	assert.Equal(t, "diff --git a/web.yaml b/web.yaml\n--- a/web.yaml\n+++ b/web.yaml\n@@ -1 +1 @@\n-image: reg.io/web:1.10.0\n+image: reg.io/web:1.11.0\n", c.Diff)
	assert.Equal(t, head, fake.Head("main"))

	_, err = bump("latest", &gitops.BumpOptions{Supersede: gitops.ByBuild})
	require.ErrorIs(t, err, gitops.ErrSupersede)

	_, err = repo.Bump(t.Context(), []manifest.Edit{{Image: "reg.io/webb", To: "v1"}}, nil)
	require.ErrorIs(t, err, gitops.ErrEdit)
	require.ErrorIs(t, err, manifest.ErrNotFound)
	me, ok := errors.AsType[*manifest.Error](err)
	require.True(t, ok)
	assert.Equal(t, []string{"reg.io/web"}, me.Near)

	_, err = repo.Bump(t.Context(), []manifest.Edit{{Image: "reg.io/web", To: "v1", Matches: 2}}, nil)
	require.ErrorIs(t, err, manifest.ErrCount)

	// It stands in the first document of a file that is skipped because of the second.
	two := srv.Create("two.git", map[string]string{"web.yaml": "image: reg.io/web:v1\n---\n{{- if .x }}\napp: web\n{{- end }}\n"})
	templates, err := gitops.New(two.URL(), nil)
	require.NoError(t, err)
	_, err = templates.Bump(t.Context(), []manifest.Edit{{Image: "reg.io/web", To: "v1"}}, nil)
	require.ErrorIs(t, err, manifest.ErrNotFound)
	assert.Equal(t, head, fake.Head("main"), "nothing of all that was pushed")
}

func TestNew_errors(t *testing.T) {
	secret := func(context.Context) (string, error) { return "x", nil }
	for name, tt := range map[string]struct {
		url  string
		o    gitops.Options
		text string
	}{
		"empty":            {"", gitops.Options{}, "url"},
		"scheme":           {"file:///x", gitops.Options{}, `scheme "file"`},
		"userinfo":         {"https://me:s3cret@host/x", gitops.Options{}, "use Token and User"},
		"query":            {"https://host/x?token=s3cret", gitops.Options{}, "query"},
		"plain http":       {"http://host/x", gitops.Options{}, "AllowInsecureHTTP"},
		"option as host":   {"ssh://-oProxyCommand=x/y", gitops.Options{SSHKey: secret, KnownHosts: []byte("x")}, "dash"},
		"option as path":   {"git@host:--upload-pack=x", gitops.Options{SSHKey: secret, KnownHosts: []byte("x")}, "dash"},
		"control":          {"https://host/x\ny", gitops.Options{}, "control"},
		"branch":           {"https://host/x", gitops.Options{Branch: "a..b"}, "Branch"},
		"branch option":    {"https://host/x", gitops.Options{Branch: "--upload-pack=x"}, "Branch"},
		"branch lock":      {"https://host/x", gitops.Options{Branch: "a.lock"}, "Branch"},
		"ssh without key":  {"git@host:x", gitops.Options{}, "KnownHosts"},
		"ssh with token":   {"git@host:x", gitops.Options{SSHKey: secret, KnownHosts: []byte("x"), Token: secret}, "Token"},
		"https with key":   {"https://host/x", gitops.Options{SSHKey: secret}, "SSHKey"},
		"negative":         {"https://host/x", gitops.Options{Attempts: -1}, "Attempts"},
		"all at once":      {"http://host/x", gitops.Options{Attempts: -1, Branch: "a b", SSHKey: secret}, "SSHKey"},
		"all at once, two": {"http://host/x", gitops.Options{Attempts: -1, Branch: "a b", SSHKey: secret}, "Branch"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gitops.New(tt.url, &tt.o)
			require.ErrorIs(t, err, gitops.ErrOptions)
			assert.ErrorContains(t, err, tt.text)
			assert.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestBump_options(t *testing.T) {
	repo, err := gitops.New("https://host.invalid/x", nil)
	require.NoError(t, err)
	_, err = repo.Bump(t.Context(), []manifest.Edit{{Image: "A B", To: ""}}, &gitops.BumpOptions{
		Paths: []string{"../x", "a/.GIT/config", "[", "/etc"}, Message: "{{", Build: "a\nb",
		Author: gitops.Identity{Name: "a\nb"}, Trailers: []gitops.Trailer{{Key: "a b", Value: "x"}},
	})
	require.ErrorIs(t, err, gitops.ErrOptions)
	for _, field := range []string{"edits", "Paths", "Message", "Build", "Author", "Trailers"} {
		assert.ErrorContains(t, err, field)
	}
}
