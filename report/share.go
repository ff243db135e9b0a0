package report

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// Share runs all uses at the same time, each with a source that is s, and reads s once for all of them: a pass
// over s begins when every use that has not returned yet has asked for the findings. Writing five formats of a
// large file costs little more than writing one. It returns when all uses have, with their errors joined.
//
// A use must take one pass at a time, and must not wait for another use.
func Share(ctx context.Context, s Source, uses ...func(Source) error) error {
	sh := &sharing{source: s, asked: make(chan *reading, len(uses)), ended: make(chan struct{}, len(uses))}
	errs := make([]error, len(uses))
	var wg sync.WaitGroup
	for i, use := range uses {
		wg.Go(func() {
			defer func() { sh.ended <- struct{}{} }()
			errs[i] = use(sh)
		})
	}
	sh.serve(ctx, len(uses))
	wg.Wait()
	return errors.Join(errs...)
}

// sharing is the source that the uses see.
type sharing struct {
	source Source
	asked  chan *reading
	ended  chan struct{}
}

// reading is one use's pass: findings come in batches until the channel is closed, then err is set if the
// pass failed. The use closes stop when it wants no more.
type reading struct {
	findings chan []Finding
	stop     chan struct{}
	err      error
}

// serve makes passes until all n uses have returned.
func (sh *sharing) serve(ctx context.Context, n int) {
	var waiting []*reading
	for n > 0 {
		select {
		case r := <-sh.asked:
			waiting = append(waiting, r)
		case <-sh.ended:
			n--
		}
		if n > 0 && len(waiting) == n {
			sh.pass(ctx, waiting)
			waiting = nil
		}
	}
}

// shareBatch is how many findings go to a use at once.
const shareBatch = 256

func (sh *sharing) pass(ctx context.Context, readers []*reading) {
	batch := make([]Finding, 0, shareBatch)
	flush := func() (wanted bool) {
		for _, r := range readers {
			select {
			case r.findings <- batch:
				wanted = true
			case <-r.stop:
			}
		}
		batch = make([]Finding, 0, shareBatch)
		return wanted
	}
	var failed error
	for f, err := range sh.source.All(ctx) {
		if err != nil {
			failed = err
			break
		}
		if batch = append(batch, f); len(batch) == shareBatch && !flush() {
			break
		}
	}
	flush()
	for _, r := range readers {
		r.err = failed
		close(r.findings)
	}
}

// Head implements [Source].
func (sh *sharing) Head() Head { return sh.source.Head() }

// All implements [Source].
func (sh *sharing) All(ctx context.Context) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		r := &reading{findings: make(chan []Finding, 2), stop: make(chan struct{})}
		defer close(r.stop)
		sh.asked <- r
		for {
			select {
			case <-ctx.Done():
				yield(Finding{}, &Error{Op: "read", Err: context.Cause(ctx)})
				return
			case batch, more := <-r.findings:
				if !more {
					if r.err != nil {
						yield(Finding{}, r.err)
					}
					return
				}
				for _, f := range batch {
					if !yield(f, nil) {
						return
					}
				}
			}
		}
	}
}
