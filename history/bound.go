package history

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// forget holds the bounds. What is gone falls off oldest first, and junk only
// ever pushes out junk: material that was not established, and kids that bore
// nothing else.
func (m *Memory) forget() {
	var brief, settled []*Sighting
	for _, s := range m.Sightings {
		switch {
		case s.Live():
		case s.Published < Established:
			brief = append(brief, s)
		default:
			settled = append(settled, s)
		}
	}
	for _, s := range append(oldest(brief, MaxBrief, byGone), oldest(settled, MaxGone, byGone)...) {
		delete(m.Sightings, s.Key.ID)
	}
	var junk, kids []string
	for kid, b := range m.Bindings {
		switch {
		case b.Gone.IsZero():
		case m.brief(b):
			junk = append(junk, kid)
		default:
			kids = append(kids, kid)
		}
	}
	for _, kid := range append(oldest(junk, MaxBrief, m.kidByGone), oldest(kids, MaxKids, m.kidByGone)...) {
		delete(m.Bindings, kid)
	}
}

func (m *Memory) kidByGone(a, b string) int {
	return cmp.Or(m.Bindings[a].Gone.Compare(m.Bindings[b].Gone), cmp.Compare(a, b))
}

// brief reports whether the kid never stood for material that was established.
func (m *Memory) brief(b *Binding) bool {
	return !slices.ContainsFunc(b.IDs, func(id jwks.Identity) bool {
		s := m.Sightings[id]
		return s != nil && (s.Live() || s.Published >= Established)
	})
}

func byGone(a, b *Sighting) int {
	return cmp.Or(a.GoneBy.Compare(b.GoneBy), bytes.Compare(a.Key.ID.Sum[:], b.Key.ID.Sum[:]))
}

// oldest returns what is over the bound, the oldest of all.
func oldest[T any](list []T, bound int, by func(a, b T) int) []T {
	if len(list) <= bound {
		return nil
	}
	slices.SortFunc(list, by)
	return list[:len(list)-bound]
}

// last returns the last n items.
func last[T any](list []T, n int) []T {
	if len(list) > n {
		return slices.Clone(list[len(list)-n:])
	}
	return list
}

// Slim keeps of a key what telling of it needs. Labels are the issuer's:
// thousands of fat ones must not make a memory that cannot be stored.
func Slim(k jwks.Key) jwks.Key {
	short := func(s string) string { return s[:min(len(s), maxGoneText)] }
	k.Encoding, k.Private, k.Defects = nil, nil, nil
	k.Issuer, k.X5U, k.Exp, k.Nbf = "", "", "", ""
	k.Kty, k.Crv, k.Alg, k.Use = short(k.Kty), short(k.Crv), short(k.Alg), short(k.Use)
	var ops []string // one of them says which class it is
	for _, op := range k.Ops {
		if op == "verify" || len(ops) == 0 {
			ops = []string{short(op)}
		}
	}
	k.Ops = ops
	return k
}

// Purpose keeps of keys what says which they are and what they serve.
func Purpose(keys []jwks.Key) []jwks.Key {
	out := make([]jwks.Key, len(keys))
	for i := range keys {
		k := Slim(keys[i])
		k.Kid, k.Kty, k.Crv, k.Alg, k.Cert, k.Form = "", "", "", "", [32]byte{}, [32]byte{}
		out[i] = k
	}
	return out
}

// Bound holds the octets of the encoding. What was seen briefly goes first, then
// what is gone longest; never a live key, and never a condition. If the live
// keys alone are too much they are remembered by shorter labels: their identity
// is their material.
func (m *Memory) Bound() {
	over := m.octets() - MaxOctets
	if over <= 0 {
		return
	}
	over = m.forgetOctets(over, true)
	over = m.forgetOctets(over, false)
	if over <= 0 {
		return
	}
	for _, s := range m.Sightings {
		s.Key = Slim(s.Key)
		s.Key.Kid = s.Key.Kid[:min(len(s.Key.Kid), maxGoneText)]
	}
	for _, c := range m.Conditions {
		if c.Key != nil {
			c.Key = new(Slim(*c.Key))
		}
	}
}

// forgetOctets forgets what is gone, brief or settled, the oldest first, and
// returns by how many octets it is still too much.
func (m *Memory) forgetOctets(over int, brief bool) int {
	if over <= 0 {
		return over
	}
	var kids []string
	for kid, b := range m.Bindings {
		if !b.Gone.IsZero() && m.brief(b) == brief {
			kids = append(kids, kid)
		}
	}
	var gone []*Sighting
	for _, s := range m.Sightings {
		if !s.Live() && (s.Published < Established) == brief {
			gone = append(gone, s)
		}
	}
	slices.SortFunc(gone, byGone)
	slices.SortFunc(kids, m.kidByGone)
	for over > 0 && len(gone)+len(kids) > 0 {
		// The older of the two first: a kid and its material go together.
		if len(kids) == 0 || len(gone) > 0 && gone[0].GoneBy.Before(m.Bindings[kids[0]].Gone) {
			over -= octetsOfSighting(gone[0])
			delete(m.Sightings, gone[0].Key.ID)
			gone = gone[1:]
			continue
		}
		over -= octetsOfBinding(kids[0], m.Bindings[kids[0]])
		delete(m.Bindings, kids[0])
		kids = kids[1:]
	}
	return over
}
