// Package secretstest has a store in memory for tests of programs that read secrets, and the suite that every
// [secrets.Store] should pass.
package secretstest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/secrets"
)

// Memory is a store in memory with versions, faults, and a record of what was read. It serves any scheme. The
// zero value is empty and ready to use.
type Memory struct {
	mu       sync.Mutex
	versions map[string][]version
	reads    []string
	fault    error
	delay    time.Duration
	invalid  []func(secrets.Ref)
	ttl      time.Duration
}

type version struct {
	text    string
	created time.Time
	deleted bool
}

// NewMemory returns a store that holds text by path.
func NewMemory(content map[string]string) *Memory {
	m := &Memory{}
	for path, text := range content {
		m.Set(path, text)
	}
	return m
}

// Set adds a version.
func (m *Memory) Set(path, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.versions == nil {
		m.versions = map[string][]version{}
	}
	m.versions[path] = append(m.versions[path], version{text: text, created: time.Now()})
}

// Delete marks the newest version deleted.
func (m *Memory) Delete(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.versions[path]; len(v) > 0 {
		v[len(v)-1].deleted = true
	}
}

// Fail makes every read fail with err until Fail(nil): an [*secrets.Error] as it is, another one as the cause of
// [secrets.ErrUnavailable].
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
}

// Delay makes every read take d, or until its context ends.
func (m *Memory) Delay(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = d
}

// Lease gives what is read from now on an end of life after ttl; 0 for none.
func (m *Memory) Lease(ttl time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ttl = ttl
}

// Reads returns the references that were read, in order.
func (m *Memory) Reads() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.reads...)
}

// OnInvalid makes Memory a [secrets.Invalidator]; see Invalidate.
func (m *Memory) OnInvalid(f func(r secrets.Ref)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invalid = append(m.invalid, f)
}

// Invalidate tells the resolver that what it got for a path has ended.
func (m *Memory) Invalidate(path string) {
	m.mu.Lock()
	listeners := append([]func(secrets.Ref){}, m.invalid...)
	m.mu.Unlock()
	for _, f := range listeners {
		f(secrets.Ref{Path: path})
	}
}

// Get implements [secrets.Store].
func (m *Memory) Get(ctx context.Context, r secrets.Ref) (secrets.Value, secrets.Meta, error) {
	m.mu.Lock()
	m.reads = append(m.reads, r.String())
	delay, fault, ttl := m.delay, m.fault, m.ttl
	versions := m.versions[r.Path]
	m.mu.Unlock()
	fail := func(kind, err error) (secrets.Value, secrets.Meta, error) {
		return secrets.Value{}, secrets.Meta{}, &secrets.Error{Op: "get", Ref: r.String(), Kind: kind, Err: err}
	}
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return fail(secrets.ErrUnavailable, err)
	}
	if fault != nil {
		if _, ours := errors.AsType[*secrets.Error](fault); ours {
			return secrets.Value{}, secrets.Meta{}, fault
		}
		return fail(secrets.ErrUnavailable, fault)
	}
	n := r.Version
	if n == 0 {
		n = len(versions)
	}
	if n == 0 || n > len(versions) {
		return fail(secrets.ErrNotFound, nil)
	}
	v := versions[n-1]
	if v.deleted {
		return fail(secrets.ErrDeleted, nil)
	}
	meta := secrets.Meta{Path: r.Path, Version: n, Created: v.created}
	if ttl > 0 {
		meta.Expires = time.Now().Add(ttl)
	}
	return secrets.NewValue(v.text), meta, nil
}
