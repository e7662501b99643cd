package custom

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Op is what a test does with a value.
type Op string

// The operators. A bare value is Eq, a list is In.
const (
	Eq     Op = "eq"
	Ne     Op = "ne"
	In     Op = "in"
	NotIn  Op = "not_in"
	InList Op = "in_list" // resolved to In when it is read
	Gt     Op = "gt"
	Gte    Op = "gte"
	Lt     Op = "lt"
	Lte    Op = "lte"
	Exists Op = "exists"
	Prefix Op = "prefix"
	Suffix Op = "suffix"
	Glob   Op = "glob" // as path.Match
	CIDR   Op = "cidr"
)

// Ops lists the operators that fit a kind of field.
func Ops(k Kind) []Op {
	switch k {
	case Text, Texts:
		return []Op{Eq, Ne, In, NotIn, InList, Exists, Prefix, Suffix, Glob, CIDR}
	case Bool:
		return []Op{Eq, Ne, Exists}
	}
	return []Op{Eq, Ne, In, NotIn, Gt, Gte, Lt, Lte, Exists}
}

// Matcher is a tree: every part that is there must hold. The zero Matcher matches
// every event.
type Matcher struct {
	Tests []Test    `json:",omitempty"`
	All   []Matcher `json:",omitempty"`
	Any   []Matcher `json:",omitempty"`
	Not   *Matcher  `json:",omitempty"`
}

// Test holds one field against values, which are of the kind of the field.
type Test struct {
	Field  Field
	Op     Op
	Values []any
}

// MarshalJSON leaves out how a field is read.
func (f Field) MarshalJSON() ([]byte, error) { return json.Marshal(f.Name) }

func (m *Matcher) match(e *event.Event) bool {
	for i := range m.Tests {
		if !m.Tests[i].match(e) {
			return false
		}
	}
	for i := range m.All {
		if !m.All[i].match(e) {
			return false
		}
	}
	if len(m.Any) > 0 && !slices.ContainsFunc(m.Any, func(a Matcher) bool { return a.match(e) }) {
		return false
	}
	return m.Not == nil || !m.Not.match(e)
}

// Match reports whether the event fits.
func (m Matcher) Match(e *event.Event) bool { return m.match(e) }

// match compares. An absent field makes every comparison false: Exists alone asks
// for absence.
func (t *Test) match(e *event.Event) bool {
	got := t.Field.get(e)
	if t.Op == Exists {
		return (got != nil) == (len(t.Values) == 0 || t.Values[0] == true)
	}
	if got == nil || len(t.Values) == 0 {
		return false
	}
	if texts, ok := got.([]string); ok {
		return t.matchTexts(texts)
	}
	return t.one(got)
}

// matchTexts holds a list against the values: one element must fit, and for the
// negative operators none.
func (t *Test) matchTexts(list []string) bool {
	positive := *t
	switch t.Op {
	case Ne:
		positive.Op = Eq
	case NotIn:
		positive.Op = In
	default:
		return slices.ContainsFunc(list, func(s string) bool { return t.one(s) })
	}
	return !slices.ContainsFunc(list, func(s string) bool { return positive.one(s) })
}

func (t *Test) one(got any) bool {
	want := t.Values[0]
	switch t.Op {
	case Eq:
		return compare(got, want) == 0
	case Ne:
		return compare(got, want) != 0
	case In:
		return slices.ContainsFunc(t.Values, func(v any) bool { return compare(got, v) == 0 })
	case NotIn:
		return !slices.ContainsFunc(t.Values, func(v any) bool { return compare(got, v) == 0 })
	case Gt:
		return compare(got, want) == 1
	case Gte:
		c := compare(got, want)
		return c == 0 || c == 1
	case Lt:
		return compare(got, want) == -1
	case Lte:
		c := compare(got, want)
		return c == 0 || c == -1
	}
	s, ok := got.(string)
	w, too := want.(string)
	if !ok || !too {
		return false
	}
	switch t.Op {
	case Prefix:
		return strings.HasPrefix(s, w)
	case Suffix:
		return strings.HasSuffix(s, w)
	case Glob:
		match, err := path.Match(w, s)
		return err == nil && match
	case CIDR:
		return within(s, w)
	}
	return false
}

// incomparable is what compare returns for values of different kinds.
const incomparable = 2

// Compare orders two values of one kind: -1, 0, 1, or 2 for values that cannot be
// compared.
func Compare(a, b any) int { return compare(a, b) }

func compare(a, b any) int {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return cmp.Compare(x, y)
		}
	case float64:
		if y, ok := b.(float64); ok {
			return cmp.Compare(x, y)
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return cmp.Compare(x, y)
		}
	case event.Severity:
		if y, ok := b.(event.Severity); ok {
			return cmp.Compare(x, y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	case bool:
		if y, ok := b.(bool); ok && x == y {
			return 0
		}
	}
	return incomparable
}

// within reports whether an address, with a port or without, lies in a network.
func within(addr, network string) bool {
	n, err := netip.ParsePrefix(network)
	if err != nil {
		return false
	}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return n.Contains(ap.Addr().Unmap())
	}
	a, err := netip.ParseAddr(addr)
	return err == nil && n.Contains(a.Unmap())
}
