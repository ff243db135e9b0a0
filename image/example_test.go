package image_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
)

// An image of files, pushed to a registry. A Go program is a layer as well: image.GoProgram{Package: "./cmd/server"}.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	registry, err := imagetest.Start(nil) // any registry will do
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Close()

	layout, err := image.Build(ctx, image.Spec{
		Platforms: []string{"linux/amd64"},
		Layers:    []image.Source{image.At("/srv", image.Files{"index.html": []byte("hello")})},
		User:      "65532:65532",
		Ports:     []string{"8080"},
		Revision:  "4f1c0de",
	}, dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := image.New(&image.Options{Keychain: image.DockerConfigFromEnv()})
	if err != nil {
		fmt.Println(err)
		return
	}
	pushed, err := client.Push(ctx, layout, []string{registry.Host() + "/shop/web:1.0"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pushed.Refs[0].Status, pushed.Platforms)
	for _, b := range pushed.Blobs {
		fmt.Println(b.Status, b.MediaType)
	}
	fmt.Println(strings.TrimPrefix(pushed.Ref, registry.Host()) == "/shop/web:1.0@"+layout.Digest())
	// Output:
	// created [linux/amd64]
	// uploaded application/vnd.oci.image.config.v1+json
	// uploaded application/vnd.oci.image.layer.v1.tar+gzip
	// true
}

// A tag that points to another image is not moved unless that is asked for.
func ExampleClient_Push_tagExists() {
	ctx := context.Background()
	registry, err := imagetest.Start(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Close()
	client, err := image.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ref := registry.Host() + "/shop/web:1.0"
	for _, content := range []string{"first", "second"} {
		dir, err := os.MkdirTemp("", "example")
		if err != nil {
			fmt.Println(err)
			return
		}
		defer os.RemoveAll(dir)
		layout, err := image.Build(ctx, image.Spec{Layers: []image.Source{image.Files{"a": []byte(content)}}}, dir, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = client.Push(ctx, layout, []string{ref}, nil)
		fmt.Println(content, "refused:", errors.Is(err, image.ErrTagExists))
	}
	// Output:
	// first refused: false
	// second refused: true
}

// A report is attached to the image it speaks of, and found again.
func ExampleClient_Attach() {
	ctx := context.Background()
	registry, err := imagetest.Start(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Close()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	layout, err := image.Build(ctx, image.Spec{}, dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := image.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	pushed, err := client.Push(ctx, layout, []string{registry.Host() + "/shop/web:1.0"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Attach(ctx, pushed.Ref, "application/sarif+json", strings.NewReader(`{"version":"2.1.0"}`)); err != nil {
		fmt.Println(err)
		return
	}
	found, err := client.Referrers(ctx, pushed.Ref, "application/sarif+json")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range found {
		fmt.Print(r.ArtifactType, " ")
		if err := client.Fetch(ctx, r.Ref, os.Stdout); err != nil {
			fmt.Println(err)
		}
	}
	// Output: application/sarif+json {"version":"2.1.0"}
}

// Everything that is wrong with a Spec is said at once.
func ExampleBuild_invalid() {
	_, err := image.Build(context.Background(), image.Spec{Platforms: []string{"linux"}, Ports: []string{"http"}}, "out", nil)
	fmt.Println(err)
	// Output:
	// image: build out: invalid input: Spec.Platforms: platform "linux" is not of the form os/arch[/variant]
	// Spec.Ports: "http" is not PORT[/tcp|udp|sctp]
}
