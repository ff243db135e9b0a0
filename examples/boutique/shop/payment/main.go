// Command payment checks cards and charges them. It is not connected to any bank.
//
//	POST /charges          {"order": "…", "amount": {…}, "card": {"number": "…", "cvv": "…", "month": 1, "year": 2030}}
//	GET  /charges/{order}  what was charged for an order
//
// Charging an order again charges nothing and answers as the first time. The number of a card is in no answer, log
// or memory: the last four digits are.
package main

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

const (
	remembered = 10_000 // charges
	maxOrder   = 64     // bytes of its name
)

func main() {
	service.Main("payment", func(*service.Env) http.Handler { return handler(memory.New[string, wire.Charge](remembered), time.Now) })
}

func handler(charges *memory.Map[string, wire.Charge], now func() time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /charges", service.JSON(func(r *http.Request) (any, error) {
		var p wire.Payment
		if err := service.Read(r, &p); err != nil {
			return nil, err
		}
		if p.Order == "" || len(p.Order) > maxOrder {
			return nil, service.Fail(http.StatusBadRequest, "bad_order", "a charge is for an order")
		}
		if err := p.Amount.Check(); err != nil || !p.Amount.Positive() {
			return nil, service.Fail(http.StatusBadRequest, "bad_amount", "that is no amount to be charged")
		}
		kind, number, err := check(p.Card, now())
		if err != nil {
			return nil, err
		}
		c := wire.Charge{Transaction: rand.Text(), Order: p.Order, Amount: p.Amount, Kind: kind, Last4: number[len(number)-4:]}
		return charges.Update(p.Order, func(old wire.Charge, there bool) (wire.Charge, error) {
			if there {
				c.Transaction = old.Transaction
			}
			if there && old != c {
				return old, service.Fail(http.StatusConflict, "other_order", "this order was charged already, and was another one")
			}
			return c, nil
		})
	}))
	mux.Handle("GET /charges/{order}", service.JSON(func(r *http.Request) (any, error) {
		c, ok := charges.Get(r.PathValue("order"))
		if !ok {
			return nil, service.Fail(http.StatusNotFound, "not_found", "nothing was charged for this order")
		}
		return c, nil
	}))
	return mux
}

// check returns the kind of a card and the digits of its number, or why it is refused.
func check(c wire.Card, now time.Time) (kind, number string, err error) {
	refuse := func(code, message string) (string, string, error) {
		return "", "", service.Fail(http.StatusPaymentRequired, code, "%s", message)
	}
	number = strings.NewReplacer(" ", "", "-", "").Replace(c.Number)
	if len(number) < 12 || len(number) > 19 || !digits(number) || !luhn(number) {
		return refuse("card_invalid", "this is not the number of a card")
	}
	kind = kindOf(number)
	switch kind {
	case "Visa", "Mastercard":
	case "":
		return refuse("card_kind", "only Visa and Mastercard are taken")
	default:
		return refuse("card_kind", kind+" is not taken, only Visa and Mastercard are")
	}
	if len(c.CVV) != 3 || !digits(c.CVV) {
		return refuse("card_cvv", "the security code has three digits")
	}
	if c.Month < 1 || c.Month > 12 || c.Year < 2000 || c.Year > 2100 {
		return refuse("card_invalid", "this is not the month until which a card is good")
	}
	if end := time.Date(c.Year, time.Month(c.Month)+1, 1, 0, 0, 0, 0, time.UTC); !now.Before(end) {
		return refuse("card_expired", "the card has expired")
	}
	return kind, number, nil
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// luhn checks the last digit of a card's number, which follows from the others.
func luhn(number string) bool {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// kindOf tells who issued a card by how its number begins and how long it is; "" is somebody else.
func kindOf(number string) string {
	four := number[:4]
	n := len(number)
	switch {
	case four[0] == '4' && (n == 13 || n == 16 || n == 19):
		return "Visa"
	case n == 16 && (four >= "5100" && four < "5600" || four >= "2221" && four < "2721"):
		return "Mastercard"
	case n == 15 && (four[:2] == "34" || four[:2] == "37"):
		return "American Express"
	}
	return ""
}
