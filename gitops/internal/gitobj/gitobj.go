// Package gitobj holds git objects in memory: it reads and writes packs, and changes files in trees. The
// client and the fake server both stand on it.
package gitobj

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// ErrTooLarge is in the chain of the error when a cap was reached.
var ErrTooLarge = errors.New("too large")

// ErrMissing is in the chain of the error when an object is not there.
var ErrMissing = errors.New("missing")

// Object is a git object as bytes.
type Object struct {
	Type plumbing.ObjectType
	Data []byte
}

// Store holds objects by their hash. It is not safe for concurrent use.
type Store struct {
	objects map[plumbing.Hash]Object
	base    *Store // looked into for what is not in objects; never written
	left    int64  // bytes that may still come in packs
	limit   int64
}

// New returns an empty store that takes packs of at most limit bytes in all, inflated.
func New(limit int64) *Store {
	return &Store{objects: map[plumbing.Hash]Object{}, left: limit, limit: limit}
}

// Over returns an empty store that reads through to base and leaves it alone.
func Over(base *Store, limit int64) *Store {
	s := New(limit)
	s.base = base
	return s
}

// Size returns the bytes of the objects of this store itself.
func (s *Store) Size() int64 {
	var n int64
	for _, o := range s.objects {
		n += int64(len(o.Data))
	}
	return n
}

// Merge takes over what another store holds of its own.
func (s *Store) Merge(other *Store) { maps.Copy(s.objects, other.objects) }

// Copy takes over one object, if other has it.
func (s *Store) Copy(other *Store, h plumbing.Hash) {
	if o, ok := other.Get(h); ok {
		s.objects[h] = o
	}
}

// Get returns an object.
func (s *Store) Get(h plumbing.Hash) (Object, bool) {
	o, ok := s.objects[h]
	if !ok && s.base != nil {
		return s.base.Get(h)
	}
	return o, ok
}

// Has reports whether the object is there.
func (s *Store) Has(h plumbing.Hash) bool {
	_, ok := s.Get(h)
	return ok
}

// Hashes returns the objects of this store itself, in order.
func (s *Store) Hashes() []plumbing.Hash {
	return slices.SortedFunc(maps.Keys(s.objects), func(a, b plumbing.Hash) int { return slices.Compare(a[:], b[:]) })
}

// Add keeps an object and returns its hash.
func (s *Store) Add(t plumbing.ObjectType, data []byte) plumbing.Hash {
	h := plumbing.ComputeHash(t, data)
	if !s.Has(h) {
		s.objects[h] = Object{t, data}
	}
	return h
}

// get returns an object of one type, as go-git's decoders want it.
func (s *Store) get(t plumbing.ObjectType, h plumbing.Hash) (*plumbing.MemoryObject, error) {
	o, ok := s.Get(h)
	if !ok {
		return nil, fmt.Errorf("%s %s: %w", t, h, ErrMissing)
	}
	if o.Type != t {
		return nil, fmt.Errorf("%s is a %s, not a %s", h, o.Type, t)
	}
	return o.memory(), nil
}

func (o Object) memory() *plumbing.MemoryObject {
	m := &plumbing.MemoryObject{}
	m.SetType(o.Type)
	_, _ = m.Write(o.Data) // cannot fail in memory
	return m
}

// Commit decodes a commit.
func (s *Store) Commit(h plumbing.Hash) (*object.Commit, error) {
	m, err := s.get(plumbing.CommitObject, h)
	if err != nil {
		return nil, err
	}
	c := &object.Commit{}
	if err := c.Decode(m); err != nil {
		return nil, fmt.Errorf("commit %s: %w", h, err)
	}
	return c, nil
}

// Tree decodes a tree.
func (s *Store) Tree(h plumbing.Hash) (*object.Tree, error) {
	m, err := s.get(plumbing.TreeObject, h)
	if err != nil {
		return nil, err
	}
	t := &object.Tree{}
	if err := t.Decode(m); err != nil {
		return nil, fmt.Errorf("tree %s: %w", h, err)
	}
	return t, nil
}

// Blob returns the content of a blob.
func (s *Store) Blob(h plumbing.Hash) ([]byte, error) {
	o, ok := s.Get(h)
	if !ok || o.Type != plumbing.BlobObject {
		return nil, fmt.Errorf("blob %s: %w", h, ErrMissing)
	}
	return o.Data, nil
}

// Encode returns the bytes of what go-git can encode: commits and trees.
func Encode(encode func(plumbing.EncodedObject) error) ([]byte, error) {
	m := &plumbing.MemoryObject{}
	if err := encode(m); err != nil {
		return nil, err
	}
	r, err := m.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Update writes files into a tree, adds the blobs and trees that are new, and returns the new root. A zero
// root is the empty tree. A file that stands there keeps its mode; nil content removes it. Directories come
// and go with their files.
func (s *Store) Update(root plumbing.Hash, files map[string][]byte) (plumbing.Hash, error) {
	here := map[string][]byte{}             // entries of this directory
	below := map[string]map[string][]byte{} // files by directory
	for name, data := range files {
		dir, rest, deeper := strings.Cut(name, "/")
		if !deeper {
			here[name] = data
			continue
		}
		if below[dir] == nil {
			below[dir] = map[string][]byte{}
		}
		below[dir][rest] = data
	}
	t := &object.Tree{}
	if !root.IsZero() {
		var err error
		if t, err = s.Tree(root); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	entries := map[string]object.TreeEntry{}
	for _, e := range t.Entries {
		entries[e.Name] = e
	}
	for name, data := range here {
		e, found := entries[name]
		if !found {
			e = object.TreeEntry{Name: name, Mode: filemode.Regular}
		}
		if data == nil {
			delete(entries, name)
			continue
		}
		e.Hash = s.Add(plumbing.BlobObject, data)
		entries[name] = e
	}
	for dir, inside := range below {
		sub, err := s.Update(entries[dir].Hash, inside)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if sub == emptyTree {
			delete(entries, dir)
			continue
		}
		entries[dir] = object.TreeEntry{Name: dir, Mode: filemode.Dir, Hash: sub}
	}
	t = &object.Tree{Entries: slices.SortedFunc(maps.Values(entries), func(a, b object.TreeEntry) int {
		return strings.Compare(sortName(a), sortName(b))
	})}
	data, err := Encode(t.Encode)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return s.Add(plumbing.TreeObject, data), nil
}

var emptyTree = plumbing.ComputeHash(plumbing.TreeObject, nil)

// sortName is what git sorts by: a directory as if it ended in a slash.
func sortName(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}
