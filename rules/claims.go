package rules

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// changes classifies a set against the baseline. A key that comes back and only now
// can verify signatures is a new signing key: what was known of it is something else.
func (s *step) changes(keys []jwks.Key) []diff.Change {
	list := s.known(diff.Classify(diff.Compare(s.m.Live, keys), history.Past{Memory: s.m, Now: s.o.At}))
	for i := range list {
		ch := &list[i]
		if ch.Kind != diff.Reappeared || !ch.Material.In(jwks.ClassSignature) || s.retired(ch.ID, s.o.At) {
			continue
		}
		if was := s.m.Sightings[ch.ID]; was != nil && was.Key.Class() != jwks.ClassSignature {
			ch.Kind = diff.Added
		}
	}
	return list
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
	s.claims(a)
	return a.shown[claimOf(ch)]
}

// claims are the changes of one complete answer against the baseline.
func (s *step) claims(a *answer) []diff.Change {
	if a.shown == nil {
		a.shown = map[claim]bool{}
		a.changes = s.changes(a.set.Keys)
		for _, o := range a.changes {
			a.shown[claimOf(o)] = true
		}
	}
	return a.changes
}

// claim is what makes two changes the same claim: comparable, since an issuer
// may make thousands at once.
type claim struct {
	kind   diff.Kind
	id     jwks.Identity
	kid    string
	fields string // names and values after
}

func claimOf(ch diff.Change) claim {
	c := claim{kind: ch.Kind, id: ch.ID, kid: ch.Kid}
	for _, f := range ch.Fields {
		c.fields += history.FlawID(f.Name, history.FlawID(f.After...))
	}
	return c
}

// unconfirmed reports whether the first look lacked material that stands.
func (s *step) unconfirmed(first *answer, keys []jwks.Key) bool {
	live, shown := identities(s.m.Live), identities(first.set.Keys)
	return slices.ContainsFunc(keys, func(k jwks.Key) bool { return live[k.ID] && !shown[k.ID] })
}

func identities(keys []jwks.Key) map[jwks.Identity]bool {
	out := make(map[jwks.Identity]bool, len(keys))
	for i := range keys {
		out[keys[i].ID] = true
	}
	return out
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
	before, after := diff.Cut(d)
	r := &Replaced{Before: len(before), After: len(after)}
	for _, ch := range changes {
		if ch.Kind == diff.Mutated {
			r.Mutated++
		}
	}
	return r
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
