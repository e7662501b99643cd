package configs

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// RuleTests is a file of tests of rules, with the rules that it names.
type RuleTests struct {
	Set      *custom.Set
	Tests    []RuleTest
	Warnings []Problem
}

// RuleTest is one test. What it gives is one of three: an event, two documents that
// are compared, or polls in their order.
type RuleTest struct {
	Name  string
	Place string    // file:line
	At    time.Time // never zero: without at it is the time of the run
	// Event is what is given, as the built-in rule of its type has it where nothing
	// is said. Of documents and polls it has only the endpoint.
	Event         event.Event
	Before, After *jwks.Set // both nil but for documents
	Polls         []RulePoll
	Expect        RuleExpect
}

// RulePoll is one poll of a test.
type RulePoll struct {
	At  time.Time
	Doc []byte // the answer; nil: none came
}

// RuleExpect is what the rules must make of it. What is not said is not held.
type RuleExpect struct {
	Severity event.Severity // of the event, or the highest of all; 0: not said
	Verdict  string
	// Rules are those of the operator that fire, and Events what is told, as
	// "severity type"; both sorted. nil: not said.
	Rules, Events []string
}

// maxRuleTests bounds a file of tests.
const maxRuleTests = 10_000

// LoadRuleTests reads a file of tests and the rules that it names. The error is of
// type Errors when one of them has problems; otherwise it wraps why the file cannot
// be read.
func LoadRuleTests(o Options, file string) (*RuleTests, error) {
	d := newDecoder(file, o)
	src, r := d.load(d.main.path, MaxFile)
	if r != nil {
		return nil, fmt.Errorf("%s: %s", file, r.what)
	}
	t := testReader{d: d, book: newBookReader(d), out: &RuleTests{}, names: map[string]int{}}
	root := d.document(src)
	if root != nil {
		t.file(value{node: root})
	}
	if len(d.errs) > 0 {
		return nil, d.told()
	}
	d.sort(d.warnings)
	t.out.Set, t.out.Warnings = t.book.set, d.warnings
	return t.out, nil
}

// testReader turns a file into tests.
type testReader struct {
	d     *decoder
	book  *bookReader
	out   *RuleTests
	names map[string]int // of tests, to their lines
	whole bool           // the rules could be read
}

func (t *testReader) file(v value) {
	var tests *value
	version := new(int64)
	at := t.d.mapping(v, "a file of tests", []field{
		{key: "version", required: true, hint: "begin the file with version: 1", one: countOf(version, 1, 1)},
		{key: "rule_files", node: t.ruleFiles},
		{key: "tests", required: true, hint: "tests: and a list of them", node: func(v value) { tests = &v }},
	})
	t.d.source = t.d.main
	before := len(t.d.errs)
	t.book.read()
	t.whole = before == 0 && len(t.d.errs) == 0
	t.d.source = t.d.main
	if tests == nil || !t.d.kind(*tests, yaml.SequenceNode, "tests") {
		return
	}
	if n := len(tests.node.Content); n > maxRuleTests {
		t.d.fail(at["tests"], true, fmt.Sprintf("more than %d tests", maxRuleTests), "split the file")
		return
	}
	for _, n := range tests.node.Content {
		t.test(value{node: n})
	}
}

// ruleFiles reads what the tests are of.
func (t *testReader) ruleFiles(v value) {
	for _, n := range t.scalars(v) {
		path := t.d.path(n.Value)
		src, r := t.d.load(path, MaxFile)
		if r != nil {
			t.d.fail(value{key: v.key, node: n}, false, fmt.Sprintf("rules file %s: %s", excerptOf(n.Value), r.what), r.hint)
			continue
		}
		name := n.Value
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(t.d.main.name), name)
		}
		t.book.add(source{name: name, dir: filepath.Dir(path), path: path}, src)
		t.d.source = t.d.main
	}
}

// scalars are the elements of a list, or the one scalar.
func (t *testReader) scalars(v value) []*yaml.Node {
	if v.node.Kind == yaml.ScalarNode {
		if !t.d.kind(v, yaml.ScalarNode, v.key.Value) {
			return nil
		}
		return []*yaml.Node{v.node}
	}
	if !t.d.kind(v, yaml.SequenceNode, v.key.Value) {
		return nil
	}
	out := []*yaml.Node{}
	for _, n := range v.node.Content {
		if t.d.kind(value{key: v.key, node: n}, yaml.ScalarNode, v.key.Value) {
			out = append(out, n)
		}
	}
	return out
}

func (t *testReader) test(v value) {
	test := RuleTest{Place: fmt.Sprintf("%s:%d", t.d.source.name, v.node.Line)}
	var given, before, after, polls, expect *value
	keep := func(to **value) func(value) { return func(v value) { *to = &v } }
	at := t.d.mapping(v, "a test", []field{
		{key: "name", required: true, hint: "name: what the rules should do", one: filledOf(&test.Name)},
		{key: "at", one: t.instant(&test.At)},
		{key: "given", node: keep(&given)},
		{key: "before", node: keep(&before)},
		{key: "after", node: keep(&after)},
		{key: "polls", node: keep(&polls)},
		{key: "expect", required: true, hint: "a test that expects nothing cannot fail: expect: { severity: high }", node: keep(&expect)},
	})
	if v.node.Kind != yaml.MappingNode {
		return
	}
	if line, again := t.names[test.Name]; again && test.Name != "" {
		t.d.fail(at["name"], false, fmt.Sprintf("the test at line %d has this name", line), "give each its own: reports name them")
	}
	t.names[test.Name] = v.node.Line
	if test.At.IsZero() {
		test.At = t.d.options.Now().UTC()
	}
	single := before == nil && after == nil && polls == nil
	switch {
	case single && given == nil:
		t.d.fail(v, false, "a test gives nothing", "given: with the fields of an event, before: and after: with two JWKS files, or polls:")
		return
	case polls != nil && (before != nil || after != nil):
		t.d.fail(*polls, true, "polls beside before and after", "keep one of the two")
		return
	case (before == nil) != (after == nil):
		t.d.fail(v, false, "before and after belong together", "name both files")
		return
	}
	test.Event = t.event(&test, given, single)
	if before != nil {
		test.Before, test.After = t.set(*before), t.set(*after)
	}
	if polls != nil {
		t.polls(&test, *polls)
	}
	if expect != nil {
		t.expect(&test.Expect, *expect, single)
	}
	t.out.Tests = append(t.out.Tests, test)
}

// instant reads a time; a day is its beginning.
func (t *testReader) instant(to *time.Time) *binding {
	return &binding{typ: "time", shape: momentShape, show: func() string { return "" }, set: func(s string) *refusal {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			if at, err = time.Parse(time.DateOnly, s); err != nil {
				return refused("wants a time", "2027-03-31T12:00:00Z, or 2027-03-31 for its first moment")
			}
		}
		*to = at.UTC()
		return nil
	}}
}

// document reads a file that the value names.
func (t *testReader) document(v value) []byte {
	if !t.d.kind(v, yaml.ScalarNode, v.key.Value) {
		return nil
	}
	src, r := t.d.load(t.d.path(v.node.Value), MaxFile)
	if r != nil {
		t.d.fail(v, false, fmt.Sprintf("%s %s: %s", v.key.Value, excerptOf(v.node.Value), r.what), r.hint)
	}
	return src
}

// set reads a JWK Set.
func (t *testReader) set(v value) *jwks.Set {
	src := t.document(v)
	if src == nil {
		return &jwks.Set{}
	}
	set := jwks.Parse(src)
	if !set.Usable() {
		t.d.fail(v, false, fmt.Sprintf("%s is no JWK Set: %s", excerptOf(v.node.Value), excerptOf(set.Reason)), "the daemon would not compare it either; to test that, poll it: polls:")
	}
	return set
}

// polls reads what was seen, and when.
func (t *testReader) polls(test *RuleTest, v value) {
	if !t.d.kind(v, yaml.SequenceNode, "polls") {
		return
	}
	if len(v.node.Content) < 2 {
		t.d.fail(v, false, "fewer than two polls", "the first is the baseline, the second may change it")
	}
	for _, n := range v.node.Content {
		var p RulePoll
		fails := false
		at := t.d.mapping(value{node: n}, "a poll", []field{
			{key: "at", required: true, hint: "at: 2026-11-22T12:00:00Z", one: t.instant(&p.At)},
			{key: "set", node: func(v value) { p.Doc = t.document(v) }},
			{key: "fails", one: boolOf(&fails)},
		})
		if (at["set"].node == nil) != fails {
			t.d.fail(value{node: n}, false, "a poll has a set, or fails: true", "give one of the two")
		}
		if last := len(test.Polls) - 1; last >= 0 && !p.At.After(test.Polls[last].At) && at["at"].node != nil {
			t.d.fail(at["at"], false, "the poll is not after the one before", "in the order of their times")
		}
		test.Polls = append(test.Polls, p)
	}
}

// expect reads what must come of it, and refuses what says nothing about what is
// given: a test that cannot fail is none.
func (t *testReader) expect(to *RuleExpect, v value, single bool) {
	at := t.d.mapping(v, "what is expected", []field{
		{key: "severity", one: t.book.severity(&to.Severity)},
		{key: "verdict", one: choiceOf(&to.Verdict, []string{"expected", "unexpected", "informational"})},
		{key: "rules", node: func(v value) { to.Rules = t.ruleIDs(v) }},
		{key: "events", node: func(v value) { to.Events = t.events(v) }},
	})
	switch {
	case v.node.Kind != yaml.MappingNode:
	case len(v.node.Content) == 0:
		t.d.fail(v, false, "a test that expects nothing cannot fail", "expect: { severity: high, rules: [] }")
	case single && at["events"].node != nil:
		t.d.fail(at["events"], true, "events of one event", "severity says how severe it is")
	case !single && at["verdict"].node != nil:
		t.d.fail(at["verdict"], true, "verdict of several events", "severity is the highest of all; events lists them")
	}
}

// ruleIDs reads ids of rules that the files have.
func (t *testReader) ruleIDs(v value) []string {
	out := []string{}
	var ids []string
	for _, r := range t.book.set.Rules {
		ids = append(ids, r.ID)
	}
	for _, n := range t.scalars(v) {
		if !slices.Contains(ids, n.Value) && t.whole {
			t.d.fail(value{key: v.key, node: n}, false, "no rule of these files is named "+strconv.Quote(excerptOf(n.Value)), didYouMean(nearestID(n.Value, ids), "built-in rules are not listed"))
		}
		out = append(out, n.Value)
	}
	slices.Sort(out)
	return out
}

// events reads "severity type".
func (t *testReader) events(v value) []string {
	out := []string{}
	for _, n := range t.scalars(v) {
		severity, typ, _ := strings.Cut(n.Value, " ")
		if severity == "info" {
			severity = "informational"
		}
		if !slices.Contains(custom.Severities(), severity) || !slices.Contains(event.Types(), event.Type(typ)) {
			t.d.fail(value{key: v.key, node: n}, false, "an event is written as severity and type, got "+strconv.Quote(excerptOf(n.Value)), "low key.added")
		}
		out = append(out, severity+" "+typ)
	}
	slices.Sort(out)
	return out
}
