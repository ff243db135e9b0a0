package report

// table maps 64-bit digests to two numbers, 16 bytes a piece, so that millions of findings are told apart in
// little memory. Digests are taken to be as good as random; of two million, two are equal once in ten million
// reports. The zero value is an empty table.
type table struct {
	slots []slot
	used  int
}

// slot is an entry; it exists when n is not 0.
type slot struct {
	key  uint64
	n, m uint32
}

// at returns the slot of a key. When its n is 0 the key is new, and the caller sets n before the next call.
func (t *table) at(key uint64) *slot {
	if t.used*4 >= len(t.slots)*3 {
		old := t.slots
		t.slots = make([]slot, max(64, 2*len(old)))
		t.used = 0
		for _, s := range old {
			if s.n != 0 {
				*t.free(s.key) = s
				t.used++
			}
		}
	}
	s := t.free(key)
	if s.n == 0 {
		t.used++
		s.key = key
	}
	return s
}

// get returns the slot of a key, nil when there is none. It changes nothing.
func (t *table) get(key uint64) *slot {
	if len(t.slots) == 0 {
		return nil
	}
	if s := t.free(key); s.n != 0 {
		return s
	}
	return nil
}

func (t *table) free(key uint64) *slot {
	mask := uint64(len(t.slots) - 1)
	for i := key & mask; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.n == 0 || s.key == key {
			return s
		}
	}
}

// counter counts 64-bit digests in 8 bytes a piece: every finding that is read is in two of them. A count
// keeps 44 bits of its digest, of which two in two million are equal once in ten reports of that size; then one
// of the two is numbered 2. Counts end at a million. The zero value is an empty counter.
type counter struct {
	slots []count
	used  int
}

// count holds the digest's upper bits, and in its lower 20 the number, 0 for no entry.
type count uint64

const countBits = 20

func (c *count) n() uint32 { return uint32(*c & (1<<countBits - 1)) }

func (c *count) set(n uint32) { *c = *c>>countBits<<countBits | count(n) }

func (c *count) add() uint32 {
	n := min(c.n()+1, 1<<countBits-1)
	c.set(n)
	return n
}

// at returns the count of a digest. When it is 0 the caller sets it before the next call.
func (c *counter) at(digest uint64) *count {
	if c.used*4 >= len(c.slots)*3 {
		old := c.slots
		c.slots = make([]count, max(64, 2*len(old)))
		// The lower bits of a digest are gone; those above them say where it goes, see free.
		for _, s := range old {
			if s != 0 {
				*c.free(uint64(s)) = s
			}
		}
	}
	s := c.free(digest)
	if *s == 0 {
		*s = count(digest >> countBits << countBits)
		c.used++
	}
	return s
}

func (c *counter) free(digest uint64) *count {
	mask := uint64(len(c.slots) - 1)
	for i := digest >> countBits & mask; ; i = (i + 1) & mask {
		if s := &c.slots[i]; *s == 0 || uint64(*s)>>countBits == digest>>countBits {
			return s
		}
	}
}
