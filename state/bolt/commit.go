package bolt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jwkswatch/jwkswatch/state"
)

// Bounds of what a Txn may hold, in octets.
const (
	maxName  = 128 // of an endpoint, a cursor or a type
	maxID    = 256 // of an event
	maxBlob  = 64 << 20
	maxEvent = 1 << 20
)

// checkName refuses what could not be printed or used as a key.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("a name must have 1 to %d octets", maxName)
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f {
			return errors.New("a name must be of printable ASCII characters")
		}
	}
	return nil
}

func checkTxn(t state.Txn) error {
	if err := checkName(t.Next.Endpoint); err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	if t.Next.Revision != t.Prev+1 || t.Next.Revision == 0 {
		return fmt.Errorf("revision %d does not follow %d", t.Next.Revision, t.Prev)
	}
	if len(t.Next.Body) > maxBody || len(t.Next.Memory) > maxBlob || len(t.Next.Evidence) > maxBlob || len(t.Next.Head.Epoch) > maxName {
		return errors.New("record is too large")
	}
	ids := make(map[string]bool, len(t.Events))
	for i, e := range t.Events {
		switch {
		case e.ID == "" || len(e.ID) > maxID || ids[e.ID]:
			return fmt.Errorf("event %d: id is missing, too long or repeated", i)
		case len(e.Type) > maxName || len(e.Endpoint) > maxName || len(e.JSON) == 0 || len(e.JSON) > maxEvent:
			return fmt.Errorf("event %d: empty or too large", i)
		}
		ids[e.ID] = true
	}
	return nil
}

// commit is a Txn made ready outside the transaction, where writers do not
// wait for each other.
type commit struct {
	txn  state.Txn
	step [32]byte
	hash [32]byte // of the body
	body []byte   // packed, nil when the body before stands
}

// Commit stores the step, all or nothing. A Txn that is already the head is
// success and changes nothing. An event id that is in the journal with other
// content is an error: ids are derived from what they stand for, so one of the
// two is wrong. Errors: state.ErrConflict, state.ErrUnavailable,
// state.ErrCorrupt.
func (db *DB) Commit(ctx context.Context, t state.Txn) error {
	err := checkTxn(t)
	if err == nil {
		c := &commit{txn: t, step: stepOf(t)}
		size := len(t.Next.Memory) + len(t.Next.Evidence)
		if t.Next.Body != nil {
			c.hash, c.body = sha256.Sum256(t.Next.Body), db.packer.pack(t.Next.Body)
		}
		for _, e := range t.Events {
			size += len(e.JSON)
		}
		err = db.write(ctx, size+len(c.body), c.apply)
	}
	if err != nil {
		return fmt.Errorf("committing revision %d of %s: %w", t.Next.Revision, quote(t.Next.Endpoint), err)
	}
	return nil
}

func (c *commit) apply(w *writer) error {
	next := &c.txn.Next
	name := []byte(next.Endpoint)
	has, err := w.head(name)
	if err != nil {
		return err
	}
	if has.revision == next.Revision && has.step == c.step {
		return nil
	}
	if has.revision != c.txn.Prev {
		return fmt.Errorf("%w: the state has revision %d", state.ErrConflict, has.revision)
	}
	fresh, err := w.unknown(c.txn.Events)
	if err != nil {
		return err
	}
	body, err := w.bodyOf(c, has)
	if err != nil {
		return err
	}

	// From here on every error gives the transaction up.
	if err := w.keepBody(c, &body); err != nil {
		return err
	}
	if has.revision == 0 {
		w.ledger.endpoints++
		has.oldest = next.Revision
	}
	r := record{at: next.At, head: next.Head, digest: next.Digest, bodyID: body.ref.id, body: body.hash, evidence: next.Evidence}
	if err := w.put(bucketRecords, recordKey(next.Endpoint, next.Revision), r.encode()); err != nil {
		return err
	}
	if err := w.put(bucketMemory, name, encodeMemory(next.Revision, next.Memory)); err != nil {
		return err
	}
	if err := w.put(bucketHeads, name, head{next.Revision, has.oldest, c.step}.encode()); err != nil {
		return err
	}
	return w.journal(fresh)
}

// head returns the zero head when the endpoint was never seen.
func (w *writer) head(endpoint []byte) (head, error) { return readHead(w.tx, endpoint) }

// unknown returns the events that are not in the journal yet.
func (w *writer) unknown(events []state.Entry) ([]state.Entry, error) {
	var fresh []state.Entry
	for _, e := range events {
		position, err := readEventID(w.tx, e.ID)
		if err != nil {
			return nil, err
		}
		if position == 0 {
			fresh = append(fresh, e)
			continue
		}
		has, err := readEntry(w.tx, position)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(has.JSON, e.JSON) || has.Type != e.Type || has.Endpoint != e.Endpoint || has.Severity != e.Severity {
			return nil, fmt.Errorf("event %q is in the journal with other content", e.ID)
		}
	}
	return fresh, nil
}

// storedBody is a body in the file, or one that will be.
type storedBody struct {
	hash [32]byte
	ref  bodyRef // zero when it is not in the file
}

// bodyOf finds the body of a step: its own, or the one that stands.
func (w *writer) bodyOf(c *commit, has head) (storedBody, error) {
	if c.body == nil {
		if has.revision == 0 {
			return storedBody{}, nil
		}
		r, err := readRecord(w.tx, c.txn.Next.Endpoint, has.revision)
		if err != nil || r.bodyID == 0 {
			return storedBody{}, err
		}
		key := r.body[:]
		payload, err := must(w.tx, bucketBodyIndex, key)
		if err != nil {
			return storedBody{}, err
		}
		ref, err := decodeBodyRef(payload)
		ref, err = decoded(bucketBodyIndex, key, ref, err)
		return storedBody{r.body, ref}, err
	}
	payload, err := get(w.tx, bucketBodyIndex, c.hash[:])
	if err != nil || payload == nil {
		return storedBody{hash: c.hash}, err
	}
	ref, err := decodeBodyRef(payload)
	ref, err = decoded(bucketBodyIndex, c.hash[:], ref, err)
	return storedBody{c.hash, ref}, err
}

// keepBody stores a body that is new and counts the reference.
func (w *writer) keepBody(c *commit, b *storedBody) error {
	if b.ref.id == 0 {
		if c.body == nil {
			return nil // no set was ever accepted
		}
		w.ledger.body++
		b.ref.id = w.ledger.body
		if err := w.put(bucketBodies, number(b.ref.id), c.body); err != nil {
			return err
		}
	}
	b.ref.refs++
	return w.put(bucketBodyIndex, b.hash[:], b.ref.encode())
}

// dropBody takes a reference away, and the body with the last one. It returns
// how many bodies were dropped.
func (w *writer) dropBody(hash [32]byte) (int, error) {
	payload, err := must(w.tx, bucketBodyIndex, hash[:])
	if err != nil {
		return 0, err
	}
	ref, err := decodeBodyRef(payload)
	if ref, err = decoded(bucketBodyIndex, hash[:], ref, err); err != nil {
		return 0, err
	}
	if ref.refs--; ref.refs > 0 {
		return 0, w.put(bucketBodyIndex, hash[:], ref.encode())
	}
	if err := w.remove(bucketBodies, number(ref.id)); err != nil {
		return 0, err
	}
	return 1, w.remove(bucketBodyIndex, hash[:])
}

// journal appends entries.
func (w *writer) journal(events []state.Entry) error {
	for _, e := range events {
		w.ledger.last++
		key := number(w.ledger.last)
		if err := w.put(bucketJournal, key, encodeEntry(e)); err != nil {
			return err
		}
		if err := w.put(bucketEventIDs, []byte(e.ID), key); err != nil {
			return err
		}
	}
	return nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
