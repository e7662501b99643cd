package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"

	"github.com/jwkswatch/jwkswatch/state"
)

// Bounds of one shared transaction.
const (
	maxBatch      = 1000
	maxBatchBytes = 64 << 20
	appendFill    = 0.95 // of pages in buckets that only grow at their end
)

// errNothing ends a transaction that has nothing to write.
var errNothing = errors.New("nothing to write")

// op is one writer's part of a shared transaction. What it refuses it refuses
// before its first change: the others' parts go on.
type op struct {
	apply func(*writer) error
	size  int // octets it will write, about
	err   error
	done  chan struct{}
}

func (o *op) finish(err error) {
	o.err = err
	close(o.done)
}

// writer is the transaction that ops share.
type writer struct {
	tx     *bbolt.Tx
	packer *packer
	ledger ledger
	writes int // changes so far
	late   map[spot]bool
}

func (w *writer) put(bucket string, key, payload []byte) error {
	return w.putAs(valueVersion, bucket, key, payload)
}

// putAs is put for a value of another version.
func (w *writer) putAs(version byte, bucket string, key, payload []byte) error {
	w.changes(bucket, key)
	b := w.tx.Bucket([]byte(bucket))
	if bucket == bucketJournal || bucket == bucketBodies {
		b.FillPercent = appendFill
	}
	return b.Put(key, sealAs(version, bucket, key, payload))
}

func (w *writer) remove(bucket string, key []byte) error {
	w.changes(bucket, key)
	return w.tx.Bucket([]byte(bucket)).Delete(key)
}

// changes counts a change, and notes its place for a compaction that is under way.
func (w *writer) changes(bucket string, key []byte) {
	w.writes++
	if w.late != nil && len(w.late) <= compactMost {
		w.late[spot{bucket, string(key)}] = true
	}
}

// write puts an op in line and returns when it is on disk. There is no
// goroutine of its own: who gets the turn writes for all that wait, at once and
// not by a timer. A context that ends takes the op out of the line; once it is
// being written its outcome is waited for.
func (db *DB) write(ctx context.Context, size int, apply func(*writer) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", state.ErrUnavailable, err)
	}
	o := &op{apply: apply, size: size, done: make(chan struct{})}
	db.mu.Lock()
	if db.isClosed() {
		db.mu.Unlock()
		return errClosed()
	}
	db.queue = append(db.queue, o)
	db.mu.Unlock()
	for {
		select {
		case <-o.done:
			return o.err
		case db.turn <- struct{}{}:
			db.writeBatch()
			<-db.turn
		case <-ctx.Done():
			if db.withdraw(o) {
				return fmt.Errorf("%w: %w", state.ErrUnavailable, ctx.Err())
			}
			<-o.done
			return o.err
		}
	}
}

// withdraw reports whether the op was still in line.
func (db *DB) withdraw(o *op) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	for i := range db.queue {
		if db.queue[i] == o {
			db.queue = append(db.queue[:i], db.queue[i+1:]...)
			return true
		}
	}
	return false
}

// take returns the ops of the next transaction.
func (db *DB) take() []*op {
	db.mu.Lock()
	defer db.mu.Unlock()
	n, size := 0, 0
	for n < len(db.queue) && n < maxBatch {
		size += db.queue[n].size
		if n > 0 && size > maxBatchBytes {
			break
		}
		n++
	}
	ops := db.queue[:n:n]
	db.queue = db.queue[n:]
	return ops
}

// writeBatch is called by who holds the turn.
func (db *DB) writeBatch() {
	ops := db.take()
	if len(ops) == 0 {
		return
	}
	errs, alone := db.transact(ops)
	for i, o := range ops {
		// One op failed half way and took the others with it: each for itself.
		if alone && len(ops) > 1 {
			one, _ := db.transact(ops[i : i+1])
			errs[i] = one[0]
		}
		o.finish(errs[i])
	}
}

// transact runs ops in one transaction. Alone means that it was given up
// because one of them failed after its first change.
func (db *DB) transact(ops []*op) (errs []error, alone bool) {
	errs = make([]error, len(ops))
	fail := func(err error) []error {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
		return errs
	}
	if db.broken != nil {
		return fail(db.broken), false
	}
	var after ledger
	err := db.update(func(tx *bbolt.Tx) error {
		l, err := readLedger(tx)
		if err == nil {
			err = db.continues(l)
		}
		if err != nil {
			return err
		}
		w := &writer{tx: tx, packer: db.packer, ledger: l, late: db.late}
		for i, o := range ops {
			before := w.writes
			if errs[i] = o.apply(w); errs[i] != nil && w.writes != before {
				alone = true
				return errs[i]
			}
		}
		after = w.ledger
		if w.writes == 0 {
			return errNothing
		}
		return w.close(l)
	})
	switch {
	case err == nil:
		db.writes.Add(1)
	case !errors.Is(err, errNothing):
		return fail(err), alone
	}
	db.publish(after)
	return errs, false
}

// close writes the ledger, and the format that it asks for.
func (w *writer) close(before ledger) error {
	if format := w.ledger.format(); format != before.format() {
		if err := w.put(bucketMeta, []byte(metaFormat), binary.BigEndian.AppendUint32(nil, format)); err != nil {
			return err
		}
	}
	return w.putAs(w.ledger.version(), bucketMeta, []byte(metaLedger), w.ledger.encode())
}

// publish makes the ledger known to readers, and wakes who waits for entries.
func (db *DB) publish(l ledger) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if l.last > db.ledger.last {
		close(db.woken)
		db.woken = make(chan struct{})
	}
	db.ledger = l
}

// update is bbolt's Update with errors of ours. A write that failed may be tried
// again; after a sync that failed nothing more is written: see Broken.
func (db *DB) update(fn func(*bbolt.Tx) error) (err error) {
	var inner error
	var txid uint64
	committing := false
	defer func() {
		if p := recover(); p != nil { // out of bbolt's commit
			db.stuck = true
			text := fmt.Sprint(p)
			err = fmt.Errorf("%w: %w: writing the file: %q", state.ErrUnavailable, state.ErrCorrupt, text[:min(len(text), 200)])
			db.giveUp(err)
		}
	}()
	err = db.on.Load().bolt.Update(func(tx *bbolt.Tx) error {
		txid = uint64(tx.ID())
		inner = guard(func() error { return fn(tx) })
		committing = inner == nil
		return inner
	})
	switch {
	case err == nil, errors.Is(err, errNothing):
		return err
	case errors.Is(inner, state.ErrCorrupt):
		return err
	}
	err = fmt.Errorf("%w: %w", state.ErrUnavailable, restoreCause(err))
	if committing && !db.mayRetry(err, txid) {
		err = fmt.Errorf("%w; nothing more is written", err)
		db.giveUp(err)
	}
	return err
}

// restoreCause gives an error its cause back. bbolt keeps only the text of
// what goes wrong while the file grows (db.go, grow: "file resize error: %s").
func restoreCause(err error) error {
	for _, cause := range append(fullErrors(), syscall.EIO, syscall.EROFS) {
		if errors.Is(err, cause) {
			return err
		}
		if text, ok := strings.CutSuffix(err.Error(), ": "+cause.Error()); ok {
			return fmt.Errorf("%s: %w", text, cause)
		}
	}
	return err
}
