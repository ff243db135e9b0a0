// Package exchange asks the currency service.
package exchange

import (
	"context"
	"net/http"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

// Convert returns the amounts in another currency, in the same order.
func Convert(ctx context.Context, currency *service.Client, amounts []money.Money, to string) ([]money.Money, error) {
	var out wire.Amounts
	if err := currency.Post(ctx, "/convert", wire.Conversion{Amounts: amounts, To: to}, &out); err != nil {
		return nil, err
	}
	if len(out.Amounts) != len(amounts) {
		return nil, service.Fail(http.StatusBadGateway, "unavailable", "the currency service lost an amount")
	}
	return out.Amounts, nil
}
