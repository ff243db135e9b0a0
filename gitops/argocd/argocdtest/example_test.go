package argocdtest_test

import (
	"context"
	"fmt"
	"io/fs"
	"testing/fstest"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

func Example() {
	server, err := argocdtest.Start(&argocdtest.Options{
		Source: func(context.Context, string) (fs.FS, string, error) {
			return fstest.MapFS{"config.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config\n")}},
				"6dcb09b5b57875f334f61aebed695e2e4193db5e", nil
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

	// The program under test meets a server that ails first, and then deploys.
	server.Fail(argocdtest.Fault{Op: "sync", Status: 502})
	if _, err := client.SyncAndWait(context.Background(), "shop", argocd.Want{}, nil); err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range server.Live("shop") {
		fmt.Println(r.Kind, r.Name)
	}
	syncs := 0
	for _, r := range server.Requests() {
		if r.Path == "/applications/shop/sync" {
			syncs++
		}
	}
	fmt.Println("asked to sync", syncs, "times")
	// Output:
	// ConfigMap config
	// asked to sync 2 times
}

// Without a source there is nothing to serve.
func ExampleStart_options() {
	_, err := argocdtest.Start(nil)
	fmt.Println(err)
	// Output: argocdtest: Options.Source is required
}
