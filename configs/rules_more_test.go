package configs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/event"
)

var lookedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func worldOfRules(files map[string]string) Options {
	o := worldOf(files)
	o.Now = func() time.Time { return lookedAt }
	return o
}

// inRules writes one rule on key.added, and overrides behind it.
func inRules(rule, more string) string {
	return "version: 1\nrules:\n  - { id: a, on: key.added, severity: low, " + rule + " }\n" + more
}

// TestRulesThatCannotFire holds that a rule which would load and do nothing is
// refused, with a place and a cure.
func TestRulesThatCannotFire(t *testing.T) {
	t.Parallel()
	override := func(s string) string { return "version: 1\noverrides:\n  - { " + s + " }\n" }
	for name, tt := range map[string]struct{ text, want, hint string }{
		"value that there is not": {inRules("where: { endpoint.tier: critcal }", ""), "endpoint.tier eq wants low, standard or critical", `did you mean "critical"?`},
		"type that there is not":  {inRules("where: { event.type: key.aded }", ""), "event.type eq wants one of its values", `did you mean "key.added"?`},
		"short thumbprint":        {inRules("where: { key.thumbprint: NzbLsXh8 }", ""), "wants a thumbprint of 43 characters", "RFC 7638"},
		"network of a name":       {inRules("where: { endpoint.name: { cidr: 10.0.0.0/8 } }", ""), "endpoint.name, a text, cannot be compared by", "operators: eq, "},
		"address with a port":     {inRules(`where: { transport.remote_addr: "203.0.113.10:443" }`, ""), "wants an address such as", "without a port"},
		"long form of an address": {inRules(`where: { transport.remote_addr: "::ffff:203.0.113.10" }`, ""), "wants an address such as", "shortest form"},
		"operator almost":         {inRules("where: { key.bits: { gtt: 1 } }", ""), "cannot be compared by", `did you mean "gt"?`},
		"nothing in where":        {inRules("where: {}", ""), "asks for nothing", "name a field"},
		"nothing in not":          {inRules("where: { not: {} }", ""), "asks for nothing", "name a field"},
		"empty any":               {inRules("where: { any: [] }", ""), "any is empty", "dash"},
		"nothing in any":          {inRules("where: { any: [{ key.kty: RSA }, {}] }", ""), "asks for nothing", "name a field"},
		"no operator":             {inRules("where: { key.kty: {} }", ""), "compared with nothing", "exists"},
		"no value":                {inRules("where: { key.kty: [] }", ""), "compared with nothing", "at least one"},
		"empty prefix":            {inRules(`where: { endpoint.name: { prefix: "" } }`, ""), "wants a text", ""},
		"empty list":              {inRules("where: { endpoint.name: { in_list: l } }", "lists: { l: [] }\n"), "the list \"l\" is empty", ""},
		"list of no addresses":    {inRules("where: { transport.remote_addr: { in_list: l } }", "lists: { l: [x] }\n"), "wants an address", ""},
		"a kind for each type":    {"version: 1\nrules: [{ id: a, on: [key.certificate_changed, set.replaced], where: { details.after: x }, severity: low }]\n", `"details.after" is a text of some of these types and a number of others`, "a rule for each"},
		"a bad label":             {inRules("where: { endpoint.labels.Env: x }", ""), "the key of a label wants", ""},
		"no types":                {"version: 1\nrules: [{ id: a, on: [], severity: low }]\n", "on names no type", ""},
		"macro in a macro":        {inRules("where: { use: m }", "macros: { m: { use: n }, n: { key.kty: RSA } }\n"), "a macro uses macros", ""},
		"no such macro":           {inRules("where: { use: prodution }", "macros: { production: { endpoint.tier: critical } }\n"), "no macro is named", `did you mean "production"?`},
		"id of a built-in rule":   {"version: 1\nrules: [{ id: key-added, on: \"*\", severity: low }]\n", "is built in", "overrides:"},
		"override of none":        {override("id: key-aded, severity: low"), "no built-in rule is named", `did you mean "key-added"?`},
		"override of a fixed one": {override("id: key-private, enabled: false"), "is never lowered", ""},
		"or to lower it":          {override("id: set-split, severity: low"), "is never lowered", ""},
		"details of another type": {override("id: key-added, severity: low, where: { details.peer: x }"), `field "details.peer"`, ""},
		"off and low":             {override("id: key-added, severity: low, enabled: false"), "switches it off and gives it a severity", ""},
		"repeat for long":         {inRules("repeat: 91d", ""), "repeat is longer than 90d", "downgrade"},
		"repeat for a moment":     {inRules("repeat: 59s", ""), "wants at least 1m", ""},
		"expires of a detection":  {inRules("expires: 2026-12-01", ""), "expires beside a rule that lowers nothing", ""},
		"repeat of a raise":       {"version: 1\nrules: [{ id: a, on: \"*\", action: raise, repeat: 1h }]\n", "repeat beside action: raise", ""},
		"suppressible of a raise": {"version: 1\nrules: [{ id: a, on: \"*\", action: raise, suppressible: false }]\n", "suppressible beside action: raise", ""},
		"number with a unit":      {inRules("where: { key.bits: { lt: 2048bit } }", ""), "key.bits lt wants a number", ""},
		"bare severity":           {inRules("where: { event.severity: { gte: hihg } }", ""), "wants informational, low, medium, high or critical", `did you mean "high"?`},
	} {
		_, _, err := LoadRules(worldOfRules(map[string]string{"rules.yaml": tt.text}), "rules.yaml")
		problems, ok := errors.AsType[Errors](err)
		if !ok {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := err.Error(); !strings.Contains(s, tt.want) || !strings.Contains(s, tt.hint) {
			t.Errorf("%s: %s", name, s)
		}
		for _, p := range problems {
			if p.File != "rules.yaml" || p.Line < 1 || p.Col < 1 || p.Hint == "" {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
}

// TestAllErrorsAtOnce holds that each problem is told, where it stands, once.
func TestAllErrorsAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := LoadRules(worldOfRules(map[string]string{
		"a.yaml": inRules("where: { use: [m, m], key.bitz: 1 }, severty: low", "") + "overrides: [{ id: nothing, enabled: false }]\n",
		"b.yaml": "version: 1\nmacros: { m: { endpoint.tier: hgh } }\n",
	}), "a.yaml", "b.yaml")
	problems, _ := errors.AsType[Errors](err)
	var places []string
	for _, p := range problems {
		places = append(places, p.File)
	}
	if got := strings.Join(places, " "); got != "a.yaml a.yaml a.yaml b.yaml" {
		t.Errorf("%s\n%v", got, err)
	}
}

// TestNamesHoldInAllFiles holds that the order of files says nothing.
func TestNamesHoldInAllFiles(t *testing.T) {
	t.Parallel()
	o := worldOfRules(map[string]string{
		"a.yaml": inRules("where: { use: m, endpoint.name: { in_list: l } }", ""),
		"b.yaml": "version: 1\nmacros: { m: { endpoint.tier: critical } }\nlists: { l: [x] }\n",
		"c.yaml": "version: 1\nlists: { l: [y] }\n",
	})
	for _, files := range [][]string{{"a.yaml", "b.yaml"}, {"b.yaml", "a.yaml"}} {
		if set, warnings, err := LoadRules(o, files...); err != nil || len(set.Rules) != 1 || len(warnings) != 0 {
			t.Errorf("%v: %v %v", files, warnings, err)
		}
	}
	if _, _, err := LoadRules(o, "a.yaml", "b.yaml", "c.yaml"); err == nil || !strings.Contains(err.Error(), `c.yaml:2:10: error: "l" stands at b.yaml:3 already`) {
		t.Errorf("a name twice: %v", err)
	}
	if _, _, err := LoadRules(o, "none.yaml"); err == nil {
		t.Error("a file that is not there was read")
	}
}

// TestLint holds each warning, and the near rule that has none.
func TestLint(t *testing.T) {
	t.Parallel()
	lowers := func(s string) string {
		return inRules("action: downgrade, reason: x, "+s, "")
	}
	two := func(a, b string) string {
		return "version: 1\nrules:\n  - { id: a, on: key.*, severity: medium, where: { " + a + " } }\n  - { id: b, on: key.added, severity: low, where: { " + b + " } }\n"
	}
	for name, tt := range map[string]struct{ text, want string }{
		"expired this moment":   {lowers("expires: 2026-11-22T12:00:00Z, where: { endpoint.name: corp }"), "has expired"},
		"not yet":               {lowers("expires: 2026-11-22T12:00:01Z, where: { endpoint.name: corp }"), ""},
		"90 days":               {lowers("expires: 2027-02-20T12:00:00Z, where: { endpoint.name: corp }"), ""},
		"longer":                {lowers("expires: 2027-02-20T12:00:01Z, where: { endpoint.name: corp }"), "more than 90 days"},
		"by label":              {lowers("expires: 2026-12-01, where: { endpoint.labels.env: prod }"), "more than single endpoints"},
		"by key":                {lowers("expires: 2026-12-01, where: { key.thumbprint: NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs }"), ""},
		"never":                 {inRules("where: { key.age: { gt: 90d, lt: 30d } }", ""), "never matches"},
		"a range":               {inRules("where: { key.age: { gt: 30d, lt: 90d } }", ""), ""},
		"by a macro":            {inRules("where: { use: m, key.kty: RSA }", "macros: { m: { key.kty: EC } }\n"), "never matches"},
		"escalates never":       {inRules("where: { key.kty: RSA }, escalate: [{ where: { key.kty: EC }, severity: high }]", ""), "escalates where it never matches"},
		"escalates to the same": {inRules("escalate: [{ where: { key.kty: EC }, severity: low }]", ""), "escalates to the severity that it has"},
		"not of what may lack":  {inRules("where: { not: { key.use: enc } }", ""), "matches what has no key.use"},
		"held to be there":      {inRules("where: { key.use: { exists: true }, not: { key.use: enc } }", ""), ""},
		"shadowed":              {two("key.kty: RSA", "key.kty: RSA, key.bits: { lt: 2048 }"), "rule b never decides: whatever it matches, rule a at rules.yaml:3"},
		"not shadowed":          {two("key.kty: RSA", "key.bits: { lt: 2048 }"), ""},
		"the same twice":        {"version: 1\nrules:\n  - { id: a, on: key.added, severity: low }\n  - { id: b, on: key.added, severity: low }\n", "rule b never decides"},
		"unused list":           {inRules("title: x", "lists: { l: [x] }\n"), `no rule uses the list "l"`},
		"unused macro":          {inRules("title: x", "macros: { m: { key.kty: RSA } }\n"), `no rule uses the macro "m"`},
		"no such rule":          {inRules("where: { event.rules: key-aded }", ""), `no built-in rule is named "key-aded"`},
		"a rule":                {inRules("where: { event.rules: key-added }", ""), ""},
		"no such endpoint":      {inRules("where: { endpoint.name: crop }", ""), `no endpoint is named "crop"`},
		"no such group":         {inRules("where: { endpoint.group: x }", ""), `no endpoint has the group "x"`},
		"no such owner":         {inRules("where: { endpoint.owner: x }", ""), `no endpoint has the owner "x"`},
		"no such label":         {inRules("where: { endpoint.labels.zone: { exists: true } }", ""), `no endpoint has a label "zone"`},
		"no such value":         {inRules("where: { endpoint.labels.env: test }", ""), `no endpoint has the label env with "test"`},
		"a pattern":             {inRules("where: { endpoint.labels.env: { prefix: te } }", ""), ""},
		"override that is dead": {"version: 1\noverrides: [{ id: key-added, severity: high, where: { key.bits: { gt: 2, lt: 1 } } }]\n", "never matches"},
	} {
		o := worldOfRules(map[string]string{"rules.yaml": tt.text})
		c, err := Parse("x.yaml", []byte("rules: { files: [rules.yaml] }\nstate: { path: s.db }\nendpoints: [{ name: corp, jwks_uri: \"https://corp.example/k\", labels: { env: prod }, group: g, owner: o }]\n"), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var told strings.Builder
		for _, w := range c.Warnings {
			if told.WriteString(w.Message); w.File != "rules.yaml" || w.Hint == "" {
				t.Errorf("%s: %+v", name, w)
			}
		}
		if tt.want == "" && told.String() != "" || !strings.Contains(told.String(), tt.want) || len(c.Warnings) > 1 {
			t.Errorf("%s: %q", name, told.String())
		}
	}
}

// TestRulesSchema holds the written schema, that what loads is valid to it, and that
// what is misspelt is not.
func TestRulesSchema(t *testing.T) {
	t.Parallel()
	const path = "schema/rules.schema.json"
	if want, err := os.ReadFile(path); !*update && (err != nil || !bytes.Equal(want, RulesSchema())) {
		t.Error(path + " is not what the tables say: write it with -update, and read it")
	}
	if *update {
		compare(t, path, RulesSchema())
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(RulesSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("rules.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("rules.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) error {
		var root yaml.Node
		if err := yaml.Unmarshal([]byte(text), &root); err != nil {
			t.Fatal(err)
		}
		return s.Validate(instance(root.Content[0]))
	}
	files, _ := filepath.Glob("examples/rules.d/*.yaml")
	if len(files) == 0 {
		t.Error("no example")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(string(b)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if line, _, _ := strings.Cut(string(b), "\n"); !strings.Contains(line, "$schema=../../schema/rules.schema.json") {
			t.Errorf("%s does not name its schema", file)
		}
	}
	if err := check(goodRules); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"rules: []", "version: 2", inRules("severty: low", ""), inRules("where: { key.bitz: 1 }", ""), inRules("where: { endpoint.tier: critcal }", ""),
		inRules("where: {}", ""), inRules("where: { key.thumbprint: abc }", ""), inRules("where: { endpoint.name: { cidr: 10.0.0.0/8 } }", ""),
		inRules("where: { key.age: { gt: 90 days } }", ""), inRules("where: { any: [] }", ""), inRules("expires: tomorrow", ""),
		"version: 1\nrules: [{ id: a, on: key.aded, severity: low }]", "version: 1\noverrides: [{ severity: low }]",
	} {
		if check(bad) == nil {
			t.Errorf("valid: %s", bad)
		}
	}
}

// testsOf makes a file with one test of one rule.
func testsOf(test string) map[string]string {
	return map[string]string{
		"rules.yaml": inRules("where: { key.kty: RSA }", ""),
		"a.json":     `{"keys":[]}`, "b.json": `{"keys":[]}`, "no.json": `{"key":[]}`,
		"tests.yaml": "version: 1\nrule_files: [rules.yaml]\ntests:\n  - { name: x, " + test + " }\n",
	}
}

func TestTestsOfRulesAreRead(t *testing.T) {
	t.Parallel()
	o := worldOfRules(testsOf(`given: { on: key.overage, endpoint: { name: corp, labels: { env: prod } }, key: { age: 91d, kid: 0123 }, details: { age_min_s: 90d, code: x }, event.reasons: [a, b] }, expect: { severity: info, rules: [a] }`))
	tests, err := LoadRuleTests(o, "tests.yaml")
	if err != nil {
		t.Fatal(err)
	}
	x := tests.Tests[0]
	d := &x.Event.Data
	if x.Place != "tests.yaml:4" || !x.At.Equal(lookedAt) || d.Endpoint.Name != "corp" || d.Endpoint.Labels["env"] != "prod" || *d.Key.Kid != "0123" ||
		!d.Key.FirstSeen.Equal(lookedAt.Add(-91*24*time.Hour)) || d.Details.(*event.KeyOverageDetails).AgeMinS != 90*24*3600 || len(d.Event.Reasons) != 2 {
		t.Errorf("%+v\n%+v", x, d)
	}
	if x.Expect.Severity != event.SeverityInformational || d.Rules[0].ID != "key-overage" || d.Event.Severity == 0 {
		t.Errorf("%+v, %+v", x.Expect, d.Rules)
	}
	o = worldOfRules(testsOf("given: { on: key.added, keys: [{ kid: a }, { kid: b, bits: 2048 }] }, expect: { rules: [] }"))
	if tests, err = LoadRuleTests(o, "tests.yaml"); err != nil {
		t.Fatal(err)
	}
	if d := &tests.Tests[0].Event.Data; d.Key != nil || len(d.Keys) != 2 || *d.Keys[1].Bits != 2048 || d.Event.Count != 2 {
		t.Errorf("%+v", d.Keys)
	}
}

// TestTestsThatCannotFail holds that a test which says nothing, or another thing than
// it seems to, is refused: it would pass.
func TestTestsThatCannotFail(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ test, want string }{
		"nothing is given":      {"expect: { severity: low }", "a test gives nothing"},
		"nothing is expected":   {"given: { on: key.added }, expect: {}", "expects nothing cannot fail"},
		"no expect":             {"given: { on: key.added }", "has no expect"},
		"misspelt":              {"given: { on: key.added }, expct: { severity: low }", `unknown key "expct"`},
		"misspelt within":       {"given: { on: key.added }, expect: { severty: low }", `unknown key "severty"`},
		"no type":               {"given: { key.kty: RSA }, expect: { severity: low }", "given has no on"},
		"another type":          {"given: { on: key.aded }, expect: { severity: low }", `did you mean "key.added"`},
		"several types":         {`given: { on: "key.*" }, expect: { severity: low }`, "wants one type"},
		"no field":              {"given: { on: key.added, key: { kyt: RSA } }, expect: { severity: low }", `field "key.kyt"`},
		"no value":              {"given: { on: key.added, endpoint.tier: high }, expect: { severity: low }", "wants low, standard or critical"},
		"no duration":           {"given: { on: key.added, key.age: 90 days }, expect: { severity: low }", "wants a duration"},
		"the type twice":        {"given: { on: key.added, event.type: key.removed }, expect: { severity: low }", "given by on"},
		"no rule":               {"given: { on: key.added }, expect: { rules: [b] }", `no rule of these files is named "b"`},
		"events of one":         {"given: { on: key.added }, expect: { events: [low key.added] }", "events of one event"},
		"verdict of several":    {"before: a.json, after: b.json, expect: { verdict: expected }", "verdict of several"},
		"no severity":           {"before: a.json, after: b.json, expect: { events: [key.added] }", "severity and type"},
		"one document":          {"before: a.json, expect: { events: [] }", "belong together"},
		"no document":           {"before: a.json, after: c.json, expect: { events: [] }", "after c.json"},
		"no set":                {"before: a.json, after: no.json, expect: { events: [] }", "is no JWK Set"},
		"given with documents":  {"given: { key.kty: RSA }, before: a.json, after: b.json, expect: { events: [] }", "beside documents or polls"},
		"on with documents":     {"given: { on: key.added }, before: a.json, after: b.json, expect: { events: [] }", "on beside documents"},
		"polls and documents":   {"polls: [], before: a.json, after: b.json, expect: { events: [] }", "polls beside before and after"},
		"one poll":              {"polls: [{ at: 2026-01-01, set: a.json }], expect: { events: [] }", "fewer than two polls"},
		"polls not in order":    {"polls: [{ at: 2026-01-02, set: a.json }, { at: 2026-01-02, set: b.json }], expect: { events: [] }", "not after the one before"},
		"poll without a set":    {"polls: [{ at: 2026-01-01, set: a.json }, { at: 2026-01-02 }], expect: { events: [] }", "has a set, or fails"},
		"poll that fails twice": {"polls: [{ at: 2026-01-01, set: a.json }, { at: 2026-01-02, set: b.json, fails: true }], expect: { events: [] }", "has a set, or fails"},
		"poll without a time":   {"polls: [{ set: a.json }, { at: 2026-01-02, set: b.json }], expect: { events: [] }", "has no at"},
		"no time":               {"at: noon, given: { on: key.added }, expect: { severity: low }", "wants a time"},
		"the name twice":        {"given: { on: key.added }, expect: { severity: low } }\n  - { name: x, given: { on: key.added }, expect: { severity: low }", "the test at line 4 has this name"},
	} {
		_, err := LoadRuleTests(worldOfRules(testsOf(tt.test)), "tests.yaml")
		if problems, ok := errors.AsType[Errors](err); !ok || !strings.Contains(err.Error(), tt.want) || problems[0].Line < 4 || problems[0].Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	files := testsOf("given: { on: key.added }, expect: { severity: low }")
	files["rules.yaml"] = inRules("severty: low", "")
	if _, err := LoadRuleTests(worldOfRules(files), "tests.yaml"); err == nil || !strings.Contains(err.Error(), "rules.yaml:3:") {
		t.Errorf("bad rules: %v", err)
	}
	if _, err := LoadRuleTests(worldOfRules(nil), "none.yaml"); err == nil {
		t.Error("a file that is not there was read")
	}
}
