package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/examples/boutique/internal/local"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

var eleven = []string{
	"ad", "cart", "checkout", "currency", "email", "frontend", "loadgenerator", "payment", "productcatalog", "recommendation", "shipping",
}

// bump sets the images of all services in the whole GitOps folder, and returns the files by their names in it.
func bump(t *testing.T, to string) (after map[string][]byte, changes []manifest.Change) {
	t.Helper()
	var edits []manifest.Edit
	for _, s := range eleven {
		edits = append(edits, manifest.Edit{Image: "registry.example.com/boutique/" + s, To: to, Matches: 3})
	}
	editor, err := manifest.NewEditor(edits, nil)
	require.NoError(t, err)
	after = map[string][]byte{}
	for name, before := range gitopsFolder(t) {
		out, ch, err := editor.File(name, before)
		if errors.Is(err, manifest.ErrTemplate) {
			assert.Contains(t, name, "chart/templates/")
			out, err = before, nil
		}
		require.NoError(t, err)
		after[name], changes = out, append(changes, ch...)
	}
	require.NoError(t, editor.Check())
	return after, changes
}

// gitopsFolder is the GitOps folder as it is.
func gitopsFolder(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	require.NoError(t, fs.WalkDir(deployFiles, "deploy", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all[strings.TrimPrefix(path, "deploy/")], err = fs.ReadFile(deployFiles, path)
		return err
	}))
	return all
}

// One bump sets the eleven tags in the plain manifests, the overlay and the chart, and not one byte besides.
func TestDeploy_onlyTagsChange(t *testing.T) {
	after, changes := bump(t, "1207")
	perForm, at := map[string]int{}, map[string]map[int]bool{}
	for _, c := range changes {
		assert.Equal(t, "0", c.OldTag, c.File)
		form, _, _ := strings.Cut(c.File, "/")
		perForm[form]++
		if at[c.File] == nil {
			at[c.File] = map[int]bool{}
		}
		at[c.File][c.Line] = true
	}
	assert.Equal(t, map[string]int{"manifests": 11, "kustomize": 11, "chart": 11}, perForm)
	for name, before := range gitopsFolder(t) {
		was, is := strings.Split(string(before), "\n"), strings.Split(string(after[name]), "\n")
		require.Len(t, is, len(was), name)
		for i, want := range was {
			if at[name][i+1] {
				want = withTag(t, want)
			}
			assert.Equal(t, want, is[i], "%s:%d", name, i+1)
		}
	}
}

// withTag is the line as a person would edit it, by hand.
func withTag(t *testing.T, line string) string {
	t.Helper()
	for _, tag := range []string{`newTag: "0"`, `newTag: '0'`, `tag: "0"`, `tag: '0'`, `:0`} {
		if i := strings.LastIndex(line, tag); i >= 0 {
			return line[:i] + strings.Replace(tag, "0", "1207", 1) + line[i+len(tag):]
		}
	}
	t.Fatalf("no tag in %q", line)
	return ""
}

func TestExtract(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "shop")
	require.NoError(t, extract(dir))
	found, err := services(dir)
	require.NoError(t, err)
	assert.Equal(t, eleven, found)
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	require.NoError(t, err)
	assert.Equal(t, "module github.com/waybill-dev/waybill/examples/boutique/shop\n\ngo 1.26\n", string(mod))

	again := t.TempDir() // there, and empty
	require.NoError(t, extract(again))
	assert.Equal(t, contents(t, dir), contents(t, again))
	assert.ErrorContains(t, extract(dir), "is not empty")
	assert.Error(t, extract(filepath.Join(dir, "go.mod")))
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(b)
		return err
	}))
	return all
}

func TestServices(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"src/cart/src/Dockerfile", "src/ad/Dockerfile", "Dockerfile", "src/ad/Dockerfile.debug", "src/none/main.go",
		".git/Dockerfile", "vendor/x/Dockerfile", "web/node_modules/y/Dockerfile", "web/Dockerfile", "odd/Dockerfile/file",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	found, err := services(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{".", "src/ad", "src/cart/src", "web"}, found)

	_, err = services(filepath.Join(dir, "nothing"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// The whole shop, as built programs: somebody orders something by the forms of its pages, and every service knows.
func TestShop(t *testing.T) {
	source, bin := filepath.Join(t.TempDir(), "shop"), t.TempDir()
	require.NoError(t, extract(source))
	require.NoError(t, local.Build(t.Context(), source, bin))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	program := func(service string) string {
		if runtime.GOOS == "windows" {
			service += ".exe"
		}
		return filepath.Join(bin, service)
	}
	shop, err := local.Start(t.Context(), program, log)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, shop.Stop()) })
	for _, service := range local.Services {
		var version struct{ Service string }
		answer(t, shop, service, "/version", &version)
		assert.Equal(t, service, version.Service)
	}

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	visit := func(path string, form url.Values) (string, string) {
		t.Helper()
		get := func() (*http.Response, error) { return browser.Get(shop.URL() + path) }
		if form != nil {
			get = func() (*http.Response, error) { return browser.PostForm(shop.URL()+path, form) }
		}
		resp, err := get()
		require.NoError(t, err)
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", path, page)
		return resp.Request.URL.Path, string(page)
	}
	_, page := visit("/", nil)
	assert.Equal(t, 12, strings.Count(page, `class="card"`))
	visit("/currency", url.Values{"currency": {"USD"}, "here": {"/"}})
	visit("/cart", url.Values{"product": {"harbour-mug"}, "quantity": {"2"}})
	visit("/cart", url.Values{"product": {"pocket-compass"}, "quantity": {"1"}})
	_, page = visit("/checkout", nil)
	assert.Contains(t, page, "Order for $94.84") // 2 x 21.14 + 45.59 + 6.97
	order := regexp.MustCompile(`name="order" value="(\w+)"`).FindStringSubmatch(page)
	require.NotNil(t, order)
	form := url.Values{
		"order": {order[1]}, "email": {"ada@example.com"}, "name": {"Ada Example"}, "street": {"Am Sandtorkai 9"}, "zip": {"20457"},
		"city": {"Hamburg"}, "country": {"DE"}, "card": {"5555 5555 5555 4444"}, "month": {"12"}, "year": {strconv.Itoa(time.Now().Year() + 1)}, "cvv": {"123"},
	}
	at, page := visit("/checkout", form)
	assert.Equal(t, "/orders/"+order[1], at)
	assert.Contains(t, page, "Thank you, Ada Example.")
	at, again := visit("/checkout", form) // a second click
	assert.Equal(t, "/orders/"+order[1], at)
	assert.Equal(t, page, again)

	var placed struct {
		User, Tracking, Transaction string
		Total                       struct {
			Currency string
			Units    int64
			Nanos    int32
		}
		Mailed bool
	}
	answer(t, shop, "checkout", at, &placed)
	assert.Equal(t, "USD 94 840000000", strings.Join([]string{placed.Total.Currency, strconv.FormatInt(placed.Total.Units, 10), strconv.Itoa(int(placed.Total.Nanos))}, " "))
	assert.True(t, placed.Mailed)
	var charge struct {
		Transaction, Kind, Last4 string
		Amount                   struct{ Units int64 }
	}
	answer(t, shop, "payment", "/charges/"+order[1], &charge)
	assert.Equal(t, placed.Transaction, charge.Transaction)
	assert.Equal(t, "Mastercard 4444 94", charge.Kind+" "+charge.Last4+" "+strconv.FormatInt(charge.Amount.Units, 10))
	var shipment struct {
		Order, Country string
		Pieces         int
	}
	answer(t, shop, "shipping", "/shipments/"+placed.Tracking, &shipment)
	assert.Equal(t, order[1]+" DE 3", shipment.Order+" "+shipment.Country+" "+strconv.Itoa(shipment.Pieces))
	var mail struct{ To, Text string }
	answer(t, shop, "email", "/confirmations/"+order[1], &mail)
	assert.Equal(t, "ada@example.com", mail.To)
	assert.Contains(t, mail.Text, "Total 94.84 USD")
	assert.Contains(t, mail.Text, placed.Tracking)
	var cart struct{ Items []any }
	answer(t, shop, "cart", "/carts/"+placed.User, &cart)
	assert.Empty(t, cart.Items)

	// The eleventh places orders by itself, and ends.
	load := exec.CommandContext(t.Context(), program("loadgenerator"), "-listen", "127.0.0.1:0")
	load.Env = append(append(os.Environ(), shop.Env()...), "ORDERS=3", "PER_MINUTE=6000")
	out, err := load.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), `"placed":3,"failed":0`)

	require.NoError(t, shop.Stop(), "everything ends when it is told to")
	logged, err := os.ReadFile(log.Name())
	require.NoError(t, err)
	// Four digits alone are in many a time or port.
	for _, secret := range []string{"5555 5555", "55555555", "Sandtorkai", "ada@example.com"} {
		assert.NotContains(t, string(logged), secret)
	}
	assert.NotContains(t, string(logged), `"error"`)
}

// answer asks a service what it knows.
func answer(t *testing.T, shop *local.Shop, service, path string, into any) {
	t.Helper()
	resp, err := http.Get("http://" + shop.Addr(service) + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s%s", service, path)
	require.NoError(t, json.NewDecoder(resp.Body).Decode(into))
}

// A service that does not start is named, and nothing is left running.
func TestShop_doesNotStart(t *testing.T) {
	_, err := local.Start(t.Context(), func(service string) string { return filepath.Join(t.TempDir(), service) }, nil)
	require.ErrorContains(t, err, "ad: ")
}
