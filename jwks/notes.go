package jwks

import (
	"cmp"
	"slices"
)

// names remembers the names of one object: a short list first, since nearly
// every object is small.
type names struct {
	few  [][]byte
	many map[string]struct{}
}

// again reports whether the name was there before, and adds it.
func (n *names) again(name []byte) bool {
	if n.many != nil {
		if _, ok := n.many[string(name)]; ok {
			return true
		}
		n.many[string(name)] = struct{}{}
		return false
	}
	for _, f := range n.few {
		if string(f) == string(name) {
			return true
		}
	}
	n.few = append(n.few, name)
	if len(n.few) > 24 {
		n.many = make(map[string]struct{}, 2*len(n.few))
		for _, f := range n.few {
			n.many[string(f)] = struct{}{}
		}
		n.few = nil
	}
	return false
}

// maxNotes bounds the defects of one code, for one entry and for the rest of
// the document; the digest knows codes only, so it loses nothing. It does not
// bound what is noted once a kid.
const maxNotes = 8

// notes collects defects.
type notes struct {
	list  []Defect
	count map[Code]int
}

func (n *notes) full(code Code) bool { return n.count[code] >= maxNotes }

func (n *notes) add(d Defect) {
	if n.full(d.Code) {
		return
	}
	if n.count == nil {
		n.count = map[Code]int{}
	}
	n.count[d.Code]++
	n.list = append(n.list, d)
}

// sorted returns the defects by code and pointer, each once.
func (n *notes) sorted() []Defect {
	slices.SortFunc(n.list, func(a, b Defect) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Kid, b.Kid), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(n.list)
}
