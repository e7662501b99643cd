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

const week = 7 * 24 * time.Hour

// print is a thumbprint that differs by its first character.
func print(c string) *string { return new(c + strings.Repeat("A", 42)) }

// TestJoinedEvents asks rules about an event that stands for several keys: a
// detection wants one of them, what lowers wants every one, and all must be named.
func TestJoinedEvents(t *testing.T) {
	t.Parallel()
	joined := func(count int, bits ...int) event.Event {
		e := sample(event.KeyAdded, event.SeverityMedium)
		e.Data.Key, e.Data.Event.Count = nil, count
		for _, b := range bits {
			e.Data.Keys = append(e.Data.Keys, event.Key{Kty: new("RSA"), Bits: new(b)})
		}
		return e
	}
	short := test("key.bits", custom.Lt, 2048.0)
	every := []string{"*"}
	lowers := custom.Rule{ID: "down", On: every, Where: short, Action: custom.Downgrade, Severity: event.SeverityLow, Reason: "x", Expires: now.Add(time.Hour)}
	for name, tt := range map[string]struct {
		set  custom.Set
		e    event.Event
		want event.Severity
	}{
		"one is found":          {custom.Set{Rules: []custom.Rule{{ID: "a", On: every, Where: short, Severity: event.SeverityHigh}}}, joined(2, 4096, 1024), event.SeverityHigh},
		"none is":               {custom.Set{Rules: []custom.Rule{{ID: "a", On: every, Where: short, Severity: event.SeverityHigh}}}, joined(2, 4096, 2048), event.SeverityMedium},
		"one is raised":         {custom.Set{Rules: []custom.Rule{{ID: "a", On: every, Where: short, Action: custom.Raise}}}, joined(2, 4096, 1024), event.SeverityHigh},
		"one is not lowered":    {custom.Set{Rules: []custom.Rule{lowers}}, joined(2, 4096, 1024), event.SeverityMedium},
		"all are":               {custom.Set{Rules: []custom.Rule{lowers}}, joined(2, 1024, 1024), event.SeverityLow},
		"but not unnamed ones":  {custom.Set{Rules: []custom.Rule{lowers}}, joined(3, 1024, 1024), event.SeverityMedium},
		"one is not overridden": {custom.Set{Overrides: []custom.Override{{ID: "key-added", Where: short, Severity: event.SeverityLow}}}, joined(2, 4096, 1024), event.SeverityMedium},
		"but overridden up":     {custom.Set{Overrides: []custom.Override{{ID: "key-added", Where: short, Severity: event.SeverityHigh}}}, joined(2, 4096, 1024), event.SeverityHigh},
		"not of one alone": {custom.Set{Rules: []custom.Rule{{ID: "a", On: every, Severity: event.SeverityHigh, Where: custom.Matcher{
			Tests: short.Tests, Not: new(test("key.kty", custom.Eq, "RSA")),
		}}}}, joined(2, 4096, 1024), event.SeverityMedium},
		"keys in any": {custom.Set{Rules: []custom.Rule{{ID: "a", On: every, Severity: event.SeverityHigh, Where: custom.Matcher{Any: []custom.Matcher{short}}}}}, joined(2, 4096, 1024), event.SeverityHigh},
		"keys in all": {custom.Set{Rules: []custom.Rule{{ID: "a", On: every, Severity: event.SeverityHigh, Where: custom.Matcher{All: []custom.Matcher{short}}}}}, joined(2, 4096, 1024), event.SeverityHigh},
		"keys in not": {custom.Set{Rules: []custom.Rule{{ID: "a", On: every, Severity: event.SeverityHigh, Where: custom.Matcher{Not: new(test("key.bits", custom.Gte, 2048.0))}}}}, joined(2, 4096, 2048), event.SeverityMedium},
		"lowered without a key": {custom.Set{Rules: []custom.Rule{{
			ID: "down", On: every, Where: test("endpoint.name", custom.Eq, "corp-idp"), Action: custom.Downgrade, Severity: event.SeverityLow, Expires: now.Add(time.Hour),
		}}}, joined(9, 1024), event.SeverityLow},
	} {
		e := tt.e
		tt.set.Apply(&e)
		if e.Data.Event.Severity != tt.want || e.Data.Key != nil {
			t.Errorf("%s: %s", name, e.Data.Event.Severity)
		}
	}
}

// TestEscalate holds that an escalation takes the place of the rule's own severity,
// also downwards, and that only upwards it is the one raise.
func TestEscalate(t *testing.T) {
	t.Parallel()
	steep := func(own event.Severity, to ...event.Severity) custom.Set {
		r := custom.Rule{ID: "a", On: []string{"*"}, Severity: own}
		for _, s := range to {
			r.Escalate = append(r.Escalate, custom.Escalation{Where: test("endpoint.tier", custom.Eq, "critical"), Severity: s})
		}
		return custom.Set{Rules: []custom.Rule{r, {ID: "up", On: []string{"*"}, Action: custom.Raise}}}
	}
	for name, tt := range map[string]struct {
		set  custom.Set
		want event.Severity
	}{
		"up, and no raise":   {steep(event.SeverityLow, event.SeverityMedium), event.SeverityMedium},
		"down, and a raise":  {steep(event.SeverityCritical, event.SeverityLow), event.SeverityMedium},
		"the highest counts": {steep(event.SeverityLow, event.SeverityHigh, event.SeverityMedium), event.SeverityHigh},
		"none, and a raise":  {steep(event.SeverityMedium), event.SeverityHigh},
	} {
		e := sample(event.SetReplaced, event.SeverityInformational)
		tt.set.Apply(&e)
		if got := e.Data.Event.Severity; got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestManyRules holds that a large book leaves room for evidence, and that the rule
// which decided is among those that are listed.
func TestManyRules(t *testing.T) {
	t.Parallel()
	var set custom.Set
	for i := range 500 {
		set.Rules = append(set.Rules, custom.Rule{ID: fmt.Sprint("r", i), Title: strings.Repeat("x", 400), On: []string{"*"}, Severity: event.SeverityLow})
	}
	set.Rules[400].Severity = event.SeverityCritical
	e := sample(event.KeyAdded, event.SeverityLow)
	set.Apply(&e)
	if n := len(e.Data.Rules); n != 33 || e.Data.Rules[1].ID != "r400" || len(e.Data.Judgement.Adjustments) != 1 {
		t.Errorf("%d rules, the first %s, %d adjustments", n, e.Data.Rules[1].ID, len(e.Data.Judgement.Adjustments))
	}
}

// TestOverrides holds that the last that matches counts, and that one which lowers
// what is never lowered gives way to one that does not.
func TestOverrides(t *testing.T) {
	t.Parallel()
	set := custom.Set{Overrides: []custom.Override{
		{ID: "key-weak", Severity: event.SeverityHigh}, {ID: "key-weak", Severity: event.SeverityLow},
	}}
	for is, want := range map[event.Severity]event.Severity{event.SeverityMedium: event.SeverityLow, event.SeverityCritical: event.SeverityCritical} {
		e := sample(event.KeyWeak, is)
		set.Apply(&e)
		if got := e.Data.Event.Severity; got != want || len(e.Data.Judgement.Adjustments) > 1 {
			t.Errorf("%s: %s by %+v", is, got, e.Data.Judgement.Adjustments)
		}
	}
	off := sample(event.KeyAdded, event.SeverityLow)
	(&custom.Set{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Severity: event.SeverityHigh, Off: true}}}).Apply(&off)
	if off.Data.Event.Severity != event.SeverityLow {
		t.Error("a rule that is off found something")
	}
}

// TestMarks holds what an event says of rules that did nothing to it, and from where
// on what the operator finds is unexpected.
func TestMarks(t *testing.T) {
	t.Parallel()
	e := sample(event.SetReplaced, event.SeverityLow)
	(&custom.Set{Rules: []custom.Rule{{ID: "down", On: []string{"*"}, Action: custom.Downgrade, Severity: event.SeverityLow, Expires: now.Add(1)}}}).Apply(&e)
	if len(e.Data.Rules) != 1 || len(e.Data.Event.Reasons) != 1 {
		t.Errorf("what was not lowered says %v, %+v", e.Data.Event.Reasons, e.Data.Rules)
	}
	for s, want := range map[event.Severity]event.Verdict{event.SeverityLow: event.Informational, event.SeverityMedium: event.Unexpected} {
		e := sample(event.SetReplaced, event.SeverityInformational)
		(&custom.Set{Rules: []custom.Rule{{ID: "a", On: []string{"*"}, Severity: s}}}).Apply(&e)
		if e.Data.Event.Verdict != want {
			t.Errorf("%s is %s", s, e.Data.Event.Verdict)
		}
	}
}

// TestNeverLowered holds the types that nothing lowers, by any means.
func TestNeverLowered(t *testing.T) {
	t.Parallel()
	var got []event.Type
	for _, typ := range event.Types() {
		e := sample(typ, event.SeverityCritical)
		id := e.Data.Rules[0].ID
		set := custom.Set{NoBuiltin: true, Overrides: []custom.Override{{ID: id, Off: true}}, Rules: []custom.Rule{
			{ID: "again", On: []string{"*"}, Severity: event.SeverityCritical, Repeat: week},
			{ID: "down", On: []string{"*"}, Action: custom.Downgrade, Severity: event.SeverityInformational, Expires: now.Add(1)},
		}}
		e.Data.Key.Thumbprint = print("a")
		if low := telling(&set, new(custom.Told), e, e); low[0] == event.SeverityCritical && low[1] == event.SeverityCritical {
			got = append(got, typ)
		}
	}
	if want := []event.Type{event.KeyMutated, event.KeyPrivate, event.KeyCompromised, event.KeyWeak, event.SetSplit}; !slices.Equal(got, want) {
		t.Errorf("never lowered: %v, want %v", got, want)
	}
	weak := sample(event.KeyWeak, event.SeverityHigh)
	(&custom.Set{Overrides: []custom.Override{{ID: "key-weak", Off: true}}}).Apply(&weak)
	if weak.Data.Event.Severity != event.SeverityInformational {
		t.Error("a weak key that cannot be broken is never lowered")
	}
}

// telling plays events at times before rules with a memory, and returns how severe
// each was told.
func telling(set *custom.Set, told *custom.Told, events ...event.Event) []event.Severity {
	var out []event.Severity
	for _, e := range events {
		set.ApplyAfter(&e, told)
		out = append(out, e.Data.Event.Severity)
	}
	return out
}

func TestRepeat(t *testing.T) {
	t.Parallel()
	every := []string{"*"}
	repeats := custom.Rule{ID: "again", On: every, Severity: event.SeverityHigh, Repeat: week}
	at := func(after time.Duration, typ event.Type, is event.Severity, thumbprint *string) event.Event {
		e := sample(typ, is)
		e.Time = event.At(now.Add(after))
		e.Data.Key.Thumbprint, e.Subject = thumbprint, "corp-idp"
		return e
	}
	added := func(after time.Duration, key string) event.Event {
		return at(after, event.KeyAdded, event.SeverityLow, print(key))
	}
	set := func(more ...custom.Rule) *custom.Set { return &custom.Set{Rules: append(more, repeats)} }
	joined := func(after time.Duration, count int, prints ...string) event.Event {
		e := at(after, event.KeyAdded, event.SeverityLow, nil)
		e.Data.Key, e.Data.Event.Count = nil, count
		for _, p := range prints {
			e.Data.Keys = append(e.Data.Keys, event.Key{Thumbprint: print(p)})
		}
		return e
	}
	replaced := func(after time.Duration, digest string) event.Event {
		e := joined(after, 1)
		e.Data.Event.Type, e.Data.Snapshot = event.SetReplaced, &event.Snapshots{Current: &event.Snapshot{Digest: digest}}
		return e
	}
	const inf, low, med, high, crit = event.SeverityInformational, event.SeverityLow, event.SeverityMedium, event.SeverityHigh, event.SeverityCritical
	for name, tt := range map[string]struct {
		set    *custom.Set
		events []event.Event
		want   []event.Severity
	}{
		"once a week":              {set(), []event.Event{added(0, "a"), added(1, "a"), added(week-1, "a"), added(week, "a"), added(week+1, "a")}, []event.Severity{high, inf, inf, high, inf}},
		"each key":                 {set(), []event.Event{added(0, "a"), added(1, "b")}, []event.Severity{high, high}},
		"each type":                {set(), []event.Event{added(0, "a"), at(1, event.KeyRemoved, low, print("a"))}, []event.Severity{high, high}},
		"not without a thumbprint": {set(), []event.Event{at(0, event.KeyAdded, low, nil), at(1, event.KeyAdded, low, nil)}, []event.Severity{high, high}},
		"a clock set back":         {set(), []event.Event{added(0, "a"), added(-time.Hour, "a")}, []event.Severity{high, high}},
		"what is worse is told":    {set(), []event.Event{added(0, "a"), at(1, event.KeyAdded, crit, print("a"))}, []event.Severity{high, crit}},
		"another finds it too":     {set(custom.Rule{ID: "b", On: every, Severity: high}), []event.Event{added(0, "a"), added(1, "a")}, []event.Severity{high, high}},
		"another finds less":       {set(custom.Rule{ID: "b", On: every, Severity: med}), []event.Event{added(0, "a"), added(1, "a")}, []event.Severity{high, inf}},
		"a fixed rule":             {set(custom.Rule{ID: "b", On: every, Severity: low, Fixed: true}), []event.Event{added(0, "a"), added(1, "a")}, []event.Severity{high, high}},
		"never lowered":            {&custom.Set{Rules: []custom.Rule{{ID: "again", On: every, Severity: crit, Repeat: week}}}, []event.Event{at(0, event.KeyMutated, crit, print("a")), at(1, event.KeyMutated, crit, print("a"))}, []event.Severity{crit, crit}},
		"joined, the same":         {set(), []event.Event{joined(0, 2, "a", "b"), joined(1, 2, "b", "a")}, []event.Severity{high, inf}},
		"joined, others":           {set(), []event.Event{joined(0, 2, "a", "b"), joined(1, 2, "a", "c")}, []event.Severity{high, high}},
		"joined, not all named":    {set(), []event.Event{joined(0, 3, "a", "b"), joined(1, 3, "a", "b")}, []event.Severity{high, high}},
		"the same set":             {set(), []event.Event{replaced(0, "x"), replaced(1, "x")}, []event.Severity{high, inf}},
		"another set":              {set(), []event.Event{replaced(0, "x"), replaced(1, "y")}, []event.Severity{high, high}},
		"what was lowered was not told": {
			set(custom.Rule{ID: "down", On: every, Action: custom.Downgrade, Severity: low, Reason: "x", Expires: now.Add(time.Hour)}),
			[]event.Event{added(0, "a"), added(2*time.Hour, "a"), added(3*time.Hour, "a")},
			[]event.Severity{low, high, inf},
		},
		"raised again": {set(custom.Rule{ID: "up", On: every, Action: custom.Raise}), []event.Event{added(0, "a"), added(1, "a")}, []event.Severity{crit, low}},
	} {
		if got := telling(tt.set, new(custom.Told), tt.events...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		// Over storage after each event nothing is other.
		told, got := new(custom.Told), []event.Severity(nil)
		for _, e := range tt.events {
			got = append(got, telling(tt.set, told, e)...)
			told = custom.DecodeTold(told.Encode())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s, stored: %v, want %v", name, got, tt.want)
		}
		if got := telling(tt.set, nil, tt.events...); slices.Contains(got, inf) {
			t.Errorf("%s: held down without a memory", name)
		}
	}
}

// TestToldIsBounded lets many keys come: the memory has an end, and what falls out of
// it is told again.
func TestToldIsBounded(t *testing.T) {
	t.Parallel()
	set := &custom.Set{Rules: []custom.Rule{{ID: "again", On: []string{"*"}, Severity: event.SeverityHigh, Repeat: week}}}
	told := new(custom.Told)
	key := func(i int) event.Event {
		e := sample(event.KeyAdded, event.SeverityLow)
		e.Data.Key.Thumbprint = new(fmt.Sprintf("%043d", i))
		return e
	}
	for i := range custom.MaxTold + 1 {
		telling(set, told, key(i))
	}
	if got := telling(set, told, key(1), key(0)); got[0] != event.SeverityInformational || got[1] != event.SeverityHigh {
		t.Errorf("the second and the first were told as %v", got)
	}
	if n := len(told.Encode()); n > 64*custom.MaxTold {
		t.Errorf("%d octets", n)
	}
	if custom.DecodeTold([]byte("{")).Encode() != nil || custom.DecodeTold(nil).Encode() != nil {
		t.Error("what cannot be read is something")
	}
	long := []byte("[" + strings.Repeat(`{"r":"again","a":"x","t":1},`, 10*custom.MaxTold) + `{"r":"again","a":"y","t":1}]`)
	if b := custom.DecodeTold(long).Encode(); len(b) > 64*custom.MaxTold || !strings.Contains(string(b), `"y"`) {
		t.Errorf("%d octets of a stored memory without an end", len(b))
	}
	// What no rule waits for any more goes when something comes.
	late := key(7)
	late.Time = event.At(now.Add(2 * week))
	telling(set, told, late)
	if n := strings.Count(string(told.Encode()), `"r"`); n != 1 {
		t.Errorf("%d marks are kept of which one counts", n)
	}
}

// FuzzApply judges any event by any one comparison: it ends, and the severity is one.
func FuzzApply(f *testing.F) {
	f.Add("endpoint.name", "glob", "corp-*", "key.added", uint8(2), "a", true)
	f.Add("key.bits", "lt", "3072", "key.removed", uint8(4), "[", false)
	f.Add("details.life_max_s", "gte", "600", "key.ephemeral", uint8(5), "", true)
	f.Add("transport.remote_addr", "cidr", "::/0", "set.replaced", uint8(1), "\x00/", false)
	f.Fuzz(func(t *testing.T, name, op, value, typ string, is uint8, kid string, joined bool) {
		field, ok := custom.FieldOf(name, event.Types())
		if !ok {
			return
		}
		var v any = value
		switch field.Kind {
		case custom.Number:
			v = float64(len(value))
		case custom.Duration:
			v = time.Duration(len(value)) * time.Hour
		case custom.Bool:
			v = value == "true"
		case custom.Time:
			v = now
		case custom.Severity:
			v = event.SeverityMedium
		}
		where := custom.Matcher{Tests: []custom.Test{{Field: field, Op: custom.Op(op), Values: []any{v}}}}
		e := sample(event.Type(typ), event.Severity(1+is%5))
		e.Data.Key.Kid, e.Data.Endpoint.Labels["x"] = &kid, kid
		if d := event.NewDetails(event.Type(typ)); d != nil {
			e.Data.Details = d
		}
		if joined {
			e.Data.Keys, e.Data.Key = []event.Key{*e.Data.Key, {}}, nil
		}
		fixed, before := custom.Untouchable(&e), e.Data.Event.Severity
		set := custom.Set{Rules: []custom.Rule{
			{ID: "a", On: []string{"*"}, Where: where, Severity: event.SeverityHigh, Repeat: time.Hour},
			{ID: "b", On: []string{"key.*"}, Where: custom.Matcher{Not: &where}, Action: custom.Downgrade, Severity: event.SeverityLow, Expires: now.Add(1)},
			{ID: "c", On: []string{typ}, Where: custom.Matcher{Any: []custom.Matcher{where, where}}, Action: custom.Raise},
		}}
		told := new(custom.Told)
		for range 2 {
			n := e
			set.ApplyAfter(&n, told)
			if s := n.Data.Event.Severity; s < event.SeverityInformational || s > event.SeverityCritical || n.Data.Event.SeverityID != int(s) || fixed && s < before {
				t.Errorf("severity %d", s)
			}
		}
		where.Never()
		where.Open()
	})
}
