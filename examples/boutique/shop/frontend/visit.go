package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

// visit is one request of one user.
type visit struct {
	w        http.ResponseWriter
	r        *http.Request
	user     string // the session, which is a secret of the user's
	currency string
}

const (
	sessionCookie   = "session"
	currencyCookie  = "currency"
	defaultCurrency = "EUR"
)

// page makes a handler of a page: it finds out who is asking, and shows errors as pages too.
func (s *shop) page(f func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r, currency: defaultCurrency}
		if c, err := r.Cookie(sessionCookie); err == nil && isSession(c.Value) {
			v.user = c.Value
		} else {
			v.user = rand.Text()
			s.remember(w, sessionCookie, v.user)
		}
		if c, err := r.Cookie(currencyCookie); err == nil && isCurrency(c.Value) {
			v.currency = c.Value
		}
		if err := f(v); err != nil {
			s.apologize(v, err)
		}
	}
}

func (s *shop) remember(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int((30 * 24 * time.Hour).Seconds()),
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	})
}

func isSession(s string) bool {
	return len(s) == 26 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func isCurrency(s string) bool { return money.Money{Currency: s}.Check() == nil }

// frame is what every page has around its content.
type frame struct {
	Title      string
	Style      string
	Currency   string
	Currencies []string
	InCart     int
	Query      string
	Here       string // to come back to after choosing a currency
	Content    any
}

// show writes a page. What only decorates it may be missing.
func (s *shop) show(v *visit, status int, name, title string, content any) error {
	f := frame{Title: title, Style: stylePath, Currency: v.currency, Query: v.r.FormValue("q"), Here: "/", Content: content}
	if v.r.Method == http.MethodGet {
		f.Here = v.r.URL.RequestURI()
	}
	var all wire.Currencies
	v.soft(s.currency.Get(v.r.Context(), "/currencies", &all))
	f.Currencies = all.Currencies
	if !slices.Contains(f.Currencies, v.currency) {
		f.Currencies = append(f.Currencies, v.currency)
	}
	var cart wire.Cart
	v.soft(s.cart.Get(v.r.Context(), cartPath(v.user), &cart))
	for _, item := range cart.Items {
		f.InCart += item.Quantity
	}
	var page bytes.Buffer // whole or not at all
	if err := templates[name].Execute(&page, f); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Cache-Control", "private, no-store")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(page.Bytes())
	return nil
}

// soft logs an error that the page can do without.
func (v *visit) soft(err error) {
	if err != nil {
		service.Note(v.w, err)
	}
}

// apologize shows what went wrong.
func (s *shop) apologize(v *visit, err error) {
	service.Note(v.w, err)
	e := service.AsError(err)
	if err := s.show(v, e.Status, "error.html", http.StatusText(e.Status), e); err != nil {
		service.Note(v.w, err)
		http.Error(v.w, e.Message, http.StatusInternalServerError)
	}
}

// form reads the form of a POST.
func (v *visit) form() error {
	if err := v.r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return service.Fail(http.StatusRequestEntityTooLarge, "too_large", "this form is too long")
		}
		return service.Fail(http.StatusBadRequest, "bad_form", "this form cannot be read")
	}
	return nil
}

// redirect sends the browser on, to a page of ours.
func (v *visit) redirect(path string) error {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		path = "/"
	}
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// The style sheet has its hash in its name and may be kept for ever.
var (
	//go:embed style.css
	style     []byte
	stylePath = "/style-" + hashOf(style) + ".css"
)

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

func serveStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(style)
}
