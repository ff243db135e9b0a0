// Command checkout turns a cart into an order.
//
//	POST /orders       {"order": "…", "user": "…", "currency": "EUR", "email": "…", "address": {…}, "card": {…}}
//	GET  /orders/{id}  an order that was placed
//
// Prices and shipping are added up, the card is charged, the parcel is sent, and only then the cart is emptied
// and the mail written. Whoever was told that an order failed may place it again under the same name: what was
// done already is not done twice.
package main

import (
	"context"
	"errors"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/exchange"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

const remembered = 10_000 // orders

func main() { service.Main("checkout", setup) }

func setup(e *service.Env) http.Handler {
	return handler(&shop{
		cart: e.Peer("cart"), catalog: e.Peer("productcatalog"), currency: e.Peer("currency"),
		payment: e.Peer("payment"), shipping: e.Peer("shipping"), email: e.Peer("email"),
		orders: memory.New[string, *wire.Order](remembered), now: time.Now,
	})
}

type shop struct {
	cart, catalog, currency, payment, shipping, email *service.Client

	orders *memory.Map[string, *wire.Order] // by id; nil while an order is being placed
	now    func() time.Time
}

func handler(s *shop) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		service.JSON(func(r *http.Request) (any, error) {
			var c wire.Checkout
			if err := service.Read(r, &c); err != nil {
				return nil, err
			}
			o, missed, err := s.once(r.Context(), c)
			service.Note(w, missed)
			return o, err
		}).ServeHTTP(w, r)
	})
	mux.Handle("GET /orders/{id}", service.JSON(func(r *http.Request) (any, error) {
		o, _ := s.orders.Get(r.PathValue("id"))
		if o == nil {
			return nil, service.Fail(http.StatusNotFound, "not_found", "there is no such order")
		}
		return o, nil
	}))
	return mux
}

// once places an order unless it is there already or just being placed. missed is what went wrong after it was
// paid and sent, which is no reason to say that it failed.
func (s *shop) once(ctx context.Context, c wire.Checkout) (o *wire.Order, missed, err error) {
	if err := check(c); err != nil {
		return nil, nil, err
	}
	o, err = s.orders.Update(c.Order, func(old *wire.Order, there bool) (*wire.Order, error) {
		if there && old == nil {
			return nil, service.Fail(http.StatusConflict, "in_progress", "this order is just being placed")
		}
		return old, nil
	})
	if err != nil {
		return nil, nil, err
	}
	if o != nil {
		if o.User != c.User {
			return nil, nil, service.Fail(http.StatusConflict, "other_order", "this is an order of somebody else")
		}
		return o, nil, nil
	}
	defer func() {
		if o == nil { // failed, or panicked
			s.orders.Delete(c.Order)
		}
	}()
	if o, missed, err = s.place(ctx, c); err != nil {
		return nil, nil, err
	}
	_, err = s.orders.Update(c.Order, func(*wire.Order, bool) (*wire.Order, error) { return o, nil })
	return o, missed, err
}

func check(c wire.Checkout) error {
	if len(c.Order) < 16 || len(c.Order) > 64 || strings.ContainsFunc(c.Order, notPlain) {
		return service.Fail(http.StatusBadRequest, "bad_order", "an order is named by 16 to 64 letters and digits")
	}
	if c.User == "" {
		return service.Fail(http.StatusBadRequest, "bad_user", "whose cart?")
	}
	if a, err := mail.ParseAddress(c.Email); err != nil || a.Address != c.Email {
		return service.Fail(http.StatusUnprocessableEntity, "bad_email", "this is no address for a mail")
	}
	return nil
}

func notPlain(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// place does the work, in an order in which a failure leaves the cart as it was.
func (s *shop) place(ctx context.Context, c wire.Checkout) (o *wire.Order, missed, err error) {
	cart := "/carts/" + url.PathEscape(c.User)
	var in wire.Cart
	if err := s.cart.Get(ctx, cart, &in); err != nil {
		return nil, nil, err
	}
	if len(in.Items) == 0 {
		return nil, nil, service.Fail(http.StatusConflict, "empty_cart", "there is nothing in the cart")
	}
	parcel := wire.Parcel{Order: c.Order, Address: c.Address, Items: in.Items}
	o = &wire.Order{ID: c.Order, User: c.User, Placed: s.now().UTC(), Email: c.Email, Address: c.Address}
	if err := s.price(ctx, o, parcel, c.Currency); err != nil {
		return nil, nil, err
	}
	var charge wire.Charge
	if err := s.payment.Post(ctx, "/charges", wire.Payment{Order: c.Order, Amount: o.Total, Card: c.Card}, &charge); err != nil {
		return nil, nil, err
	}
	o.Transaction = charge.Transaction
	var shipment wire.Shipment
	if err := s.shipping.Post(ctx, "/shipments", parcel, &shipment); err != nil {
		return nil, nil, err
	}
	o.Tracking = shipment.Tracking

	// From here on the order stands, and whoever ordered has better things to do than to wait for us to give up.
	ctx = context.WithoutCancel(ctx)
	emptied := s.cart.Do(ctx, http.MethodDelete, cart, nil, nil)
	mailed := s.email.Post(ctx, "/confirmations", o, nil)
	o.Mailed = mailed == nil
	return o, errors.Join(emptied, mailed), nil
}

// price adds up what the order costs in the currency.
func (s *shop) price(ctx context.Context, o *wire.Order, parcel wire.Parcel, currency string) error {
	var all wire.Products
	if err := s.catalog.Get(ctx, "/products", &all); err != nil {
		return err
	}
	parcel.Order = ""
	var quote wire.Quote
	if err := s.shipping.Post(ctx, "/quotes", parcel, &quote); err != nil {
		return err
	}
	amounts := []money.Money{quote.Cost}
	for _, item := range parcel.Items {
		i := slices.IndexFunc(all.Products, func(p wire.Product) bool { return p.ID == item.Product })
		if i < 0 {
			return service.Fail(http.StatusConflict, "unknown_product", "%.40q is not sold any more", item.Product)
		}
		o.Lines = append(o.Lines, wire.Line{Product: item.Product, Name: all.Products[i].Name, Quantity: item.Quantity})
		amounts = append(amounts, all.Products[i].Price)
	}
	amounts, err := exchange.Convert(ctx, s.currency, amounts, currency)
	if err != nil {
		return err
	}
	o.Shipping, o.Days = amounts[0], quote.Days
	o.Total = o.Shipping
	for i := range o.Lines {
		l := &o.Lines[i]
		l.Price = amounts[i+1]
		if l.Cost, err = l.Price.Times(l.Quantity); err != nil {
			return err
		}
		if o.Total, err = o.Total.Plus(l.Cost); err != nil {
			return err
		}
	}
	return nil
}
