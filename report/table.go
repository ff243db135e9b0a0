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
