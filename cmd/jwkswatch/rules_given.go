package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/replay"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// playTest makes the events of a test and lets the rules judge them.
func playTest(t *configs.RuleTest, set *custom.Set) []event.Event {
	told := new(custom.Told)
	judged := func(e event.Event) event.Event {
		set.ApplyAfter(&e, told)
		return e
	}
	var out []event.Event
	switch {
	case t.Polls != nil:
		rows := make([]replay.Row, 0, len(t.Polls))
		for _, p := range t.Polls {
			r := replay.Row{T: p.At, Service: t.Event.Data.Endpoint.Name, Status: 200, Doc: p.Doc}
			if p.Doc == nil {
				r.Status, r.Error = 0, "the poll fails"
			}
			rows = append(rows, r)
		}
		r := replay.Archive(rows, replay.Options{Book: rules.Book(), Unchecked: true, Tier: t.Event.Data.Endpoint.Tier, Amend: func(e *event.Event) {
			e.Data.Endpoint = t.Event.Data.Endpoint
			*e = judged(*e)
		}})
		for i := range r.Told {
			out = append(out, event.Event{Data: r.Told[i].Data})
		}
	case t.Before != nil:
		for _, found := range rules.Compare(rules.Book(), t.Before, t.After) {
			e := event.Event{Time: event.At(t.At), Type: found.Type.CloudEvent(), Subject: cmp.Or(found.Subject(), t.Event.Data.Endpoint.Name), Data: found.Data()}
			e.Data.Endpoint = t.Event.Data.Endpoint
			out = append(out, judged(e))
		}
	default:
		out = append(out, judged(t.Event))
	}
	return out
}

// compareTest says what was wanted and what came, in the same words, and only where
// they differ: both are empty when the test passes.
func compareTest(t *configs.RuleTest, set *custom.Set, got []event.Event) (want, is string) {
	var wants, has []string
	add := func(name, w, h string) {
		if w != h {
			wants, has = append(wants, name+" "+w), append(has, name+" "+h)
		}
	}
	highest, events := event.Severity(0), []string{}
	for i := range got {
		f := &got[i].Data.Event
		highest = max(highest, f.Severity)
		events = append(events, f.Severity.String()+" "+string(f.Type))
	}
	slices.Sort(events)
	if w := t.Expect.Severity; w != 0 {
		told := "nothing"
		if highest != 0 {
			told = highest.String()
		}
		add("severity", w.String(), told)
	}
	if w := t.Expect.Verdict; w != "" {
		add("verdict", w, string(got[0].Data.Event.Verdict))
	}
	if t.Expect.Rules != nil {
		add("rules", orNone(t.Expect.Rules), orNone(firedRules(set, got)))
	}
	if t.Expect.Events != nil {
		add("events", orNone(t.Expect.Events), orNone(events))
	}
	return strings.Join(wants, "; "), strings.Join(has, "; ")
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// firedRules are the operator's rules that events list, each once, sorted.
func firedRules(set *custom.Set, got []event.Event) []string {
	out := []string{}
	for i := range got {
		for _, r := range got[i].Data.Rules {
			if slices.ContainsFunc(set.Rules, func(own custom.Rule) bool { return own.ID == r.ID }) {
				out = append(out, r.ID)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// overridden are the built-in rules whose override moved an event.
func overridden(got []event.Event) []string {
	var out []string
	for i := range got {
		for _, a := range got[i].Data.Judgement.Adjustments {
			if a.Kind == "override" {
				out = append(out, a.Rule)
			}
		}
	}
	return out
}
