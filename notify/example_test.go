package notify_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

func Example() {
	var developers, onCall notifytest.Recorder // in earnest: email.New, slack.NewWebhook, teams.New, webhook.New
	f, err := notify.New([]notify.Target{
		{Name: "developers", Notifier: &developers},
		{Name: "on call", Notifier: &onCall, Match: notify.Match{MinSeverity: notify.SeverityError, Environments: []string{"prod-*"}}},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := f.Send(context.Background(), notify.Message{
		Title:       "checkout 1.4.2 is healthy",
		Outcome:     notify.Succeeded,
		Environment: "prod-eu",
		Component:   "checkout",
		Fields:      []notify.Field{{Name: "Digest", Value: "sha256:4f53cda1"}},
		Links:       []notify.Link{{Text: "Run", URL: "https://ci.example.test/run/42"}},
		Key:         "run-42", // one message per run
	})
	for _, r := range results {
		fmt.Printf("%s: %s %s\n", r.Target, r.Status, cmp.Or(r.Reason, "at the first try"))
	}
	fmt.Println(err)
	// Output:
	// developers: delivered at the first try
	// on call: dropped severity info is below error
	// <nil>
}

// One target fails, the other has the message: the error says which, and of what kind it is.
func ExampleFanout_Send_failure() {
	var chat, mail notifytest.Recorder
	chat.Fail(&notify.Error{Op: "send", Target: "slack", Kind: notify.ErrGone, Err: errors.New("HTTP 404 no_service")})
	f, err := notify.New([]notify.Target{{Name: "chat", Notifier: &chat}, {Name: "mail", Notifier: &mail}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := f.Send(context.Background(), notify.Message{Title: "deployed"})
	fmt.Println(results[0].Status, results[1].Status)
	fmt.Println(err)
	fmt.Println(errors.Is(err, notify.ErrGone), notify.Retryable(err))
	// Output:
	// failed delivered
	// notify: send chat (slack): no such destination: HTTP 404 no_service
	// true false
}

func ExampleParseTemplate() {
	t, err := notify.ParseTemplate(notify.Message{
		Title:   "{{.App}} {{.Version}} is healthy",
		Summary: "Deployed by {{.By}}.",
		Links:   []notify.Link{{Text: "Run", URL: "https://ci.example.test/run/{{.Run}}"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := t.Render(map[string]any{"App": "checkout", "Version": "1.4.2", "By": "<b>Ada</b>", "Run": 42})
	fmt.Println(m.Title, m.Summary, m.Links[0].URL, err)
	_, err = t.Render(map[string]any{"App": "checkout"})
	fmt.Println(errors.Is(err, notify.ErrInvalid))
	// Output:
	// checkout 1.4.2 is healthy Deployed by <b>Ada</b>. https://ci.example.test/run/42 <nil>
	// true
}
