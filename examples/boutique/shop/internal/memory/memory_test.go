package memory

import (
	"errors"
	"sync"
	"testing"
)

func keep(v int) func(int, bool) (int, error) { return func(int, bool) (int, error) { return v, nil } }

func TestMap_forgetsTheLeastUsed(t *testing.T) {
	m := New[string, int](2)
	_, _ = m.Update("a", keep(1))
	_, _ = m.Update("b", keep(2))
	m.Get("a")
	_, _ = m.Update("c", keep(3))
	if _, ok := m.Get("b"); ok || m.Len() != 2 {
		t.Error("b was not used for longest and is still there")
	}
	if v, ok := m.Get("a"); !ok || v != 1 {
		t.Error("a is gone")
	}
	m.Delete("a")
	m.Delete("nobody")
	if _, ok := m.Get("a"); ok || m.Len() != 1 {
		t.Error("a was deleted and is still there")
	}
}

func TestMap_errorsChangeNothing(t *testing.T) {
	m := New[string, int](2)
	bad := errors.New("no")
	refuse := func(int, bool) (int, error) { return 9, bad }
	if v, err := m.Update("a", refuse); !errors.Is(err, bad) || v != 0 || m.Len() != 0 {
		t.Error(v, err)
	}
	_, _ = m.Update("a", keep(1))
	if v, err := m.Update("a", refuse); !errors.Is(err, bad) || v != 1 {
		t.Error(v, err)
	}
}

func TestMap_isSafe(t *testing.T) {
	m := New[int, int](5)
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			for range 100 {
				_, _ = m.Update(i%3, func(old int, _ bool) (int, error) { return old + 1, nil })
				m.Get(i)
				m.Len()
			}
		})
	}
	all.Wait()
	sum := 0
	for i := range 3 {
		v, _ := m.Get(i)
		sum += v
	}
	if sum != 1000 {
		t.Error(sum)
	}
}
