package gitobj

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // what git packs end with
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// maxObjects bounds the number of objects of one pack.
const maxObjects = 20_000_000

// take counts bytes against the cap.
func (s *Store) take(n int64) error {
	if s.left -= n; n < 0 || s.left < 0 {
		return fmt.Errorf("%w: the objects are larger than the cap of %d bytes", ErrTooLarge, s.limit)
	}
	return nil
}

// delta is an object that is written as the difference to another.
type delta struct {
	at, baseAt int64
	base       plumbing.Hash
	data       []byte
}

// Unpack reads a pack and adds its objects. Sizes are counted before anything is inflated. The sum at the end is
// not looked at: every object is known by its own hash.
func (s *Store) Unpack(r io.Reader) error {
	limited := &io.LimitedReader{R: r, N: s.limit + 1}
	scanner := packfile.NewScanner(limited)
	_, count, err := scanner.Header()
	if err != nil {
		if errors.Is(err, packfile.ErrEmptyPackfile) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if count > maxObjects {
		return fmt.Errorf("%w: a pack of %d objects; the cap is %d", ErrTooLarge, count, maxObjects)
	}
	at := map[int64]plumbing.Hash{}
	var deltas []delta
	var buf bytes.Buffer
	for range count {
		h, err := scanner.NextObjectHeader()
		if err != nil {
			return err
		}
		if err := s.take(h.Length); err != nil {
			return err
		}
		buf.Reset()
		if _, _, err := scanner.NextObject(&buf); err != nil {
			return err
		}
		data := bytes.Clone(buf.Bytes())
		switch {
		case h.Type.IsDelta():
			deltas = append(deltas, delta{h.Offset, h.OffsetReference, h.Reference, data})
		case h.Type == plumbing.CommitObject, h.Type == plumbing.TreeObject, h.Type == plumbing.BlobObject, h.Type == plumbing.TagObject:
			at[h.Offset] = s.Add(h.Type, data)
		default:
			return fmt.Errorf("an object of unknown type %d", h.Type)
		}
	}
	if limited.N <= 0 {
		return s.take(s.limit + 1)
	}
	return s.resolve(deltas, at)
}

// resolve applies deltas until none is left. A base may be a delta itself, stand behind it, or be known from
// before.
func (s *Store) resolve(deltas []delta, at map[int64]plumbing.Hash) error {
	for len(deltas) > 0 {
		var later []delta
		for _, d := range deltas {
			if d.base.IsZero() {
				d.base = at[d.baseAt]
			}
			base, known := s.Get(d.base)
			if !known {
				later = append(later, d)
				continue
			}
			if err := s.take(resultSize(d.data)); err != nil {
				return err
			}
			data, err := packfile.PatchDelta(base.Data, d.data)
			if err != nil {
				return fmt.Errorf("a delta: %w", err)
			}
			at[d.at] = s.Add(base.Type, data)
		}
		if len(later) == len(deltas) {
			return fmt.Errorf("%d deltas: their base is %w", len(later), ErrMissing)
		}
		deltas = later
	}
	return nil
}

// resultSize reads the size of the result a delta promises; -1 if it has none.
func resultSize(d []byte) int64 {
	_, n := binary.Uvarint(d)
	if n <= 0 {
		return -1
	}
	size, n := binary.Uvarint(d[n:])
	if n <= 0 || size > 1<<40 {
		return -1
	}
	return int64(size)
}

// Pack writes these objects as a pack, each as it is, without deltas.
func (s *Store) Pack(w io.Writer, hashes []plumbing.Hash) error {
	sum := sha1.New() //nolint:gosec // see above
	out := io.MultiWriter(w, sum)
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(hashes)))
	if _, err := out.Write(head); err != nil {
		return err
	}
	var b bytes.Buffer
	z, _ := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	for _, h := range hashes {
		o, ok := s.Get(h)
		if !ok {
			return fmt.Errorf("%s: %w", h, ErrMissing)
		}
		b.Reset()
		// Four bits of the size stand beside the type, the rest follows in groups of seven.
		size := uint64(len(o.Data))
		first := byte(o.Type)<<4 | byte(size&0x0f)
		if size >>= 4; size > 0 {
			b.WriteByte(first | 0x80)
			b.Write(binary.AppendUvarint(nil, size))
		} else {
			b.WriteByte(first)
		}
		z.Reset(&b)
		_, err := z.Write(o.Data)
		if err = errors.Join(err, z.Close()); err != nil {
			return err
		}
		if _, err := out.Write(b.Bytes()); err != nil {
			return err
		}
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}
