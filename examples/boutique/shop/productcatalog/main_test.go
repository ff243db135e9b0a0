package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

func catalog(t *testing.T) http.Handler {
	t.Helper()
	return setup(shoptest.Env(nil))
}

func TestProducts(t *testing.T) {
	all := shoptest.Answer[wire.Products](t, catalog(t), "GET", "/products", nil).Products
	shoptest.Equal(t, len(all), 12)
	for _, p := range all {
		if p.Line == "" || len(p.Description) < 40 || p.Price.Currency != "EUR" {
			t.Errorf("%s is not ready to be sold", p.ID)
		}
		one := shoptest.Answer[wire.Product](t, catalog(t), "GET", "/products/"+p.ID, nil)
		shoptest.Equal(t, one, p)
	}
}

func TestProducts_search(t *testing.T) {
	for query, want := range map[string][]string{
		"BRASS":          {"wall-barometer", "pocket-compass"},
		"brass+north":    {"pocket-compass"},
		"wear":           {"cargo-tote", "watch-cap"},
		"plutonium":      nil,
		"%20":            nil, // nothing asked: all of them, checked below
		"kettle+whistle": {"enamel-kettle"},
	} {
		var got []string
		for _, p := range shoptest.Answer[wire.Products](t, catalog(t), "GET", "/products?q="+query, nil).Products {
			got = append(got, p.ID)
		}
		if query == "%20" {
			shoptest.Equal(t, len(got), 12)
			continue
		}
		shoptest.Equal(t, got, want)
	}
}

func TestProduct_unknown(t *testing.T) {
	shoptest.Refused(t, catalog(t), "GET", "/products/string", nil, http.StatusNotFound, "not_found")
}

func TestParse_refusesWhatCannotBeSold(t *testing.T) {
	const good = `{"id": "a", "name": "A", "price": {"currency": "EUR", "units": 1}, "categories": ["x"]}`
	if _, err := parse([]byte("[" + good + "]")); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"no JSON":     `[`,
		"no name":     "[" + strings.Replace(good, `"A"`, `""`, 1) + "]",
		"twice":       "[" + good + "," + good + "]",
		"for nothing": "[" + strings.Replace(good, `1`, `0`, 1) + "]",
		"no currency": "[" + strings.Replace(good, `EUR`, `euro`, 1) + "]",
		"no category": "[" + strings.Replace(good, `["x"]`, `[]`, 1) + "]",
	} {
		if _, err := parse([]byte(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
