package diff

import (
	"slices"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// label is one binding of a kid to material.
type label struct {
	id  jwks.Identity
	kid string
}

// side finds material and labels of one list.
type side struct {
	list []Material
	at   map[jwks.Identity]int
	kids map[label]bool
}

func newSide(list []Material) side {
	s := side{list, make(map[jwks.Identity]int, len(list)), make(map[label]bool, len(list))}
	for i, m := range list {
		s.at[m.ID] = i
		for j := range m.Entries {
			s.kids[label{m.ID, m.Entries[j].Kid}] = true
		}
	}
	return s
}

func (s *side) find(id jwks.Identity) *Material {
	if i, ok := s.at[id]; ok {
		return &s.list[i]
	}
	return nil
}

// under returns the first material of the list that bears the kid and is one of
// those bound to it.
func (s *side) under(kid string, bound []jwks.Identity) *jwks.Identity {
	first := -1
	for _, id := range bound {
		if i, ok := s.at[id]; ok && s.kids[label{id, kid}] && (first < 0 || i < first) {
			first = i
		}
	}
	if first < 0 {
		return nil
	}
	return &s.list[first].ID
}

// index finds what Classify asks of a difference.
type index struct{ old, now, removed side }

func newIndex(d Delta) *index {
	return &index{newSide(d.Old), newSide(d.New), newSide(d.Removed)}
}

// broken finds the kids of m that were bound to other material only.
func (x *index) broken(m Material, past Past) []Change {
	var out []Change
	for _, kid := range m.Kids() {
		bound := past.Bound(kid)
		if len(bound) == 0 || slices.Contains(bound, m.ID) {
			continue
		}
		// A binding that stands in the old set is not broken, even when so many
		// keys bear the kid that not all of them are remembered.
		if x.old.kids[label{m.ID, kid}] {
			continue
		}
		c := Change{Kind: Mutated, ID: m.ID, Material: m, Kid: kid, Codes: []string{CodeNewMaterial}}
		if past.Known(m.ID) {
			c.Codes[0] = CodeRebound
		}
		if past.LongGone(kid) {
			c.Kind = KidReused
		}
		c.Previous = x.previous(kid, bound)
		if p := x.now.find(*c.Previous); p != nil {
			if !sharesClass(m, *p) && c.Codes[0] == CodeRebound {
				continue // a twin for another purpose: the repeated kid is what is to be told
			}
			if x.now.kids[label{p.ID, kid}] && sharesClass(m, *p) {
				c.Codes = append(c.Codes, CodeAddedBeside)
			}
		}
		c.Was = x.old.find(m.ID)
		out = append(out, c)
	}
	return out
}

// previous chooses what was exchanged: the bound material that left the set,
// else the one that stood in the old set, else the last one bound.
func (x *index) previous(kid string, bound []jwks.Identity) *jwks.Identity {
	if id := x.removed.under(kid, bound); id != nil {
		return id
	}
	if id := x.old.under(kid, bound); id != nil {
		return id
	}
	return &bound[len(bound)-1]
}

func sharesClass(a, b Material) bool {
	return slices.ContainsFunc(a.classes, func(c jwks.Class) bool { return slices.Contains(b.classes, c) })
}
