package argocd_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

// repo is a line of commits of one manifest, shop, at different images.
type repo struct {
	mu      sync.Mutex
	commits []string // images
	extra   fstest.MapFS
	gone    error // says the git server
}

// brokenCommit, pushed in place of an image, is a commit with a manifest that cannot be read.
const (
	brokenCommit   = "broken"
	brokenManifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n"
)

func sha(i int) string { return fmt.Sprintf("%040x", 0xabc0000000+i) }

// push adds a commit and returns its hash.
func (r *repo) push(image string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commits = append(r.commits, image)
	return sha(len(r.commits) - 1)
}

func (r *repo) source(_ context.Context, revision string) (fs.FS, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone != nil {
		return nil, "", r.gone
	}
	for i := range slices.Backward(r.commits) {
		if revision == "HEAD" || revision == "main" || revision == sha(i) {
			tree := fstest.MapFS{"shop.yaml": {Data: []byte(deployment(r.commits[i]))}}
			if r.commits[i] == brokenCommit {
				tree["broken.yaml"] = &fstest.MapFile{Data: []byte(brokenManifest)}
			}
			maps.Copy(tree, r.extra)
			return tree, sha(i), nil
		}
	}
	return nil, "", fmt.Errorf("fatal: remote error: upload-pack: not our ref %s", revision)
}

// descends is true when rev was pushed after ancestor.
func (r *repo) descends(_ context.Context, ancestor, rev string) (bool, error) {
	return rev > ancestor, nil
}

func deployment(image string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\nspec:\n  template:\n    spec:\n      containers:\n        - name: shop\n          image: " + image + "\n"
}

func newServer(tb testing.TB, r *repo, o argocdtest.Options) (*argocdtest.Server, *argocd.Client) {
	tb.Helper()
	o.Source = r.source
	if o.Apps == nil {
		o.Apps = []argocdtest.App{{Name: "shop"}}
	}
	s := argocdtest.NewServer(tb, &o)
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	c, err := argocd.New(s.URL, &argocd.Options{
		HTTPClient: &http.Client{Transport: transport},
		Token:      func(context.Context) (string, error) { return s.Token, nil },
	})
	require.NoError(tb, err)
	return s, c
}

func TestSyncAndWait(t *testing.T) {
	r := &repo{}
	first := r.push("example.com/shop:1")
	s, c := newServer(t, r, argocdtest.Options{Token: "t0p"})

	d, err := c.SyncAndWait(t.Context(), "shop", argocd.Want{Revisions: []string{first}, Images: []string{"example.com/shop:1"}}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{first}, d.Revisions)
	assert.Equal(t, argocd.Synced, d.Sync)
	assert.Equal(t, argocd.Healthy, d.Health)
	assert.Equal(t, 1, d.Syncs)
	assert.NotEmpty(t, d.Operation)

	second := r.push("example.com/shop:2")
	d, err = c.SyncAndWait(t.Context(), "shop", argocd.Want{Revisions: []string{second}, Images: []string{"example.com/shop:2"}}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"example.com/shop:2"}, d.Images)
	assert.Equal(t, "example.com/shop:2", s.Live("shop")[0].Images[0])
	assert.Positive(t, d.Took.Total)

	again, err := c.SyncAndWait(t.Context(), "shop", argocd.Want{Revisions: []string{second}}, nil)
	require.NoError(t, err)
	assert.Zero(t, again.Syncs, "nothing to do")

	history, err := c.History(t.Context(), "shop")
	require.NoError(t, err)
	require.Len(t, history, 2)
	back, err := c.Rollback(t.Context(), "shop", history[0].ID, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{first}, back.Revisions)
	d, err = c.Wait(t.Context(), "shop", argocd.Want{Revisions: back.Revisions, Images: []string{"example.com/shop:1"}, AllowOutOfSync: true}, nil)
	require.NoError(t, err)
	assert.Equal(t, argocd.OutOfSync, d.Sync)
	assert.Equal(t, []string{first}, d.Revisions)
}

func TestConformance(t *testing.T) {
	r := &repo{}
	r.push("registry.example.com/shop:first")
	s, c := newServer(t, r, argocdtest.Options{Token: "t0p", Apps: []argocdtest.App{{Name: "shop"}, {Name: "auto", AutoSync: true}}, Health: stuck})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	denied, err := argocd.New(s.URL, &argocd.Options{HTTPClient: &http.Client{Transport: transport}, Token: func(context.Context) (string, error) { return "no", nil }})
	require.NoError(t, err)
	argocdtest.TestConformance(t, &argocdtest.Target{
		Client: c, Denied: denied, Manual: "shop", Auto: "auto", Descends: r.descends,
		Push: func(_ context.Context, _, image string, _ bool) (string, error) { return r.push(image), nil },
	})
}

// stuck makes the images called stuck never become healthy.
func stuck(_ string, res argocdtest.Resource) []argocdtest.Step {
	if len(res.Images) == 1 && strings.HasSuffix(res.Images[0], ":stuck") {
		return []argocdtest.Step{{Health: argocd.Progressing}, {After: 10 * time.Millisecond, Health: argocd.Degraded, Message: "exceeded its progress deadline"}}
	}
	return nil
}

func TestSyncAndWait_neverHealthy(t *testing.T) {
	r := &repo{}
	rev := r.push("example.com/shop:broken")
	_, c := newServer(t, r, argocdtest.Options{Health: func(string, argocdtest.Resource) []argocdtest.Step {
		return []argocdtest.Step{{Health: argocd.Progressing}, {After: time.Millisecond, Health: argocd.Degraded, Message: "ImagePullBackOff"}}
	}})
	_, err := c.SyncAndWait(t.Context(), "shop", argocd.Want{Revisions: []string{rev}}, &argocd.WaitOptions{DegradedGrace: 50 * time.Millisecond})
	require.ErrorIs(t, err, argocd.ErrDegraded)
	var e *argocd.Error
	require.ErrorAs(t, err, &e)
	require.NotNil(t, e.Report)
	assert.Equal(t, argocd.Degraded, e.Report.Health)
	assert.Contains(t, e.Report.String(), "ImagePullBackOff")
	assert.ErrorContains(t, err, "ImagePullBackOff")
}
