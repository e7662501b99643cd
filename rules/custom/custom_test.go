package custom_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func sample(typ event.Type, s event.Severity) event.Event {
	return event.Event{Time: event.At(now), Data: event.Data{
		Event:    event.Facts{Type: typ, Severity: s, Verdict: event.Informational, Count: 1, Reasons: []string{"rider"}},
		Endpoint: &event.Endpoint{Name: "corp-idp", Tier: "critical", Labels: map[string]string{"env": "prod"}},
		Rules:    []event.Rule{{ID: strings.NewReplacer(".", "-", "_", "-").Replace(string(typ)), Severity: s}},
		Key: &event.Key{
			Kid: new("a"), Kty: new("RSA"), Bits: new(2048), FirstSeen: event.AtOrNil(now.Add(-100 * 24 * time.Hour)),
		},
		Details:   &event.KeyEphemeralDetails{Class: "sig", LifeMinS: 480, LifeMaxS: 600},
		Transport: &event.Transport{RemoteAddr: new("203.0.113.10:443")},
	}}
}

func test(name string, op custom.Op, values ...any) custom.Matcher {
	f, ok := custom.FieldOf(name, event.Types())
	if !ok {
		panic(name)
	}
	return custom.Matcher{Tests: []custom.Test{{Field: f, Op: op, Values: values}}}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for name, tt := range map[string]struct {
		m    custom.Matcher
		want bool
	}{
		"no matcher":             {custom.Matcher{}, true},
		"eq":                     {test("endpoint.name", custom.Eq, "corp-idp"), true},
		"ne":                     {test("endpoint.name", custom.Ne, "corp-idp"), false},
		"in":                     {test("endpoint.tier", custom.In, "low", "critical"), true},
		"not in":                 {test("endpoint.tier", custom.NotIn, "low", "critical"), false},
		"label":                  {test("endpoint.labels.env", custom.Eq, "prod"), true},
		"no such label":          {test("endpoint.labels.zone", custom.Ne, "prod"), false},
		"older":                  {test("key.age", custom.Gt, 100*day-1), true},
		"not older":              {test("key.age", custom.Gt, 100*day), false},
		"as old":                 {test("key.age", custom.Gte, 100*day), true},
		"shorter":                {test("key.bits", custom.Lt, 2049.0), true},
		"not shorter":            {test("key.bits", custom.Lt, 2048.0), false},
		"as short":               {test("key.bits", custom.Lte, 2048.0), true},
		"absent":                 {test("key.alg", custom.Ne, "RS256"), false},
		"exists":                 {test("key.kid", custom.Exists, true), true},
		"exists not":             {test("key.alg", custom.Exists, false), true},
		"prefix":                 {test("endpoint.name", custom.Prefix, "corp-"), true},
		"suffix":                 {test("endpoint.name", custom.Suffix, "-idp"), true},
		"glob":                   {test("endpoint.name", custom.Glob, "c*-?dp"), true},
		"network":                {test("transport.remote_addr", custom.CIDR, "203.0.113.0/28"), true},
		"another network":        {test("transport.remote_addr", custom.CIDR, "203.0.113.16/28"), false},
		"severity":               {test("event.severity", custom.Gte, event.SeverityHigh), true},
		"a list":                 {test("event.reasons", custom.Eq, "rider"), true},
		"not in a list":          {test("event.reasons", custom.Ne, "rider"), false},
		"details":                {test("details.class", custom.Eq, "sig"), true},
		"seconds are a duration": {test("details.life_max_s", custom.Lte, 10*time.Minute), true},
		"details of other types": {test("details.peer", custom.Exists, false), true},
		"all":                    {custom.Matcher{All: []custom.Matcher{test("key.kty", custom.Eq, "RSA"), test("key.kty", custom.Eq, "EC")}}, false},
		"any":                    {custom.Matcher{Any: []custom.Matcher{test("key.kty", custom.Eq, "RSA"), test("key.kty", custom.Eq, "EC")}}, true},
		"not":                    {custom.Matcher{Not: new(test("key.kty", custom.Eq, "RSA"))}, false},
	} {
		e := sample(event.KeyEphemeral, event.SeverityHigh)
		if got := tt.m.Match(&e); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestApply holds the order: overrides, detections, downgrades, one raise; and what
// is never lowered.
func TestApply(t *testing.T) {
	t.Parallel()
	every := []string{"*"}
	down := custom.Rule{ID: "down", On: every, Action: custom.Downgrade, Severity: event.SeverityInformational, Reason: "noise", By: "iam", Expires: now.Add(time.Second)}
	gone := down
	gone.Expires = now
	raise := custom.Rule{ID: "up", On: every, Action: custom.Raise}
	find := custom.Rule{ID: "find", On: []string{"key.*"}, Severity: event.SeverityHigh, Fixed: true}
	steep := custom.Rule{ID: "steep", On: every, Severity: event.SeverityMedium, Escalate: []custom.Escalation{{Where: test("endpoint.tier", custom.Eq, "critical"), Severity: event.SeverityHigh}}}
	for name, tt := range map[string]struct {
		set   custom.Set
		typ   event.Type
		is    event.Severity
		want  event.Severity
		rules string
	}{
		"nothing":             {custom.Set{}, event.KeyAdded, 2, 2, "key-added"},
		"lowered":             {custom.Set{Rules: []custom.Rule{down}}, event.SetReplaced, 4, 1, "set-replaced down"},
		"no more":             {custom.Set{Rules: []custom.Rule{gone}}, event.SetReplaced, 4, 4, "set-replaced"},
		"found":               {custom.Set{Rules: []custom.Rule{find}}, event.KeyAdded, 2, 4, "key-added find"},
		"not of the type":     {custom.Set{Rules: []custom.Rule{find}}, event.SetReplaced, 2, 2, "set-replaced"},
		"found and fixed":     {custom.Set{Rules: []custom.Rule{down, find}}, event.KeyAdded, 2, 4, "key-added find"},
		"raised once":         {custom.Set{Rules: []custom.Rule{raise, {ID: "up2", On: every, Action: custom.Raise}}}, event.KeyAdded, 2, 3, "key-added up"},
		"escalated is raised": {custom.Set{Rules: []custom.Rule{raise, steep}}, event.KeyAdded, 2, 4, "key-added steep"},
		"not beyond critical": {custom.Set{Rules: []custom.Rule{raise}}, event.KeyMutated, 5, 5, "key-mutated"},
		"lowered, then up":    {custom.Set{Rules: []custom.Rule{raise, down}}, event.SetReplaced, 4, 2, "set-replaced down up"},
		"never lowered":       {custom.Set{Rules: []custom.Rule{down}, NoBuiltin: true, Overrides: []custom.Override{{ID: "key-private", Off: true}}}, event.KeyPrivate, 5, 5, "key-private"},
		"no built-in":         {custom.Set{NoBuiltin: true}, event.SetReplaced, 4, 1, "set-replaced"},
		"overridden":          {custom.Set{Overrides: []custom.Override{{ID: "set-replaced", Severity: event.SeverityMedium}}}, event.SetReplaced, 4, 3, "set-replaced"},
		"overridden up":       {custom.Set{Overrides: []custom.Override{{ID: "key-added", Severity: event.SeverityHigh}}}, event.KeyAdded, 2, 4, "key-added"},
		"switched off":        {custom.Set{Overrides: []custom.Override{{ID: "set-replaced", Off: true}}}, event.SetReplaced, 4, 1, "set-replaced"},
		"another's override":  {custom.Set{Overrides: []custom.Override{{ID: "key-added", Off: true}}}, event.SetReplaced, 4, 4, "set-replaced"},
	} {
		e := sample(tt.typ, tt.is)
		tt.set.Apply(&e)
		var ids []string
		for _, r := range e.Data.Rules {
			ids = append(ids, r.ID)
		}
		if f := e.Data.Event; f.Severity != tt.want || strings.Join(ids, " ") != tt.rules {
			t.Errorf("%s: %s by %v", name, f.Severity, ids)
		}
		moved := tt.want != tt.is
		if got := len(e.Data.Judgement.Adjustments) > 0; got != moved && tt.rules != "set-replaced down up" {
			t.Errorf("%s: adjustments %+v", name, e.Data.Judgement.Adjustments)
		}
	}
}

// TestSuppressionSaysSo holds that nothing is dropped, and that who lowered what,
// and until when, stands in the event.
func TestSuppressionSaysSo(t *testing.T) {
	t.Parallel()
	set := custom.Set{Rules: []custom.Rule{{
		ID: "down", On: []string{"*"}, Action: custom.Downgrade, Severity: event.SeverityLow, Reason: "SEC-1\x1b[2J", By: "iam", Expires: now.Add(time.Hour),
	}}}
	e := sample(event.SetReplaced, event.SeverityHigh)
	reasons := e.Data.Event.Reasons
	set.Apply(&e)
	a := e.Data.Judgement.Adjustments
	if !slices.Contains(e.Data.Event.Reasons, "suppressed_by:down") || len(a) != 1 || a[0].Kind != "downgrade" || *a[0].By != "iam" || a[0].Expires == nil || strings.Contains(a[0].Reason, "\x1b") {
		t.Errorf("%v, %+v", e.Data.Event.Reasons, a)
	}
	if len(reasons) != 1 {
		t.Error("the reasons of the finding were changed")
	}
	closing := sample(event.SetReplaced, event.SeverityInformational)
	closing.Data.Event.Condition = &event.Condition{State: event.Closed}
	up := custom.Set{Rules: []custom.Rule{{ID: "up", On: []string{"*"}, Severity: event.SeverityHigh}}}
	if up.Apply(&closing); closing.Data.Event.Severity != event.SeverityInformational {
		t.Error("a closing was raised")
	}
	(*custom.Set)(nil).Apply(&e)
}

func TestDigest(t *testing.T) {
	t.Parallel()
	a := custom.Set{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Where: test("key.bits", custom.Lt, 1.0), Severity: event.SeverityLow, Place: "x:1"}}}
	b := a
	b.Rules = slices.Clone(a.Rules)
	b.Rules[0].Place = "y:2"
	if a.Digest() != b.Digest() || a.Digest() == [32]byte{} || (&custom.Set{}).Digest() != [32]byte{} {
		t.Error("the digest is of where a rule stands, or of nothing")
	}
	b.Rules[0].Where = test("key.bits", custom.Lt, 2.0)
	if a.Digest() == b.Digest() {
		t.Error("another bound has the same digest")
	}
	// Rules of every form have one, and each its own: a rule that raises has no severity.
	seen := map[[32]byte]int{}
	for i, s := range []custom.Set{
		{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Action: custom.Raise}}},
		{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Action: custom.Raise, Off: true}}},
		{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Severity: event.SeverityLow}}},
		{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Severity: event.SeverityLow, Repeat: time.Hour}}},
		{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Severity: event.SeverityLow, Fixed: true}}},
		{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Severity: event.SeverityLow, Escalate: []custom.Escalation{{Severity: event.SeverityHigh}}}}},
		{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Severity: event.SeverityLow, Where: custom.Matcher{Not: new(test("key.age", custom.Gt, time.Hour))}}}},
		{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Severity: event.SeverityLow, Action: custom.Downgrade, Expires: now}}},
		{Overrides: []custom.Override{{ID: "key-added", Off: true}}},
		{Overrides: []custom.Override{{ID: "key-added", Severity: event.SeverityLow}}},
		{NoBuiltin: true},
	} {
		if other, again := seen[s.Digest()]; again {
			t.Errorf("%d and %d have one digest", other, i)
		}
		seen[s.Digest()] = i
	}
}

// TestFieldsAreReadable holds that each field of the vocabulary has a description,
// a kind with operators, and a value of that kind.
func TestFieldsAreReadable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range custom.Fields() {
		if seen[f.Name] || f.Doc == "" || len(custom.Ops(f.Kind)) == 0 {
			t.Errorf("%+v", f)
		}
		seen[f.Name] = true
	}
	for _, typ := range event.Types() {
		for m, k := range custom.Details(typ) {
			if _, ok := custom.FieldOf("details."+m, []event.Type{typ}); !ok || k == "" {
				t.Errorf("%s: details.%s", typ, m)
			}
		}
	}
}

func BenchmarkApplyThirtyRules(b *testing.B) {
	var set custom.Set
	for i := range 30 {
		set.Rules = append(set.Rules, custom.Rule{
			ID: fmt.Sprint("r", i), On: []string{"key.*"}, Severity: event.SeverityLow,
			Where: custom.Matcher{Any: []custom.Matcher{test("key.bits", custom.Lt, 1024.0), test("endpoint.labels.env", custom.Glob, "pr*"), test("details.class", custom.Eq, "enc")}},
		})
	}
	for b.Loop() {
		e := sample(event.KeyEphemeral, event.SeverityHigh)
		set.Apply(&e)
	}
}
