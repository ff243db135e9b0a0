package imagetest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
)

// A registry that fails twice and then works; the client does not give up.
func Example() {
	registry, err := imagetest.Start(nil) // in a test: imagetest.NewServer(t, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Close()
	registry.Fail(imagetest.Fault{Method: http.MethodHead, Status: http.StatusServiceUnavailable, Times: 2})

	client, err := image.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	there, err := client.Exists(context.Background(), registry.Host()+"/shop/web:1.0")
	fmt.Println(there, err)
	for _, r := range registry.Requests() {
		fmt.Println(r.Method, r.Path, r.Status)
	}
	// Output:
	// false <nil>
	// HEAD /v2/shop/web/manifests/1.0 503
	// HEAD /v2/shop/web/manifests/1.0 503
	// HEAD /v2/shop/web/manifests/1.0 404
}

// Without the password there is nothing to see.
func ExampleStart_login() {
	registry, err := imagetest.Start(&imagetest.Options{User: "ci", Password: "secret", Token: true})
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
	_, err = client.Resolve(context.Background(), registry.Host()+"/shop/web:1.0")
	fmt.Println(errors.Is(err, image.ErrDenied))
	// Output: true
}
