// Command productcatalog knows what the shop sells.
//
//	GET /products          all of it
//	GET /products?q=brass  what has the word in its name, description or categories
//	GET /products/{id}     one of them
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

//go:embed products.json
var data []byte

func main() { service.Main("productcatalog", setup) }

func setup(e *service.Env) http.Handler {
	products, err := parse(data)
	if err != nil {
		e.Fail(err)
	}
	return handler(products)
}

// parse reads a catalog and refuses one that a shop could not sell from.
func parse(data []byte) ([]wire.Product, error) {
	var products []wire.Product
	if err := json.Unmarshal(data, &products); err != nil {
		return nil, fmt.Errorf("products: %w", err)
	}
	seen := map[string]bool{}
	for _, p := range products {
		if p.ID == "" || p.Name == "" || len(p.Categories) == 0 {
			return nil, fmt.Errorf("product %q: id, name and categories are needed", p.ID)
		}
		if seen[p.ID] {
			return nil, fmt.Errorf("product %q is there twice", p.ID)
		}
		seen[p.ID] = true
		if err := p.Price.Check(); err != nil || !p.Price.Positive() {
			return nil, fmt.Errorf("product %q: %s is no price", p.ID, p.Price)
		}
	}
	return products, nil
}

func handler(products []wire.Product) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /products", service.JSON(func(r *http.Request) (any, error) {
		return wire.Products{Products: search(products, r.FormValue("q"))}, nil
	}))
	mux.Handle("GET /products/{id}", service.JSON(func(r *http.Request) (any, error) {
		id := r.PathValue("id")
		i := slices.IndexFunc(products, func(p wire.Product) bool { return p.ID == id })
		if i < 0 {
			return nil, service.Fail(http.StatusNotFound, "not_found", "there is no product %.40q", id)
		}
		return products[i], nil
	}))
	return mux
}

// search returns the products that have every word of the query, in any case, in what is written about them.
func search(products []wire.Product, query string) []wire.Product {
	words := strings.Fields(strings.ToLower(query))
	found := []wire.Product{}
	for _, p := range products {
		text := strings.ToLower(strings.Join(append([]string{p.Name, p.Line, p.Description}, p.Categories...), " "))
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			found = append(found, p)
		}
	}
	return found
}
