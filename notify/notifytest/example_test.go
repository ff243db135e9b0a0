package notifytest_test

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

// A server that breaks off after it has taken the mail, once: the mail comes again, under the same Message-ID.
func ExampleSMTPServer_Fail() {
	server, err := notifytest.StartSMTP(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	server.Fail(notifytest.SMTPFault{At: ".", Keep: true, Close: true, Once: true})

	n, err := email.New(server.Addr, "ci@example.test", []string{"dev@example.test"}, &email.Options{TLSConfig: &tls.Config{RootCAs: server.RootCAs}})
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := notify.New([]notify.Target{{Name: "mail", Notifier: n}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := f.Send(context.Background(), notify.Message{Title: "deployed"})
	fmt.Println(results[0].Status, results[0].Attempts, err)
	mails := server.Mails()
	fmt.Println(len(mails), mails[0].MessageID() == mails[1].MessageID())
	// Output:
	// accepted 2 <nil>
	// 2 true
}

func ExampleRecorder() {
	var rec notifytest.Recorder
	_, err := rec.Notify(context.Background(), notify.Message{Title: "deployed"})
	fmt.Println(rec.Messages()[0].Title, err)
	// Output: deployed <nil>
}
