package main

import (
	"testing"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

func TestAds_takeTurns(t *testing.T) {
	h := handler()
	seen := map[string]int{}
	for range 4 {
		seen[shoptest.Answer[wire.Ad](t, h, "GET", "/ads?category=kitchen", nil).Product]++
	}
	shoptest.Equal(t, seen, map[string]int{"enamel-kettle": 2, "harbour-mug": 2})
}

func TestAds_severalCategories(t *testing.T) {
	h := handler()
	seen := map[string]bool{}
	for range 3 {
		seen[shoptest.Answer[wire.Ad](t, h, "GET", "/ads?category=light&category=travel", nil).Product] = true
	}
	shoptest.Equal(t, seen, map[string]bool{"deck-lantern": true, "pocket-compass": true, "cargo-tote": true})
}

func TestAds_anyWithoutOne(t *testing.T) {
	for _, query := range []string{"", "?category=string"} {
		h := handler()
		seen := map[string]bool{}
		for range ads {
			a := shoptest.Answer[wire.Ad](t, h, "GET", "/ads"+query, nil)
			if a.Text == "" {
				t.Error("an ad without words")
			}
			seen[a.Product] = true
		}
		shoptest.Equal(t, len(seen), len(ads))
	}
}
