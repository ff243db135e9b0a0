package argocdgrpc_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdgrpc"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdgrpc/argocdgrpctest"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

// Bring a commit live over gRPC; with Options.Web it is gRPC-web.
func ExampleNew() {
	server, err := argocdgrpctest.Start(&argocdtest.Options{Source: source, Apps: []argocdtest.App{{Name: "shop"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client, err := argocdgrpc.New(server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	deployed, err := client.SyncAndWait(context.Background(), "shop", argocd.Want{Revisions: []string{commit}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(deployed.Sync, deployed.Health, deployed.Images)
	// Output: Synced Healthy [registry.example.com/shop:42]
}

// The kinds of errors are those of the package argocd.
func ExampleNew_notFound() {
	server, err := argocdgrpctest.Start(&argocdtest.Options{Source: source})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client, err := argocdgrpc.New(server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	_, err = client.Status(context.Background(), "cart")
	fmt.Println(errors.Is(err, argocd.ErrNotFound))
	// Output: true
}
