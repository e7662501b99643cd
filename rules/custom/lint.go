package custom

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// must are all tests that an event has to pass to match.
func (m *Matcher) must() []Test {
	out := slices.Clone(m.Tests)
	for i := range m.All {
		out = append(out, m.All[i].must()...)
	}
	return out
}

// Never reports whether no event can match: two tests exclude each other, or every
// branch of an Any is excluded. It finds the plain cases, and errs towards false.
func (m *Matcher) Never() bool { return m.never(nil) }

func (m *Matcher) never(above []Test) bool {
	all := append(slices.Clone(above), m.must()...)
	for i := range all {
		for j := range all {
			if excludes(&all[i], &all[j]) {
				return true
			}
		}
	}
	if len(m.Any) > 0 && !slices.ContainsFunc(m.Any, func(a Matcher) bool { return !a.never(all) }) {
		return true
	}
	return slices.ContainsFunc(m.All, func(a Matcher) bool { return a.never(all) })
}

// excludes reports whether no value passes both. A list passes eq of two values.
func excludes(a, b *Test) bool {
	if a.Field.Name != b.Field.Name {
		return false
	}
	if a.Op == Exists && a.absent() {
		return b.Op != Exists || !b.absent()
	}
	if a.Field.Kind == Texts {
		return false
	}
	switch a.Op {
	case Eq, In:
		// Whatever values are named, none of them passes the other.
		return b.Op != Exists && len(b.Values) > 0 && !slices.ContainsFunc(a.Values, b.one)
	case Gt, Gte:
		if (b.Op == Lt || b.Op == Lte) && len(a.Values) > 0 && len(b.Values) > 0 {
			c := compare(a.Values[0], b.Values[0])
			return c == 1 || c == 0 && (a.Op == Gt || b.Op == Lt)
		}
	}
	return false
}

// absent reports whether the test asks for absence.
func (t *Test) absent() bool { return t.Op == Exists && len(t.Values) > 0 && t.Values[0] == false }

// Open are the fields that a part under Not asks for and that an event may lack: what
// lacks them matches. Those that the matcher holds to be there are left out.
func (m *Matcher) Open() []string {
	sure := map[string]bool{}
	for _, t := range m.must() {
		sure[t.Field.Name] = sure[t.Field.Name] || !t.absent()
	}
	out := map[string]bool{}
	m.open(sure, out)
	return slices.Sorted(maps.Keys(out))
}

func (m *Matcher) open(sure, out map[string]bool) {
	if m.Not != nil {
		for _, t := range m.Not.tests() {
			if t.Op != Exists && !t.Field.Always && !sure[t.Field.Name] {
				out[t.Field.Name] = true
			}
		}
	}
	for i := range m.All {
		m.All[i].open(sure, out)
	}
	for i := range m.Any {
		m.Any[i].open(sure, out)
	}
}

// tests are all tests, wherever they stand.
func (m *Matcher) tests() []Test {
	out := slices.Clone(m.Tests)
	for _, parts := range [][]Matcher{m.All, m.Any} {
		for i := range parts {
			out = append(out, parts[i].tests()...)
		}
	}
	if m.Not != nil {
		out = append(out, m.Not.tests()...)
	}
	return out
}

// Asks are the names of the fields that it asks for, sorted.
func (m *Matcher) Asks() []string {
	out := []string{}
	for _, t := range m.tests() {
		out = append(out, t.Field.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Narrow reports whether it names single endpoints or single keys.
func (m *Matcher) Narrow() bool {
	if slices.ContainsFunc(m.must(), func(t Test) bool {
		return (t.Op == Eq || t.Op == In) && (t.Field.Name == "endpoint.name" || t.Field.Name == "key.thumbprint")
	}) {
		return true
	}
	return len(m.Any) > 0 && !slices.ContainsFunc(m.Any, func(a Matcher) bool { return !a.Narrow() }) ||
		slices.ContainsFunc(m.All, func(a Matcher) bool { return a.Narrow() })
}

// Shadows reports whether whatever the other rule says of an event this one says at
// least as strongly: another detection of no lower severity, or another downgrade
// to no higher one that does not end before. It finds the plain cases, where each
// test of this one stands in the other too.
func (r *Rule) Shadows(other *Rule) bool {
	detect := func(a Action) bool { return a == "" || a == Detect }
	switch {
	case r == other || r.Off || other.Off || len(other.Escalate) > 0 || other.Fixed && !r.Fixed:
		return false
	case detect(r.Action) && detect(other.Action):
		if r.Severity < other.Severity || r.Repeat > 0 || slices.ContainsFunc(r.Escalate, func(e Escalation) bool { return e.Severity < other.Severity }) {
			return false
		}
	case r.Action == Downgrade && other.Action == Downgrade:
		if r.Severity > other.Severity || r.Expires.Before(other.Expires) {
			return false
		}
	default:
		return false
	}
	if slices.ContainsFunc(other.On, func(p string) bool { return !onAll(r.On, p) }) {
		return false
	}
	return r.Where.covers(&other.Where)
}

// onAll reports whether the patterns name every type that this one names.
func onAll(patterns []string, p string) bool {
	object, all := strings.CutSuffix(p, ".*")
	return p != "*" && on(patterns, p) || slices.Contains(patterns, "*") || all && on(patterns, object+".x")
}

// covers reports whether every event that the other matches is matched: each test
// of this one must stand in the other.
func (m *Matcher) covers(other *Matcher) bool {
	if len(m.Any) > 0 || m.Not != nil || slices.ContainsFunc(m.All, func(a Matcher) bool { return len(a.Any) > 0 || a.Not != nil || len(a.All) > 0 }) {
		return false
	}
	have := other.must()
	return !slices.ContainsFunc(m.must(), func(t Test) bool {
		return !slices.ContainsFunc(have, func(h Test) bool { return h.implies(&t) })
	})
}

// implies reports whether what passes this test passes the other.
func (t *Test) implies(other *Test) bool {
	if t.Field.Name != other.Field.Name {
		return false
	}
	if t.Op == other.Op && reflect.DeepEqual(t.Values, other.Values) {
		return true
	}
	return (t.Op == Eq || t.Op == In) && t.Field.Kind != Texts && other.Op != Exists && len(other.Values) > 0 &&
		!slices.ContainsFunc(t.Values, func(v any) bool { return !other.one(v) })
}
