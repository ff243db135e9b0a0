package exchange

import (
	"net/http"
	"testing"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/money"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/shoptest"
	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/wire"
)

func TestConvert(t *testing.T) {
	one := []money.Money{money.New("USD", 1, 0)}
	peer := shoptest.Peer(t, "currency", shoptest.Says(wire.Amounts{Amounts: one}))
	got, err := Convert(t.Context(), peer, []money.Money{money.New("EUR", 2, 0)}, "USD")
	if err != nil {
		t.Fatal(err)
	}
	shoptest.Equal(t, got, one)
	if _, err := Convert(t.Context(), peer, nil, "USD"); err == nil {
		t.Error("an amount too many goes unnoticed")
	}
	_, err = Convert(t.Context(), shoptest.Peer(t, "currency", shoptest.Down()), one, "EUR")
	shoptest.Equal(t, service.AsError(err).Status, http.StatusBadGateway)
}
