package watcher_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// The ways in which one operation goes wrong.
const (
	failed      = "failed"               // and nothing was done
	persisted   = "failed but persisted" // it was done, and the answer was lost
	half        = "half done"            // of a batch or a list
	crashBefore = "crash before"         // it, and nothing works from then on
	crashAfter  = "crash after"
)

func errFault(what string) error {
	return fmt.Errorf("%w: a fault at %s", state.ErrUnavailable, what)
}

// fault lets operation number at go wrong.
type fault struct {
	at   int // from 1; 0: none
	kind string

	mu      sync.Mutex
	ops     []string // that were begun
	hit     string   // the operation that went wrong
	crashed bool
}

// through runs an operation. part is what half of it would do; nil when it has no
// halves.
func (f *fault) through(name string, do, part func() error) error {
	f.mu.Lock()
	if f.crashed {
		f.mu.Unlock()
		return errFault(name)
	}
	f.ops = append(f.ops, name)
	kind := ""
	if len(f.ops) == f.at {
		f.hit, kind = name, f.kind
		f.crashed = kind == crashBefore
	}
	f.mu.Unlock()
	var err error
	switch {
	case kind == "":
		return do()
	case kind == persisted, kind == crashAfter:
		err = do()
	case kind == half && part != nil:
		err = part()
	}
	if kind == crashAfter {
		f.mu.Lock()
		f.crashed = true
		f.mu.Unlock()
	}
	if err == nil {
		err = errFault(name)
	}
	return err
}

func (f *fault) dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

func (f *fault) revive() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashed = false
}

// failingStore is a real state whose operations go through a fault.
type failingStore struct {
	*bolt.DB
	f *fault
}

var (
	_ state.Store   = failingStore{}
	_ sinks.Journal = failingStore{}
)

func (s failingStore) Latest(ctx context.Context, endpoint string) (r state.Record, err error) {
	err = s.f.through("Latest", func() error { r, err = s.DB.Latest(ctx, endpoint); return err }, nil)
	if err != nil {
		return state.Record{}, err
	}
	return r, nil
}

func (s failingStore) LastSeen(ctx context.Context, endpoint string) (t time.Time, err error) {
	err = s.f.through("LastSeen", func() error { t, err = s.DB.LastSeen(ctx, endpoint); return err }, nil)
	if err != nil {
		return time.Time{}, err
	}
	return t, nil
}

func (s failingStore) Commit(ctx context.Context, t state.Txn) error {
	return s.f.through("Commit", func() error { return s.DB.Commit(ctx, t) }, nil)
}

func (s failingStore) Seen(ctx context.Context, at map[string]time.Time) error {
	return s.f.through("Seen", func() error { return s.DB.Seen(ctx, at) }, nil)
}

func (s failingStore) Snapshots(ctx context.Context, endpoint string) iter.Seq2[state.Record, error] {
	return failingList(s.f, "Snapshots", s.DB.Snapshots(ctx, endpoint))
}

func (s failingStore) Events(ctx context.Context, after string) iter.Seq2[state.Entry, error] {
	return failingList(s.f, "Events", s.DB.Events(ctx, after))
}

// failingList goes wrong before the list, after one of its items, or at its end.
func failingList[T any](f *fault, name string, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stopped := false
		some := func(most int) func() error {
			return func() error {
				n := 0
				for item, err := range list {
					if !yield(item, err) {
						stopped = true
						return nil
					}
					if n++; n == most {
						return nil
					}
				}
				return nil
			}
		}
		if err := f.through(name, some(-1), some(1)); err != nil && !stopped {
			var none T
			yield(none, err)
		}
	}
}

func (s failingStore) Head(ctx context.Context) (head string, err error) {
	err = s.f.through("Head", func() error { head, err = s.DB.Head(ctx); return err }, nil)
	return head, err
}

func (s failingStore) Wait(ctx context.Context, after string) error {
	return s.f.through("Wait", func() error { return s.DB.Wait(ctx, after) }, nil)
}

func (s failingStore) Cursor(ctx context.Context, name string) (position string, ok bool, err error) {
	err = s.f.through("Cursor", func() error { position, ok, err = s.DB.Cursor(ctx, name); return err }, nil)
	if err != nil {
		return "", false, err
	}
	return position, ok, nil
}

func (s failingStore) SetCursor(ctx context.Context, name, position string) error {
	return s.f.through("SetCursor", func() error { return s.DB.SetCursor(ctx, name, position) }, nil)
}

func (s failingStore) Note(ctx context.Context, name string) (note []byte, err error) {
	err = s.f.through("Note", func() error { note, err = s.DB.Note(ctx, name); return err }, nil)
	return note, err
}

func (s failingStore) SetNoted(ctx context.Context, name, position string, note []byte) error {
	return s.f.through("SetNoted", func() error { return s.DB.SetNoted(ctx, name, position, note) }, nil)
}

func (s failingStore) Pending(ctx context.Context, name string) (n uint64, oldest time.Time, err error) {
	err = s.f.through("Pending", func() error { n, oldest, err = s.DB.Pending(ctx, name); return err }, nil)
	return n, oldest, err
}

func (s failingStore) Dropped(ctx context.Context, name string) (n uint64, upTo string, err error) {
	err = s.f.through("Dropped", func() error { n, upTo, err = s.DB.Dropped(ctx, name); return err }, nil)
	return n, upTo, err
}

// failingSink is a real sink whose Send goes through a fault.
type failingSink struct {
	sinks.Sink
	f *fault
}

func (s failingSink) Send(ctx context.Context, batch []state.Entry) (sent int, err error) {
	err = s.f.through("Send",
		func() error { sent, err = s.Sink.Send(ctx, batch); return err },
		func() error { sent, err = s.Sink.Send(ctx, batch[:len(batch)/2]); return err })
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if err != nil && s.f.hit == "Send" && s.f.kind != half {
		sent = 0 // who failed says nothing of what it did
	}
	return sent, err
}
