// Package outbox puts a durable queue in front of a [notify.Fanout]: what it has taken is delivered, or kept as a
// dead letter with the reason, whatever happens to the process in between.
//
// A message is written to disk before anything is sent, and taken off after the target has it; a process that is killed
// at any moment in between sends again, under the same idempotency key, when the outbox is opened next. What
// was sent is remembered, so the same message ([notify.Message.Key]) given again is dropped: a pipeline that is
// run twice mails once.
//
// The queue is one file, outbox.db in a directory of its own, for one process at a time. It holds messages as they
// are, attachments included, readable by the owner only. It holds no credentials.
//
// # Errors
//
// All errors are [*notify.Error], with the kinds of package notify for what targets say, and [ErrLocked], [ErrFull] and
// [ErrCorrupt] for the queue itself.
package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/waybill-dev/waybill/internal/retry"
	"github.com/waybill-dev/waybill/notify"
)

// The failures of the queue itself, as kinds of a [*notify.Error].
var (
	// ErrLocked: another process has the outbox open.
	ErrLocked = errors.New("outbox is in use by another process")
	// ErrFull: Options.MaxQueued messages wait already. Nothing was taken.
	ErrFull = errors.New("outbox is full")
	// ErrCorrupt: the file is no outbox, damaged, or cut short. What it held is lost to us.
	ErrCorrupt = errors.New("outbox is corrupt, move it away")
)

// Options of [Open]. The zero value is ready to use.
type Options struct {
	Rounds    int           // rounds of tries, each as long as the Fanout's options say, before a message is given up; 0 means 20
	Base      time.Duration // upper bound of the pause after the first round, doubled each time; 0 means 10 s
	MaxPause  time.Duration // upper bound of that pause, unless a server asks for more; 0 means 15 min
	Expire    time.Duration // age at which a message is given up; 0 means 24 h
	Remember  time.Duration // how long the key of a sent message is remembered; 0 means 30 days
	MaxQueued int           // messages that may wait, counted per target; 0 means 10,000
	LockWait  time.Duration // how long Open waits for another process; 0 means 5 s

	// OnResult, when set, is called after each round with what came of it, from the goroutine of the target.
	OnResult func(notify.Result)

	hook func(point string) // for tests that kill the process
}

// Outbox is an open queue. It is safe for use by several goroutines.
type Outbox struct {
	f    *notify.Fanout
	o    Options
	db   *bbolt.DB
	path string

	mu    sync.Mutex
	lanes map[string]*lane
}

// lane is the queue of one target: one delivery at a time, so that a slow target holds up itself only.
type lane struct {
	mu   sync.Mutex
	wake chan struct{} // something may be due earlier than was thought
}

// Open opens the outbox in dir, which is made when it is not there. Messages for targets that f no longer has stay where
// they are. A Fanout that is a dry run is refused. o may be nil.
func Open(dir string, f *notify.Fanout, o *Options) (*Outbox, error) {
	b := &Outbox{f: f, path: filepath.Join(dir, "outbox.db"), lanes: map[string]*lane{}}
	if o != nil {
		b.o = *o
	}
	if err := b.o.defaults(f); err != nil {
		return nil, &notify.Error{Op: "open", Target: "outbox", Kind: notify.ErrInvalid, Err: err}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, b.fail("open", notify.ErrUnavailable, err)
	}
	if err := b.openFile(); err != nil {
		return nil, err
	}
	err := b.update("open", func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketQueue, bucketKeys, bucketDead, bucketMeta} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return b.migrate(tx)
	})
	if err != nil {
		_ = b.db.Close()
		return nil, err
	}
	b.hook("opened")
	return b, nil
}

// openFile opens the store, which panics on some damage.
func (b *Outbox) openFile() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = b.fail("open", ErrCorrupt, fmt.Errorf("%v", p))
		}
	}()
	info, statErr := os.Stat(b.path)
	fresh := statErr != nil || info.Size() == 0
	if !fresh {
		if err := b.checkLength(); err != nil {
			return err
		}
	}
	if b.db, err = bbolt.Open(b.path, 0o600, &bbolt.Options{Timeout: b.o.LockWait}); err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok && fresh && failed.Op == "write" {
		_ = os.Remove(b.path) // what a full disk had room for; nobody could open that
	}
	return b.fail("open", openKind(err), err)
}

// checkLength refuses a file that is cut short. The store maps it into memory, and what is beyond its end ends the
// program when it is read, which opening for writing does before anybody can ask.
func (b *Outbox) checkLength() error {
	db, err := bbolt.Open(b.path, 0, &bbolt.Options{Timeout: b.o.LockWait, ReadOnly: true})
	if err != nil {
		return b.fail("open", openKind(err), err)
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		if info, err := os.Stat(b.path); err != nil || info.Size() < tx.Size() {
			return b.fail("open", ErrCorrupt, errors.New("it is cut short"))
		}
		return nil
	})
}

func openKind(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrLocked
	case errors.As(err, new(*fs.PathError)):
		return notify.ErrUnavailable
	}
	return ErrCorrupt
}

func (o *Options) defaults(f *notify.Fanout) error {
	var errs []error
	if f == nil {
		errs = append(errs, errors.New("the fanout is nil"))
	} else if f.DryRun() { // it would take messages off the queue as if they were sent
		errs = append(errs, errors.New("the fanout is a dry run; send to it without an outbox"))
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{
		{"Base", &o.Base, 10 * time.Second},
		{"MaxPause", &o.MaxPause, 15 * time.Minute},
		{"Expire", &o.Expire, 24 * time.Hour},
		{"Remember", &o.Remember, 30 * 24 * time.Hour},
		{"LockWait", &o.LockWait, 5 * time.Second},
	} {
		if *d.value < 0 {
			errs = append(errs, fmt.Errorf("field %s is negative", d.name))
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	for _, n := range []struct {
		name  string
		value *int
		usual int
	}{{"Rounds", &o.Rounds, 20}, {"MaxQueued", &o.MaxQueued, 10_000}} {
		if *n.value < 0 {
			errs = append(errs, fmt.Errorf("field %s is negative", n.name))
		}
		if *n.value == 0 {
			*n.value = n.usual
		}
	}
	return errors.Join(errs...)
}

// Close waits for running rounds to be written down and closes the file. End Run's context first, and do not call it
// from OnResult, which is part of a round.
func (b *Outbox) Close() error {
	for _, t := range b.f.Targets() { // the store waits for its own transactions only
		l := b.lane(t.Name)
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	if err := b.db.Close(); err != nil {
		return b.fail("close", notify.ErrUnavailable, err)
	}
	return nil
}

// Send takes m for every target that it is for and returns when it is safely on disk; [Outbox.Run] or
// [Outbox.Flush] delivers it. There is one result per target: Accepted with the reason "queued"; Dropped when m is
// queued or was sent before, or is not for the target; NotSent when it was given up before. The error joins those
// of the results; when there are no results nothing was taken.
func (b *Outbox) Send(ctx context.Context, m notify.Message) ([]notify.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, b.fail("send to", notify.ErrUnavailable, err)
	}
	m, err := m.Normalize() // the key and the time of now stay the message's own
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var results []notify.Result
	err = b.update("send to", func(tx *bbolt.Tx) error {
		b.hook("enqueue")
		results = nil
		for _, t := range b.f.Targets() {
			r := notify.Result{Target: t.Name, Key: m.Key}
			if ok, why := t.Match.Matches(m); !ok {
				r.Status, r.Reason = notify.Dropped, why
			} else if k, ok := known(tx, t.Name, m.Key); ok && k.State == stateDead {
				r.Status, r.Err = notify.NotSent, b.fail("send to", notify.ErrRejected, fmt.Errorf("it was given up for %s before; revive its dead letter, or set another Key if that was discarded", t.Name))
			} else if ok {
				r.Status, r.Reason, r.ID = notify.Dropped, string(k.State)+" before", k.ID
			} else {
				e := entry{Target: t.Name, Message: m, Created: now, Due: now, Written: now}
				if err := b.enqueue(tx, &e); err != nil {
					return err
				}
				r.Status, r.Reason = notify.Accepted, "queued"
			}
			results = append(results, r)
		}
		b.hook("enqueue written")
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.hook("enqueued")
	errs := make([]error, len(results))
	for i, r := range results {
		b.lane(r.Target).knock()
		errs[i] = r.Err
	}
	return results, errors.Join(errs...)
}

// Flush makes one round with every message that waits, due or not, all targets at once, and returns what came of each. A
// message that another round may deliver stays queued; its result carries the error. Errors are joined.
func (b *Outbox) Flush(ctx context.Context) ([]notify.Result, error) {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		results []notify.Result
		errs    []error
	)
	for _, t := range b.f.Targets() {
		wg.Go(func() {
			waiting, err := b.positions(t.Name)
			for _, at := range waiting {
				if ctx.Err() != nil || err != nil {
					break
				}
				var r *notify.Result
				r, err = b.round(ctx, t.Name, func(tx *bbolt.Tx) (*entry, error) { return get(tx, t.Name, at) })
				if r != nil {
					mu.Lock()
					results, errs = append(results, *r), append(errs, r.Err)
					mu.Unlock()
				}
			}
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		errs = append(errs, b.fail("flush", notify.ErrUnavailable, err))
	}
	return results, errors.Join(errs...)
}

func (b *Outbox) positions(target string) (list [][]byte, err error) {
	err = b.view("read", func(tx *bbolt.Tx) error {
		q := tx.Bucket(bucketQueue).Bucket([]byte(target))
		if q == nil {
			return nil
		}
		return q.ForEach(func(k, _ []byte) error {
			list = append(list, bytes.Clone(k))
			return nil
		})
	})
	return list, err
}

// Run delivers until ctx ends, and then returns nil: what is not delivered stays queued. It returns an error when the
// queue itself fails.
func (b *Outbox) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, t := range b.f.Targets() {
		wg.Go(func() {
			for ctx.Err() == nil {
				r, err := b.round(ctx, t.Name, func(tx *bbolt.Tx) (*entry, error) {
					e, err := first(tx, t.Name)
					if e != nil && e.dueIn(time.Now()) > 0 {
						e = nil
					}
					return e, err
				})
				if err != nil {
					cancel(err)
					return
				}
				if r == nil {
					b.idle(ctx, t.Name)
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// idle waits until something of the target may be due.
func (b *Outbox) idle(ctx context.Context, target string) {
	wait := time.Hour
	_ = b.view("look into", func(tx *bbolt.Tx) error {
		if e, _ := first(tx, target); e != nil {
			wait = max(0, e.dueIn(time.Now()))
		}
		return nil
	})
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-b.lane(target).wake:
	}
}

func (b *Outbox) lane(target string) *lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.lanes[target]
	if !ok {
		l = &lane{wake: make(chan struct{}, 1)}
		b.lanes[target] = l
	}
	return l
}

func (l *lane) knock() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// round makes one round with the entry that pick finds; nil when it finds none.
func (b *Outbox) round(ctx context.Context, target string, pick func(*bbolt.Tx) (*entry, error)) (*notify.Result, error) {
	l := b.lane(target)
	l.mu.Lock()
	defer l.mu.Unlock()
	var e *entry
	err := b.view("read", func(tx *bbolt.Tx) (err error) {
		e, err = pick(tx)
		return err
	})
	if err != nil || e == nil {
		return nil, err
	}
	b.hook("picked")
	r := b.f.SendTo(ctx, target, e.Message, e.Only)
	b.hook("sent")
	broken := ctx.Err() != nil && r.Err != nil // by ourselves: the round does not count
	if broken && len(r.Recipients) == 0 {
		return &r, nil
	}
	err = b.update("record in", func(tx *bbolt.Tx) error {
		defer b.hook("recorded, not committed")
		return b.record(tx, e, &r, broken)
	})
	if err != nil {
		return &r, err
	}
	b.hook("recorded")
	if b.o.OnResult != nil {
		b.o.OnResult(r)
	}
	return &r, nil
}

// record writes down what came of a round, after the fact. Of a round that was broken off only the recipients count:
// nobody is sent to twice.
func (b *Outbox) record(tx *bbolt.Tx, e *entry, r *notify.Result, broken bool) error {
	if err := remove(tx, e); err != nil {
		return err
	}
	e.settle(r.Recipients)
	if broken && len(e.Only) > 0 {
		return put(tx, e)
	}
	e.Rounds++
	now := time.Now()
	switch {
	case r.Err == nil && len(e.Refused) == 0:
		return remember(tx, e, key{State: stateSent, At: now, ID: r.ID})
	case r.Err == nil:
		return b.bury(tx, e, "refused for some recipients")
	case !notify.Retryable(r.Err):
		return b.bury(tx, e, r.Err.Error())
	case e.Rounds >= b.o.Rounds:
		return b.bury(tx, e, fmt.Sprintf("given up after %d rounds: %v", e.Rounds, r.Err))
	case now.Sub(e.Created) >= b.o.Expire:
		return b.bury(tx, e, fmt.Sprintf("given up after %s: %v", b.o.Expire, r.Err))
	}
	pause := retry.Policy{Base: b.o.Base, Max: b.o.MaxPause}.Pause(e.Rounds)
	if asked, ok := errors.AsType[*notify.Error](r.Err); ok {
		pause = max(pause, asked.RetryAfter)
	}
	e.Due, e.Written, e.Error = now.Add(pause), now, r.Err.Error()
	if end := e.Created.Add(b.o.Expire); e.Due.After(end) { // whatever the server asks for: one last try, then it is given up
		e.Due = end
	}
	return put(tx, e)
}

func (b *Outbox) hook(point string) {
	if b.o.hook != nil {
		b.o.hook(point)
	}
}

func (b *Outbox) fail(op string, kind, err error) error {
	return &notify.Error{Op: op, Target: "outbox " + b.path, Kind: kind, Err: err}
}

// update and view run a transaction. The store panics on some damage; that is an error here.
func (b *Outbox) update(op string, f func(*bbolt.Tx) error) error {
	return b.transact(op, b.db.Update, f)
}

func (b *Outbox) view(op string, f func(*bbolt.Tx) error) error { return b.transact(op, b.db.View, f) }

func (b *Outbox) transact(op string, run func(func(*bbolt.Tx) error) error, f func(*bbolt.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = b.fail(op, ErrCorrupt, fmt.Errorf("%v", p))
		}
	}()
	err = run(f)
	var done *notify.Error
	var syntax *json.SyntaxError
	switch {
	case err == nil || errors.As(err, &done):
		return err
	case errors.As(err, &syntax):
		return b.fail(op, ErrCorrupt, err)
	}
	return b.fail(op, notify.ErrUnavailable, err)
}
