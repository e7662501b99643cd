package bolt

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	berrors "go.etcd.io/bbolt/errors"
)

// Broken waits until nothing may be written any more and returns why, or nil
// when the context ends or the state is closed before that. Who holds the state
// should then end the process and say so: what the kernel dropped when fsync
// failed is gone from its memory as well, and a later fsync that succeeds
// proves nothing. Opening the state again reads what is on the disk.
func (db *DB) Broken(ctx context.Context) error {
	select {
	case <-db.gaveUp:
	case <-ctx.Done():
	case <-db.closed:
	}
	select {
	case <-db.gaveUp: // also when the other came at the same time
		return db.reason
	default:
		return nil
	}
}

// giveUp ends all writing. It is called by who holds the turn.
func (db *DB) giveUp(err error) {
	if db.broken == nil {
		db.reason = err
		close(db.gaveUp)
	}
	db.broken = err
}

// mayRetry reports whether the same transaction may be tried again after its
// commit failed: only when a write failed and not a sync, or there was no room,
// and when the root is the one before. A root that was written and not synced
// is in the memory of the kernel and perhaps on the disk, and bbolt reads on
// from it although it gave the transaction up: its pages would be handed out
// again.
func (db *DB) mayRetry(err error, txid uint64) bool {
	if !isFull(err) && !isWrite(err) {
		return false
	}
	f := db.on.Load().file
	info, statErr := f.Stat()
	if statErr != nil {
		return false
	}
	root, rootErr := newestMeta(f, info.Size())
	return rootErr == nil && root.txid < txid
}

// isWrite reports whether a write failed and not a sync. bbolt hands the error
// of a write on as it is, and of a file that grows the text alone (db.go, grow).
func isWrite(err error) bool {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Op == "write"
	}
	return strings.Contains(err.Error(), "file resize error: ")
}

// fullErrors lists errors after which the same transaction may succeed later.
func fullErrors() []error {
	return []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, berrors.ErrMaxSizeReached}
}

func isFull(err error) bool {
	return slices.ContainsFunc(fullErrors(), func(full error) bool { return errors.Is(err, full) })
}
