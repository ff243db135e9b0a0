package report

import (
	"context"
	"iter"
	"slices"
	"strings"
)

// CompareOptions changes how Compare compares.
type CompareOptions struct {
	// DropAbsent leaves out what is gone instead of yielding it as absent.
	DropAbsent bool
}

// Compare returns now with the State of each finding against before, followed by what only before has, as
// absent. Findings are the same when their identities are (with or without the source text, whichever both
// have), in runs of the same category. What is the same is unchanged, wherever its lines have moved, unless
// its severity, message, weakness, or the version or fix of its package changed: then it is updated. Numbers
// in a message do not count. Open before with Options.Stale when both are given the sources.
//
// Findings that the input itself marks as absent stay absent in now, and are not there in before. A run that
// only before has is added with StatusAbsent. It reads both once, and keeps 16 to 32 bytes for each finding
// of before. The error is that of a source. o may be nil.
func Compare(ctx context.Context, now, before Source, o *CompareOptions) (Source, error) {
	c := &compared{now: now, before: before, head: now.Head()}
	c.head.Runs = slices.Clone(c.head.Runs)
	c.drop = o != nil && o.DropAbsent
	c.mapRuns()
	old := before.Head().Runs
	for i := range old {
		for f, err := range ofRun(ctx, before, i, needIdentity) {
			if err != nil {
				return nil, err
			}
			if f.State == StateAbsent {
				continue
			}
			c.addBefore(matchKeys(old[i].Category, &f), contentHash(&f)|1)
		}
	}
	for i, run := range now.Head().Runs {
		for f, err := range ofRun(ctx, now, i, needIdentity) {
			if err != nil {
				return nil, err
			}
			if e := c.find(run.Category, &f); e != nil && f.State != StateAbsent {
				e.m = 1
			}
		}
	}
	c.gone = slices.ContainsFunc(c.table.slots, func(e slot) bool { return e.n != 0 && e.m == 0 })
	return c, nil
}

// compared yields the findings of now with their states, then the absent ones. In the table n is the content
// of the finding before and m says that now has it too. A package is there in several versions at times, under
// one identity: their contents beyond the first are in the table too, each under a key of its own.
type compared struct {
	now, before Source
	head        Head
	runs        []int // the run here of each run of before
	table       table
	drop        bool
	gone        bool // before may have what now has not; else it need not be read again
}

func (c *compared) addBefore(keys []uint64, content uint32) {
	for _, key := range keys {
		e := c.table.at(key)
		if e.n != 0 && e.n != content {
			e = c.table.at(contentKey(key, content))
			e.m = 1 // what is gone is told by the key alone
		}
		e.n = content
	}
}

// contentKey is the key of another content under the same key.
func contentKey(key uint64, content uint32) uint64 { return key ^ uint64(content)*0x9e3779b97f4a7c15 }

// mapRuns finds for each run of before the run of now that it goes with.
func (c *compared) mapRuns() {
	for _, old := range c.before.Head().Runs {
		at := slices.IndexFunc(c.head.Runs, func(r Run) bool {
			return strings.EqualFold(r.Tool, old.Tool) && r.Category == old.Category
		})
		switch {
		case at < 0 && c.drop:
		case at < 0:
			at = len(c.head.Runs)
			old.Status, old.Reason = StatusAbsent, "the tool ran only for the report compared with"
			c.head.Runs = append(c.head.Runs, old)
		case !c.drop:
			// What is absent refers to rules and artifacts of its own run.
			run := &c.head.Runs[at]
			run.old = slices.Concat(run.old, old.sarif)
			run.Rules = joinRules(run.Rules, old.Rules)
		}
		c.runs = append(c.runs, at)
	}
}

func (c *compared) Head() Head { return c.head }

func (c *compared) All(ctx context.Context) iter.Seq2[Finding, error] {
	return allRuns(ctx, c, len(c.head.Runs), needAll)
}

func (c *compared) ofRun(ctx context.Context, i int, need needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		if i < len(c.now.Head().Runs) {
			for f, err := range ofRun(ctx, c.now, i, need|needIdentity) {
				if err == nil && f.State != StateAbsent {
					f.State = c.state(c.head.Runs[i].Category, &f)
				}
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
		if c.drop || !c.gone {
			return
		}
		for old, at := range c.runs {
			if at != i {
				continue
			}
			category := c.head.Runs[i].Category
			for f, err := range ofRun(ctx, c.before, old, need|needIdentity) {
				if err == nil {
					if f.State == StateAbsent || c.matched(category, &f) {
						continue
					}
					f.Run, f.Tool, f.State = i, c.head.Runs[i].Tool, StateAbsent
				}
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

func (c *compared) find(category string, f *Finding) *slot {
	for _, key := range matchKeys(category, f) {
		if e := c.table.get(key); e != nil {
			return e
		}
	}
	return nil
}

func (c *compared) state(category string, f *Finding) BaselineState {
	e := c.find(category, f)
	content := contentHash(f) | 1
	switch {
	case e == nil:
		return StateNew
	case e.n == content, c.table.get(contentKey(e.key, content)) != nil:
		return StateUnchanged
	}
	return StateUpdated
}

// matched says whether now has a finding of before.
func (c *compared) matched(category string, f *Finding) bool {
	for _, key := range matchKeys(category, f) {
		if e := c.table.get(key); e != nil && e.m != 0 {
			return true
		}
	}
	return false
}

// matchKeys returns the keys by which a finding is looked for.
func matchKeys(category string, f *Finding) []uint64 {
	keys := make([]uint64, 1, 2)
	keys[0] = matchKey(category, f.Identity)
	if f.plain != "" && f.plain != f.Identity {
		keys = append(keys, matchKey(category, f.plain))
	}
	return keys
}

// contentHash is a digest of what makes a finding updated when it changes.
func contentHash(f *Finding) uint32 {
	var buf [512]byte
	b := append(buf[:0], byte(f.Severity), byte(f.Level))
	if f.messageID != "" {
		b = append(b, f.messageID...)
	} else {
		b = appendTemplate(b, f.Message)
	}
	cwes := f.CWE
	if !slices.IsSorted(cwes) { // their order says nothing, and differs from format to format
		cwes = slices.Sorted(slices.Values(cwes))
	}
	for _, cwe := range cwes {
		b = append(append(b, 0), cwe...)
	}
	if p := f.Package; p != nil {
		b = append(append(b, 1), p.Installed...)
		b = append(append(b, 1), p.Fixed...)
	}
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}
