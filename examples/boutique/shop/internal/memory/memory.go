// Package memory keeps what a service remembers, and no more than it has room for.
package memory

import (
	"container/list"
	"sync"
)

// Map holds at most a fixed number of entries and forgets the one that was not used for longest. It is safe for
// concurrent use.
type Map[K comparable, V any] struct {
	mu    sync.Mutex
	room  int
	byKey map[K]*list.Element
	order *list.List // the last used one first
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// New returns a map with room for so many entries.
func New[K comparable, V any](room int) *Map[K, V] {
	return &Map[K, V]{room: room, byKey: map[K]*list.Element{}, order: list.New()}
}

// Get returns the value of the key.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byKey[key]
	if !ok {
		return value, false
	}
	m.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

// Update calls change with the value of the key, or the zero value and false, and keeps what it returns. After an
// error everything is as it was. Nobody else sees or changes the map meanwhile, so change must be quick and must not
// use the map.
func (m *Map[K, V]) Update(key K, change func(old V, ok bool) (V, error)) (V, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byKey[key]
	var old V
	if ok {
		old = e.Value.(*entry[K, V]).value
	}
	value, err := change(old, ok)
	if err != nil {
		return old, err
	}
	if ok {
		e.Value.(*entry[K, V]).value = value
		m.order.MoveToFront(e)
		return value, nil
	}
	m.byKey[key] = m.order.PushFront(&entry[K, V]{key, value})
	if m.order.Len() > m.room {
		m.remove(m.order.Back())
	}
	return value, nil
}

// Delete forgets the key.
func (m *Map[K, V]) Delete(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byKey[key]; ok {
		m.remove(e)
	}
}

// Len is the number of entries.
func (m *Map[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.order.Len()
}

func (m *Map[K, V]) remove(e *list.Element) {
	m.order.Remove(e)
	delete(m.byKey, e.Value.(*entry[K, V]).key)
}
