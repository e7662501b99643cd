package watcher

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/state"
)

// compose makes the transaction of a step: events with their ids and their
// place in the endpoint's chain, and the memory that knows of them.
func (w *Watcher) compose(e *Endpoint, rec state.Record, was *history.Memory, out rules.Outcome, o rules.Observation, t *event.Transport) (state.Txn, error) {
	next := state.Record{
		Endpoint: e.Name, Revision: rec.Revision + 1, At: o.At, Head: rec.Head, Digest: rec.Digest,
	}
	if out.Accepted && o.Set.Usable() {
		next.Digest, next.Body = o.Set.Digest, o.Set.Body
	}
	if next.Head.Epoch != w.IDs.Epoch {
		next.Head = state.Head{Epoch: w.IDs.Epoch} // a new or restored state begins its own chain
	}
	if o.Failure != nil && rec.Evidence != nil && was.Pending != nil && !was.Pending.Told {
		// What is told now was seen in the answer before: its evidence counts.
		if err := json.Unmarshal(rec.Evidence, &t); err != nil {
			return state.Txn{}, fmt.Errorf("stored evidence: %w", err)
		}
	}
	var err error
	if next.Evidence, err = json.Marshal(t); err != nil {
		return state.Txn{}, err
	}
	txn := state.Txn{Prev: rec.Revision}
	c := composer{w: w, e: e, rec: rec, next: &next, was: was, out: out, at: o.At, transport: t}
	for i := range out.Findings {
		entry, err := c.entry(i)
		if err != nil {
			return state.Txn{}, fmt.Errorf("%s: %w", out.Findings[i].Type, err)
		}
		txn.Events = append(txn.Events, entry)
	}
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
	rec       state.Record
	next      *state.Record
	was       *history.Memory
	out       rules.Outcome
	at        time.Time
	transport *event.Transport
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
		Source: event.Source(c.w.Observer.Name, c.e.Name), Type: f.Type.CloudEvent(), Subject: subject, Time: event.At(c.at),
	}
	ev.Data = c.data(i, f, ev.ID)
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
		ID: ev.ID, Type: string(f.Type), Endpoint: c.e.Name, Severity: uint8(f.Severity), At: c.at, JSON: encoded,
	}
	if f.Closing {
		entry.Severity = f.Condition.Severity // passes every filter that its opening passed
	}
	return entry, nil
}

func (c *composer) data(i int, f *rules.Finding, id string) event.Data {
	d := event.Data{
		Event: event.Facts{
			Type: f.Type, Severity: f.Severity, SeverityID: int(f.Severity), Verdict: f.Verdict, Message: f.Message,
			Reasons: f.Reasons, Count: f.Count, Confirmed: f.Confirmed,
			ChangeSet: &event.ChangeSet{
				ID:    c.w.IDs.ChangeSet(c.e.Name, c.next.Revision, c.rec.Digest, c.next.Digest),
				Index: i, Total: len(c.out.Findings),
			},
			Condition: c.condition(i, f, id),
		},
		Endpoint:  c.endpoint(),
		Rules:     []event.Rule{{ID: f.Rule.ID, Title: f.Rule.Title, Severity: f.Base}},
		Judgement: event.Judgement{BaseSeverity: f.Base, Adjustments: f.Adjusted},
		Key:       key(f.Key), PreviousKey: key(f.Previous),
		Change:    f.Change,
		Observed:  &event.Observed{After: event.AtOrNil(f.After), Before: event.At(f.At), Uncertain: c.uncertain(f)},
		Snapshot:  c.snapshots(),
		Transport: c.transport,
		Details:   f.Details,
		Standards: f.Rule.Standards,
		Observer: event.Observer{
			Name: c.w.Observer.Name, Vantage: text(c.w.Observer.Vantage), Version: c.w.Observer.Version,
			ConfigDigest: c.w.Observer.ConfigDigest, RulesDigest: sum(rules.Digest(c.w.Book)),
		},
	}
	for j := range f.Keys { // Encode cuts the list, and says so
		d.Keys = append(d.Keys, *key(&f.Keys[j]))
	}
	if f.Failure != nil {
		d.Failure = &event.Failure{
			Phase: f.Failure.Phase, Error: event.Text(f.Failure.Error), Count: f.Failure.Count, Since: event.At(f.Failure.Since),
		}
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

// uncertain reports whether the change lies in a gap of several polls.
func (c *composer) uncertain(f *rules.Finding) bool {
	return !f.After.IsZero() && f.At.Sub(f.After) > 3*c.e.Interval
}

func (c *composer) endpoint() *event.Endpoint {
	e := c.e
	return &event.Endpoint{
		Name: e.Name, JWKSURI: new(fetch.MaskURL(e.Target.URL)), Tier: e.Tier,
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

// key describes a key without its material, in text that is safe to show.
func key(f *rules.KeyFact) *event.Key {
	if f == nil {
		return nil
	}
	k := &f.Key
	out := &event.Key{
		Kid: event.TextOrNil(k.Kid), Kty: event.TextOrNil(k.Kty), Crv: event.TextOrNil(k.Crv),
		Alg: event.TextOrNil(k.Alg), Use: event.TextOrNil(k.Use),
		FirstSeen: event.AtOrNil(f.FirstSeen), LastSeen: event.AtOrNil(f.LastSeen),
	}
	if k.ID.Kind == jwks.Thumbprint {
		out.Thumbprint = new(k.ID.String())
	}
	if k.Bits > 0 {
		out.Bits = new(k.Bits)
	}
	return out
}

// transport is the evidence of an answer. The hash of a body that held a
// secret would be a hash of the secret.
func transport(r *fetch.Response, set *jwks.Set) *event.Transport {
	t := &event.Transport{
		URL: fetch.MaskURL(r.URL), Status: new(r.Status),
		ETag: event.TextOrNil(r.ETag), CacheControl: event.TextOrNil(r.CacheControl), ContentType: event.TextOrNil(r.ContentType),
		RemoteAddr: text(r.RemoteAddr), TLSVersion: text(r.TLSVersion), LeafIssuer: event.TextOrNil(r.LeafIssuer),
		BodyBytes: new(int64(len(r.Body))), DurationMS: r.Duration.Milliseconds(),
	}
	if r.HasMaxAge {
		t.MaxAgeS = new(int64(r.MaxAge / time.Second))
	}
	if r.HasTLS {
		t.LeafSPKISHA256 = new(hex.EncodeToString(r.LeafSPKI[:]))
	}
	if set != nil && !set.HeldSecret {
		t.BodySHA256 = new(hex.EncodeToString(r.BodySHA256[:]))
	} else {
		t.ETag = nil // of a static file it is a hash of the body too
	}
	return t
}

// failed is the evidence of a poll without an answer.
func failed(e *Endpoint, r *fetch.Response) *event.Transport {
	t := &event.Transport{URL: fetch.MaskURL(e.Target.URL), RemoteAddr: text(r.RemoteAddr), DurationMS: r.Duration.Milliseconds()}
	if r.Status != 0 {
		t.Status = new(r.Status)
	}
	return t
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func sum(b [32]byte) string { return "sha256:" + hex.EncodeToString(b[:]) }
