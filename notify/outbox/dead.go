package outbox

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/waybill-dev/waybill/notify"
)

// Letter is a dead letter: a message that was given up for one target.
type Letter struct {
	ID      uint64
	Target  string
	Message notify.Message
	Only    []string // the recipients that did not get it; empty: nobody did
	Reason  string
	Rounds  int
	Created time.Time
}

// Dead returns the dead letters, oldest first.
func (b *Outbox) Dead() ([]Letter, error) {
	var letters []Letter
	err := b.view("read", func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketDead).ForEach(func(_, raw []byte) error {
			var e entry
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			l := Letter{e.Seq, e.Target, e.Message, e.Only, e.Error, e.Rounds, e.Created}
			for _, r := range e.Refused {
				l.Only = append(l.Only, r.Address)
				l.Reason += "; " + r.Reason
			}
			letters = append(letters, l)
			return nil
		})
	})
	return letters, err
}

// Revive puts a dead letter back into the queue, under the same idempotency key, for those who did not get it.
func (b *Outbox) Revive(id uint64) error {
	var target string
	err := b.update("revive in", func(tx *bbolt.Tx) error {
		k := binary.BigEndian.AppendUint64(nil, id)
		raw := tx.Bucket(bucketDead).Get(k)
		if raw == nil {
			return b.fail("revive in", notify.ErrInvalid, fmt.Errorf("there is no dead letter %d", id))
		}
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		for _, r := range e.Refused {
			e.Only = append(e.Only, r.Address)
		}
		now := time.Now()
		target = e.Target
		e.Refused, e.Rounds, e.Error, e.Created, e.Due, e.Written = nil, 0, "", now, now, now
		if err := tx.Bucket(bucketDead).Delete(k); err != nil {
			return err
		}
		if err := remember(tx, &e, key{State: stateQueued, At: now}); err != nil {
			return err
		}
		return put(tx, &e)
	})
	if err == nil {
		b.lane(target).knock()
	}
	return err
}

// Discard removes a dead letter for good. Its key stays known: the same message is not taken again.
func (b *Outbox) Discard(id uint64) error {
	return b.update("discard from", func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketDead).Delete(binary.BigEndian.AppendUint64(nil, id))
	})
}

// Stats counts what the outbox holds.
type Stats struct {
	Queued int // messages that wait, counted per target
	Dead   int // dead letters
	Sent   int // messages that were delivered and are remembered
}

// Stats counts. Everything that was ever taken is one of the three, until what was sent is forgotten and dead
// letters are discarded.
func (b *Outbox) Stats() (Stats, error) {
	var s Stats
	err := b.view("count", func(tx *bbolt.Tx) (err error) {
		if s.Queued, err = counter(tx, 0); err != nil {
			return err
		}
		s.Dead = tx.Bucket(bucketDead).Stats().KeyN
		return tx.Bucket(bucketKeys).ForEach(func(_, raw []byte) error {
			var k key
			if err := json.Unmarshal(raw, &k); err != nil {
				return err
			}
			if k.State == stateSent {
				s.Sent++
			}
			return nil
		})
	})
	return s, err
}
