package rules

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Thresholds of how steady answers are, replayed over 146 real issuers.
const (
	flipWithin    = 7 * day  // a second flip within makes an endpoint unstable
	flipsOver     = 90 * day // or the fourth within this time
	flipsSlow     = 4
	unstableLeast = day // the condition lasts at least, and at most
	unstableMost  = 28 * day
	unstableSlow  = 90 * day
	closingPolls  = 3
	storeFlips    = 10 * time.Minute // how often flips alone are worth a write

	day = 24 * time.Hour
)

// resurrection is material that was gone and returns.
type resurrection struct {
	changes []Change
	olderAt time.Time // when the set that came back was first accepted; zero: it equals none
	retired bool
}

// unstable reports whether answers alternate between known sets.
func (s *step) unstable() bool { return s.m.Stability.Phase == history.Unstable }

// settling is the time within which a lagging node or cache may still serve an
// older set.
func (s *step) settling() time.Duration {
	return max(min(15*s.p.Interval, 15*time.Minute), min(2*s.o.MaxAge, 2*time.Hour))
}

// seenBefore returns when the set of the answer was first accepted.
func (s *step) seenBefore(set *jwks.Set) (at time.Time, ok bool) {
	for _, d := range s.m.Digests {
		if d.Sum == set.Digest {
			return d.At, true
		}
	}
	return time.Time{}, false
}

// nothingUnseen reports whether changes bring no identity, binding or value that
// was never seen: the set itself was here before, or all that differs is what
// comes and goes.
func (s *step) nothingUnseen(set *jwks.Set, changes []diff.Change) bool {
	if _, known := s.seenBefore(set); known {
		return true
	}
	return !slices.ContainsFunc(changes, func(c diff.Change) bool {
		return c.Kind != diff.Reappeared && c.Kind != diff.Removed
	})
}

// alternates takes an answer of an unstable endpoint that holds nothing unseen: it
// is counted, and needs no second look.
func (s *step) alternates(x *answer) bool {
	if !s.unstable() || x.empty() || s.unknown(x.flaws) || s.novel(x) || s.closable(x) > 0 {
		return false
	}
	changes := s.claims(x)
	if len(changes) == 0 || !s.nothingUnseen(x.set, changes) {
		return false
	}
	c := s.newCase(x)
	for _, ch := range changes {
		c.Changes = append(c.Changes, Change{Change: ch, Seen: seen(x, nil)})
	}
	c.Seen, c.Keys = seen(x, nil), x.set.Keys
	store := s.out.Store
	accept := s.steady(c, x, changes)
	tells := c.resurrection != nil
	if !tells && s.m.Stability.Last.Sub(s.was.Stability.Last) < storeFlips && !s.was.Stability.Last.IsZero() {
		s.m.Stability = s.was.Stability // this flip alone is not worth a write
		s.out.Store = store
		s.learn(x)
		return true
	}
	accept(func() { s.accept(c, x.set.Keys, x) })
	s.judge(c)
	s.learn(x)
	return true
}

// steady is the state machine of stability. It takes out of a case what is told by
// a condition, or not yet, and returns what accepts the keys: what then is gone
// untold is marked.
func (s *step) steady(c *Case, x *answer, changes []diff.Change) (accept func(func())) {
	st := &s.m.Stability
	accept = func(do func()) { do() }
	back := slices.DeleteFunc(slices.Clone(c.Changes), func(ch Change) bool { return ch.Kind != diff.Reappeared })
	gone := slices.DeleteFunc(slices.Clone(c.Changes), func(ch Change) bool { return ch.Kind != diff.Removed })
	back = slices.DeleteFunc(back, func(ch Change) bool { return s.untold(ch.ID) }) // never gone, as far as was told
	olderAt, known := s.seenBefore(x.set)
	unseen := !s.nothingUnseen(x.set, changes)
	newest := x.set.Digest == st.Newest
	flip := !unseen && (len(back) > 0 || st.Phase != history.Stable && (known || s.returns(c)))
	drop := func(kinds ...diff.Kind) {
		c.Changes = slices.DeleteFunc(c.Changes, func(ch Change) bool { return slices.Contains(kinds, ch.Kind) })
	}
	quietly := func(do func()) {
		do()
		for _, ch := range gone {
			if sight := s.m.Sightings[ch.ID]; sight != nil && !sight.Live() {
				sight.Untold = true
			}
		}
	}
	if slices.ContainsFunc(back, func(ch Change) bool { return s.retired(ch.ID, c.At) }) {
		c.resurrection = &resurrection{changes: back, retired: true}
		if known {
			c.resurrection.olderAt = olderAt
		}
		drop(diff.Reappeared)
		if !unseen {
			drop(diff.Reappeared, diff.Removed) // explained, and nothing more to say
		}
		s.fresh(x)
		if st.Phase == history.Unstable {
			s.count(x, c.At)
			return quietly
		}
		st.Phase = history.Stable
		return accept
	}
	opens, slow := s.unsteady(c.At)
	switch {
	case st.Phase == history.Unstable && flip:
		s.count(x, c.At)
		c.Changes = nil
		return quietly
	case st.Phase == history.Unstable:
		// What was never seen is judged in full; what is gone, when no answer showed
		// it for long.
		st.Newest = x.set.Digest
		drop(diff.Reappeared)
		if c.Replaced == nil {
			drop(diff.Removed)
			return quietly
		}
		return accept
	case !flip:
		// Beside something new what came back is told now, and so is what came back
		// before and was still to be decided.
		if unseen && st.Phase == history.Suspect {
			back = append(back, s.backIn(x)...)
			st.Phase, st.Since, st.Back, st.OlderAt = history.Stable, time.Time{}, nil, time.Time{}
		}
		if len(back) > 0 {
			c.resurrection = &resurrection{changes: back}
			drop(diff.Reappeared)
		}
		s.fresh(x)
		if len(changes) > 0 {
			st.Newest = x.set.Digest
		}
		return accept
	case opens:
		s.opensUnstable(c, x, slow)
		c.Changes = nil
		return quietly
	case st.Phase == history.Suspect && newest:
		// Back at the newest within the time of a rollout.
		st.Phase, st.Settled = history.Stable, c.At.Sub(st.Since)
		s.flips(c.At)
		c.Changes = nil
		return quietly
	case st.Phase == history.Suspect:
		s.flips(c.At)
		c.Changes = nil
		return quietly
	}
	st.Phase, st.Since, st.Back, st.OlderAt = history.Suspect, c.At, nil, time.Time{}
	if known {
		st.OlderAt = olderAt
	}
	for _, ch := range back[:min(len(back), event.MaxKeys)] {
		st.Back = append(st.Back, ch.ID)
	}
	s.flips(c.At)
	c.Changes = nil
	return quietly
}

// returns reports whether an identity comes back, told or not.
func (s *step) returns(c *Case) bool {
	return slices.ContainsFunc(c.Changes, func(ch Change) bool { return ch.Kind == diff.Reappeared })
}

func (s *step) untold(id jwks.Identity) bool {
	sight := s.m.Sightings[id]
	return sight != nil && sight.Untold
}

func (s *step) retired(id jwks.Identity, at time.Time) bool {
	sight := s.m.Sightings[id]
	return sight != nil && !sight.Untold && sight.Retired(at)
}

// fresh notes the newest set, when the phase did not yet know one.
func (s *step) fresh(x *answer) {
	if s.m.Stability.Newest == [32]byte{} {
		s.m.Stability.Newest = x.set.Digest
	}
}

// flips notes one more answer that was not what had just been.
func (s *step) flips(at time.Time) {
	s.m.Flip(at)
	s.out.Store = true
}

// count notes a flip while the condition is open.
func (s *step) count(x *answer, at time.Time) {
	st := &s.m.Stability
	st.Flips++
	if !st.Last.IsZero() {
		st.Longest = max(st.Longest, at.Sub(st.Last))
	}
	st.Last = at
	st.Shown(x.set.Digest, len(x.set.Keys))
	s.flips(at)
}

// lagged notes that two looks at one time differed in what is known.
func (s *step) lagged(c *Case, x *answer) {
	opens, slow := s.unsteady(c.At)
	switch {
	case s.unstable():
		s.count(x, c.At)
	case opens:
		s.opensUnstable(c, x, slow)
	default:
		s.flips(c.At)
	}
}

// family are the keys that an unstable endpoint showed of late and does not now.
func (s *step) family() []jwks.Key {
	var out []jwks.Key
	for _, sight := range s.m.Sightings {
		if sight.Untold && !sight.Live() {
			out = append(out, sight.Key)
		}
	}
	return out
}

// unsteady reports whether one more flip at this time makes the endpoint
// unstable: an earlier one within a week, or the fourth in a quarter. Flips of one
// rollout count once.
func (s *step) unsteady(at time.Time) (yes, slow bool) {
	g := s.settling()
	apart, lastAt := 1, at
	for _, f := range slices.Backward(s.m.Flips) {
		age := at.Sub(f)
		if age >= g && age <= flipWithin {
			return true, false
		}
		if age <= flipsOver && lastAt.Sub(f) >= g {
			apart, lastAt = apart+1, f
		}
	}
	return apart >= flipsSlow, apart >= flipsSlow
}

// opensUnstable opens the condition.
func (s *step) opensUnstable(c *Case, x *answer, slow bool) {
	st := &s.m.Stability
	st.Phase, st.Since, st.Back = history.Unstable, c.At, nil
	st.Flips, st.First, st.Last, st.Longest, st.Shares, st.Slow = 1, c.At, c.At, 0, nil, slow
	for _, f := range slices.Backward(s.m.Flips) {
		if c.At.Sub(f) <= flipWithin {
			st.Flips++
			st.First = f
			st.Longest = max(st.Longest, st.Last.Sub(f))
		}
	}
	for _, d := range s.m.Digests[max(0, len(s.m.Digests)-2):] {
		st.Shown(d.Sum, d.Keys)
	}
	st.Shown(x.set.Digest, len(x.set.Keys))
	st.Opened(c.At, flipsOver)
	s.flips(c.At)
	c.unstable = unstableDetails(st, c.Seen)
}

func unstableDetails(st *history.Stability, seen event.Confirmation) *event.SetUnstableDetails {
	d := &event.SetUnstableDetails{Flips: st.Flips, Since: event.AtOrNil(st.First), Last: event.AtOrNil(st.Last), Sets: []event.SetShare{}, Confirmation: seen}
	for _, h := range st.Shares {
		d.Sets = append(d.Sets, event.SetShare{Digest: "sha256:" + hex.EncodeToString(h.Sum[:]), Keys: h.Keys, Answers: h.Count})
	}
	slices.SortStableFunc(d.Sets, func(a, b event.SetShare) int { return int(b.Answers) - int(a.Answers) })
	return d
}

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

// stabilityPassing judges what time brings: an older state that stays, a condition
// that is over, keys that no answer of an unstable endpoint showed for long, and
// keys that were there for a moment only.
func (s *step) stabilityPassing(x *answer) {
	st := &s.m.Stability
	switch {
	case st.Phase == history.Suspect && s.o.At.Sub(st.Since) >= s.settling() && s.m.Pending == nil:
		s.settles(x)
	case st.Phase == history.Unstable && s.o.At.Sub(st.Last) >= s.calm() && s.o.GoodInARow >= closingPolls:
		s.calms(x)
	case st.Phase == history.Unstable:
		s.missing(x, max(day, 10*s.p.Interval))
	}
	s.moments(x)
}

// settles ends the phase Suspect: either the newest set is back, or the older one
// stays.
func (s *step) settles(x *answer) {
	st := &s.m.Stability
	back, olderAt := st.Back, st.OlderAt
	st.Phase, st.Since, st.Back, st.OlderAt = history.Stable, time.Time{}, nil, time.Time{}
	s.out.Store = true
	if x.set.Digest == st.Newest {
		s.tellMissing(x, nil)
		return
	}
	st.Newest = x.set.Digest
	c := s.passingCase(x)
	st.Back = back
	if changes := s.backIn(x); len(changes) > 0 {
		c.resurrection = &resurrection{olderAt: olderAt, changes: changes}
	}
	st.Back = nil
	for _, sight := range s.m.Sightings {
		sight.Untold = false // explained by the return
	}
	s.judge(c)
}

// backIn are the keys of the answer that came back when the phase Suspect began.
func (s *step) backIn(x *answer) []Change {
	var out []Change
	for _, m := range diff.Group(x.set.Keys) {
		if slices.Contains(s.m.Stability.Back, m.ID) {
			out = append(out, Change{Change: diff.Change{Kind: diff.Reappeared, ID: m.ID, Material: m}, Seen: seen(x, nil)})
		}
	}
	return out
}

// calms closes the condition.
func (s *step) calms(x *answer) {
	st := &s.m.Stability
	st.Phase, st.Since, st.Newest = history.Stable, time.Time{}, x.set.Digest
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
	s.tellMissing(x, func(sight *history.Sighting) bool { return s.o.At.Sub(sight.LastSeen) < long })
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
		m := diff.Group([]jwks.Key{sight.Key})[0]
		c.Changes = append(c.Changes, Change{
			Change: diff.Change{Kind: diff.Removed, ID: m.ID, Material: m, Was: &m},
			Seen:   c.Seen, When: When{sight.LastSeen, s.o.At},
		})
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
		sooner(st.Last.Add(s.calm()))
		for _, sight := range s.m.Sightings {
			if sight.Untold && !sight.Live() {
				sooner(sight.LastSeen.Add(max(day, 10*s.p.Interval)))
			}
		}
	}
	return next
}
