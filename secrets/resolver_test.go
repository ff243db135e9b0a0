package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/secretstest"
)

func newResolver(tb testing.TB, m *secretstest.Memory, o *secrets.ResolverOptions) *secrets.Resolver {
	tb.Helper()
	r, err := secrets.NewResolver(map[string]secrets.Store{"mem": m}, o)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, r.Close()) })
	return r
}

func TestNewResolver_namesAllThatIsWrong(t *testing.T) {
	_, err := secrets.NewResolver(map[string]secrets.Store{"Bad": nil}, &secrets.ResolverOptions{TTL: -1, MaxStale: -1, MaxEntries: -1})
	require.ErrorIs(t, err, secrets.ErrInvalid)
	for _, want := range []string{`"Bad" is no scheme`, "is nil", "TTL", "MaxStale", "MaxEntries"} {
		assert.ErrorContains(t, err, want)
	}
	_, err = secrets.NewResolver(nil, nil)
	require.ErrorIs(t, err, secrets.ErrInvalid)
}

func TestResolver_keys(t *testing.T) {
	r := newResolver(t, secretstest.NewMemory(map[string]string{
		"app":  `{"password":"p\u0061ss","port":5432,"big":9007199254740993,"f":1e-7,"on":true,"list":[1, 2],"null":null,"a#b":"hash","":"empty name"}`,
		"text": "not json", "broken": `{"password":"hunter22"`, "list": `[1]`,
	}), nil)
	for ref, want := range map[string]string{
		"mem://app#password": "pass", "mem://app#port": "5432", "mem://app#big": "9007199254740993", "mem://app#f": "1e-7",
		"mem://app#on": "true", "mem://app#list": "[1, 2]", "mem://app#a%23b": "hash", "mem://text": "not json",
	} {
		v, err := r.Get(t.Context(), ref)
		require.NoError(t, err, ref)
		assert.Equal(t, want, v.Expose(), ref)
	}
	for _, ref := range []string{"mem://app#none", "mem://app#null", "mem://text#k", "mem://list#0", "mem://broken#password"} {
		_, err := r.Get(t.Context(), ref)
		require.ErrorIs(t, err, secrets.ErrNoKey, ref)
		assert.ErrorContains(t, err, ref)
		assert.NotContains(t, err.Error(), "hunter22")
	}
	_, err := r.Get(t.Context(), "other://x")
	require.ErrorIs(t, err, secrets.ErrNoStore)
	_, err = r.Get(t.Context(), "exec://rm")
	require.ErrorIs(t, err, secrets.ErrNoStore, "no scheme runs commands")
	_, err = r.Get(t.Context(), "mem://nothing#k")
	require.ErrorIs(t, err, secrets.ErrNotFound)
	assert.EqualError(t, err, "secrets: get mem://nothing#k: not found")
}

func TestResolver_onePathOneRead(t *testing.T) {
	m := secretstest.NewMemory(map[string]string{"app": `{"user":"u","password":"p"}`})
	r := newResolver(t, m, nil)
	for range 3 {
		for _, key := range []string{"#user", "#password", ""} {
			_, err := r.Get(t.Context(), "mem://app"+key)
			require.NoError(t, err)
		}
	}
	assert.Len(t, m.Reads(), 1)
}

func TestResolver_crowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := secretstest.NewMemory(map[string]string{"a": `{"k":"1"}`, "b": `{"k":"2"}`})
		m.Delay(time.Second)
		r := newResolver(t, m, nil)
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				v, err := r.Get(t.Context(), []string{"mem://a#k", "mem://b#k"}[i%2])
				assert.NoError(t, err)
				assert.Equal(t, fmt.Sprint(i%2+1), v.Expose())
			})
		}
		wg.Wait()
		assert.Len(t, m.Reads(), 2, "one read per path")
	})
}

func TestResolver_ttl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := secretstest.NewMemory(map[string]string{"a": "one"})
		r := newResolver(t, m, &secrets.ResolverOptions{TTL: time.Minute})
		get := func() string {
			v, err := r.Get(t.Context(), "mem://a")
			require.NoError(t, err)
			return v.Expose()
		}
		assert.Equal(t, "one", get())
		m.Set("a", "two")
		time.Sleep(50 * time.Second)
		assert.Equal(t, "one", get(), "still fresh")
		time.Sleep(11 * time.Second)
		assert.Equal(t, "two", get())
		assert.Len(t, m.Reads(), 2)

		m.Lease(10 * time.Second) // a lease that ends before the TTL ends the value
		time.Sleep(time.Minute)
		get()
		m.Set("a", "three")
		time.Sleep(11 * time.Second)
		assert.Equal(t, "three", get())
	})
}

func TestResolver_staleOnlyWithinItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := secretstest.NewMemory(map[string]string{"a": "one"})
		var reported atomic.Int32
		r := newResolver(t, m, &secrets.ResolverOptions{TTL: time.Minute, MaxStale: 10 * time.Minute, OnError: func(ref string, err error) {
			reported.Add(1)
			assert.Equal(t, "mem://a", ref)
			assert.ErrorIs(t, err, secrets.ErrUnavailable)
		}})
		lookup := func() (secrets.Value, secrets.Meta, error) { return r.Lookup(t.Context(), "mem://a") }
		_, _, err := lookup()
		require.NoError(t, err)
		m.Fail(errors.New("connection refused"))
		time.Sleep(2 * time.Minute)
		for range 100 {
			v, meta, err := lookup()
			require.NoError(t, err)
			assert.Equal(t, "one", v.Expose())
			assert.True(t, meta.Stale)
		}
		assert.Len(t, m.Reads(), 2, "a store that is down is not asked at each Get")
		assert.EqualValues(t, 1, reported.Load())
		time.Sleep(10 * time.Minute)
		_, _, err = lookup()
		require.ErrorIs(t, err, secrets.ErrUnavailable, "past the bound")
		m.Fail(nil)
		_, meta, err := lookup()
		require.NoError(t, err)
		assert.False(t, meta.Stale)
	})
}

func TestResolver_aRefusalIsNeverPaperedOver(t *testing.T) {
	for _, kind := range []error{secrets.ErrDenied, secrets.ErrDeleted, secrets.ErrDestroyed, secrets.ErrNotFound, secrets.ErrUnauthenticated, secrets.ErrInsecure} {
		synctest.Test(t, func(t *testing.T) {
			m := secretstest.NewMemory(map[string]string{"a": "one"})
			r := newResolver(t, m, &secrets.ResolverOptions{TTL: time.Minute, MaxStale: time.Hour})
			_, err := r.Get(t.Context(), "mem://a")
			require.NoError(t, err)
			m.Fail(&secrets.Error{Op: "get", Ref: "mem://a", Kind: kind})
			time.Sleep(2 * time.Minute)
			_, err = r.Get(t.Context(), "mem://a")
			require.ErrorIs(t, err, kind)
		})
	}
}

func TestResolver_refreshTellsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := secretstest.NewMemory(map[string]string{"a": `{"x":"1","y":"same"}`})
		var changes []secrets.Change
		r := newResolver(t, m, &secrets.ResolverOptions{TTL: time.Minute, Refresh: true, OnChange: func(c secrets.Change) { changes = append(changes, c) }})
		for _, ref := range []string{"mem://a#x", "mem://a#y"} {
			_, err := r.Get(t.Context(), ref)
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		assert.Empty(t, changes)
		m.Set("a", `{"x":"2","y":"same"}`)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, changes, 1)
		assert.Equal(t, "mem://a#x", changes[0].Ref)
		assert.Equal(t, "1", changes[0].Old.Expose())
		assert.Equal(t, "2", changes[0].New.Expose())
		assert.Equal(t, 2, changes[0].Meta.Version)

		// While the store is down nothing spins, and a change made meanwhile is told afterwards.
		before := len(m.Reads())
		m.Fail(errors.New("down"))
		m.Set("a", `{"x":"3","y":"same"}`)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		assert.Less(t, len(m.Reads())-before, 150)
		m.Fail(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Len(t, changes, 2)
		assert.Equal(t, "3", changes[1].New.Expose())
		require.NoError(t, r.Close())
	})
}

// What is called back may read: another key of the same path, and another path that has changed too.
func TestResolver_callbacksMayRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := secretstest.NewMemory(map[string]string{"a": `{"k":"one","other":"x"}`, "b": "one"})
		var r *secrets.Resolver
		var calls []string
		get := func(ref string) {
			_, err := r.Get(t.Context(), ref)
			assert.NoError(t, err)
		}
		r = newResolver(t, m, &secrets.ResolverOptions{
			TTL: time.Minute, MaxStale: time.Hour, Redactor: secrets.NewRedactor(),
			OnChange: func(c secrets.Change) { calls = append(calls, c.Ref); get("mem://a#other"); get("mem://b") },
			OnError:  func(ref string, err error) { calls = append(calls, "error of "+ref); get("mem://a#k"); get("mem://b") },
		})
		get("mem://a#k") // too short to mask, for a start
		get("mem://b")
		calls = nil
		m.Set("a", `{"k":"second","other":"another"}`)
		m.Set("b", "second")
		time.Sleep(2 * time.Minute)
		get("mem://a#k")
		assert.Equal(t, []string{"mem://a#k", "mem://b"}, calls)
		m.Fail(errors.New("down"))
		time.Sleep(2 * time.Minute)
		get("mem://a#k")
		assert.Contains(t, calls, "error of mem://a")
		assert.Contains(t, calls, "error of mem://b")
	})
}

func TestResolver_invalidatedValueIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := secretstest.NewMemory(map[string]string{"a": "one"})
		r := newResolver(t, m, &secrets.ResolverOptions{TTL: time.Hour, MaxStale: time.Hour})
		_, err := r.Get(t.Context(), "mem://a")
		require.NoError(t, err)
		m.Set("a", "two")
		m.Invalidate("a")
		v, err := r.Get(t.Context(), "mem://a")
		require.NoError(t, err)
		assert.Equal(t, "two", v.Expose())
		m.Invalidate("a")
		m.Fail(errors.New("down"))
		_, err = r.Get(t.Context(), "mem://a")
		require.ErrorIs(t, err, secrets.ErrUnavailable, "not even within MaxStale")
	})
}

func TestResolver_destroyedValueIsReadAgain(t *testing.T) {
	r := newResolver(t, secretstest.NewMemory(map[string]string{"a": `{"k":"v"}`}), nil)
	for _, ref := range []string{"mem://a", "mem://a#k"} {
		v, err := r.Get(t.Context(), ref)
		require.NoError(t, err)
		v.Destroy()
		w, err := r.Get(t.Context(), ref)
		require.NoError(t, err)
		assert.NotEmpty(t, w.Expose(), ref)
	}
}

func TestResolver_contexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := secretstest.NewMemory(map[string]string{"a": "one"})
		m.Delay(10 * time.Second)
		r := newResolver(t, m, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := make(chan error)
		go func() { _, err := r.Get(ctx, "mem://a"); first <- err }()
		synctest.Wait()
		second := make(chan error)
		go func() { _, err := r.Get(t.Context(), "mem://a"); second <- err }() // waits for the first
		require.ErrorIs(t, <-first, context.DeadlineExceeded)
		require.NoError(t, <-second, "another's deadline is not mine")

		ended, stop := context.WithCancel(t.Context())
		stop()
		_, err := r.Get(ended, "mem://b")
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestResolver_Func(t *testing.T) {
	m := secretstest.NewMemory(map[string]string{"a": "value", "empty": ""})
	r := newResolver(t, m, nil)
	s, err := r.Func("mem://a")(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "value", s)
	_, err = r.Func("mem://empty")(t.Context())
	require.ErrorIs(t, err, secrets.ErrNotFound)
}

func TestResolver_Close(t *testing.T) {
	m := secretstest.NewMemory(map[string]string{"a": "value"})
	r := newResolver(t, m, &secrets.ResolverOptions{Refresh: true})
	v, err := r.Get(t.Context(), "mem://a")
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	_, err = r.Get(t.Context(), "mem://a")
	require.ErrorIs(t, err, secrets.ErrClosed)
	assert.Equal(t, "value", v.Expose(), "what was handed out stays")
}

func TestResolver_redactorLearns(t *testing.T) {
	red := secrets.NewRedactor()
	var refused []string
	m := secretstest.NewMemory(map[string]string{"a": `{"long":"hunter22","short":"abc"}`})
	r := newResolver(t, m, &secrets.ResolverOptions{Redactor: red, OnError: func(ref string, err error) {
		assert.ErrorIs(t, err, secrets.ErrTooShort)
		refused = append(refused, ref)
	}})
	for _, k := range []string{"long", "short"} {
		_, err := r.Get(t.Context(), "mem://a#"+k)
		require.NoError(t, err)
	}
	assert.Equal(t, "abc ***", red.Redact("abc hunter22"))
	assert.Equal(t, []string{"mem://a#short"}, refused)
}

func TestResolver_cacheIsBounded(t *testing.T) {
	m := secretstest.NewMemory(nil)
	for i := range 100 {
		m.Set(fmt.Sprint("p", i), "v")
	}
	r := newResolver(t, m, &secrets.ResolverOptions{MaxEntries: 10})
	for i := range 100 {
		_, err := r.Get(t.Context(), fmt.Sprint("mem://p", i))
		require.NoError(t, err)
	}
	assert.Len(t, m.Reads(), 100)
}

func TestResolver_cachedReadDoesNotAllocate(t *testing.T) {
	r := newResolver(t, secretstest.NewMemory(map[string]string{"a": `{"k":"v"}`}), nil)
	ctx := t.Context()
	_, err := r.Get(ctx, "mem://a#k")
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = r.Get(ctx, "mem://a#k") }))
}

func BenchmarkResolver_cached(b *testing.B) {
	r := newResolver(b, secretstest.NewMemory(map[string]string{"a": `{"k":"v"}`}), nil)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Get(ctx, "mem://a#k"); err != nil {
				b.Error(err)
			}
		}
	})
}
