package vaulttest_test

import (
	"context"
	"fmt"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/vault"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

func Example() {
	server, err := vaulttest.Start(nil) // in a test: vaulttest.NewServer(t, nil)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	_, _ = server.Put("secret/app", map[string]any{"password": "hunter22"})

	c, err := vault.New(server.URL, vault.Token(func(context.Context) (string, error) { return server.RootToken, nil }, nil), nil)
	if err != nil {
		panic(err)
	}
	defer c.Close(context.Background())
	v, _, err := c.Get(context.Background(), secrets.Ref{Scheme: "vault", Path: "secret/app"})
	fmt.Println(v.Expose(), err)
	fmt.Println(server.Count("GET", "secret/data/app"), "read")
	// Output:
	// {"password":"hunter22"} <nil>
	// 1 read
}

// A fault makes requests go wrong, here the first read only.
func ExampleServer_Fail() {
	server, err := vaulttest.Start(nil)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	_, _ = server.Put("secret/app", map[string]any{"password": "hunter22"})
	server.Fail(vaulttest.Fault{Path: "secret/data/", Times: 1, Drop: true})

	c, err := vault.New(server.URL, vault.Token(func(context.Context) (string, error) { return server.RootToken, nil }, nil), nil)
	if err != nil {
		panic(err)
	}
	defer c.Close(context.Background())
	_, _, err = c.Get(context.Background(), secrets.Ref{Scheme: "vault", Path: "secret/app"})
	fmt.Println(err)
	// Output: <nil>
}
