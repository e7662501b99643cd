package rules

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// calm is how long the condition stays open without a flip.
func (s *step) calm() time.Duration {
	st := &s.m.Stability
	if st.Slow {
		return unstableSlow
	}
	c := min(max(10*st.Longest, unstableLeast), unstableMost)
	for _, t := range st.Openings[:max(0, len(st.Openings)-1)] {
		if st.Since.Sub(t) <= flipsOver {
			c = min(2*c, unstableMost)
		}
	}
	return c
}

// sighted holds the clocks for the time in which there was no good poll: what
// nobody looked for may have been there.
func (s *step) sighted() {
	gap := history.Span{From: s.o.After, To: s.o.At}
	if gap.From.IsZero() || gap.To.Sub(gap.From) <= uncertainAfter*s.p.Interval {
		return
	}
	if s.unstable() {
		s.m.Stability.Missed(gap, gap.To.Add(-unstableSlow))
		s.out.Store = true
	}
	for i := range s.m.Waiting {
		s.m.Waiting[i].Due = s.m.Waiting[i].Due.Add(gap.To.Sub(gap.From))
		s.out.Store = true
	}
}

// watched is for how long there were good polls since.
func (s *step) watched(since time.Time) time.Duration {
	return s.o.At.Sub(since) - s.m.Stability.Blind(since)
}

// stabilityPassing judges what time brings: an older state that stays, a condition
// that is over, keys that no answer of an unstable endpoint showed for long, and
// keys that were there for a moment only.
func (s *step) stabilityPassing(x *answer) {
	st := &s.m.Stability
	switch {
	case st.Phase == history.Suspect && s.o.At.Sub(st.Since) >= s.settling() && s.m.Pending == nil:
		s.settles(x)
	case st.Phase == history.Unstable && s.watched(st.Last) >= s.calm() && s.o.GoodInARow >= closingPolls:
		s.calms(x)
	case st.Phase == history.Unstable:
		s.missing(x, max(day, 10*s.p.Interval))
	case st.Phase == history.Stable && s.m.Pending == nil:
		s.tellMissing(x, nil) // what an answer that was no set could not tell
	}
	s.moments(x)
}

// settles ends the phase Suspect: either the newest set is back, or the older one
// stays.
func (s *step) settles(x *answer) {
	st := &s.m.Stability
	olderAt := st.OlderAt
	changes := s.backIn(x, x.set.Keys)
	st.Settle()
	s.out.Store = true
	s.explained()
	if x.set.Digest == st.Newest {
		return
	}
	st.Newest = x.set.Digest
	c := s.passingCase(x)
	if len(changes) > 0 {
		c.resurrection = &resurrection{olderAt: olderAt, changes: changes}
	}
	s.judge(c)
}

// backIn are the keys of the answer that came back when the phase Suspect began.
func (s *step) backIn(x *answer, keys []jwks.Key) []Change {
	var out []Change
	for _, m := range diff.Group(keys) {
		if slices.Contains(s.m.Stability.Back, m.ID) {
			out = append(out, Change{Change: diff.Change{Kind: diff.Reappeared, ID: m.ID, Material: m}, Seen: seen(x, nil)})
		}
	}
	return out
}

// calms closes the condition.
func (s *step) calms(x *answer) {
	st := &s.m.Stability
	st.Settle()
	st.Newest = x.set.Digest
	c := s.passingCase(x)
	if open := s.open(event.SetUnstable); open != nil {
		// Structs of texts and numbers always encode.
		open.Details, _ = json.Marshal(unstableDetails(st, c.Seen))
		s.close(c, event.SetUnstable)
	}
	s.out.Store = true
	s.judge(c)
	s.tellMissing(x, nil)
}

// missing tells of keys that no answer showed for so long.
func (s *step) missing(x *answer, long time.Duration) {
	s.tellMissing(x, func(sight *history.Sighting) bool { return s.watched(sight.LastSeen) < long })
}

// tellMissing tells of removals that were not told, but for those to be spared.
func (s *step) tellMissing(x *answer, spare func(*history.Sighting) bool) {
	var c *Case
	var gone []*history.Sighting
	for _, sight := range s.m.Sightings {
		if sight.Untold && !sight.Live() && (spare == nil || !spare(sight)) {
			gone = append(gone, sight)
		}
	}
	slices.SortFunc(gone, func(a, b *history.Sighting) int {
		return a.GoneBy.Compare(b.GoneBy)*2 + slices.Compare(a.Key.ID.Sum[:], b.Key.ID.Sum[:])
	})
	for _, sight := range gone {
		if c == nil {
			c = s.passingCase(x)
		}
		sight.Untold = false
		c.Changes = append(c.Changes, removed(sight, Change{Seen: c.Seen, When: When{sight.LastSeen, s.o.At}}))
	}
	if c != nil {
		s.out.Store = true
		s.judge(c)
	}
}

// passingCase is a case about what an answer does not change.
func (s *step) passingCase(x *answer) *Case {
	c := s.newCase(x)
	c.aside = true
	c.When = When{s.o.After, s.o.At}
	c.Seen = event.Confirmation{Attempts: 1, Agreed: 1, Addresses: addresses(x)}
	return c
}

// stabilityReview is when time alone will bring something.
func (s *step) stabilityReview() time.Time {
	st := &s.m.Stability
	next := s.momentsReview()
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	switch st.Phase {
	case history.Suspect:
		sooner(st.Since.Add(s.settling()))
	case history.Unstable:
		sooner(st.Last.Add(s.calm() + st.Blind(st.Last)))
		for _, sight := range s.m.Sightings {
			if sight.Untold && !sight.Live() {
				sooner(sight.LastSeen.Add(max(day, 10*s.p.Interval) + st.Blind(sight.LastSeen)))
			}
		}
	}
	return next
}
