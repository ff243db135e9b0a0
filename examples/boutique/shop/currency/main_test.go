package main

import (
	"math"
	"net/http"
	"slices"
	"testing"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

func TestCurrencies(t *testing.T) {
	all := shoptest.Answer[wire.Currencies](t, setup(shoptest.Env(nil)), "GET", "/currencies", nil).Currencies
	shoptest.Equal(t, all, []string{"CAD", "CHF", "EUR", "GBP", "JPY", "SEK", "USD"})
}

func TestConvert(t *testing.T) {
	for _, c := range []struct {
		from money.Money
		to   string
		want money.Money
	}{
		{money.New("EUR", 18, 50), "EUR", money.New("EUR", 18, 50)},
		{money.New("EUR", 64, 0), "USD", money.New("USD", 73, 12)},
		{money.New("USD", 73, 12), "EUR", money.New("EUR", 64, 0)},
		{money.New("USD", 10, 0), "GBP", money.New("GBP", 7, 54)}, // neither is the euro
		{money.New("EUR", 112, 0), "JPY", money.New("JPY", 18843, 0)},
		{money.Money{Currency: "EUR"}, "SEK", money.Money{Currency: "SEK"}},
	} {
		got := shoptest.Answer[wire.Amounts](t, setup(shoptest.Env(nil)), "POST", "/convert", wire.Conversion{Amounts: []money.Money{c.from}, To: c.to})
		shoptest.Equal(t, got.Amounts, []money.Money{c.want})
	}
}

func TestConvert_keepsTheOrder(t *testing.T) {
	var in wire.Conversion
	in.To = "USD"
	for i := range int64(20) {
		in.Amounts = append(in.Amounts, money.New([]string{"EUR", "USD", "SEK"}[i%3], i*1000, 0))
	}
	out := shoptest.Answer[wire.Amounts](t, setup(shoptest.Env(nil)), "POST", "/convert", in).Amounts
	for i, m := range in.Amounts {
		one := shoptest.Answer[wire.Amounts](t, setup(shoptest.Env(nil)), "POST", "/convert", wire.Conversion{Amounts: []money.Money{m}, To: "USD"}).Amounts
		shoptest.Equal(t, out[i], one[0])
	}
}

func TestConvert_refused(t *testing.T) {
	euro := money.New("EUR", 1, 0)
	for code, c := range map[string]wire.Conversion{
		"unknown_currency": {Amounts: []money.Money{euro}, To: "XXX"},
		"bad_amount":       {Amounts: []money.Money{{Currency: "EUR", Units: 1, Nanos: -1}}, To: "EUR"},
		"too_many":         {Amounts: slices.Repeat([]money.Money{euro}, maxAmounts+1), To: "EUR"},
	} {
		shoptest.Refused(t, setup(shoptest.Env(nil)), "POST", "/convert", c, http.StatusBadRequest, code)
	}
	shoptest.Refused(t, setup(shoptest.Env(nil)), "POST", "/convert", wire.Conversion{Amounts: []money.Money{{Currency: "XXX"}}, To: "EUR"}, 400, "unknown_currency")
	shoptest.Refused(t, setup(shoptest.Env(nil)), "POST", "/convert", wire.Conversion{Amounts: []money.Money{{Currency: "EUR", Units: math.MaxInt64}}, To: "JPY"}, 400, "bad_amount")
	shoptest.Refused(t, setup(shoptest.Env(nil)), "POST", "/convert", `{"amounts": 5}`, http.StatusBadRequest, "bad_json")
}
