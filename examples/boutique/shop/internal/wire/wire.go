// Package wire has the messages that the services of the shop send each other as JSON.
package wire

import (
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
)

// Product is one thing that the shop sells.
type Product struct {
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Line        string      `json:"line"` // what it is, in a few words
	Description string      `json:"description"`
	Price       money.Money `json:"price"`
	Categories  []string    `json:"categories"`
}

// Products is the answer of the product catalog.
type Products struct {
	Products []Product `json:"products"`
}

// Item is some of one product.
type Item struct {
	Product  string `json:"product"`
	Quantity int    `json:"quantity"`
}

// Cart is what a user is about to buy, in the order in which it was put there.
type Cart struct {
	User  string `json:"user"`
	Items []Item `json:"items"`
}

// Address is where goods are sent.
type Address struct {
	Name    string `json:"name"`
	Street  string `json:"street"`
	Zip     string `json:"zip"`
	City    string `json:"city"`
	Country string `json:"country"` // ISO 3166, two letters
}

// Card is a payment card. It is in no log and in no answer.
type Card struct {
	Number string `json:"number"`
	CVV    string `json:"cvv"`
	Month  int    `json:"month"`
	Year   int    `json:"year"`
}

// Currencies is what the currency service converts between.
type Currencies struct {
	Currencies []string `json:"currencies"`
}

// Conversion asks for amounts in another currency.
type Conversion struct {
	Amounts []money.Money `json:"amounts"`
	To      string        `json:"to"`
}

// Amounts is the answer to a [Conversion], in the same order.
type Amounts struct {
	Amounts []money.Money `json:"amounts"`
}

// Parcel asks what it costs to send items, or, with an order, to send them.
type Parcel struct {
	Order   string  `json:"order,omitempty"`
	Address Address `json:"address"`
	Items   []Item  `json:"items"`
}

// Quote is what sending a parcel costs.
type Quote struct {
	Cost money.Money `json:"cost"`
	Days int         `json:"days"` // how long it takes
}

// Shipment is a parcel on its way.
type Shipment struct {
	Tracking string `json:"tracking"`
	Order    string `json:"order"`
	Country  string `json:"country"`
	Pieces   int    `json:"pieces"`
}

// Payment asks to charge a card for an order. Asking again for the same order charges nothing.
type Payment struct {
	Order  string      `json:"order"`
	Amount money.Money `json:"amount"`
	Card   Card        `json:"card"`
}

// Charge is a payment that was made.
type Charge struct {
	Transaction string      `json:"transaction"`
	Order       string      `json:"order"`
	Amount      money.Money `json:"amount"`
	Kind        string      `json:"kind"` // "Visa"
	Last4       string      `json:"last4"`
}

// Checkout asks to order what is in the user's cart. The order's name is made up by whoever asks, so that asking
// twice, as people do who click twice, orders once.
type Checkout struct {
	Order    string  `json:"order"`
	User     string  `json:"user"`
	Currency string  `json:"currency"`
	Email    string  `json:"email"`
	Address  Address `json:"address"`
	Card     Card    `json:"card"`
}

// Line is one product of an order.
type Line struct {
	Product  string      `json:"product"`
	Name     string      `json:"name"`
	Quantity int         `json:"quantity"`
	Price    money.Money `json:"price"` // of one
	Cost     money.Money `json:"cost"`  // of all
}

// Order is an order that was paid and sent.
type Order struct {
	ID          string      `json:"id"`
	User        string      `json:"user"`
	Placed      time.Time   `json:"placed"`
	Email       string      `json:"email"`
	Address     Address     `json:"address"`
	Lines       []Line      `json:"lines"`
	Shipping    money.Money `json:"shipping"`
	Days        int         `json:"days"`
	Total       money.Money `json:"total"`
	Tracking    string      `json:"tracking"`
	Transaction string      `json:"transaction"`
	Mailed      bool        `json:"mailed"` // whether the confirmation could be sent
}

// Recommendations are products that go with others.
type Recommendations struct {
	Products []string `json:"products"`
}

// Ad leads to a product.
type Ad struct {
	Product string `json:"product"`
	Text    string `json:"text"`
}

// Mail is a message that was sent.
type Mail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
}

// Short is as much of an order's name as people need.
func (o Order) Short() string {
	if len(o.ID) > 8 {
		return o.ID[:8]
	}
	return o.ID
}
