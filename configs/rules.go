package configs

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// Rules says which rules have a word.
type Rules struct {
	Builtin bool
	Files   []string // paths or patterns, as written
	// Set is what the files say; never nil in a configuration that was accepted.
	Set *custom.Set
}

// Bounds of rules files.
const (
	maxRules  = 1000
	maxValues = 10_000  // of one list
	maxTests  = 100_000 // of all rules, with macros written out
	maxNested = 8       // any, all and not
	maxUses   = 32      // macros of one matcher
	// soon is how long a rule that lowers severities may run before somebody is
	// asked to look at it again.
	soon = 90 * day
	// A rule that repeats is silent for so long at least and at most: what is
	// silent for longer lowers severities, and says so with a reason.
	leastRepeat, mostRepeat = time.Minute, 90 * day
)

func (r *Rules) fields(d *decoder) []field {
	return []field{
		{key: "builtin", def: "true", doc: "Whether the built-in rules set severities. Off: what they find is informational, but for what is never lowered.", one: boolOf(&r.Builtin)},
		{key: "files", doc: "Rules of your own: paths, or patterns with `*`, `?` and `[…]`. See docs/rules.md.", example: "[rules.d/*.yaml]", texts: &texts{
			typ: "list of paths", shape: pathShape,
			add: func(v value, text string) *refusal {
				if r := checkPath(text); r != nil {
					return r
				}
				r.Files = append(r.Files, text)
				d.ruleFiles = append(d.ruleFiles, include{text, v})
				return nil
			},
			show: func() []string { return r.Files },
		}},
	}
}

// book reads the files of rules into c, in the order of their paths.
func (d *decoder) book(c *Config) {
	b := newBookReader(d)
	b.set.NoBuiltin = !c.Rules.Builtin
	c.Rules.Set = b.set
	wanted := map[string]include{}
	for _, in := range d.ruleFiles {
		for _, path := range d.matches(in) {
			if _, again := wanted[path]; !again {
				wanted[path] = in
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(wanted)) {
		in := wanted[path]
		src, r := d.load(path, MaxFile)
		if r != nil {
			d.fail(in.at, false, fmt.Sprintf("rules file %s: %s", excerptOf(d.shown(path, in)), r.what), r.hint)
			continue
		}
		b.add(source{name: d.shown(path, in), dir: filepath.Dir(path), path: path}, src)
	}
	b.read()
	b.against(c)
	d.source = d.main
}

// LoadRules reads files of rules alone, as a configuration would that names them,
// and returns warnings beside them. The error is of type Errors when a file has
// problems; otherwise it wraps why a file cannot be read.
func LoadRules(o Options, files ...string) (*custom.Set, []Problem, error) {
	d := newDecoder("rules", o)
	b, err := loadBook(d, files)
	switch {
	case err != nil:
		return nil, nil, err
	case len(d.errs) > 0:
		return nil, nil, d.told()
	}
	d.sort(d.warnings)
	return b.set, d.warnings, nil
}

func loadBook(d *decoder, files []string) (*bookReader, error) {
	b := newBookReader(d)
	for _, file := range files {
		path := d.path(file)
		src, r := d.load(path, MaxFile)
		if r != nil {
			return nil, fmt.Errorf("%s: %s", file, r.what)
		}
		b.add(source{name: file, dir: filepath.Dir(path), path: path}, src)
	}
	b.read()
	return b, nil
}

// bookReader turns files of rules into a set. Names hold in all files, whatever
// their order: first all lists and macros are read, then all rules.
type bookReader struct {
	d      *decoder
	set    *custom.Set
	files  []sourced
	ids    map[string]string // rule id to its place
	at     map[string]sourced
	lists  map[string]*named
	macros map[string]*named
	tests  int // read so far
	book   []rules.Rule
	fields map[string]custom.Field // but for labels and details
	uses   []use
}

// sourced is a value and the file it stands in.
type sourced struct {
	source source
	value  value
}

// named is a list or a macro.
type named struct {
	sourced
	words []string // of a list
	used  bool
}

func newBookReader(d *decoder) *bookReader {
	fields := map[string]custom.Field{}
	for _, f := range custom.Fields() {
		fields[f.Name] = f
	}
	return &bookReader{
		book: rules.Book(), fields: fields,
		d: d, set: &custom.Set{}, ids: map[string]string{}, at: map[string]sourced{},
		lists: map[string]*named{}, macros: map[string]*named{},
	}
}

// fail tells what is wrong once: a macro that is used twice is wrong once.
func (b *bookReader) fail(v value, onKey bool, message, hint string) {
	if !slices.Contains(b.d.errs, b.d.problem(v, onKey, message, hint)) {
		b.d.fail(v, onKey, message, hint)
	}
}

func (b *bookReader) warn(v value, message, hint string) {
	if !slices.Contains(b.d.warnings, b.d.problem(v, false, message, hint)) {
		b.d.warn(v, message, hint)
	}
}

// add takes one more file.
func (b *bookReader) add(s source, src []byte) {
	b.d.source = s
	if root := b.d.document(src); root != nil {
		b.files = append(b.files, sourced{s, value{node: root}})
	}
}

// read reads all files that were added.
func (b *bookReader) read() {
	for _, f := range b.files {
		b.d.source = f.source
		b.names(f.value)
	}
	for _, f := range b.files {
		b.d.source = f.source
		if f.value.node.Kind != yaml.MappingNode {
			continue
		}
		if v := member(f.value.node, "rules"); v.node != nil {
			b.each(v, b.rule)
		}
		if v := member(f.value.node, "overrides"); v.node != nil {
			b.each(v, b.override)
		}
	}
	b.between()
}

// top are the keys of a file of rules.
func (b *bookReader) top() []field {
	version := new(int64)
	return []field{
		{key: "version", required: true, hint: "begin the file with version: 1", one: countOf(version, 1, 1)},
		{key: "lists", node: b.readLists},
		{key: "macros", node: b.readMacros},
		{key: "rules", node: func(value) {}},
		{key: "overrides", node: func(value) {}},
	}
}

func (b *bookReader) names(v value) { b.d.mapping(v, "a rules file", b.top()) }

func (b *bookReader) each(v value, read func(value)) {
	if !b.d.kind(v, yaml.SequenceNode, v.key.Value) {
		return
	}
	for _, n := range v.node.Content {
		if len(b.set.Rules)+len(b.set.Overrides) >= maxRules {
			b.fail(value{node: n}, false, fmt.Sprintf("more than %d rules", maxRules), "rules are for exceptions; use lists for many values")
			return
		}
		read(value{node: n})
	}
}

func (b *bookReader) readLists(v value) {
	b.eachName(v, b.lists, yaml.SequenceNode, func(n *named) { n.words = b.words(n.value) })
}

func (b *bookReader) readMacros(v value) {
	b.eachName(v, b.macros, yaml.MappingNode, func(*named) {})
}

// eachName reads the names of a mapping. A name that stands in two files would mean
// what the order of the files says: it is refused.
func (b *bookReader) eachName(v value, into map[string]*named, kind yaml.Kind, read func(*named)) {
	if !b.d.kind(v, yaml.MappingNode, v.key.Value) {
		return
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		member := value{key: v.node.Content[i], node: v.node.Content[i+1]}
		name := member.key.Value
		if !plainKey(member.key) || !b.d.kind(member, kind, name) {
			continue
		}
		if other := into[name]; other != nil {
			if other.value.key != member.key && other.source.name != b.d.source.name { // in one file told by the walk
				b.fail(member, true, fmt.Sprintf("%s stands at %s:%d already", quoteKey(member.key), other.source.name, other.value.key.Line), "names hold in all files of rules: give it another one")
			}
			continue
		}
		into[name] = &named{sourced: sourced{b.d.source, member}}
		read(into[name])
	}
}

// words reads a list of texts.
func (b *bookReader) words(v value) []string {
	out := []string{}
	for _, n := range v.node.Content {
		if len(out) >= maxValues {
			b.fail(v, true, fmt.Sprintf("a list of more than %d values", maxValues), "split it")
			break
		}
		if b.d.kind(value{key: v.key, node: n}, yaml.ScalarNode, "a value of the list") {
			out = append(out, n.Value)
		}
	}
	return out
}

// list reads a scalar or a list of scalars.
func (b *bookReader) list(v value) []string {
	if v.node.Kind == yaml.ScalarNode {
		return []string{v.node.Value}
	}
	if !b.d.kind(v, yaml.SequenceNode, v.key.Value) {
		return nil
	}
	return b.words(v)
}
