package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// Thin puts a mark of a few octets in place of each journal entry of the named
// types that is older than before and that every named cursor has passed, and
// returns how many. A mark keeps the position: a sink that stands between two
// entries goes on as if nothing were there, and what is lost is still told
// from what was dropped. The event's id is forgotten. A name without a stored
// cursor stands at the beginning and keeps everything.
//
// It looks at what is newer than the newest mark only. So entries of a type that
// is named later, and those that a wrong clock dated ahead, stay for Prune. The
// newest entry of the journal stays too, so that there is always an end to wait
// for. Commits go on meanwhile: a transaction replaces a few hundred entries.
// What was replaced before an error stays replaced and is counted.
func (db *DB) Thin(ctx context.Context, before time.Time, types, cursors []string) (int, error) {
	// Two at a time would plan the same, and Prune moves the beginning.
	db.pruning.Lock()
	defer db.pruning.Unlock()
	t := thinning{before: before, types: types, cursors: cursors}
	total := 0
	err := t.begin(ctx, db)
	for err == nil && t.next <= t.end {
		var plan []uint64
		err = db.read(ctx, func(tx *bbolt.Tx) (err error) {
			plan, err = t.plan(tx)
			return err
		})
		if err != nil || len(plan) == 0 {
			continue
		}
		n := 0
		err = db.write(ctx, 0, func(w *writer) (err error) {
			n, err = t.apply(w, plan)
			return err
		})
		if err == nil {
			total += n
		}
	}
	if err != nil {
		return total, fmt.Errorf("thinning the journal: %w", err)
	}
	return total, nil
}

type thinning struct {
	before         time.Time
	types, cursors []string
	next, end      uint64 // positions to look at
}

func (t *thinning) begin(ctx context.Context, db *DB) error {
	return db.read(ctx, func(tx *bbolt.Tx) error {
		l, err := readLedger(tx)
		if err != nil {
			return err
		}
		t.next = max(l.first, l.thin+1)
		t.end, err = t.reach(&writer{tx: tx, ledger: l})
		return err
	})
}

// reach is the last position that may be replaced.
func (t *thinning) reach(w *writer) (uint64, error) {
	passed, err := w.passed(t.cursors)
	return min(passed, max(w.ledger.last, 1)-1), err
}

func (t *thinning) takes(p *place) bool {
	return !p.mark && p.At.Before(t.before) && slices.Contains(t.types, p.Type)
}

// plan goes on from the next position and returns those to replace.
func (t *thinning) plan(tx *bbolt.Tx) (plan []uint64, err error) {
	for looked := 0; t.next <= t.end && looked < batchPlaces && len(plan) < pruneBatch; looked++ {
		p, err := readPlace(tx, t.next)
		if err != nil {
			return nil, err
		}
		if t.takes(&p) {
			plan = append(plan, t.next)
		}
		t.next++
	}
	return plan, nil
}

// apply replaces what was planned, as far as every cursor is still past it: one
// that was set back wants to read it again.
func (t *thinning) apply(w *writer, plan []uint64) (n int, err error) {
	end, err := t.reach(w)
	if err != nil {
		return 0, err
	}
	for _, position := range plan {
		if position > end {
			break
		}
		p, err := readPlace(w.tx, position)
		if err != nil {
			return n, err
		}
		if !t.takes(&p) {
			return n, errors.New("an entry changed under way")
		}
		key := number(position)
		// bbolt puts pages together only where a key was deleted: without it every
		// mark would keep the page of its entry, and nothing would be won.
		if err := w.remove(bucketJournal, key); err != nil {
			return n, err
		}
		if err := w.putAs(markVersion, bucketJournal, key, encodeMark(p.At)); err != nil {
			return n, err
		}
		if err := w.remove(bucketEventIDs, []byte(p.ID)); err != nil {
			return n, err
		}
		w.ledger.thinned++
		w.ledger.thin = position
		n++
	}
	return n, nil
}
