package retry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/waybill-dev/waybill/internal/retry"
)

var errFlaky = errors.New("flaky")

func TestDo(t *testing.T) {
	tests := []struct {
		name      string
		policy    retry.Policy
		errs      []error // what each try returns; the last one repeats
		wantTries int
		wantErr   error
	}{
		{"first try", retry.Policy{}, []error{nil}, 1, nil},
		{"third try", retry.Policy{}, []error{retry.Again(errFlaky), retry.Again(errFlaky), nil}, 3, nil},
		{"final error", retry.Policy{}, []error{errFlaky}, 1, errFlaky},
		{"used up", retry.Policy{Attempts: 3}, []error{retry.Again(errFlaky)}, 3, errFlaky},
		{"asked to wait too long", retry.Policy{Max: time.Second}, []error{retry.AgainAfter(errFlaky, time.Minute)}, 1, errFlaky},
		{"marked deep inside", retry.Policy{Attempts: 2}, []error{fmt.Errorf("push: %w", retry.Again(errFlaky))}, 2, errFlaky},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				err := retry.Do(t.Context(), tt.policy, func(_ context.Context, attempt int) error {
					tries++
					assert.Equal(t, tries, attempt)
					return tt.errs[min(attempt, len(tt.errs))-1]
				})
				assert.Equal(t, tt.wantTries, tries)
				if tt.wantErr == nil {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, tt.wantErr)
				}
			})
		})
	}
}

func TestDo_waitsAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_ = retry.Do(t.Context(), retry.Policy{Attempts: 2}, func(context.Context, int) error {
			return retry.AgainAfter(errFlaky, 7*time.Second)
		})
		assert.GreaterOrEqual(t, time.Since(start), 7*time.Second)
	})
}

func TestDo_cancelledWhilePausing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		err := retry.Do(ctx, retry.Policy{}, func(context.Context, int) error {
			return retry.AgainAfter(errFlaky, 5*time.Second)
		})
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, errFlaky, "the last failure stays visible")
	})
}

func TestDo_deadlineBeforePauseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		err := retry.Do(ctx, retry.Policy{}, func(context.Context, int) error {
			return retry.AgainAfter(errFlaky, 5*time.Second)
		})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, time.Since(start), "a pause that cannot end in time is not begun")
	})
}

func TestPolicy_Pause(t *testing.T) {
	p := retry.Policy{Base: 100 * time.Millisecond, Max: time.Second}
	for attempt, bound := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: time.Second, 500: time.Second} {
		for range 100 {
			assert.LessOrEqual(t, p.Pause(attempt), bound)
		}
	}
}
