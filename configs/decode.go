package configs

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// decoder collects what is wrong while it fills a Config.
type decoder struct {
	options          Options
	main, source     source     // the main file, and the one that is read now
	root             *yaml.Node // of the main file
	reads            map[string]read
	sumsOnly         bool // large lists are noted and not taken: nobody will use the Config
	includes         []include
	ruleFiles        []include
	approvalFiles    []include
	errs, warnings   []Problem
	endpoints, sinks []entry // for the checks between them

	prefix  string // of the path of the key that is read now
	origins map[string]origin
	bad     map[string]bool // keys whose value was not taken
}

// value is a key with what stands after it. The key is nil for an element of a
// list and for the whole document.
type value struct {
	key, node *yaml.Node
	hide      bool // keep the value out of excerpts
}

func (d *decoder) fail(v value, onKey bool, message, hint string) {
	if len(d.errs) < maxProblems {
		d.errs = append(d.errs, d.problem(v, onKey, message, hint))
	}
}

func (d *decoder) warn(v value, message, hint string) {
	d.warnings = append(d.warnings, d.problem(v, false, message, hint))
}

// problem stands at the key, or at the value.
func (d *decoder) problem(v value, onKey bool, message, hint string) Problem {
	at := v.node
	if onKey {
		at = v.key
	}
	p := Problem{File: d.source.name, Line: max(at.Line, 1), Col: max(at.Column, 1), Message: message, Hint: hint}
	if v.key == nil || v.key.Kind != yaml.ScalarNode {
		return p
	}
	key := excerptOf(v.key.Value)
	p.excerpt = key + ": …"
	if onKey {
		return p
	}
	p.caret = utf8.RuneCountInString(key) + 2
	// Of an expansion the default would be seen.
	if v.node.Kind == yaml.ScalarNode && !v.hide && !strings.Contains(v.node.Value, "${") {
		p.excerpt = strings.TrimRight(key+": "+excerptOf(v.node.Value), " ")
	}
	return p
}

// excerptOf cuts a scalar to what fits and can be shown on one line.
func excerptOf(s string) string {
	const most = 60
	if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		s = s[:i] + "…"
	}
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return s
}

// quoteKey names a key that is none of ours. Problems of a reload are published:
// what does not look like a key may be a line of a file that was never meant to
// be read as one, and is not repeated.
func quoteKey(n *yaml.Node) string {
	if len(n.Value) == 0 || len(n.Value) > longestKey || strings.IndexFunc(n.Value, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-.", r))
	}) >= 0 {
		return "that is no name"
	}
	return strconv.Quote(n.Value)
}

// longestKey is more than any key of the catalogue has, in octets.
const longestKey = 40

// defaults sets the default of each field.
func (d *decoder) defaults(fields []field) {
	for i := range fields {
		f := &fields[i]
		if f.one != nil && f.def != "" {
			f.one.set(f.def)
		}
		d.defaults(f.section)
	}
}

// mapping reads a mapping into fields and returns where each key stood, those
// with a wrong value included. what names the mapping in messages.
func (d *decoder) mapping(v value, what string, fields []field) map[string]value {
	at := map[string]value{}
	if !d.kind(v, yaml.MappingNode, what) {
		return at
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		member := value{key: v.node.Content[i], node: v.node.Content[i+1], hide: v.hide}
		if !plainKey(member.key) {
			continue // told by the walk over the document
		}
		key := member.key.Value
		if _, again := at[key]; again {
			continue // likewise
		}
		f := find(fields, key)
		switch {
		case f == nil:
			d.unknown(member, what, fields)
			continue
		case f.elsewhere != "":
			d.fail(member, true, f.elsewhere, f.hint)
		case !f.built():
			d.fail(member, true, key+" is not supported by this version", f.hint)
		default:
			member.hide = member.hide || f.one != nil && f.one.hide || f.table != nil && f.table.hide
			d.field(f, member)
		}
		at[key] = member
	}
	for i := range fields {
		if _, given := at[fields[i].key]; !given && fields[i].required {
			d.fail(value{node: v.node}, false, fmt.Sprintf("%s has no %s", what, fields[i].key), fields[i].hint)
		}
	}
	return at
}

func find(fields []field, key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

// field reads one value by the kind of its field.
func (d *decoder) field(f *field, v value) {
	before := d.prefix
	switch {
	case f.one != nil:
		d.scalar(v, f)
	case f.section != nil:
		d.prefix += f.key + "."
		d.mapping(v, f.key, f.section)
	case f.table != nil:
		d.prefix += f.key + "."
		d.table(v, f)
	case f.list != nil:
		d.list(v, f)
	case f.texts != nil:
		d.texts(v, f)
	case f.node != nil:
		f.node(v)
	}
	d.prefix = before
	if f.given != nil {
		f.given(v)
	}
}

// elements returns those of a list, and tells when there are none.
func (d *decoder) elements(v value, f *field) []*yaml.Node {
	if !d.kind(v, yaml.SequenceNode, f.key) {
		return nil
	}
	if len(v.node.Content) == 0 {
		d.fail(v, false, f.key+" is empty", cmp.Or(f.hint, "leave the key out for the default"))
	}
	return v.node.Content
}

func (d *decoder) list(v value, f *field) {
	before := d.prefix
	if f.list.keyed {
		d.keyed(v, f)
		return
	}
	for _, n := range d.elements(v, f) {
		_, name := d.peek(n, "name")
		d.prefix = before + listed(f, name)
		f.list.read(n)
	}
}

// scalar reads a scalar into its binding.
func (d *decoder) scalar(v value, f *field) {
	s, ok := d.text(v)
	if !ok {
		d.bad[d.prefix+f.key] = true
		return
	}
	r := f.one.set(s.text)
	if s.text == "" && f.required {
		r = refused("is empty", f.hint)
	}
	if r != nil {
		d.bad[d.prefix+f.key] = true
		d.refused(v, f.key, s, r)
	}
	d.origins[d.prefix+f.key] = d.origin(v, s)
}

// refused tells why a scalar is not taken.
func (d *decoder) refused(v value, key string, s scalarText, r *refusal) {
	message := key + " " + r.what
	switch {
	case s.from != "":
		message += "; its value comes from " + s.from
	case strings.HasPrefix(r.what, "wants") && !v.hide:
		message += ", got " + strconv.Quote(excerptOf(s.text))
	}
	d.fail(v, false, message, r.hint)
}

// scalarText is a scalar after expansion. from names the expansions; when it is
// not empty the text must not be shown.
type scalarText struct{ text, from string }

// text returns the raw text of a scalar, expanded.
func (d *decoder) text(v value) (scalarText, bool) {
	if !d.kind(v, yaml.ScalarNode, v.key.Value) {
		return scalarText{}, false
	}
	if !strings.Contains(v.node.Value, "${") {
		return scalarText{text: v.node.Value}, true
	}
	text, from, r := d.expand(v.node.Value)
	if r != nil {
		d.fail(v, false, excerptOf(v.key.Value)+" "+r.what, r.hint)
		return scalarText{}, false
	}
	return scalarText{text, from}, true
}

// kind tells when a node is not of the kind that is wanted.
func (d *decoder) kind(v value, want yaml.Kind, what string) bool {
	got := v.node.Kind
	null := got == yaml.ScalarNode && v.node.ShortTag() == "!!null"
	switch {
	case got == yaml.AliasNode:
		return false // told by the walk over the document
	case null && want == yaml.ScalarNode:
		d.fail(v, false, excerptOf(what)+" has no value", `give one, or leave the key out; a text such as null goes in quotes`)
		return false
	case null:
		d.fail(v, false, excerptOf(what)+" is empty", "indent what belongs to it by two spaces, or leave the key out")
		return false
	case got == want:
		return true
	}
	hint := map[yaml.Kind]string{
		yaml.MappingNode:  "write its keys below it, indented: key: value",
		yaml.SequenceNode: "begin each element with a dash: - name: …",
		yaml.ScalarNode:   "write it on the line of its key, and quote a text that begins with { or [",
	}[want]
	d.fail(v, false, fmt.Sprintf("%s wants %s, got %s", excerptOf(what), kindName(want), kindName(got)), hint)
	return false
}

func kindName(k yaml.Kind) string {
	switch k {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}
