package report

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// batchSize is how many bytes of results go from hand to hand at once.
const batchSize = 128 << 10

// batch is a piece of the results of a run: their text, one behind the other, then their findings.
type batch struct {
	text     []byte
	ends     []int
	findings []Finding
	digests  []digest
	done     chan struct{}
	last     bool
	err      error // after the last result
}

// findings yields the findings of a run of the document. One goroutine cuts the text into results, a few
// decode them, and the caller's numbers them in order; all end before it returns.
func (run *sarifRun) findings(ctx context.Context, index int, o *Options, need needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		parent := ctx
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()

		workers := runtime.GOMAXPROCS(0)
		work := make(chan *batch, workers)
		order := make(chan *batch, 2*workers)
		wg.Go(func() { run.cut(ctx, work, order) })
		for range workers {
			wg.Go(func() {
				n := newNormalizer(o)
				for b := range work {
					run.decodeBatch(b, index, n, need)
				}
			})
		}
		n := newNormalizer(o)
		for b := range order {
			<-b.done
			for i := range b.findings {
				f := &b.findings[i]
				if need&needIdentity != 0 {
					n.setIdentity(f, b.digests[i])
				}
				if !yield(*f, nil) {
					return
				}
			}
			if b.err != nil {
				yield(Finding{}, b.err)
			}
			if b.last {
				return
			}
		}
		// Without its last batch the run is not whole: the context ended.
		yield(Finding{}, &Error{Op: "read", Subject: run.doc.name, Err: context.Cause(parent)})
	}
}

// cut reads the results of the run and sends them on in batches, in order.
func (run *sarifRun) cut(ctx context.Context, work, order chan<- *batch) {
	defer close(order)
	defer close(work)
	send := func(b *batch) bool {
		// A batch in order is also in work, so that whoever waits for it does not wait forever.
		select {
		case work <- b:
		case <-ctx.Done():
			return false
		}
		select {
		case order <- b:
			return true
		case <-ctx.Done():
			return false
		}
	}
	b := newBatch()
	for _, part := range run.results {
		dec := run.doc.decoder(ctx, part.from, part.to)
		_, err := array(dec, func() error {
			v, err := dec.ReadValue()
			if err != nil {
				return err
			}
			if spaced(v) {
				b.text = rawjson.Compact(b.text, v)
			} else {
				b.text = append(b.text, v...)
			}
			b.ends = append(b.ends, len(b.text))
			if len(b.text) < batchSize {
				return nil
			}
			if !send(b) {
				return errStopped
			}
			b = newBatch()
			return nil
		})
		if errors.Is(err, errStopped) {
			return
		}
		if err != nil {
			b.err = run.doc.fail("read", part.from, err)
			break
		}
	}
	b.last = true
	send(b)
}

var errStopped = errors.New("stopped")

func newBatch() *batch {
	return &batch{text: make([]byte, 0, batchSize+batchSize/8), done: make(chan struct{})}
}

// decodeBatch makes the findings of a batch.
func (run *sarifRun) decodeBatch(b *batch, index int, n *normalizer, need needs) {
	defer close(b.done)
	b.findings = make([]Finding, len(b.ends))
	b.digests = make([]digest, len(b.ends))
	from := 0
	for i, end := range b.ends {
		f := &b.findings[i]
		f.Run = index
		run.decode(b.text[from:end:end], f, n)
		from = end
		if need&needIdentity != 0 {
			b.digests[i] = n.ids.identify(f)
		}
		if need&needText == 0 {
			f.sarif = nil
		}
	}
}
