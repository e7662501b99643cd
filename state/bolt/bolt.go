// Package bolt keeps the state of one node in one bbolt file.
//
// A step is one transaction: record, memory, body and events, or nothing.
// Many steps that wait at the same time share one, because its price is two
// fdatasyncs. Before the transaction nothing is promised; after it everything
// is on disk. The order within does not matter: bbolt writes new pages first
// and the root last.
//
// Every value carries its digest and is verified when it is read. What is
// missing is missed too: revisions and positions have no gaps, and the ledger
// counts the rest.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/jwkswatch/jwkswatch/state"
)

var (
	// ErrFormat wraps an error about a file of another format version.
	ErrFormat = errors.New("bolt: another format version")
	// ErrNotFound wraps an error about an event that is not in the journal.
	ErrNotFound = errors.New("bolt: no such event")
)

// errMissing says of a value that something refers to that it is not there.
var errMissing = errors.New("missing")

const defaultTimeout = 4 * time.Second

// Options of Open. Zero fields mean the default.
type Options struct {
	Path    string        // of the file; a missing folder is created with mode 0700
	Timeout time.Duration // to wait for the lock; 0 means 4 s
}

// Stats counts since Open.
type Stats struct {
	Writes uint64 // transactions that wrote to the file
}

// handle is the file as it is open; a compaction puts another in its place.
type handle struct {
	bolt *bbolt.DB
	file *os.File
}

// DB is the state of one node. All methods are safe for concurrent use; after
// Close they return an error that wraps state.ErrUnavailable.
type DB struct {
	on           atomic.Pointer[handle]
	packer       *packer
	installation *Installation
	writes       atomic.Uint64
	pruning      sync.Mutex
	cleanup      func() error // of a copy, after its file is closed; nil otherwise

	turn   chan struct{} // held by who writes; holds broken, stuck and late too
	broken error         // why nothing may be written any more: see Broken
	stuck  bool          // bbolt holds a lock that nobody will give back
	late   map[spot]bool // what was written since a compaction looked last; nil without one

	mu     sync.Mutex // holds what follows
	queue  []*op
	ledger ledger        // as of the last commit
	woken  chan struct{} // closed and replaced when entries are added
	closed chan struct{}

	gaveUp chan struct{} // closed when broken is set first
	reason error         // why; set before gaveUp is closed
}

var _ state.Store = (*DB)(nil)

// Installation returns what makes the ids of this state its own.
func (db *DB) Installation() Installation { return *db.installation }

// Stats returns counters since Open.
func (db *DB) Stats() Stats { return Stats{Writes: db.writes.Load()} }

// Size returns the size of the file in octets.
func (db *DB) Size() (int64, error) {
	if err := db.open(); err != nil {
		return 0, fmt.Errorf("size of the state: %w", err)
	}
	for {
		h := db.on.Load()
		info, err := h.file.Stat()
		switch {
		case err == nil:
			return info.Size(), nil
		case db.on.Load() == h:
			return 0, fmt.Errorf("size of the state: %w: %w", state.ErrUnavailable, err)
		}
	}
}

// Close waits for the transactions under way and closes the file. What waits
// in line is refused. Closing again does nothing.
func (db *DB) Close() error {
	db.turn <- struct{}{}
	defer func() { <-db.turn }()
	db.mu.Lock()
	queue := db.queue
	db.queue = nil
	already := db.isClosed()
	if !already {
		close(db.closed)
	}
	db.mu.Unlock()
	for _, o := range queue {
		o.finish(errClosed())
	}
	if already {
		return nil
	}
	h := db.on.Load()
	if db.stuck { // bbolt's Close would wait for ever; this gives the lock of the file back
		return h.file.Close()
	}
	err := h.bolt.Close()
	if db.cleanup != nil {
		err = errors.Join(err, db.cleanup())
	}
	if err != nil {
		return fmt.Errorf("closing the state: %w", err)
	}
	return nil
}

func (db *DB) isClosed() bool {
	select {
	case <-db.closed:
		return true
	default:
		return false
	}
}

func errClosed() error {
	return fmt.Errorf("%w: %w", state.ErrUnavailable, berrors.ErrDatabaseNotOpen)
}

func (db *DB) open() error {
	if db.isClosed() {
		return errClosed()
	}
	return nil
}

// view runs fn in a short read transaction. fn must not keep what it reads: it
// is the map of the file.
func (db *DB) view(fn func(*bbolt.Tx) error) error {
	if err := db.open(); err != nil {
		return err
	}
	for {
		h := db.on.Load()
		err := h.bolt.View(func(tx *bbolt.Tx) error {
			return guard(func() error { return fn(tx) })
		})
		switch {
		case !errors.Is(err, berrors.ErrDatabaseNotOpen) && !errors.Is(err, berrors.ErrInvalidMapping):
			return err
		case db.on.Load() == h: // else a compaction has just closed it
			return fmt.Errorf("%w: %w", state.ErrUnavailable, err)
		}
	}
}

// read is view for a call with a context.
func (db *DB) read(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.view(fn)
}

// guard makes an error of a panic. A file that is damaged under a running
// process shows as one, or as a fault of the memory map; neither may end the
// process.
func guard(fn func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if p := recover(); p != nil {
			text := fmt.Sprint(p)
			err = fmt.Errorf("%w: reading the file: %q", state.ErrCorrupt, text[:min(len(text), 200)])
		}
	}()
	return fn()
}

// get returns a verified payload, valid within the transaction, or nil when
// there is no such key.
func get(tx *bbolt.Tx, bucket string, key []byte) ([]byte, error) {
	value := tx.Bucket([]byte(bucket)).Get(key)
	if value == nil {
		return nil, nil
	}
	return unseal(bucket, key, value)
}

// must is get for a key that something refers to.
func must(tx *bbolt.Tx, bucket string, key []byte) ([]byte, error) {
	payload, err := get(tx, bucket, key)
	if err == nil && payload == nil {
		return nil, damaged(bucket, key, errMissing)
	}
	return payload, err
}

// decoded gives a decoder's error its place.
func decoded[T any](bucket string, key []byte, value T, err error) (T, error) {
	if err != nil {
		var zero T
		return zero, damaged(bucket, key, err)
	}
	return value, nil
}
