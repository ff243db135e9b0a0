package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

func shop() http.Handler { return handler(memory.New[string, wire.Shipment](remembered)) }

func parcel(country string, quantities ...int) wire.Parcel {
	p := wire.Parcel{Order: "AN-ORDER", Address: wire.Address{Name: "Ada", Street: "Kai 9", Zip: "20457", City: "Hamburg", Country: country}}
	for _, q := range quantities {
		p.Items = append(p.Items, wire.Item{Product: "mug", Quantity: q})
	}
	return p
}

func TestQuotes(t *testing.T) {
	for _, c := range []struct {
		p    wire.Parcel
		want wire.Quote
	}{
		{parcel("DE", 1), wire.Quote{Cost: money.New("EUR", 4, 90), Days: 2}},
		{parcel("DE", 2, 4), wire.Quote{Cost: money.New("EUR", 7, 90), Days: 2}},
		{parcel("FR", 1), wire.Quote{Cost: money.New("EUR", 9, 50), Days: 5}},
		{parcel("JP", 3), wire.Quote{Cost: money.New("EUR", 26, 0), Days: 12}},
		{wire.Parcel{Address: wire.Address{Country: "DE"}, Items: parcel("", 1).Items}, wire.Quote{Cost: money.New("EUR", 4, 90), Days: 2}},
	} {
		shoptest.Equal(t, shoptest.Answer[wire.Quote](t, shop(), "POST", "/quotes", c.p), c.want)
	}
}

func TestQuotes_refused(t *testing.T) {
	shoptest.Refused(t, shop(), "POST", "/quotes", parcel("Germany", 1), http.StatusUnprocessableEntity, "bad_address")
	shoptest.Refused(t, shop(), "POST", "/quotes", parcel("d ", 1), http.StatusUnprocessableEntity, "bad_address")
	for _, p := range []wire.Parcel{parcel("DE"), parcel("DE", 0), parcel("DE", -1, 3), parcel("DE", maxPieces, 1), parcel("DE", maxPieces+1)} {
		shoptest.Refused(t, shop(), "POST", "/quotes", p, http.StatusBadRequest, "bad_quantity")
	}
	shoptest.Refused(t, shop(), "POST", "/quotes", "{", http.StatusBadRequest, "bad_json")
}

// Whoever sends the same order twice sends one parcel.
func TestShipments_onceAnOrder(t *testing.T) {
	h := shop()
	first := shoptest.Answer[wire.Shipment](t, h, "POST", "/shipments", parcel("DE", 2, 1))
	shoptest.Equal(t, first, wire.Shipment{Tracking: first.Tracking, Order: "AN-ORDER", Country: "DE", Pieces: 3})
	if !strings.HasPrefix(first.Tracking, "P9-") || len(first.Tracking) != 17 || strings.Contains(first.Tracking, "ORDER") {
		t.Errorf("tracking number %q", first.Tracking)
	}
	shoptest.Equal(t, shoptest.Answer[wire.Shipment](t, h, "POST", "/shipments", parcel("DE", 2, 1)), first)
	shoptest.Equal(t, shoptest.Answer[wire.Shipment](t, h, "GET", "/shipments/"+first.Tracking, nil), first)
	shoptest.Refused(t, h, "POST", "/shipments", parcel("DE", 5), http.StatusConflict, "other_order")
	shoptest.Refused(t, h, "GET", "/shipments/P9-NONE", nil, http.StatusNotFound, "not_found")

	other := parcel("DE", 2, 1)
	other.Order = "ANOTHER-ORDER"
	if second := shoptest.Answer[wire.Shipment](t, h, "POST", "/shipments", other); second.Tracking == first.Tracking {
		t.Error("two orders have one number")
	}
}

func TestShipments_refused(t *testing.T) {
	for name, spoil := range map[string]func(*wire.Parcel){
		"name":   func(p *wire.Parcel) { p.Address.Name = " " },
		"street": func(p *wire.Parcel) { p.Address.Street = "" },
		"zip":    func(p *wire.Parcel) { p.Address.Zip = "" },
		"city":   func(p *wire.Parcel) { p.Address.City = strings.Repeat("x", maxField+1) },
	} {
		p := parcel("DE", 1)
		spoil(&p)
		status, answer := shoptest.Call(t, shop(), "POST", "/shipments", p)
		if status != http.StatusUnprocessableEntity || !strings.Contains(answer, name) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	p := parcel("DE", 1)
	p.Order = ""
	shoptest.Refused(t, shop(), "POST", "/shipments", p, http.StatusBadRequest, "bad_order")
	shoptest.Refused(t, shop(), "POST", "/shipments", parcel("DE"), http.StatusBadRequest, "bad_quantity")
}
