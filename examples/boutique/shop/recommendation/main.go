// Command recommendation says what goes with products.
//
//	GET /recommendations?product=harbour-mug&product=enamel-kettle
package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

const (
	most     = 4
	maxAsked = 50
)

func main() { service.Main("recommendation", setup) }

func setup(e *service.Env) http.Handler {
	catalog := e.Peer("productcatalog")
	return handler(func(ctx context.Context) ([]wire.Product, error) {
		var all wire.Products
		err := catalog.Get(ctx, "/products", &all)
		return all.Products, err
	})
}

func handler(products func(context.Context) ([]wire.Product, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /recommendations", service.JSON(func(r *http.Request) (any, error) {
		liked := r.URL.Query()["product"]
		if len(liked) > maxAsked {
			return nil, service.Fail(http.StatusBadRequest, "too_many", "more than %d products", maxAsked)
		}
		all, err := products(r.Context())
		if err != nil {
			return nil, err
		}
		return wire.Recommendations{Products: recommend(all, liked)}, nil
	}))
	return mux
}

// recommend returns products that share categories with the liked ones, those that share most first. It begins
// behind the last liked one and goes round, so that the shop does not recommend the same few all over.
func recommend(all []wire.Product, liked []string) []string {
	likes := map[string]int{}
	start := 0
	for i, p := range all {
		if slices.Contains(liked, p.ID) {
			start = i + 1
			for _, c := range p.Categories {
				likes[c]++
			}
		}
	}
	type candidate struct {
		id    string
		score int
	}
	var candidates []candidate
	for i := range all {
		p := all[(start+i)%len(all)]
		if slices.Contains(liked, p.ID) {
			continue
		}
		c := candidate{id: p.ID}
		for _, category := range p.Categories {
			c.score += likes[category]
		}
		candidates = append(candidates, c)
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	ids := []string{}
	for _, c := range candidates[:min(most, len(candidates))] {
		ids = append(ids, c.id)
	}
	return ids
}
