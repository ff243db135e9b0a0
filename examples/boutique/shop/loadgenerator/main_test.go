package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
)

func TestLoad_pace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		l := &load{orders: 4, every: 5 * time.Second, log: slog.New(slog.DiscardHandler), visit: func(_ context.Context, n int) error {
			at = append(at, time.Since(start))
			time.Sleep(time.Duration(n) * time.Second) // slower and slower, and it makes no difference
			return nil
		}}
		if err := l.run(t.Context()); err != nil {
			t.Error(err)
		}
		shoptest.Equal(t, at, []time.Duration{0, 5 * time.Second, 10 * time.Second, 15 * time.Second})
		shoptest.Equal(t, l.soFar(), report{Orders: 4, Placed: 4})
	})
}

// A shop that is slower than the pace is not hurried.
func TestLoad_slowShop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := &load{orders: 3, every: time.Second, log: slog.New(slog.DiscardHandler), visit: func(context.Context, int) error {
			time.Sleep(10 * time.Second)
			return nil
		}}
		if err := l.run(t.Context()); err != nil {
			t.Error(err)
		}
		shoptest.Equal(t, time.Since(start), 30*time.Second)
	})
}

func TestLoad_failures(t *testing.T) {
	l := &load{orders: 3, every: 1, log: slog.New(slog.DiscardHandler), visit: func(_ context.Context, n int) error {
		if n == 1 {
			return errors.New("sold out")
		}
		return nil
	}}
	if err := l.run(t.Context()); err == nil || !strings.Contains(err.Error(), "1 of 3 orders failed, the last one: sold out") {
		t.Error(err)
	}
	shoptest.Equal(t, l.soFar(), report{Orders: 3, Placed: 2, Failed: 1, Problem: "sold out"})
}

func TestLoad_staysAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := &load{orders: 1, every: 1, stay: true, log: slog.New(slog.DiscardHandler), visit: func(context.Context, int) error { return errors.New("no") }}
		ended := make(chan error, 1)
		go func() { ended <- l.run(ctx) }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("did not stay: %v", err)
		default:
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestLoad_interrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := &load{orders: 9, every: time.Hour, log: slog.New(slog.DiscardHandler), visit: func(context.Context, int) error { return nil }}
		ended := make(chan error, 1)
		go func() { ended <- l.run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		shoptest.Equal(t, l.soFar().Placed, 1)
	})
	l := &load{orders: 9, every: 1, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	l.visit = func(context.Context, int) error { cancel(); return ctx.Err() }
	if err := l.run(ctx); !errors.Is(err, context.Canceled) || l.soFar().Failed != 0 {
		t.Error(err, l.soFar())
	}
}

const name = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// stall is a shop that is just enough of one. spoil breaks it.
func stall(t *testing.T, spoil string) (base string, bought *[]string) {
	t.Helper()
	bought = &[]string{}
	mux := http.NewServeMux()
	page := func(pattern, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case pattern == spoil:
				http.Error(w, "out of order", http.StatusServiceUnavailable)
			case r.Method == http.MethodPost && r.URL.Path == "/cart":
				*bought = append(*bought, r.PostFormValue("product")+" "+r.PostFormValue("quantity"))
				http.Redirect(w, r, "/cart", http.StatusSeeOther)
			case r.Method == http.MethodPost:
				http.Redirect(w, r, "/orders/"+r.PostFormValue("order"), http.StatusSeeOther)
			default:
				http.SetCookie(w, &http.Cookie{Name: "session", Value: "x"})
				if _, err := r.Cookie("session"); err != nil && r.URL.Path != "/" {
					http.Error(w, "who are you?", http.StatusForbidden)
					return
				}
				fmt.Fprint(w, body)
			}
		})
	}
	links := `<a href="/products/mug">`
	if spoil == "empty" {
		links = ""
	}
	field := `<input name="order" value="` + name + `">`
	if spoil == "no form" {
		field = ""
	}
	shown := name
	if spoil == "another order" {
		shown = strings.ToLower(name)
	}
	page("GET /{$}", links)
	page("GET /products/mug", "")
	page("GET /cart", "")
	page("POST /cart", "")
	page("GET /checkout", field)
	page("POST /checkout", "")
	page("GET /orders/"+name, `<dd id="order">`+shown+`</dd>`)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, bought
}

func TestVisitor(t *testing.T) {
	base, bought := stall(t, "")
	for n := range 3 {
		if err := newVisitor(base).order(t.Context(), n); err != nil {
			t.Error(err)
		}
	}
	shoptest.Equal(t, *bought, []string{"mug 1", "mug 2", "mug 2", "mug 1", "mug 1", "mug 1"})
}

func TestVisitor_noticesWhatIsBroken(t *testing.T) {
	for spoil, want := range map[string]string{
		"GET /{$}":            "GET /: 503",
		"empty":               "no products",
		"GET /products/mug":   "GET /products/mug: 503",
		"POST /cart":          "POST /cart: 503",
		"GET /checkout":       "GET /checkout: 503",
		"no form":             "no form",
		"POST /checkout":      "POST /checkout: 503",
		"GET /orders/" + name: "POST /checkout: 503",
		"another order":       "does not confirm",
	} {
		base, _ := stall(t, spoil)
		if err := newVisitor(base).order(t.Context(), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", spoil, err)
		}
	}
	if err := newVisitor("http://127.0.0.1:0").order(t.Context(), 0); err == nil {
		t.Error("nobody sells, and an order is placed")
	}
}

func TestSetup(t *testing.T) {
	base, bought := stall(t, "")
	e := shoptest.Env(map[string]string{"FRONTEND_ADDR": strings.TrimPrefix(base, "http://"), "ORDERS": "2", "PER_MINUTE": "6000"})
	h := setup(e)
	shoptest.Equal(t, shoptest.Answer[report](t, h, "GET", "/report", nil), report{Orders: 2})
	if err := e.Work(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	shoptest.Equal(t, len(*bought), 3)
	shoptest.Equal(t, shoptest.Answer[report](t, h, "GET", "/report", nil), report{Orders: 2, Placed: 2})
}
