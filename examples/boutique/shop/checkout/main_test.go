package main

import (
	"encoding/json"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

const order = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// world is the other services. It writes down what is asked of them, and fails where it is told to.
type world struct {
	mu     sync.Mutex
	calls  []string
	bodies map[string][]byte
	fail   map[string]error // by call
	items  []wire.Item
	hold   chan struct{} // when set, charging waits for it
	held   chan struct{} // and says here that it does
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	service.JSON(func(r *http.Request) (any, error) {
		call := r.Method + " " + r.URL.Path
		var body json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&body)
		w.mu.Lock()
		w.calls = append(w.calls, call)
		w.bodies[call] = body
		err, items := w.fail[call], slices.Clone(w.items)
		w.mu.Unlock()
		if err != nil {
			return nil, err
		}
		switch call {
		case "GET /carts/ada":
			return wire.Cart{Items: items}, nil
		case "DELETE /carts/ada":
			w.mu.Lock()
			defer w.mu.Unlock()
			w.items = nil
			return nil, nil
		case "GET /products":
			return wire.Products{Products: []wire.Product{
				{ID: "mug", Name: "Harbour Mug", Price: money.New("EUR", 18, 50)}, {ID: "cap", Name: "Watch Cap", Price: money.New("EUR", 29, 0)},
			}}, nil
		case "POST /quotes":
			return wire.Quote{Cost: money.New("EUR", 4, 90), Days: 2}, nil
		case "POST /convert":
			var in wire.Conversion
			_ = json.Unmarshal(body, &in)
			var out wire.Amounts
			for _, m := range in.Amounts {
				m, err := m.Convert(in.To, big.NewRat(2, 1))
				if err != nil {
					return nil, err
				}
				out.Amounts = append(out.Amounts, m)
			}
			return out, nil
		case "POST /charges":
			if w.hold != nil {
				w.held <- struct{}{}
				<-w.hold
			}
			return wire.Charge{Transaction: "T1"}, nil
		case "POST /shipments":
			return wire.Shipment{Tracking: "P9"}, nil
		case "POST /confirmations":
			return wire.Mail{}, nil
		}
		return nil, service.Fail(http.StatusNotFound, "not_found", "%s", call)
	}).ServeHTTP(rw, r)
}

func newWorld(t *testing.T) (*world, http.Handler) {
	t.Helper()
	w := &world{bodies: map[string][]byte{}, fail: map[string]error{}, items: []wire.Item{{Product: "mug", Quantity: 2}, {Product: "cap", Quantity: 1}}}
	c := shoptest.Peer(t, "peer", w)
	return w, handler(&shop{
		cart: c, catalog: c, currency: c, payment: c, shipping: c, email: c,
		orders: memory.New[string, *wire.Order](10), now: func() time.Time { return time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC) },
	})
}

func request(change func(*wire.Checkout)) wire.Checkout {
	c := wire.Checkout{
		Order: order, User: "ada", Currency: "USD", Email: "ada@example.com",
		Address: wire.Address{Name: "Ada", Street: "Kai 9", Zip: "20457", City: "Hamburg", Country: "DE"},
		Card:    wire.Card{Number: "4111111111111111", CVV: "123", Month: 1, Year: 2030},
	}
	if change != nil {
		change(&c)
	}
	return c
}

func TestOrders(t *testing.T) {
	w, h := newWorld(t)
	o := shoptest.Answer[wire.Order](t, h, "POST", "/orders", request(nil))
	shoptest.Equal(t, o, wire.Order{
		ID: order, User: "ada", Placed: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Email: "ada@example.com", Address: request(nil).Address,
		Lines: []wire.Line{
			{Product: "mug", Name: "Harbour Mug", Quantity: 2, Price: money.New("USD", 37, 0), Cost: money.New("USD", 74, 0)},
			{Product: "cap", Name: "Watch Cap", Quantity: 1, Price: money.New("USD", 58, 0), Cost: money.New("USD", 58, 0)},
		},
		Shipping: money.New("USD", 9, 80), Days: 2, Total: money.New("USD", 141, 80), Tracking: "P9", Transaction: "T1", Mailed: true,
	})
	shoptest.Equal(t, w.calls, []string{
		"GET /carts/ada", "GET /products", "POST /quotes", "POST /convert", "POST /charges", "POST /shipments", "DELETE /carts/ada", "POST /confirmations",
	})
	var charged wire.Payment
	_ = json.Unmarshal(w.bodies["POST /charges"], &charged)
	shoptest.Equal(t, charged, wire.Payment{Order: order, Amount: money.New("USD", 141, 80), Card: request(nil).Card})
	shoptest.Equal(t, shoptest.Answer[wire.Order](t, h, "GET", "/orders/"+order, nil), o)
	if strings.Contains(string(w.bodies["POST /confirmations"]), "4111") {
		t.Error("the number of the card goes to the email service")
	}

	// The same again orders nothing, whatever is in the cart by now.
	calls := len(w.calls)
	shoptest.Equal(t, shoptest.Answer[wire.Order](t, h, "POST", "/orders", request(nil)), o)
	shoptest.Equal(t, len(w.calls), calls)
	shoptest.Refused(t, h, "POST", "/orders", request(func(c *wire.Checkout) { c.User = "eve" }), http.StatusConflict, "other_order")
}

// Whatever fails before the parcel is sent leaves the cart alone, and the order can be placed again.
func TestOrders_failure(t *testing.T) {
	broken := service.Fail(http.StatusInternalServerError, "internal", "broken")
	for _, c := range []struct {
		call string
		err  *service.Error
		code string
	}{
		{"GET /carts/ada", broken, "unavailable"},
		{"GET /products", broken, "unavailable"},
		{"POST /quotes", service.Fail(422, "bad_address", "no such place"), "bad_address"},
		{"POST /convert", service.Fail(400, "unknown_currency", "no rate"), "unknown_currency"},
		{"POST /charges", service.Fail(402, "card_expired", "expired"), "card_expired"},
		{"POST /shipments", broken, "unavailable"},
	} {
		t.Run(c.call, func(t *testing.T) {
			w, h := newWorld(t)
			w.fail[c.call] = c.err
			want := c.err.Status
			if want == http.StatusInternalServerError {
				want = http.StatusBadGateway
			}
			shoptest.Refused(t, h, "POST", "/orders", request(nil), want, c.code)
			shoptest.Equal(t, w.calls[len(w.calls)-1], c.call)
			shoptest.Refused(t, h, "GET", "/orders/"+order, nil, http.StatusNotFound, "not_found")
			delete(w.fail, c.call)
			shoptest.Equal(t, shoptest.Answer[wire.Order](t, h, "POST", "/orders", request(nil)).Total, money.New("USD", 141, 80))
		})
	}
}

// What fails afterwards does not take an order back that is paid and sent.
func TestOrders_withoutMail(t *testing.T) {
	w, h := newWorld(t)
	w.fail["POST /confirmations"] = service.Fail(500, "internal", "broken")
	w.fail["DELETE /carts/ada"] = service.Fail(500, "internal", "broken")
	o := shoptest.Answer[wire.Order](t, h, "POST", "/orders", request(nil))
	shoptest.Equal(t, o.Mailed, false)
	shoptest.Equal(t, o.Tracking, "P9")
}

// Who clicks twice while the first click is being worked on is told so, and charged once.
func TestOrders_twiceAtOnce(t *testing.T) {
	w, h := newWorld(t)
	w.hold, w.held = make(chan struct{}), make(chan struct{})
	first := make(chan int)
	go func() {
		status, _ := shoptest.Call(t, h, "POST", "/orders", request(nil))
		first <- status
	}()
	<-w.held
	shoptest.Refused(t, h, "POST", "/orders", request(nil), http.StatusConflict, "in_progress")
	shoptest.Refused(t, h, "GET", "/orders/"+order, nil, http.StatusNotFound, "not_found")
	close(w.hold)
	shoptest.Equal(t, <-first, http.StatusOK)
	shoptest.Equal(t, strings.Count(strings.Join(w.calls, "\n"), "POST /charges"), 1)
}

func TestOrders_refused(t *testing.T) {
	w, h := newWorld(t)
	for _, c := range []struct {
		change func(*wire.Checkout)
		status int
		code   string
	}{
		{func(c *wire.Checkout) { c.Order = "short" }, 400, "bad_order"},
		{func(c *wire.Checkout) { c.Order = strings.Repeat("/", 20) }, 400, "bad_order"},
		{func(c *wire.Checkout) { c.User = "" }, 400, "bad_user"},
		{func(c *wire.Checkout) { c.Email = "nobody" }, 422, "bad_email"},
	} {
		shoptest.Refused(t, h, "POST", "/orders", request(c.change), c.status, c.code)
	}
	shoptest.Refused(t, h, "POST", "/orders", "nothing", http.StatusBadRequest, "bad_json")
	shoptest.Equal(t, len(w.calls), 0)

	w.items = []wire.Item{{Product: "string", Quantity: 1}}
	shoptest.Refused(t, h, "POST", "/orders", request(nil), http.StatusConflict, "unknown_product")
	w.items = nil
	shoptest.Refused(t, h, "POST", "/orders", request(nil), http.StatusConflict, "empty_cart")
}

func TestSetup(t *testing.T) {
	shoptest.Refused(t, setup(shoptest.Env(nil)), "GET", "/orders/X", nil, http.StatusNotFound, "not_found")
}
