package teams_test

import (
	"context"
	"fmt"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/teams"
)

func Example() {
	server, err := notifytest.StartTeams(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	url := func(context.Context) (string, error) { return server.URL, nil } // in earnest: (*secrets.Resolver).Func
	n, err := teams.New(url, &teams.Options{AllowPrivate: true})            // the server is on this machine
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := n.Notify(context.Background(), notify.Message{Title: "checkout 1.4.2 is healthy"})
	fmt.Println(receipt.Status, err)
	fmt.Println(len(server.Taken()), "message,", len(server.Taken()[0].Problems), "problems")
	// Output:
	// accepted <nil>
	// 1 message, 0 problems
}

// The webhook was deleted. Its URL, a secret, is not in the error.
func ExampleNotifier_Notify_gone() {
	server, err := notifytest.StartTeams(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	server.Fail(notifytest.HTTPFault{Status: 404, Body: "no_service"})

	url := func(context.Context) (string, error) { return server.URL, nil }
	n, err := teams.New(url, &teams.Options{AllowPrivate: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = n.Notify(context.Background(), notify.Message{Title: "deployed"})
	fmt.Println(err)
	// Output: notify: send teams: no such destination: HTTP 404 no_service
}
