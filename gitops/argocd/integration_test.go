//go:build integration

package argocd_test

import (
	"context"
	"net/http"
	"testing"

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
			client := func(token string) *argocd.Client {
				transport := &http.Transport{}
				t.Cleanup(transport.CloseIdleConnections)
				c, err := argocd.New(server.Server, &argocd.Options{
					HTTPClient: &http.Client{Transport: transport},
					Token:      func(context.Context) (string, error) { return token, nil },
				})
				require.NoError(t, err)
				return c
			}
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
