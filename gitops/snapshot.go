package gitops

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
)

// near is the time to answer, the server's own work included, below which many small requests are quicker than
// one large one. Measured with 1,000 directories: a walk of the trees needs a request for each level and
// 3.5 KB, all trees at once need one request and 310 KB; with 10 ms on the way they take equally long.
const near = 20 * time.Millisecond

// A way is how the objects that are needed are had.
type way int

const (
	walk     way = iota // the commit, then tree after tree by hash, then blobs by hash
	allTrees            // the commit and all trees, then blobs by hash
	all                 // everything in the commit
)

func (w way) String() string { return [...]string{"walk", "all trees", "all"}[w] }

// snapshot is one commit, with the trees and blobs that were needed.
type snapshot struct {
	hash   plumbing.Hash
	commit *object.Commit
	objs   *gitobj.Store
	files  []file // selected, in order of their path

	visited []plumbing.Hash // trees looked into
}

type file struct {
	path string
	hash plumbing.Hash
	mode filemode.FileMode
}

// ways lists the ways to try, the best first. Servers say that they filter, not by what. With trees known from
// before, few are missing, and the walk is short.
func (c *client) ways(g globs, known bool) []way {
	_, filters := c.advert.capabilities["filter"]
	switch {
	case !filters || !c.transport.wantsAny(c.advert.capabilities) || len(g) == 0:
		return []way{all}
	case known || c.transport.rtt() < near && !g.anyDepth():
		return []way{walk, allTrees, all}
	}
	return []way{allTrees, all}
}

// snapshot reads the selected files of a commit. What is in known is not fetched.
func (c *client) snapshot(ctx context.Context, hash plumbing.Hash, g globs, known *gitobj.Store, limit int64) (*snapshot, error) {
	var s *snapshot
	var err error
	for _, w := range c.ways(g, known != nil) {
		s = &snapshot{hash: hash, objs: gitobj.Over(known, limit)}
		if err = c.fill(ctx, s, w, g); !errors.Is(err, ErrProtocol) {
			break
		}
		// The server refused the filter or the hash; it is asked for more instead.
	}
	return s, err
}

func (c *client) fill(ctx context.Context, s *snapshot, w way, g globs) (err error) {
	if w != walk || !s.objs.Has(s.hash) {
		filter := map[way]string{walk: "tree:1", allTrees: "blob:none"}[w]
		if err := c.fetch(ctx, wanted{hashes: []plumbing.Hash{s.hash}, depth: 1, filter: filter}, s.objs); err != nil {
			return err
		}
	}
	if s.commit, err = s.objs.Commit(s.hash); err != nil {
		return &fault{ErrProtocol, err}
	}
	missing, err := s.list(g)
	for ; err == nil && len(missing) > 0 && w == walk; missing, err = s.list(g) {
		if err := c.fetch(ctx, wanted{hashes: missing, filter: "tree:0"}, s.objs); err != nil {
			return err
		}
		if !slices.ContainsFunc(missing, s.objs.Has) {
			break // asking again would bring no more
		}
	}
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		return faultf(ErrProtocol, "%d trees did not come", len(missing))
	}
	var blobs []plumbing.Hash
	for _, f := range s.files {
		if !s.objs.Has(f.hash) {
			blobs = append(blobs, f.hash)
		}
	}
	if len(blobs) > 0 {
		slices.SortFunc(blobs, func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
		if err := c.fetch(ctx, wanted{hashes: slices.Compact(blobs)}, s.objs); err != nil {
			return err
		}
	}
	for _, h := range blobs {
		if _, err := s.objs.Blob(h); err != nil {
			return &fault{ErrProtocol, err}
		}
	}
	return nil
}

// maxKnown bounds what a Repo remembers from one bump to the next.
const maxKnown = 4 << 20

// remember returns what the next snapshot will most likely need again: the trees that were looked into, the
// selected blobs, and what was made.
func (s *snapshot) remember(made *gitobj.Store) *gitobj.Store {
	known := gitobj.New(0)
	for _, h := range s.visited {
		known.Copy(s.objs, h)
	}
	for _, f := range s.files {
		known.Copy(s.objs, f.hash)
	}
	if made != nil {
		known.Merge(made)
	}
	if known.Size() > maxKnown {
		return nil
	}
	return known
}

// maxEntries bounds the entries of all trees looked into. A few trees that hold each other many times over can
// stand for more files than there is memory.
const maxEntries = 5_000_000

// list collects the selected files and returns the trees that are missing for that.
func (s *snapshot) list(g globs) (missing []plumbing.Hash, err error) {
	s.files, s.visited = nil, nil
	seen := map[plumbing.Hash]bool{}
	entries := 0
	var visit func(h plumbing.Hash, dir string) error
	visit = func(h plumbing.Hash, dir string) error {
		if !s.objs.Has(h) {
			if !seen[h] {
				seen[h] = true
				missing = append(missing, h)
			}
			return nil
		}
		if strings.Count(dir, "/") > 1000 {
			return faultf(ErrTooLarge, "directories more than 1000 deep")
		}
		t, err := s.objs.Tree(h)
		if err != nil {
			return &fault{ErrProtocol, err}
		}
		s.visited = append(s.visited, h)
		if entries += len(t.Entries); entries > maxEntries {
			return faultf(ErrTooLarge, "more than %d files and directories", maxEntries)
		}
		for _, e := range t.Entries {
			name := dir + e.Name
			switch e.Mode {
			case filemode.Dir:
				if g.below(name) {
					if err := visit(e.Hash, name+"/"); err != nil {
						return err
					}
				}
			case filemode.Regular, filemode.Executable, filemode.Deprecated:
				if g.file(name) {
					s.files = append(s.files, file{name, e.Hash, e.Mode})
				}
			default: // symbolic links and submodules hold no manifest
			}
		}
		return nil
	}
	return missing, visit(s.commit.TreeHash, "")
}
