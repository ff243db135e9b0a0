//go:build integration

package argocdgrpc_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdgrpc"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdgrpc/argocdgrpctest"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
	"github.com/waybill-dev/waybill/internal/testbed"
)

// TestConformance_real runs the suite on real servers: over both protocols on the newest version, and over gRPC
// on the oldest.
func TestConformance_real(t *testing.T) {
	for _, tc := range []struct {
		spec testbed.Spec
		webs []bool
	}{{testbed.ArgoCD33, []bool{false, true}}, {testbed.ArgoCD214, []bool{false}}} {
		t.Run(tc.spec.Name, func(t *testing.T) {
			shop := testbed.NewShop(t, "manual", "auto")
			server := testbed.ArgoCD(t, tc.spec)
			server.Application("manual", shop.URL, "manual", false)
			server.Application("auto", shop.URL, "auto", true)
			for _, web := range tc.webs {
				t.Run(fmt.Sprintf("web=%t", web), func(t *testing.T) {
					client := func(token string) *argocd.Client {
						c, err := argocdgrpc.New(server.Server, &argocdgrpc.Options{Web: web, Token: func(context.Context) (string, error) { return token, nil }})
						require.NoError(t, err)
						t.Cleanup(func() { assert.NoError(t, c.Close()) })
						return c.Client
					}
					argocdtest.TestConformance(t, &argocdtest.Target{
						Client: client(server.APIKey), Denied: client("nonsense"), Manual: "manual", Auto: "auto",
						Push: shop.Commit, Descends: shop.Descends,
					})
				})
			}
		})
	}
}

// TestCommand drives the fake with the argocd command, of both versions and over both protocols.
func TestCommand(t *testing.T) {
	for _, spec := range []testbed.Spec{testbed.ArgoCD33, testbed.ArgoCD214} {
		t.Run(spec.Name, func(t *testing.T) {
			tool := testbed.Require(t, spec)
			for _, web := range []bool{false, true} {
				t.Run(fmt.Sprintf("web=%t", web), func(t *testing.T) {
					s := argocdgrpctest.NewServer(t, &argocdtest.Options{Source: source, Token: "t0p", Apps: []argocdtest.App{{Name: "shop"}}})
					home := t.TempDir()
					command := func(args ...string) (string, error) {
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						defer cancel()
						args = append(args, "--server", s.Addr, "--plaintext", "--auth-token", "t0p")
						if web {
							args = append(args, "--grpc-web")
						}
						cmd := exec.CommandContext(ctx, tool.Path, args...)
						cmd.Env = append(os.Environ(), "ARGOCD_BINARY_NAME=argocd", "HOME="+home, "XDG_CONFIG_HOME="+home)
						out, err := cmd.CombinedOutput()
						return string(out), err
					}
					out, err := command("app", "get", "shop", "--refresh")
					require.NoError(t, err, out)
					assert.Contains(t, out, "OutOfSync")

					out, err = command("app", "sync", "shop", "--timeout", "20")
					require.NoError(t, err, out)
					assert.Contains(t, out, "Succeeded")

					out, err = command("app", "wait", "shop", "--health", "--sync", "--timeout", "20")
					require.NoError(t, err, out)
					assert.Contains(t, out, "Healthy")
					assert.Equal(t, []string{"registry.example.com/shop:42"}, s.Live("shop")[0].Images)

					out, err = command("app", "list")
					require.NoError(t, err, out)
					assert.Contains(t, out, "shop")

					out, err = command("app", "history", "shop")
					require.NoError(t, err, out)
					assert.Contains(t, out, commit[:7])

					out, err = command("app", "rollback", "shop", "0", "--timeout", "20")
					require.NoError(t, err, out)

					out, err = command("app", "terminate-op", "shop")
					require.Error(t, err, out)
					assert.Contains(t, out, "No operation is in progress")

					out, err = command("app", "get", "nope")
					require.Error(t, err, out)
				})
			}
		})
	}
}
