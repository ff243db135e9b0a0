package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

func carts() http.Handler { return handler(memory.New[string, []wire.Item](maxUsers)) }

func TestCart(t *testing.T) {
	h := carts()
	get := func() []wire.Item { return shoptest.Answer[wire.Cart](t, h, "GET", "/carts/ada", nil).Items }
	shoptest.Equal(t, get(), []wire.Item{})

	shoptest.Answer[wire.Cart](t, h, "POST", "/carts/ada/items", wire.Item{Product: "mug", Quantity: 2})
	shoptest.Answer[wire.Cart](t, h, "POST", "/carts/ada/items", wire.Item{Product: "cap", Quantity: 1})
	c := shoptest.Answer[wire.Cart](t, h, "POST", "/carts/ada/items", wire.Item{Product: "mug", Quantity: 3})
	shoptest.Equal(t, c, wire.Cart{User: "ada", Items: []wire.Item{{Product: "mug", Quantity: 5}, {Product: "cap", Quantity: 1}}})

	shoptest.Answer[wire.Cart](t, h, "PUT", "/carts/ada/items", wire.Item{Product: "mug", Quantity: 1})
	shoptest.Equal(t, get(), []wire.Item{{Product: "mug", Quantity: 1}, {Product: "cap", Quantity: 1}})
	shoptest.Answer[wire.Cart](t, h, "PUT", "/carts/ada/items", wire.Item{Product: "mug", Quantity: 0})
	shoptest.Equal(t, get(), []wire.Item{{Product: "cap", Quantity: 1}})

	shoptest.Equal(t, shoptest.Answer[wire.Cart](t, h, "GET", "/carts/grace", nil).Items, []wire.Item{})
	status, _ := shoptest.Call(t, h, "DELETE", "/carts/ada", nil)
	shoptest.Equal(t, status, http.StatusNoContent)
	shoptest.Equal(t, get(), []wire.Item{})
}

func TestCart_refused(t *testing.T) {
	h := carts()
	const items = "/carts/ada/items"
	for _, c := range []struct {
		method, path string
		body         any
		code         string
	}{
		{"POST", items, wire.Item{Product: "mug"}, "bad_quantity"},
		{"POST", items, wire.Item{Product: "mug", Quantity: -1}, "bad_quantity"},
		{"PUT", items, wire.Item{Product: "mug", Quantity: maxQuantity + 1}, "bad_quantity"},
		{"POST", items, wire.Item{Quantity: 1}, "bad_name"},
		{"POST", items, wire.Item{Product: strings.Repeat("x", 65), Quantity: 1}, "bad_name"},
		{"POST", "/carts/" + strings.Repeat("x", 65) + "/items", wire.Item{Product: "mug", Quantity: 1}, "bad_name"},
		{"POST", items, `{"product": "mug", "quantity": 1.5}`, "bad_json"},
		{"POST", items, `{"product": "mug", "amount": 1}`, "bad_json"},
	} {
		shoptest.Refused(t, h, c.method, c.path, c.body, http.StatusBadRequest, c.code)
	}
}

func TestCart_isBounded(t *testing.T) {
	h := carts()
	for i := range maxItems {
		shoptest.Answer[wire.Cart](t, h, "POST", "/carts/ada/items", wire.Item{Product: fmt.Sprint(i), Quantity: maxQuantity})
	}
	shoptest.Refused(t, h, "POST", "/carts/ada/items", wire.Item{Product: "one more", Quantity: 1}, http.StatusConflict, "too_many")
	shoptest.Refused(t, h, "POST", "/carts/ada/items", wire.Item{Product: "0", Quantity: 1}, http.StatusConflict, "too_many")
	shoptest.Equal(t, len(shoptest.Answer[wire.Cart](t, h, "GET", "/carts/ada", nil).Items), maxItems)
}

// What is put in at the same time is all there.
func TestCart_concurrent(t *testing.T) {
	h := carts()
	var all sync.WaitGroup
	for i := range maxQuantity {
		all.Go(func() {
			shoptest.Call(t, h, "POST", "/carts/ada/items", wire.Item{Product: "mug", Quantity: 1})
			shoptest.Call(t, h, "POST", fmt.Sprintf("/carts/%d/items", i), wire.Item{Product: "mug", Quantity: 1})
			shoptest.Call(t, h, "GET", "/carts/ada", nil)
		})
	}
	all.Wait()
	shoptest.Equal(t, shoptest.Answer[wire.Cart](t, h, "GET", "/carts/ada", nil).Items, []wire.Item{{Product: "mug", Quantity: maxQuantity}})
}
