package rules

import (
	"crypto/sha256"
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
	// What only one of two looks showed was seen all the same, whatever set the other
	// one is.
	if slices.ContainsFunc(changes, func(c diff.Change) bool {
		return c.Kind == diff.Added || c.Kind == diff.Mutated || c.Kind == diff.KidReused
	}) {
		return false
	}
	if _, known := s.seenBefore(set); known {
		return !slices.ContainsFunc(changes, s.newPlace)
	}
	return !slices.ContainsFunc(changes, func(c diff.Change) bool {
		return c.Kind != diff.Reappeared && c.Kind != diff.Removed
	})
}

// newPlace reports whether an alteration beside the digest of a set, of whom a key
// serves or where its certificates are, is to a value that it never had.
func (s *step) newPlace(ch diff.Change) bool {
	return slices.ContainsFunc(places(ch), func(v [8]byte) bool { return !slices.Contains(s.m.Stability.Places, v) })
}

// places are the values that such an alteration goes to.
func places(ch diff.Change) (to [][8]byte) {
	for _, f := range ch.Fields {
		if ch.Kind == diff.Altered && (f.Name == "issuer" || f.Name == "x5u") {
			to = append(to, placeOf(ch.ID, f.Name, f.After))
		}
	}
	return to
}

func placeOf(id jwks.Identity, member string, values []string) [8]byte {
	sum := sha256.Sum256([]byte(history.FlawID(append([]string{string(id.Sum[:]), member}, values...)...)))
	return [8]byte(sum[:])
}

// alternates takes an answer of an unstable endpoint that holds nothing unseen: it
// is counted, and needs no second look.
func (s *step) alternates(x *answer) bool {
	if !s.unstable() || s.unknown(x.flaws) || s.novel(x) || s.closable(x) > 0 {
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
	if s.o.At.Sub(s.m.Stability.Last) < storeFlips && !slices.ContainsFunc(changes, func(ch diff.Change) bool { return s.retired(ch.ID, c.At) }) {
		s.learn(x) // one more flip is not worth a write
		return true
	}
	c.Seen, c.Keys = seen(x, nil), x.set.Keys
	accept := s.steady(c, x, changes)
	accept(func() { s.accept(c, x.set.Keys, x) })
	s.judge(c)
	s.learn(x)
	return true
}

// turn is one step as the machine of stability sees it.
type turn struct {
	c          *Case
	x          *answer
	back, gone []Change
	olderAt    time.Time // when the set of the answer was first accepted; zero: never
	changed    bool
	unseen     bool // it brings what was never seen
	flip       bool // it brings nothing unseen, and what it is has been before
}

func (s *step) turn(c *Case, x *answer, changes []diff.Change) *turn {
	t := &turn{c: c, x: x, changed: len(changes) > 0, unseen: !s.nothingUnseen(x.set, changes)}
	returns := false
	for _, ch := range c.Changes {
		switch ch.Kind {
		case diff.Removed:
			t.gone = append(t.gone, ch)
		case diff.Reappeared:
			returns = true
			if !s.untold(ch.ID) { // else it never went, as far as was told
				t.back = append(t.back, ch)
			}
		}
	}
	known := false
	t.olderAt, known = s.seenBefore(x.set)
	t.flip = t.changed && !t.unseen && (returns || s.m.Stability.Phase != history.Stable && known)
	return t
}

// without takes changes of these kinds out of the case.
func (t *turn) without(kinds ...diff.Kind) {
	t.c.Changes = slices.DeleteFunc(t.c.Changes, func(ch Change) bool { return slices.Contains(kinds, ch.Kind) })
}

// steady is the state machine of stability. It takes out of a case what is told by
// a condition, or not yet, and returns what accepts the keys: what then is gone
// untold is marked.
func (s *step) steady(c *Case, x *answer, changes []diff.Change) (accept func(func())) {
	t := s.turn(c, x, changes)
	for _, ch := range changes {
		for _, f := range ch.Fields {
			if len(places(ch)) > 0 {
				s.m.Stability.Place(placeOf(ch.ID, f.Name, f.Before))
				s.m.Stability.Place(placeOf(ch.ID, f.Name, f.After))
			}
		}
	}
	opens, slow := s.unsteady(c.At)
	told, settled := false, false
	switch {
	case slices.ContainsFunc(t.back, func(ch Change) bool { return s.retired(ch.ID, c.At) }):
		told = s.risen(t)
		settled = told // the return explains what went before
	case s.unstable() && t.flip:
		s.count(x, c.At)
		c.Changes = nil
	case s.unstable():
		told = s.joins(t)
	case !t.flip:
		s.forward(t)
		told = true
	case opens:
		s.opensUnstable(c, x, slow)
		c.Changes = nil
	default:
		settled = s.doubts(t)
	}
	return func(do func()) {
		do()
		for _, ch := range t.gone {
			if sight := s.m.Sightings[ch.ID]; !told && sight != nil && !sight.Live() {
				sight.Untold = true
			}
		}
		if settled {
			s.explained()
		}
	}
}

// risen takes an answer with a key that was retired: that is told always, while
// answers alternate too. It reports whether removals are told, or explained.
func (s *step) risen(t *turn) (told bool) {
	t.c.resurrection = &resurrection{changes: t.back, retired: true, olderAt: t.olderAt}
	t.without(diff.Reappeared)
	if !t.unseen {
		t.without(diff.Removed) // explained by the return
	}
	s.fresh(t.x)
	if s.unstable() {
		s.count(t.x, t.c.At)
		return false
	}
	s.m.Stability.Settle()
	return true
}

// joins takes an answer of an unstable endpoint with something unseen. That is
// judged in full; what is gone, when no answer showed it for long.
func (s *step) joins(t *turn) (told bool) {
	t.without(diff.Reappeared)
	if t.c.Replaced == nil {
		t.without(diff.Removed)
	}
	return t.c.Replaced != nil
}

// forward takes an answer that is a step ahead. What came back beside something
// new is told now, and so is what came back before and was still to be decided.
func (s *step) forward(t *turn) {
	st := &s.m.Stability
	if t.unseen && st.Phase == history.Suspect {
		t.c.doubted = st.Back
		t.back = append(t.back, s.backIn(t.x, t.c.Keys)...)
		st.Settle()
		if s.o.Set.Usable() { // else with the next answer that is a set
			s.leaves(t)
		}
	}
	if len(t.back) > 0 {
		t.c.resurrection = &resurrection{changes: t.back}
		t.without(diff.Reappeared)
	}
	if t.unseen {
		st.Settled = 0 // of the rotation before
	}
	s.fresh(t.x)
	if t.changed {
		st.Newest = t.x.set.Digest
	}
}

// leaves adds the keys that went when the phase Suspect began: what comes now has
// them no more.
func (s *step) leaves(t *turn) {
	here := identities(t.x.set.Keys)
	for _, k := range s.family() {
		if sight := s.m.Sightings[k.ID]; !here[k.ID] {
			sight.Untold = false
			t.c.Changes = append(t.c.Changes, removed(sight, Change{Seen: seen(t.x, nil), When: When{sight.LastSeen, t.c.At}}))
		}
	}
}

// removed is the removal of a key that went before.
func removed(sight *history.Sighting, ch Change) Change {
	m := diff.Group([]jwks.Key{sight.Key})[0]
	ch.Change = diff.Change{Kind: diff.Removed, ID: m.ID, Material: m, Was: &m}
	return ch
}

// doubts takes the first answers that are not the newest: a lagging node, or a
// roll-back. Time tells which. It reports whether they are back
// at the newest: what that has not was told when it came.
func (s *step) doubts(t *turn) (settled bool) {
	st := &s.m.Stability
	s.flips(t.c.At)
	t.c.Changes = nil
	switch {
	case st.Phase != history.Suspect:
		st.Phase, st.Since, st.Back, st.OlderAt = history.Suspect, t.c.At, nil, t.olderAt
		for _, ch := range t.back[:min(len(t.back), event.MaxKeys)] {
			st.Back = append(st.Back, ch.ID)
		}
	case t.x.set.Digest == st.Newest && len(s.backIn(t.x, t.c.Keys)) == 0: // within the time of a rollout
		st.Settled = t.c.At.Sub(st.Since)
		st.Settle()
		return true
	}
	return false
}

// explained ends that keys are gone untold: their going was told before, or is by
// what is told now.
func (s *step) explained() {
	for _, sight := range s.m.Sightings {
		sight.Untold = false
	}
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
		st.Longest = max(st.Longest, s.watched(st.Last))
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
