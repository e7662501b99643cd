package configs

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/event"
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
	maxValues = 10_000 // of one list
	maxNested = 8      // any, all and not
	// soon is how long a rule that lowers severities may run before somebody is
	// asked to look at it again.
	soon = 90 * day
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
	b := bookReader{d: d, set: &custom.Set{NoBuiltin: !c.Rules.Builtin}, ids: map[string]string{}, lists: map[string][]string{}, macros: map[string]*yaml.Node{}}
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
		d.source = source{name: d.shown(path, in), dir: filepath.Dir(path), path: path}
		if root := d.document(src); root != nil {
			b.file(value{node: root})
		}
		d.source = d.main
	}
}

// LoadRules reads files of rules alone, as a configuration would that names them.
// The error is of type Errors when a file has problems.
func LoadRules(o Options, files ...string) (*custom.Set, []Problem, error) {
	d := newDecoder("rules", o)
	b := bookReader{d: d, set: &custom.Set{}, ids: map[string]string{}, lists: map[string][]string{}, macros: map[string]*yaml.Node{}}
	for _, file := range files {
		src, r := d.load(file, MaxFile)
		if r != nil {
			return nil, nil, fmt.Errorf("%s: %s", file, r.what)
		}
		d.source = source{name: file, dir: filepath.Dir(file), path: file}
		if root := d.document(src); root != nil {
			b.file(value{node: root})
		}
	}
	if len(d.errs) > 0 {
		return nil, nil, d.told()
	}
	d.sort(d.warnings)
	return b.set, d.warnings, nil
}

// bookReader turns files of rules into a set.
type bookReader struct {
	d      *decoder
	set    *custom.Set
	ids    map[string]string // rule id to its place
	lists  map[string][]string
	macros map[string]*yaml.Node
}

func (b *bookReader) file(v value) {
	var version int64
	// Lists and macros come first, wherever they stand.
	b.d.mapping(v, "a rules file", []field{
		{key: "version", required: true, hint: "begin the file with version: 1", one: countOf(&version, 1, 1)},
		{key: "lists", node: b.readLists},
		{key: "macros", node: b.readMacros},
		{key: "rules", node: func(value) {}},
		{key: "overrides", node: func(value) {}},
	})
	if v.node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		member := value{key: v.node.Content[i], node: v.node.Content[i+1]}
		switch member.key.Value {
		case "rules":
			b.each(member, b.rule)
		case "overrides":
			b.each(member, b.override)
		}
	}
}

func (b *bookReader) each(v value, read func(value)) {
	if !b.d.kind(v, yaml.SequenceNode, v.key.Value) {
		return
	}
	for _, n := range v.node.Content {
		if len(b.set.Rules)+len(b.set.Overrides) >= maxRules {
			b.d.fail(value{node: n}, false, fmt.Sprintf("more than %d rules", maxRules), "rules are for exceptions; use lists for many values")
			return
		}
		read(value{node: n})
	}
}

func (b *bookReader) readLists(v value) {
	if !b.d.kind(v, yaml.MappingNode, "lists") {
		return
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		member := value{key: v.node.Content[i], node: v.node.Content[i+1]}
		if plainKey(member.key) && b.d.kind(member, yaml.SequenceNode, member.key.Value) {
			b.lists[member.key.Value] = b.words(member)
		}
	}
}

// words reads a list of texts.
func (b *bookReader) words(v value) []string {
	out := []string{}
	for _, n := range v.node.Content {
		if len(out) >= maxValues {
			b.d.fail(v, true, fmt.Sprintf("a list of more than %d values", maxValues), "split it")
			break
		}
		if b.d.kind(value{key: v.key, node: n}, yaml.ScalarNode, "a value of the list") {
			out = append(out, n.Value)
		}
	}
	return out
}

func (b *bookReader) readMacros(v value) {
	if !b.d.kind(v, yaml.MappingNode, "macros") {
		return
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if k := v.node.Content[i]; plainKey(k) && b.d.kind(value{key: k, node: v.node.Content[i+1]}, yaml.MappingNode, k.Value) {
			b.macros[k.Value] = v.node.Content[i+1]
		}
	}
}

// rule reads one rule.
func (b *bookReader) rule(v value) {
	before := len(b.d.errs)
	r := custom.Rule{Action: custom.Detect, Place: fmt.Sprintf("%s:%d", b.d.source.name, v.node.Line)}
	action, suppressible := string(custom.Detect), true
	var where, escalate *value
	var skipped []string
	at := b.d.mapping(v, "a rule", []field{
		{key: "id", required: true, hint: "give it an id, such as id: corp-key-added", one: nameOf(&r.ID)},
		{key: "title", one: filledOf(&r.Title)},
		{key: "on", required: true, hint: "name types of events: on: key.added, on: [key.*, set.replaced], on: \"*\"", node: func(v value) { r.On = b.on(v) }},
		{key: "where", node: func(v value) { where = &v }},
		{key: "severity", one: b.severity(&r.Severity)},
		{key: "action", one: choiceOf(&action, []string{"detect", "downgrade", "raise"})},
		{key: "escalate", node: func(v value) { escalate = &v }},
		{key: "reason", one: filledOf(&r.Reason)},
		{key: "expires", one: b.moment(&r.Expires)},
		{key: "by", one: filledOf(&r.By)},
		{key: "suppressible", one: boolOf(&suppressible)},
		{key: "why", one: textOf(new(string))},
		{key: "runbook", one: textOf(new(string))},
		{key: "false_positives", one: textOf(new(string))},
		{key: "tags", node: func(v value) { skipped = b.list(v) }},
		{key: "repeat", hint: "leave it out; conditions open once and close once, so nothing repeats"},
	})
	_ = skipped
	r.Action, r.Fixed = custom.Action(action), !suppressible
	if r.Title == "" {
		r.Title = r.ID
	}
	types, err := custom.Types(r.On)
	if err == nil && where != nil {
		r.Where = b.where(*where, types, 0, true)
	}
	if err == nil && escalate != nil {
		r.Escalate = b.escalations(*escalate, types)
	}
	b.unique(at["id"], r.ID, r.Place)
	b.complete(v, &r)
	if len(b.d.errs) == before {
		b.lint(v, &r)
		b.set.Rules = append(b.set.Rules, r)
	}
}

// complete tells what a rule of its action lacks.
func (b *bookReader) complete(v value, r *custom.Rule) {
	fail := func(what, hint string) { b.d.fail(value{node: v.node}, false, "rule "+r.ID+" "+what, hint) }
	switch {
	case r.Action == custom.Raise && r.Severity != 0:
		fail("raises by one step and has a severity", "leave severity out, or take action: detect")
	case r.Action != custom.Raise && r.Severity == 0:
		fail("has no severity", "severity: informational, low, medium, high or critical")
	}
	if r.Action == custom.Downgrade {
		if r.Reason == "" {
			fail("lowers a severity without a reason", "reason: \"TICKET-1: why this is no alarm\"")
		}
		if r.Expires.IsZero() {
			fail("lowers a severity for ever", "expires: 2027-03-31; look at it again then")
		}
	}
	if r.Action != custom.Detect && len(r.Escalate) > 0 {
		fail("escalates, which only detections do", "leave escalate out")
	}
}

// lint warns of rules that are probably not meant.
func (b *bookReader) lint(v value, r *custom.Rule) {
	warn := func(what, hint string) { b.d.warn(value{node: v.node}, "rule "+r.ID+" "+what, hint) }
	if r.Action == custom.Downgrade {
		now := b.d.options.Now()
		switch {
		case !now.Before(r.Expires):
			warn("has expired: it lowers nothing any more", "take it out, or look at it again and give it another date")
		case r.Expires.Sub(now) > soon:
			warn("lowers severities for more than 90 days", "give it an earlier date: what was true in spring need not be in autumn")
		}
		if !narrow(&r.Where) {
			warn("lowers severities of every endpoint", "name the endpoint: where: { endpoint.name: … }")
		}
	}
	if never(&r.Where) {
		warn("never matches: no value is above the one bound and below the other", "exchange the bounds")
	}
}

// narrow reports whether a matcher names endpoints.
func narrow(m *custom.Matcher) bool {
	return slices.ContainsFunc(m.Tests, func(t custom.Test) bool {
		return strings.HasPrefix(t.Field.Name, "endpoint.") && t.Op != custom.Ne && t.Op != custom.NotIn && t.Op != custom.Exists
	}) || slices.ContainsFunc(m.All, func(a custom.Matcher) bool { return narrow(&a) })
}

// never reports whether two bounds of one field exclude each other.
func never(m *custom.Matcher) bool {
	for _, low := range m.Tests {
		for _, high := range m.Tests {
			if low.Field.Name == high.Field.Name && (low.Op == custom.Gt || low.Op == custom.Gte) && (high.Op == custom.Lt || high.Op == custom.Lte) &&
				custom.Compare(low.Values[0], high.Values[0]) >= 0 && custom.Compare(low.Values[0], high.Values[0]) <= 1 {
				return true
			}
		}
	}
	return slices.ContainsFunc(m.All, func(a custom.Matcher) bool { return never(&a) })
}

func (b *bookReader) override(v value) {
	before := len(b.d.errs)
	o := custom.Override{Place: fmt.Sprintf("%s:%d", b.d.source.name, v.node.Line)}
	enabled := true
	var where *value
	b.d.mapping(v, "an override", []field{
		{key: "id", required: true, hint: "the id of a built-in rule: jwkswatch rules list", one: nameOf(&o.ID)},
		{key: "severity", one: b.severity(&o.Severity)},
		{key: "enabled", one: boolOf(&enabled)},
		{key: "where", node: func(v value) { where = &v }},
	})
	o.Off = !enabled
	if where != nil {
		o.Where = b.where(*where, event.Types(), 0, true)
	}
	if !o.Off && o.Severity == 0 {
		b.d.fail(value{node: v.node}, false, "the override of "+o.ID+" changes nothing", "severity: low, or enabled: false")
	}
	if len(b.d.errs) == before {
		b.set.Overrides = append(b.set.Overrides, o)
	}
}

func (b *bookReader) unique(v value, id, place string) {
	if id == "" {
		return
	}
	if other, again := b.ids[id]; again {
		b.d.fail(v, false, "rule "+strconv.Quote(id)+" stands at "+other+" already", "give each rule an id of its own")
	}
	b.ids[id] = place
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

func (b *bookReader) on(v value) []string {
	list := b.list(v)
	for _, p := range list {
		if _, err := custom.Types([]string{p}); err != nil {
			hint := "types are listed in docs/events"
			var names []string
			for _, t := range event.Types() {
				names = append(names, string(t))
			}
			if near := nearest(p, names); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			b.d.fail(v, false, "on names a type that no event has: "+strconv.Quote(excerptOf(p)), hint)
		}
	}
	return list
}

func (b *bookReader) severity(to *event.Severity) *binding {
	var text string
	c := choiceOf(&text, []string{"informational", "low", "medium", "high", "critical"})
	set := c.set
	c.set = func(s string) *refusal {
		if s == "info" {
			s = "informational"
		}
		if r := set(s); r != nil {
			return r
		}
		_ = to.UnmarshalText([]byte(s)) // one of its names
		return nil
	}
	return c
}

// moment reads a day or a time. A day lasts until its end, in UTC.
func (b *bookReader) moment(to *time.Time) *binding {
	return &binding{typ: "time", set: func(s string) *refusal {
		if t, err := time.Parse("2006-01-02", s); err == nil {
			*to = t.Add(day)
			return nil
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return refused("wants a day or a time", "2027-03-31, or 2027-03-31T12:00:00Z")
		}
		*to = t.UTC()
		return nil
	}, show: func() string { return "" }}
}

func (b *bookReader) escalations(v value, types []event.Type) []custom.Escalation {
	if !b.d.kind(v, yaml.SequenceNode, "escalate") {
		return nil
	}
	var out []custom.Escalation
	for _, n := range v.node.Content {
		var e custom.Escalation
		b.d.mapping(value{node: n}, "an escalation", []field{
			{key: "where", required: true, hint: "say where: where: { endpoint.tier: critical }", node: func(v value) { e.Where = b.where(v, types, 0, true) }},
			{key: "severity", required: true, hint: "severity: critical", one: b.severity(&e.Severity)},
		})
		out = append(out, e)
	}
	return out
}
