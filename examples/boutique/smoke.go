package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// smoke buys something in the shop, as a person would: through the pages of the frontend.
func (p *pipeline) smoke(ctx context.Context) error {
	return p.do(ctx, "smoke", 0, func(ctx context.Context, st ongoing) error {
		base := p.shop
		if base == "" {
			base = "http://" + p.standIns.cluster.addrs["frontend"]
		}
		order, err := buy(ctx, strings.TrimRight(base, "/"))
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%w: the shop does not sell: %w", errStopped, err)
		}
		st.Detail = "ordered " + order
		return err
	})
}

var (
	productLink = regexp.MustCompile(`href="/products/([^"]+)"`)
	orderField  = regexp.MustCompile(`name="order"[^>]*value="([^"]+)"`)
)

// buy puts the first product there is into the cart and orders it. It returns the order's name.
func buy(ctx context.Context, base string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Jar: jar, Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	page := func(path string, form url.Values) (text, at string, err error) {
		method, body := http.MethodGet, io.Reader(nil)
		if form != nil {
			method, body = http.MethodPost, strings.NewReader(form.Encode())
		}
		req, err := http.NewRequestWithContext(ctx, method, base+path, body)
		if err != nil {
			return "", "", err
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s %s: %s", method, path, resp.Status)
		}
		return string(b), resp.Request.URL.Path, err
	}

	home, _, err := page("/", nil)
	if err != nil {
		return "", err
	}
	product := productLink.FindStringSubmatch(home)
	if product == nil {
		return "", errors.New("the first page shows no product")
	}
	if _, _, err := page("/cart", url.Values{"product": {product[1]}, "quantity": {"1"}}); err != nil {
		return "", err
	}
	checkout, _, err := page("/checkout", nil)
	if err != nil {
		return "", err
	}
	order := orderField.FindStringSubmatch(checkout)
	if order == nil {
		return "", errors.New("the checkout page gives the order no name")
	}
	_, at, err := page("/checkout", url.Values{
		"order": {order[1]}, "email": {"ada@example.com"}, "name": {"Ada Example"}, "street": {"Am Sandtorkai 9"}, "zip": {"20457"},
		"city": {"Hamburg"}, "country": {"DE"}, "card": {"4111 1111 1111 1111"}, "cvv": {"123"}, "month": {"12"}, "year": {strconv.Itoa(time.Now().Year() + 1)},
	})
	if err != nil {
		return "", err
	}
	if at != "/orders/"+order[1] {
		return "", fmt.Errorf("ordering led to %s", at)
	}
	return order[1], nil
}
