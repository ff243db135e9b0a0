package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/webhook"
)

func Example() {
	secret := func(context.Context) (string, error) { return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", nil }

	// The receiver.
	verifier, err := webhook.NewVerifier([]func(context.Context) (string, error){secret}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := verifier.Request(r)
		if err != nil {
			http.Error(w, "not signed by us", http.StatusUnauthorized)
			return
		}
		fmt.Println("got", d.ID)
	}))
	defer receiver.Close()

	// The sender.
	n, err := webhook.New(func(context.Context) (string, error) { return receiver.URL, nil }, &webhook.Options{
		Keys:         []func(context.Context) (string, error){secret},
		AllowPrivate: true, // the receiver is on this machine
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := n.Notify(context.Background(), notify.Message{Title: "checkout 1.4.2 is healthy", Key: "run-42"})
	fmt.Println(receipt.Status, err)
	// Output:
	// got e1f694f4a51c4662043d88e1d160f9da
	// delivered <nil>
}

func ExampleVerifier_Verify_forged() {
	verifier, err := webhook.NewVerifier([]func(context.Context) (string, error){
		func(context.Context) (string, error) { return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", nil },
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verifier.Verify(context.Background(), http.Header{}, []byte(`{"type":"waybill.notification"}`))
	fmt.Println(errors.Is(err, notify.ErrDenied), err)
	// Output: true notify: verify webhook: denied: it is not signed
}
