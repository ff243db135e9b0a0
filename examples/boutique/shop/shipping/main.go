// Command shipping says what it costs to send a parcel, and sends it.
//
//	POST /quotes                {"address": {"country": "DE"}, "items": [{"product": "watch-cap", "quantity": 1}]}
//	POST /shipments             the same with "order" and the whole address; sending an order again sends nothing
//	GET  /shipments/{tracking}  what was sent
package main

import (
	"crypto/sha256"
	"encoding/base32"
	"net/http"
	"strings"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

// zone is a part of the world and what it costs to send something there.
type zone struct {
	first, more money.Money // for the first piece, and for each of the others
	days        int
}

var (
	home     = zone{money.New("EUR", 4, 90), money.New("EUR", 0, 60), 2}
	nearby   = zone{money.New("EUR", 9, 50), money.New("EUR", 1, 20), 5}
	overseas = zone{money.New("EUR", 19, 0), money.New("EUR", 3, 50), 12}
)

const (
	ours       = "DE"
	neighbours = " AT BE BG CY CZ DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK "
	maxPieces  = 1000
	maxField   = 100
	remembered = 10_000 // shipments
)

func main() {
	service.Main("shipping", func(*service.Env) http.Handler { return handler(memory.New[string, wire.Shipment](remembered)) })
}

func handler(sent *memory.Map[string, wire.Shipment]) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /quotes", service.JSON(func(r *http.Request) (any, error) {
		p, pieces, err := read(r)
		if err != nil {
			return nil, err
		}
		return quote(p.Address.Country, pieces)
	}))
	mux.Handle("POST /shipments", service.JSON(func(r *http.Request) (any, error) {
		p, pieces, err := read(r)
		if err != nil {
			return nil, err
		}
		if p.Order == "" || len(p.Order) > maxField {
			return nil, service.Fail(http.StatusBadRequest, "bad_order", "a shipment is for an order")
		}
		if err := label(p.Address); err != nil {
			return nil, err
		}
		s := wire.Shipment{Tracking: tracking(p.Order), Order: p.Order, Country: p.Address.Country, Pieces: pieces}
		return sent.Update(s.Tracking, func(old wire.Shipment, there bool) (wire.Shipment, error) {
			if there && old != s {
				return old, service.Fail(http.StatusConflict, "other_order", "order %s was sent already, and was another parcel", p.Order)
			}
			return s, nil
		})
	}))
	mux.Handle("GET /shipments/{tracking}", service.JSON(func(r *http.Request) (any, error) {
		s, ok := sent.Get(r.PathValue("tracking"))
		if !ok {
			return nil, service.Fail(http.StatusNotFound, "not_found", "nothing was sent under this number")
		}
		return s, nil
	}))
	return mux
}

// read reads a parcel and counts its pieces.
func read(r *http.Request) (p wire.Parcel, pieces int, err error) {
	if err := service.Read(r, &p); err != nil {
		return p, 0, err
	}
	if c := p.Address.Country; len(c) != 2 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return p, 0, service.Fail(http.StatusUnprocessableEntity, "bad_address", "a country is two capital letters")
	}
	for _, item := range p.Items {
		if item.Quantity < 1 || item.Quantity > maxPieces {
			return p, 0, service.Fail(http.StatusBadRequest, "bad_quantity", "a quantity is from 1 to %d", maxPieces)
		}
		pieces += item.Quantity
	}
	if pieces == 0 || pieces > maxPieces {
		return p, 0, service.Fail(http.StatusBadRequest, "bad_quantity", "a parcel has 1 to %d pieces", maxPieces)
	}
	return p, pieces, nil
}

// label checks what stands on the label of a parcel.
func label(a wire.Address) error {
	for _, f := range []struct{ name, value string }{{"name", a.Name}, {"street", a.Street}, {"zip code", a.Zip}, {"city", a.City}} {
		if strings.TrimSpace(f.value) == "" || len(f.value) > maxField {
			return service.Fail(http.StatusUnprocessableEntity, "bad_address", "the address has no %s that could stand on a label", f.name)
		}
	}
	return nil
}

func quote(country string, pieces int) (wire.Quote, error) {
	z := overseas
	switch {
	case country == ours:
		z = home
	case strings.Contains(neighbours, " "+country+" "):
		z = nearby
	}
	more, err := z.more.Times(pieces - 1)
	if err != nil {
		return wire.Quote{}, err
	}
	cost, err := z.first.Plus(more)
	return wire.Quote{Cost: cost, Days: z.days}, err
}

// tracking makes the number of an order's parcel: always the same one, and nobody learns the order from it.
func tracking(order string) string {
	sum := sha256.Sum256([]byte("parcel " + order))
	s := base32.StdEncoding.EncodeToString(sum[:10])
	return "P9-" + s[:4] + "-" + s[4:8] + "-" + s[8:12]
}
