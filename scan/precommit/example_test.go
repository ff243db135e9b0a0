package precommit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/precommit"
)

func ExampleRun() {
	dir, err := os.MkdirTemp("", "repo")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(
		exec.Command("git", "init", "-q", dir).Run(),
		os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("to do: everything\n"), 0o600),
		exec.Command("git", "-C", dir, "add", "notes.txt").Run(),
	); err != nil {
		panic(err)
	}

	out, err := precommit.Run(context.Background(), dir, &precommit.Options{Checks: []precommit.Check{
		{Name: "no-to-do", Command: []string{"sh", "-c", `! grep -n 'to do' "$@"`, "sh", "{files}"}},
		{Name: "vet", Command: []string{"go", "vet", "./..."}, Files: []string{"*.go"}, WholeTree: true},
	}})
	if err != nil {
		panic(err)
	}
	fmt.Println(out.Files, out.OK())
	for _, r := range out.Results {
		fmt.Println(r.Scanner, r.Status)
	}
	// Output:
	// [notes.txt] false
	// no-to-do findings
	// vet skipped
}

func ExampleRun_failure() {
	dir, err := os.MkdirTemp("", "no-repo")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	_, err = precommit.Run(context.Background(), dir, nil)
	fmt.Println(errors.Is(err, scan.ErrTarget))
	// Output:
	// true
}
