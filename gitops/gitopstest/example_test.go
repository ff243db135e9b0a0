package gitopstest_test

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

func Example() {
	srv, err := gitopstest.Start(&gitopstest.Options{Users: map[string]string{"git": "token"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	fake := srv.Create("deploy.git", map[string]string{"web.yaml": "image: nginx:1.27\n"})

	// Somebody else pushes between our read and our push.
	srv.Fail(gitopstest.Fault{Service: "git-receive-pack", Race: func(r *gitopstest.Repository) {
		r.Commit("main", "Raced", map[string]string{"other.yaml": "a: 1\n"})
	}})
	repo, err := gitops.New(fake.URL(), &gitops.Options{Token: func(context.Context) (string, error) { return "token", nil }})
	if err != nil {
		fmt.Println(err)
		return
	}
	commit, err := repo.Bump(context.Background(), []manifest.Edit{{Image: "nginx", To: "1.28"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	files, _, err := fake.FS(context.Background(), commit.Revision)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := fs.ReadFile(files, "web.yaml")
	fmt.Printf("%d attempts, %s%v\n", commit.Attempts, text, err)
	for _, r := range srv.Requests() {
		if len(r.Commands) > 0 {
			fmt.Println(r.User, "pushed:", r.Commands[0].Status)
		}
	}
	// Output:
	// 2 attempts, image: nginx:1.28
	// <nil>
	// git pushed: failed to update ref
	// git pushed: ok
}

// An unknown revision is fs.ErrNotExist.
func ExampleRepository_FS() {
	srv, err := gitopstest.Start(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	repo := srv.Create("deploy.git", map[string]string{"web.yaml": "image: nginx:1.27\n"})
	_, revision, err := repo.FS(context.Background(), "main")
	fmt.Println(revision == repo.Head("main"), err)
	_, _, err = repo.FS(context.Background(), "nosuch")
	fmt.Println(err)
	// Output:
	// true <nil>
	// gitopstest: revision "nosuch" of deploy.git: file does not exist
}
