package flight_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/flight"
)

func TestDo_sharesOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		var runs atomic.Int32
		release := make(chan struct{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				v, err := g.Do(t.Context(), "k", func(context.Context) (int, error) {
					runs.Add(1)
					<-release
					return 7, nil
				})
				assert.NoError(t, err)
				assert.Equal(t, 7, v)
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		assert.EqualValues(t, 1, runs.Load())
	})
}

func TestDo_waiterLeavesWithItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		release := make(chan struct{})
		go func() {
			_, _ = g.Do(t.Context(), "k", func(context.Context) (int, error) { <-release; return 1, nil })
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := g.Do(ctx, "k", func(context.Context) (int, error) { return 2, nil })
		require.ErrorIs(t, err, context.Canceled)
		close(release)
	})
}

func TestDo_runnersContextIsNotTheOthersProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := g.Do(ctx, "k", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
			assert.ErrorIs(t, err, context.Canceled)
		}()
		synctest.Wait()
		done := make(chan int)
		go func() {
			v, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { return 2, nil })
			assert.NoError(t, err)
			done <- v
		}()
		synctest.Wait()
		cancel()
		assert.Equal(t, 2, <-done)
	})
}

func TestDo_otherErrorsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		boom := errors.New("boom")
		release := make(chan struct{})
		go func() {
			_, _ = g.Do(t.Context(), "k", func(context.Context) (int, error) { <-release; return 0, boom })
		}()
		synctest.Wait()
		done := make(chan error)
		go func() {
			_, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { return 1, nil })
			done <- err
		}()
		synctest.Wait()
		close(release)
		require.ErrorIs(t, <-done, boom)
	})
}
