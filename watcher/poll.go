package watcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/state"
)

// body is a worker's buffer, used again for each poll.
type body struct{ buf []byte }

// poll takes one endpoint from the network to the journal and returns the time
// to its next poll.
func (w *Watcher) poll(ctx context.Context, s *slot, b *body) time.Duration {
	e := s.e
	l := look{target: e.Target, same: true}
	if e.Issuer != "" {
		if err := w.discover(ctx, s, b, &l); err != nil {
			return w.unstored(s, err, "the last key set is not known; polling again")
		}
	}
	var resp fetch.Response
	err := l.lost
	if l.resp != nil {
		resp = *l.resp
	}
	if err == nil && ctx.Err() == nil {
		l.target.Fresh = s.fresh
		resp, err = w.Fetch.Get(ctx, l.target, b.buf)
	}
	if ctx.Err() != nil {
		return e.Interval // stopping: what a cancelled fetch says is no observation
	}
	now := w.now()
	w.stats.polls.Add(1)
	if err == nil && resp.Status != http.StatusOK {
		err = statusError(resp.Status)
	}
	s.recent.note(err != nil)
	if err != nil {
		return w.failure(ctx, s, &l, &resp, err, now)
	}
	b.keep(resp.Body)
	if s.row != nil {
		w.Log.Info().Str("endpoint", e.Name).Int("failures", s.row.Count).Msg("answers again")
	}
	s.good++
	if !s.attentive && s.known && l.same && !s.marked.Load() && !s.reviewDue(now) && !s.found.some.Load() && resp.Key() == s.key {
		w.stats.unchanged.Add(1)
		s.polled(now, &l, nil, s.usable)
		if s.usable {
			w.seen.note(e.Name, now)
		}
		return w.regular(e.Interval)
	}
	return w.answer(ctx, s, &l, &resp, now)
}

// look is one poll on its way.
type look struct {
	target fetch.Target     // the key set to ask
	used   string           // its URL, masked; set with facts
	facts  *rules.Discovery // nil without discovery
	// same says that discovery is what it was when the last answer was judged.
	same bool
	// lost says why discovery led to no key set. Then resp is its answer, or
	// evidence that of a document which must not be believed.
	lost     error
	resp     *fetch.Response
	evidence *event.Transport
}

// keep makes a larger buffer that a fetch had to make the worker's.
func (b *body) keep(buf []byte) {
	if cap(buf) > cap(b.buf) {
		b.buf = buf[:0]
	}
}

// answer judges an answer that is not what the last one was.
func (w *Watcher) answer(ctx context.Context, s *slot, l *look, resp *fetch.Response, now time.Time) time.Duration {
	set := jwks.Parse(resp.Body)
	w.stats.parses.Add(1)
	if set.Body != nil {
		set.Body = append([]byte(nil), set.Body...) // it may lie in the worker's buffer
	}
	s.marked.Store(false) // before the look at the others: what comes after it marks again
	if s.views != nil {
		s.views.maxAge = resp.MaxAge
	}
	f := facts(l, resp, set)
	o := rules.Observation{
		At: now, Set: set, GoodInARow: int(s.good), Remote: resp.RemoteAddr, MaxAge: resp.MaxAge, Facts: f,
	}
	if s.way != nil {
		o.DiscoveredInARow = s.way.found
	}
	again, err := w.step(ctx, s, o, f.Evidence)
	if err != nil {
		// Nothing became a baseline: the next poll finds the same again.
		s.known = false
		s.polled(now, l, nil, false)
		return w.unstored(s, err, "a step is not stored; polling again")
	}
	s.trouble("", false, now)
	if set.Usable() {
		w.seen.note(s.e.Name, now)
		s.holds(len(set.Keys))
	}
	s.polled(now, l, nil, set.Usable())
	s.key, s.known, s.usable = resp.Key(), true, set.Usable()
	if s.way != nil {
		s.way.judged()
	}
	return w.next(s, again)
}

// failure judges a poll without an answer.
func (w *Watcher) failure(ctx context.Context, s *slot, l *look, resp *fetch.Response, cause error, now time.Time) time.Duration {
	w.stats.failed.Add(1)
	if s.row == nil {
		w.Log.Warn().Err(cause).Str("endpoint", s.e.Name).Msg("poll failed")
	}
	f := w.fault(ctx, s, s.row, &l.target, resp, cause, now)
	if l.lost != nil {
		f.Phase = phaseDiscovery
	}
	if l.evidence != nil {
		f.Evidence = l.evidence
	}
	s.good = 0
	s.polled(now, l, f, false)
	// Most failures say nothing new: while no claim waits and the row is
	// short, there is nothing to look up. A process that just started does not
	// know yet what waits.
	if s.loaded && !s.attentive && l.same && f.Code == "" && f.Count < rules.UnreachableAfter && !s.recent.counts().Intermittent() {
		return w.retry(s.e.Interval, f.Count)
	}
	o := rules.Observation{At: now, Failure: f}
	if l.facts != nil {
		o.Facts = &rules.Facts{Evidence: f.Evidence, Discovery: l.facts}
		o.DiscoveredInARow = s.way.found
	}
	wait := w.retry(s.e.Interval, f.Count)
	again, err := w.step(ctx, s, o, f.Evidence)
	if err != nil {
		w.unstored(s, err, "a failure is not stored; trying again at the next poll")
		return wait
	}
	s.trouble("", false, now)
	if s.way != nil {
		s.way.judged()
	}
	if again > 0 {
		wait = min(wait, w.next(s, again))
	}
	return wait
}

// unstored reports a store that failed and returns the time to the next poll. What is
// damaged is damaged for this endpoint alone: the state takes what it is given. The log
// has each trouble once, or a disk that is full would fill it.
func (w *Watcher) unstored(s *slot, err error, what string) time.Duration {
	damaged := errors.Is(err, state.ErrCorrupt)
	if !damaged {
		w.stats.unstored(err)
	}
	if s.trouble(event.Text(err.Error()), damaged, w.now()) {
		w.Log.Error().Err(err).Str("endpoint", s.e.Name).Msg(what)
	}
	return w.retry(s.e.Interval, 1)
}

// next says when to poll again: soon, over a fresh connection, when a second
// look was asked for, but never so often that it becomes a burden.
func (w *Watcher) next(s *slot, look time.Duration) time.Duration {
	regular := w.regular(s.e.Interval)
	if look == 0 {
		return regular
	}
	if begun := time.Now(); begun.Sub(s.window) >= time.Minute { // monotonic
		s.window, s.looks = begun, 0
	}
	if s.looks++; s.looks > looksPerMinute {
		return regular
	}
	if w.Look != nil {
		return min(w.Look(look), regular)
	}
	wait := look + time.Duration(w.random()*2*float64(time.Second))
	return max(min(wait, regular), min(look, s.e.Interval))
}

// step folds the observation into what is remembered and commits what comes of
// it. When another writer was faster it reads and decides again.
func (w *Watcher) step(ctx context.Context, s *slot, o rules.Observation, t *event.Transport) (time.Duration, error) {
	ctx = context.WithoutCancel(ctx) // an observation that was made is kept
	e := s.e
	policy := rules.Policy{
		Endpoint: e.Name, URL: w.identity(e.Target.URL), Issuer: e.Issuer, Site: e.site, Interval: e.Interval, Tier: e.Tier,
		Degraded: w.degraded.Load(), Group: e.Group, MaxEvents: e.MaxEvents, EachAddress: e.EachAddress, Expect: e.Expect, Windows: e.Windows, Approvals: e.Approvals, Compromised: e.Compromised,
	}
	o.Health = s.found.take()
	stored := false
	defer func() {
		if !stored {
			s.found.add(o.Health, true)
		}
	}()
	for range 3 {
		rec, mem, err := w.remembered(ctx, e)
		if err != nil {
			return 0, err
		}
		if err := w.load(ctx, s, mem); err != nil {
			return 0, err
		}
		o.After, o.Peers, o.Recent, o.Views = s.lastGood, w.peers.seenBy(e.Name), s.recent.counts(), s.views.seen()
		if o.After.After(o.At) { // the clock was set back: how long ago it was nobody knows
			o.After = o.At
		}
		out := rules.Step(w.Book, mem, o, policy)
		returned(&out, o)
		if out.Store {
			txn, err := w.compose(s, rec, mem, out, o, t)
			if err != nil {
				return 0, fmt.Errorf("composing the events of %s: %w", e.Name, err)
			}
			err = w.Store.Commit(ctx, txn)
			if errors.Is(err, state.ErrConflict) {
				continue
			}
			if err != nil {
				return 0, fmt.Errorf("committing revision %d of %s: %w", txn.Next.Revision, e.Name, err)
			}
			w.stats.committed(out.Findings)
			w.judgeAgain(w.peers.put(e.Name, out.Memory, false))
		}
		stored = true
		s.opened(out.Memory.Windowed)
		w.toExamine(s, o.Set, out.Memory)
		s.fresh = out.Memory.Pending != nil
		s.attentive = s.fresh || out.Attentive()
		s.review = out.Review
		return out.Look, nil
	}
	return 0, fmt.Errorf("committing a step of %s: %w", e.Name, state.ErrConflict)
}

// remembered reads the record of an endpoint and the memory in it.
func (w *Watcher) remembered(ctx context.Context, e *Endpoint) (state.Record, *history.Memory, error) {
	rec, err := w.Store.Latest(ctx, e.Name)
	if err != nil {
		return rec, nil, fmt.Errorf("reading the record of %s: %w", e.Name, err)
	}
	mem, err := history.Decode(rec.Memory)
	if err != nil {
		return rec, nil, fmt.Errorf("reading the memory of %s: %w", e.Name, err)
	}
	if mem.URL == e.Target.URL {
		mem.URL = w.identity(mem.URL) // as an earlier version stored it
	}
	return rec, mem, nil
}

// load reads once when the endpoint was last polled well.
func (w *Watcher) load(ctx context.Context, s *slot, mem *history.Memory) error {
	if s.loaded {
		return nil
	}
	at, err := w.Store.LastSeen(ctx, s.e.Name)
	if err != nil {
		return fmt.Errorf("reading when %s was last seen: %w", s.e.Name, err)
	}
	for _, t := range []time.Time{mem.Changed, w.seen.last(s.e.Name)} {
		if t.After(at) {
			at = t
		}
	}
	s.loaded = true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastGood = at
	return nil
}
