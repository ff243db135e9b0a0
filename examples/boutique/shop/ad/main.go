// Command ad has a line for every occasion.
//
//	GET /ads?category=kitchen&category=desk  one ad for one of the categories, for any without one
package main

import (
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

// ads leads from a category to products.
var ads = []struct {
	category string
	ad       wire.Ad
}{
	{"kitchen", wire.Ad{Product: "enamel-kettle", Text: "Tea in four minutes, on any flame you can find."}},
	{"kitchen", wire.Ad{Product: "harbour-mug", Text: "The second half of the coffee, still warm."}},
	{"home", wire.Ad{Product: "rope-doormat", Text: "Leave the beach at the door."}},
	{"home", wire.Ad{Product: "wall-barometer", Text: "Know about the rain before the rain does."}},
	{"light", wire.Ad{Product: "deck-lantern", Text: "A light that asks for nothing but a candle."}},
	{"travel", wire.Ad{Product: "pocket-compass", Text: "Lost without an account? North is this way."}},
	{"travel", wire.Ad{Product: "cargo-tote", Text: "Eighteen litres of yes, that fits."}},
	{"desk", wire.Ad{Product: "customs-stamps", Text: "Six ways to end a discussion, ink included."}},
	{"desk", wire.Ad{Product: "waybill-ledger", Text: "What went where, and who signed for it."}},
	{"wear", wire.Ad{Product: "watch-cap", Text: "Your ears called. They want the cap."}},
}

func main() { service.Main("ad", func(*service.Env) http.Handler { return handler() }) }

func handler() http.Handler {
	var turn atomic.Uint64
	mux := http.NewServeMux()
	mux.Handle("GET /ads", service.JSON(func(r *http.Request) (any, error) {
		return pick(r.URL.Query()["category"], turn.Add(1)-1), nil
	}))
	return mux
}

// pick takes turns among the ads for the categories, or among all when there are none for them.
func pick(categories []string, turn uint64) wire.Ad {
	var fit, all []wire.Ad
	for _, a := range ads {
		all = append(all, a.ad)
		if slices.Contains(categories, a.category) {
			fit = append(fit, a.ad)
		}
	}
	if len(fit) == 0 {
		fit = all
	}
	return fit[turn%uint64(len(fit))]
}
