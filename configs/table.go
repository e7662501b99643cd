package configs

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// keyed reads a mapping of names to mappings.
func (d *decoder) keyed(v value, f *field) {
	if !d.kind(v, yaml.MappingNode, f.key) {
		return
	}
	before := d.prefix
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		member := value{key: v.node.Content[i], node: v.node.Content[i+1]}
		if !plainKey(member.key) || seen[member.key.Value] {
			continue // told by the walk over the document
		}
		seen[member.key.Value] = true
		d.prefix = before + listed(f, member.key.Value)
		f.list.readNamed(member)
	}
	d.prefix = before
}

// listed is how the path of an element of a list begins.
func listed(f *field, name string) string {
	if f.list.keyed {
		return f.key + "." + name + "."
	}
	return f.key + "[" + name + "]."
}

func (d *decoder) texts(v value, f *field) {
	for _, n := range d.elements(v, f) {
		element := value{key: v.key, node: n, hide: v.hide}
		if s, ok := d.text(element); ok {
			if r := f.texts.add(element, s.text); r != nil {
				d.refused(element, f.key, s, r)
			}
		}
	}
	d.origins[d.prefix+f.key] = d.origin(v, scalarText{})
}

func (d *decoder) table(v value, f *field) {
	if !d.kind(v, yaml.MappingNode, f.key) {
		return
	}
	if n := len(v.node.Content) / 2; n > f.table.limit {
		d.fail(v, true, fmt.Sprintf("%s has %d entries, at most %d are taken", f.key, n, f.table.limit), "leave some out")
	}
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		member := value{key: v.node.Content[i], node: v.node.Content[i+1], hide: f.table.hide}
		if !plainKey(member.key) {
			continue
		}
		s, ok := d.text(member)
		if !ok {
			continue
		}
		key, r := f.table.check(member.key.Value, s.text)
		if r != nil {
			d.refuse(f.table, member, r)
			continue
		}
		if before := first[key]; before != nil {
			// Keys that are equal as written are told by the walk.
			if before.Value != member.key.Value {
				d.repeated(member, before.Line)
			}
			continue
		}
		first[key] = member.key
		f.table.set(key, s.text)
		d.origins[d.prefix+key] = d.origin(member, s)
	}
}

// refuse tells of an entry of a table. A key that is none may be a secret that
// was written in the wrong place, so among secrets it is not shown.
func (d *decoder) refuse(t *table, v value, r *refusal) {
	if r.key && t.hide {
		v = value{node: v.key}
	}
	d.fail(v, r.key && v.key != nil, r.what, r.hint)
}
