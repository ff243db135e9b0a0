package email_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

func Example() {
	server, err := notifytest.StartSMTP(&notifytest.SMTPOptions{Users: map[string]string{"ci": "hunter2"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	n, err := email.New(server.Addr, "Pipeline <ci@example.test>", []string{"dev@example.test"}, &email.Options{
		Username:  "ci",
		Password:  func(context.Context) (string, error) { return "hunter2", nil }, // in earnest: (*secrets.Resolver).Func
		TLSConfig: &tls.Config{RootCAs: server.RootCAs},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := n.Notify(context.Background(), notify.Message{Title: "checkout 1.4.2 is healthy", Key: "run-42"})
	fmt.Println(receipt.Status, receipt.ID, err)
	fmt.Println(server.Mails()[0].Subject(), server.Mails()[0].TLS)
	// Output:
	// accepted <e1f694f4a51c4662043d88e1d160f9da@example.test> <nil>
	// checkout 1.4.2 is healthy true
}

// A recipient that does not exist does not keep the others from their mail.
func ExampleNotifier_Notify_refusedRecipient() {
	server, err := notifytest.StartSMTP(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	server.Fail(notifytest.SMTPFault{At: "RCPT", Arg: "gone@", Reply: "550 5.1.1 no such user"})

	n, err := email.New(server.Addr, "ci@example.test", []string{"dev@example.test", "gone@example.test"}, &email.Options{
		TLSConfig: &tls.Config{RootCAs: server.RootCAs},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := n.Notify(context.Background(), notify.Message{Title: "deployed"})
	fmt.Println(errors.Is(err, notify.ErrPartial), notify.Retryable(err))
	for _, r := range receipt.Recipients {
		fmt.Println(r.Address, r.Err == nil)
	}
	// Output:
	// true false
	// dev@example.test true
	// gone@example.test false
}
