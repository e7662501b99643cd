// Package diff says what changed between two key sets. It judges nothing.
//
// Sets are paired by identity, the material itself, never by text, order or
// position: the same material is the same key whatever its label. Only what is
// left over is paired by kid, and then only as far as the past allows: a kid
// that was bound to other material is what makes an addition a mutation.
//
// The package is pure.
package diff

import (
	"bytes"
	"slices"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// Material is one identity with all the entries it stands in: the same
// material may be published under several labels or for several purposes.
type Material struct {
	ID      jwks.Identity
	Entries []jwks.Key // at least one, in the order served
	classes []jwks.Class
}

// Key is the entry that stands for the material: the first that can verify
// signatures, if any can. Else an entry for encryption before it would be what all
// is judged by.
func (m Material) Key() *jwks.Key {
	for i := range m.Entries {
		if m.Entries[i].Class() == jwks.ClassSignature {
			return &m.Entries[i]
		}
	}
	return &m.Entries[0]
}

// Kids are the non-empty labels of the material, sorted, without repeats.
func (m Material) Kids() []string {
	var kids []string
	for i := range m.Entries {
		if m.Entries[i].Kid != "" {
			kids = append(kids, m.Entries[i].Kid)
		}
	}
	slices.Sort(kids)
	return slices.Compact(kids)
}

// In reports whether the material serves the class in any of its entries.
func (m Material) In(c jwks.Class) bool {
	return slices.ContainsFunc(m.Entries, func(k jwks.Key) bool { return k.Class() == c })
}

// Group gathers entries by identity, in order of first appearance.
func Group(keys []jwks.Key) []Material {
	at := make(map[jwks.Identity]int, len(keys))
	var out []Material
	for _, k := range keys {
		i, ok := at[k.ID]
		if !ok {
			i = len(out)
			at[k.ID] = i
			out = append(out, Material{ID: k.ID})
		}
		out[i].Entries = append(out[i].Entries, k)
		if c := k.Class(); !slices.Contains(out[i].classes, c) {
			out[i].classes = append(out[i].classes, c)
		}
	}
	return out
}

// Delta is the difference of two sets by identity.
type Delta struct {
	Old, New []Material
	Kept     []Pair
	Added    []Material
	Removed  []Material
}

// Pair is material that stands in both sets.
type Pair struct{ Old, New Material }

// Compare pairs two sets by identity. The order of the results is that of the
// sets, so it is the same for the same input.
func Compare(before, after []jwks.Key) Delta {
	d := Delta{Old: Group(before), New: Group(after)}
	was := make(map[jwks.Identity]Material, len(d.Old))
	for _, m := range d.Old {
		was[m.ID] = m
	}
	is := make(map[jwks.Identity]bool, len(d.New))
	for _, m := range d.New {
		is[m.ID] = true
		if o, ok := was[m.ID]; ok {
			d.Kept = append(d.Kept, Pair{o, m})
		} else {
			d.Added = append(d.Added, m)
		}
	}
	for _, m := range d.Old {
		if !is[m.ID] {
			d.Removed = append(d.Removed, m)
		}
	}
	return d
}

// Field is one member that changed, with its values before and after; no
// values means the member is absent.
type Field struct {
	Name          string
	Before, After []string
}

// Replaced reports whether both sides have the member and the new one has another
// value: more than one that appeared or vanished. Material that stands in several
// entries has several, and loses one with its entry.
func (f Field) Replaced() bool {
	return len(f.Before) > 0 && slices.ContainsFunc(f.After, func(v string) bool { return !slices.Contains(f.Before, v) })
}

// Labels returns the kids that the material gained and lost. A label that
// appears on, or vanishes from, surviving material is a change too.
func (p Pair) Labels() (gained, lost []string) {
	before, after := p.Old.Kids(), p.New.Kids()
	return without(after, before), without(before, after)
}

// without returns what is in the list and not in the other. Both are sorted:
// one key may bear thousands of labels.
func without(list, other []string) []string {
	var out []string
	for _, k := range list {
		if _, is := slices.BinarySearch(other, k); !is {
			out = append(out, k)
		}
	}
	return out
}

// Beside are the members that are compared although they are no part of the
// digest of a set.
func Beside(name string) bool {
	switch name {
	case "issuer", "x5u", "exp", "nbf":
		return true
	}
	return false
}

// Altered returns the members among alg, use, key_ops and those beside that
// changed. Entries
// are compared under the labels that both sides have; an alias that comes with
// an alg of its own alters nothing. Without a common label the material is
// compared as a whole.
func (p Pair) Altered() []Field {
	before, after := p.Old.labels(), p.New.labels()
	var common []string
	for _, k := range before {
		if _, is := slices.BinarySearch(after, k); is {
			common = append(common, k)
		}
	}
	whole := len(common) == 0
	if whole {
		common = []string{""}
	}
	var out []Field
	for _, name := range [...]string{"alg", "use", "key_ops", "issuer", "x5u", "exp", "nbf"} {
		if !p.Old.tells(name) && !p.New.tells(name) {
			continue
		}
		was, is := p.Old.values(name, whole), p.New.values(name, whole)
		for _, kid := range common {
			f := Field{name, was[kid], is[kid]}
			if !slices.Equal(f.Before, f.After) {
				out = append(out, f)
				break
			}
		}
	}
	return out
}

// labels are the kids of the entries, the missing one included as "".
func (m Material) labels() []string {
	var out []string
	for i := range m.Entries {
		out = append(out, m.Entries[i].Kid)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// member is the value of one that has a single one, "" when it is absent.
func member(k *jwks.Key, name string) string {
	switch name {
	case "alg":
		return k.Alg
	case "use":
		return k.Use
	case "issuer":
		return k.Issuer
	case "x5u":
		return k.X5U
	case "exp":
		return k.Exp
	case "nbf":
		return k.Nbf
	}
	return ""
}

// tells reports whether any entry has the member.
func (m Material) tells(name string) bool {
	for i := range m.Entries {
		if k := &m.Entries[i]; member(k, name) != "" || name == "key_ops" && len(k.Ops) > 0 {
			return true
		}
	}
	return false
}

// values collects the values of a member by the kid of the entry; under "" all
// of them, if the material is taken as a whole.
func (m Material) values(name string, whole bool) map[string][]string {
	out := make(map[string][]string, 1)
	for i := range m.Entries {
		e := &m.Entries[i]
		kid := e.Kid
		if whole {
			kid = ""
		}
		if name == "key_ops" {
			out[kid] = append(out[kid], e.Ops...)
		} else if v := member(e, name); v != "" {
			out[kid] = append(out[kid], v)
		}
	}
	for kid, list := range out {
		slices.Sort(list)
		out[kid] = slices.Compact(list)
	}
	return out
}

// Reencoded reports whether a number is now written in a way it was not
// before.
func (p Pair) Reencoded() bool {
	before := sums(p.Old, func(k *jwks.Key) [32]byte { return k.Form })
	after := sums(p.New, func(k *jwks.Key) [32]byte { return k.Form })
	return slices.ContainsFunc(after, func(v [32]byte) bool {
		_, is := slices.BinarySearchFunc(before, v, compareSums)
		return !is
	})
}

// Recertified reports whether x5c or x5t are other than before. An alias that
// joins without a certificate changes none.
func (p Pair) Recertified() bool { return !slices.Equal(p.Old.Certs(), p.New.Certs()) }

// Certs are the digests of the material's certificates, sorted.
func (m Material) Certs() [][32]byte {
	return sums(m, func(k *jwks.Key) [32]byte { return k.Cert })
}

// sums are the digests that the entries have, sorted, each once.
func sums(m Material, of func(*jwks.Key) [32]byte) [][32]byte {
	var out [][32]byte
	for i := range m.Entries {
		if v := of(&m.Entries[i]); v != ([32]byte{}) {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, compareSums)
	return slices.Compact(out)
}

func compareSums(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }
