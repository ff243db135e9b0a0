// Package flight lets many callers share one run of the same work.
package flight

import (
	"context"
	"errors"
	"sync"
)

// A Group runs at most one function per key at a time. The zero value is ready to use.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	done      chan struct{}
	val       V
	err       error
	abandoned bool // the runner's context ended
}

// Do runs f in the caller's goroutine and context, or waits for the run of the same key that is under way
// and returns its result. Whoever waits leaves with its own context's error when that ends first. When the
// runner's own context ended, its failure is nobody else's: one of those who waited runs f anew.
func (g *Group[K, V]) Do(ctx context.Context, key K, f func(ctx context.Context) (V, error)) (V, error) {
	for {
		g.mu.Lock()
		c, running := g.calls[key]
		if !running {
			c = &call[V]{done: make(chan struct{})}
			if g.calls == nil {
				g.calls = make(map[K]*call[V])
			}
			g.calls[key] = c
			g.mu.Unlock()
			return g.run(ctx, key, c, f)
		}
		g.mu.Unlock()
		select {
		case <-c.done:
		case <-ctx.Done():
			var zero V
			return zero, ctx.Err()
		}
		if c.err == nil || !c.abandoned {
			return c.val, c.err
		}
	}
}

var errPanicked = errors.New("flight: the shared run did not return")

func (g *Group[K, V]) run(ctx context.Context, key K, c *call[V], f func(ctx context.Context) (V, error)) (V, error) {
	c.err = errPanicked // what the others see should f panic
	defer func() {
		g.mu.Lock()
		delete(g.calls, key)
		g.mu.Unlock()
		close(c.done)
	}()
	c.val, c.err = f(ctx)
	c.abandoned = ctx.Err() != nil
	return c.val, c.err
}
