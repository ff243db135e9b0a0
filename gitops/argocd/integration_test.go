//go:build integration

package argocd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
	"github.com/waybill-dev/waybill/gitops/manifest"
	"github.com/waybill-dev/waybill/internal/testbed"
)

// TestConformance_real runs the suite on real servers: commits are made by gitops, as a pipeline would.
func TestConformance_real(t *testing.T) {
	for _, spec := range []testbed.Spec{testbed.ArgoCD33, testbed.ArgoCD214} {
		t.Run(spec.Name, func(t *testing.T) {
			shop := testbed.NewShop(t, "manual", "auto")
			server := testbed.ArgoCD(t, spec)
			server.Application("manual", shop.URL, "manual", false)
			server.Application("auto", shop.URL, "auto", true)
			client := func(token string) *argocd.Client { return realClient(t, server, token) }
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			repo, err := gitops.New(shop.URL, &gitops.Options{HTTPClient: &http.Client{Transport: transport}})
			require.NoError(t, err)
			stuck := map[string]bool{}
			argocdtest.TestConformance(t, &argocdtest.Target{
				Client: client(server.APIKey), Denied: client("nonsense"), Manual: "manual", Auto: "auto", Descends: shop.Descends,
				Push: func(ctx context.Context, app, image string, healthy bool) (string, error) {
					if !healthy || stuck[app] { // more changes than the image
						stuck[app] = !healthy
						return shop.Commit(ctx, app, image, healthy)
					}
					c, err := repo.Bump(ctx, []manifest.Edit{{Image: "registry.example.com/shop", To: image}}, &gitops.BumpOptions{Paths: []string{app + "/*.yaml"}})
					if err != nil {
						return "", err
					}
					return c.Revision, nil
				},
			})
		})
	}
}

func realClient(t *testing.T, server *testbed.ArgoCDServer, token string) *argocd.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := argocd.New(server.Server, &argocd.Options{
		HTTPClient: &http.Client{Transport: transport},
		Token:      func(context.Context) (string, error) { return token, nil },
	})
	require.NoError(t, err)
	return c
}

// TestWriters_real lets 16 writers bump one repository at once, each its own image as if in a process of its own,
// and each wait on the real server for its own commit, or one that contains it, and its own image. They share one
// application, and so get in each other's way twice: at the branch and at the operation.
func TestWriters_real(t *testing.T) {
	const writers, rounds = 16, 2
	image := func(w int) string { return fmt.Sprintf("registry.example.com/shop/service-%d", w) }
	path := func(w int) string { return fmt.Sprintf("writers/service-%d.yaml", w) }
	shop := testbed.NewShop(t)
	files := map[string]string{}
	for w := range writers {
		files[path(w)] = testbed.Deployment(fmt.Sprintf("service-%d", w), image(w)+":v0", true)
	}
	first, err := shop.Push(t.Context(), "all services", files)
	require.NoError(t, err)
	server := testbed.ArgoCD(t, testbed.ArgoCD33)
	server.Application("writers", shop.URL, "writers", false)

	c := realClient(t, server, server.APIKey)
	d, err := c.SyncAndWait(t.Context(), "writers", argocd.Want{Revisions: []string{first}}, nil)
	require.NoError(t, err)
	require.Len(t, d.Images, writers)

	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var mu sync.Mutex
	var commits []string
	attempts, syncs := 0, 0
	var slowest time.Duration
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			repo, err := gitops.New(shop.URL, &gitops.Options{HTTPClient: &http.Client{Transport: transport}, Attempts: 100})
			if !assert.NoError(t, err) {
				return
			}
			c := realClient(t, server, server.APIKey)
			for round := range rounds {
				tag := fmt.Sprintf("v%d", round+1)
				commit, err := repo.Bump(t.Context(), []manifest.Edit{{Image: image(w), To: tag}}, &gitops.BumpOptions{Paths: []string{path(w)}})
				if !assert.NoError(t, err) {
					return
				}
				d, err := c.SyncAndWait(t.Context(), "writers", argocd.Want{
					Revisions: []string{commit.Revision}, Images: []string{image(w) + ":" + tag}, Descends: repo.Descends,
				}, nil)
				if !assert.NoError(t, err, "writer %d", w) {
					return
				}
				assert.True(t, slices.Contains(d.Images, image(w)+":"+tag), "writer %d: %v", w, d.Images)
				assert.Equal(t, argocd.Healthy, d.Health)
				mu.Lock()
				commits = append(commits, commit.Revision)
				attempts, syncs = attempts+commit.Attempts, syncs+d.Syncs
				slowest = max(slowest, d.Took.Total)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d bumps in %d attempts, live by %d syncs, the slowest in %v", writers*rounds, attempts, syncs, slowest)

	// Nothing is lost: every commit is in the history of the last one, which is live with the last tags.
	slices.Sort(commits)
	assert.Len(t, slices.Compact(commits), writers*rounds)
	a, err := c.Refresh(t.Context(), "writers", false)
	require.NoError(t, err)
	head := a.Revisions()[0]
	for _, commit := range commits {
		in, err := shop.Descends(t.Context(), commit, head)
		require.NoError(t, err)
		assert.True(t, in, "%s is not in %s", commit, head)
	}
	var last []string
	for w := range writers {
		last = append(last, fmt.Sprintf("%s:v%d", image(w), rounds))
	}
	d, err = c.SyncAndWait(t.Context(), "writers", argocd.Want{Revisions: []string{head}, Images: last}, nil)
	require.NoError(t, err)
	assert.Subset(t, d.Images, last)
}

// TestReaction_real reports how long after the deciding event the wait returns. The moment of the event is that at
// which another reader of the stream, a plain loop over its lines, has it in hands.
func TestReaction_real(t *testing.T) {
	shop := testbed.NewShop(t, "manual")
	server := testbed.ArgoCD(t, testbed.ArgoCD33)
	server.Application("manual", shop.URL, "manual", false)
	c := realClient(t, server, server.APIKey)
	var took []time.Duration
	for i := range 5 {
		image := fmt.Sprintf("registry.example.com/shop:reaction-%d", i)
		rev, err := shop.Commit(t.Context(), "manual", image, true)
		require.NoError(t, err)
		healthy := make(chan time.Time, 1)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { watchHealthy(ctx, server, "manual", rev, image, healthy) })
		_, err = c.SyncAndWait(t.Context(), "manual", argocd.Want{Revisions: []string{rev}, Images: []string{image}}, nil)
		now := time.Now()
		require.NoError(t, err)
		select {
		case at := <-healthy:
			took = append(took, max(0, now.Sub(at)))
		case <-time.After(10 * time.Second):
			require.Fail(t, "the other reader did not see it")
		}
		stop()
		wg.Wait()
	}
	slices.Sort(took)
	t.Logf("from the deciding event to the return of the wait: median %v, all %v", took[len(took)/2], took)
	assert.Less(t, took[len(took)/2], 100*time.Millisecond)
}

// watchHealthy reads the stream of an application until it is Healthy and Synced at the revision with the image.
func watchHealthy(ctx context.Context, server *testbed.ArgoCDServer, app, rev, image string, healthy chan<- time.Time) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.Server+"/api/v1/stream/applications?project=default&name="+app, nil)
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+server.APIKey)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); ; {
		var line struct {
			Result struct{ Application argocd.Application }
		}
		if d.Decode(&line) != nil {
			return
		}
		s := line.Result.Application.Status
		if s.Sync.Status == argocd.Synced && s.Sync.Revision == rev && s.Health.Status == argocd.Healthy && slices.Contains(s.Summary.Images, image) {
			select {
			case healthy <- time.Now():
			default: // only the first counts
			}
		}
	}
}
