package report

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// batchSize is how many bytes of results go from hand to hand at once.
const batchSize = 128 << 10

// batch is a piece of the results of a run: their text, one behind the other, then their findings.
type batch struct {
	text     []byte
	values   [][]byte // the results in it
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

// cut cuts the results of the run into batches and sends them on, in order. The index has read the whole text
// and found it valid, so that here only the ends of the results are looked for.
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
	last := &batch{last: true, done: make(chan struct{})}
	if last.err = run.doc.unchanged(); last.err == nil {
		for _, part := range run.results {
			var stopped bool
			if last.err, stopped = run.cutPart(part, send); stopped {
				return
			}
			if last.err != nil {
				break
			}
		}
	}
	send(last)
}

// cutPart cuts one list of results.
func (run *sarifRun) cutPart(part span, send func(*batch) bool) (err error, stopped bool) {
	r := io.NewSectionReader(run.doc.ra, part.from+1, part.to-part.from-1) // past the bracket
	var rest []byte
	for {
		b := newBatch(rest)
		n, err := io.ReadFull(r, b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		end := err != nil // nothing more, or nothing more to be had
		if end && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return &Error{Op: "read", Subject: run.doc.name, Err: err}, false
		}
		rest = b.split(end)
		// Very short results would make very many findings at once.
		for values := range slices.Chunk(b.values, 1024) {
			if !send(&batch{values: values, done: make(chan struct{})}) {
				return nil, true
			}
		}
		if end {
			return nil, false
		}
	}
}

// split finds the values in the text of the batch and returns what is left: a value that does not end in it.
func (b *batch) split(end bool) (rest []byte) {
	i := 0
	for {
		for i < len(b.text) && (b.text[i] <= ' ' || b.text[i] == ',') {
			i++
		}
		if i >= len(b.text) || b.text[i] == ']' {
			return nil
		}
		n := rawjson.Skip(b.text[i:])
		if n < 0 || n == len(b.text)-i && !end { // a number may go on
			return b.text[i:]
		}
		b.values = append(b.values, b.text[i:i+n:i+n])
		i += n
	}
}

// unchanged refuses a file that has changed since it was opened: what was found valid may be so no more.
func (d *document) unchanged() error {
	if d.stat == nil {
		return nil
	}
	size, modified, err := d.stat()
	if err == nil && (size != d.size || !modified.Equal(d.modified)) {
		err = errors.New("the file has changed since it was opened")
	}
	if err != nil {
		return &Error{Op: "read", Subject: d.name, Err: err}
	}
	return nil
}

// newBatch makes a batch whose text begins with rest, with room for as much again.
func newBatch(rest []byte) *batch {
	text := make([]byte, len(rest), batchSize+2*len(rest))
	copy(text, rest)
	return &batch{text: text}
}

// decodeBatch makes the findings of a batch.
func (run *sarifRun) decodeBatch(b *batch, index int, n *normalizer, need needs) {
	defer close(b.done)
	b.findings = make([]Finding, len(b.values))
	b.digests = make([]digest, len(b.values))
	for i, v := range b.values {
		if run.spaced {
			v = rawjson.Compact(make([]byte, 0, len(v)), v)
		}
		f := &b.findings[i]
		f.Run = index
		run.decode(withoutUserinfo(v), f, n)
		if need&needIdentity != 0 {
			b.digests[i] = n.ids.identify(f)
		}
		if need&needText == 0 {
			f.sarif = nil
		}
	}
}
