package watcher

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
	"github.com/jwkswatch/jwkswatch/state"
)

// compose makes the transaction of a step: events with their ids and their
// place in the endpoint's chain, and the memory that knows of them.
func (w *Watcher) compose(s *slot, rec state.Record, was *history.Memory, out rules.Outcome, o rules.Observation, t *event.Transport) (state.Txn, error) {
	e := s.e
	next := state.Record{
		Endpoint: e.Name, Revision: rec.Revision + 1, At: o.At, Head: rec.Head, Digest: rec.Digest,
	}
	if out.Accepted && o.Set.Usable() {
		next.Digest, next.Body = o.Set.Digest, o.Set.Body
	}
	if next.Head.Epoch != w.IDs.Epoch {
		next.Head = state.Head{Epoch: w.IDs.Epoch} // a new or restored state begins its own chain
	}
	var err error
	if next.Evidence, err = json.Marshal(t); err != nil {
		return state.Txn{}, err
	}
	txn := state.Txn{Prev: rec.Revision}
	c := composer{w: w, e: e, by: w.observing(), uri: s.keySet(), rec: rec, next: &next, was: was, out: out, at: o.At, transport: t, own: w.judging()}
	c.set = w.IDs.ChangeSet(e.Name, next.Revision, rec.Digest, next.Digest)
	c.story = w.correlate(e, &out, &o, c.set)
	// What rules that repeat told is stored with the events: after a crash between the
	// two it would hold down what nobody was told.
	c.told = custom.DecodeTold(out.Memory.Told)
	for i := range out.Findings {
		entry, err := c.entry(i)
		if err != nil {
			return state.Txn{}, fmt.Errorf("%s: %w", out.Findings[i].Type, err)
		}
		txn.Events = append(txn.Events, entry)
	}
	out.Memory.Told = c.told.Encode()
	if next.Memory, err = out.Memory.Encode(); err != nil {
		return state.Txn{}, err
	}
	txn.Next = next
	return txn, nil
}

// composer makes the events of one step.
type composer struct {
	w         *Watcher
	e         *Endpoint
	by        *Observer
	uri       string // of the key set, masked; "" when discovery has led to none
	rec       state.Record
	next      *state.Record
	was       *history.Memory
	out       rules.Outcome
	at        time.Time
	transport *event.Transport
	set       string             // id of the change set
	story     *event.Correlation // with other endpoints; nil for none
	own       *operator          // rules: one set for all of the step
	told      *custom.Told
}

// entry makes event i of the step and moves the head of the chain over it.
func (c *composer) entry(i int) (state.Entry, error) {
	f := &c.out.Findings[i]
	subject := f.Subject()
	if subject == "" {
		subject = c.e.Name
	}
	ev := event.Event{
		SpecVersion: event.SpecVersion, DataContentType: event.DataContentType, DataSchema: event.DataSchema,
		ID:     c.w.IDs.Event(c.e.Name, c.next.Revision, c.rec.Digest, c.next.Digest, f.Type, subject, i),
		Source: event.Source(c.by.Name, c.e.Name), Type: f.Type.CloudEvent(), Subject: subject, Time: event.At(c.at),
	}
	ev.Data = c.data(i, f, ev.ID)
	c.own.rules.ApplyAfter(&ev, c.told)
	severity := ev.Data.Event.Severity
	f.Severity = severity // as it is told it is counted
	if f.Condition != nil && !f.Closing {
		f.Condition.Severity = uint8(severity) // its closing passes the same filters
	}
	ev.Data.Integrity = event.Integrity{Stream: c.e.Name, Epoch: c.next.Head.Epoch, Sequence: c.next.Head.Sequence + 1}
	if c.next.Head.Sequence > 0 {
		ev.Data.Integrity.Previous = new(sum(c.next.Head.Hash))
	}
	encoded, err := ev.Encode()
	if err != nil {
		return state.Entry{}, err
	}
	if c.next.Head.Hash, err = event.Hash(encoded); err != nil {
		return state.Entry{}, err
	}
	c.next.Head.Sequence++
	entry := state.Entry{
		ID: ev.ID, Type: string(f.Type), Endpoint: c.e.Name, Severity: uint8(severity), At: c.at, JSON: encoded,
	}
	if f.Closing {
		entry.Severity = f.Condition.Severity // passes every filter that its opening passed
	}
	return entry, nil
}

func (c *composer) data(i int, f *rules.Finding, id string) event.Data {
	d := f.Data()
	d.Event.ChangeSet = &event.ChangeSet{
		ID: c.set, Index: i, Total: len(c.out.Findings),
	}
	d.Event.Correlation = c.story
	d.Event.Condition = c.condition(i, f, id)
	d.Endpoint = c.endpoint()
	d.Observed.Uncertain = c.uncertain(f)
	d.Snapshot = c.snapshots()
	if d.Transport == nil {
		d.Transport = c.transport // else of the answer that first showed it
	}
	d.Observer = event.Observer{
		Name: c.by.Name, Vantage: text(c.by.Vantage), Version: c.by.Version,
		ConfigDigest: c.by.ConfigDigest, RulesDigest: sum(c.own.digest),
	}
	return d
}

// condition names the condition of a finding; one that opens gets its id and
// the event that opened it, which the memory then remembers.
func (c *composer) condition(i int, f *rules.Finding, id string) *event.Condition {
	if f.Condition == nil {
		return nil
	}
	if !f.Closing {
		f.Condition.ID = c.w.IDs.Condition(c.e.Name, c.next.Revision, f.Type, f.Subject(), i)
		f.Condition.OpenedBy = id
	}
	out := &event.Condition{
		ID: f.Condition.ID, State: event.Open, OpenedAt: event.At(f.Condition.OpenedAt), OpenedBy: f.Condition.OpenedBy,
	}
	if f.Closing {
		out.State = event.Closed
	}
	return out
}

// uncertain reports whether the change lies in a gap of several polls, or in one of
// unknown length: the clock was set back meanwhile.
func (c *composer) uncertain(f *rules.Finding) bool {
	return !f.After.IsZero() && (f.At.Sub(f.After) > 3*c.e.Interval || !f.After.Before(f.At))
}

func (c *composer) endpoint() *event.Endpoint {
	e := c.e
	return &event.Endpoint{
		Name: e.Name, Issuer: text(fetch.MaskURL(e.Issuer)), JWKSURI: text(c.uri), Tier: e.Tier,
		Owner: text(e.Owner), Group: text(e.Group), Labels: e.Labels,
	}
}

// snapshots are the sets before and after the step.
func (c *composer) snapshots() *event.Snapshots {
	s := &event.Snapshots{Previous: snapshot(c.was), Current: snapshot(c.out.Memory)}
	if s.Previous == nil && s.Current == nil {
		return nil
	}
	return s
}

func snapshot(m *history.Memory) *event.Snapshot {
	if len(m.Digests) == 0 {
		return nil
	}
	d := m.Digests[len(m.Digests)-1]
	return &event.Snapshot{Digest: sum(d.Sum), Keys: d.Keys, FirstObserved: event.At(d.At)}
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func sum(b [32]byte) string { return "sha256:" + hex.EncodeToString(b[:]) }
