package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

var now = time.Date(2027, time.March, 31, 23, 0, 0, 0, time.UTC)

func bank() http.Handler {
	return handler(memory.New[string, wire.Charge](remembered), func() time.Time { return now })
}

func pay(change func(*wire.Payment)) wire.Payment {
	p := wire.Payment{
		Order: "AN-ORDER", Amount: money.New("EUR", 12, 50),
		Card: wire.Card{Number: "4111 1111 1111 1111", CVV: "123", Month: 3, Year: 2027}, // to the end of the month
	}
	if change != nil {
		change(&p)
	}
	return p
}

func TestCharges(t *testing.T) {
	for number, want := range map[string]string{
		"4111 1111 1111 1111":     "Visa",
		"4222222222222":           "Visa",
		"5555-5555-5555-4444":     "Mastercard",
		"2223 0031 2200 3222":     "Mastercard",
		"4000 0000 0000 0000 006": "Visa",
	} {
		h := bank()
		c := shoptest.Answer[wire.Charge](t, h, "POST", "/charges", pay(func(p *wire.Payment) { p.Card.Number = number }))
		plain := strings.NewReplacer(" ", "", "-", "").Replace(number)
		shoptest.Equal(t, c, wire.Charge{Transaction: c.Transaction, Order: "AN-ORDER", Amount: money.New("EUR", 12, 50), Kind: want, Last4: plain[len(plain)-4:]})
		if len(c.Transaction) < 20 {
			t.Errorf("transaction %q", c.Transaction)
		}
		shoptest.Equal(t, shoptest.Answer[wire.Charge](t, h, "GET", "/charges/AN-ORDER", nil), c)
	}
}

func TestCharges_onceAnOrder(t *testing.T) {
	h := bank()
	first := shoptest.Answer[wire.Charge](t, h, "POST", "/charges", pay(nil))
	shoptest.Equal(t, shoptest.Answer[wire.Charge](t, h, "POST", "/charges", pay(nil)), first)
	more := pay(func(p *wire.Payment) { p.Amount = money.New("EUR", 13, 0) })
	shoptest.Refused(t, h, "POST", "/charges", more, http.StatusConflict, "other_order")
	card := pay(func(p *wire.Payment) { p.Card.Number = "5555 5555 5555 4444" })
	shoptest.Refused(t, h, "POST", "/charges", card, http.StatusConflict, "other_order")
	shoptest.Refused(t, h, "GET", "/charges/ANOTHER", nil, http.StatusNotFound, "not_found")
}

func TestCharges_cardRefused(t *testing.T) {
	for _, c := range []struct {
		name, code string
		change     func(*wire.Card)
	}{
		{"one digit wrong", "card_invalid", func(c *wire.Card) { c.Number = "4111 1111 1111 1112" }},
		{"two digits swapped", "card_invalid", func(c *wire.Card) { c.Number = "5555 5555 5554 5444" }},
		{"too short", "card_invalid", func(c *wire.Card) { c.Number = "4111" }},
		{"nothing", "card_invalid", func(c *wire.Card) { c.Number = "" }},
		{"letters", "card_invalid", func(c *wire.Card) { c.Number = "4111 1111 1111 111x" }},
		{"other digits", "card_invalid", func(c *wire.Card) { c.Number = "４１１１１１１１１１１１" }},
		{"American Express", "card_kind", func(c *wire.Card) { c.Number = "3782 822463 10005" }},
		{"somebody else", "card_kind", func(c *wire.Card) { c.Number = "6011 1111 1111 1117" }},
		{"Visa of another length", "card_kind", func(c *wire.Card) { c.Number = "411111111111116" }},
		{"no code", "card_cvv", func(c *wire.Card) { c.CVV = "" }},
		{"code of letters", "card_cvv", func(c *wire.Card) { c.CVV = "abc" }},
		{"no month", "card_invalid", func(c *wire.Card) { c.Month = 0 }},
		{"thirteenth month", "card_invalid", func(c *wire.Card) { c.Month = 13 }},
		{"two digits of a year", "card_invalid", func(c *wire.Card) { c.Year = 27 }},
		{"last month", "card_expired", func(c *wire.Card) { c.Month = 2 }},
		{"last year", "card_expired", func(c *wire.Card) { c.Year, c.Month = 2026, 12 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := bank()
			p := pay(func(p *wire.Payment) { c.change(&p.Card) })
			shoptest.Refused(t, h, "POST", "/charges", p, http.StatusPaymentRequired, c.code)
			if _, answer := shoptest.Call(t, h, "POST", "/charges", p); p.Card.Number != "" && strings.Contains(answer, p.Card.Number) {
				t.Error("the number of the card is in the answer")
			}
			shoptest.Refused(t, h, "GET", "/charges/AN-ORDER", nil, http.StatusNotFound, "not_found")
		})
	}
}

func TestCharges_refused(t *testing.T) {
	for code, p := range map[string]wire.Payment{
		"bad_order":  pay(func(p *wire.Payment) { p.Order = "" }),
		"bad_amount": pay(func(p *wire.Payment) { p.Amount = money.New("EUR", 0, 0) }),
	} {
		shoptest.Refused(t, bank(), "POST", "/charges", p, http.StatusBadRequest, code)
	}
	shoptest.Refused(t, bank(), "POST", "/charges", pay(func(p *wire.Payment) { p.Amount = money.New("EUR", -1, 0) }), 400, "bad_amount")
	shoptest.Refused(t, bank(), "POST", "/charges", `{}{}`, http.StatusBadRequest, "bad_json")
}

// Any digit that is changed is noticed, which is what the check digit is for.
func TestLuhn(t *testing.T) {
	const number = "5555555555554444"
	for i := range number {
		for d := byte('0'); d <= '9'; d++ {
			changed := number[:i] + string(d) + number[i+1:]
			if luhn(changed) != (changed == number) {
				t.Errorf("%s: %v", changed, luhn(changed))
			}
		}
	}
}
