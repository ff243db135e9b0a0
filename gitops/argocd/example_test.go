package argocd_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing/fstest"
	"time"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

const exampleCommit = "6dcb09b5b57875f334f61aebed695e2e4193db5e"

// exampleRepository is what a git repository would hold at exampleCommit.
func exampleRepository(context.Context, string) (fs.FS, string, error) {
	return fstest.MapFS{"shop.yaml": {Data: []byte(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  template:
    spec:
      containers:
        - name: shop
          image: registry.example.com/shop:42
`)}}, exampleCommit, nil
}

// Bring a commit live and know that its image runs.
func ExampleClient_SyncAndWait() {
	server, err := argocdtest.Start(&argocdtest.Options{Source: exampleRepository, Apps: []argocdtest.App{{Name: "shop"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	client, err := argocd.New(server.URL, &argocd.Options{
		Token: func(context.Context) (string, error) { return "token", nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	deployed, err := client.SyncAndWait(context.Background(), "shop", argocd.Want{
		Revisions: []string{exampleCommit},
		Images:    []string{"registry.example.com/shop:42"},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(deployed.Sync, deployed.Health, deployed.Revisions[0][:7], deployed.Images)
	// Output: Synced Healthy 6dcb09b [registry.example.com/shop:42]
}

// An image that cannot be pulled: the error says so, and its report names the resource.
func ExampleClient_SyncAndWait_degraded() {
	server, err := argocdtest.Start(&argocdtest.Options{
		Source: exampleRepository,
		Apps:   []argocdtest.App{{Name: "shop"}},
		Health: func(string, argocdtest.Resource) []argocdtest.Step {
			return []argocdtest.Step{{Health: argocd.Progressing}, {After: time.Millisecond, Health: argocd.Degraded, Message: "back-off pulling image"}}
		},
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
	_, err = client.SyncAndWait(context.Background(), "shop", argocd.Want{Revisions: []string{exampleCommit}}, &argocd.WaitOptions{
		DegradedGrace: 10 * time.Millisecond, // a minute, unless told otherwise
	})
	var failure *argocd.Error
	if errors.Is(err, argocd.ErrDegraded) && errors.As(err, &failure) {
		for _, r := range failure.Report.Resources {
			fmt.Println(r.Kind, r.Name, r.Health, r.Message)
		}
	}
	// Output: Deployment shop Degraded back-off pulling image
}
