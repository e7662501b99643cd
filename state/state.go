// Package state keeps what was seen: one record for each endpoint, the journal
// of events and the cursor of each sink. It stores opaque bytes and knows
// nothing of keys or rules. state/bolt is the engine for one node; another
// engine must pass the same conformance suite (state/statetest).
//
// The order of commits is the promise: record, memory and events go in one
// transaction, delivery comes after, and what is delivered are the stored
// bytes, for ever the same.
package state

import (
	"context"
	"errors"
	"iter"
	"time"
)

var (
	// ErrConflict is returned by Commit when the endpoint's revision is not
	// Txn.Prev: read again, decide again.
	ErrConflict = errors.New("state: revision conflict")
	// ErrUnavailable wraps an error after which the same Txn may be committed
	// again: it was not stored, or it was and Commit will then say so.
	ErrUnavailable = errors.New("state: unavailable")
	// ErrCorrupt wraps an error about a stored value that does not match its
	// digest. The value is never returned.
	ErrCorrupt = errors.New("state: stored value is damaged")
	// ErrLocked is returned by an engine's Open when another process, or this
	// one, holds the state.
	ErrLocked = errors.New("state: held by another process or another open")
)

// Record is what is known of one endpoint after a step.
type Record struct {
	Endpoint string
	Revision uint64    // per endpoint, +1 for each Txn; 0 means never seen
	At       time.Time // of the observation
	Head     Head      // of the endpoint's event stream after this step
	Digest   [32]byte  // of the set in Body; zero when no set was ever accepted
	Body     []byte    // redacted document; nil leaves the one before standing
	Memory   []byte    // history's encoding; only the newest is kept
	Evidence []byte    // of the fetch, JSON
}

// Head is the end of an endpoint's hash chain.
type Head struct {
	Epoch    string
	Sequence uint64
	Hash     [32]byte // SHA-256 over the RFC 8785 form of the last event; zero when Sequence is 0
}

// Entry is one event in the journal. JSON is sent as stored.
type Entry struct {
	Position string // private to the engine, set by it; orders by string comparison
	ID       string
	Type     string
	Endpoint string // "" for the agent's own stream
	Severity uint8  // what filters judge by: of a closing event, its opening's
	At       time.Time
	JSON     []byte
}

// Txn is one step of one endpoint.
type Txn struct {
	Prev   uint64 // revision the step was decided on
	Next   Record // Revision is Prev+1
	Events []Entry
}

// Store is what the watcher and the sinks need. All methods are safe for
// concurrent use.
type Store interface {
	// Latest returns the newest record of an endpoint, Body and Memory
	// included; the zero Record when it was never seen.
	Latest(ctx context.Context, endpoint string) (Record, error)
	// LastSeen returns the newest time given to Seen for the endpoint, the
	// zero time when there is none. Times are kept as instants, in UTC.
	LastSeen(ctx context.Context, endpoint string) (time.Time, error)
	// Commit stores the step, all or nothing. A head that already equals Next
	// (revision, Head, Digest and event ids) is success and changes nothing. An
	// event that is in the journal already is not added again; its id with
	// other content is an error. Errors: ErrConflict, ErrUnavailable.
	Commit(ctx context.Context, t Txn) error
	// Seen notes when endpoints were last polled well, in one transaction.
	Seen(ctx context.Context, at map[string]time.Time) error
	// Snapshots yields the stored records of an endpoint, newest first,
	// without Memory.
	Snapshots(ctx context.Context, endpoint string) iter.Seq2[Record, error]
	// Events yields the journal after a position ("" is the beginning) up to
	// the head at the time of the call. Entries are the caller's to keep.
	Events(ctx context.Context, after string) iter.Seq2[Entry, error]
	// Head returns the position of the newest entry, also when retention has
	// dropped it, "" when there never was one.
	Head(ctx context.Context) (string, error)
	// Wait returns when Events would yield an entry after the position, with
	// the context's error, or with ErrUnavailable when the store is closed.
	Wait(ctx context.Context, after string) error
	// Cursor returns the stored position of a sink and whether there is one.
	Cursor(ctx context.Context, name string) (position string, ok bool, err error)
	// SetCursor stores the position of a sink, forwards or back; "" is the
	// beginning.
	SetCursor(ctx context.Context, name, position string) error
	// Note returns what SetNoted stored beside the position of a sink, nil when
	// there is nothing.
	Note(ctx context.Context, name string) ([]byte, error)
	// SetNoted is SetCursor with a note of the sink's own, of at most 64 KiB, in
	// one transaction. SetCursor leaves the note as it is.
	SetNoted(ctx context.Context, name, position string, note []byte) error
	// Close may be called again. After it every method returns an error that
	// wraps ErrUnavailable.
	Close() error
}
