package notifytest

import (
	"context"
	"slices"
	"sync"

	"github.com/waybill-dev/waybill/notify"
)

// Recorder is a [notify.Notifier] that keeps what it is given. The zero value takes everything.
type Recorder struct {
	mu       sync.Mutex
	messages []notify.Message
	errs     []error
}

var _ notify.Notifier = (*Recorder)(nil)

// Notify keeps m, or returns the next of the errors given to Fail. It returns ctx's error when ctx has ended.
func (r *Recorder) Notify(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return notify.Receipt{}, &notify.Error{Op: "send", Target: "recorder", Kind: notify.ErrUnavailable, Err: err}
	}
	if len(r.errs) > 0 {
		err := r.errs[0]
		r.errs = r.errs[1:]
		if err != nil {
			return notify.Receipt{}, err
		}
	}
	r.messages = append(r.messages, m)
	return notify.Receipt{Status: notify.Delivered, ID: m.IdempotencyKey()}, nil
}

// Fail makes the next calls of Notify fail, one with each error; nil lets one through.
func (r *Recorder) Fail(errs ...error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, errs...)
}

// Messages returns what was taken so far, oldest first.
func (r *Recorder) Messages() []notify.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}
