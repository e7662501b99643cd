package watcher

import (
	"context"
	"errors"
	"fmt"
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
func (w *Watcher) poll(ctx context.Context, i int32, b *body) time.Duration {
	e, s := &w.Endpoints[i], &w.slots[i]
	t := e.Target
	t.Fresh = s.fresh
	resp, err := w.Fetch.Get(ctx, t, b.buf)
	if ctx.Err() != nil {
		return e.Interval // stopping: what a cancelled fetch says is no observation
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	w.stats.polls.Add(1)
	if err == nil && resp.Status != 200 {
		err = &fetch.Error{Phase: fetch.PhaseStatus, Err: fmt.Errorf("HTTP status %d", resp.Status)}
	}
	if err != nil {
		return w.failure(ctx, e, s, &resp, err, now)
	}
	if cap(resp.Body) > cap(b.buf) {
		b.buf = resp.Body[:0]
	}
	if s.failures > 0 {
		w.Log.Info().Str("endpoint", e.Name).Int("failures", s.failures).Msg("answers again")
	}
	s.failures, s.good = 0, s.good+1
	if !s.attentive && s.known && resp.Key() == s.key {
		w.stats.unchanged.Add(1)
		if s.usable {
			w.good(e, s, now)
		}
		return w.regular(e.Interval)
	}
	return w.answer(ctx, e, s, &resp, now)
}

// good notes a good poll.
func (w *Watcher) good(e *Endpoint, s *slot, at time.Time) {
	s.lastGood = at
	w.seen.note(e.Name, at)
}

// answer judges an answer that is not what the last one was.
func (w *Watcher) answer(ctx context.Context, e *Endpoint, s *slot, resp *fetch.Response, now time.Time) time.Duration {
	set := jwks.Parse(resp.Body)
	w.stats.parses.Add(1)
	if set.Body != nil {
		set.Body = append([]byte(nil), set.Body...) // it may lie in the worker's buffer
	}
	o := rules.Observation{At: now, Set: set, GoodInARow: s.good, Remote: resp.RemoteAddr, MaxAge: resp.MaxAge}
	look, err := w.step(ctx, e, s, o, transport(resp, set))
	if err != nil {
		// Nothing became a baseline: the next poll finds the same again.
		s.known = false
		w.stats.storeErrs.Add(1)
		w.Log.Error().Err(err).Str("endpoint", e.Name).Msg("a step is not stored; polling again")
		return w.retry(e.Interval, 1)
	}
	if set.Usable() {
		w.good(e, s, now)
	}
	s.key, s.known, s.usable = resp.Key(), true, set.Usable()
	return w.next(e, s, look, now)
}

// failure judges a poll without an answer.
func (w *Watcher) failure(ctx context.Context, e *Endpoint, s *slot, resp *fetch.Response, cause error, now time.Time) time.Duration {
	w.stats.failed.Add(1)
	if s.failures == 0 {
		s.since = now
		w.Log.Warn().Err(cause).Str("endpoint", e.Name).Msg("poll failed")
	}
	s.failures, s.good = s.failures+1, 0
	f := &rules.Failure{Phase: string(fetch.PhaseRead), Error: event.Text(cause.Error()), Count: s.failures, Since: s.since}
	if fe, ok := errors.AsType[*fetch.Error](cause); ok {
		f.Phase = string(fe.Phase)
	}
	// Most failures say nothing new: while no claim waits and the row is
	// short, there is nothing to look up. A process that just started does not
	// know yet what waits.
	if s.loaded && !s.attentive && s.failures < rules.UnreachableAfter {
		return w.retry(e.Interval, s.failures)
	}
	o := rules.Observation{At: now, Failure: f}
	if _, err := w.step(ctx, e, s, o, failed(e, resp)); err != nil {
		w.stats.storeErrs.Add(1)
		w.Log.Error().Err(err).Str("endpoint", e.Name).Msg("a failure is not stored; trying again at the next poll")
	}
	return w.retry(e.Interval, s.failures)
}

// next says when to poll again: soon, over a fresh connection, when a second
// look was asked for, but never so often that it becomes a burden.
func (w *Watcher) next(e *Endpoint, s *slot, look time.Duration, now time.Time) time.Duration {
	regular := w.regular(e.Interval)
	if look == 0 {
		return regular
	}
	if now.Sub(s.window) >= time.Minute {
		s.window, s.looks = now, 0
	}
	if s.looks++; s.looks > looksPerMinute {
		return regular
	}
	if w.Look != nil {
		return min(w.Look(look), regular)
	}
	wait := look + time.Duration(w.random()*2*float64(time.Second))
	return max(min(wait, regular), min(look, e.Interval))
}

// step folds the observation into what is remembered and commits what comes of
// it. When another writer was faster it reads and decides again.
func (w *Watcher) step(ctx context.Context, e *Endpoint, s *slot, o rules.Observation, t *event.Transport) (time.Duration, error) {
	ctx = context.WithoutCancel(ctx) // an observation that was made is kept
	for range 3 {
		rec, err := w.Store.Latest(ctx, e.Name)
		if err != nil {
			return 0, fmt.Errorf("reading the record of %s: %w", e.Name, err)
		}
		mem, err := history.Decode(rec.Memory)
		if err != nil {
			return 0, fmt.Errorf("reading the memory of %s: %w", e.Name, err)
		}
		if !s.loaded {
			if s.lastGood, err = w.Store.LastSeen(ctx, e.Name); err != nil {
				return 0, fmt.Errorf("reading when %s was last seen: %w", e.Name, err)
			}
			if mem.Changed.After(s.lastGood) {
				s.lastGood = mem.Changed
			}
			s.loaded = true
		}
		o.After = s.lastGood
		out := rules.Step(w.Book, mem, o, rules.Policy{Endpoint: e.Name, URL: e.Target.URL, Interval: e.Interval, Tier: e.Tier})
		if out.Store {
			txn, err := w.compose(e, rec, mem, out, o, t)
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
			w.stats.commits.Add(1)
			w.stats.events.Add(uint64(len(txn.Events)))
		}
		s.fresh = out.Memory.Pending != nil
		s.attentive = s.fresh || out.Attentive()
		return out.Look, nil
	}
	return 0, fmt.Errorf("committing a step of %s: %w", e.Name, state.ErrConflict)
}
