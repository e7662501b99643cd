package diff

import (
	"slices"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// Kind names a change between two sets.
type Kind string

// The kinds, in the order in which Classify returns them.
const (
	Mutated     Kind = "mutated"     // other material under a kid that was bound
	KidReused   Kind = "kid_reused"  // the same, under a kid that was long gone
	Added       Kind = "added"       // material never seen
	Reappeared  Kind = "reappeared"  // material that was here before and gone since
	Relabelled  Kind = "relabelled"  // the same material under another kid
	Altered     Kind = "altered"     // alg, use or key_ops
	Reencoded   Kind = "reencoded"   // the same number, other text
	Recertified Kind = "recertified" // x5c or x5t
	Removed     Kind = "removed"
)

// Codes that say more of Mutated and KidReused.
const (
	CodeNewMaterial = "new_material" // never seen here
	CodeRebound     = "rebound"      // seen here under another kid
	CodeAddedBeside = "added_beside" // the old material still stands and serves the same class
)

// Change is one change of one key.
type Change struct {
	Kind     Kind
	ID       jwks.Identity // of Material; of Removed, what is gone
	Material Material      // as it is now; of Removed, as it was
	Was      *Material     // as it was, where it was in the old set
	// Previous is the identity that Material took the place of, for Mutated
	// and KidReused.
	Previous *jwks.Identity
	Kid      string // the kid whose binding broke, for Mutated and KidReused
	Codes    []string
	Fields   []Field // for Altered and Relabelled
}

// Presence reports whether the change claims that something is there. Such a
// claim is proven by one complete answer; the others claim that something is
// not there.
func (c Change) Presence() bool {
	switch c.Kind {
	case Removed:
		return false
	case Relabelled:
		return len(c.Fields) > 0 && len(c.Fields[0].After) > 0 && c.gained()
	}
	return true
}

func (c Change) gained() bool {
	return slices.ContainsFunc(c.Fields[0].After, func(k string) bool {
		return !slices.Contains(c.Fields[0].Before, k)
	})
}

// Past is what is remembered of an endpoint beyond the old set.
type Past interface {
	// Known reports whether the material was ever seen here.
	Known(jwks.Identity) bool
	// Bound returns the identities ever seen under the kid, newest last.
	Bound(kid string) []jwks.Identity
	// LongGone reports whether no set of late held the kid, so that finding it
	// on other material is reuse and not exchange.
	LongGone(kid string) bool
}

// Classify turns a difference into changes. Each new binding of a kid to
// material is judged once: broken bindings come first, and what they explain
// is neither an addition nor a removal. Work is linear in the entries: an
// issuer may change thousands of keys at once.
func Classify(d Delta, past Past) []Change {
	var out []Change
	x := newIndex(d)
	consumed := map[jwks.Identity]bool{} // added material explained by a broken binding
	replaced := map[jwks.Identity]bool{} // removed material that it took the place of
	told := map[label]bool{}
	for _, m := range d.New {
		for _, c := range x.broken(m, past) {
			out = append(out, c)
			told[label{c.ID, c.Kid}] = true
			if !past.Known(m.ID) {
				consumed[m.ID] = true
			}
			if c.Kind == Mutated && c.Previous != nil {
				replaced[*c.Previous] = true
			}
		}
	}
	for _, m := range d.Added {
		switch {
		case consumed[m.ID]:
		case past.Known(m.ID):
			out = append(out, Change{Kind: Reappeared, ID: m.ID, Material: m})
		default:
			out = append(out, Change{Kind: Added, ID: m.ID, Material: m})
		}
	}
	for _, p := range d.Kept {
		out = append(out, kept(p, told)...)
	}
	for _, m := range d.Removed {
		if !replaced[m.ID] {
			out = append(out, Change{Kind: Removed, ID: m.ID, Material: m, Was: &m})
		}
	}
	return out
}

// kept lists the changes of surviving material. A label that was already told
// as a broken binding is not told again.
func kept(p Pair, told map[label]bool) []Change {
	var out []Change
	change := func(k Kind, fields []Field) {
		out = append(out, Change{Kind: k, ID: p.New.ID, Material: p.New, Was: &p.Old, Fields: fields})
	}
	gained, lost := p.Labels()
	moved := false // to a label that was another's: told already, with the label it left
	gained = slices.DeleteFunc(gained, func(kid string) bool {
		is := told[label{p.New.ID, kid}]
		moved = moved || is
		return is
	})
	if len(gained) > 0 || len(lost) > 0 && !moved {
		change(Relabelled, []Field{{"kid", p.Old.Kids(), p.New.Kids()}})
	}
	if fields := p.Altered(); len(fields) > 0 {
		change(Altered, fields)
	}
	if p.Reencoded() {
		change(Reencoded, nil)
	}
	if p.Recertified() {
		change(Recertified, nil)
	}
	return out
}

// Replaced reports whether no signing key survived, whether or not others took
// their place. A key for encryption left standing is no comfort, and a lone
// signing key exchanged under its own kid is a mutation and nothing more. A set
// that became empty is another matter, and not for this function.
func Replaced(d Delta, changes []Change) bool {
	before, after := Cut(d)
	if len(before) == 0 || len(d.New) == 0 {
		return false
	}
	was := make(map[jwks.Identity]bool, len(before))
	for _, m := range before {
		was[m.ID] = true
	}
	if slices.ContainsFunc(after, func(m Material) bool { return was[m.ID] }) {
		return false
	}
	mutated := slices.ContainsFunc(changes, func(c Change) bool { return c.Kind == Mutated })
	return len(before) >= 2 || !mutated
}

// Cut returns the signing material that counts for a replacement, before and
// after. An entry that cannot be decoded counts as a signing key, but nobody
// verifies a token with it: beside keys that can be read it is no survivor, or
// junk left standing would hide that all of them were exchanged.
func Cut(d Delta) (before, after []Material) {
	readable := func(m Material) bool { return m.ID.Kind == jwks.Thumbprint }
	before, after = signing(d.Old), signing(d.New)
	if !slices.ContainsFunc(before, readable) {
		return before, after
	}
	junk := map[jwks.Identity]bool{}
	before = slices.DeleteFunc(before, func(m Material) bool {
		junk[m.ID] = !readable(m)
		return !readable(m)
	})
	return before, slices.DeleteFunc(after, func(m Material) bool { return junk[m.ID] })
}

// signing returns the material that can verify a signature.
func signing(list []Material) []Material {
	var out []Material
	for _, m := range list {
		if m.In(jwks.ClassSignature) {
			out = append(out, m)
		}
	}
	return out
}

// SigningKeys counts the identities that can verify a signature.
func SigningKeys(keys []jwks.Key) int { return len(signing(Group(keys))) }
