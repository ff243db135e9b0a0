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
// it. So that joining never hides anything from a policy, it gets the worst severity of them all, the fix, the
// weaknesses and the aliases that the others know, is new if any of them is, and is suppressed only if all of
// them are. Absent findings and those of kind pass, notApplicable and informational are left alone.
//
// It reads s once, and keeps 16 bytes for each finding. The error is that of s.
func Dedupe(ctx context.Context, s Source) (Source, error) {
	d := &deduped{source: s, more: map[uint64]*more{}}
	runs := s.Head().Runs
	var seq uint32
	for i := range runs {
		d.starts = append(d.starts, seq)
		for f, err := range ofRun(ctx, s, i, needIdentity) {
			if err != nil {
				return nil, err
			}
			seq++
			if spared(&f) == "" || f.Suppressed != nil && f.State != StateAbsent {
				d.add(matchKey(runs[i].Category, f.Identity), seq, &f)
			}
		}
	}
	return d, nil
}

// deduped yields the first finding of each key. In the table m is its number, and n holds a digest of who
// said it and what is worst about all of them:
//
//	bit 0 set · 1-3 severity · 4 all are suppressed · 5-6 state · 7 a fix is known · 8-31 who said it first
type deduped struct {
	source Source
	table  table
	starts []uint32 // the number of findings before each run
	more   map[uint64]*more
}

// more is what others than the first know.
type more struct {
	said         []SaidBy
	fixed        string
	cwe, aliases []string
}

const (
	dedupeSuppressed = 1 << 4
	dedupeFixed      = 1 << 7
	dedupeWho        = ^uint32(0xff)
)

// dedupeStates are the states from harmless to new. A finding that was not compared, or is in a state that
// nobody knows, may be new.
var dedupeStates = []BaselineState{StateUnchanged, StateUpdated, "", StateNew}

func packDedupe(f *Finding) uint32 {
	state := slices.Index(dedupeStates, f.State)
	if state < 0 {
		state = slices.Index(dedupeStates, "")
	}
	n := 1 | uint32(f.Severity)<<1 | uint32(state)<<5 | saidHash(f.Tool, f.Rule)
	if f.Suppressed != nil {
		n |= dedupeSuppressed
	}
	if f.Package != nil && f.Package.Fixed != "" {
		n |= dedupeFixed
	}
	return n
}

func (d *deduped) add(key uint64, seq uint32, f *Finding) {
	n := packDedupe(f)
	e := d.table.at(key)
	if e.n == 0 {
		e.n, e.m = n, seq
		return
	}
	first := e.n
	worst := func(mask uint32) uint32 { return max(first&mask, n&mask) }
	e.n = first&dedupeWho | 1 | worst(7<<1) | worst(3<<5) | first&n&dedupeSuppressed | (first|n)&dedupeFixed
	same, fixed := first&dedupeWho == n&dedupeWho, first&dedupeFixed == 0 && n&dedupeFixed != 0
	if same && !fixed {
		return
	}
	m := d.more[key]
	if m == nil {
		m = &more{}
		d.more[key] = m
	}
	if fixed {
		m.fixed = f.Package.Fixed
	}
	if same {
		return
	}
	if by := (SaidBy{f.Tool, f.Rule}); !slices.Contains(m.said, by) {
		m.said = append(m.said, by)
	}
	m.cwe = union(m.cwe, f.CWE)
	m.aliases = union(m.aliases, append([]string{f.Rule}, f.Aliases...))
}

// union returns a with what only b has behind it.
func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a[:len(a):len(a)], s)
		}
	}
	return a
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
			if err == nil && (spared(&f) == "" || f.Suppressed != nil && f.State != StateAbsent) {
				key := matchKey(category, f.Identity)
				e := d.table.get(key)
				if e == nil || e.m != seq {
					continue
				}
				d.finish(&f, key, e.n)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// finish gives the finding that stays what the others said.
func (d *deduped) finish(f *Finding, key uint64, n uint32) {
	if worst := Severity(n >> 1 & 7); worst > f.Severity {
		f.Severity, f.SeverityFrom = worst, "dedupe"
		f.Level = max(f.Level, worst.Level())
	}
	if n&dedupeSuppressed == 0 {
		f.Suppressed = nil
	}
	f.State = dedupeStates[n>>5&3]
	m := d.more[key]
	if m == nil {
		return
	}
	if len(m.said) > 0 {
		f.SaidBy = append([]SaidBy{{f.Tool, f.Rule}}, m.said...)
	}
	f.CWE = union(f.CWE, m.cwe)
	if f.Package != nil {
		f.Aliases = union(f.Aliases, slices.DeleteFunc(slices.Clone(m.aliases), func(a string) bool { return a == f.Rule }))
		if f.Package.Fixed == "" && m.fixed != "" {
			p := *f.Package
			p.Fixed = m.fixed
			f.Package = &p
		}
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
