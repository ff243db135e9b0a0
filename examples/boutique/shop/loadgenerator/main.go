// Command loadgenerator visits the shop as people do, with a browser's cookies and forms, and orders something.
//
//	GET /report  how it goes
//
// It places ORDERS orders, no more than PER_MINUTE in a minute, and ends: with 0 when all were placed, and 1
// otherwise. With STAY=true it waits to be told to end, as a Deployment starts again what ends.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
)

func main() { service.Main("loadgenerator", setup) }

func setup(e *service.Env) http.Handler {
	l := &load{
		orders: e.Int("ORDERS", 10, 1_000_000),
		every:  time.Minute / time.Duration(max(1, e.Int("PER_MINUTE", 60, 6000))),
		stay:   e.Bool("STAY"),
		log:    e.Log,
	}
	base := e.Addr("frontend")
	l.visit = func(ctx context.Context, n int) error { return newVisitor(base).order(ctx, n) }
	e.Work = func(ctx context.Context, _ string) error { return l.run(ctx) }
	mux := http.NewServeMux()
	mux.Handle("GET /report", service.JSON(func(*http.Request) (any, error) { return l.soFar(), nil }))
	return mux
}

// load is the work to do.
type load struct {
	orders int
	every  time.Duration
	stay   bool
	log    *slog.Logger
	visit  func(ctx context.Context, n int) error

	mu   sync.Mutex
	done report
}

// report is how it went so far.
type report struct {
	Orders  int    `json:"orders"` // to place
	Placed  int    `json:"placed"`
	Failed  int    `json:"failed"`
	Problem string `json:"problem,omitempty"` // of the last one that failed
}

func (l *load) soFar() report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.done
	r.Orders = l.orders
	return r
}

func (l *load) count(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.done.Failed++
		l.done.Problem = err.Error()
		return
	}
	l.done.Placed++
}

// run places the orders one after the other, each at least the interval after the one before.
func (l *load) run(ctx context.Context) error {
	pace := time.NewTicker(l.every)
	defer pace.Stop()
	for n := range l.orders {
		if n > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-pace.C:
			}
		}
		err := l.visit(ctx, n)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.count(err)
		if err != nil {
			l.log.Warn("an order failed", "number", n+1, "error", err.Error())
		}
	}
	r := l.soFar()
	l.log.Info("done", "placed", r.Placed, "failed", r.Failed)
	if l.stay {
		<-ctx.Done()
		return nil
	}
	if r.Failed > 0 {
		return fmt.Errorf("%d of %d orders failed, the last one: %s", r.Failed, r.Orders, r.Problem)
	}
	return nil
}
