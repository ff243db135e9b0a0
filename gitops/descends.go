package gitops

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
)

// Descends reports whether rev is ancestor or has it in its history: whether what was deployed with rev
// contains ancestor. Both are full hashes. A rev that the server does not have, or does not hand out because no
// branch leads to it, is [ErrNotFound]; an ancestor that nobody has is in no history, so the answer is false.
func (r *Repo) Descends(ctx context.Context, ancestor, rev string) (bool, error) {
	for name, h := range map[string]string{"ancestor": ancestor, "rev": rev} {
		if !plumbing.IsHash(h) {
			return false, r.wrap("descends", faultf(ErrOptions, "%s: %q is no full hash", name, h))
		}
	}
	if ancestor == rev {
		return true, nil
	}
	c, err := r.connect(ctx)
	if err != nil {
		return false, r.wrap("descends", err)
	}
	defer c.transport.close()
	found, err := c.descends(ctx, plumbing.NewHash(ancestor), plumbing.NewHash(rev), r.o.MaxBytes)
	if err != nil {
		return false, r.wrap("descends", err)
	}
	return found, nil
}

// descends fetches history, first little and then all of it, and looks for the ancestor. A server that hands
// out only what it advertises is asked for the branch instead of the revision.
func (c *client) descends(ctx context.Context, ancestor, rev plumbing.Hash, limit int64) (bool, error) {
	from := rev
	for _, depth := range []int{50, 2000, 0} {
		objs, err := c.history(ctx, from, depth, limit)
		if errors.Is(err, ErrProtocol) && c.advert.found && from != c.advert.hash {
			from = c.advert.hash
			objs, err = c.history(ctx, from, depth, limit)
		}
		if errors.Is(err, ErrProtocol) {
			return false, &fault{ErrNotFound, fmt.Errorf("revision %s: %w", rev, err)}
		}
		if err != nil {
			return false, err
		}
		if !objs.Has(rev) {
			continue
		}
		found, complete, err := reaches(objs, rev, ancestor)
		if err != nil || found || complete {
			return found, err
		}
	}
	return false, faultf(ErrNotFound, "revision %s: neither the server hands it out nor does %s lead to it", rev, c.advert.branch)
}

// history fetches commits, with as little else as the server can do.
func (c *client) history(ctx context.Context, from plumbing.Hash, depth int, limit int64) (objs *gitobj.Store, err error) {
	filters := []string{""}
	if _, ok := c.advert.capabilities["filter"]; ok {
		filters = []string{"tree:0", "blob:none", ""}
	}
	for _, filter := range filters {
		objs = gitobj.New(limit)
		if err = c.fetch(ctx, wanted{hashes: []plumbing.Hash{from}, depth: depth, filter: filter}, objs); !errors.Is(err, ErrProtocol) {
			break
		}
	}
	return objs, err
}

// reaches walks from rev to its parents. complete means that no parent was missing.
func reaches(objs *gitobj.Store, rev, ancestor plumbing.Hash) (found, complete bool, err error) {
	complete = true
	seen := map[plumbing.Hash]bool{rev: true}
	for todo := []plumbing.Hash{rev}; len(todo) > 0; {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if h == ancestor {
			return true, complete, nil
		}
		if !objs.Has(h) {
			complete = false
			continue
		}
		c, err := objs.Commit(h)
		if err != nil {
			return false, false, &fault{ErrProtocol, err}
		}
		for _, p := range c.ParentHashes {
			if !seen[p] {
				seen[p] = true
				todo = append(todo, p)
			}
		}
	}
	return false, complete, nil
}
