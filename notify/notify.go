package notify

import (
	"context"
	"encoding/json"
)

// Notifier is one channel to one place. Notify makes one attempt; repeating is the work of [Fanout]. It may
// be called from several goroutines. An error is an [*Error], and says by its kind whether another try can
// help; the receipt that comes with one tells the recipients apart, where there are several.
type Notifier interface {
	Notify(ctx context.Context, m Message) (Receipt, error)
}

// Renderer is implemented by notifiers that can show what they would send. It does no I/O.
type Renderer interface {
	Render(m Message) (contentType string, body []byte, err error)
}

// Resumer is implemented by notifiers that address several recipients one by one. Resume is Notify for
// those in only, which are taken from an earlier receipt's Recipients.
type Resumer interface {
	Resume(ctx context.Context, m Message, only []string) (Receipt, error)
}

// Receipt says what a channel answered.
type Receipt struct {
	Status     Status      // Delivered or Accepted
	ID         string      // the channel's name for it: Message-ID, Slack's ts, webhook-id
	Cut        bool        // the message was shortened to the channel's limits
	Recipients []Recipient // one each, for channels that answer per recipient
}

// Recipient is the answer for one of several recipients.
type Recipient struct {
	Address string
	Err     error // nil: taken
}

// Status says how sending to a target ended.
type Status string

// The statuses of a [Result].
const (
	Delivered Status = "delivered" // the channel has it where people read it
	Accepted  Status = "accepted"  // a server took it and will pass it on; that it did is not known
	Partial   Status = "partial"   // taken for some recipients and not for others
	Dropped   Status = "dropped"   // not sent, and rightly so: Reason says why
	NotSent   Status = "failed"    // not sent: Err says why
)

// Result says what became of a message at one target.
type Result struct {
	Target     string
	Status     Status
	Attempts   int    // tries made; 0 for a dropped message
	ID         string // see Receipt.ID
	Key        string // the idempotency key it went under
	Cut        bool   // see Receipt.Cut
	Reason     string // why it was dropped
	Recipients []Recipient
	Preview    []byte // what would have been sent, in a dry run
	Err        error
}

// MarshalJSON writes the result with errors as text; empty parts are left out.
func (r Result) MarshalJSON() ([]byte, error) {
	type recipient struct {
		Address string `json:"address"`
		Error   string `json:"error,omitempty"`
	}
	out := struct {
		Target     string      `json:"target"`
		Status     Status      `json:"status"`
		Attempts   int         `json:"attempts"`
		ID         string      `json:"id,omitempty"`
		Key        string      `json:"key,omitempty"`
		Cut        bool        `json:"cut,omitempty"`
		Reason     string      `json:"reason,omitempty"`
		Recipients []recipient `json:"recipients,omitempty"`
		Preview    string      `json:"preview,omitempty"`
		Error      string      `json:"error,omitempty"`
	}{r.Target, r.Status, r.Attempts, r.ID, r.Key, r.Cut, r.Reason, nil, string(r.Preview), errorText(r.Err)}
	for _, rc := range r.Recipients {
		out.Recipients = append(out.Recipients, recipient{rc.Address, errorText(rc.Err)})
	}
	return json.Marshal(out)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
