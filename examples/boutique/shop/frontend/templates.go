package main

import (
	"embed"
	"html/template"
	"path"
	"strings"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
)

//go:embed templates pictures
var files embed.FS

// templates are the pages, each in its frame.
var templates = parseTemplates()

func parseTemplates() map[string]*template.Template {
	frame := template.Must(template.New("frame.html").Funcs(template.FuncMap{
		"picture": picture, "price": price, "country": countryName,
	}).ParseFS(files, "templates/frame.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"home.html", "product.html", "cart.html", "checkout.html", "order.html", "error.html"} {
		all[name] = template.Must(template.Must(frame.Clone()).ParseFS(files, "templates/"+name))
	}
	return all
}

// picture is the drawing of a product, or an empty frame.
func picture(id string) template.HTML {
	svg, err := files.ReadFile("pictures/" + path.Base(id) + ".svg")
	if err != nil {
		svg, _ = files.ReadFile("pictures/unknown.svg")
	}
	return template.HTML(svg) //nolint:gosec // ours, from the program itself
}

var symbols = map[string]string{"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CAD": "CA$"}

// price writes an amount as people do.
func price(m money.Money) string {
	amount := strings.TrimSuffix(m.String(), " "+m.Currency)
	if s, ok := symbols[m.Currency]; ok {
		return s + amount
	}
	return m.Currency + "\u00a0" + amount
}

// country is where the shop delivers.
type country struct{ Code, Name string }

var countries = []country{
	{"DE", "Germany"},
	{"AT", "Austria"},
	{"CA", "Canada"},
	{"DK", "Denmark"},
	{"FR", "France"},
	{"IE", "Ireland"},
	{"IT", "Italy"},
	{"JP", "Japan"},
	{"NL", "Netherlands"},
	{"PL", "Poland"},
	{"ES", "Spain"},
	{"SE", "Sweden"},
	{"CH", "Switzerland"},
	{"GB", "United Kingdom"},
	{"US", "United States"},
}

func countryName(code string) string {
	for _, c := range countries {
		if c.Code == code {
			return c.Name
		}
	}
	return code
}
