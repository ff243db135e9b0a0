// Package formattest holds what every reader of a format must hold to, so that each reader's own test is its
// files and a few lines.
package formattest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/report"
)

// Read is the reader of a format.
type Read func(context.Context, io.Reader, *report.Options) (*report.Report, error)

// Golden reads each file that matches the pattern below testdata and compares the whole report with the file
// of the same name and the ending .golden.
func Golden(t *testing.T, read Read, pattern string) {
	t.Helper()
	for _, name := range files(t, pattern) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			in, err := os.ReadFile(name)
			require.NoError(t, err)
			rep, err := read(t.Context(), bytes.NewReader(in), nil)
			require.NoError(t, err)
			Sound(t, rep)
			for i := range rep.Findings { // how identities are made is up to package report
				id := &rep.Findings[i].Identity
				*id = report.Identity(path.Dir(string(*id)))
			}
			out, err := json.MarshalIndent(rep, "", "  ")
			require.NoError(t, err)
			golden.Check(t, name+".golden", append(out, '\n'))
		})
	}
}

func files(tb testing.TB, pattern string) []string {
	tb.Helper()
	all, err := filepath.Glob(filepath.Join("testdata", pattern))
	require.NoError(tb, err)
	var names []string
	for _, n := range all {
		if !strings.HasSuffix(n, ".golden") {
			names = append(names, n)
		}
	}
	require.NotEmpty(tb, names, "no file matches %s", pattern)
	return names
}

// Sound checks what holds for every report.
func Sound(tb testing.TB, rep *report.Report) {
	tb.Helper()
	for i, r := range rep.Runs {
		assert.NotEmpty(tb, r.Tool, "run %d has no tool", i)
		assert.NotEmpty(tb, r.Status, "run %d has no status", i)
	}
	for i, f := range rep.Findings {
		assert.NotEqual(tb, report.LevelUnset, f.Level, "finding %d has no level", i)
		assert.NotEmpty(tb, f.Identity, "finding %d has no identity", i)
		assert.True(tb, f.Run >= 0 && f.Run < len(rep.Runs), "finding %d is of run %d", i, f.Run)
		assert.GreaterOrEqual(tb, f.Location.StartLine, 0)
	}
	for _, u := range rep.Unplaced {
		assert.Positive(tb, u.Count)
		assert.NotEmpty(tb, u.Reason)
	}
}

// BadJSON checks a reader of a JSON format against broken, cut, huge and deep input made from a good sample.
func BadJSON(t *testing.T, read Read, sample string) {
	t.Helper()
	good, err := os.ReadFile(filepath.Join("testdata", sample))
	require.NoError(t, err)
	good = bytes.TrimSpace(good)

	kind := func(in []byte, o *report.Options) error {
		_, err := read(t.Context(), bytes.NewReader(in), o)
		return err
	}
	t.Run("empty", func(t *testing.T) {
		require.ErrorIs(t, kind(nil, nil), report.ErrEmpty)
		require.ErrorIs(t, kind([]byte(" \n"), nil), report.ErrEmpty)
	})
	t.Run("cut anywhere", func(t *testing.T) {
		for n := 1; n < len(good); n += max(1, len(good)/200) {
			err := kind(good[:n], nil)
			require.Error(t, err, "the first %d bytes of %s are read", n, sample)
			typed(t, err)
		}
		require.ErrorIs(t, kind(good[:len(good)-1], nil), report.ErrTruncated)
	})
	t.Run("NUL", func(t *testing.T) {
		require.ErrorIs(t, kind(append(bytes.Clone(good), 0), nil), report.ErrSyntax)
	})
	t.Run("invalid UTF-8", func(t *testing.T) {
		bad := bytes.Replace(good, []byte(`"`), []byte("\"\xff"), 1)
		require.ErrorIs(t, kind(bad, nil), report.ErrSyntax)
		require.ErrorContains(t, kind(bad, nil), "byte ")
	})
	t.Run("byte order mark", func(t *testing.T) {
		require.NoError(t, kind(append([]byte("\xef\xbb\xbf"), good...), nil))
	})
	t.Run("too deep", func(t *testing.T) {
		deep := append(bytes.Repeat([]byte("["), 100_000), bytes.Repeat([]byte("]"), 100_000)...)
		err := kind([]byte(`{"x":`+string(deep)+`}`), nil)
		require.ErrorIs(t, err, report.ErrTooLarge)
		require.ErrorContains(t, err, "cap of 1000")
	})
	t.Run("too large", func(t *testing.T) {
		err := kind(good, &report.Options{MaxBytes: int64(len(good) - 1)})
		require.ErrorIs(t, err, report.ErrTooLarge)
		require.ErrorContains(t, err, "cap of")
	})
	t.Run("the source fails", func(t *testing.T) {
		broken := errors.New("disk gone")
		_, err := read(t.Context(), io.MultiReader(bytes.NewReader(good[:1]), failing{broken}), nil)
		require.ErrorIs(t, err, broken)
		typed(t, err)
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if rep, err := read(ctx, bytes.NewReader(good), nil); err != nil {
			require.ErrorIs(t, err, context.Canceled)
		} else {
			assert.Empty(t, rep.Findings, "a cancelled context was not noticed")
		}
	})
	t.Run("wrong types everywhere", func(t *testing.T) {
		for _, other := range []string{`0`, `1e999`, `"x"`, `true`, `null`, `{}`, `[]`, `[null]`, `[1]`, `["x"]`, `[[]]`, `[{}]`, `{"":[]}`} {
			for in := range replaceValues(good, other) {
				rep, err := read(t.Context(), strings.NewReader(in), nil)
				if err != nil {
					typed(t, err)
					continue
				}
				Sound(t, rep)
			}
		}
	})
}

// BadXML does the same for a reader of an XML format.
func BadXML(t *testing.T, read Read, sample string) {
	t.Helper()
	good, err := os.ReadFile(filepath.Join("testdata", sample))
	require.NoError(t, err)
	good = bytes.TrimSpace(good)
	kind := func(in []byte, o *report.Options) error {
		_, err := read(t.Context(), bytes.NewReader(in), o)
		return err
	}
	require.ErrorIs(t, kind(nil, nil), report.ErrEmpty)
	for n := 1; n < len(good); n += max(1, len(good)/200) {
		err := kind(good[:n], nil)
		require.Error(t, err, "the first %d bytes of %s are read", n, sample)
		typed(t, err)
	}
	deep := kind([]byte(strings.Repeat("<testsuite>", 100_000)), nil)
	require.True(t, errors.Is(deep, report.ErrTooLarge) || errors.Is(deep, report.ErrSyntax), "%v", deep)
	inside := kind(nested(good), nil)
	require.ErrorIs(t, inside, report.ErrTooLarge)
	require.ErrorContains(t, inside, "cap of 1000")
	require.ErrorIs(t, kind(good, &report.Options{MaxBytes: int64(len(good) - 1)}), report.ErrTooLarge)

	root := string(good[bytes.LastIndexByte(good, '/')+1 : len(good)-1])
	bomb := `<?xml version="1.0"?><!DOCTYPE ` + root + ` [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><` + root + `>&b;</` + root + `>`
	require.ErrorIs(t, kind([]byte(bomb), nil), report.ErrSyntax)
	file := `<?xml version="1.0"?><!DOCTYPE ` + root + ` [<!ENTITY xxe SYSTEM "file:///etc/hostname">]><` + root + `>&xxe;</` + root + `>`
	require.ErrorIs(t, kind([]byte(file), nil), report.ErrSyntax)
	require.ErrorIs(t, kind(append(bytes.Clone(good[:len(good)-3]), 0), nil), report.ErrSyntax)
}

// nested puts 100,000 elements into the root element.
func nested(good []byte) []byte {
	end := bytes.LastIndex(good, []byte("</"))
	out := bytes.Clone(good[:end])
	out = append(out, strings.Repeat("<x>", 100_000)...)
	return out
}

// Fuzz feeds a reader with mutations of the files that match the pattern below testdata.
func Fuzz(f *testing.F, read Read, pattern string) {
	f.Helper()
	for _, name := range files(f, pattern) {
		in, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(in)
	}
	f.Add([]byte("null"))
	f.Add([]byte("[]"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		rep, err := read(context.Background(), bytes.NewReader(in), &report.Options{MaxBytes: 1 << 20, SecretKey: []byte("k")})
		if err != nil {
			typed(t, err)
			return
		}
		Sound(t, rep)
		if _, err := json.Marshal(rep); err != nil {
			t.Fatal(err)
		}
	})
}

func typed(tb testing.TB, err error) {
	tb.Helper()
	var e *report.Error
	require.ErrorAs(tb, err, &e)
	require.False(tb, errors.As(e.Err, new(*report.Error)), "wrapped twice: %v", err)
}

// replaceValues yields the sample with one value after the other, at most 300 of them, replaced.
func replaceValues(good []byte, other string) func(func(string) bool) {
	return func(yield func(string) bool) {
		dec := json.NewDecoder(bytes.NewReader(good))
		for range 300 {
			before := dec.InputOffset()
			if _, err := dec.Token(); err != nil {
				return
			}
			at := int(before) + len(good[before:]) - len(bytes.TrimLeft(good[before:], " \n\r\t:,"))
			if at >= len(good) {
				return
			}
			var v json.RawMessage
			rest := json.NewDecoder(bytes.NewReader(good[at:]))
			if rest.Decode(&v) != nil {
				continue
			}
			in := string(good[:at]) + other + string(good[at+int(rest.InputOffset()):])
			if json.Valid([]byte(in)) && !yield(in) {
				return
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
