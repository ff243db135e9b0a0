package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/outbox"
)

// A step of a pipeline that is run twice tells people once.
func Example() {
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	var chat notifytest.Recorder
	f, err := notify.New([]notify.Target{{Name: "chat", Notifier: &chat}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		b, err := outbox.Open(dir, f, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		taken, err := b.Send(context.Background(), notify.Message{Title: "deployed", Key: "run-42"})
		if err != nil {
			fmt.Println(err)
			return
		}
		sent, err := b.Flush(context.Background())
		fmt.Println(taken[0].Status, taken[0].Reason, len(sent), "sent", err)
		_ = b.Close()
	}
	fmt.Println(len(chat.Messages()), "message")
	// Output:
	// accepted queued 1 sent <nil>
	// dropped sent before 0 sent <nil>
	// 1 message
}

// What a target refuses for good becomes a dead letter, with the reason.
func ExampleOutbox_Dead() {
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	var chat notifytest.Recorder
	chat.Fail(&notify.Error{Op: "send", Kind: notify.ErrGone, Err: errors.New("HTTP 404")})
	f, err := notify.New([]notify.Target{{Name: "chat", Notifier: &chat}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := outbox.Open(dir, f, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	_, _ = b.Send(context.Background(), notify.Message{Title: "deployed"})
	_, err = b.Flush(context.Background())
	fmt.Println(errors.Is(err, notify.ErrGone))
	dead, err := b.Dead()
	fmt.Println(len(dead), dead[0].Message.Title, dead[0].Reason, err)
	// Output:
	// true
	// 1 deployed notify: send chat: no such destination: HTTP 404 <nil>
}
