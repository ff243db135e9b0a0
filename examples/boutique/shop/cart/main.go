// Command cart remembers what each user is about to buy, as long as it runs.
//
//	GET    /carts/{user}        what is in the cart; nothing for a user it does not know
//	POST   /carts/{user}/items  {"product": "harbour-mug", "quantity": 2} puts more into it
//	PUT    /carts/{user}/items  the same, and so many are in it then; 0 takes the product out
//	DELETE /carts/{user}        empties it
package main

import (
	"net/http"
	"slices"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

const (
	maxUsers    = 10_000 // the cart that was not used for longest is forgotten
	maxItems    = 50
	maxQuantity = 20 // of one product
	maxName     = 64 // of users and products
)

func main() {
	service.Main("cart", func(*service.Env) http.Handler { return handler(memory.New[string, []wire.Item](maxUsers)) })
}

func handler(carts *memory.Map[string, []wire.Item]) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /carts/{user}", service.JSON(func(r *http.Request) (any, error) {
		user := r.PathValue("user")
		items, _ := carts.Get(user)
		return cartOf(user, items), nil
	}))
	mux.Handle("POST /carts/{user}/items", change(carts, func(there, asked int) int { return there + asked }))
	mux.Handle("PUT /carts/{user}/items", change(carts, func(_, asked int) int { return asked }))
	mux.Handle("DELETE /carts/{user}", service.JSON(func(r *http.Request) (any, error) {
		carts.Delete(r.PathValue("user"))
		return nil, nil
	}))
	return mux
}

func cartOf(user string, items []wire.Item) wire.Cart {
	return wire.Cart{User: user, Items: append([]wire.Item{}, items...)}
}

// change sets a product's quantity to what follows from the one that is there and the one that is asked for.
func change(carts *memory.Map[string, []wire.Item], quantity func(there, asked int) int) http.Handler {
	return service.JSON(func(r *http.Request) (any, error) {
		user := r.PathValue("user")
		var item wire.Item
		if err := service.Read(r, &item); err != nil {
			return nil, err
		}
		if user == "" || len(user) > maxName || item.Product == "" || len(item.Product) > maxName {
			return nil, service.Fail(http.StatusBadRequest, "bad_name", "users and products have names of 1 to %d bytes", maxName)
		}
		if item.Quantity < 0 || item.Quantity > maxQuantity || item.Quantity == 0 && r.Method == http.MethodPost {
			return nil, service.Fail(http.StatusBadRequest, "bad_quantity", "a quantity is from 1 to %d", maxQuantity)
		}
		items, err := carts.Update(user, func(old []wire.Item, _ bool) ([]wire.Item, error) {
			return set(old, item, quantity)
		})
		if err != nil {
			return nil, err
		}
		return cartOf(user, items), nil
	})
}

// set returns the items with the new quantity and leaves the old ones alone, which somebody may be reading.
func set(old []wire.Item, item wire.Item, quantity func(there, asked int) int) ([]wire.Item, error) {
	items := slices.Clone(old)
	i := slices.IndexFunc(items, func(o wire.Item) bool { return o.Product == item.Product })
	if i < 0 {
		i = len(items)
		items = append(items, wire.Item{Product: item.Product})
	}
	items[i].Quantity = quantity(items[i].Quantity, item.Quantity)
	switch {
	case items[i].Quantity > maxQuantity:
		return nil, service.Fail(http.StatusConflict, "too_many", "more than %d of one product", maxQuantity)
	case len(items) > maxItems:
		return nil, service.Fail(http.StatusConflict, "too_many", "more than %d products in a cart", maxItems)
	case items[i].Quantity == 0:
		items = slices.Delete(items, i, i+1)
	}
	return items, nil
}
