package report

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"slices"
)

// Dedupe returns a source in which findings that are the same stand once: those of equal [Identity], in runs
// of the same category, whichever tool said them. The first stays, and its SaidBy lists everybody who said
// it. So that joining never hides anything, it gets the worst severity of them all, and counts as suppressed
// only if all of them are. Absent findings are left alone.
//
// It reads s once, and keeps 16 bytes for each finding. The error is that of s.
func Dedupe(ctx context.Context, s Source) (Source, error) {
	d := &deduped{source: s, said: map[uint64][]SaidBy{}}
	runs := s.Head().Runs
	var seq uint32
	for i := range runs {
		d.starts = append(d.starts, seq)
		for f, err := range ofRun(ctx, s, i, needIdentity) {
			if err != nil {
				return nil, err
			}
			seq++
			if f.State == StateAbsent {
				continue
			}
			who := saidHash(f.Tool, f.Rule)
			key := matchKey(runs[i].Category, f.Identity)
			e := d.table.at(key)
			if e.n == 0 {
				e.n, e.m = who|dedupeSeen|uint32(f.Severity)<<1, seq
				if f.Suppressed != nil {
					e.n |= dedupeSuppressed
				}
				continue
			}
			if f.Suppressed == nil {
				e.n &^= dedupeSuppressed
			}
			e.n = e.n&^(7<<1) | uint32(max(f.Severity, Severity(e.n>>1&7)))<<1
			if e.n&dedupeWho != who {
				d.add(key, SaidBy{f.Tool, f.Rule})
			}
		}
	}
	return d, nil
}

// The bits of a slot's n: a digest of who said it first, the worst severity, and two flags.
const (
	dedupeSeen       = 1
	dedupeSuppressed = 1 << 4
	dedupeWho        = ^uint32(0xff)
)

type deduped struct {
	source Source
	table  table
	starts []uint32 // the number of findings before each run
	said   map[uint64][]SaidBy
}

func (d *deduped) add(key uint64, by SaidBy) {
	if !slices.Contains(d.said[key], by) {
		d.said[key] = append(d.said[key], by)
	}
}

func (d *deduped) Head() Head { return d.source.Head() }

func (d *deduped) All(ctx context.Context) iter.Seq2[Finding, error] {
	return allRuns(ctx, d, len(d.starts), needAll)
}

func (d *deduped) ofRun(ctx context.Context, i int, need needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		seq := d.starts[i]
		category := d.Head().Runs[i].Category
		for f, err := range ofRun(ctx, d.source, i, need|needIdentity) {
			seq++
			if err == nil && f.State != StateAbsent {
				key := matchKey(category, f.Identity)
				e := d.table.get(key)
				if e == nil || e.m != seq {
					continue
				}
				d.finish(&f, key, e)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// finish gives the finding that stays what the others said.
func (d *deduped) finish(f *Finding, key uint64, e *slot) {
	if worst := Severity(e.n >> 1 & 7); worst > f.Severity {
		f.Severity, f.SeverityFrom = worst, "dedupe"
		f.Level = max(f.Level, worst.Level())
	}
	if e.n&dedupeSuppressed == 0 {
		f.Suppressed = nil
	}
	if others := d.said[key]; len(others) > 0 {
		f.SaidBy = append([]SaidBy{{f.Tool, f.Rule}}, others...)
	}
}

// matchKey is a digest of what makes findings of two runs the same.
func matchKey(category string, id Identity) uint64 {
	var buf [128]byte
	b := append(append(buf[:0], category...), 0)
	sum := sha256.Sum256(append(b, id...))
	return binary.LittleEndian.Uint64(sum[:])
}

func saidHash(tool, rule string) uint32 {
	h := uint32(2166136261)
	for _, s := range []string{tool, "\x00", rule} {
		for i := range len(s) {
			h = (h ^ uint32(s[i])) * 16777619
		}
	}
	return h & dedupeWho
}
