// Command currency converts amounts of money.
//
//	GET  /currencies  what it converts between
//	POST /convert     {"amounts": [{"currency": "EUR", "units": 12, "nanos": 500000000}], "to": "USD"}
package main

import (
	"maps"
	"math/big"
	"net/http"
	"slices"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

// rates are what one euro buys. They are made up, and do not move.
var rates = map[string]string{
	"EUR": "1",
	"USD": "1.1425",
	"GBP": "0.8615",
	"CHF": "0.9402",
	"SEK": "11.083",
	"CAD": "1.5637",
	"JPY": "168.24",
}

const maxAmounts = 200

func main() { service.Main("currency", setup) }

func setup(*service.Env) http.Handler {
	perEuro := map[string]*big.Rat{}
	for currency, rate := range rates {
		perEuro[currency], _ = new(big.Rat).SetString(rate)
	}
	return handler(perEuro)
}

func handler(perEuro map[string]*big.Rat) http.Handler {
	all := wire.Currencies{Currencies: slices.Sorted(maps.Keys(perEuro))}
	mux := http.NewServeMux()
	mux.Handle("GET /currencies", service.JSON(func(*http.Request) (any, error) { return all, nil }))
	mux.Handle("POST /convert", service.JSON(func(r *http.Request) (any, error) {
		var c wire.Conversion
		if err := service.Read(r, &c); err != nil {
			return nil, err
		}
		return convert(perEuro, c)
	}))
	return mux
}

func convert(perEuro map[string]*big.Rat, c wire.Conversion) (*wire.Amounts, error) {
	if len(c.Amounts) > maxAmounts {
		return nil, service.Fail(http.StatusBadRequest, "too_many", "more than %d amounts", maxAmounts)
	}
	to, ok := perEuro[c.To]
	if !ok {
		return nil, unknown(c.To)
	}
	answer := &wire.Amounts{Amounts: []money.Money{}}
	for _, m := range c.Amounts {
		from, ok := perEuro[m.Currency]
		if !ok {
			return nil, unknown(m.Currency)
		}
		if m.Currency != c.To {
			var err error
			if m, err = m.Convert(c.To, new(big.Rat).Quo(to, from)); err != nil {
				return nil, service.Fail(http.StatusBadRequest, "bad_amount", "%v", err)
			}
		} else if err := m.Check(); err != nil {
			return nil, service.Fail(http.StatusBadRequest, "bad_amount", "%v", err)
		}
		answer.Amounts = append(answer.Amounts, m)
	}
	return answer, nil
}

func unknown(currency string) error {
	return service.Fail(http.StatusBadRequest, "unknown_currency", "no rate for currency %.8q", currency)
}
