package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

// world plays all the services behind the pages. fail says which calls do not work.
type world struct {
	mu    sync.Mutex
	fail  map[string]error // by the first two elements of what is asked for
	cart  []wire.Item
	order *wire.Checkout
}

var goods = []wire.Product{
	{ID: "harbour-mug", Name: "Harbour Mug", Line: "Stoneware", Description: "Heavy & <blue>.", Price: money.New("EUR", 18, 50), Categories: []string{"kitchen"}},
	{ID: "watch-cap", Name: "Watch Cap", Line: "Merino", Price: money.New("EUR", 29, 0), Categories: []string{"wear"}},
	{ID: "string", Name: "String", Line: "Without a picture", Price: money.New("EUR", 1234, 0), Categories: []string{"home", "kitchen"}},
}

func (w *world) answer(r *http.Request) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var body json.RawMessage
	_ = json.NewDecoder(r.Body).Decode(&body)
	parts := strings.SplitN(r.URL.Path, "/", 3)
	call := r.Method + " /" + parts[1]
	if err := w.fail[call]; err != nil {
		return nil, err
	}
	switch call {
	case "GET /products":
		if len(parts) > 2 {
			if p := find(goods, parts[2]); p != nil {
				return *p, nil
			}
			return nil, service.Fail(http.StatusNotFound, "not_found", "there is no product %q", parts[2])
		}
		found := slices.Clone(goods)
		if r.FormValue("q") != "" {
			found = slices.DeleteFunc(found, func(p wire.Product) bool { return !strings.Contains(p.Name, r.FormValue("q")) })
		}
		return wire.Products{Products: found}, nil
	case "GET /currencies":
		return wire.Currencies{Currencies: []string{"EUR", "JPY", "SEK"}}, nil
	case "POST /convert":
		var in wire.Conversion
		_ = json.Unmarshal(body, &in)
		out := wire.Amounts{Amounts: in.Amounts}
		for i, m := range in.Amounts {
			if in.To != "EUR" {
				out.Amounts[i], _ = m.Convert(in.To, big.NewRat(100, 1))
			}
		}
		return out, nil
	case "GET /carts":
		return wire.Cart{Items: w.cart}, nil
	case "POST /carts", "PUT /carts":
		var item wire.Item
		_ = json.Unmarshal(body, &item)
		w.cart = append(slices.DeleteFunc(w.cart, func(i wire.Item) bool { return r.Method == "PUT" && i.Product == item.Product }), item)
		return wire.Cart{}, nil
	case "DELETE /carts":
		w.cart = nil
		return nil, nil
	case "GET /recommendations":
		return wire.Recommendations{Products: []string{"string", "gone"}}, nil
	case "GET /ads":
		return wire.Ad{Product: "watch-cap", Text: "Ears."}, nil
	case "POST /quotes":
		var p wire.Parcel
		_ = json.Unmarshal(body, &p)
		return wire.Quote{Cost: money.New("EUR", int64(p.Address.Country[0]), 0), Days: len(p.Items)}, nil
	case "POST /orders":
		var c wire.Checkout
		_ = json.Unmarshal(body, &c)
		w.order, w.cart = &c, nil
		return wire.Order{ID: c.Order, User: c.User}, nil
	case "GET /orders":
		if w.order == nil || w.order.Order != parts[2] {
			return nil, service.Fail(http.StatusNotFound, "not_found", "there is no such order")
		}
		return wire.Order{
			ID: w.order.Order, User: w.order.User, Address: w.order.Address, Email: w.order.Email, Mailed: true, Tracking: "P9-X", Days: 3,
			Lines: []wire.Line{{Product: "harbour-mug", Name: "Harbour Mug", Quantity: 2, Price: goods[0].Price, Cost: money.New("EUR", 37, 0)}}, Total: money.New("EUR", 41, 90),
		}, nil
	}
	return nil, fmt.Errorf("nobody answers %s", call)
}

// browser is one user's, with cookies.
type browser struct {
	t    *testing.T
	base string
	http *http.Client
}

func open(t *testing.T) (*world, *browser) {
	t.Helper()
	w := &world{fail: map[string]error{}}
	c := shoptest.Peer(t, "back", service.JSON(w.answer))
	s := httptest.NewServer(handler(&shop{
		catalog: c, currency: c, cart: c, recommendation: c, ad: c, shipping: c, checkout: c,
		now: func() time.Time { return time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC) },
	}))
	t.Cleanup(s.Close)
	return w, another(t, s.URL)
}

func another(t *testing.T, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, base, &http.Client{Jar: jar}}
}

// visit gets a page, or posts a form when there is one, and follows redirects.
func (b *browser) visit(path string, form url.Values) (status int, at, page string) {
	b.t.Helper()
	var resp *http.Response
	var err error
	if form == nil {
		resp, err = b.http.Get(b.base + path)
	} else {
		resp, err = b.http.PostForm(b.base+path, form)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, resp.Request.URL.RequestURI(), string(body)
}

// sees fails the test unless the page has all the words.
func (b *browser) sees(path string, form url.Values, want int, words ...string) string {
	b.t.Helper()
	status, at, page := b.visit(path, form)
	if status != want {
		b.t.Errorf("%s: %d", path, status)
	}
	for _, word := range words {
		if !strings.Contains(page, word) {
			b.t.Errorf("%s leads to %s, which does not say %q:\n%s", path, at, word, page)
		}
	}
	return page
}

func TestHome(t *testing.T) {
	_, b := open(t)
	page := b.sees("/", nil, 200, "Goods that arrive.", "Harbour Mug", "Watch Cap", "€18.50", "€1,234.00", `href="/?category=kitchen"`, "Ears.", "<svg")
	if strings.Contains(page, "<script") || strings.Contains(page, "http://") && !strings.Contains(page, "xmlns='http://www.w3.org/2000/svg'") {
		t.Error("the page needs scripts or the world")
	}
	page = b.sees("/?category=wear", nil, 200, "Watch Cap")
	if strings.Contains(page, "Harbour Mug") {
		t.Error("a mug is nothing to wear")
	}
	b.sees("/?q=Cap", nil, 200, "1 for “Cap”", "Watch Cap")
	b.sees("/?q="+url.QueryEscape(`<b>"`), nil, 200, "Nothing for “&lt;b&gt;&#34;”", `value="&lt;b&gt;&#34;"`)
}

func TestProduct(t *testing.T) {
	_, b := open(t)
	b.sees("/products/harbour-mug", nil, 200, "Heavy &amp; &lt;blue&gt;.", "€18.50", `name="product" value="harbour-mug"`, "Goes with it", "String")
	b.sees("/products/anchor", nil, 404, "We do not sell that.")
	b.sees("/nowhere", nil, 404, "nothing at this berth")
}

func TestCart(t *testing.T) {
	w, b := open(t)
	b.sees("/cart", nil, 200, "There is nothing in it", "To begin with")
	status, at, _ := b.visit("/cart", url.Values{"product": {"harbour-mug"}, "quantity": {"2"}})
	shoptest.Equal(t, fmt.Sprint(status, at), "200/cart")
	b.sees("/cart", url.Values{"product": {"watch-cap"}, "quantity": {"1"}}, 200, "Harbour Mug", "€37.00", "€66.00", "<b>3</b>")
	b.sees("/cart", url.Values{"product": {"harbour-mug"}, "quantity": {"5"}, "set": {"1"}}, 200, "€92.50", "€121.50")
	shoptest.Equal(t, w.cart, []wire.Item{{Product: "watch-cap", Quantity: 1}, {Product: "harbour-mug", Quantity: 5}})
	b.sees("/cart", url.Values{"product": {"anchor"}, "quantity": {"1"}}, 404, "there is no product")
	b.sees("/cart", url.Values{"product": {"watch-cap"}, "quantity": {"some"}}, 400, "How many should it be?")
	b.sees("/cart/empty", url.Values{}, 200, "There is nothing in it")

	w.cart = []wire.Item{{Product: "gone", Quantity: 1}}
	b.sees("/cart", nil, 200, "There is nothing in it")
	status, at, _ = b.visit("/checkout", nil)
	shoptest.Equal(t, fmt.Sprint(status, at), "200/cart")
}

func TestCurrency(t *testing.T) {
	_, b := open(t)
	status, at, page := b.visit("/currency", url.Values{"currency": {"JPY"}, "here": {"/products/harbour-mug?x=1"}})
	if status != 200 || at != "/products/harbour-mug?x=1" || !strings.Contains(page, "¥1,850") || !strings.Contains(page, "<option selected>JPY") {
		t.Error(status, at)
	}
	b.sees("/currency", url.Values{"currency": {"SEK"}, "here": {"/"}}, 200, "SEK\u00a01,850.00")
	b.sees("/currency", url.Values{"currency": {"XXX"}}, 400, "We do not know this currency.")
	for _, here := range []string{"//elsewhere.example.com", "https://elsewhere.example.com", `/\elsewhere.example.com`, "", "elsewhere", "/a\nb", "%"} {
		if _, at, _ := b.visit("/currency", url.Values{"currency": {"EUR"}, "here": {here}}); at != "/" {
			t.Errorf("%q leads to %s", here, at)
		}
	}
}

var orderName = regexp.MustCompile(`name="order" value="([A-Z2-7]{26})"`)

func form(order string) url.Values {
	return url.Values{
		"order": {order}, "email": {" ada@example.com "}, "name": {"Ada"}, "street": {"Kai 9"}, "zip": {"20457"}, "city": {"Hamburg"}, "country": {"DE"},
		"card": {"4111 1111 1111 1111"}, "month": {"12"}, "year": {"2030"}, "cvv": {"123"},
	}
}

func TestCheckout(t *testing.T) {
	w, b := open(t)
	w.cart = []wire.Item{{Product: "harbour-mug", Quantity: 2}}
	page := b.sees("/checkout", nil, 200, "2 × Harbour Mug", "Shipping to Germany, 1 days", "€68.00", "Order for €105.00", "<option>2036</option>")
	order := orderName.FindStringSubmatch(page)[1]
	b.sees("/checkout?country=FR", nil, 200, "Shipping to France", "Order for €107.00", `value="FR" selected`)

	status, at, page := b.visit("/checkout", form(order))
	if status != 200 || at != "/orders/"+order {
		t.Fatal(status, at)
	}
	for _, want := range []string{"Thank you, Ada.", order, "P9-X", "€41.90", "ada@example.com"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in %s", want, page)
		}
	}
	shoptest.Equal(t, *w.order, wire.Checkout{
		Order: order, User: w.order.User, Currency: "EUR", Email: "ada@example.com",
		Address: wire.Address{Name: "Ada", Street: "Kai 9", Zip: "20457", City: "Hamburg", Country: "DE"},
		Card:    wire.Card{Number: "4111 1111 1111 1111", CVV: "123", Month: 12, Year: 2030},
	})
	another(t, b.base).sees("/orders/"+order, nil, 404, "there is no such order")
}

// The form says what is wrong, keeps what was entered, and forgets the card.
func TestCheckout_refused(t *testing.T) {
	w, b := open(t)
	w.cart = []wire.Item{{Product: "harbour-mug", Quantity: 2}}
	w.fail["POST /orders"] = service.Fail(http.StatusPaymentRequired, "card_expired", "the card has expired")
	page := b.sees("/checkout", form("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 402, "The card has expired.", `value="Kai 9"`, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Order for")
	if strings.Contains(page, `value="4111`) {
		t.Error("the number of the card is in the page")
	}
	w.fail["POST /orders"] = service.Fail(http.StatusConflict, "in_progress", "this order is just being placed")
	b.sees("/checkout", form("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 409, "this order is just being placed")
	w.fail["POST /quotes"] = service.Fail(http.StatusUnprocessableEntity, "bad_address", "no such country")
	b.sees("/checkout", nil, 422, "no such country")
}

// What only decorates a page may be down. What it is about may not.
func TestDown(t *testing.T) {
	for call, c := range map[string]struct {
		path   string
		status int
	}{
		"GET /ads":             {"/", 200},
		"GET /currencies":      {"/", 200},
		"GET /carts":           {"/", 200},
		"GET /recommendations": {"/products/harbour-mug", 200},
		"GET /products":        {"/", 502},
		"POST /convert":        {"/products/harbour-mug", 502},
	} {
		w, b := open(t)
		w.fail[call] = service.Fail(http.StatusInternalServerError, "internal", "broken")
		if status, _, page := b.visit(c.path, nil); status != c.status || !strings.Contains(page, "Pier") {
			t.Errorf("%s is down: %s answers %d", call, c.path, status)
		}
	}
	w, b := open(t)
	w.fail["GET /carts"] = service.Fail(http.StatusInternalServerError, "internal", "broken")
	b.sees("/cart", nil, 502, "A service is out", "the back service does not answer")
	for _, call := range []string{"DELETE /carts", "POST /carts"} {
		w.fail[call] = w.fail["GET /carts"]
	}
	b.sees("/cart/empty", url.Values{}, 502)
	b.sees("/cart", url.Values{"product": {"harbour-mug"}, "quantity": {"1"}}, 502)
}

func TestSecurity(t *testing.T) {
	_, b := open(t)
	resp, err := b.http.Get(b.base + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Error(csp)
	}
	cookie := resp.Header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(cookie, want) {
			t.Error(cookie)
		}
	}

	// A form on somebody else's page.
	req, _ := http.NewRequest(http.MethodPost, b.base+"/cart/empty", nil)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err = b.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	shoptest.Equal(t, resp.StatusCode, http.StatusForbidden)

	// A session that we did not make up gets a new one.
	req, _ = http.NewRequest(http.MethodGet, b.base+"/", nil)
	req.AddCookie(&http.Cookie{Name: sessionCookie, Value: "../ada"})
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	shoptest.Equal(t, strings.HasPrefix(resp.Header.Get("Set-Cookie"), "session="), true)
}

func TestStyle(t *testing.T) {
	_, b := open(t)
	page := b.sees("/", nil, 200, stylePath)
	sheet := b.sees(stylePath, nil, 200, "prefers-color-scheme: dark")
	classes := map[string]bool{}
	for _, m := range regexp.MustCompile(`class="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		for c := range strings.FieldsSeq(m[1]) {
			classes[c] = true
		}
	}
	for _, c := range slices.Sorted(maps.Keys(classes)) {
		if !regexp.MustCompile(`\.` + c + `\b`).MatchString(sheet) {
			t.Errorf("the style sheet knows no class %s", c)
		}
	}
}

func TestFormTooLong(t *testing.T) {
	h := setup(shoptest.Env(map[string]string{"SECURE_COOKIES": "true", "CURRENCY_ADDR": "127.0.0.1:0", "CART_ADDR": "127.0.0.1:0"}))
	for body, want := range map[string]int{"a=" + strings.Repeat("x", service.MaxBodyBytes): http.StatusRequestEntityTooLarge, "%": http.StatusBadRequest} {
		w := httptest.NewRecorder()
		req := httptest.NewRequest("POST", "/cart", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Body = http.MaxBytesReader(w, req.Body, service.MaxBodyBytes)
		h.ServeHTTP(w, req)
		shoptest.Equal(t, w.Code, want)
		if !strings.Contains(w.Header().Get("Set-Cookie"), "Secure") {
			t.Error("the cookie goes over plain HTTP too")
		}
	}
}

func TestPictures(t *testing.T) {
	if !strings.Contains(string(picture("harbour-mug")), "<svg") || picture("../templates/home") != picture("unknown") || picture("string") != picture("unknown") {
		t.Error("a picture is not the one it should be")
	}
	shoptest.Equal(t, countryName("XX"), "XX")
}
