package argocdgrpc_test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdgrpc"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdgrpc/argocdgrpctest"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

const commit = "6dcb09b5b57875f334f61aebed695e2e4193db5e"

func source(_ context.Context, revision string) (fs.FS, string, error) {
	if revision != "HEAD" && revision != commit {
		return nil, "", fmt.Errorf("fatal: remote error: upload-pack: not our ref %s", revision)
	}
	return fstest.MapFS{"shop.yaml": {Data: []byte(deployment("registry.example.com/shop:42"))}}, commit, nil
}

func deployment(image string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\nspec:\n  template:\n    spec:\n      containers:\n        - name: shop\n          image: " + image + "\n"
}

// both runs a test over gRPC and over gRPC-web.
func both(t *testing.T, o argocdtest.Options, f func(t *testing.T, s *argocdgrpctest.Server, c *argocdgrpc.Client)) {
	t.Helper()
	for _, web := range []bool{false, true} {
		t.Run(fmt.Sprintf("web=%t", web), func(t *testing.T) {
			o := o
			o.Source, o.Token = source, "t0p"
			if o.Apps == nil {
				o.Apps = []argocdtest.App{{Name: "shop"}}
			}
			s := argocdgrpctest.NewServer(t, &o)
			c, err := argocdgrpc.New(s.URL, &argocdgrpc.Options{Web: web, Token: func(context.Context) (string, error) { return s.Token, nil }})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, c.Close()) })
			f(t, s, c)
		})
	}
}

// line is a line of commits of one manifest at different images.
type line struct {
	mu     sync.Mutex
	images []string
}

func sha(i int) string { return fmt.Sprintf("%040x", 0xabc0000000+i) }

func (l *line) push(_ context.Context, _, image string, _ bool) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.images = append(l.images, image)
	return sha(len(l.images) - 1), nil
}

func (l *line) source(_ context.Context, revision string) (fs.FS, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, image := range slices.Backward(l.images) {
		if revision == "HEAD" || revision == sha(i) {
			return fstest.MapFS{"shop.yaml": {Data: []byte(deployment(image))}}, sha(i), nil
		}
	}
	return nil, "", fmt.Errorf("fatal: remote error: upload-pack: not our ref %s", revision)
}

func TestConformance(t *testing.T) {
	for _, web := range []bool{false, true} {
		t.Run(fmt.Sprintf("web=%t", web), func(t *testing.T) {
			l := &line{images: []string{"registry.example.com/shop:first"}}
			s := argocdgrpctest.NewServer(t, &argocdtest.Options{
				Source: l.source, Token: "t0p", Apps: []argocdtest.App{{Name: "shop"}, {Name: "auto", AutoSync: true}},
				Health: func(_ string, res argocdtest.Resource) []argocdtest.Step {
					if slices.Contains(res.Images, "registry.example.com/shop:stuck") {
						return []argocdtest.Step{{Health: argocd.Degraded, Message: "exceeded its progress deadline"}}
					}
					return nil
				},
			})
			client := func(token string) *argocd.Client {
				c, err := argocdgrpc.New(s.URL, &argocdgrpc.Options{Web: web, Token: func(context.Context) (string, error) { return token, nil }})
				require.NoError(t, err)
				t.Cleanup(func() { assert.NoError(t, c.Close()) })
				return c.Client
			}
			argocdtest.TestConformance(t, &argocdtest.Target{
				Client: client("t0p"), Denied: client("no"), Manual: "shop", Auto: "auto", Push: l.push,
				Descends: func(_ context.Context, ancestor, rev string) (bool, error) { return rev > ancestor, nil },
			})
		})
	}
}

func TestSyncAndWait(t *testing.T) {
	both(t, argocdtest.Options{}, func(t *testing.T, s *argocdgrpctest.Server, c *argocdgrpc.Client) {
		t.Helper()
		d, err := c.SyncAndWait(t.Context(), "shop", argocd.Want{Revisions: []string{commit}, Images: []string{"registry.example.com/shop:42"}}, nil)
		require.NoError(t, err)
		assert.Equal(t, argocd.Healthy, d.Health)
		assert.NotEmpty(t, d.Operation)
		assert.Len(t, s.Live("shop"), 1)

		history, err := c.History(t.Context(), "shop")
		require.NoError(t, err)
		require.Len(t, history, 1)
		back, err := c.Rollback(t.Context(), "shop", history[0].ID, nil)
		require.NoError(t, err)
		_, err = c.Wait(t.Context(), "shop", argocd.Want{Revisions: back.Revisions, AllowOutOfSync: true}, nil)
		require.NoError(t, err)
		nodes, err := c.Resources(t.Context(), "shop")
		require.NoError(t, err)
		assert.Len(t, nodes, 1)
		was, err := c.Terminate(t.Context(), "shop")
		require.NoError(t, err)
		assert.False(t, was)
	})
}

func TestErrors(t *testing.T) {
	both(t, argocdtest.Options{}, func(t *testing.T, s *argocdgrpctest.Server, c *argocdgrpc.Client) {
		t.Helper()
		_, err := c.Status(t.Context(), "nope")
		require.ErrorIs(t, err, argocd.ErrNotFound)
		var refusal *argocd.StatusError
		require.ErrorAs(t, err, &refusal)
		assert.Contains(t, refusal.Message, "nope")

		s.Fail(argocdtest.Fault{Op: "get", Status: http.StatusUnauthorized, Message: "token is expired"})
		_, err = c.Status(t.Context(), "shop")
		require.NoError(t, err, "one refused token is asked for anew")

		s.Fail(argocdtest.Fault{Op: "get", Status: http.StatusUnauthorized, Message: "token is expired", Times: 2})
		_, err = c.Status(t.Context(), "shop")
		require.ErrorIs(t, err, argocd.ErrDenied)

		s.Fail(argocdtest.Fault{Op: "sync", Busy: true})
		_, err = c.Sync(t.Context(), "shop", nil)
		require.ErrorIs(t, err, argocd.ErrBusy)
	})
}

// A server that accepts and never answers: the context ends every call, streams included.
func TestDeadline(t *testing.T) {
	both(t, argocdtest.Options{}, func(t *testing.T, s *argocdgrpctest.Server, c *argocdgrpc.Client) {
		t.Helper()
		s.Fail(argocdtest.Fault{Delay: time.Hour, Times: -1})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := c.SyncAndWait(ctx, "shop", argocd.Want{}, nil)
		require.ErrorIs(t, err, argocd.ErrTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestStreamFaults(t *testing.T) {
	both(t, argocdtest.Options{}, func(t *testing.T, s *argocdgrpctest.Server, c *argocdgrpc.Client) {
		t.Helper()
		s.Fail(
			argocdtest.Fault{Op: "watch", CutAfter: 2, Times: 3},
			argocdtest.Fault{Op: "watch", Status: http.StatusServiceUnavailable},
		)
		_, err := c.SyncAndWait(t.Context(), "shop", argocd.Want{Revisions: []string{commit}}, &argocd.WaitOptions{Poll: 50 * time.Millisecond})
		require.NoError(t, err)
	})
}

func TestNew_options(t *testing.T) {
	for name, tc := range map[string]struct {
		server string
		o      argocdgrpc.Options
		says   string
	}{
		"plain text": {"http://argocd.example.com", argocdgrpc.Options{}, "AllowInsecureHTTP"},
		"root path":  {"https://example.com/argocd", argocdgrpc.Options{}, "set Options.Web"},
		"userinfo":   {"https://me:secret@example.com", argocdgrpc.Options{}, "must not have user"},
		"client":     {"https://example.com", argocdgrpc.Options{HTTPClient: &http.Client{}}, "HTTPClient: is for Web only"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := argocdgrpc.New(tc.server, &tc.o)
			require.ErrorIs(t, err, argocd.ErrInvalid)
			require.ErrorContains(t, err, tc.says)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}
