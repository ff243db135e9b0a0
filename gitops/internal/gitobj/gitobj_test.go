package gitobj_test

import (
	"bytes"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
)

func tree(tb testing.TB, s *gitobj.Store, root plumbing.Hash, files map[string][]byte) plumbing.Hash {
	tb.Helper()
	h, err := s.Update(root, files)
	require.NoError(tb, err)
	return h
}

func TestUpdate(t *testing.T) {
	s := gitobj.New(0)
	one := tree(t, s, plumbing.ZeroHash, map[string][]byte{"a.txt": []byte("1"), "a/b": []byte("2"), "a-b": []byte("3")})
	two := tree(t, s, one, map[string][]byte{"a/c/d": []byte("4")})
	assert.NotEqual(t, one, two)
	assert.Equal(t, one, tree(t, s, two, map[string][]byte{"a/c/d": nil}), "a directory goes with its last file")
	// The order git wants: a directory sorts as if it ended in a slash.
	d, err := s.Tree(one)
	require.NoError(t, err)
	names := []string{}
	for _, e := range d.Entries {
		names = append(names, e.Name)
	}
	assert.Equal(t, []string{"a-b", "a.txt", "a"}, names)
	_, err = s.Update(plumbing.NewHash("1234"), nil)
	require.ErrorIs(t, err, gitobj.ErrMissing)
}

func TestPack(t *testing.T) {
	s := gitobj.New(0)
	root := tree(t, s, plumbing.ZeroHash, map[string][]byte{"x/big": bytes.Repeat([]byte("0123456789"), 10_000), "empty": {}})
	var pack bytes.Buffer
	require.NoError(t, s.Pack(&pack, s.Hashes()))

	got := gitobj.New(1 << 20)
	require.NoError(t, got.Unpack(bytes.NewReader(pack.Bytes())))
	assert.Equal(t, s.Hashes(), got.Hashes())
	assert.True(t, got.Has(root))

	small := gitobj.New(50_000)
	require.ErrorIs(t, small.Unpack(bytes.NewReader(pack.Bytes())), gitobj.ErrTooLarge, "inflated it is larger")
	for n := range pack.Len() - 20 {
		require.Error(t, gitobj.New(1<<20).Unpack(bytes.NewReader(pack.Bytes()[:n])), "cut at %d", n)
	}
	require.ErrorIs(t, s.Pack(&pack, []plumbing.Hash{plumbing.NewHash("1234")}), gitobj.ErrMissing)
}

func FuzzUnpack(f *testing.F) {
	s := gitobj.New(0)
	_, err := s.Update(plumbing.ZeroHash, map[string][]byte{"a/b": []byte("content"), "c": bytes.Repeat([]byte("x"), 300)})
	require.NoError(f, err)
	var pack bytes.Buffer
	require.NoError(f, s.Pack(&pack, s.Hashes()))
	f.Add(pack.Bytes())
	f.Add([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got := gitobj.New(1 << 20)
		if got.Unpack(bytes.NewReader(in)) != nil {
			return
		}
		for _, h := range got.Hashes() {
			o, _ := got.Get(h)
			if plumbing.ComputeHash(o.Type, o.Data) != h {
				t.Fatal("an object under a wrong hash")
			}
			_, _ = got.Tree(h)
			_, _ = got.Commit(h)
		}
	})
}
