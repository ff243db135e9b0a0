package secrets

import (
	"context"
	"encoding"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"sync"
)

// A RedactingWriter masks what goes through it; see [Redactor.Writer].
type RedactingWriter struct {
	state func() *writerState // a closure: the bytes held back may be half a secret
}

type writerState struct {
	mu      sync.Mutex
	r       *Redactor
	w       io.Writer
	held    []byte // perhaps the beginning of a value
	out     []byte
	covered int
	err     error // sticky
}

// Writer returns a writer that passes everything on to w, masked. Values are found across the borders of
// writes: bytes at the end that may begin a value are held back, as few as possible, until the next Write or
// Close. The output does not depend on how the input was cut. It is safe for concurrent use.
func (r *Redactor) Writer(w io.Writer) *RedactingWriter {
	s := &writerState{r: r, w: w, covered: -1}
	return &RedactingWriter{state: func() *writerState { return s }}
}

// Write masks p. An error of the writer behind it ends this one: the same error is returned from then on.
func (w *RedactingWriter) Write(p []byte) (int, error) {
	if err := w.state().write(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is held back. It does not close the writer behind it.
func (w *RedactingWriter) Close() error { return w.state().write(nil, true) }

func (s *writerState) write(p []byte, final bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	buf := p
	if len(s.held) > 0 {
		s.held = append(s.held, p...)
		buf = s.held
	}
	var done scanned
	s.out, done = s.r.matcher().scan(s.out[:0], buf, s.covered, final)
	s.held = append(s.held[:0], buf[done.used:]...)
	s.covered = max(done.covered, -1)
	if len(s.out) > 0 {
		_, s.err = s.w.Write(s.out)
	}
	return s.err
}

// Handler returns a slog handler that masks messages, keys and attributes before next sees them. An attribute
// that does not contain a value is passed on untouched, one that does becomes its masked text. What a program
// adds with Logger.With before the redactor learned of a value is not masked again; for that, let the handler
// write through [Redactor.Writer].
func (r *Redactor) Handler(next slog.Handler) slog.Handler { return &redactingHandler{r, next} }

type redactingHandler struct {
	r    *Redactor
	next slog.Handler
}

func (h *redactingHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.next.Enabled(ctx, l)
}

func (h *redactingHandler) Handle(ctx context.Context, rec slog.Record) error {
	masked := slog.NewRecord(rec.Time, rec.Level, h.r.Redact(rec.Message), rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		masked.AddAttrs(h.r.attr(a))
		return true
	})
	return h.next.Handle(ctx, masked)
}

func (h *redactingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	attrs = slices.Clone(attrs)
	for i, a := range attrs {
		attrs[i] = h.r.attr(a)
	}
	return &redactingHandler{h.r, h.next.WithAttrs(attrs)}
}

func (h *redactingHandler) WithGroup(name string) slog.Handler {
	return &redactingHandler{h.r, h.next.WithGroup(h.r.Redact(name))}
}

func (r *Redactor) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		group := slices.Clone(v.Group())
		for i, member := range group {
			group[i] = r.attr(member)
		}
		return slog.Attr{Key: r.Redact(a.Key), Value: slog.GroupValue(group...)}
	}
	return slog.Attr{Key: r.Redact(a.Key), Value: r.attrValue(v)}
}

// attrValue looks at v in each form a handler may write it in.
func (r *Redactor) attrValue(v slog.Value) slog.Value {
	for _, text := range texts(v) {
		if masked := r.Redact(text); masked != text {
			return slog.StringValue(masked)
		}
	}
	return v
}

func texts(v slog.Value) []string {
	if v.Kind() != slog.KindAny {
		return []string{v.String()}
	}
	out := []string{v.String()} // what %+v makes of it
	switch x := v.Any().(type) {
	case error:
		out = append(out, x.Error())
	case []byte:
		out = append(out, string(x))
	case encoding.TextMarshaler:
		if b, err := x.MarshalText(); err == nil {
			out = append(out, string(b))
		}
	}
	if b, err := json.Marshal(v.Any()); err == nil {
		out = append(out, string(b))
	}
	return out
}
