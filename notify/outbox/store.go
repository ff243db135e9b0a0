package outbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/waybill-dev/waybill/notify"
)

// The file has four buckets:
//
//	queue/<target>/<due, seq>  an entry, so that the first key of a target is what is due next
//	dead/<seq>                 an entry that was given up, with the reason
//	keys/<target NUL key>      what became of a message: the memory that makes a second one a repetition
//	meta/version               of this layout
var (
	bucketQueue = []byte("queue")
	bucketDead  = []byte("dead")
	bucketKeys  = []byte("keys")
	bucketMeta  = []byte("meta")
)

const version = "1"

// entry is a message on its way to one target.
type entry struct {
	Seq     uint64         `json:"seq"`
	Target  string         `json:"target"`
	Message notify.Message `json:"message"`
	Only    []string       `json:"only,omitempty"` // the recipients that are left
	Refused []refusal      `json:"refused,omitempty"`
	Rounds  int            `json:"rounds"`
	Created time.Time      `json:"created"`
	Due     time.Time      `json:"due"`
	Written time.Time      `json:"written,omitzero"` // when Due was set
	Error   string         `json:"error,omitempty"`  // of the last round; the reason, once dead
}

type refusal struct {
	Address string `json:"address"`
	Reason  string `json:"reason"`
}

// dueIn returns how long after now the entry is due. A clock that was set back would hold up everything until it
// has caught up, so an entry from the future is due at once.
func (e *entry) dueIn(now time.Time) time.Duration {
	if !e.Written.IsZero() && now.Before(e.Written.Add(-time.Minute)) {
		return 0
	}
	return e.Due.Sub(now)
}

// settle takes down what recipients answered: who is left, and who was refused for good.
func (e *entry) settle(answers []notify.Recipient) {
	if len(answers) == 0 {
		return
	}
	e.Only = nil
	for _, rc := range answers {
		switch {
		case notify.Retryable(rc.Err):
			e.Only = append(e.Only, rc.Address)
		case rc.Err != nil:
			e.Refused = append(e.Refused, refusal{rc.Address, rc.Err.Error()})
		}
	}
}

func (e *entry) position() []byte {
	k := binary.BigEndian.AppendUint64(nil, uint64(max(0, e.Due.UnixNano()))) //nolint:gosec // not negative
	return binary.BigEndian.AppendUint64(k, e.Seq)
}

type state string

const (
	stateQueued state = "queued"
	stateSent   state = "sent"
	stateDead   state = "given up"
)

// key is what is remembered of a message.
type key struct {
	State state     `json:"state"`
	At    time.Time `json:"at"`
	ID    string    `json:"id,omitempty"`
}

func keyOf(target, messageKey string) []byte { return []byte(target + "\x00" + messageKey) }

func known(tx *bbolt.Tx, target, messageKey string) (k key, ok bool) {
	raw := tx.Bucket(bucketKeys).Get(keyOf(target, messageKey))
	if raw == nil {
		return k, false
	}
	if json.Unmarshal(raw, &k) != nil {
		k.State = stateQueued
	}
	return k, true
}

func remember(tx *bbolt.Tx, e *entry, k key) error {
	return putJSON(tx.Bucket(bucketKeys), keyOf(e.Target, e.Message.Key), k)
}

func putJSON(b *bbolt.Bucket, k []byte, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(k, raw)
}

// enqueue adds a new entry.
func (b *Outbox) enqueue(tx *bbolt.Tx, e *entry) error {
	waiting, err := counter(tx, 0)
	if err != nil {
		return err
	}
	if waiting >= b.o.MaxQueued {
		return b.fail("send to", ErrFull, fmt.Errorf("%d messages wait, as many as may", waiting))
	}
	if e.Seq, err = tx.Bucket(bucketQueue).NextSequence(); err != nil {
		return err
	}
	if err := remember(tx, e, key{State: stateQueued, At: e.Created}); err != nil {
		return err
	}
	return put(tx, e)
}

func put(tx *bbolt.Tx, e *entry) error {
	target, err := tx.Bucket(bucketQueue).CreateBucketIfNotExists([]byte(e.Target))
	if err != nil {
		return err
	}
	if _, err := counter(tx, 1); err != nil {
		return err
	}
	return putJSON(target, e.position(), e)
}

func remove(tx *bbolt.Tx, e *entry) error {
	target := tx.Bucket(bucketQueue).Bucket([]byte(e.Target))
	if target == nil || target.Get(e.position()) == nil {
		return nil
	}
	if _, err := counter(tx, -1); err != nil {
		return err
	}
	return target.Delete(e.position())
}

// counter adds to the number of queued entries and returns it.
func counter(tx *bbolt.Tx, add int) (int, error) {
	meta := tx.Bucket(bucketMeta)
	var n uint64
	if raw := meta.Get([]byte("queued")); len(raw) == 8 {
		n = binary.BigEndian.Uint64(raw)
	}
	if add != 0 {
		n += uint64(add) //nolint:gosec // wraps around to a subtraction
		if err := meta.Put([]byte("queued"), binary.BigEndian.AppendUint64(nil, n)); err != nil {
			return 0, err
		}
	}
	return int(n), nil //nolint:gosec // a count
}

// first returns the entry of the target that is due first.
func first(tx *bbolt.Tx, target string) (*entry, error) {
	b := tx.Bucket(bucketQueue).Bucket([]byte(target))
	if b == nil {
		return nil, nil //nolint:nilnil // no entry is no error
	}
	_, raw := b.Cursor().First()
	if raw == nil {
		return nil, nil //nolint:nilnil // no entry is no error
	}
	e := &entry{}
	return e, json.Unmarshal(raw, e)
}

// get returns the entry of the target at the position, if it is still there.
func get(tx *bbolt.Tx, target string, position []byte) (*entry, error) {
	raw := tx.Bucket(bucketQueue).Bucket([]byte(target)).Get(position)
	if raw == nil {
		return nil, nil //nolint:nilnil // no entry is no error
	}
	e := &entry{}
	return e, json.Unmarshal(raw, e)
}

// bury makes e a dead letter.
func (b *Outbox) bury(tx *bbolt.Tx, e *entry, reason string) error {
	e.Error = reason
	if err := remember(tx, e, key{State: stateDead, At: time.Now()}); err != nil {
		return err
	}
	return putJSON(tx.Bucket(bucketDead), binary.BigEndian.AppendUint64(nil, e.Seq), e)
}

// migrate checks the layout's version and forgets keys that are old enough.
func (b *Outbox) migrate(tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	switch v := meta.Get([]byte("version")); {
	case v == nil:
		if err := meta.Put([]byte("version"), []byte(version)); err != nil {
			return err
		}
	case string(v) != version:
		return b.fail("open", ErrCorrupt, fmt.Errorf("it has the layout %q, this is for %q", v, version))
	}
	limit := time.Now().Add(-b.o.Remember)
	keys := tx.Bucket(bucketKeys)
	var old [][]byte
	err := keys.ForEach(func(name, raw []byte) error {
		var k key
		if json.Unmarshal(raw, &k) == nil && k.State == stateSent && k.At.Before(limit) {
			old = append(old, bytes.Clone(name))
		}
		return nil
	})
	for _, name := range old {
		if err == nil {
			err = keys.Delete(name)
		}
	}
	return err
}
