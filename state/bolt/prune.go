package bolt

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// pruneBatch is how many records or entries one transaction drops: a small
// one, because commits wait for it.
const pruneBatch = 256

// Pruned counts what was dropped.
type Pruned struct {
	Snapshots int
	Bodies    int
	Entries   int // of the journal, marks of Thin included
}

// Prune drops snapshots older than before, though never the newest of an
// endpoint, bodies that no snapshot refers to any more, and journal entries
// older than before that every named cursor has passed. A name without a
// stored cursor stands at the beginning and keeps everything. Both lists are
// cut at their old end only: an entry whose time lies ahead, because a clock
// was wrong, keeps those after it. Memory is never dropped. Commits go on
// meanwhile. What was dropped before an error stays dropped and is counted.
func (db *DB) Prune(ctx context.Context, before time.Time, cursors []string) (Pruned, error) {
	// Two at a time would plan the same.
	db.pruning.Lock()
	defer db.pruning.Unlock()
	var total Pruned
	err := db.pruneSnapshots(ctx, before, &total)
	if err == nil {
		err = db.pruneJournal(ctx, before, cursors, &total)
	}
	if err != nil {
		return total, fmt.Errorf("pruning: %w", err)
	}
	return total, nil
}

// cut is the new oldest revision of an endpoint.
type cut struct {
	endpoint string
	oldest   uint64
}

func (db *DB) pruneSnapshots(ctx context.Context, before time.Time, total *Pruned) error {
	var from []byte
	for {
		var cuts []cut
		err := db.read(ctx, func(tx *bbolt.Tx) (err error) {
			cuts, from, err = planCuts(tx, from, before)
			return err
		})
		if err != nil {
			return err
		}
		if len(cuts) > 0 {
			var dropped Pruned
			err := db.write(ctx, 0, func(w *writer) (err error) {
				dropped, err = w.cut(cuts)
				return err
			})
			if err != nil {
				return err
			}
			total.Snapshots += dropped.Snapshots
			total.Bodies += dropped.Bodies
		}
		if from == nil {
			return nil
		}
	}
}

// planCuts goes on from an endpoint and returns where to go on next, nil at
// the end.
func planCuts(tx *bbolt.Tx, from []byte, before time.Time) (cuts []cut, next []byte, err error) {
	c := tx.Bucket([]byte(bucketHeads)).Cursor()
	k, v := c.Seek(from)
	for records, endpoints := 0, 0; k != nil; k, v = c.Next() {
		if endpoints++; endpoints > 16*pruneBatch {
			return cuts, bytes.Clone(k), nil
		}
		payload, err := unseal(bucketHeads, k, v)
		if err != nil {
			return nil, nil, err
		}
		h, err := decodeHead(payload)
		if err != nil {
			return nil, nil, damaged(bucketHeads, k, err)
		}
		oldest := h.oldest
		for ; oldest < h.revision && records < pruneBatch; oldest++ {
			r, err := readRecord(tx, string(k), oldest)
			if err != nil {
				return nil, nil, err
			}
			if !r.at.Before(before) {
				break
			}
			records++
		}
		if oldest > h.oldest {
			cuts = append(cuts, cut{string(k), oldest})
		}
		if records == pruneBatch {
			return cuts, bytes.Clone(k), nil // the same endpoint may have more
		}
	}
	return cuts, nil, nil
}

func (w *writer) cut(cuts []cut) (dropped Pruned, err error) {
	for _, c := range cuts {
		h, err := w.head([]byte(c.endpoint))
		if err != nil {
			return dropped, err
		}
		for ; h.oldest < c.oldest && h.oldest < h.revision; h.oldest++ {
			r, err := readRecord(w.tx, c.endpoint, h.oldest)
			if err != nil {
				return dropped, err
			}
			if r.bodyID != 0 {
				gone, err := w.dropBody(r.body)
				if err != nil {
					return dropped, err
				}
				dropped.Bodies += gone
			}
			if err := w.remove(bucketRecords, recordKey(c.endpoint, h.oldest)); err != nil {
				return dropped, err
			}
			dropped.Snapshots++
		}
		if err := w.put(bucketHeads, []byte(c.endpoint), h.encode()); err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

func (db *DB) pruneJournal(ctx context.Context, before time.Time, cursors []string, total *Pruned) error {
	for {
		dropped := 0
		err := db.write(ctx, 0, func(w *writer) (err error) {
			dropped, err = w.dropEntries(before, cursors)
			return err
		})
		if err != nil {
			return err
		}
		total.Entries += dropped
		if dropped < pruneBatch {
			return nil
		}
	}
}

func (w *writer) dropEntries(before time.Time, cursors []string) (dropped int, err error) {
	passed, err := w.passed(cursors)
	if err != nil {
		return 0, err
	}
	for dropped < pruneBatch && w.ledger.first <= passed {
		p, err := readPlace(w.tx, w.ledger.first)
		if err != nil {
			return dropped, err
		}
		if !p.At.Before(before) {
			break
		}
		if err := w.remove(bucketJournal, number(w.ledger.first)); err != nil {
			return dropped, err
		}
		if p.mark {
			w.ledger.thinned--
		} else if err := w.remove(bucketEventIDs, []byte(p.ID)); err != nil {
			return dropped, err
		}
		w.ledger.first++
		dropped++
	}
	return dropped, nil
}

// passed returns the position that every named cursor has reached.
func (w *writer) passed(cursors []string) (uint64, error) {
	passed := w.ledger.last
	for _, name := range cursors {
		// A name that is not stored stands at 0.
		position, _, err := readCursor(w.tx, name)
		if err != nil {
			return 0, err
		}
		passed = min(passed, position)
	}
	return passed, nil
}
