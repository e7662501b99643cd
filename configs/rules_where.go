package configs

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// where reads a matcher: a mapping of fields to what they must be, and of any,
// all, not and use.
func (b *bookReader) where(v value, types []event.Type, depth int, macros bool) custom.Matcher {
	var m custom.Matcher
	if depth > maxNested {
		b.fail(v, false, fmt.Sprintf("nested deeper than %d", maxNested), "use macros")
		return m
	}
	if !b.d.kind(v, yaml.MappingNode, "where") {
		return m
	}
	if len(v.node.Content) == 0 {
		// It would match every event, or inside not none: neither is what it looks like.
		b.fail(v, false, "a matcher asks for nothing", "name a field, such as endpoint.name: corp-idp; a rule without where: matches every event of its types")
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		member := value{key: v.node.Content[i], node: v.node.Content[i+1]}
		if !plainKey(member.key) {
			continue
		}
		switch name := member.key.Value; name {
		case "any", "all":
			if !b.d.kind(member, yaml.SequenceNode, name) {
				continue
			}
			if len(member.node.Content) == 0 {
				b.fail(member, false, name+" is empty", "begin each part with a dash: - endpoint.name: corp-idp")
			}
			for _, n := range member.node.Content {
				part := b.where(value{key: member.key, node: n}, types, depth+1, macros)
				if name == "any" {
					m.Any = append(m.Any, part)
				} else {
					m.All = append(m.All, part)
				}
			}
		case "not":
			not := b.where(member, types, depth+1, macros)
			m.Not = &not
		case "use":
			m.All = append(m.All, b.used(member, types, depth, macros)...)
		default:
			m.Tests = append(m.Tests, b.fieldTests(member, types)...)
		}
	}
	return m
}

// used writes macros out. What is wrong in one is told where it stands.
func (b *bookReader) used(v value, types []event.Type, depth int, macros bool) []custom.Matcher {
	if !macros {
		b.fail(v, true, "a macro uses macros", "write its matchers out")
		return nil
	}
	var out []custom.Matcher
	list := b.list(v)
	if len(list) > maxUses {
		b.fail(v, true, fmt.Sprintf("use names more than %d macros", maxUses), "make one of them")
		return nil
	}
	for _, name := range list {
		n := b.macros[name]
		if n == nil {
			b.fail(v, false, "no macro is named "+strconv.Quote(excerptOf(name)), didYouMean(nearest(name, slices.Sorted(maps.Keys(b.macros))), "macros stand under macros: at the top of a file"))
			continue
		}
		n.used = true
		here := b.d.source
		b.d.source = n.source
		out = append(out, b.where(n.value, types, depth+1, false))
		b.d.source = here
	}
	return out
}

// fieldTests reads what one field must be.
func (b *bookReader) fieldTests(v value, types []event.Type) []custom.Test {
	field, ok := b.field(v, types)
	if !ok {
		return nil
	}
	one := func(op custom.Op, at value) []custom.Test {
		t, ok := b.test(field, op, at)
		if b.tests++; !ok || b.tests > maxTests {
			return nil
		}
		return []custom.Test{t}
	}
	switch v.node.Kind {
	case yaml.ScalarNode:
		return one(custom.Eq, v)
	case yaml.SequenceNode:
		return one(custom.In, v)
	}
	if !b.d.kind(v, yaml.MappingNode, v.key.Value) {
		return nil
	}
	if len(v.node.Content) == 0 {
		b.fail(v, true, field.Name+" is compared with nothing", "give it a value, or an operator such as "+field.Name+": { exists: true }")
	}
	var out []custom.Test
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		op := value{key: v.node.Content[i], node: v.node.Content[i+1]}
		var names []string
		for _, o := range custom.Ops(field.Kind) {
			names = append(names, string(o))
		}
		if !slices.Contains(names, op.key.Value) {
			b.fail(op, true, fmt.Sprintf("%s, a %s, cannot be compared by %s", field.Name, field.Kind, quoteKey(op.key)), didYouMean(nearest(op.key.Value, names), "operators: "+strings.Join(names, ", ")))
			continue
		}
		out = append(out, one(custom.Op(op.key.Value), op)...)
	}
	if b.tests > maxTests {
		b.fail(v, true, fmt.Sprintf("more than %d comparisons, with macros written out", maxTests), "use lists for many values")
	}
	return out
}

// field finds what a key names, and tells when there is no such field.
func (b *bookReader) field(v value, types []event.Type) (custom.Field, bool) {
	name := v.key.Value
	if tag, ok := strings.CutPrefix(name, "details."); ok {
		if kinds := custom.Kinds(tag, types); len(kinds) > 1 {
			b.fail(v, true, fmt.Sprintf("%s is a %s of some of these types and a %s of others", quoteKey(v.key), kinds[0], kinds[1]), "write a rule for each of them")
			return custom.Field{}, false
		}
	}
	field, ok := b.fields[name]
	if !ok {
		field, ok = custom.FieldOf(name, types)
	}
	if label, is := strings.CutPrefix(name, "endpoint.labels."); ok && is {
		if _, r := checkLabel(label, ""); r != nil {
			b.fail(v, true, r.what, r.hint)
			return field, false
		}
	}
	if ok {
		return field, true
	}
	var names []string
	for f := range b.fields {
		names = append(names, f)
	}
	for _, t := range types {
		for m := range custom.Details(t) {
			names = append(names, "details."+m)
		}
	}
	slices.Sort(names) // members of details come in any order
	b.fail(v, true, "no event of these types has a field "+quoteKey(v.key), didYouMean(nearest(name, names), "fields are listed in docs/rules.md; labels are endpoint.labels.NAME"))
	return field, false
}

// test reads the values of one comparison.
func (b *bookReader) test(f custom.Field, op custom.Op, v value) (custom.Test, bool) {
	t := custom.Test{Field: f, Op: op}
	if op == custom.InList {
		return b.inList(t, v)
	}
	nodes := []*yaml.Node{v.node}
	if v.node.Kind == yaml.SequenceNode && (op == custom.In || op == custom.NotIn) {
		nodes = v.node.Content
	}
	if len(nodes) > maxValues {
		b.fail(v, true, fmt.Sprintf("%s has more than %d values", f.Name, maxValues), "split the rule")
		return t, false
	}
	for _, n := range nodes {
		at := value{key: v.key, node: n}
		if !b.d.kind(at, yaml.ScalarNode, f.Name) {
			return t, false
		}
		val, r := parsed(&f, op, n.Value)
		if r != nil {
			b.fail(at, false, fmt.Sprintf("%s %s %s, got %s", f.Name, op, r.what, strconv.Quote(excerptOf(n.Value))), r.hint)
			return t, false
		}
		t.Values = append(t.Values, val)
	}
	if len(t.Values) == 0 {
		b.fail(v, false, f.Name+" is compared with nothing", "name at least one value")
		return t, false
	}
	b.uses = append(b.uses, use{sourced{b.d.source, v}, t})
	return t, true
}

// inList takes the values of a list.
func (b *bookReader) inList(t custom.Test, v value) (custom.Test, bool) {
	if !b.d.kind(v, yaml.ScalarNode, string(custom.InList)) {
		return t, false
	}
	n := b.lists[v.node.Value]
	if n == nil {
		b.fail(v, false, "no list is named "+strconv.Quote(excerptOf(v.node.Value)), didYouMean(nearest(v.node.Value, slices.Sorted(maps.Keys(b.lists))), "lists stand under lists: at the top of a file"))
		return t, false
	}
	n.used = true
	t.Op = custom.In
	here := b.d.source
	defer func() { b.d.source = here }()
	b.d.source = n.source
	for i, w := range n.words {
		val, r := parsed(&t.Field, custom.In, w)
		if r != nil {
			b.fail(value{key: n.value.key, node: n.value.node.Content[i]}, false, fmt.Sprintf("%s %s, got %s", t.Field.Name, r.what, strconv.Quote(excerptOf(w))), r.hint)
			return t, false
		}
		t.Values = append(t.Values, val)
	}
	if len(t.Values) == 0 {
		b.fail(n.value, true, "the list "+quoteKey(n.value.key)+" is empty: what is compared with it never matches", "name at least one value")
		return t, false
	}
	b.uses = append(b.uses, use{sourced{n.source, n.value}, t})
	return t, true
}

// parsed reads a value for a field, as one that an event may have. What would never
// be equal to one is refused: a rule that cannot fire is the worst of rules.
func parsed(f *custom.Field, op custom.Op, s string) (any, *refusal) {
	kind := f.Kind
	if op == custom.Exists {
		kind = custom.Bool
	}
	is := "the field is a " + string(f.Kind)
	switch kind {
	case custom.Number:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || n != n || n > 1<<53 || n < -1<<53 {
			return nil, refused("wants a number", is)
		}
		return n, nil
	case custom.Duration:
		d, ok := parseDuration(s)
		if !ok {
			return nil, refused("wants a duration such as 90d or 1h30m", is+"; units are d, h, m, s and ms, the largest first")
		}
		return d, nil
	case custom.Bool:
		if s != "true" && s != "false" {
			return nil, refused("wants true or false", "in lower case")
		}
		return s == "true", nil
	case custom.Severity:
		var v event.Severity
		if s == "info" {
			s = "informational"
		}
		if v.UnmarshalText([]byte(s)) != nil {
			return nil, refused("wants "+listing(custom.Severities(), "or"), didYouMean(nearest(s, custom.Severities()), is))
		}
		return v, nil
	case custom.Time:
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			if t, err = time.Parse(time.DateOnly, s); err != nil {
				return nil, refused("wants a day or a time such as 2027-03-31", is)
			}
		}
		return t.UTC(), nil
	}
	if r := wellFormed(f, op, s); r != nil {
		return nil, r
	}
	return s, nil
}

// wellFormed holds a text against what a field or an operator can take.
func wellFormed(f *custom.Field, op custom.Op, s string) *refusal {
	whole := op == custom.Eq || op == custom.Ne || op == custom.In || op == custom.NotIn
	switch {
	case op == custom.CIDR:
		if _, err := netip.ParsePrefix(s); err != nil {
			return refused("wants a network such as 203.0.113.0/24", "an address, a slash and the length of the prefix")
		}
	case op == custom.Glob:
		if _, err := path.Match(s, ""); err != nil {
			return refused("wants a pattern with * ? and […]", `a \ takes the meaning from the next character`)
		}
	case f.Kind == custom.Address:
		if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" || a.Unmap().String() != s {
			return refused("wants an address such as 203.0.113.10 or 2001:db8::1", "without a port, in its shortest form; networks are compared by cidr")
		}
	case f.Kind == custom.Thumbprint && whole:
		if b, err := base64.RawURLEncoding.Strict().DecodeString(s); err != nil || len(b) != sha256.Size {
			return refused("wants a thumbprint of 43 characters", "RFC 7638 with SHA-256, base64url, as events have it")
		}
	case f.Values != nil && whole && !slices.Contains(f.Values, s):
		if len(f.Values) > 12 {
			return refused("wants one of its values", didYouMean(nearest(s, f.Values), "docs/rules.md lists them"))
		}
		return refused("wants "+listing(f.Values, "or"), didYouMean(nearest(s, f.Values), "letters and case as here"))
	case !whole && s == "":
		return refused("wants a text", "every text begins and ends with nothing: name something")
	}
	return nil
}
