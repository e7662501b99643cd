package custom_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// and joins the tests of matchers.
func and(list ...custom.Matcher) custom.Matcher {
	var m custom.Matcher
	for _, l := range list {
		m.Tests = append(m.Tests, l.Tests...)
	}
	return m
}

func TestNever(t *testing.T) {
	t.Parallel()
	gt90, lt30, prod := test("key.bits", custom.Gt, 90.0), test("key.bits", custom.Lt, 30.0), test("endpoint.labels.env", custom.Eq, "prod")
	for name, tt := range map[string]struct {
		m    custom.Matcher
		want bool
	}{
		"bounds that exclude":   {and(gt90, lt30), true},
		"bounds that meet":      {and(test("key.bits", custom.Gte, 30.0), test("key.bits", custom.Lte, 30.0)), false},
		"bounds that just miss": {and(test("key.bits", custom.Gt, 30.0), test("key.bits", custom.Lte, 30.0)), true},
		"or that way":           {and(test("key.bits", custom.Gte, 30.0), lt30), true},
		"a range":               {and(test("key.bits", custom.Gt, 30.0), test("key.bits", custom.Lt, 90.0)), false},
		"two values":            {and(prod, test("endpoint.labels.env", custom.In, "test", "lab")), true},
		"one of them":           {and(prod, test("endpoint.labels.env", custom.In, "test", "prod")), false},
		"a value and not it":    {and(prod, test("endpoint.labels.env", custom.NotIn, "prod")), true},
		"a value and a bound":   {and(test("key.bits", custom.Eq, 20.0), gt90), true},
		"a value and a prefix":  {and(prod, test("endpoint.labels.env", custom.Prefix, "te")), true},
		"values of a list":      {and(test("event.reasons", custom.Eq, "a"), test("event.reasons", custom.Eq, "b")), false},
		"absent, with a value":  {and(test("key.alg", custom.Exists, false), test("key.alg", custom.Ne, "RS256")), true},
		"absent, and there":     {and(test("key.alg", custom.Exists, false), test("key.alg", custom.Exists, true)), true},
		"absent twice":          {and(test("key.alg", custom.Exists, false), test("key.alg", custom.Exists, false)), false},
		"other fields":          {and(gt90, test("previous_key.bits", custom.Lt, 30.0)), false},
		"by a macro":            {custom.Matcher{Tests: gt90.Tests, All: []custom.Matcher{lt30}}, true},
		"each branch":           {custom.Matcher{Tests: gt90.Tests, Any: []custom.Matcher{lt30, and(prod, lt30)}}, true},
		"one branch":            {custom.Matcher{Tests: gt90.Tests, Any: []custom.Matcher{lt30, prod}}, false},
		"nothing":               {custom.Matcher{}, false},
	} {
		if got := tt.m.Never(); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOpenAndNarrow(t *testing.T) {
	t.Parallel()
	alg, name := test("key.alg", custom.Eq, "none"), test("endpoint.name", custom.In, "a", "b")
	for what, tt := range map[string]struct {
		m      custom.Matcher
		open   string
		narrow bool
	}{
		"not of what may lack":    {custom.Matcher{Not: &alg}, "key.alg", false},
		"held to be there":        {custom.Matcher{Tests: test("key.alg", custom.Exists, true).Tests, Not: &alg}, "", false},
		"held by its value":       {custom.Matcher{Tests: test("key.alg", custom.Prefix, "R").Tests, Not: &alg}, "", false},
		"held by a macro":         {custom.Matcher{All: []custom.Matcher{test("key.alg", custom.Exists, true)}, Not: &alg}, "", false},
		"held to be absent":       {custom.Matcher{Tests: test("key.alg", custom.Exists, false).Tests, Not: &alg}, "key.alg", false},
		"of what is always there": {custom.Matcher{Not: new(test("endpoint.tier", custom.Eq, "low"))}, "", false},
		"within any":              {custom.Matcher{Any: []custom.Matcher{{Not: &alg}}}, "key.alg", false},
		"within all":              {custom.Matcher{All: []custom.Matcher{{Not: &alg}}}, "key.alg", false},
		"names":                   {name, "", true},
		"a key":                   {test("key.thumbprint", custom.Eq, *print("a")), "", true},
		"other names":             {test("endpoint.name", custom.NotIn, "a"), "", false},
		"a label":                 {test("endpoint.labels.env", custom.Eq, "a"), "", false},
		"names in any":            {custom.Matcher{Any: []custom.Matcher{name, name}}, "", true},
		"and a label":             {custom.Matcher{Any: []custom.Matcher{name, alg}}, "", false},
		"names in all":            {custom.Matcher{All: []custom.Matcher{name, alg}}, "", true},
	} {
		if got := strings.Join(tt.m.Open(), " "); got != tt.open || tt.m.Narrow() != tt.narrow {
			t.Errorf("%s: open %q, narrow %v", what, got, tt.m.Narrow())
		}
	}
	m := custom.Matcher{Tests: name.Tests, All: []custom.Matcher{alg}, Any: []custom.Matcher{alg}, Not: new(test("key.kty", custom.Eq, "RSA"))}
	if got := strings.Join(m.Asks(), " "); got != "endpoint.name key.alg key.kty" {
		t.Errorf("asks %s", got)
	}
}

func TestShadows(t *testing.T) {
	t.Parallel()
	rsa, short := test("key.kty", custom.Eq, "RSA"), test("key.bits", custom.Lt, 2048.0)
	detect := func(s event.Severity, where custom.Matcher, on ...string) custom.Rule {
		return custom.Rule{On: on, Where: where, Severity: s}
	}
	with := func(r custom.Rule, do func(*custom.Rule)) custom.Rule { do(&r); return r }
	lowers := custom.Rule{On: []string{"key.*"}, Where: rsa, Action: custom.Downgrade, Severity: event.SeverityLow, Expires: now}
	base := detect(event.SeverityHigh, rsa, "key.*")
	for name, tt := range map[string]struct {
		a, b custom.Rule
		want bool
	}{
		"asks more":              {base, detect(event.SeverityHigh, and(rsa, short), "key.added"), true},
		"is worse":               {base, detect(event.SeverityCritical, and(rsa, short), "key.added"), false},
		"asks less":              {base, detect(event.SeverityLow, custom.Matcher{}, "key.added"), false},
		"asks other":             {base, detect(event.SeverityLow, test("key.kty", custom.Eq, "EC"), "key.added"), false},
		"other types":            {base, detect(event.SeverityLow, rsa, "key.added", "set.replaced"), false},
		"all types":              {base, detect(event.SeverityLow, rsa, "*"), false},
		"of all types":           {detect(event.SeverityHigh, rsa, "*"), detect(event.SeverityLow, rsa, "key.*", "set.replaced"), true},
		"a value of several":     {detect(event.SeverityHigh, test("key.kty", custom.In, "RSA", "EC"), "*"), detect(event.SeverityLow, rsa, "*"), true},
		"several of a value":     {base, detect(event.SeverityLow, test("key.kty", custom.In, "RSA", "EC"), "key.added"), false},
		"it is off":              {with(base, func(r *custom.Rule) { r.Off = true }), base, false},
		"the other is":           {base, with(base, func(r *custom.Rule) { r.Off = true }), false},
		"it may fall silent":     {with(base, func(r *custom.Rule) { r.Repeat = time.Hour }), base, false},
		"the other escalates":    {base, with(base, func(r *custom.Rule) { r.Escalate = []custom.Escalation{{Severity: 1}} }), false},
		"it escalates downwards": {with(base, func(r *custom.Rule) { r.Escalate = []custom.Escalation{{Severity: 1}} }), base, false},
		"the other is fixed":     {base, with(base, func(r *custom.Rule) { r.Fixed = true }), false},
		"both are":               {with(base, func(r *custom.Rule) { r.Fixed = true }), with(base, func(r *custom.Rule) { r.Fixed = true }), true},
		"it lowers":              {lowers, base, false},
		"both lower":             {lowers, with(lowers, func(r *custom.Rule) { r.Severity = event.SeverityMedium }), true},
		"the other lowers more":  {lowers, with(lowers, func(r *custom.Rule) { r.Severity = event.SeverityInformational }), false},
		"the other lasts longer": {lowers, with(lowers, func(r *custom.Rule) { r.Expires = now.Add(1) }), false},
		"it has any":             {detect(event.SeverityHigh, custom.Matcher{Any: []custom.Matcher{rsa}}, "*"), base, false},
		"it has not":             {detect(event.SeverityHigh, custom.Matcher{Not: &rsa}, "*"), base, false},
	} {
		if got := tt.a.Shadows(&tt.b); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFieldsKeepWhatIsSet sets each field, and reads it: tests of rules give events by
// what rules ask for.
func TestFieldsKeepWhatIsSet(t *testing.T) {
	t.Parallel()
	values := map[custom.Kind]any{
		custom.Text: "x", custom.Thumbprint: *print("a"), custom.Address: "203.0.113.10", custom.Number: 7.0, custom.Duration: 90 * time.Minute,
		custom.Bool: true, custom.Time: now, custom.Severity: event.SeverityHigh, custom.Texts: []string{"a", "b"},
	}
	check := func(f custom.Field, typ event.Type) {
		e := event.Event{Time: event.At(now), Data: event.Data{Event: event.Facts{Type: typ}}}
		want := values[f.Kind]
		if f.Example == "" && f.Kind != custom.Text && f.Kind != custom.Texts {
			t.Errorf("%s has no example", f.Name)
		}
		f.Set(&e, want)
		if got := f.Get(&e); !reflect.DeepEqual(got, want) {
			t.Errorf("%s of %s: %v, want %v", f.Name, typ, got, want)
		}
		if empty := (&event.Event{}); f.Get(empty) != nil && !f.Always {
			t.Errorf("%s: an empty event has %v", f.Name, f.Get(empty))
		}
	}
	for _, f := range custom.Fields() {
		check(f, event.KeyAdded)
	}
	e := event.Event{Data: event.Data{Transport: &event.Transport{MaxAgeS: new(int64(math.MaxInt64))}}}
	if m := test("transport.max_age", custom.Gt, 365*24*time.Hour); !m.Match(&e) {
		t.Error("an age beyond all durations is short")
	}
	label, _ := custom.FieldOf("endpoint.labels.env", nil)
	check(label, event.KeyAdded)
	for _, typ := range event.Types() {
		for m, kind := range custom.Details(typ) {
			f, ok := custom.FieldOf("details."+m, []event.Type{typ})
			if !ok || f.Kind != kind {
				t.Fatalf("%s: details.%s", typ, m)
			}
			check(f, typ)
		}
	}
	if _, ok := custom.FieldOf("endpoint.labels.", nil); ok {
		t.Error("a label without a name is a field")
	}
	if got := custom.Kinds("after", []event.Type{event.KeyCertificateChanged, event.SetReplaced}); !slices.Equal(got, []custom.Kind{custom.Text, custom.Number}) {
		t.Errorf("details.after is %v", got)
	}
}

// TestGlob holds that * stands for anything in a URL too.
func TestGlob(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]bool{
		"https://login.example/*": true, "*/keys": true, "https://*/v2/keys": true, "*": true, "https://login.example/?/v2/keys": true,
		"https://login.example": false, "http:*": false, `https:\/\/*`: true,
	} {
		e := sample(event.KeyAdded, event.SeverityLow)
		e.Data.Endpoint.JWKSURI = new("https://login.example/a/v2/keys")
		if m := test("endpoint.jwks_uri", custom.Glob, pattern); m.Match(&e) != want {
			t.Errorf("%s: %v", pattern, !want)
		}
	}
}
