package diff

import "github.com/jwkswatch/jwkswatch/jwks"

// Alone is the past of two sets of which nothing else is known: the material
// of the old one, and of its kids those that are unique on both sides. A kid
// that repeats on either side binds nothing.
func Alone(before, after []jwks.Key) Past {
	a := alone{known: map[jwks.Identity]bool{}, kids: map[string]jwks.Identity{}}
	for _, k := range before {
		a.known[k.ID] = true
	}
	was, is := holders(before), holders(after)
	for kid, ids := range was {
		if len(ids) == 1 && len(is[kid]) <= 1 {
			a.kids[kid] = ids[0]
		}
	}
	return a
}

type alone struct {
	known map[jwks.Identity]bool
	kids  map[string]jwks.Identity
}

func (a alone) Known(id jwks.Identity) bool { return a.known[id] }
func (a alone) LongGone(string) bool        { return false }

func (a alone) Bound(kid string) []jwks.Identity {
	if id, ok := a.kids[kid]; ok {
		return []jwks.Identity{id}
	}
	return nil
}

// holders maps each non-empty kid to the identities under it.
func holders(keys []jwks.Key) map[string][]jwks.Identity {
	out := map[string][]jwks.Identity{}
	for _, m := range Group(keys) {
		for _, kid := range m.Kids() {
			out[kid] = append(out[kid], m.ID)
		}
	}
	return out
}
