package configs

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

const goodRules = `version: 1
lists:
  noisy: [partner-acme, partner-globex]
macros:
  production: { endpoint.labels.env: prod }
rules:
  - id: corp-added
    title: A key nobody announced
    on: key.added
    where: { use: [production], event.verdict: { ne: expected } }
    severity: high
    escalate:
      - { where: { endpoint.tier: critical }, severity: critical }
  - id: short-keys
    on: [key.added, key.mutated]
    where:
      any:
        - { key.kty: RSA, key.bits: { lt: 3072 } }
        - { key.alg: { in: [RS1, none] } }
      not: { endpoint.name: lab }
    severity: medium
  - id: acme-noise
    on: [key.added, key.removed]
    where: { endpoint.name: { in_list: noisy } }
    action: downgrade
    severity: info
    expires: 2026-12-31
    reason: "SEC-1432: rotates daily"
    by: iam
  - id: tier-0
    on: "*"
    where: { endpoint.tier: critical, event.severity: { gte: medium } }
    action: raise
overrides:
  - { id: endpoint-content-type, enabled: false }
  - { id: key-removed, severity: low, where: { details.class: sig } }
`

func rulesOf(t *testing.T, text string) (Options, string) {
	t.Helper()
	o := worldOf(map[string]string{"rules.yaml": text})
	o.Now = func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }
	return o, watched + "rules: { files: [rules.yaml] }\n"
}

func TestRulesAreRead(t *testing.T) {
	t.Parallel()
	o, text := rulesOf(t, goodRules)
	text += `endpoints:
  - { name: partner-acme, jwks_uri: "https://acme.example/jwks", labels: { env: prod } }
  - { name: partner-globex, jwks_uri: "https://globex.example/jwks" }
  - { name: lab, jwks_uri: "https://lab.example/jwks" }
`
	text = strings.Replace(text, watched, "", 1)
	c, err := Parse("x.yaml", []byte(text), o)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	if n := len(c.Rules.Set.Rules); n != 4 || len(c.Rules.Set.Overrides) != 2 || len(c.Warnings) != 0 {
		t.Fatalf("%d rules, %d overrides, warnings %+v", n, len(c.Rules.Set.Overrides), c.Warnings)
	}
	e := func(name, tier string, typ event.Type, s event.Severity) *event.Event {
		return &event.Event{Time: event.At(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)), Data: event.Data{
			Event:    event.Facts{Type: typ, Severity: s, Verdict: event.Informational},
			Endpoint: &event.Endpoint{Name: name, Tier: tier, Labels: map[string]string{"env": "prod"}},
			Rules:    []event.Rule{{ID: strings.NewReplacer(".", "-", "_", "-").Replace(string(typ)), Severity: s}},
			Details:  event.KeyRemovedDetails{Class: "sig"},
		}}
	}
	for name, tt := range map[string]struct {
		e    *event.Event
		want event.Severity
	}{
		"a macro":              {e("corp", "standard", event.KeyAdded, event.SeverityLow), event.SeverityHigh},
		"escalated, no raise":  {e("corp", "critical", event.KeyAdded, event.SeverityLow), event.SeverityCritical},
		"a list":               {e("partner-acme", "standard", event.KeyAdded, event.SeverityLow), event.SeverityInformational},
		"raised":               {e("corp", "critical", event.SetReplaced, event.SeverityHigh), event.SeverityCritical},
		"below what is raised": {e("corp", "critical", event.KeyReencoded, event.SeverityLow), event.SeverityLow},
		"switched off":         {e("corp", "standard", event.EndpointContentType, event.SeverityLow), event.SeverityInformational},
		"details":              {e("corp", "standard", event.KeyRemoved, event.SeverityInformational), event.SeverityLow},
		"never lowered":        {e("partner-acme", "standard", event.KeyPrivate, event.SeverityCritical), event.SeverityCritical},
	} {
		c.Rules.Set.Apply(tt.e)
		if tt.e.Data.Event.Severity != tt.want || tt.e.Data.Event.SeverityID != int(tt.want) {
			t.Errorf("%s: %s, want %s (%+v)", name, tt.e.Data.Event.Severity, tt.want, tt.e.Data.Judgement.Adjustments)
		}
	}
}

// TestBadRulesAreRefused holds what is wrong with rules to a place and a cure.
func TestBadRulesAreRefused(t *testing.T) {
	t.Parallel()
	rule := func(more string) string {
		return "version: 1\nrules:\n  - { id: a, on: key.added, severity: low, " + more + " }\n"
	}
	for name, tt := range map[string]struct{ text, want, hint string }{
		"no version":       {"rules: []\n", "has no version", "version: 1"},
		"another version":  {"version: 2\nrules: []\n", "wants a number from 1 to 1", ""},
		"unknown key":      {rule("severty: low"), `unknown key "severty"`, "severity"},
		"unknown type":     {"version: 1\nrules: [{ id: a, on: key.aded, severity: low }]\n", `"key.aded"`, "key.added"},
		"unknown field":    {rule("where: { endpoint.nmae: x }"), `field "endpoint.nmae"`, "endpoint.name"},
		"details of none":  {rule("where: { details.clas: x }"), `field "details.clas"`, "details.class"},
		"details of other": {rule("where: { details.peer: x }"), `field "details.peer"`, ""},
		"wrong operator":   {rule("where: { key.bits: { prefix: 2 } }"), `compared by "prefix"`, "gte"},
		"wrong value":      {rule("where: { key.age: { gt: 90 days } }"), `key.age gt wants a duration such as 90d or 1h30m, got "90 days"`, ""},
		"no number":        {rule("where: { key.bits: big }"), "wants a number", ""},
		"no list":          {rule("where: { key.kid: { in_list: x } }"), "no list is named", ""},
		"no macro":         {rule("where: { use: x }"), "no macro is named", ""},
		"no network":       {rule("where: { transport.remote_addr: { cidr: 1.2.3 } }"), "a network such as", ""},
		"no reason":        {"version: 1\nrules: [{ id: a, on: key.added, severity: low, action: downgrade, expires: 2026-12-01 }]\n", "without a reason", ""},
		"for ever":         {"version: 1\nrules: [{ id: a, on: key.added, severity: low, action: downgrade, reason: x }]\n", "for ever", ""},
		"no severity":      {"version: 1\nrules: [{ id: a, on: key.added }]\n", "has no severity", ""},
		"raise to":         {rule("action: raise"), "raises by one step", ""},
		"twice":            {"version: 1\nrules: [{ id: a, on: \"*\", severity: low }, { id: a, on: \"*\", severity: low }]\n", "already", ""},
		"empty override":   {"version: 1\noverrides: [{ id: key-added }]\n", "changes nothing", ""},
		"no mapping":       {"- a\n", "a rules file wants", ""},
	} {
		o, text := rulesOf(t, tt.text)
		_, err := Parse("x.yaml", []byte(text), o)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if s := err.Error(); !strings.Contains(s, tt.want) || !strings.Contains(s, tt.hint) || !strings.Contains(s, "rules.yaml:") {
			t.Errorf("%s: %s", name, s)
		}
	}
}

func TestRulesAreLinted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"expired":   {"action: downgrade, reason: x, expires: 2026-11-01, where: { endpoint.name: a }", "has expired"},
		"long":      {"action: downgrade, reason: x, expires: 2027-11-01, where: { endpoint.name: a }", "more than 90 days"},
		"wide":      {"action: downgrade, reason: x, expires: 2026-12-01", "more than single endpoints"},
		"never":     {"where: { key.bits: { gt: 90, lt: 30 } }", "never matches"},
		"all right": {"where: { key.bits: { gt: 30, lt: 90 } }", ""},
	} {
		o, text := rulesOf(t, "version: 1\nrules:\n  - { id: a, on: key.added, severity: informational, "+tt.text+" }\n")
		c, err := Parse("x.yaml", []byte(text), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var told strings.Builder
		for _, w := range c.Warnings {
			told.WriteString(w.Message)
		}
		if tt.want == "" && told.String() != "" || !strings.Contains(told.String(), tt.want) {
			t.Errorf("%s: %q", name, told.String())
		}
	}
}

// FuzzRules reads any file of rules: it ends, and whatever it accepts judges.
func FuzzRules(f *testing.F) {
	f.Add(goodRules)
	f.Add("version: 1\nrules: [{ id: a, on: \"*\", where: { not: { any: [{ key.bits: { gt: 1 } }] } }, severity: low }]\n")
	f.Add("version: 1\nlists: { l: [a] }\nmacros: { m: { not: { key.use: enc } } }\nrules: [{ id: a, on: [key.*], where: { use: m, key.kid: { in_list: l, glob: \"a*\" } }, severity: high, repeat: 7d, escalate: [{ where: { all: [{ endpoint.tier: low }] }, severity: low }] }]\n")
	f.Add("version: 1\noverrides: [{ id: key-added, enabled: false, where: { details.class: [sig, enc] } }]\n")
	e, err := event.Decode([]byte(`{}`))
	if err != nil {
		e = &event.Event{}
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{Dir: ".", ReadFile: func(string) ([]byte, error) { return []byte(text), nil }, LookupEnv: func(string) (string, bool) { return "", false }, Now: func() time.Time { return lookedAt }}
		set, warnings, err := LoadRules(o, "rules.yaml")
		problems, _ := errors.AsType[Errors](err)
		for _, p := range append(problems, warnings...) {
			if p.File != "rules.yaml" || p.Line < 1 || p.Col < 1 || p.Message == "" {
				t.Errorf("%+v", p)
			}
		}
		if err != nil {
			return
		}
		n := *e
		n.Data.Event = event.Facts{Type: event.KeyAdded, Severity: event.SeverityLow}
		set.Apply(&n)
		set.Digest()
		if s := n.Data.Event.Severity; s < event.SeverityInformational || s > event.SeverityCritical {
			t.Errorf("severity %d", s)
		}
	})
}
