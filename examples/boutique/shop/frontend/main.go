// Command frontend is the shop that people see: HTML pages that need no scripts.
//
//	GET  /                    the products; ?q= searches, ?category= narrows down
//	GET  /products/{id}       one product
//	GET  /cart                the cart; POST puts a product in, or sets how many are in it
//	POST /cart/empty
//	GET  /checkout            what it costs to have it sent to ?country=; POST orders it
//	GET  /orders/{id}         the confirmation of one's own order
//	POST /currency            the currency to show prices in
package main

import (
	"net/http"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
)

func main() { service.Main("frontend", setup) }

func setup(e *service.Env) http.Handler {
	return handler(&shop{
		catalog: e.Peer("productcatalog"), currency: e.Peer("currency"), cart: e.Peer("cart"),
		recommendation: e.Peer("recommendation"), ad: e.Peer("ad"), shipping: e.Peer("shipping"), checkout: e.Peer("checkout"),
		secure: e.Bool("SECURE_COOKIES"), now: time.Now,
	})
}

// shop is the services behind the pages.
type shop struct {
	catalog, currency, cart, recommendation, ad, shipping, checkout *service.Client

	secure bool // cookies are sent over TLS only
	now    func() time.Time
}

func handler(s *shop) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+stylePath, serveStyle)
	for pattern, page := range map[string]func(*visit) error{
		"GET /{$}":           s.home,
		"GET /products/{id}": s.product,
		"GET /cart":          s.showCart,
		"POST /cart":         s.changeCart,
		"POST /cart/empty":   s.emptyCart,
		"GET /checkout":      s.showCheckout,
		"POST /checkout":     s.order,
		"GET /orders/{id}":   s.confirmation,
		"POST /currency":     s.chooseCurrency,
		"GET /":              s.nowhere,
	} {
		mux.HandleFunc(pattern, s.page(page))
	}
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// secured says to browsers that nothing but our own pages, style sheet and forms is expected.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
