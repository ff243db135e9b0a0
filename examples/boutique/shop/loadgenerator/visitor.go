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

const (
	visitTimeout = 15 * time.Second
	maxPageBytes = 1 << 20
	maxProducts  = 3 // in one order
)

// visitor is one person at the shop.
type visitor struct {
	base string
	http *http.Client
}

func newVisitor(base string) *visitor {
	jar, _ := cookiejar.New(nil) // never fails
	return &visitor{base: base, http: &http.Client{Jar: jar, Timeout: visitTimeout}}
}

var (
	productLink = regexp.MustCompile(`href="/products/([a-z0-9-]+)"`)
	orderField  = regexp.MustCompile(`name="order" value="([A-Z2-7]{26})"`)
	orderShown  = regexp.MustCompile(`id="order">([A-Z2-7]{26})<`)
)

// order looks around, puts some things into the cart and orders them. n says who is asking, so that visitors
// differ and a run can be repeated.
func (v *visitor) order(ctx context.Context, n int) error {
	home, err := v.get(ctx, "/")
	if err != nil {
		return err
	}
	links := productLink.FindAllStringSubmatch(home, -1)
	if len(links) == 0 {
		return errors.New("the shop shows no products")
	}
	for i := range 1 + n%maxProducts {
		product := links[(n*7+i*3)%len(links)][1]
		if _, err := v.get(ctx, "/products/"+product); err != nil {
			return err
		}
		if _, err := v.post(ctx, "/cart", url.Values{"product": {product}, "quantity": {strconv.Itoa(1 + n%2)}}); err != nil {
			return err
		}
	}
	page, err := v.get(ctx, "/checkout")
	if err != nil {
		return err
	}
	field := orderField.FindStringSubmatch(page)
	if field == nil {
		return errors.New("the checkout has no form for an order")
	}
	page, err = v.post(ctx, "/checkout", url.Values{
		"order": {field[1]}, "email": {"visitor" + strconv.Itoa(n) + "@example.com"},
		"name": {"Visitor " + strconv.Itoa(n)}, "street": {"Am Sandtorkai 9"}, "zip": {"20457"}, "city": {"Hamburg"}, "country": {"DE"},
		"card": {"4111 1111 1111 1111"}, "month": {"12"}, "year": {strconv.Itoa(time.Now().Year() + 1)}, "cvv": {"123"},
	})
	if err != nil {
		return err
	}
	if shown := orderShown.FindStringSubmatch(page); shown == nil || shown[1] != field[1] {
		return errors.New("the shop does not confirm the order")
	}
	return nil
}

func (v *visitor) get(ctx context.Context, path string) (string, error) {
	return v.do(ctx, http.MethodGet, path, nil)
}

func (v *visitor) post(ctx context.Context, path string, form url.Values) (string, error) {
	return v.do(ctx, http.MethodPost, path, form)
}

// do asks for a page and follows where it leads.
func (v *visitor) do(ctx context.Context, method, path string, form url.Values) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := v.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxPageBytes))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return string(page), nil
}
