package acr_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/acr"
	"github.com/waybill-dev/waybill/image/imagetest"
)

// A service principal logs in, with the registry and the identity service played by a fake.
func Example() {
	registry, err := imagetest.Start(&imagetest.Options{TLS: true, Azure: &imagetest.Azure{Tenant: "t", ClientID: "id", Secret: "s"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Close()
	for _, secret := range []string{"s", "wrong"} {
		principal := acr.ServicePrincipal{
			Tenant: "t", ClientID: "id", Authority: registry.URL(), HTTPClient: registry.HTTPClient(),
			Secret: func(context.Context) (string, error) { return secret, nil },
		}
		keychain, err := acr.New(&acr.Options{Token: principal.Token, Hosts: []string{registry.Host()}, HTTPClient: registry.HTTPClient()})
		if err != nil {
			fmt.Println(err)
			return
		}
		client, err := image.New(&image.Options{Keychain: keychain, HTTPClient: registry.HTTPClient()})
		if err != nil {
			fmt.Println(err)
			return
		}
		there, err := client.Exists(context.Background(), registry.Host()+"/shop/web:1.0")
		fmt.Println(there, "denied:", errors.Is(err, image.ErrDenied))
	}
	// Output:
	// false denied: false
	// false denied: true
}
