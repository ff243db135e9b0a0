package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
)

// Target is a named notifier and the messages it is for.
type Target struct {
	Name     string // unique among a Fanout's targets; stands in results, errors and idempotency keys
	Notifier Notifier
	Match    Match // the zero value: every message
}

// Options of [New]. The zero value is ready to use.
type Options struct {
	Attempts int           // tries per target, the first included; 0 means 5
	Base     time.Duration // upper bound of the first pause between tries, doubled each time; 0 means 500 ms
	MaxPause time.Duration // upper bound of any pause; a server that asks for more ends the tries; 0 means 30 s
	Timeout  time.Duration // for one try; 0 means 2 min

	// DryRun sends nothing: messages are routed, checked and rendered, and results are Dropped with what
	// would have been sent in Preview.
	DryRun bool

	// OnRetry, when set, is called before each pause, from the goroutine of that target.
	OnRetry func(target string, attempt int, err error, pause time.Duration)
}

// Fanout sends a message to every target that it is for. It is safe for use by several goroutines.
type Fanout struct {
	targets []Target
	o       Options
}

// New returns a Fanout over targets. Wrong options and targets are reported all at once, as an [*Error] of
// kind [ErrInvalid]. o may be nil.
func New(targets []Target, o *Options) (*Fanout, error) {
	f := &Fanout{targets: slices.Clone(targets)}
	if o != nil {
		f.o = *o
	}
	var errs []error
	seen := map[string]bool{}
	if len(targets) == 0 {
		errs = append(errs, errors.New("targets: there are none"))
	}
	for i, t := range targets {
		switch {
		case t.Name == "":
			errs = append(errs, fmt.Errorf("targets[%d].Name: is empty", i))
		case seen[t.Name]:
			errs = append(errs, fmt.Errorf("targets[%d].Name: %q is there twice", i, t.Name))
		}
		seen[t.Name] = true
		if t.Notifier == nil {
			errs = append(errs, fmt.Errorf("targets[%d].Notifier: is nil", i))
		}
		if err := t.Match.validate(); err != nil {
			errs = append(errs, fmt.Errorf("targets[%d].Match: %w", i, err))
		}
	}
	for name, v := range map[string]int64{"Attempts": int64(f.o.Attempts), "Base": int64(f.o.Base), "MaxPause": int64(f.o.MaxPause), "Timeout": int64(f.o.Timeout)} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("field %s of Options: is negative", name))
		}
	}
	if len(errs) > 0 {
		return nil, invalid("new", "fanout", errors.Join(errs...))
	}
	if f.o.Attempts == 0 {
		f.o.Attempts = 5
	}
	if f.o.Base == 0 {
		f.o.Base = 500 * time.Millisecond
	}
	if f.o.MaxPause == 0 {
		f.o.MaxPause = 30 * time.Second
	}
	if f.o.Timeout == 0 {
		f.o.Timeout = 2 * time.Minute
	}
	return f, nil
}

// Send sends m to all targets at once and waits for all of them; a slow or broken one does not hold up the
// others. There is one result per target, in the order of the targets, and the errors in them joined.
// A message that is not valid gives an error and no results.
func (f *Fanout) Send(ctx context.Context, m Message) ([]Result, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	results := make([]Result, len(f.targets))
	var wg sync.WaitGroup
	for i, t := range f.targets {
		if ok, why := t.Match.Matches(m); !ok {
			results[i] = Result{Target: t.Name, Status: Dropped, Reason: why}
			continue
		}
		wg.Go(func() { results[i] = f.send(ctx, t, m, nil) })
	}
	wg.Wait()
	errs := make([]error, len(results))
	for i, r := range results {
		errs[i] = r.Err
	}
	return results, errors.Join(errs...)
}

// Targets returns the targets, in their order.
func (f *Fanout) Targets() []Target { return slices.Clone(f.targets) }

// DryRun reports whether the Fanout sends nothing, see [Options].
func (f *Fanout) DryRun() bool { return f.o.DryRun }

// SendTo sends m to the one named target, whatever its Match says. With only, it resumes an earlier send
// for those recipients; a notifier without recipients ([Resumer]) sends again.
func (f *Fanout) SendTo(ctx context.Context, target string, m Message, only []string) Result {
	for _, t := range f.targets {
		if t.Name != target {
			continue
		}
		if err := m.Validate(); err != nil {
			return Result{Target: target, Status: NotSent, Err: err}
		}
		if m.Time.IsZero() {
			m.Time = time.Now()
		}
		return f.send(ctx, t, m, only)
	}
	return Result{Target: target, Status: NotSent, Err: invalid("send", target, errors.New("there is no such target"))}
}

func (f *Fanout) send(ctx context.Context, t Target, m Message, only []string) Result {
	// Each target has its own key, so that two of them that end at one reader are two messages.
	m.Key = digest("target", t.Name, m.IdempotencyKey())
	r := Result{Target: t.Name, Key: m.Key}
	if f.o.DryRun {
		return f.preview(t, m, r)
	}
	answers := map[string]error{} // per recipient, over all tries
	policy := retry.Policy{Base: f.o.Base, Max: f.o.MaxPause}
	for r.Attempts = 1; ; r.Attempts++ {
		receipt, err := f.try(ctx, t, m, only)
		r.Status, r.Cut, r.Err = receipt.Status, receipt.Cut, named(err, t.Name)
		r.ID = cmp.Or(receipt.ID, r.ID)
		if rest := r.note(receipt.Recipients, answers); len(rest) > 0 {
			only = rest
		}
		e, _ := errors.AsType[*Error](r.Err)
		if !Retryable(r.Err) || r.Attempts == f.o.Attempts || e.RetryAfter > f.o.MaxPause {
			break
		}
		pause := max(policy.Pause(r.Attempts), e.RetryAfter)
		if f.o.OnRetry != nil {
			f.o.OnRetry(t.Name, r.Attempts, r.Err, pause)
		}
		if cerr := retry.Sleep(ctx, pause); cerr != nil {
			again := *e
			again.Err = errors.Join(e.Err, fmt.Errorf("no further try: %w", cerr))
			r.Err = &again
			break
		}
	}
	return r.conclude(answers)
}

// try makes one attempt. A notifier that panics breaks its own target only.
func (f *Fanout) try(ctx context.Context, t Target, m Message, only []string) (receipt Receipt, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.o.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			receipt, err = Receipt{}, &Error{Op: "send", Target: t.Name, Err: fmt.Errorf("the notifier panicked: %v", p)}
		}
	}()
	if r, ok := t.Notifier.(Resumer); ok && len(only) > 0 {
		return r.Resume(ctx, m, only)
	}
	return t.Notifier.Notify(ctx, m)
}

func (f *Fanout) preview(t Target, m Message, r Result) Result {
	r.Status, r.Reason = Dropped, "dry run"
	if renderer, ok := t.Notifier.(Renderer); ok {
		_, r.Preview, r.Err = renderer.Render(m)
	}
	if r.Err != nil {
		r.Status, r.Reason, r.Err = NotSent, "", named(r.Err, t.Name)
	}
	return r
}

// note takes down what recipients answered and returns those worth another try.
func (r *Result) note(answered []Recipient, answers map[string]error) (rest []string) {
	for _, rc := range answered {
		if _, known := answers[rc.Address]; !known {
			r.Recipients = append(r.Recipients, Recipient{Address: rc.Address})
		}
		answers[rc.Address] = rc.Err
		if Retryable(rc.Err) {
			rest = append(rest, rc.Address)
		}
	}
	return rest
}

// conclude turns the last answers into the status: a recipient that an early try reached or lost for good
// counts as much as those of the last one.
func (r Result) conclude(answers map[string]error) Result {
	var refused []error
	for i := range r.Recipients {
		rc := &r.Recipients[i]
		if rc.Err = answers[rc.Address]; rc.Err != nil {
			refused = append(refused, rc.Err)
		}
	}
	if r.Err == nil && len(refused) > 0 {
		r.Err = &Error{Op: "send", Target: r.Target, Kind: ErrPartial, Err: errors.Join(refused...)}
	}
	switch {
	case r.Err == nil:
		r.Status = cmp.Or(r.Status, Delivered)
	case len(refused) < len(r.Recipients):
		r.Status = Partial
	default:
		r.Status = NotSent
	}
	return r
}

// named puts the target's name into err, which becomes an *Error if it is none.
func named(err error, target string) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return &Error{Op: "send", Target: target, Err: httpx.RedactError(err)}
	}
	c := *e
	if c.Target != "" && c.Target != target {
		target += " (" + c.Target + ")"
	}
	c.Target = target
	return &c
}
