package gitops_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
)

func TestConformance_fake(t *testing.T) {
	for name, o := range map[string]*gitopstest.Options{
		"default":      nil,
		"no filter":    {DisableFilter: true},
		"Azure DevOps": {RequireMultiACK: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := gitopstest.NewServer(t, o).Backend()
			for _, c := range gitopstest.Conformance() {
				t.Run(c.Name, func(t *testing.T) { assert.NoError(t, c.Run(t.Context(), b)) })
			}
		})
	}
}

// TestConformance_liars: a server that breaks its word fails the suite.
func TestConformance_liars(t *testing.T) {
	pkt := func(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }
	report := func(text string) string { return pkt("\x01"+text+"0000") + "0000" }
	for name, lie := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"says ok and does nothing": func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				return false
			}
			w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
			_, _ = io.WriteString(w, report(pkt("unpack ok\n")+pkt("ok refs/heads/main\n")))
			return true
		},
		"hides repositories that are there": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusNotFound)
			return true
		},
		"says there is nothing": func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/info/refs") {
				return false
			}
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, pkt("# service=git-upload-pack\n")+"0000"+pkt(strings.Repeat("0", 40)+" capabilities^{}\x00filter\n")+"0000")
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := gitopstest.NewServer(t, nil)
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !lie(w, r) {
					srv.ServeHTTP(w, r)
				}
			}))
			t.Cleanup(front.Close)
			b := &fronted{Backend: srv.Backend(), from: srv.URL, to: front.URL}
			assert.Error(t, gitopstest.Conformance()[0].Run(t.Context(), b))
		})
	}
	t.Run("takes a push on an old head", func(t *testing.T) {
		t.Parallel()
		srv := gitopstest.NewServer(t, nil)
		// It forgets what came between: the branch is set back before each push.
		var first string
		var once sync.Once
		forget := func(r *gitopstest.Repository) {
			once.Do(func() { first = r.Head("main") })
			r.Reset("main", first)
		}
		b := srv.Backend()
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				srv.Fail(gitopstest.Fault{Service: "git-receive-pack", Race: forget})
			}
			srv.ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		for _, c := range gitopstest.Conformance() {
			if c.Name == "many writers" {
				assert.Error(t, c.Run(t.Context(), &fronted{Backend: b, from: srv.URL, to: front.URL}))
			}
		}
	})
}

// fronted is a backend behind something that spoils it.
type fronted struct {
	gitopstest.Backend
	from, to string
}

func (f *fronted) Open(url string, o *gitops.Options) (*gitops.Repo, error) {
	with := gitops.Options{}
	if o != nil {
		with = *o
	}
	with.Attempts = min(cmp.Or(with.Attempts, 3), 3)
	return gitops.New(strings.Replace(url, f.from, f.to, 1), &with)
}
