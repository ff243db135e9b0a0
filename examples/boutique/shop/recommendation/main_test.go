package main

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

func product(id string, categories ...string) wire.Product {
	return wire.Product{ID: id, Categories: categories}
}

var all = []wire.Product{
	product("kettle", "kitchen"), product("lamp", "home", "light"), product("mug", "kitchen", "home"),
	product("cap", "wear"), product("mat", "home"), product("map", "home", "desk"), product("bag", "wear"),
}

func TestRecommend(t *testing.T) {
	for _, c := range []struct{ liked, want []string }{
		{nil, []string{"kettle", "lamp", "mug", "cap"}},             // nothing is known: the first ones
		{[]string{"cap"}, []string{"bag", "mat", "map", "kettle"}},  // its own kind, then the ones behind it
		{[]string{"mug"}, []string{"mat", "map", "kettle", "lamp"}}, // all of home and kitchen
		{[]string{"lamp", "mat"}, []string{"map", "mug", "bag", "kettle"}},
		{[]string{"string"}, []string{"kettle", "lamp", "mug", "cap"}}, // not one of ours
	} {
		if got := recommend(all, c.liked); !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.liked, got, c.want)
		}
	}
	shoptest.Equal(t, recommend(nil, []string{"cap"}), []string{})
	shoptest.Equal(t, recommend(all[:1], []string{"kettle"}), []string{})
}

func TestRecommendations(t *testing.T) {
	catalog := shoptest.Peer(t, "productcatalog", shoptest.Says(wire.Products{Products: all}))
	h := handler(func(ctx context.Context) ([]wire.Product, error) {
		var p wire.Products
		err := catalog.Get(ctx, "/products", &p)
		return p.Products, err
	})
	got := shoptest.Answer[wire.Recommendations](t, h, "GET", "/recommendations?product=cap&product=bag", nil).Products
	shoptest.Equal(t, got, []string{"kettle", "lamp", "mug", "mat"})
	many := url.Values{"product": make([]string, maxAsked+1)}
	shoptest.Refused(t, h, "GET", "/recommendations?"+many.Encode(), nil, http.StatusBadRequest, "too_many")
}

func TestRecommendations_catalogIsDown(t *testing.T) {
	down := service.Fail(http.StatusBadGateway, "unavailable", "the productcatalog service does not answer")
	h := handler(func(context.Context) ([]wire.Product, error) { return nil, down })
	shoptest.Refused(t, h, "GET", "/recommendations", nil, http.StatusBadGateway, "unavailable")
}
