package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	"github.com/jwkswatch/jwkswatch/state"
)

// readEventID returns the position of an event, 0 when it is not known.
func readEventID(tx *bbolt.Tx, id string) (uint64, error) {
	payload, err := get(tx, bucketEventIDs, []byte(id))
	if err != nil || payload == nil {
		return 0, err
	}
	n, err := decodeNumber(payload)
	return decoded(bucketEventIDs, []byte(id), n, err)
}

func readPlace(tx *bbolt.Tx, position uint64) (place, error) {
	value := tx.Bucket([]byte(bucketJournal)).Get(number(position))
	if value == nil {
		return place{}, damaged(bucketJournal, number(position), errMissing)
	}
	return decodePlace(position, value)
}

// readEntry reads the entry that an event id refers to.
func readEntry(tx *bbolt.Tx, position uint64) (state.Entry, error) {
	p, err := readPlace(tx, position)
	if err == nil && p.mark {
		err = damaged(bucketJournal, number(position), errors.New("an event id refers to a mark"))
	}
	if err != nil {
		return state.Entry{}, err
	}
	return p.Entry, nil
}

// bounds returns the ledger as of the last commit and the channel that is
// closed when entries are added to it.
func (db *DB) bounds() (ledger, <-chan struct{}) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.ledger, db.woken
}

// Head returns the position of the newest entry, also when Prune has dropped
// it, "" when there never was one.
func (db *DB) Head(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("reading the journal's head: %w", err)
	}
	if err := db.open(); err != nil {
		return "", fmt.Errorf("reading the journal's head: %w", err)
	}
	l, _ := db.bounds()
	return formatPosition(l.last), nil
}

// Wait returns when the journal has an entry after the position, or with the
// context's error. It is woken by commits and never looks by itself.
func (db *DB) Wait(ctx context.Context, after string) error {
	from, err := parsePosition(after)
	if err != nil {
		return fmt.Errorf("waiting for events: %w", err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waiting for events: %w", err)
		}
		if err := db.open(); err != nil {
			return fmt.Errorf("waiting for events: %w", err)
		}
		l, woken := db.bounds()
		// Of entries that were dropped nothing can be read: they are not there.
		if max(from+1, l.first) <= l.last {
			return nil
		}
		select {
		case <-woken:
		case <-db.closed:
		case <-ctx.Done():
		}
	}
}

// Events yields the journal after a position, "" is the beginning, up to the
// head at the time of the call. Entries that Prune or Thin has dropped are left
// out.
// The iteration holds no lock and no transaction while the caller works, and
// ends after an error. A damaged entry is such an error, after all that comes
// before it; of the entry only the position is set then.
func (db *DB) Events(ctx context.Context, after string) iter.Seq2[state.Entry, error] {
	l, _ := db.bounds()
	return func(yield func(state.Entry, error) bool) {
		from, err := parsePosition(after)
		if err != nil {
			yield(state.Entry{}, fmt.Errorf("reading events: %w", err))
			return
		}
		for {
			batch, next, err := db.readEntries(ctx, from+1, l.last)
			for _, e := range batch {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				// With its position, so that who reads on can step over the damage.
				yield(state.Entry{Position: formatPosition(next)}, fmt.Errorf("reading events: %w", err))
				return
			}
			if from = next; from >= l.last {
				return
			}
		}
	}
}

// readEntries reads a batch of entries and returns the position of the last, or
// of the one that is damaged.
func (db *DB) readEntries(ctx context.Context, from, to uint64) (batch []state.Entry, last uint64, err error) {
	err = db.read(ctx, func(tx *bbolt.Tx) error {
		l, err := readLedger(tx)
		if err != nil {
			return err
		}
		from, last = max(from, l.first), to
		if from > to {
			return nil
		}
		size, position := 0, from
		c := tx.Bucket([]byte(bucketJournal)).Cursor()
		for k, v := c.Seek(number(from)); position <= to; k, v = c.Next() {
			// Positions have no gaps: what is not here has been lost.
			last = position
			if !bytes.Equal(k, number(position)) {
				return damaged(bucketJournal, number(position), errMissing)
			}
			p, err := decodePlace(position, v)
			if err != nil {
				return err
			}
			if !p.mark {
				batch = append(batch, p.Entry)
			}
			position++
			if size += len(p.JSON); len(batch) == batchEntries || size >= batchBytes || position-from >= batchPlaces {
				return nil
			}
		}
		return nil
	})
	return batch, last, err
}

// EventByID returns the entry of an event. Errors: ErrNotFound,
// state.ErrCorrupt, state.ErrUnavailable.
func (db *DB) EventByID(ctx context.Context, id string) (e state.Entry, err error) {
	err = db.read(ctx, func(tx *bbolt.Tx) error {
		position, err := readEventID(tx, id)
		if err != nil {
			return err
		}
		if position == 0 {
			// An index that is damaged has not the event either. Only people
			// ask, so there is time to tell the two apart.
			if err := verifyBucket(tx, bucketEventIDs, nil); err != nil {
				return err
			}
			return ErrNotFound
		}
		e, err = readEntry(tx, position)
		return err
	})
	if err != nil {
		return state.Entry{}, fmt.Errorf("reading event %s: %w", quote(id), err)
	}
	return e, nil
}
