package secretstest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/secretstest"
)

func ExampleMemory() {
	store := secretstest.NewMemory(map[string]string{"app": "first"})
	store.Set("app", "second")
	r, err := secrets.NewResolver(map[string]secrets.Store{"mem": store}, nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	v, meta, err := r.Lookup(context.Background(), "mem://app")
	fmt.Println(v.Expose(), meta.Version, err)
	fmt.Println(store.Reads())
	// Output:
	// second 2 <nil>
	// [mem://app]
}

func ExampleMemory_Fail() {
	store := secretstest.NewMemory(map[string]string{"app": "value"})
	store.Fail(errors.New("no route to host"))
	_, _, err := store.Get(context.Background(), secrets.Ref{Scheme: "mem", Path: "app"})
	fmt.Println(err)
	fmt.Println(errors.Is(err, secrets.ErrUnavailable))
	// Output:
	// secrets: get mem://app: store unavailable: no route to host
	// true
}

// Leaks finds a planted value in whatever encoding a program printed it.
func ExampleLeaks() {
	fmt.Println(secretstest.Leaks("GET /?token=k4n4ry8x", "k4n4ry8x"))
	fmt.Println(secretstest.Leaks(fmt.Sprintf("%v", secrets.NewValue("k4n4ry8x")), "k4n4ry8x"))
	fmt.Println(secretstest.Leaks("Authorization: Basic azRuNHJ5OHg=", "k4n4ry8x"))
	// Output:
	// [raw]
	// []
	// [base64 base64url]
}
