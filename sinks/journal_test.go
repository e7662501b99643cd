package sinks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

// journal is a Journal in memory. It stands in for an engine: the engines have
// a conformance suite of their own, and what is tested here is on this side of
// the interface.
type journal struct {
	mu      sync.Mutex
	entries []state.Entry
	cursors map[string]string
	notes   map[string][]byte
	saves   []time.Time // of SetCursor
	grown   chan struct{}
	corrupt string // position of an entry that is damaged
	fail    error  // of SetCursor
}

func newJournal(entries ...state.Entry) *journal {
	j := &journal{cursors: map[string]string{}, grown: make(chan struct{})}
	j.add(entries...)
	return j
}

func (j *journal) add(entries ...state.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		e.Position = fmt.Sprintf("%09d", len(j.entries)+1)
		j.entries = append(j.entries, e)
	}
	close(j.grown)
	j.grown = make(chan struct{})
}

func (j *journal) Events(ctx context.Context, after string) iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) {
		j.mu.Lock()
		entries := j.entries
		j.mu.Unlock()
		for _, e := range entries {
			if ctx.Err() != nil {
				yield(state.Entry{}, ctx.Err())
				return
			}
			if e.Position <= after {
				continue
			}
			var err error
			if e.Position == j.corrupt {
				e, err = state.Entry{Position: e.Position}, state.ErrCorrupt
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (j *journal) Head(context.Context) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) == 0 {
		return "", nil
	}
	return j.entries[len(j.entries)-1].Position, nil
}

func (j *journal) Wait(ctx context.Context, after string) error {
	for {
		head, _ := j.Head(ctx)
		j.mu.Lock()
		grown := j.grown
		j.mu.Unlock()
		if now, _ := j.Head(ctx); now > after {
			return nil
		} else if now != head {
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (j *journal) Cursor(_ context.Context, name string) (string, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p, ok := j.cursors[name]
	return p, ok, nil
}

func (j *journal) SetCursor(ctx context.Context, name, position string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := errors.Join(j.fail, ctx.Err()); err != nil {
		return err
	}
	j.cursors[name] = position
	j.saves = append(j.saves, time.Now())
	return nil
}

func (j *journal) Note(_ context.Context, name string) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.notes[name], nil
}

func (j *journal) SetNoted(ctx context.Context, name, position string, note []byte) error {
	if err := j.SetCursor(ctx, name, position); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.notes == nil {
		j.notes = map[string][]byte{}
	}
	j.notes[name] = note
	return nil
}

func (j *journal) Pending(ctx context.Context, name string) (n uint64, oldest time.Time, err error) {
	after, _, _ := j.Cursor(ctx, name)
	for range j.Events(ctx, after) {
		n++
	}
	return n, oldest, nil
}

// Dropped is nothing: retention is the engine's, and bolt's own tests.
func (j *journal) Dropped(context.Context, string) (uint64, string, error) { return 0, "", nil }

func (j *journal) cursor(name string) string {
	p, _, _ := j.Cursor(context.Background(), name)
	return p
}

// at is the position of entry i, from 0.
func (j *journal) at(i int) string { return fmt.Sprintf("%09d", i+1) }
