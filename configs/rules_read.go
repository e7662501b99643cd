package configs

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// ruleParts is a rule as it is read: what needs the types waits for them.
type ruleParts struct {
	rule                  custom.Rule
	action                string
	enabled, suppressible bool
	where, escalate       *value
}

// ruleFields are the keys of a rule.
func (b *bookReader) ruleFields(p *ruleParts) []field {
	r := &p.rule
	forPeople := func(key, doc string) field { return field{key: key, doc: doc, one: textOf(new(string))} }
	return []field{
		{key: "id", required: true, doc: "Unique; stands in events.", hint: "give it an id, such as id: corp-key-added", one: nameOf(&r.ID)},
		{key: "title", doc: "One line, for the analyst.", one: filledOf(&r.Title)},
		{key: "on", required: true, doc: "Types of events: a type, a list, key.* or \"*\".", hint: "name types of events: on: key.added, on: [key.*, set.replaced], on: \"*\"", node: func(v value) { r.On = b.on(v) }},
		{key: "where", doc: "What must hold; without it every event of the types matches.", node: func(v value) { p.where = &v }},
		{key: "severity", doc: "Of a detection: at least that; of a downgrade: at most that.", one: b.severity(&r.Severity)},
		{key: "action", doc: "What the rule does; detect by default.", one: choiceOf(&p.action, []string{"detect", "downgrade", "raise"})},
		{key: "escalate", doc: "Other severities where more holds.", node: func(v value) { p.escalate = &v }},
		{key: "repeat", doc: "What was told is told again as informational only, for this time.", one: durationOf(&r.Repeat, leastRepeat)},
		{key: "reason", doc: "Why a downgrade lowers; required then.", one: filledOf(&r.Reason)},
		{key: "expires", doc: "Until when a downgrade lowers; required then.", one: b.moment(&r.Expires)},
		{key: "by", doc: "Who answers for it.", one: filledOf(&r.By)},
		{key: "suppressible", doc: "Whether a downgrade may lower what this rule finds; true by default.", one: boolOf(&p.suppressible)},
		{key: "enabled", doc: "Whether the rule is asked; true by default.", one: boolOf(&p.enabled)},
		forPeople("why", "Why it matters."), forPeople("runbook", "Where it says what to do."), forPeople("false_positives", "What it is when it is nothing."),
		{key: "tags", doc: "For your own order.", node: func(v value) { b.list(v) }},
	}
}

// rule reads one rule.
func (b *bookReader) rule(v value) {
	before := len(b.d.errs)
	p := ruleParts{action: string(custom.Detect), enabled: true, suppressible: true}
	r := &p.rule
	r.Place = fmt.Sprintf("%s:%d", b.d.source.name, v.node.Line)
	at := b.d.mapping(v, "a rule", b.ruleFields(&p))
	r.Action, r.Fixed, r.Off = custom.Action(p.action), !p.suppressible, !p.enabled
	if r.Title == "" {
		r.Title = r.ID
	}
	types, err := custom.Types(r.On)
	if err == nil && p.where != nil {
		r.Where = b.where(*p.where, types, 0, true)
	}
	if err == nil && p.escalate != nil {
		r.Escalate = b.escalations(*p.escalate, types)
	}
	b.unique(at["id"], r.ID, r.Place)
	b.complete(v, at, r)
	if len(b.d.errs) == before {
		b.lint(v, at, r)
		b.at[r.ID] = sourced{b.d.source, v}
		b.set.Rules = append(b.set.Rules, *r)
	}
}

// complete tells what a rule of its action lacks, and what it has too much.
func (b *bookReader) complete(v value, at map[string]value, r *custom.Rule) {
	fail := func(what, hint string) { b.fail(value{node: v.node}, false, "rule "+r.ID+" "+what, hint) }
	switch {
	case r.Action == custom.Raise && r.Severity != 0:
		fail("raises by one step and has a severity", "leave severity out, or take action: detect")
	case r.Action != custom.Raise && at["severity"].node == nil:
		fail("has no severity", "severity: informational, low, medium, high or critical")
	}
	if r.Action == custom.Downgrade {
		if at["reason"].node == nil {
			fail("lowers a severity without a reason", "reason: \"TICKET-1: why this is no alarm\"")
		}
		if at["expires"].node == nil {
			fail("lowers a severity for ever", "expires: 2027-03-31; look at it again then")
		}
	}
	if r.Action != custom.Detect {
		for _, key := range []string{"escalate", "repeat", "suppressible"} {
			if m := at[key]; m.node != nil {
				b.fail(m, true, fmt.Sprintf("%s beside action: %s; only detections have it", key, r.Action), "leave it out")
			}
		}
	}
	if r.Action != custom.Downgrade {
		if m := at["expires"]; m.node != nil {
			b.fail(m, true, "expires beside a rule that lowers nothing", "take action: downgrade, or leave it out")
		}
	}
	if r.Repeat > mostRepeat {
		b.fail(at["repeat"], false, "repeat is longer than "+formatDuration(mostRepeat), "what should be silent for so long is lowered: action: downgrade, with a reason")
	}
}

// override reads one override of a built-in rule.
func (b *bookReader) override(v value) {
	before := len(b.d.errs)
	o := custom.Override{Place: fmt.Sprintf("%s:%d", b.d.source.name, v.node.Line)}
	enabled := true
	var where *value
	at := b.d.mapping(v, "an override", b.overrideFields(&o, &enabled, &where))
	o.Off = !enabled
	types := event.Types()
	if id := at["id"]; id.node != nil && o.ID != "" {
		types = b.builtin(id, &o, types)
	}
	if where != nil {
		o.Where = b.where(*where, types, 0, true)
	}
	switch {
	case !o.Off && o.Severity == 0 && at["severity"].node == nil:
		b.fail(value{node: v.node}, false, "the override of "+o.ID+" changes nothing", "severity: low, or enabled: false")
	case o.Off && o.Severity != 0:
		b.fail(value{node: v.node}, false, "the override of "+o.ID+" switches it off and gives it a severity", "keep one of the two")
	}
	if len(b.d.errs) == before {
		if o.Where.Never() {
			b.warn(value{node: v.node}, "the override of "+o.ID+" never matches: what it asks for excludes itself", "look at its bounds and values")
		}
		b.set.Overrides = append(b.set.Overrides, o)
	}
}

func (b *bookReader) overrideFields(o *custom.Override, enabled *bool, where **value) []field {
	return []field{
		{key: "id", required: true, doc: "Of a built-in rule: jwkswatch rules list.", hint: "the id of a built-in rule: jwkswatch rules list", one: nameOf(&o.ID)},
		{key: "severity", doc: "The severity that it has then.", one: b.severity(&o.Severity)},
		{key: "enabled", doc: "false: what it finds is informational.", one: boolOf(enabled)},
		{key: "where", doc: "Where the override holds; without it everywhere.", node: func(v value) { *where = &v }},
	}
}

// builtin holds that an override is of a rule that there is, and that may be lowered
// if it lowers. It returns the type of the rule.
func (b *bookReader) builtin(id value, o *custom.Override, types []event.Type) []event.Type {
	var ids []string
	for _, r := range b.book {
		ids = append(ids, r.ID)
		if r.ID != o.ID {
			continue
		}
		if custom.Pinned(r.Type) && (o.Off || o.Severity != 0 && o.Severity < r.Severity) {
			b.fail(id, false, "rule "+o.ID+" is never lowered", "leave the override out; what it finds is always an incident")
		}
		return []event.Type{r.Type}
	}
	hint := "jwkswatch rules list has them; rules of your own are changed where they stand"
	if near := nearestID(o.ID, ids); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	b.fail(id, false, "no built-in rule is named "+strconv.Quote(excerptOf(o.ID)), hint)
	return types
}

// unique holds that an id is new, also among the built-in rules.
func (b *bookReader) unique(v value, id, place string) {
	if id == "" {
		return
	}
	if other, again := b.ids[id]; again {
		b.fail(v, false, "rule "+strconv.Quote(id)+" stands at "+other+" already", "give each rule an id of its own")
	}
	if slices.ContainsFunc(b.book, func(r rules.Rule) bool { return r.ID == id }) {
		b.fail(v, false, "rule "+strconv.Quote(id)+" is built in", "give yours another id; to change the built-in one: overrides:")
	}
	b.ids[id] = place
}

func (b *bookReader) on(v value) []string {
	list := b.list(v)
	if len(list) == 0 && v.node.Kind == yaml.SequenceNode {
		b.fail(v, false, "on names no type", "a rule that is asked about nothing is dead: on: key.added")
	}
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
			b.fail(v, false, "on names a type that no event has: "+strconv.Quote(excerptOf(p)), hint)
		}
	}
	return list
}

func (b *bookReader) severity(to *event.Severity) *binding {
	var text string
	c := choiceOf(&text, custom.Severities())
	set := c.set
	c.shape = func() shape { return shape{enum: append(custom.Severities(), "info")} }
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
	return &binding{typ: "time", shape: momentShape, set: func(s string) *refusal {
		if t, err := time.Parse(time.DateOnly, s); err == nil {
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
		b.d.mapping(value{node: n}, "an escalation", b.escalationFields(&e, func(v value) { e.Where = b.where(v, types, 0, true) }))
		out = append(out, e)
	}
	return out
}

func (b *bookReader) escalationFields(e *custom.Escalation, where func(value)) []field {
	return []field{
		{key: "where", required: true, doc: "What must hold too.", hint: "say where: where: { endpoint.tier: critical }", node: where},
		{key: "severity", required: true, doc: "The severity that the rule has then.", hint: "severity: critical", one: b.severity(&e.Severity)},
	}
}
