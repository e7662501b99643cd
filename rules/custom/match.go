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
	Glob   Op = "glob" // * stands for anything, ? for one character, […] for one of a class
	CIDR   Op = "cidr"
)

// Ops lists the operators that fit a kind of field.
func Ops(k Kind) []Op {
	switch k {
	case Text, Texts:
		return []Op{Eq, Ne, In, NotIn, InList, Exists, Prefix, Suffix, Glob}
	case Thumbprint:
		return []Op{Eq, Ne, In, NotIn, InList, Exists}
	case Address:
		return []Op{Eq, Ne, In, NotIn, InList, Exists, CIDR}
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

// Match reports whether the event fits, or one key of those that it stands for.
func (m Matcher) Match(e *event.Event) bool { return m.fits(e, false) }

// fits is match for an event that may stand for several keys, which have no Key but
// Keys: one of them must fit, or every one where the rule lowers. A list that was
// cut short is not every one: what is not named is not lowered.
func (m *Matcher) fits(e *event.Event, every bool) bool {
	d := &e.Data
	if d.Key != nil || len(d.Keys) == 0 || !m.asksKey() {
		return m.match(e)
	}
	if every && d.Event.Count > len(d.Keys) {
		return false
	}
	one := *e
	for i := range d.Keys {
		one.Data.Key = &d.Keys[i]
		if m.match(&one) != every {
			return !every
		}
	}
	return every
}

// asksKey reports whether a test is about the key.
func (m *Matcher) asksKey() bool {
	return slices.ContainsFunc(m.Tests, func(t Test) bool { return strings.HasPrefix(t.Field.Name, "key.") }) ||
		slices.ContainsFunc(m.All, func(a Matcher) bool { return a.asksKey() }) ||
		slices.ContainsFunc(m.Any, func(a Matcher) bool { return a.asksKey() }) ||
		m.Not != nil && m.Not.asksKey()
}

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
		// To path.Match a slash ends what * stands for; in a URL it should not.
		match, err := path.Match(strings.ReplaceAll(w, "/", slash), strings.ReplaceAll(s, "/", slash))
		return err == nil && match
	case CIDR:
		return within(s, w)
	}
	return false
}

// slash stands in for / in patterns: no text of an event holds it.
const slash = "\x00"

// incomparable is what compare returns for values of different kinds, and of none
// that has an order.
const incomparable = 2

// compare orders two values of one kind: -1, 0, 1, or incomparable.
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

// within reports whether an address lies in a network.
func within(addr, network string) bool {
	n, err := netip.ParsePrefix(network)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(addr)
	return err == nil && n.Contains(a.Unmap())
}
