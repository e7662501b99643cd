package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// maxNote is the largest note, in octets.
const maxNote = 64 << 10

// noteKey is where the note of a sink is. A version that knows no notes leaves
// them alone, and a note that it did not keep up is an old one and not a wrong
// one: what was acknowledged then was acknowledged. So notes need no new format.
func noteKey(name string) []byte { return []byte("note/" + name) }

// Cursor returns the stored position of a sink and whether there is one.
// Errors: state.ErrCorrupt, state.ErrUnavailable.
func (db *DB) Cursor(ctx context.Context, name string) (position string, ok bool, err error) {
	if err = checkName(name); err == nil {
		err = db.read(ctx, func(tx *bbolt.Tx) error {
			n, has, err := readCursor(tx, name)
			position, ok = formatPosition(n), has
			return err
		})
	}
	if err != nil {
		return "", false, fmt.Errorf("reading cursor %s: %w", quote(name), err)
	}
	return position, ok, nil
}

func readCursor(tx *bbolt.Tx, name string) (position uint64, ok bool, err error) {
	payload, err := get(tx, bucketCursors, []byte(name))
	if err != nil || payload == nil {
		return 0, false, err
	}
	position, err = decodeNumber(payload)
	position, err = decoded(bucketCursors, []byte(name), position, err)
	return position, err == nil, err
}

// SetCursor stores the position of a sink, "" is the beginning. A position
// after the head is refused: everything in between would be lost to the sink
// without a word. Errors: state.ErrUnavailable.
func (db *DB) SetCursor(ctx context.Context, name, position string) error {
	return db.setCursor(ctx, name, position, nil)
}

// SetNoted is SetCursor with a note beside the position, in one transaction.
// An empty note takes the place of the one before like any other. Errors: a note
// of more than 64 KiB, state.ErrUnavailable.
func (db *DB) SetNoted(ctx context.Context, name, position string, note []byte) error {
	if len(note) > maxNote {
		return fmt.Errorf("setting cursor %s: the note has %d octets and may have %d", quote(name), len(note), maxNote)
	}
	return db.setCursor(ctx, name, position, &note)
}

func (db *DB) setCursor(ctx context.Context, name, position string, note *[]byte) error {
	err := checkName(name)
	var n uint64
	if err == nil {
		n, err = parsePosition(position)
	}
	if err == nil {
		err = db.write(ctx, 0, func(w *writer) error { return w.setCursor(name, n, note) })
	}
	if err != nil {
		return fmt.Errorf("setting cursor %s: %w", quote(name), err)
	}
	return nil
}

func (w *writer) setCursor(name string, n uint64, note *[]byte) error {
	has, ok, err := readCursor(w.tx, name)
	if err != nil {
		return err
	}
	if n > w.ledger.last {
		return errors.New("the position lies after the journal's head")
	}
	if note != nil {
		// One that is damaged is replaced: it is nothing that cannot be learnt anew.
		if old, err := get(w.tx, bucketMeta, noteKey(name)); err != nil || !bytes.Equal(old, *note) {
			if err := w.put(bucketMeta, noteKey(name), *note); err != nil {
				return err
			}
		}
	}
	if ok && has == n {
		return nil
	}
	if !ok {
		w.ledger.cursors++
	}
	return w.put(bucketCursors, []byte(name), number(n))
}

// Note returns what SetNoted stored beside the position of a sink, nil when there
// is nothing. Errors: state.ErrCorrupt, state.ErrUnavailable.
func (db *DB) Note(ctx context.Context, name string) (note []byte, err error) {
	if err = checkName(name); err == nil {
		err = db.read(ctx, func(tx *bbolt.Tx) error {
			payload, err := get(tx, bucketMeta, noteKey(name))
			if len(payload) > 0 {
				note = bytes.Clone(payload)
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading the note of cursor %s: %w", quote(name), err)
	}
	return note, nil
}

// Dropped returns how many places of the journal Prune has dropped that lie
// after a sink's cursor, those of thinned entries included, and the position of
// the last of them. A name without a stored cursor lacks nothing. Errors:
// state.ErrCorrupt, state.ErrUnavailable.
func (db *DB) Dropped(ctx context.Context, sink string) (n uint64, upTo string, err error) {
	if err = checkName(sink); err == nil {
		err = db.read(ctx, func(tx *bbolt.Tx) error {
			position, ok, err := readCursor(tx, sink)
			if err != nil || !ok {
				return err
			}
			l, err := readLedger(tx)
			if err == nil && position+1 < l.first {
				n, upTo = l.first-1-position, formatPosition(l.first-1)
			}
			return err
		})
	}
	if err != nil {
		return 0, "", fmt.Errorf("counting what was dropped before %s had it: %w", quote(sink), err)
	}
	return n, upTo, nil
}
