package gitops_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

// A server to try it on; a real one has an https or ssh URL.
func start() (*gitopstest.Server, *gitopstest.Repository) {
	srv, err := gitopstest.Start(nil)
	if err != nil {
		panic(err)
	}
	return srv, srv.Create("deploy.git", map[string]string{
		"apps/shop/deployment.yaml": "# the shop\nimage: registry.example.com/shop:build-41 # by the pipeline\n",
	})
}

func ExampleRepo_Bump() {
	srv, fake := start()
	defer srv.Close()

	repo, err := gitops.New(fake.URL(), &gitops.Options{Branch: "main"})
	if err != nil {
		fmt.Println(err)
		return
	}
	commit, err := repo.Bump(context.Background(), []manifest.Edit{{Image: "registry.example.com/shop", To: "build-42"}}, &gitops.BumpOptions{
		Paths:     []string{"apps/shop/*.yaml"},
		Supersede: gitops.ByBuild,
		Build:     "42",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range commit.Changes {
		fmt.Printf("%s:%d: %s -> %s\n", c.File, c.Line, c.Old, c.New)
	}
	fmt.Println("pushed:", commit.Revision == fake.Head("main"))

	// An older build does not overwrite it.
	late, err := repo.Bump(context.Background(), []manifest.Edit{{Image: "registry.example.com/shop", To: "build-40"}}, &gitops.BumpOptions{Supersede: gitops.ByBuild})
	fmt.Println("superseded:", len(late.Superseded), err)
	// Output:
	// apps/shop/deployment.yaml:2: registry.example.com/shop:build-41 -> registry.example.com/shop:build-42
	// pushed: true
	// superseded: 1 <nil>
}

func ExampleRepo_Bump_failure() {
	srv, fake := start()
	defer srv.Close()
	repo, err := gitops.New(fake.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	bump := func(image string) {
		_, err := repo.Bump(context.Background(), []manifest.Edit{{Image: image, To: "build-42"}}, nil)
		switch {
		case errors.Is(err, manifest.ErrNotFound):
			if me, ok := errors.AsType[*manifest.Error](err); ok {
				fmt.Println("stands nowhere:", me.Image, "but there is", me.Near)
			}
		case errors.Is(err, gitops.ErrRejected), errors.Is(err, gitops.ErrDenied):
			var e *gitops.Error
			fmt.Println(errors.As(err, &e), e.Kind, "-", e.Err)
		}
	}
	bump("registry.example.com/shopp")
	srv.Fail(gitopstest.Fault{Service: "git-receive-pack", Reject: "protected branch"})
	bump("registry.example.com/shop")
	// Output:
	// stands nowhere: registry.example.com/shopp but there is [registry.example.com/shop]
	// true push rejected - main: protected branch
}

func ExampleRepo_Bump_dryRun() {
	srv, fake := start()
	defer srv.Close()
	repo, err := gitops.New(fake.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	commit, err := repo.Bump(context.Background(), []manifest.Edit{{Image: "registry.example.com/shop", To: "build-42"}}, &gitops.BumpOptions{DryRun: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(commit.Diff)
	// Output:
	// diff --git a/apps/shop/deployment.yaml b/apps/shop/deployment.yaml
	// --- a/apps/shop/deployment.yaml
	// +++ b/apps/shop/deployment.yaml
	// @@ -1,2 +1,2 @@
	//  # the shop
	// -image: registry.example.com/shop:build-41 # by the pipeline
	// +image: registry.example.com/shop:build-42 # by the pipeline
}
