package secrets

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// Redacted is what a [Value] shows of itself.
const Redacted = "[redacted]"

// A Value holds one secret and does not print. Whatever formats, encodes or logs it, also inside other
// structs and through unexported fields, shows [Redacted], the address of a function, or nothing. gob refuses
// to encode it. Copies share the secret. The zero Value is empty. Values are safe for concurrent use.
type Value struct {
	// A closure, as reflection can neither call nor look into it; a string or a pointer would be printed
	// by fmt when the Value sits in an unexported field, where fmt cannot call its methods.
	box func() *box
}

type box struct {
	mu    sync.RWMutex
	bytes []byte
	wiped bool
}

// NewValue returns a Value that holds s. The caller's string stays in memory as long as Go keeps it.
func NewValue(s string) Value { return newValue([]byte(s)) }

// NewValueBytes returns a Value that holds a copy of b.
func NewValueBytes(b []byte) Value { return newValue(append([]byte(nil), b...)) }

func newValue(b []byte) Value {
	x := &box{bytes: b}
	return Value{box: func() *box { return x }}
}

// Expose returns the secret as text: empty for the zero Value and after Destroy. The string is a copy that
// Destroy does not reach, so keep it as short as can be.
func (v Value) Expose() string {
	if v.box == nil {
		return ""
	}
	x := v.box()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return string(x.bytes)
}

// ExposeBytes is [Value.Expose] for callers who wipe what they got: it returns a copy of their own.
func (v Value) ExposeBytes() []byte {
	if v.box == nil {
		return nil
	}
	x := v.box()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return append([]byte(nil), x.bytes...)
}

// Destroy overwrites the secret in memory, for all copies of v. It does not reach strings that Expose
// handed out, nor what the garbage collector or the kernel copied elsewhere.
func (v Value) Destroy() {
	if v.box == nil {
		return
	}
	x := v.box()
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.bytes)
	x.bytes, x.wiped = nil, true
}

// Destroyed reports whether Destroy was called on v or a copy of it.
func (v Value) Destroyed() bool {
	if v.box == nil {
		return false
	}
	x := v.box()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.wiped
}

// Len returns the length of the secret in bytes.
func (v Value) Len() int {
	if v.box == nil {
		return 0
	}
	x := v.box()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.bytes)
}

// Equal reports whether both hold the same bytes, in a time that depends only on their lengths.
func (v Value) Equal(w Value) bool {
	a, b := v.ExposeBytes(), w.ExposeBytes()
	defer clear(a)
	defer clear(b)
	return subtle.ConstantTimeCompare(a, b) == 1
}

// String returns [Redacted].
func (v Value) String() string { return Redacted }

// GoString returns [Redacted].
func (v Value) GoString() string { return Redacted }

// Format writes [Redacted], whatever the verb.
func (v Value) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Redacted) }

// LogValue returns [Redacted].
func (v Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText returns [Redacted]; JSON, XML and YAML encoders use it.
func (v Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
