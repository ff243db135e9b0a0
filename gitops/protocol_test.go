package gitops_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

// TestBump_requests pins what goes over the wire: which way is chosen, and that nothing is asked twice.
func TestBump_requests(t *testing.T) {
	history := gitopstest.History{Files: 1000, Commits: 20}
	filters := func(requests []gitopstest.Request) (all []string) {
		for _, r := range requests {
			switch {
			case r.Advertise:
				all = append(all, "references")
			case r.Service == "git-receive-pack":
				all = append(all, "push")
			default:
				all = append(all, strings.TrimSpace(fmt.Sprintf("%d wants %s", len(r.Wants), r.Filter)))
			}
		}
		return all
	}
	paths := []string{history.Path(7), history.Path(508)}
	edits := func(n int) []manifest.Edit {
		return []manifest.Edit{{Image: history.Image(7), To: fmt.Sprintf("v%d", n)}, {Image: history.Image(508), To: fmt.Sprintf("v%d", n)}}
	}
	for name, tt := range map[string]struct {
		o     gitopstest.Options
		paths []string
		first []string
		again []string
	}{
		"far": {
			gitopstest.Options{Latency: 30 * time.Millisecond},
			paths,
			[]string{"references", "1 wants blob:none", "2 wants", "push"},
			[]string{"references", "push"},
		},
		"any depth": {
			gitopstest.Options{},
			[]string{"**/deploy-0.yaml"},
			[]string{"references", "1 wants blob:none", "1000 wants", "push"},
			[]string{"references", "push"},
		},
		"no partial clone": {
			gitopstest.Options{DisableFilter: true},
			paths,
			[]string{"references", "1 wants", "push"},
			[]string{"references", "1 wants", "push"},
		},
		"no path": {
			gitopstest.Options{},
			nil,
			[]string{"references", "1 wants", "push"},
			[]string{"references", "1 wants", "push"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := gitopstest.NewServer(t, &tt.o)
			fake := srv.Create("deploy.git", nil)
			fake.Generate(history)
			repo, err := gitops.New(fake.URL(), nil)
			require.NoError(t, err)
			for n, want := range [][]string{tt.first, tt.again} {
				srv.Reset()
				c, err := repo.Bump(t.Context(), edits(n), &gitops.BumpOptions{Paths: tt.paths})
				require.NoError(t, err)
				assert.Equal(t, fake.Head("main"), c.Revision)
				assert.Equal(t, want, filters(srv.Requests()))
			}
			// Somebody else's commit: only what it changed is missing.
			fake.Commit("main", "by another", map[string]string{"other.yaml": "x: 1\n"})
			srv.Reset()
			_, err = repo.Bump(t.Context(), edits(9), &gitops.BumpOptions{Paths: tt.paths})
			require.NoError(t, err)
			assert.LessOrEqual(t, len(srv.Requests()), len(tt.first))
			require.NoError(t, fake.Fsck())
		})
	}
}

// A near server is walked. How near it is depends on how busy this machine is, so the way is not pinned, only
// that both ways come to the same commit.
func TestBump_sameResult(t *testing.T) {
	history := gitopstest.History{Files: 200, Commits: 5}
	trees := map[string]bool{}
	for _, o := range []*gitopstest.Options{nil, {Latency: 25 * time.Millisecond}, {DisableFilter: true}, {RequireMultiACK: true}, {HideSymref: true}} {
		for _, paths := range [][]string{nil, {history.Path(3)}, {"clusters/*/apps/app-000/*"}, {"**"}} {
			srv := gitopstest.NewServer(t, o)
			fake := srv.Create("deploy.git", nil)
			fake.Generate(history)
			repo, err := gitops.New(fake.URL(), nil)
			require.NoError(t, err)
			_, err = repo.Bump(t.Context(), []manifest.Edit{{Image: history.Image(3), To: "v2"}}, &gitops.BumpOptions{Paths: paths})
			require.NoError(t, err)
			log, err := fake.Log("main")
			require.NoError(t, err)
			trees[log[0].Tree] = true
		}
	}
	assert.Len(t, trees, 1)
}

// TestBump_writers: bumps of one Repo take turns, bumps of several race, and nothing is lost either way.
func TestBump_writers(t *testing.T) {
	const writers, each = 8, 4
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			history := gitopstest.History{Files: writers}
			srv := gitopstest.NewServer(t, nil)
			fake := srv.Create("deploy.git", nil)
			fake.Generate(history)
			one, err := gitops.New(fake.URL(), nil)
			require.NoError(t, err)
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					repo := one
					if !shared {
						repo, _ = gitops.New(fake.URL(), &gitops.Options{Attempts: 100})
					}
					for n := range each {
						_, err := repo.Bump(t.Context(), []manifest.Edit{{Image: history.Image(w), To: fmt.Sprintf("v%d", n)}}, &gitops.BumpOptions{Paths: []string{history.Path(w)}})
						assert.NoError(t, err)
					}
				})
			}
			wg.Wait()
			log, err := fake.Log("main")
			require.NoError(t, err)
			assert.Len(t, log, 1+writers*each)
			require.NoError(t, fake.Fsck())
			if shared {
				pushes := 0
				for _, r := range srv.Requests() {
					pushes += len(r.Commands)
				}
				assert.Equal(t, writers*each, pushes, "no push lost a race")
			}
		})
	}
}

func TestBump_credentials(t *testing.T) {
	const token = "s3cret-t0ken"
	srv := gitopstest.NewServer(t, &gitopstest.Options{Users: map[string]string{"git": token, "reader": "r"}, ReadOnly: []string{"reader"}})
	fake := srv.Create("deploy.git", files())
	calls := 0
	bump := func(o *gitops.Options) error {
		o.Attempts = 3
		repo, err := gitops.New(fake.URL(), o)
		require.NoError(t, err)
		_, err = repo.Bump(t.Context(), toV2, nil)
		return err
	}
	func() {
		err := bump(&gitops.Options{})
		require.ErrorIs(t, err, gitops.ErrDenied)
		assert.ErrorContains(t, err, "without credentials")
	}()
	err := bump(&gitops.Options{User: "reader", Token: func(context.Context) (string, error) { return "r", nil }})
	require.ErrorIs(t, err, gitops.ErrDenied)
	assert.ErrorContains(t, err, "git-receive-pack")
	err = bump(&gitops.Options{Token: func(context.Context) (string, error) { return "wrong-" + token, nil }})
	require.ErrorIs(t, err, gitops.ErrDenied)
	assert.NotContains(t, err.Error(), token)
	broken := errors.New("vault is sealed")
	err = bump(&gitops.Options{Token: func(context.Context) (string, error) { return "", broken }})
	require.ErrorIs(t, err, broken)

	srv.Fail(gitopstest.Fault{Service: "git-receive-pack", Drop: gitopstest.DropBefore})
	require.NoError(t, bump(&gitops.Options{Token: func(context.Context) (string, error) { calls++; return token, nil }}))
	assert.Equal(t, 2, calls, "asked for with each attempt")
}

func TestBump_redirect(t *testing.T) {
	srv := gitopstest.NewServer(t, nil)
	fake := srv.Create("deploy.git", files())
	seen := ""
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("Authorization") }))
	t.Cleanup(thief.Close)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+"/deploy.git?token=x", http.StatusFound)
	}))
	t.Cleanup(front.Close)
	repo, err := gitops.New(front.URL+"/deploy.git", &gitops.Options{Token: func(context.Context) (string, error) { return "s3cret", nil }})
	require.NoError(t, err)
	_, err = repo.Bump(t.Context(), toV2, nil)
	require.ErrorIs(t, err, gitops.ErrOptions)
	assert.ErrorContains(t, err, "redirect refused")
	assert.NotContains(t, err.Error(), "token=")
	assert.Empty(t, seen)
	_ = fake
}

// Like GitLab: the address without ".git" is redirected for the references, and takes no other request.
func TestBump_redirectWithin(t *testing.T) {
	srv := gitopstest.NewServer(t, nil)
	fake := srv.Create("a b.git", files())
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path, short := strings.CutPrefix(r.URL.EscapedPath(), "/a%20b/"); {
		case !short:
			srv.ServeHTTP(w, r)
		case r.Method == http.MethodGet:
			http.Redirect(w, r, "/a%20b.git/"+path+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(front.Close)
	repo, err := gitops.New(front.URL+"/a%20b", nil)
	require.NoError(t, err)
	c, err := repo.Bump(t.Context(), toV2, nil)
	require.NoError(t, err)
	assert.Equal(t, fake.Head("main"), c.Revision)
}

// TestBump_strangeServers answers with what is no git.
func TestBump_strangeServers(t *testing.T) {
	advert := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, text)
		}
	}
	pkt := func(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }
	head := pkt("# service=git-upload-pack\n") + "0000"
	zero := strings.Repeat("0", 40)
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		kind    error
		text    string
	}{
		"web page":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, gitops.ErrProtocol, "not a git repository"},
		"dumb http":       {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/plain") }, gitops.ErrProtocol, "smart HTTP"},
		"no packet":       {advert("hello"), gitops.ErrProtocol, ""},
		"no capabilities": {advert(head + pkt(strings.Repeat("a", 40)+" refs/heads/main\n") + "0000"), gitops.ErrProtocol, "capabilities"},
		"garbage":         {advert(head + pkt("zz refs/heads/main\x00x\n") + "0000"), gitops.ErrProtocol, ""},
		"sha256":          {advert(head + pkt(strings.Repeat("a", 64)+" HEAD\x00object-format=sha256\n") + "0000"), gitops.ErrProtocol, "sha256"},
		"empty":           {advert(head + pkt(zero+" capabilities^{}\x00report-status\n") + "0000"), gitops.ErrNotFound, "empty"},
		"empty, old git":  {advert(head + "0000"), gitops.ErrNotFound, "empty"},
		"error line":      {advert(pkt("ERR access denied, go away")), gitops.ErrDenied, "go away"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			advert(head+pkt(strings.Repeat("a", 40)+" refs/heads/x\x00ofs-delta\n"))(w, nil)
			chunk := strings.Repeat(pkt(strings.Repeat("b", 40)+" refs/tags/"+strings.Repeat("t", 900)+"\n"), 1000)
			for range 80 {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		}, gitops.ErrTooLarge, "cap of 67108864 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(tt.handler)
			t.Cleanup(srv.Close)
			repo, err := gitops.New(srv.URL+"/x", &gitops.Options{Attempts: 1})
			require.NoError(t, err)
			_, err = repo.Bump(t.Context(), toV2, nil)
			require.ErrorIs(t, err, tt.kind)
			assert.ErrorContains(t, err, tt.text)
		})
	}
}

func TestBump_cap(t *testing.T) {
	srv := gitopstest.NewServer(t, nil)
	fake := srv.Create("deploy.git", map[string]string{"a.yaml": strings.Repeat("a: 1\n", 100_000)})
	repo, err := gitops.New(fake.URL(), &gitops.Options{MaxBytes: 1000})
	require.NoError(t, err)
	_, err = repo.Bump(t.Context(), toV2, nil)
	require.ErrorIs(t, err, gitops.ErrTooLarge)
	assert.ErrorContains(t, err, "MaxBytes")
}

// Modes, symbolic links and submodules stay what they are.
func TestBump_modes(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main", ".")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "run.yaml"), []byte(web), 0o755))
	require.NoError(t, os.Symlink("run.yaml", filepath.Join(dir, "link.yaml")))
	git(t, dir, "add", "-A")
	git(t, dir, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",sub.yaml")
	git(t, dir, "commit", "-qm", "first")
	bare := filepath.Join(t.TempDir(), "deploy.git")
	git(t, dir, "clone", "-q", "--bare", dir, bare)
	for _, paths := range [][]string{nil, {"*"}} {
		repo, err := gitops.New(serveBare(t, bare), nil)
		require.NoError(t, err)
		_, err = repo.Bump(t.Context(), []manifest.Edit{{Image: "reg.io/shop/web", To: fmt.Sprintf("v%d", len(paths)+5)}}, &gitops.BumpOptions{Paths: paths})
		require.NoError(t, err)
		assert.Equal(t, "120000 link.yaml\n100755 run.yaml\n160000 sub.yaml\n", git(t, bare, "ls-tree", "--format=%(objectmode) %(path)", "main"))
		assert.Equal(t, "run.yaml\n", git(t, bare, "diff", "--name-only", "main~1", "main"))
	}
}

// The diff of a dry run is what git apply takes.
func TestBump_diffApplies(t *testing.T) {
	text := "# no newline at the end\r\n" + strings.Repeat("x: 1\n", 10) + "---\nimages:\n  - name: reg.io/a\n  - name: reg.io/b\n    newTag: v1\n" +
		"---\n" + strings.Repeat("y: 1\n---\n", 9) + "image: reg.io/a:v1"
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main", ".")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(strings.Replace(text, "images:", "kind: Kustomization\nimages:", 1)), 0o600))
	odd := []string{"a b.yaml", "ü.yaml", "quo\"te.yaml", "back\\slash.yaml", "tab\there.yaml", "new\nline.yaml"}
	for _, name := range odd {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("image: reg.io/a:v1\n"), 0o600))
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "first")
	bare := filepath.Join(t.TempDir(), "deploy.git")
	git(t, dir, "clone", "-q", "--bare", dir, bare)
	repo, err := gitops.New(serveBare(t, bare), nil)
	require.NoError(t, err)
	edits := []manifest.Edit{{Image: "reg.io/a", To: "v2"}, {Image: "reg.io/b", To: "x.io/c:v3"}}
	dry, err := repo.Bump(t.Context(), edits, &gitops.BumpOptions{DryRun: true})
	require.NoError(t, err)
	patch := filepath.Join(t.TempDir(), "p")
	require.NoError(t, os.WriteFile(patch, []byte(dry.Diff), 0o600))
	git(t, dir, "apply", "--check", "--whitespace=nowarn", patch)
	git(t, dir, "apply", "--whitespace=nowarn", patch)
	_, err = repo.Bump(t.Context(), edits, nil)
	require.NoError(t, err)
	for _, name := range append(odd, "kustomization.yaml") {
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, git(t, bare, "show", "main:"+name), string(got), dry.Diff)
	}
}

func TestBump_https(t *testing.T) {
	srv := gitopstest.NewServer(t, &gitopstest.Options{Users: map[string]string{"someone": "t0ken"}})
	fake := srv.Create("deploy.git", files())
	front := httptest.NewTLSServer(srv)
	t.Cleanup(front.Close)
	// Azure DevOps shows clone URLs with a user.
	url := strings.Replace(front.URL, "https://", "https://someone@", 1) + "/deploy.git"
	token := func(context.Context) (string, error) { return "t0ken", nil }

	repo, err := gitops.New(url, &gitops.Options{Token: token, HTTPClient: front.Client()})
	require.NoError(t, err)
	c, err := repo.Bump(t.Context(), toV2, nil)
	require.NoError(t, err)
	assert.Equal(t, fake.Head("main"), c.Revision)

	repo, err = gitops.New(url, &gitops.Options{Token: token, Attempts: 1})
	require.NoError(t, err)
	_, err = repo.Bump(t.Context(), toV2, nil)
	require.ErrorIs(t, err, gitops.ErrUnavailable, "its certificate is not trusted")
	assert.ErrorContains(t, err, "certificate")
	assert.NotContains(t, err.Error(), "someone@")
}
