package main

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/exchange"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

func cartPath(user string) string { return "/carts/" + url.PathEscape(user) }

// ad is an ad and the product it leads to.
type ad struct {
	wire.Ad
	Name string
}

// home shows all products, or those that fit.
func (s *shop) home(v *visit) error {
	query, category := v.r.FormValue("q"), v.r.FormValue("category")
	all, err := s.products(v, "")
	if err != nil {
		return err
	}
	var c struct {
		Products         []wire.Product
		Categories       []string
		Category, Search string
		Ad               *ad
	}
	c.Products, c.Category, c.Search = all, category, query
	for _, p := range all {
		c.Categories = append(c.Categories, p.Categories...)
	}
	slices.Sort(c.Categories)
	c.Categories = slices.Compact(c.Categories)
	if query != "" {
		if c.Products, err = s.products(v, query); err != nil {
			return err
		}
	}
	if category != "" {
		c.Products = slices.DeleteFunc(slices.Clone(c.Products), func(p wire.Product) bool { return !slices.Contains(p.Categories, category) })
		c.Ad = s.advert(v, all, []string{category})
	} else {
		c.Ad = s.advert(v, all, nil)
	}
	return s.show(v, http.StatusOK, "home.html", "Goods that arrive", c)
}

func (s *shop) product(v *visit) error {
	all, err := s.products(v, "")
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	p := find(all, id)
	if p == nil {
		return service.Fail(http.StatusNotFound, "not_found", "We do not sell that. Not yet.")
	}
	var c struct {
		Product    wire.Product
		Quantities []int
		Related    []wire.Product
		Ad         *ad
	}
	c.Product, c.Quantities = *p, []int{1, 2, 3, 4, 5, 10}
	c.Related = s.related(v, all, []string{id})
	c.Ad = s.advert(v, all, p.Categories)
	return s.show(v, http.StatusOK, "product.html", p.Name, c)
}

// basket is a cart with prices.
type basket struct {
	Lines []basketLine
	Goods money.Money
}

type basketLine struct {
	wire.Product
	Quantity int
	Cost     money.Money
}

// basket reads the user's cart. What is not sold any more is left out.
func (s *shop) basket(v *visit, all []wire.Product) (basket, error) {
	b := basket{Goods: money.Money{Currency: v.currency}}
	var cart wire.Cart
	if err := s.cart.Get(v.r.Context(), cartPath(v.user), &cart); err != nil {
		return b, err
	}
	for _, item := range cart.Items {
		p := find(all, item.Product)
		if p == nil {
			continue
		}
		cost, err := p.Price.Times(item.Quantity)
		if err != nil {
			return b, err
		}
		if b.Goods, err = b.Goods.Plus(cost); err != nil {
			return b, err
		}
		b.Lines = append(b.Lines, basketLine{*p, item.Quantity, cost})
	}
	return b, nil
}

func (s *shop) showCart(v *visit) error {
	all, err := s.products(v, "")
	if err != nil {
		return err
	}
	var c struct {
		basket
		Quantities []int
		Related    []wire.Product
	}
	if c.basket, err = s.basket(v, all); err != nil {
		return err
	}
	for n := range 21 {
		c.Quantities = append(c.Quantities, n)
	}
	var ids []string
	for _, l := range c.Lines {
		ids = append(ids, l.ID)
	}
	c.Related = s.related(v, all, ids)
	return s.show(v, http.StatusOK, "cart.html", "Your cart", c)
}

// changeCart puts a product into the cart, or with set sets how many are in it.
func (s *shop) changeCart(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	quantity, err := strconv.Atoi(v.r.PostForm.Get("quantity"))
	if err != nil {
		return service.Fail(http.StatusBadRequest, "bad_quantity", "How many should it be?")
	}
	item := wire.Item{Product: v.r.PostForm.Get("product"), Quantity: quantity}
	var p wire.Product
	if err := s.catalog.Get(v.r.Context(), "/products/"+url.PathEscape(item.Product), &p); err != nil {
		return err
	}
	method := http.MethodPost
	if v.r.PostForm.Has("set") {
		method = http.MethodPut
	}
	if err := s.cart.Do(v.r.Context(), method, cartPath(v.user)+"/items", item, nil); err != nil {
		return err
	}
	return v.redirect("/cart")
}

func (s *shop) emptyCart(v *visit) error {
	if err := s.cart.Do(v.r.Context(), http.MethodDelete, cartPath(v.user), nil, nil); err != nil {
		return err
	}
	return v.redirect("/cart")
}

// checkoutForm is what the page asks for, and what is wrong with what was entered.
type checkoutForm struct {
	basket
	Order    string // the order's name, so that a form that is sent twice orders once
	Email    string
	Address  wire.Address
	Months   []int
	Years    []int
	Quote    *wire.Quote
	Shipping money.Money
	Total    money.Money

	Countries []country
	Problem   string
}

func (s *shop) showCheckout(v *visit) error {
	f := &checkoutForm{
		Order: rand.Text(), Email: "ada@example.com",
		Address: wire.Address{Name: "Ada Example", Street: "Am Sandtorkai 9", Zip: "20457", City: "Hamburg", Country: "DE"},
	}
	if c := v.r.FormValue("country"); c != "" && c != f.Address.Country {
		f.Address = wire.Address{Name: f.Address.Name, Country: c}
	}
	return s.ask(v, http.StatusOK, f)
}

// ask shows the form, with what the order costs.
func (s *shop) ask(v *visit, status int, f *checkoutForm) error {
	all, err := s.products(v, "")
	if err != nil {
		return err
	}
	if f.basket, err = s.basket(v, all); err != nil {
		return err
	}
	if len(f.Lines) == 0 {
		return v.redirect("/cart")
	}
	parcel := wire.Parcel{Address: wire.Address{Country: f.Address.Country}}
	for _, l := range f.Lines {
		parcel.Items = append(parcel.Items, wire.Item{Product: l.ID, Quantity: l.Quantity})
	}
	f.Quote = &wire.Quote{}
	if err := s.shipping.Post(v.r.Context(), "/quotes", parcel, f.Quote); err != nil {
		return err
	}
	costs, err := s.convert(v, []money.Money{f.Quote.Cost})
	if err != nil {
		return err
	}
	f.Shipping = costs[0]
	if f.Total, err = f.Goods.Plus(f.Shipping); err != nil {
		return err
	}
	f.Countries = countries
	for m := range 12 {
		f.Months = append(f.Months, m+1)
	}
	for y := range 10 {
		f.Years = append(f.Years, s.now().Year()+y)
	}
	return s.show(v, status, "checkout.html", "Checkout", f)
}

// order places the order and leads to its confirmation. What the shop refuses, the form says.
func (s *shop) order(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	get := func(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }
	month, _ := strconv.Atoi(get("month")) // 0 is no month, which the payment service says
	year, _ := strconv.Atoi(get("year"))
	c := wire.Checkout{
		Order: get("order"), User: v.user, Currency: v.currency, Email: get("email"),
		Address: wire.Address{Name: get("name"), Street: get("street"), Zip: get("zip"), City: get("city"), Country: get("country")},
		Card:    wire.Card{Number: get("card"), CVV: get("cvv"), Month: month, Year: year},
	}
	var o wire.Order
	err := s.checkout.Post(v.r.Context(), "/orders", c, &o)
	if e, ok := errors.AsType[*service.Error](err); ok && (e.Status == http.StatusPaymentRequired || e.Status == http.StatusUnprocessableEntity) {
		v.soft(err)
		return s.ask(v, e.Status, &checkoutForm{Order: c.Order, Email: c.Email, Address: c.Address, Problem: sentence(e.Message)})
	}
	if err != nil {
		return err
	}
	return v.redirect("/orders/" + url.PathEscape(o.ID))
}

// confirmation shows an order to who placed it.
func (s *shop) confirmation(v *visit) error {
	var o wire.Order
	if err := s.checkout.Get(v.r.Context(), "/orders/"+url.PathEscape(v.r.PathValue("id")), &o); err != nil {
		return err
	}
	if o.User != v.user {
		return service.Fail(http.StatusNotFound, "not_found", "there is no such order")
	}
	return s.show(v, http.StatusOK, "order.html", "Thank you", o)
}

func (s *shop) chooseCurrency(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	var all wire.Currencies
	if err := s.currency.Get(v.r.Context(), "/currencies", &all); err != nil {
		return err
	}
	c := v.r.PostForm.Get("currency")
	if !slices.Contains(all.Currencies, c) {
		return service.Fail(http.StatusBadRequest, "unknown_currency", "We do not know this currency.")
	}
	s.remember(v.w, currencyCookie, c)
	return v.redirect(v.r.PostForm.Get("here"))
}

func (s *shop) nowhere(*visit) error {
	return service.Fail(http.StatusNotFound, "not_found", "There is nothing at this berth.")
}

// products asks the catalog, with prices in the user's currency.
func (s *shop) products(v *visit, query string) ([]wire.Product, error) {
	path := "/products"
	if query != "" {
		path += "?q=" + url.QueryEscape(query)
	}
	var all wire.Products
	if err := s.catalog.Get(v.r.Context(), path, &all); err != nil {
		return nil, err
	}
	amounts := make([]money.Money, len(all.Products))
	for i, p := range all.Products {
		amounts[i] = p.Price
	}
	amounts, err := s.convert(v, amounts)
	if err != nil {
		return nil, err
	}
	for i := range all.Products {
		all.Products[i].Price = amounts[i]
	}
	return all.Products, nil
}

// convert returns the amounts in the user's currency.
func (s *shop) convert(v *visit, amounts []money.Money) ([]money.Money, error) {
	return exchange.Convert(v.r.Context(), s.currency, amounts, v.currency)
}

// related are products that go with others; none when nobody knows.
func (s *shop) related(v *visit, all []wire.Product, ids []string) (found []wire.Product) {
	var answer wire.Recommendations
	v.soft(s.recommendation.Get(v.r.Context(), "/recommendations?"+url.Values{"product": ids}.Encode(), &answer))
	for _, id := range answer.Products {
		if p := find(all, id); p != nil {
			found = append(found, *p)
		}
	}
	return found
}

// advert is an ad for one of the categories; nil when there is none.
func (s *shop) advert(v *visit, all []wire.Product, categories []string) *ad {
	var a ad
	v.soft(s.ad.Get(v.r.Context(), "/ads?"+url.Values{"category": categories}.Encode(), &a.Ad))
	p := find(all, a.Product)
	if p == nil {
		return nil
	}
	a.Name = p.Name
	return &a
}

func find(all []wire.Product, id string) *wire.Product {
	if i := slices.IndexFunc(all, func(p wire.Product) bool { return p.ID == id }); i >= 0 {
		return &all[i]
	}
	return nil
}

// sentence makes one of an error's message.
func sentence(message string) string {
	return strings.ToUpper(message[:1]) + message[1:] + "."
}
