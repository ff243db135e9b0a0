package notifytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/notify"
)

// Harness is a channel to hold against [TestNotifier]: a notifier, and a view of what arrived at the other end.
type Harness struct {
	Name     string // of channel and server, for the test's log
	Notifier notify.Notifier
	Status   notify.Status // what a message that was sent ends with

	// Arrived returns what reached the other end since the beginning, one text for each message, with the markup of
	// the channel taken off or left on.
	Arrived func(tb testing.TB) []string

	// Keyed: receipts have an ID that is the same for the same key and another for another.
	Keyed bool

	// Patience is how long a message may take to arrive; 0 means 30 s.
	Patience time.Duration

	// Unreachable is the same channel to where nobody listens.
	Unreachable notify.Notifier
}

// TestNotifier checks that a notifier keeps the promises that package notify makes for all of them. Leaves run it on the
// servers of this package and on real ones; run it on a channel of your own.
func TestNotifier(t *testing.T, h Harness) {
	t.Helper()
	checks := 0
	check := func(name string, f func(t *testing.T)) {
		checks++
		t.Run(name, f)
	}
	run := time.Now().UnixNano() // real servers may have mail from before
	title := func(s string) string { return fmt.Sprintf("%s %d", s, run) }

	check("delivers", func(t *testing.T) {
		m := notify.Message{
			Title: title("delivers"), Summary: "Grüße & <tags> *stars*\n.dot", Severity: notify.SeverityWarning, Outcome: notify.Failed,
			Fields: []notify.Field{{Name: "Digest", Value: "sha256:4f53cda1"}}, Links: []notify.Link{{Text: "Run", URL: "https://ci.example.test/run/42"}},
			Sections: []notify.Section{{Title: "Log", Text: "line one\nline two", Code: true}}, CorrelationID: "run-42",
		}
		receipt, err := h.Notifier.Notify(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if receipt.Status != h.Status {
			t.Errorf("status %q, want %q", receipt.Status, h.Status)
		}
		text := h.await(t, m.Title)
		for _, part := range []string{"sha256:4f53cda1", "https://ci.example.test/run/42", "line two", "run-42"} {
			if !strings.Contains(text, part) {
				t.Errorf("%q did not arrive in:\n%s", part, text)
			}
		}
	})
	check("the same key, the same ID", func(t *testing.T) {
		var ids [3]string
		for i, key := range []string{"one", "one", "two"} {
			receipt, err := h.Notifier.Notify(t.Context(), notify.Message{Title: title(fmt.Sprint("key", i)), Key: title(key)})
			if err != nil {
				t.Fatal(err)
			}
			ids[i] = receipt.ID
			h.await(t, title(fmt.Sprint("key", i))) // also under a key that was used before: the server decides
		}
		if h.Keyed && (ids[0] == "" || ids[0] != ids[1] || ids[0] == ids[2]) {
			t.Errorf("IDs %q for the keys one, one, two", ids)
		}
	})
	check("refuses what is no message", func(t *testing.T) {
		before := len(h.Arrived(t))
		for _, m := range []notify.Message{{}, {Title: "a\r\nb"}, {Title: "a", Links: []notify.Link{{URL: "javascript:alert(1)"}}}} {
			if _, err := h.Notifier.Notify(t.Context(), m); !errors.Is(err, notify.ErrInvalid) {
				t.Errorf("%+v gave %v", m, err)
			}
		}
		if after := len(h.Arrived(t)); after != before {
			t.Errorf("%d messages arrived", after-before)
		}
	})
	check("takes a long message, and keeps its link", func(t *testing.T) {
		m := notify.Message{
			Title: title("long"), Links: []notify.Link{{Text: "Run", URL: "https://ci.example.test/run/43"}},
			Summary: strings.Repeat("Grüße & <tags> ", 10_000),
		}
		if _, err := h.Notifier.Notify(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if text := h.await(t, m.Title); !strings.Contains(text, "https://ci.example.test/run/43") {
			t.Error("the link is gone")
		}
	})
	check("ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := h.Notifier.Notify(ctx, notify.Message{Title: title("cancelled")})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		for _, text := range h.Arrived(t) {
			if strings.Contains(text, title("cancelled")) {
				t.Error("it arrived all the same")
			}
		}
	})
	check("several goroutines", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if _, err := h.Notifier.Notify(t.Context(), notify.Message{Title: title(fmt.Sprint("parallel", i))}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i := range 8 {
			h.await(t, title(fmt.Sprint("parallel", i)))
		}
	})
	check("says that nobody is there", func(t *testing.T) {
		_, err := h.Unreachable.Notify(t.Context(), notify.Message{Title: title("lost")})
		var e *notify.Error
		if !errors.Is(err, notify.ErrUnavailable) || !notify.Retryable(err) || !errors.As(err, &e) {
			t.Errorf("got %v", err)
		}
	})
	check("renders without sending", func(t *testing.T) {
		r, ok := h.Notifier.(notify.Renderer)
		if !ok {
			t.Fatal("it is no Renderer: a dry run could not show anything")
		}
		before := len(h.Arrived(t))
		if _, body, err := r.Render(notify.Message{Title: title("rendered")}); err != nil || len(body) == 0 {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		if after := len(h.Arrived(t)); after != before {
			t.Errorf("%d messages arrived", after-before)
		}
	})
	t.Logf("notifier suite on %s: %d checks", h.Name, checks)
}

// await waits until a message with the title has arrived: servers deliver when they get to it.
func (h Harness) await(tb testing.TB, title string) string {
	tb.Helper()
	deadline := time.NewTimer(cmp.Or(h.Patience, 30*time.Second))
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, text := range h.Arrived(tb) {
			if strings.Contains(text, title) {
				return text
			}
		}
		select {
		case <-deadline.C:
			tb.Fatalf("%q did not arrive", title)
		case <-tick.C:
		}
	}
}
