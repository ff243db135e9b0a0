package argocdgrpctest_test

import (
	"context"
	"fmt"
	"io/fs"
	"testing/fstest"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdgrpc/argocdgrpctest"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

// REST, gRPC and gRPC-web share one port. The argocd command takes Addr:
//
//	argocd app sync shop --plaintext --server 127.0.0.1:PORT
func Example() {
	server, err := argocdgrpctest.Start(&argocdtest.Options{
		Source: func(context.Context, string) (fs.FS, string, error) {
			return fstest.MapFS{}, "6dcb09b5b57875f334f61aebed695e2e4193db5e", nil
		},
		Apps: []argocdtest.App{{Name: "shop"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client, err := argocd.New(server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := client.Refresh(context.Background(), "shop", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(app.Status.Sync.Status, app.Revisions()[0][:7])
	// Output: Synced 6dcb09b
}
