package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

func order(change func(*wire.Order)) wire.Order {
	o := wire.Order{
		ID: "ABCDEFGHIJKLMNOP", Email: "ada@example.com", Placed: time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC),
		Address:  wire.Address{Name: "Ada <3", Street: "Kai 9", Zip: "20457", City: "Hamburg", Country: "DE"},
		Lines:    []wire.Line{{Product: "mug", Name: "Harbour Mug", Quantity: 2, Price: money.New("EUR", 18, 50), Cost: money.New("EUR", 37, 0)}},
		Shipping: money.New("EUR", 4, 90), Total: money.New("EUR", 41, 90), Days: 2, Tracking: "P9-AAAA-BBBB-CCCC",
	}
	if change != nil {
		change(&o)
	}
	return o
}

func mails() http.Handler { return handler(memory.New[string, wire.Mail](remembered)) }

func TestConfirmations(t *testing.T) {
	h := mails()
	m := shoptest.Answer[wire.Mail](t, h, "POST", "/confirmations", order(nil))
	shoptest.Equal(t, m.To, "ada@example.com")
	shoptest.Equal(t, m.Subject, "Your order ABCDEFGH is on its way")
	for _, want := range []string{"Dear Ada <3,", "2 x Harbour Mug, 37.00 EUR", "Shipping, 4.90 EUR", "Total 41.90 EUR", "4 March 2027", "20457 Hamburg, DE", "P9-AAAA-BBBB-CCCC"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("%q is not in\n%s", want, m.Text)
		}
	}
	for _, want := range []string{"Ada &lt;3", "2 × Harbour Mug", "41.90 EUR", "P9-AAAA-BBBB-CCCC"} {
		if !strings.Contains(m.HTML, want) {
			t.Errorf("%q is not in\n%s", want, m.HTML)
		}
	}
	shoptest.Equal(t, shoptest.Answer[wire.Mail](t, h, "GET", "/confirmations/ABCDEFGHIJKLMNOP", nil), m)
	shoptest.Refused(t, h, "GET", "/confirmations/NOBODY", nil, http.StatusNotFound, "not_found")
}

func TestConfirmations_refused(t *testing.T) {
	for _, address := range []string{"", "ada", "Ada <ada@example.com>", "ada@example.com\r\nBcc: all@example.com", "a@b, c@d", strings.Repeat("x", 250) + "@example.com"} {
		shoptest.Refused(t, mails(), "POST", "/confirmations", order(func(o *wire.Order) { o.Email = address }), http.StatusUnprocessableEntity, "bad_email")
	}
	shoptest.Refused(t, mails(), "POST", "/confirmations", order(func(o *wire.Order) { o.Lines = nil }), http.StatusUnprocessableEntity, "bad_order")
	shoptest.Refused(t, mails(), "POST", "/confirmations", order(func(o *wire.Order) { o.Lines = slices.Repeat(o.Lines, maxLines+1) }), 422, "bad_order")
	shoptest.Refused(t, mails(), "POST", "/confirmations", `[]`, http.StatusBadRequest, "bad_json")
}
