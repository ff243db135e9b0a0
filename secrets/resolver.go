package secrets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/internal/flight"
)

// ResolverOptions configures a [Resolver]. The zero value is ready to use.
type ResolverOptions struct {
	// TTL is how long a value is used before the store is asked again, shortened at random by up to a tenth
	// so that many processes do not ask at once; 0 means 5 minutes. A lease that ends sooner ends it sooner.
	TTL time.Duration
	// MaxStale is how long past its TTL a value is still handed out while the store is sealed, throttles or
	// cannot be reached. 0 means not at all. A refusal, a deletion or an ended lease is never papered over.
	MaxStale time.Duration
	// Refresh asks the stores again in the background when a TTL ends, instead of at the next Get.
	Refresh bool
	// OnChange, when set, is called after a value that was handed out was found to have changed, one change at a
	// time. It may read through the resolver, but must not call Close.
	OnChange func(Change)
	// OnError, when set, is told of failures nobody else would see: those of background refreshes, and
	// those covered by MaxStale. It too may read, but must not call Close.
	OnError func(ref string, err error)
	// Redactor, when set, learns every value before it is handed out.
	Redactor *Redactor
	// MaxEntries bounds the references kept in the cache; 0 means 10,000. Beyond it the cache starts anew.
	MaxEntries int
}

// A Change tells that a reference has a new value.
type Change struct {
	Ref      string
	Old, New Value
	Meta     Meta // of the new value
}

// A Resolver reads references through the stores of their schemes. It is safe for concurrent use.
type Resolver struct {
	stores map[string]Store
	o      ResolverOptions
	reads  flight.Group[Ref, *document]

	mu      sync.RWMutex
	entries map[string]entry  // by the text of the reference
	docs    map[Ref]*document // by reference without key
	closed  bool

	calls   sync.Mutex
	queue   []func() // calls of OnChange and OnError still to be made, without any lock held
	calling bool     // somebody makes them

	stop    context.CancelFunc
	stopped chan struct{} // closed when the refresher has ended
	wake    chan struct{}
}

type entry struct {
	value Value
	doc   *document
}

// document is what one read of a store returned. It does not change; a copy takes its place.
type document struct {
	ref      Ref
	value    Value
	meta     Meta
	until    time.Time // used without asking until then
	staleEnd time.Time // may be used without a store until then
	due      time.Time // when the refresher reads it again
}

// NewResolver returns a resolver over stores, keyed by the scheme they serve. It reads nothing yet. Errors
// are of kind [ErrInvalid] and name all options that are wrong.
func NewResolver(stores map[string]Store, o *ResolverOptions) (*Resolver, error) {
	r := &Resolver{
		stores: make(map[string]Store, len(stores)), entries: map[string]entry{}, docs: map[Ref]*document{},
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	if o != nil {
		r.o = *o
	}
	var errs []error
	if len(stores) == 0 {
		errs = append(errs, errors.New("stores: none given"))
	}
	for scheme, s := range stores {
		if !validScheme(scheme) {
			errs = append(errs, fmt.Errorf("stores: %q is no scheme", scheme))
		}
		if s == nil {
			errs = append(errs, fmt.Errorf("stores: the one for %q is nil", scheme))
		}
		r.stores[scheme] = s
	}
	if r.o.TTL < 0 {
		errs = append(errs, errors.New("TTL: negative"))
	}
	if r.o.MaxStale < 0 {
		errs = append(errs, errors.New("MaxStale: negative"))
	}
	if r.o.MaxEntries < 0 {
		errs = append(errs, errors.New("MaxEntries: negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &Error{Op: "new resolver", Kind: ErrInvalid, Err: err}
	}
	if r.o.TTL == 0 {
		r.o.TTL = 5 * time.Minute
	}
	if r.o.MaxEntries == 0 {
		r.o.MaxEntries = 10_000
	}
	for scheme, s := range r.stores {
		if inv, ok := s.(Invalidator); ok {
			inv.OnInvalid(func(ref Ref) { ref.Scheme = scheme; r.invalidate(ref) })
		}
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	if r.o.Refresh {
		go r.refresh(ctx)
	} else {
		close(r.stopped)
	}
	return r, nil
}

// Get returns the value of ref, from the cache while that is fresh.
func (r *Resolver) Get(ctx context.Context, ref string) (Value, error) {
	v, _, err := r.Lookup(ctx, ref)
	return v, err
}

// Lookup is [Resolver.Get] with what is known about the value.
func (r *Resolver) Lookup(ctx context.Context, ref string) (Value, Meta, error) {
	r.mu.RLock()
	e, ok := r.entries[ref]
	fresh := ok && time.Now().Before(e.doc.until)
	r.mu.RUnlock()
	if fresh && !e.value.Destroyed() {
		return e.value, e.doc.meta, nil
	}
	parsed, err := ParseRef(ref)
	if err != nil {
		return Value{}, Meta{}, err
	}
	defer r.tell()
	doc, err := r.document(ctx, parsed.WithoutKey())
	if err != nil {
		return Value{}, Meta{}, forRef(err, parsed)
	}
	v, err := r.pick(doc, parsed)
	if err != nil {
		return Value{}, Meta{}, err
	}
	r.remember(ref, entry{v, doc})
	return v, doc.meta, nil
}

// Func returns ref as a credential function, the shape every package of this module takes: it resolves
// anew, through the cache, at each call. An empty value is an error of kind [ErrNotFound]: no login wants one.
func (r *Resolver) Func(ref string) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		v, err := r.Get(ctx, ref)
		if err != nil {
			return "", err
		}
		s := v.Expose()
		if s == "" {
			return "", &Error{Op: "get", Ref: ref, Kind: ErrNotFound, Err: errors.New("the value is empty")}
		}
		return s, nil
	}
}

// Close ends the background refresh and forgets the cache. Values that were handed out stay as they are,
// and the stores stay open: they are the caller's. Calls after Close fail with [ErrClosed].
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.closed = true
	clear(r.entries)
	clear(r.docs)
	r.mu.Unlock()
	r.stop()
	<-r.stopped
	return nil
}

// document returns what lies at ref (without key): cached, freshly read, or stale.
func (r *Resolver) document(ctx context.Context, ref Ref) (*document, error) {
	store, ok := r.stores[ref.Scheme]
	if !ok {
		return nil, &Error{Op: "get", Ref: ref.String(), Kind: ErrNoStore, Err: fmt.Errorf("scheme %q", ref.Scheme)}
	}
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "get", Ref: ref.String(), Err: err}
	}
	doc, err := r.reads.Do(ctx, ref, func(ctx context.Context) (*document, error) {
		r.mu.RLock()
		old, closed := r.docs[ref], r.closed
		fresh := old != nil && time.Now().Before(old.until)
		r.mu.RUnlock()
		switch {
		case closed:
			return nil, &Error{Op: "get", Ref: ref.String(), Kind: ErrClosed}
		case fresh && !old.value.Destroyed():
			return old, nil
		}
		doc, err := r.read(ctx, store, ref)
		if err != nil {
			return r.stale(ctx, old, err)
		}
		r.replace(old, doc)
		return doc, nil
	})
	if err == nil {
		return doc, nil
	}
	if _, ours := errors.AsType[*Error](err); !ours { // our own context, while somebody else was reading
		err = &Error{Op: "get", Ref: ref.String(), Err: fmt.Errorf("waiting for another read of the path: %w", err)}
	}
	return nil, err
}

func (r *Resolver) read(ctx context.Context, store Store, ref Ref) (*document, error) {
	v, meta, err := store.Get(ctx, ref)
	if err != nil {
		if _, ours := errors.AsType[*Error](err); !ours {
			err = &Error{Op: "get", Ref: ref.String(), Kind: ErrUnavailable, Err: err}
		}
		return nil, err
	}
	now := time.Now()
	ttl := r.o.TTL - rand.N(r.o.TTL/10+1) //nolint:gosec // jitter, not a secret
	meta.Fetched = now
	doc := &document{ref: ref, value: v, meta: meta, until: now.Add(ttl), staleEnd: now.Add(ttl + r.o.MaxStale)}
	if !meta.Expires.IsZero() {
		doc.until = earlier(doc.until, meta.Expires)
		doc.staleEnd = earlier(doc.staleEnd, meta.Expires)
	}
	doc.due = doc.until
	return doc, nil
}

// stale returns old in place of err where MaxStale allows it.
func (r *Resolver) stale(ctx context.Context, old *document, err error) (*document, error) {
	now := time.Now()
	e, ok := errors.AsType[*Error](err)
	if old == nil || ctx.Err() != nil || !ok || !e.Retryable() || !now.Before(old.staleEnd) || old.value.Destroyed() {
		return nil, err
	}
	r.report(old.ref.String(), err)
	again := *old
	again.meta.Stale = true
	again.until = earlier(now.Add(pause(r.o.TTL)), old.staleEnd)
	again.due = again.until
	r.swap(old, &again)
	return &again, nil
}

// pause is how long after a failed read the store is left alone.
func pause(ttl time.Duration) time.Duration {
	d := min(max(ttl/10, time.Second), 30*time.Second)
	return d - rand.N(d/10+1) //nolint:gosec // jitter, not a secret
}

// replace puts doc in the place of old (which may be nil) and tells of the values that changed.
func (r *Resolver) replace(old, doc *document) {
	for _, c := range r.swap(old, doc) {
		if r.o.OnChange != nil {
			r.later(func() { r.o.OnChange(c) })
		}
	}
}

// swap moves the entries of old over to doc and returns those whose value changed. An entry whose key is
// gone is dropped, so that the next Get says so.
func (r *Resolver) swap(old, doc *document) []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	if len(r.docs) >= r.o.MaxEntries {
		clear(r.docs)
		clear(r.entries)
	}
	r.docs[doc.ref] = doc
	select {
	case r.wake <- struct{}{}:
	default:
	}
	if old == nil {
		return nil
	}
	var changes []Change
	for text, e := range r.entries {
		if e.doc.ref != doc.ref {
			continue
		}
		if !old.value.Destroyed() && doc.value.Equal(old.value) && !e.value.Destroyed() {
			r.entries[text] = entry{e.value, doc}
			continue
		}
		ref, err := ParseRef(text)
		if err == nil {
			var v Value
			if v, err = r.pick(doc, ref); err == nil {
				r.entries[text] = entry{v, doc}
				if !v.Equal(e.value) {
					changes = append(changes, Change{Ref: text, Old: e.value, New: v, Meta: doc.meta})
				}
			}
		}
		if err != nil {
			delete(r.entries, text)
		}
	}
	return changes
}

func (r *Resolver) remember(ref string, e entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.docs[e.doc.ref] != e.doc {
		return // replaced in the meantime
	}
	if len(r.entries) >= r.o.MaxEntries {
		clear(r.entries)
	}
	r.entries[ref] = e
}

// pick takes the key of ref out of doc and shows the value to the redactor.
func (r *Resolver) pick(doc *document, ref Ref) (Value, error) {
	v := doc.value
	if ref.Key != "" {
		var err error
		if v, err = member(doc.value, ref.Key); err != nil {
			return Value{}, &Error{Op: "get", Ref: ref.String(), Kind: ErrNoKey, Err: err}
		}
	}
	if r.o.Redactor != nil {
		if err := r.o.Redactor.Add(ref.String(), v); err != nil {
			r.report(ref.String(), err)
		}
	}
	return v, nil
}

// invalidate makes the next Get of ref ask the store, whatever the TTL and MaxStale say.
func (r *Resolver) invalidate(ref Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.docs[ref.WithoutKey()]; old != nil {
		gone := *old
		gone.until, gone.staleEnd, gone.due = time.Time{}, time.Time{}, time.Time{}
		r.docs[gone.ref] = &gone
		for text, e := range r.entries {
			if e.doc == old {
				r.entries[text] = entry{e.value, &gone}
			}
		}
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// refresh reads each document again when its time is up, until ctx ends.
func (r *Resolver) refresh(ctx context.Context) {
	defer close(r.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		ref, at, ok := r.nextDue()
		if !ok {
			at = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(at))
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			continue
		case <-timer.C:
		}
		if !ok {
			continue
		}
		if _, err := r.document(ctx, ref); err != nil && ctx.Err() == nil {
			r.report(ref.String(), err)
			r.postpone(ref)
		}
		r.tell()
	}
}

func (r *Resolver) nextDue() (ref Ref, at time.Time, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, d := range r.docs {
		if !ok || d.due.Before(at) {
			ref, at, ok = d.ref, d.due, true
		}
	}
	return ref, at, ok
}

// postpone keeps the refresher from spinning on a document that it could not read again.
func (r *Resolver) postpone(ref Ref) {
	r.mu.RLock()
	old := r.docs[ref]
	r.mu.RUnlock()
	if old != nil {
		later := *old
		later.due = time.Now().Add(pause(r.o.TTL))
		r.swap(old, &later)
	}
}

func (r *Resolver) report(ref string, err error) {
	if r.o.OnError != nil {
		r.later(func() { r.o.OnError(ref, err) })
	}
}

func (r *Resolver) later(call func()) {
	r.calls.Lock()
	defer r.calls.Unlock()
	r.queue = append(r.queue, call)
}

// tell makes the calls that wait, unless somebody does already, who may be further up our own stack: they make
// these too.
func (r *Resolver) tell() {
	r.calls.Lock()
	defer r.calls.Unlock()
	if r.calling {
		return
	}
	r.calling = true
	defer func() { r.calling = false }()
	for len(r.queue) > 0 {
		call := r.queue[0]
		r.queue = r.queue[1:]
		r.unlocked(call)
	}
}

func (r *Resolver) unlocked(call func()) {
	r.calls.Unlock()
	defer r.calls.Lock() // also when it panics
	call()
}

// forRef names the reference as the caller wrote it, key included, in an error about its document.
func forRef(err error, ref Ref) error {
	e, ok := err.(*Error) //nolint:errorlint // only the outermost is ours to change
	if !ok || e.Ref != ref.WithoutKey().String() {
		return err
	}
	named := *e
	named.Ref = ref.String()
	return &named
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
