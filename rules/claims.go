package rules

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// changes classifies a set against the baseline.
func (s *step) changes(keys []jwks.Key) []diff.Change {
	return diff.Classify(diff.Compare(s.m.Live, keys), history.Past{Memory: s.m, Now: s.o.At})
}

// merge is what two answers show between them: of each identity the entries of
// the newer one, and the labels that only the older one had.
func merge(older, newer []jwks.Key) []jwks.Key {
	kids := map[jwks.Identity]map[string]bool{}
	for i := range newer {
		k := &newer[i]
		if kids[k.ID] == nil {
			kids[k.ID] = map[string]bool{}
		}
		kids[k.ID][k.Kid] = true
	}
	out := slices.Clone(newer)
	for _, k := range older {
		if here := kids[k.ID]; here == nil || k.Kid != "" && !here[k.Kid] {
			out = append(out, k)
		}
	}
	return out
}

// seenIn counts the answers that show the change on their own. A removal that
// gets this far is lacking in both.
func (s *step) seenIn(ch diff.Change, first, x *answer) event.Confirmation {
	c := event.Confirmation{Addresses: addresses(first, x)}
	for _, a := range []*answer{first, x} {
		if a == nil || !a.valid() {
			continue
		}
		c.Attempts++
		if ch.Kind == diff.Removed || s.shows(a, ch) {
			c.Agreed++
		}
	}
	return c
}

func (s *step) shows(a *answer, ch diff.Change) bool {
	if a.changes == nil {
		a.changes = s.changes(a.set.Keys)
	}
	return slices.ContainsFunc(a.changes, func(o diff.Change) bool { return same(o, ch) })
}

func same(a, b diff.Change) bool {
	if a.Kind != b.Kind || a.ID != b.ID || a.Kid != b.Kid || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Fields {
		if a.Fields[i].Name != b.Fields[i].Name || !slices.Equal(a.Fields[i].After, b.Fields[i].After) {
			return false
		}
	}
	return true
}

func told(list []Change, ch diff.Change) bool {
	return slices.ContainsFunc(list, func(o Change) bool { return same(o.Change, ch) })
}

// unconfirmed reports whether the first look lacked material that stands.
func (s *step) unconfirmed(first *answer, keys []jwks.Key) bool {
	d := diff.Compare(s.m.Live, first.set.Keys)
	return slices.ContainsFunc(d.Removed, func(m diff.Material) bool {
		return slices.ContainsFunc(keys, func(k jwks.Key) bool { return k.ID == m.ID })
	})
}

// standing leaves out of the baseline what came in by the very answer that now
// makes the claim: junk that is new in each answer must not count as a
// survivor of the one before.
func (s *step) standing(old []jwks.Key, since time.Time) []jwks.Key {
	return slices.DeleteFunc(slices.Clone(old), func(k jwks.Key) bool {
		sight := s.m.Sightings[k.ID]
		return sight != nil && !sight.FirstAfter.IsZero() && !sight.FirstSeen.Before(since)
	})
}

// replaced notes that no signing key of the old baseline survived and that
// none of the new ones was ever seen before.
func (s *step) replaced(c *Case, old, keys []jwks.Key) {
	d := diff.Compare(old, keys)
	var changes []diff.Change
	for _, ch := range c.Changes {
		if ch.Kind == diff.Reappeared && ch.Material.In(jwks.ClassSignature) {
			return
		}
		changes = append(changes, ch.Change)
	}
	if diff.Replaced(d, changes) {
		c.Replaced = newReplaced(d, changes)
	}
}

func newReplaced(d diff.Delta, changes []diff.Change) *Replaced {
	r := &Replaced{Before: signing(d.Old), After: signing(d.New)}
	for _, ch := range changes {
		if ch.Kind == diff.Mutated {
			r.Mutated++
		}
	}
	return r
}

func signing(list []diff.Material) int {
	n := 0
	for _, m := range list {
		if m.In(jwks.ClassSignature) {
			n++
		}
	}
	return n
}

// firstEmpty starts the looks that an empty set needs. While the condition is
// open an empty answer is no news: the known keys stay the baseline.
func (s *step) firstEmpty(x *answer) {
	s.openFlaws(x)
	if s.open(event.SetEmptied) == nil {
		s.wait(x)
		return
	}
	if s.m.Pending != nil {
		s.drop()
	}
	if s.open(event.DocumentInvalid) != nil {
		c := s.newCase(x)
		c.Seen = seen(x, nil)
		s.close(c, event.DocumentInvalid)
		s.judge(c)
	}
}

// stillEmpty counts an empty answer and tells when there were enough, over a
// time that a deployment's restart does not take.
func (s *step) stillEmpty(x *answer) {
	s.openFlaws(x)
	p := s.m.Pending
	p.Looks++
	s.out.Store = true
	// The claim is due within two intervals: short ones cannot wait 30 s.
	need, since := min(EmptySpan, s.p.Interval*8/5), x.at.Sub(p.At)
	if p.Looks < EmptyLooks || since < need {
		s.out.Look = LookAfter
		if p.Looks >= EmptyLooks-1 {
			s.out.Look = max(need-since, LookAfter)
		}
		return
	}
	c := s.newCase(x)
	c.When = When{p.After, p.At}
	c.Emptied = &Emptied{Known: len(diff.Group(s.m.Live))}
	c.Seen = event.Confirmation{Attempts: p.Looks, Agreed: p.Looks, Addresses: addresses(x, nil)}
	s.m.Pending = nil
	s.newest(x) // though not the baseline
	s.close(c, event.DocumentInvalid)
	s.judge(c)
}

// recovered closes the failure of an endpoint that answers again.
func (s *step) recovered() {
	if s.o.GoodInARow < ReachableAfter || s.open(event.EndpointUnreachable) == nil {
		return
	}
	c := s.newCase(nil)
	s.close(c, event.EndpointUnreachable)
	s.judge(c)
}

func seen(a, b *answer) event.Confirmation {
	return event.Confirmation{Attempts: 1, Agreed: 1, Addresses: addresses(a, b)}
}

func addresses(list ...*answer) []string {
	out := []string{}
	for _, a := range list {
		if a != nil && a.remote != "" && !slices.Contains(out, a.remote) {
			out = append(out, a.remote)
		}
	}
	return out
}
