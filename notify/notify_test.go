package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/notify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted answers with its errors one after the other, then with success.
type scripted struct {
	errs []error
	keys []string
}

func (s *scripted) Notify(_ context.Context, m notify.Message) (notify.Receipt, error) {
	s.keys = append(s.keys, m.IdempotencyKey())
	if n := len(s.keys); n <= len(s.errs) && s.errs[n-1] != nil {
		return notify.Receipt{}, s.errs[n-1]
	}
	return notify.Receipt{Status: notify.Delivered, ID: "id"}, nil
}

func failure(kind error, after time.Duration) error {
	return &notify.Error{Op: "send", Target: "test", Kind: kind, RetryAfter: after}
}

func TestFanout_Send(t *testing.T) {
	tests := []struct {
		name     string
		errs     []error
		status   notify.Status
		attempts int
		kind     error
		waited   time.Duration // at least
	}{
		{"first try", nil, notify.Delivered, 1, nil, 0},
		{"after an outage", []error{failure(notify.ErrUnavailable, 0), failure(notify.ErrAmbiguous, 0)}, notify.Delivered, 3, nil, 0},
		{"waits as asked", []error{failure(notify.ErrRateLimited, 20*time.Second)}, notify.Delivered, 2, nil, 20 * time.Second},
		{"asked to wait too long", []error{failure(notify.ErrRateLimited, time.Hour)}, notify.NotSent, 1, notify.ErrRateLimited, 0},
		{"refused for good", []error{failure(notify.ErrRejected, 0)}, notify.NotSent, 1, notify.ErrRejected, 0},
		{"used up", []error{
			failure(notify.ErrUnavailable, 0), failure(notify.ErrUnavailable, 0), failure(notify.ErrUnavailable, 0),
			failure(notify.ErrUnavailable, 0), failure(notify.ErrUnavailable, 0), nil,
		}, notify.NotSent, 5, notify.ErrUnavailable, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				flaky, fine := &scripted{errs: tt.errs}, &scripted{}
				f, err := notify.New([]notify.Target{{Name: "flaky", Notifier: flaky}, {Name: "fine", Notifier: fine}}, nil)
				require.NoError(t, err)
				start := time.Now()
				results, err := f.Send(t.Context(), notify.Message{Title: "hello"})
				require.Len(t, results, 2)
				assert.Equal(t, tt.status, results[0].Status)
				assert.Equal(t, tt.attempts, results[0].Attempts)
				assert.Equal(t, notify.Delivered, results[1].Status, "the other target is not held up")
				if tt.kind == nil {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, tt.kind)
					assert.ErrorIs(t, results[0].Err, tt.kind)
				}
				assert.GreaterOrEqual(t, time.Since(start), tt.waited)
				for _, key := range flaky.keys {
					assert.Equal(t, results[0].Key, key, "one key for all tries")
				}
				assert.NotEqual(t, results[0].Key, results[1].Key, "a key for each target")
			})
		})
	}
}

type panicking struct{}

func (panicking) Notify(context.Context, notify.Message) (notify.Receipt, error) { panic("no") }

func TestFanout_panicBreaksOneTarget(t *testing.T) {
	f, err := notify.New([]notify.Target{{Name: "bad", Notifier: panicking{}}, {Name: "good", Notifier: &scripted{}}}, nil)
	require.NoError(t, err)
	results, err := f.Send(t.Context(), notify.Message{Title: "hello"})
	assert.ErrorContains(t, err, "notify: send bad: the notifier panicked: no")
	assert.Equal(t, notify.Delivered, results[1].Status)
}

func TestFanout_cancelledWhilePausing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := notify.New([]notify.Target{{Name: "x", Notifier: &scripted{errs: []error{failure(notify.ErrRateLimited, 9*time.Second)}}}}, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		results, err := f.Send(ctx, notify.Message{Title: "hello"})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, notify.ErrRateLimited, "the last failure stays visible")
		assert.Equal(t, 1, results[0].Attempts)
	})
}

func TestFanout_routes(t *testing.T) {
	prod := notify.Message{Title: "x", Severity: notify.SeverityError, Environment: "prod-eu", Component: "team/checkout", Outcome: notify.Failed}
	tests := []struct {
		name  string
		match notify.Match
		want  bool
	}{
		{"everything", notify.Match{}, true},
		{"severity reached", notify.Match{MinSeverity: notify.SeverityError}, true},
		{"severity too low", notify.Match{MinSeverity: notify.SeverityCritical}, false},
		{"environment", notify.Match{Environments: []string{"dev", "prod-*"}}, true},
		{"other environment", notify.Match{Environments: []string{"dev"}}, false},
		{"component with a slash", notify.Match{Components: []string{"*"}}, true},
		{"other component", notify.Match{Components: []string{"cart"}}, false},
		{"outcome", notify.Match{Outcomes: []notify.Outcome{notify.Failed}}, true},
		{"other outcome", notify.Match{Outcomes: []notify.Outcome{notify.Succeeded}}, false},
		{"all conditions hold", notify.Match{MinSeverity: notify.SeverityWarning, Environments: []string{"prod-*"}, Outcomes: []notify.Outcome{notify.Failed}}, true},
		{"one does not", notify.Match{MinSeverity: notify.SeverityWarning, Environments: []string{"prod-*"}, Outcomes: []notify.Outcome{notify.Cancelled}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := &scripted{}
			f, err := notify.New([]notify.Target{{Name: "x", Notifier: target, Match: tt.match}}, nil)
			require.NoError(t, err)
			results, err := f.Send(t.Context(), prod)
			require.NoError(t, err)
			assert.Equal(t, tt.want, len(target.keys) == 1)
			if !tt.want {
				assert.Equal(t, notify.Dropped, results[0].Status)
				assert.NotEmpty(t, results[0].Reason)
			}
		})
	}
}

func TestNew_reportsAllMistakes(t *testing.T) {
	_, err := notify.New([]notify.Target{
		{Name: "", Notifier: &scripted{}},
		{Name: "a", Notifier: nil},
		{Name: "a", Notifier: &scripted{}, Match: notify.Match{Environments: []string{"["}}},
	}, &notify.Options{Attempts: -1})
	assert.ErrorIs(t, err, notify.ErrInvalid)
	for _, part := range []string{"targets[0].Name", "targets[1].Notifier", "targets[2].Name", "targets[2].Match", "Attempts"} {
		assert.ErrorContains(t, err, part)
	}
}

func TestMessage_Validate(t *testing.T) {
	ok := notify.Message{Title: "t", Links: []notify.Link{{URL: "https://x.test/"}, {URL: "mailto:a@b.test"}}}
	require.NoError(t, ok.Validate())
	tests := map[string]notify.Message{
		"Title":                      {},
		"Title: contains":            {Title: "a\r\nBcc: b@example.test"},
		"Links[0].URL":               {Title: "t", Links: []notify.Link{{URL: "javascript:alert(1)"}}},
		"Severity":                   {Title: "t", Severity: 9},
		"Attachments[0].Name":        {Title: "t", Attachments: []notify.Attachment{{Name: "../x"}}},
		"Attachments[1].Name":        {Title: "t", Attachments: []notify.Attachment{{Name: "x"}, {Name: "x"}}},
		"Attachments[0].ContentType": {Title: "t", Attachments: []notify.Attachment{{Name: "x", ContentType: "text/plain\r\nX: y"}}},
	}
	for part, m := range tests {
		err := m.Validate()
		assert.ErrorIs(t, err, notify.ErrInvalid, part)
		assert.ErrorContains(t, err, part)
	}
	big := notify.Message{Title: "t", Attachments: []notify.Attachment{{Name: "x", Data: make([]byte, notify.MaxAttachmentBytes+1)}}}
	assert.ErrorIs(t, big.Validate(), notify.ErrTooLarge)
}

func TestMessage_IdempotencyKey(t *testing.T) {
	a := notify.Message{Title: "t", Fields: []notify.Field{{Name: "ab", Value: "c"}}}
	b := a
	b.Time = time.Now()
	assert.Equal(t, a.IdempotencyKey(), b.IdempotencyKey(), "time is no part of it")
	b.Fields = []notify.Field{{Name: "a", Value: "bc"}}
	assert.NotEqual(t, a.IdempotencyKey(), b.IdempotencyKey())
	a.Key, b.Key = "run-1", "run-1"
	assert.Equal(t, a.IdempotencyKey(), b.IdempotencyKey(), "the key says it all")
}

func TestResult_MarshalJSON(t *testing.T) {
	b, err := json.Marshal(notify.Result{
		Target: "ops", Status: notify.Partial, Attempts: 2, Err: errors.New("no"),
		Recipients: []notify.Recipient{{Address: "a@b.test"}, {Address: "c@d.test", Err: errors.New("550")}},
	})
	require.NoError(t, err)
	assert.JSONEq(t, `{"target":"ops","status":"partial","attempts":2,"error":"no","recipients":[{"address":"a@b.test"},{"address":"c@d.test","error":"550"}]}`, string(b))
}
