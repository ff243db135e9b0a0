package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/outbox"
)

func open(tb testing.TB, dir string, o *outbox.Options, targets ...notify.Target) *outbox.Outbox {
	tb.Helper()
	f, err := notify.New(targets, &notify.Options{Attempts: 1})
	require.NoError(tb, err)
	b, err := outbox.Open(dir, f, o)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = b.Close() })
	return b
}

func stats(t *testing.T, b *outbox.Outbox) outbox.Stats {
	t.Helper()
	s, err := b.Stats()
	require.NoError(t, err)
	return s
}

func unavailable(text string) error {
	return &notify.Error{Op: "send", Target: "test", Kind: notify.ErrUnavailable, Err: errors.New(text)}
}

func rejected(text string) error {
	return &notify.Error{Op: "send", Target: "test", Kind: notify.ErrRejected, Err: errors.New(text)}
}

func TestOutbox_sendsOnce(t *testing.T) {
	dir := t.TempDir()
	var rec notifytest.Recorder
	b := open(t, dir, nil, notify.Target{Name: "rec", Notifier: &rec}, notify.Target{Name: "bad news", Notifier: &rec, Match: notify.Match{MinSeverity: notify.SeverityError}})
	results, err := b.Send(t.Context(), notify.Message{Title: "hello", Key: "run-1"})
	require.NoError(t, err)
	require.Len(t, results, 2)
	assert.Equal(t, notify.Accepted, results[0].Status)
	assert.Equal(t, "queued", results[0].Reason)
	assert.Equal(t, notify.Dropped, results[1].Status)
	assert.Empty(t, rec.Messages(), "nothing is sent before the round")

	done, err := b.Flush(t.Context())
	require.NoError(t, err)
	require.Len(t, done, 1)
	assert.Equal(t, notify.Delivered, done[0].Status)

	require.NoError(t, b.Close())
	b = open(t, dir, nil, notify.Target{Name: "rec", Notifier: &rec})
	again, err := b.Send(t.Context(), notify.Message{Title: "hello, a second later", Key: "run-1"})
	require.NoError(t, err)
	assert.Equal(t, notify.Dropped, again[0].Status)
	assert.Equal(t, "sent before", again[0].Reason)
	_, err = b.Flush(t.Context())
	require.NoError(t, err)
	assert.Len(t, rec.Messages(), 1)
	assert.Equal(t, outbox.Stats{Sent: 1}, stats(t, b))
}

func TestOutbox_retriesUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec notifytest.Recorder
		rec.Fail(unavailable("no route"), &notify.Error{Op: "send", Kind: notify.ErrRateLimited, RetryAfter: time.Hour}, unavailable("again"))
		done := make(chan notify.Result, 10)
		b := open(t, t.TempDir(), &outbox.Options{OnResult: func(r notify.Result) { done <- r }}, notify.Target{Name: "rec", Notifier: &rec})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		start := time.Now()
		_, err := b.Send(t.Context(), notify.Message{Title: "hello"})
		require.NoError(t, err)
		for range 3 {
			require.Error(t, (<-done).Err)
		}
		require.NoError(t, (<-done).Err)
		assert.GreaterOrEqual(t, time.Since(start), time.Hour, "the server asked for an hour")
		cancel()
		require.NoError(t, <-ended)
		assert.Len(t, rec.Messages(), 1)
		assert.Equal(t, outbox.Stats{Sent: 1}, stats(t, b))
		require.NoError(t, b.Close())
	})
}

func TestOutbox_deadLetters(t *testing.T) {
	var rec notifytest.Recorder
	rec.Fail(rejected("no such channel"))
	b := open(t, t.TempDir(), nil, notify.Target{Name: "rec", Notifier: &rec})
	m := notify.Message{Title: "hello", Key: "run-1"}
	_, err := b.Send(t.Context(), m)
	require.NoError(t, err)
	_, err = b.Flush(t.Context())
	assert.ErrorIs(t, err, notify.ErrRejected)
	dead, err := b.Dead()
	require.NoError(t, err)
	require.Len(t, dead, 1)
	assert.Contains(t, dead[0].Reason, "no such channel")
	assert.Equal(t, "hello", dead[0].Message.Title)
	assert.Equal(t, outbox.Stats{Dead: 1}, stats(t, b))

	results, err := b.Send(t.Context(), m)
	require.ErrorIs(t, err, notify.ErrRejected, "a run that repeats it must not look like a success")
	assert.Equal(t, notify.NotSent, results[0].Status)

	require.NoError(t, b.Revive(dead[0].ID))
	_, err = b.Flush(t.Context())
	require.NoError(t, err)
	assert.Len(t, rec.Messages(), 1)
	assert.Equal(t, outbox.Stats{Sent: 1}, stats(t, b))
	assert.ErrorIs(t, b.Revive(dead[0].ID), notify.ErrInvalid, "there is none any more")
}

func TestOutbox_givesUp(t *testing.T) {
	tests := map[string]struct {
		o    outbox.Options
		n    notify.Notifier
		want string
	}{
		"after so many rounds":                 {outbox.Options{Rounds: 3}, down{}, "given up after 3 rounds"},
		"after so long":                        {outbox.Options{Expire: time.Hour, Rounds: 1000}, down{}, "given up after 1h0m0s"},
		"however long the server asks to wait": {outbox.Options{Expire: time.Hour}, far{}, "given up after 1h0m0s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, t.TempDir(), &tt.o, notify.Target{Name: "down", Notifier: tt.n})
				_, err := b.Send(t.Context(), notify.Message{Title: "hello"})
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
				defer cancel()
				require.NoError(t, b.Run(ctx))
				dead, err := b.Dead()
				require.NoError(t, err)
				require.Len(t, dead, 1)
				assert.Contains(t, dead[0].Reason, tt.want)
				require.NoError(t, b.Close())
			})
		})
	}
}

type down struct{}

func (down) Notify(context.Context, notify.Message) (notify.Receipt, error) {
	return notify.Receipt{}, unavailable("down")
}

type panicking struct{}

func (panicking) Notify(context.Context, notify.Message) (notify.Receipt, error) { panic("template") }

type blocking struct{}

func (blocking) Notify(ctx context.Context, _ notify.Message) (notify.Receipt, error) {
	<-ctx.Done()
	return notify.Receipt{}, &notify.Error{Op: "send", Target: "test", Kind: notify.ErrUnavailable, Err: ctx.Err()}
}

// Those recipients that are left are sent to again, and nobody twice.
func TestOutbox_recipientsOneByOne(t *testing.T) {
	s := notifytest.NewSMTPServer(t, nil)
	s.Fail(
		notifytest.SMTPFault{At: "RCPT", Arg: "grey@", Once: true, Reply: "450 4.2.0 greylisted"},
		notifytest.SMTPFault{At: "RCPT", Arg: "gone@", Once: true, Reply: "550 5.1.1 no such user"},
	)
	n, err := email.New(s.Addr, "ci@example.test", []string{"ok@example.test", "grey@example.test", "gone@example.test"}, &email.Options{DisableTLS: true})
	require.NoError(t, err)
	dir := t.TempDir()
	b := open(t, dir, &outbox.Options{Base: time.Nanosecond}, notify.Target{Name: "mail", Notifier: n})
	_, err = b.Send(t.Context(), notify.Message{Title: "hello"})
	require.NoError(t, err)
	first, err := b.Flush(t.Context())
	assert.ErrorIs(t, err, notify.ErrPartial)
	require.Len(t, first, 1)
	assert.Equal(t, notify.Partial, first[0].Status)
	require.NoError(t, b.Close())

	b = open(t, dir, nil, notify.Target{Name: "mail", Notifier: n})
	_, err = b.Flush(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Mails(), 2)
	assert.Equal(t, []string{"ok@example.test"}, s.Mails()[0].To)
	assert.Equal(t, []string{"grey@example.test"}, s.Mails()[1].To)
	assert.Equal(t, s.Mails()[0].MessageID(), s.Mails()[1].MessageID())
	dead, err := b.Dead()
	require.NoError(t, err)
	require.Len(t, dead, 1, "the one that does not exist is not forgotten")
	assert.Equal(t, []string{"gone@example.test"}, dead[0].Only)
	assert.Contains(t, dead[0].Reason, "550 5.1.1 no such user")
}

// A round that is broken off in the pause between two tries does not forget who has the mail.
func TestOutbox_brokenOff(t *testing.T) {
	s := notifytest.NewSMTPServer(t, nil)
	s.Fail(notifytest.SMTPFault{At: "RCPT", Arg: "grey@", Once: true, Reply: "450 4.2.0 greylisted"})
	n, err := email.New(s.Addr, "ci@example.test", []string{"ok@example.test", "grey@example.test"}, &email.Options{DisableTLS: true})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	f, err := notify.New([]notify.Target{{Name: "mail", Notifier: n}}, &notify.Options{OnRetry: func(string, int, error, time.Duration) { cancel() }})
	require.NoError(t, err)
	b, err := outbox.Open(t.TempDir(), f, &outbox.Options{Rounds: 1})
	require.NoError(t, err)
	defer b.Close()
	_, err = b.Send(t.Context(), notify.Message{Title: "hello"})
	require.NoError(t, err)
	_, err = b.Flush(ctx)
	require.Error(t, err)
	assert.Equal(t, outbox.Stats{Queued: 1}, stats(t, b), "the round does not count")
	_, err = b.Flush(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Mails(), 2)
	assert.Equal(t, []string{"ok@example.test"}, s.Mails()[0].To)
	assert.Equal(t, []string{"grey@example.test"}, s.Mails()[1].To)
}

func TestOpen_dryRun(t *testing.T) {
	f, err := notify.New([]notify.Target{{Name: "a", Notifier: down{}}}, &notify.Options{DryRun: true})
	require.NoError(t, err)
	_, err = outbox.Open(t.TempDir(), f, nil)
	require.ErrorIs(t, err, notify.ErrInvalid)
	assert.ErrorContains(t, err, "dry run")
}

// waiting sends when it is told to.
type waiting struct{ started, goOn chan struct{} }

func (w waiting) Notify(context.Context, notify.Message) (notify.Receipt, error) {
	w.started <- struct{}{}
	<-w.goOn
	return notify.Receipt{}, nil
}

func TestClose_waitsForTheRound(t *testing.T) {
	dir := t.TempDir()
	w := waiting{make(chan struct{}), make(chan struct{})}
	b := open(t, dir, nil, notify.Target{Name: "a", Notifier: w})
	_, err := b.Send(t.Context(), notify.Message{Title: "hello"})
	require.NoError(t, err)
	flushed := make(chan error, 1)
	go func() {
		_, err := b.Flush(t.Context())
		flushed <- err
	}()
	<-w.started
	closed := make(chan error, 1)
	go func() { closed <- b.Close() }()
	select {
	case <-closed:
		t.Error("closed in the middle of a round")
	case <-time.After(100 * time.Millisecond):
	}
	close(w.goOn)
	require.NoError(t, <-flushed)
	require.NoError(t, <-closed)
	assert.Equal(t, outbox.Stats{Sent: 1}, stats(t, open(t, dir, nil, notify.Target{Name: "a", Notifier: w})))
}

// far asks for a pause that ends after the message does.
type far struct{}

func (far) Notify(context.Context, notify.Message) (notify.Receipt, error) {
	return notify.Receipt{}, &notify.Error{Op: "send", Kind: notify.ErrRateLimited, RetryAfter: 1000 * time.Hour}
}

// TestOutbox_faults is the rest of the fault list; the twelve kills are in TestOutbox_killed.
func TestOutbox_faults(t *testing.T) {
	faults := 0
	ran := func(bool) { faults++ }
	ran(t.Run("three targets, one dead", func(t *testing.T) {
		var a, c notifytest.Recorder
		b := open(t, t.TempDir(), nil, notify.Target{Name: "a", Notifier: &a}, notify.Target{Name: "down", Notifier: down{}}, notify.Target{Name: "c", Notifier: &c})
		for i := range 10 {
			_, err := b.Send(t.Context(), notify.Message{Title: fmt.Sprint("event ", i)})
			require.NoError(t, err)
		}
		_, err := b.Flush(t.Context())
		assert.ErrorIs(t, err, notify.ErrUnavailable)
		assert.Len(t, a.Messages(), 10)
		assert.Len(t, c.Messages(), 10)
		assert.Equal(t, outbox.Stats{Sent: 20, Queued: 10}, stats(t, b), "all 30 accounted for")
	}))
	ran(t.Run("duplicates, a hundred at once", func(t *testing.T) {
		var rec notifytest.Recorder
		b := open(t, t.TempDir(), nil, notify.Target{Name: "rec", Notifier: &rec})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, err := b.Send(t.Context(), notify.Message{Title: "same"})
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		_, err := b.Flush(t.Context())
		require.NoError(t, err)
		assert.Len(t, rec.Messages(), 1)
	}))
	ran(t.Run("full", func(t *testing.T) {
		b := open(t, t.TempDir(), &outbox.Options{MaxQueued: 3}, notify.Target{Name: "a", Notifier: down{}}, notify.Target{Name: "b", Notifier: down{}})
		_, err := b.Send(t.Context(), notify.Message{Title: "one"})
		require.NoError(t, err)
		_, err = b.Send(t.Context(), notify.Message{Title: "two"})
		assert.ErrorIs(t, err, outbox.ErrFull)
		assert.Equal(t, outbox.Stats{Queued: 2}, stats(t, b), "taken for all targets or for none")
	}))
	ran(t.Run("corrupt from the start", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "outbox.db"), []byte(strings.Repeat("not a database ", 1000)), 0o600))
		f, err := notify.New([]notify.Target{{Name: "a", Notifier: down{}}}, nil)
		require.NoError(t, err)
		_, err = outbox.Open(dir, f, nil)
		assert.ErrorIs(t, err, outbox.ErrCorrupt)
	}))
	ran(t.Run("corrupt in the middle", func(t *testing.T) {
		dir := t.TempDir()
		b := open(t, dir, nil, notify.Target{Name: "a", Notifier: down{}})
		for i := range 50 {
			_, err := b.Send(t.Context(), notify.Message{Title: fmt.Sprint("event ", i), Summary: strings.Repeat("x", 2000)})
			require.NoError(t, err)
		}
		require.NoError(t, b.Close())
		path := filepath.Join(dir, "outbox.db")
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		for i := 2 * os.Getpagesize(); i < len(raw); i++ { // the two meta pages stay
			raw[i] = 0xff
		}
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		f, err := notify.New([]notify.Target{{Name: "a", Notifier: down{}}}, nil)
		require.NoError(t, err)
		_, err = outbox.Open(dir, f, nil)
		assert.ErrorIs(t, err, outbox.ErrCorrupt)
	}))
	ran(t.Run("cut short", func(t *testing.T) {
		dir := t.TempDir()
		f, err := notify.New([]notify.Target{{Name: "a", Notifier: down{}}}, nil)
		require.NoError(t, err)
		path := filepath.Join(dir, "outbox.db")
		b := open(t, dir, nil, notify.Target{Name: "a", Notifier: down{}})
		require.NoError(t, b.Close())
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		page := os.Getpagesize()
		for _, size := range []int{1, page, 2 * page, 3 * page, 4 * page, 5*page + 1} {
			require.NoError(t, os.WriteFile(path, raw[:size], 0o600))
			_, err = outbox.Open(dir, f, &outbox.Options{LockWait: time.Second})
			assert.ErrorIs(t, err, outbox.ErrCorrupt, size)
		}
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		open(t, dir, nil, notify.Target{Name: "a", Notifier: down{}}) // nothing is left locked
	}))
	ran(t.Run("locked", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir, nil, notify.Target{Name: "a", Notifier: down{}})
		f, err := notify.New([]notify.Target{{Name: "a", Notifier: down{}}}, nil)
		require.NoError(t, err)
		_, err = outbox.Open(dir, f, &outbox.Options{LockWait: 10 * time.Millisecond})
		assert.ErrorIs(t, err, outbox.ErrLocked)
	}))
	ran(t.Run("clock set back", func(t *testing.T) {
		dir := t.TempDir()
		var rec notifytest.Recorder
		synctest.Test(t, func(t *testing.T) { // here the year is 2000
			rec.Fail(unavailable("down"))
			b := open(t, dir, nil, notify.Target{Name: "rec", Notifier: &rec})
			require.NoError(t, b.Close())
		})
		b := open(t, dir, nil, notify.Target{Name: "rec", Notifier: &rec})
		_, err := b.Send(t.Context(), notify.Message{Title: "from the future"})
		require.NoError(t, err)
		_, err = b.Flush(t.Context())
		require.Error(t, err)
		require.NoError(t, b.Close())
		synctest.Test(t, func(t *testing.T) {
			b := open(t, dir, nil, notify.Target{Name: "rec", Notifier: &rec})
			_, err := b.Flush(t.Context())
			require.NoError(t, err)
			require.NoError(t, b.Close())
		})
		assert.Len(t, rec.Messages(), 1, "not held up until the clock has caught up")
	}))
	ran(t.Run("clock set back before the first try", func(t *testing.T) {
		dir := t.TempDir()
		var rec notifytest.Recorder
		b := open(t, dir, nil, notify.Target{Name: "rec", Notifier: &rec})
		_, err := b.Send(t.Context(), notify.Message{Title: "from the future"})
		require.NoError(t, err)
		require.NoError(t, b.Close())
		synctest.Test(t, func(t *testing.T) {
			b := open(t, dir, nil, notify.Target{Name: "rec", Notifier: &rec})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, b.Run(ctx))
			require.NoError(t, b.Close())
		})
		assert.Len(t, rec.Messages(), 1)
	}))
	ran(t.Run("a notifier that panics", func(t *testing.T) {
		var rec notifytest.Recorder
		b := open(t, t.TempDir(), nil, notify.Target{Name: "bad", Notifier: panicking{}}, notify.Target{Name: "rec", Notifier: &rec})
		_, err := b.Send(t.Context(), notify.Message{Title: "hello"})
		require.NoError(t, err)
		_, err = b.Flush(t.Context())
		assert.ErrorContains(t, err, "panicked")
		assert.Equal(t, outbox.Stats{Sent: 1, Dead: 1}, stats(t, b))
	}))
	ran(t.Run("nil data", func(t *testing.T) {
		tmpl, err := notify.ParseTemplate(notify.Message{Title: "{{.app.name}} is healthy"})
		require.NoError(t, err)
		b := open(t, t.TempDir(), nil, notify.Target{Name: "rec", Notifier: &notifytest.Recorder{}})
		for _, data := range []any{nil, map[string]any{}, map[string]any{"app": nil}} {
			m, err := tmpl.Render(data)
			assert.ErrorIs(t, err, notify.ErrInvalid)
			_, err = b.Send(t.Context(), m)
			assert.ErrorIs(t, err, notify.ErrInvalid, "what came of the failure is not sent either")
		}
		assert.Equal(t, outbox.Stats{}, stats(t, b))
	}))
	ran(t.Run("slow target", func(t *testing.T) {
		var rec notifytest.Recorder
		b := open(t, t.TempDir(), nil, notify.Target{Name: "slow", Notifier: blocking{}}, notify.Target{Name: "rec", Notifier: &rec})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		for i := range 20 {
			_, err := b.Send(t.Context(), notify.Message{Title: fmt.Sprint("event ", i)})
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return len(rec.Messages()) == 20 }, 30*time.Second, time.Millisecond, "the others do not wait for it, who takes a minute")
		cancel()
		require.NoError(t, <-ended)
		assert.Equal(t, outbox.Stats{Sent: 20, Queued: 20}, stats(t, b))
	}))
	ran(t.Run("shutdown with 500 queued", func(t *testing.T) {
		dir := t.TempDir()
		b := open(t, dir, nil, notify.Target{Name: "slow", Notifier: blocking{}})
		for i := range 500 {
			_, err := b.Send(t.Context(), notify.Message{Title: fmt.Sprint("event ", i)})
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.NoError(t, b.Run(ctx))
		require.NoError(t, b.Close())
		var rec notifytest.Recorder
		b = open(t, dir, nil, notify.Target{Name: "slow", Notifier: &rec})
		assert.Equal(t, outbox.Stats{Queued: 500}, stats(t, b))
		_, err := b.Flush(t.Context())
		require.NoError(t, err)
		assert.Len(t, rec.Messages(), 500)
		assert.Equal(t, outbox.Stats{Sent: 500}, stats(t, b))
	}))
	t.Logf("%d faults", faults)
}

// BenchmarkOutbox measures taking and delivering a message, disk included: the list asks for 10,000 a minute.
func BenchmarkOutbox(b *testing.B) {
	var rec notifytest.Recorder
	box := open(b, b.TempDir(), &outbox.Options{MaxQueued: 1 << 30}, notify.Target{Name: "rec", Notifier: &rec})
	i := 0
	for b.Loop() {
		i++
		if _, err := box.Send(b.Context(), notify.Message{Title: fmt.Sprint("event ", i)}); err != nil {
			b.Fatal(err)
		}
		if _, err := box.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Minutes(), "messages/min")
	if len(rec.Messages()) != i {
		b.Fatalf("%d of %d arrived", len(rec.Messages()), i)
	}
}
