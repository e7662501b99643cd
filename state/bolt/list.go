package bolt

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"

	"go.etcd.io/bbolt"

	"github.com/jwkswatch/jwkswatch/state"
)

// NamedHead is the end of one endpoint's event stream.
type NamedHead struct {
	Endpoint string
	Revision uint64
	At       time.Time // of the newest step
	Head     state.Head
}

// Endpoints returns the names of all streams that have a record, sorted, the
// agent's own stream included. Errors: state.ErrCorrupt, state.ErrUnavailable.
func (db *DB) Endpoints(ctx context.Context) ([]string, error) {
	names, err := db.names(ctx, bucketHeads)
	if err != nil {
		return nil, fmt.Errorf("listing endpoints: %w", err)
	}
	return names, nil
}

// Cursors returns the names of all stored cursors, sorted. Errors:
// state.ErrCorrupt, state.ErrUnavailable.
func (db *DB) Cursors(ctx context.Context) ([]string, error) {
	names, err := db.names(ctx, bucketCursors)
	if err != nil {
		return nil, fmt.Errorf("listing cursors: %w", err)
	}
	return names, nil
}

// names returns the keys of a bucket, each verified by its value.
func (db *DB) names(ctx context.Context, bucket string) (names []string, err error) {
	err = db.read(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucket)).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if _, err := unseal(bucket, k, v); err != nil {
				return err
			}
			names = append(names, string(k))
		}
		return nil
	})
	return names, err
}

// Heads yields the end of every event stream, sorted by name, the agent's own
// stream included. Each is as of the time it is read; a set of them that fits
// together needs Backup. After an error the iteration ends.
func (db *DB) Heads(ctx context.Context) iter.Seq2[NamedHead, error] {
	return func(yield func(NamedHead, error) bool) {
		var from []byte
		for {
			batch, next, err := db.readHeads(ctx, from)
			for _, h := range batch {
				if !yield(h, nil) {
					return
				}
			}
			if err != nil {
				yield(NamedHead{}, fmt.Errorf("listing heads: %w", err))
				return
			}
			if from = next; from == nil {
				return
			}
		}
	}
}

// readHeads reads a batch from a name on and returns where to go on, nil at
// the end.
func (db *DB) readHeads(ctx context.Context, from []byte) (batch []NamedHead, next []byte, err error) {
	err = db.read(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucketHeads)).Cursor()
		for k, v := c.Seek(from); k != nil; k, v = c.Next() {
			if len(batch) == batchEntries {
				next = bytes.Clone(k)
				return nil
			}
			payload, err := unseal(bucketHeads, k, v)
			if err != nil {
				return err
			}
			h, err := decodeHead(payload)
			if err != nil {
				return damaged(bucketHeads, k, err)
			}
			r, err := readRecord(tx, string(k), h.revision)
			if err != nil {
				return err
			}
			batch = append(batch, NamedHead{Endpoint: string(k), Revision: h.revision, At: r.at, Head: r.head})
		}
		return nil
	})
	return batch, next, err
}

// Pending returns how many journal entries lie after a sink's cursor, and the
// time of the first of them, zero when there is none. A name without a stored
// cursor stands at the beginning. Filters of a sink are not known here. The
// price does not depend on the number: while the cursor stands before marks of
// Thin, they may be counted and told as the first. Errors: state.ErrCorrupt,
// state.ErrUnavailable.
func (db *DB) Pending(ctx context.Context, sink string) (n uint64, oldest time.Time, err error) {
	if err = checkName(sink); err == nil {
		err = db.read(ctx, func(tx *bbolt.Tx) error {
			n, oldest, err = readPending(tx, sink)
			return err
		})
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("counting what is pending for %s: %w", quote(sink), err)
	}
	return n, oldest, nil
}

func readPending(tx *bbolt.Tx, sink string) (n uint64, oldest time.Time, err error) {
	position, _, err := readCursor(tx, sink)
	if err != nil {
		return 0, time.Time{}, err
	}
	l, err := readLedger(tx)
	if err != nil {
		return 0, time.Time{}, err
	}
	first := max(position+1, l.first)
	if first > l.last {
		return 0, time.Time{}, nil
	}
	p, err := readPlace(tx, first)
	if err != nil {
		return 0, time.Time{}, err
	}
	n = l.last + 1 - first
	return min(n, l.entries()-l.thinned), p.At, nil
}

// EventsBackwards yields the journal before a position, "" is the head at the
// time of the call, newest first. Entries that Prune or Thin has dropped are
// left out. The iteration holds no lock and no transaction while the caller
// works, and ends after an error, as Events does.
func (db *DB) EventsBackwards(ctx context.Context, before string) iter.Seq2[state.Entry, error] {
	l, _ := db.bounds()
	return func(yield func(state.Entry, error) bool) {
		next, err := parsePosition(before)
		if err != nil {
			yield(state.Entry{}, fmt.Errorf("reading events backwards: %w", err))
			return
		}
		if next == 0 || next > l.last {
			next = l.last + 1
		}
		for next > 1 {
			batch, last, err := db.readBackwards(ctx, next-1)
			for _, e := range batch {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(state.Entry{Position: formatPosition(last)}, fmt.Errorf("reading events backwards: %w", err))
				return
			}
			next = last
		}
	}
}

// readBackwards reads a batch of entries downwards and returns the position of
// the last, or of the one that is damaged; 0 when there are no more.
func (db *DB) readBackwards(ctx context.Context, from uint64) (batch []state.Entry, last uint64, err error) {
	err = db.read(ctx, func(tx *bbolt.Tx) error {
		l, err := readLedger(tx)
		if err != nil {
			return err
		}
		if from < l.first {
			return nil
		}
		size, position := 0, from
		c := tx.Bucket([]byte(bucketJournal)).Cursor()
		for k, v := c.Seek(number(from)); ; k, v = c.Prev() {
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
			if position == l.first {
				last = 0
				return nil
			}
			position--
			if size += len(p.JSON); len(batch) == batchEntries || size >= batchBytes || from-position >= batchPlaces {
				return nil
			}
		}
	})
	return batch, last, err
}

// Written returns how many entries were ever added to the journal, those that
// were dropped since included.
func (db *DB) Written() uint64 {
	l, _ := db.bounds()
	return l.last
}

// Writable proves by a tiny transaction that the state can be written. It costs
// two fdatasyncs: how often is the caller's business. Errors:
// state.ErrUnavailable, state.ErrCorrupt.
func (db *DB) Writable(ctx context.Context) error {
	err := db.write(ctx, 0, func(w *writer) error {
		w.writes++ // the ledger is written again
		return nil
	})
	if err != nil {
		return fmt.Errorf("trying to write the state: %w", err)
	}
	return nil
}
