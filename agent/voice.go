// Package agent speaks of the agent itself: that it watches, that it does not,
// what it watches, and when it is blind. What it says are events like all
// others, on a stream of their own, event.AgentStream, committed before they
// are delivered.
package agent

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// Voice commits what the agent says. It is safe for concurrent use; there must
// be one for a state, as there is one daemon.
type Voice struct {
	Store    state.Store
	IDs      event.Identifier
	Observer func() event.Observer // as of now: it changes with the configuration
	Log      zerolog.Logger        // operations
	// Amend lets the operator's rules have the last word; nil leaves what is said.
	Amend func(*event.Event)

	mu   sync.Mutex // held while a word is stored, which a disk that hangs may never end
	mem  *memory    // as of the last commit; nil: to be read
	lost *bolt.Loss // that this process told of

	shown  sync.Mutex // holds what others read at any time
	open   []string   // codes of the conditions
	counts map[watcher.EventCount]uint64
}

// word is one event to be said.
type word struct {
	typ      event.Type
	severity event.Severity
	base     event.Severity // before Adjustments; 0 means severity
	adjusted []event.Adjustment
	rule     string // "" means the one that has the name of the type
	verdict  event.Verdict
	message  string
	reasons  []string
	details  any
	opens    *condition // in the new memory; its ids are given when it is said
	closes   *condition
	always   bool // passes every filter of severity
	drill    *drill
}

// EventCounts returns how many events of each kind were said since the start.
func (v *Voice) EventCounts() map[watcher.EventCount]uint64 {
	v.shown.Lock()
	defer v.shown.Unlock()
	return maps.Clone(v.counts)
}

// Open returns the codes of the agent's open conditions, as far as something was
// said or looked at since the start.
func (v *Voice) Open() []string {
	v.shown.Lock()
	defer v.shown.Unlock()
	return append([]string{}, v.open...)
}

// knows notes the memory that was read or stored, and the words that it knows of.
func (v *Voice) knows(m *memory, words []word) {
	v.mem = m
	v.shown.Lock()
	defer v.shown.Unlock()
	v.open = nil
	for _, c := range m.Conditions {
		v.open = append(v.open, c.Code)
	}
	if v.counts == nil {
		v.counts = map[watcher.EventCount]uint64{}
	}
	for _, w := range words {
		v.counts[watcher.EventCount{Type: w.typ, Severity: w.severity}]++
	}
}

// say lets decide change a copy of the memory and commits it with the words
// that come of it. Without words nothing is committed, unless decide asks for
// it. When another writer was faster, decide is asked again.
func (v *Voice) say(ctx context.Context, at time.Time, decide func(*memory) (words []word, store bool)) error {
	return v.record(ctx, at, nil, decide)
}

// record is say with what is watched, which stands as the body of the agent's
// record; nil leaves it as it is.
func (v *Voice) record(ctx context.Context, at time.Time, coverage []byte, decide func(*memory) (words []word, store bool)) error {
	ctx = context.WithoutCancel(ctx) // what was seen is said
	v.mu.Lock()
	defer v.mu.Unlock()
	for range 3 {
		if v.mem != nil { // most ticks say nothing, and need not read the state for it
			if words, store := decide(v.mem.clone()); len(words) == 0 && !store {
				return nil
			}
		}
		rec, err := v.Store.Latest(ctx, event.AgentStream)
		if err != nil {
			return fmt.Errorf("reading the record of the agent: %w", err)
		}
		read, err := decodeMemory(rec.Memory)
		if err != nil {
			v.mem = nil
			return err
		}
		v.knows(read, nil)
		m := read.clone()
		words, store := decide(m)
		if len(words) == 0 && !store {
			return nil
		}
		txn, err := v.compose(rec, m, words, at.UTC().Truncate(time.Millisecond))
		if err != nil {
			return err
		}
		txn.Next.Body = coverage
		switch err := v.Store.Commit(ctx, txn); {
		case errors.Is(err, state.ErrConflict):
			v.mem = nil
			continue
		case err != nil:
			v.mem = nil
			return fmt.Errorf("committing what the agent says: %w", err)
		}
		v.knows(m, words)
		return nil
	}
	return fmt.Errorf("committing what the agent says: %w", state.ErrConflict)
}

// compose makes the transaction: the words with their place in the chain, and
// the memory that knows of them.
func (v *Voice) compose(rec state.Record, m *memory, words []word, at time.Time) (state.Txn, error) {
	next := state.Record{
		Endpoint: event.AgentStream, Revision: rec.Revision + 1, At: at, Head: rec.Head, Evidence: []byte("{}"),
	}
	if next.Head.Epoch != v.IDs.Epoch {
		next.Head = state.Head{Epoch: v.IDs.Epoch} // a new or restored state begins its own chain
	}
	txn := state.Txn{Prev: rec.Revision}
	for i := range words {
		entry, err := v.entry(&next, &words[i], i, len(words), at)
		if err != nil {
			return state.Txn{}, fmt.Errorf("%s: %w", words[i].typ, err)
		}
		txn.Events = append(txn.Events, entry)
	}
	var err error
	if next.Memory, err = json.Marshal(m); err != nil {
		return state.Txn{}, fmt.Errorf("memory of the agent: %w", err)
	}
	txn.Next = next
	return txn, nil
}

// entry makes one event and moves the head of the chain over it.
func (v *Voice) entry(next *state.Record, w *word, i, total int, at time.Time) (state.Entry, error) {
	var none [32]byte
	ev := event.Event{
		ID:     v.IDs.Event(event.AgentStream, next.Revision, none, none, w.typ, event.AgentStream, i),
		Source: event.Source(v.Observer().Name, event.AgentStream), Subject: event.AgentStream, Time: event.At(at),
	}
	ev.Data = event.Data{
		Event: event.Facts{
			Type: w.typ, Severity: w.severity, Verdict: w.verdict, Message: w.message, Reasons: w.reasons, Count: 1, Confirmed: true,
			ChangeSet: &event.ChangeSet{ID: v.IDs.ChangeSet(event.AgentStream, next.Revision, none, none), Index: i, Total: total},
			Condition: v.condition(next.Revision, w, ev.ID, i),
		},
		Rules:     []event.Rule{ruleOf(w)},
		Judgement: event.Judgement{BaseSeverity: cmp.Or(w.base, w.severity), Adjustments: w.adjusted},
		Details:   w.details,
		Standards: standards(w.typ),
		Observer:  v.Observer(),
		Integrity: event.Integrity{Stream: event.AgentStream, Epoch: next.Head.Epoch, Sequence: next.Head.Sequence + 1},
	}
	if next.Head.Sequence > 0 {
		ev.Data.Integrity.Previous = new("sha256:" + hex.EncodeToString(next.Head.Hash[:]))
	}
	if w.drill != nil {
		w.drill.mark(&ev)
	}
	if v.Amend != nil && !w.always {
		v.Amend(&ev)
	}
	severity := ev.Data.Event.Severity
	w.severity = severity // as it is said it is counted
	if w.opens != nil {
		w.opens.Severity = uint8(severity)
	}
	encoded, err := ev.Encode()
	if err != nil {
		return state.Entry{}, err
	}
	if next.Head.Hash, err = event.Hash(encoded); err != nil {
		return state.Entry{}, err
	}
	next.Head.Sequence++
	entry := state.Entry{ID: ev.ID, Type: string(w.typ), Severity: uint8(severity), At: at, JSON: encoded}
	switch {
	case w.always:
		// Filters judge by Entry.Severity, and nobody reads it else: with the
		// highest a heartbeat passes min_severity and is still informational.
		entry.Severity = uint8(event.SeverityCritical)
	case w.closes != nil:
		entry.Severity = w.closes.Severity // passes every filter that its opening passed
	}
	return entry, nil
}

// condition names the condition of a word; one that opens gets its id here.
func (v *Voice) condition(revision uint64, w *word, id string, i int) *event.Condition {
	switch {
	case w.opens != nil:
		c := w.opens
		c.ID, c.OpenedBy = v.IDs.Condition(event.AgentStream, revision, w.typ, event.AgentStream, i), id
		return &event.Condition{ID: c.ID, State: event.Open, OpenedAt: event.At(c.OpenedAt), OpenedBy: c.OpenedBy}
	case w.closes != nil:
		c := w.closes
		return &event.Condition{ID: c.ID, State: event.Closed, OpenedAt: event.At(c.OpenedAt), OpenedBy: c.OpenedBy}
	}
	return nil
}
