package configs

import (
	"fmt"
	"net/netip"
	"path"
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
		b.d.fail(v, false, fmt.Sprintf("nested deeper than %d", maxNested), "use macros")
		return m
	}
	if !b.d.kind(v, yaml.MappingNode, "where") {
		return m
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
			for _, macro := range b.list(member) {
				node := b.macros[macro]
				switch {
				case !macros:
					b.d.fail(member, true, "a macro uses macros", "write its matchers out")
				case node == nil:
					b.d.fail(member, false, "no macro is named "+strconv.Quote(excerptOf(macro)), "macros stand under macros: at the top of the file")
				default:
					m.All = append(m.All, b.where(value{key: member.key, node: node}, types, depth+1, false))
				}
			}
		default:
			m.Tests = append(m.Tests, b.tests(member, types)...)
		}
	}
	return m
}

// tests reads what one field must be.
func (b *bookReader) tests(v value, types []event.Type) []custom.Test {
	field, ok := custom.FieldOf(v.key.Value, types)
	if !ok {
		b.noField(v, types)
		return nil
	}
	one := func(op custom.Op, n *yaml.Node) []custom.Test {
		t, ok := b.test(field, op, value{key: v.key, node: n})
		if !ok {
			return nil
		}
		return []custom.Test{t}
	}
	switch v.node.Kind {
	case yaml.ScalarNode:
		return one(custom.Eq, v.node)
	case yaml.SequenceNode:
		return one(custom.In, v.node)
	}
	if !b.d.kind(v, yaml.MappingNode, v.key.Value) {
		return nil
	}
	var out []custom.Test
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		op := v.node.Content[i]
		known := false
		for _, o := range custom.Ops(field.Kind) {
			known = known || string(o) == op.Value
		}
		if !known {
			var names []string
			for _, o := range custom.Ops(field.Kind) {
				names = append(names, string(o))
			}
			b.d.fail(value{key: op, node: v.node.Content[i+1]}, true, fmt.Sprintf("%s, a %s, cannot be compared by %s", field.Name, field.Kind, quoteKey(op)), "operators: "+strings.Join(names, ", "))
			continue
		}
		out = append(out, one(custom.Op(op.Value), v.node.Content[i+1])...)
	}
	return out
}

func (b *bookReader) noField(v value, types []event.Type) {
	var names []string
	for _, f := range custom.Fields() {
		names = append(names, f.Name)
	}
	for _, t := range types {
		for m := range custom.Details(t) {
			names = append(names, "details."+m)
		}
	}
	hint := "fields are listed in docs/rules.md; labels are endpoint.labels.NAME"
	if near := nearest(v.key.Value, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	b.d.fail(v, true, "no event of these types has a field "+quoteKey(v.key), hint)
}

// test reads the values of one comparison.
func (b *bookReader) test(f custom.Field, op custom.Op, v value) (custom.Test, bool) {
	t := custom.Test{Field: f, Op: op}
	kind := f.Kind
	switch op {
	case custom.Exists:
		kind = custom.Bool
	case custom.InList:
		words, ok := b.lists[v.node.Value]
		if !ok {
			b.d.fail(v, false, "no list is named "+strconv.Quote(excerptOf(v.node.Value)), "lists stand under lists: at the top of the file")
			return t, false
		}
		t.Op = custom.In
		for _, w := range words {
			t.Values = append(t.Values, w)
		}
		return t, true
	}
	nodes := []*yaml.Node{v.node}
	if v.node.Kind == yaml.SequenceNode && (op == custom.In || op == custom.NotIn) {
		nodes = v.node.Content
	}
	for _, n := range nodes {
		if !b.d.kind(value{key: v.key, node: n}, yaml.ScalarNode, f.Name) {
			return t, false
		}
		val, wants := parsed(kind, op, n.Value)
		if wants != "" {
			b.d.fail(value{key: v.key, node: n}, false, fmt.Sprintf("%s %s wants %s, got %s", f.Name, op, wants, strconv.Quote(excerptOf(n.Value))), "the field is a "+string(f.Kind))
			return t, false
		}
		t.Values = append(t.Values, val)
	}
	if len(t.Values) == 0 {
		b.d.fail(v, false, f.Name+" is compared with nothing", "name at least one value")
		return t, false
	}
	return t, true
}

// parsed reads a value of a kind; wants says what it should have been.
func parsed(kind custom.Kind, op custom.Op, s string) (val any, wants string) {
	switch kind {
	case custom.Number:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || n != n {
			return nil, "a number"
		}
		return n, ""
	case custom.Duration:
		d, ok := parseDuration(s)
		if !ok {
			return nil, "a duration such as 90d or 1h30m"
		}
		return d, ""
	case custom.Bool:
		if s != "true" && s != "false" {
			return nil, "true or false"
		}
		return s == "true", ""
	case custom.Severity:
		var v event.Severity
		if s == "info" {
			s = "informational"
		}
		if v.UnmarshalText([]byte(s)) != nil {
			return nil, "informational, low, medium, high or critical"
		}
		return v, ""
	case custom.Time:
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			if t, err = time.Parse("2006-01-02", s); err != nil {
				return nil, "a day or a time such as 2027-03-31"
			}
		}
		return t.UTC(), ""
	}
	switch op {
	case custom.CIDR:
		if _, err := netip.ParsePrefix(s); err != nil {
			return nil, "a network such as 203.0.113.0/24"
		}
	case custom.Glob:
		if _, err := path.Match(s, ""); err != nil {
			return nil, "a pattern with * ? and […]"
		}
	}
	return s, ""
}
