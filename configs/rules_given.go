package configs

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// event makes the event of a test from its fields. What is not given is as the
// built-in rule of its type has it; of documents and polls only the endpoint is
// given.
func (t *testReader) event(test *RuleTest, given *value, single bool) event.Event {
	e := event.Event{Time: event.At(test.At), Data: event.Data{
		Event:    event.Facts{Severity: event.SeverityInformational, Verdict: event.Informational, Count: 1},
		Endpoint: &event.Endpoint{Name: "test", Tier: "standard", Labels: map[string]string{}},
	}}
	if given == nil || !t.d.kind(*given, yaml.MappingNode, "given") {
		return e
	}
	typ := member(given.node, "on")
	switch {
	case !single && typ.node != nil:
		t.d.fail(typ, true, "on beside documents or polls", "what they make is judged; given has only the endpoint.* then")
		return e
	case single && typ.node == nil:
		t.d.fail(*given, false, "given has no on", "on: key.added")
		return e
	case single:
		before := len(t.d.errs)
		types := t.book.on(typ)
		if len(t.d.errs) > before {
			return e
		}
		if len(types) != 1 || event.NewDetails(event.Type(types[0])) == nil {
			t.d.fail(typ, false, "given wants one type of event", "on: key.added")
			return e
		}
		e.Data.Event.Type = event.Type(types[0])
	}
	e.Type, e.Data.Details = e.Data.Event.Type.CloudEvent(), event.NewDetails(e.Data.Event.Type)
	for _, r := range rules.Book() {
		if r.Type == e.Data.Event.Type {
			e.Data.Event.Severity, e.Data.Event.Verdict = r.Severity, r.Verdict
			e.Data.Rules = []event.Rule{{ID: r.ID, Title: r.Title, Severity: r.Severity}}
			break
		}
	}
	t.give(&e, *given, "", single)
	e.Data.Judgement.BaseSeverity, e.Data.Event.SeverityID = e.Data.Event.Severity, int(e.Data.Event.Severity)
	e.Subject = e.Data.Endpoint.Name
	if k := e.Data.Key; k != nil && k.Thumbprint != nil {
		e.Subject = *k.Thumbprint
	}
	return e
}

// give sets the fields of a mapping: endpoint: { name: x } is endpoint.name: x.
func (t *testReader) give(e *event.Event, v value, prefix string, single bool) {
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		m := value{key: v.node.Content[i], node: v.node.Content[i+1]}
		name := prefix + m.key.Value
		switch {
		case !plainKey(m.key), name == "on":
		case name == "keys" && single:
			t.keys(e, m)
		case m.node.Kind == yaml.MappingNode:
			t.give(e, m, name+".", single)
		case !single && !strings.HasPrefix(name, "endpoint."):
			t.d.fail(m, true, quoteKey(m.key)+" cannot be given beside documents or polls", "what they make is judged; given has only the endpoint.* then")
		default:
			t.one(e, m, name)
		}
	}
}

// one sets one field.
func (t *testReader) one(e *event.Event, v value, name string) {
	if name == "event.type" {
		t.d.fail(v, true, "event.type is given by on", "on: key.added")
		return
	}
	named := v
	if name != v.key.Value { // it stands in a mapping of its object
		named.key = new(*v.key)
		named.key.Value = name
	}
	f, ok := t.book.field(named, []event.Type{e.Data.Event.Type})
	if !ok {
		return
	}
	nodes := []*yaml.Node{v.node}
	if f.Kind == custom.Texts {
		nodes = t.scalars(v)
	} else if !t.d.kind(v, yaml.ScalarNode, f.Name) {
		return
	}
	texts := []string{}
	for _, n := range nodes {
		val, r := parsed(&f, custom.Eq, n.Value)
		if r != nil {
			t.d.fail(value{key: v.key, node: n}, false, fmt.Sprintf("%s %s, got %s", f.Name, r.what, strconv.Quote(excerptOf(n.Value))), r.hint)
			return
		}
		if f.Kind != custom.Texts {
			f.Set(e, val)
			return
		}
		texts = append(texts, val.(string))
	}
	f.Set(e, texts)
}

// keys gives an event that stands for several keys.
func (t *testReader) keys(e *event.Event, v value) {
	if !t.d.kind(v, yaml.SequenceNode, "keys") {
		return
	}
	for _, n := range v.node.Content {
		m := value{key: v.key, node: n}
		if !t.d.kind(m, yaml.MappingNode, "a key") {
			continue
		}
		one := event.Event{Time: e.Time}
		t.give(&one, m, "key.", true)
		if one.Data.Key != nil {
			e.Data.Keys = append(e.Data.Keys, *one.Data.Key)
		}
	}
	if e.Data.Event.Count < len(e.Data.Keys) {
		e.Data.Event.Count = len(e.Data.Keys)
	}
}
