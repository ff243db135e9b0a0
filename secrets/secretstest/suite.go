package secretstest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/secrets"
)

// Harness is what [TestStore] needs to know of a store.
type Harness struct {
	Store  secrets.Store
	Scheme string
	// Put makes text be at a path. Stores of JSON objects get {"value": text}.
	Put func(t *testing.T, path, text string)
	// Path makes a path the store accepts of a plain name; nil leaves the name as it is.
	Path func(name string) string
	// Object says that the store holds JSON objects, as Vault does, and not text.
	Object bool
	// Versions says that Put makes a new version.
	Versions bool
}

// TestStore runs the cases every store has to pass, and returns how many there were. open makes a fresh store.
func TestStore(t *testing.T, open func(t *testing.T) *Harness) int {
	t.Helper()
	cases := []struct {
		name string
		run  func(t *testing.T, h *Harness)
	}{
		{"returns what was put", storeReturns},
		{"returns what is there now", storeChanges},
		{"says what is not there", storeMissing},
		{"keeps every byte", storeBytes},
		{"knows versions or says so", storeVersions},
		{"serves a crowd", storeCrowd},
		{"says where it is from", storeMeta},
		{"names the reference and not the value", storeErrors},
		{"gives up with the context", storeContext},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
	return len(cases)
}

func (h *Harness) ref(name string) secrets.Ref {
	if h.Path != nil {
		name = h.Path(name)
	}
	return secrets.Ref{Scheme: h.Scheme, Path: name}
}

func (h *Harness) put(t *testing.T, name, text string) secrets.Ref {
	t.Helper()
	r := h.ref(name)
	h.Put(t, r.Path, text)
	return r
}

// read returns the text that was put.
func (h *Harness) read(t *testing.T, r secrets.Ref) (string, error) {
	t.Helper()
	res, err := secrets.NewResolver(map[string]secrets.Store{h.Scheme: h.Store}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	if h.Object {
		r.Key = "value"
	}
	v, err := res.Get(t.Context(), r.String())
	return v.Expose(), err
}

func (h *Harness) want(t *testing.T, r secrets.Ref, text string) {
	t.Helper()
	if got, err := h.read(t, r); err != nil || got != text {
		t.Errorf("get %s: %q, %v; want %q", r, got, err, text)
	}
}

func storeReturns(t *testing.T, h *Harness) { h.want(t, h.put(t, "plain", "a value"), "a value") }

func storeChanges(t *testing.T, h *Harness) {
	r := h.put(t, "changing", "before")
	h.want(t, r, "before")
	h.put(t, "changing", "after")
	h.want(t, r, "after")
}

func storeMissing(t *testing.T, h *Harness) {
	h.put(t, "there", "x")
	v, _, err := h.Store.Get(t.Context(), h.ref("elsewhere"))
	if !errors.Is(err, secrets.ErrNotFound) || v.Len() != 0 {
		t.Errorf("nothing there: %v", err)
	}
}

func storeBytes(t *testing.T, h *Harness) {
	for _, text := range Canaries() {
		h.want(t, h.put(t, "bytes", text), text)
	}
}

func storeVersions(t *testing.T, h *Harness) {
	r := h.put(t, "versioned", "one")
	h.put(t, "versioned", "two")
	r.Version = 1
	if h.Versions {
		h.want(t, r, "one")
		r.Version = 99
		if _, err := h.read(t, r); !errors.Is(err, secrets.ErrNotFound) {
			t.Errorf("version 99: %v", err)
		}
		return
	}
	if _, err := h.read(t, r); !errors.Is(err, secrets.ErrBadRef) && !errors.Is(err, secrets.ErrWrongEngine) {
		t.Errorf("a version where there are none: %v", err)
	}
}

func storeCrowd(t *testing.T, h *Harness) {
	r := h.put(t, "popular", "value")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, _, err := h.Store.Get(t.Context(), r); err != nil {
				t.Errorf("get: %v", err)
			}
		})
	}
	wg.Wait()
}

func storeMeta(t *testing.T, h *Harness) {
	r := h.put(t, "described", "value")
	_, meta, err := h.Store.Get(t.Context(), r)
	if err != nil || meta.Path == "" || meta.Stale || h.Versions && meta.Version == 0 {
		t.Errorf("meta %+v, %v", meta, err)
	}
}

func storeErrors(t *testing.T, h *Harness) {
	r := h.ref("absent")
	_, _, err := h.Store.Get(t.Context(), r)
	e, ok := errors.AsType[*secrets.Error](err)
	if !ok || e.Kind == nil || !strings.Contains(err.Error(), r.Path) {
		t.Errorf("error %v, want an *Error that names %s", err, r.Path)
	}
}

func storeContext(t *testing.T, h *Harness) {
	r := h.put(t, "late", "value")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	_, _, err := h.Store.Get(ctx, r)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the context's end is not to be seen: %v", err)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("took %s to give up", d)
	}
}
