package docker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/docker"
)

// A Dockerfile built by a BuildKit. Here there is none, and the error says so.
func ExampleBuild() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY . /\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	layout, err := docker.Build(context.Background(), docker.Spec{
		Context:   dir,
		BuildArgs: map[string]string{"VERSION": "1.2"},
		Secrets: map[string]func(context.Context) (string, error){
			"token": func(context.Context) (string, error) { return "from a secret store", nil },
		},
	}, filepath.Join(dir, "layout"), &docker.Options{
		Address:       "unix:///run/buildkit/buildkitd.sock",
		BuildxCommand: "/nowhere/docker-buildx",
		Progress:      func(e docker.Event) { fmt.Println(e.Kind, e.Step) },
	})
	switch {
	case errors.Is(err, image.ErrBuild):
		fmt.Println("a step of the Dockerfile failed")
	case errors.Is(err, image.ErrUnavailable):
		fmt.Println("no builder")
	case err == nil:
		fmt.Println("built", layout.Digest())
	}
	// Output: no builder
}

// Everything that is wrong is said at once.
func ExampleBuild_invalid() {
	_, err := docker.Build(context.Background(), docker.Spec{Target: "--push"}, "out", &docker.Options{Key: "client.pem"})
	fmt.Println(err)
	// Output:
	// image: docker build: invalid input: Spec.Context: no directory
	// Spec.Target: "--push" begins with a dash
	// Options.CACert, Cert, Key: set without a tcp Address
}
