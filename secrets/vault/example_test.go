package vault_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/vault"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

func Example() {
	ctx := context.Background()
	server, err := vaulttest.Start(nil) // in earnest: the address of your Vault
	if err != nil {
		panic(err)
	}
	defer server.Close()
	_, _ = server.Put("secret/team/app", map[string]any{"password": "hunter22", "port": 5432})

	token := func(context.Context) (string, error) { return server.RootToken, nil } // in earnest: Kubernetes, JWT or AppRole
	c, err := vault.New(server.URL, vault.Token(token, nil), nil)
	if err != nil {
		panic(err)
	}
	defer c.Close(ctx)
	r, err := secrets.NewResolver(map[string]secrets.Store{"vault": c}, nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()

	v, meta, err := r.Lookup(ctx, "vault://secret/team/app#password")
	fmt.Println(v, v.Expose(), meta.Path, meta.Version, err)
	// Output: [redacted] hunter22 secret/data/team/app 1 <nil>
}

// A deleted version can be brought back, so it is not the same as a missing one.
func Example_failure() {
	ctx := context.Background()
	server, err := vaulttest.Start(nil)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	token := func(context.Context) (string, error) { return server.RootToken, nil }
	c, err := vault.New(server.URL, vault.Token(token, nil), &vault.Options{Attempts: 1})
	if err != nil {
		panic(err)
	}
	defer c.Close(ctx)

	ref := secrets.Ref{Scheme: "vault", Path: "secret/none"}
	_, _, err = c.Get(ctx, ref)
	fmt.Println(errors.Is(err, secrets.ErrNotFound))
	server.Seal()
	_, _, err = c.Get(ctx, ref)
	e, _ := errors.AsType[*secrets.Error](err)
	fmt.Println(errors.Is(err, secrets.ErrSealed), e.Retryable())
	// Output:
	// true
	// true true
}

// Writes go by check-and-set: who read an old version does not overwrite a newer one.
func ExampleClient_Update() {
	ctx := context.Background()
	server, err := vaulttest.Start(nil)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	token := func(context.Context) (string, error) { return server.RootToken, nil }
	c, err := vault.New(server.URL, vault.Token(token, nil), nil)
	if err != nil {
		panic(err)
	}
	defer c.Close(ctx)
	rotate := func(old map[string]any) (map[string]any, error) {
		if old == nil {
			old = map[string]any{"user": "app"}
		}
		old["password"] = secrets.NewValue("fresh")
		return old, nil
	}
	fmt.Println(c.Update(ctx, "secret/app", rotate))
	fmt.Println(c.Update(ctx, "secret/app", rotate)) // nothing to change, so no new version
	// Output:
	// 1 <nil>
	// 1 <nil>
}

func ExampleClient_Policy() {
	server, err := vaulttest.Start(nil)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	token := func(context.Context) (string, error) { return server.RootToken, nil }
	c, err := vault.New(server.URL, vault.Token(token, nil), nil)
	if err != nil {
		panic(err)
	}
	defer c.Close(context.Background())
	policy, err := c.Policy(context.Background(), "vault://secret/team/app#password", "vault://secret/team/app#user")
	fmt.Println(policy, err)
	// Output:
	// # The least a program needs that reads the secrets below.
	//
	// # vault://secret/team/app#password, vault://secret/team/app#user
	// path "secret/data/team/app" {
	//   capabilities = ["read"]
	// }
	//
	// # is the token alive?
	// path "auth/token/lookup-self" {
	//   capabilities = ["read"]
	// }
	//
	// # keep it so
	// path "auth/token/renew-self" {
	//   capabilities = ["update"]
	// }
	//
	// # and end it
	// path "auth/token/revoke-self" {
	//   capabilities = ["update"]
	// }
	//  <nil>
}
