package image

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gzipped compresses content, given in pieces of a size.
func gzipped(tb testing.TB, content []byte, piece int) []byte {
	tb.Helper()
	var out bytes.Buffer
	z := newGzipWriter(&out)
	for rest := content; len(rest) > 0; {
		n := min(piece, len(rest))
		_, err := z.Write(rest[:n])
		require.NoError(tb, err)
		rest = rest[n:]
	}
	require.NoError(tb, z.Close())
	return out.Bytes()
}

func TestGzipWriter(t *testing.T) {
	random := make([]byte, 3*gzipBlock+17)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	text := []byte(strings.Repeat("the way from commit to cluster ", 100_000))
	for name, content := range map[string][]byte{
		"nothing": nil, "one byte": {1}, "one block": text[:gzipBlock], "one byte more": text[:gzipBlock+1],
		"text": text, "random": random, "both": append(append(append([]byte{}, text...), random...), text...),
	} {
		t.Run(name, func(t *testing.T) {
			out := gzipped(t, content, 1000)
			// The standard library reads it as one member.
			z, err := gzip.NewReader(bytes.NewReader(out))
			require.NoError(t, err)
			z.Multistream(false)
			back, err := io.ReadAll(z)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(content, back))

			old := runtime.GOMAXPROCS(1)
			defer runtime.GOMAXPROCS(old)
			assert.True(t, bytes.Equal(out, gzipped(t, content, 1<<20)), "neither cores nor the size of writes show")
			assert.LessOrEqual(t, len(out), len(content)+len(content)/1000+64, "what does not compress does not grow")
		})
	}
}

type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errDiskFull
	}
	return len(p), nil
}

var errDiskFull = errors.New("disk full")

func TestGzipWriter_failing(t *testing.T) {
	content := make([]byte, 20*gzipBlock)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	for _, left := range []int{0, 5, gzipBlock, 20 * gzipBlock} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			z := newGzipWriter(&brokenWriter{left})
			_, err := z.Write(content)
			require.NoError(t, err, "the error comes with Close")
			require.ErrorIs(t, z.Close(), errDiskFull)
		})
	}
}
