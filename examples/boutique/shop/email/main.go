// Command email writes the mail that confirms an order. It has no mail server: the last mails can be asked for.
//
//	POST /confirmations          an order, as the checkout service answers it
//	GET  /confirmations/{order}  the mail that was written for an order
package main

import (
	_ "embed"
	htmltemplate "html/template"
	"net/http"
	"net/mail"
	"strings"
	texttemplate "text/template"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/memory"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

const (
	remembered = 200 // mails
	maxLines   = 100
)

var (
	//go:embed confirmation.txt
	textSource string
	//go:embed confirmation.html
	htmlSource string

	text = texttemplate.Must(texttemplate.New("confirmation.txt").Parse(textSource))
	html = htmltemplate.Must(htmltemplate.New("confirmation.html").Parse(htmlSource))
)

func main() {
	service.Main("email", func(*service.Env) http.Handler { return handler(memory.New[string, wire.Mail](remembered)) })
}

func handler(sent *memory.Map[string, wire.Mail]) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /confirmations", service.JSON(func(r *http.Request) (any, error) {
		var o wire.Order
		if err := service.Read(r, &o); err != nil {
			return nil, err
		}
		m, err := confirmation(o)
		if err != nil {
			return nil, err
		}
		return sent.Update(o.ID, func(wire.Mail, bool) (wire.Mail, error) { return m, nil })
	}))
	mux.Handle("GET /confirmations/{order}", service.JSON(func(r *http.Request) (any, error) {
		m, ok := sent.Get(r.PathValue("order"))
		if !ok {
			return nil, service.Fail(http.StatusNotFound, "not_found", "no mail was sent for this order")
		}
		return m, nil
	}))
	return mux
}

// confirmation writes the mail.
func confirmation(o wire.Order) (m wire.Mail, err error) {
	to, err := mail.ParseAddress(o.Email)
	if err != nil || to.Address != o.Email || len(o.Email) > 254 {
		return m, service.Fail(http.StatusUnprocessableEntity, "bad_email", "this is no address for a mail")
	}
	if o.ID == "" || len(o.Lines) == 0 || len(o.Lines) > maxLines {
		return m, service.Fail(http.StatusUnprocessableEntity, "bad_order", "an order has an id and 1 to %d lines", maxLines)
	}
	var plain, page strings.Builder
	if err := text.Execute(&plain, o); err != nil {
		return m, err
	}
	if err := html.Execute(&page, o); err != nil {
		return m, err
	}
	return wire.Mail{To: o.Email, Subject: "Your order " + o.Short() + " is on its way", Text: plain.String(), HTML: page.String()}, nil
}
