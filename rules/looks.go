package rules

import (
	"bytes"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// answer is a document as the state machine sees it.
type answer struct {
	set    *jwks.Set
	facts  *Facts // nil when nothing is known of its way
	flaws  []Flaw
	at     time.Time
	after  time.Time
	remote string

	changes []diff.Change   // against the baseline, once asked for
	shown   map[claim]bool  // the same, to look up
	wrong   map[string]bool // the ids of its flaws, once asked for
}

func (s *step) answer(set *jwks.Set, facts *Facts, at, after time.Time, remote string) *answer {
	a := &answer{set: thin(set), facts: facts, flaws: Inspect(s.book, set), at: at, after: after, remote: remote}
	a.flaws = append(a.flaws, s.remembered(a)...)
	if facts != nil {
		for _, f := range Observe(s.book, &Sight{Policy: s.p, Before: s.m, At: at, Facts: facts}) {
			if a.valid() || !ofSet(f.Rule.Type) {
				a.flaws = append(a.flaws, f)
			}
		}
	}
	if lost := a.undiscovered(); lost != nil {
		// The issuer's own host: that its name is gone or its certificate refused
		// is no less while the last known key set still answers.
		a.flaws = append(a.flaws, Observe(s.book, &Sight{Policy: s.p, Before: s.m, At: at, Failure: lost})...)
	}
	return a
}

// ofSet reports whether findings of the type are about how a key set is served: a
// login page says nothing of that, and that it is none is told already.
func ofSet(t event.Type) bool {
	return t == event.EndpointContentType || t == event.EndpointCachePolicy
}

// undiscovered is why the discovery document could not be had before the
// answer, nil when it could.
func (a *answer) undiscovered() *Failure {
	if a == nil || a.facts == nil || a.facts.Discovery == nil {
		return nil
	}
	return a.facts.Discovery.Failure
}

// has reports whether the answer has the flaw.
func (a *answer) has(id string) bool {
	if a.wrong == nil {
		a.wrong = make(map[string]bool, len(a.flaws))
		for i := range a.flaws {
			a.wrong[a.flaws[i].ID] = true
		}
	}
	return a.wrong[id]
}

// hasAny reports whether the answer has any flaw of the condition.
func (a *answer) hasAny(c *history.Condition) bool { return slices.ContainsFunc(c.Flaws, a.has) }

func (a *answer) valid() bool { return a.set.Usable() }
func (a *answer) empty() bool { return a.valid() && len(a.set.Keys) == 0 }

func (s *step) drop() {
	s.m.Pending = nil
	s.out.Store = true
}

// second decides on a pending answer.
func (s *step) second(first, x *answer) {
	switch {
	case first.valid() && x.valid():
		s.resolve(first, x)
	case first.valid():
		s.tell(first, x)
	case x.valid():
		s.tell(first, nil)
		s.drop()
		s.first(x)
	default:
		s.tell(first, x)
		s.drop()
	}
}

// resolve holds two complete answers against the baseline.
func (s *step) resolve(first, x *answer) {
	c := s.newCase(first, x)
	pend := s.m.Pending
	keys, changes := s.between(first, x)
	s.compare(c, first, x, changes)
	old := s.m.Live
	if pend.Told {
		old = pend.Old
	}
	s.replaced(c, append(s.standing(old, first.at), s.family()...), keys)
	if c.Replaced != nil {
		s.replacing(c)
	}
	lags := s.unconfirmed(first, keys)
	flipped := len(s.m.Flips)
	c.Keys = keys
	accept := s.steady(c, x, changes)
	if lags && len(s.m.Flips) == flipped {
		s.lagged(c, x)
	}
	c.Seen = event.Confirmation{Attempts: 2, Agreed: 2, Addresses: addresses(first, x)}
	s.drop()
	s.flaws(c, first, x)
	accept(func() { s.accept(c, keys, x) })
	s.m.Shown = time.Time{}
	s.m.Later(first.set.Keys, x.set.Keys, first.at, x.at)
	s.depart(c)
	s.overlapping(c)
	s.judge(c)
	s.hurried(c)
	s.learn(first, x)
	// What only the first look showed now stands in the baseline and is lacking
	// in the newest answer: that is a claim of its own.
	x.changes, x.shown = nil, nil // of the old baseline
	s.first(x)
	s.exchanged(c)
}

// exchanged keeps the pending answer from claiming that material is gone whose
// exchange was told by this step. The old one stands in the baseline when only
// the newest of two answers showed the exchange.
func (s *step) exchanged(c *Case) {
	if s.m.Pending == nil {
		return
	}
	for _, ch := range c.Changes {
		if ch.Kind == diff.Mutated && ch.Previous != nil {
			s.m.Pending.Replaced = append(s.m.Pending.Replaced, *ch.Previous)
		}
	}
}

// between merges two complete answers, which mostly are one and the same.
func (s *step) between(first, x *answer) ([]jwks.Key, []diff.Change) {
	if bytes.Equal(first.set.Body, x.set.Body) {
		x.changes, x.shown = s.claims(first), first.shown
		return x.set.Keys, x.changes
	}
	keys := merge(first.set.Keys, x.set.Keys)
	return keys, s.changes(keys)
}

// compare lists what two complete answers claim between them.
func (s *step) compare(c *Case, first, x *answer, changes []diff.Change) {
	pend := s.m.Pending
	exchanged := map[jwks.Identity]bool{}
	for _, id := range pend.Replaced {
		exchanged[id] = true
	}
	told := map[claim]bool{}
	for _, ch := range changes {
		if ch.Kind == diff.Removed && exchanged[ch.ID] {
			continue // its exchange was told when the first look was all there was
		}
		n := Change{Change: ch, Seen: s.seenIn(ch, first, x)}
		switch {
		case ch.Kind == diff.Removed:
			n.When = When{s.lastShown(first.after), first.at}
		case !s.shows(first, ch):
			n.When = When{first.at, x.at}
		}
		told[claimOf(ch)] = true
		c.Changes = append(c.Changes, n)
	}
	for _, ch := range s.claims(first) { // values that the second look did not show
		if ch.Presence() && !pend.Told && !told[claimOf(ch)] {
			c.Changes = append(c.Changes, Change{Change: ch, Seen: s.seenIn(ch, first, x)})
		}
	}
}

// tell publishes the presence claims of an answer that no second look could
// confirm, and keeps its claims of absence for the next good poll. The other
// answer, if any, is no set; its flaws are told as well.
func (s *step) tell(first, other *answer) {
	pend := s.m.Pending
	if pend.Told && other == nil {
		return
	}
	c := s.newCase(first, other)
	c.Seen = seen(first, nil)
	if !pend.Told && first.valid() && !first.empty() {
		pend.Told, pend.Old = true, history.Purpose(s.m.Live)
		keys := merge(s.m.Live, first.set.Keys)
		for _, ch := range s.changes(keys) {
			if !ch.Presence() {
				continue
			}
			c.Changes = append(c.Changes, Change{Change: ch, Seen: s.seenIn(ch, first, nil)})
			if ch.Kind == diff.Mutated && ch.Previous != nil {
				pend.Replaced = append(pend.Replaced, *ch.Previous)
			}
		}
		c.Keys = keys
		accept := s.steady(c, first, s.changes(keys))
		s.flawsOpened(c, first, other)
		accept(func() { s.accept(c, keys, first) })
		if len(s.changes(first.set.Keys)) == 0 && s.closable(first) == 0 {
			s.m.Pending = nil
		}
	} else {
		s.flawsOpened(c, first, other)
	}
	s.out.Store = true
	s.judge(c)
	s.learn(first, other)
}
