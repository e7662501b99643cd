package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// ruleTests is a file of tests.
type ruleTests struct {
	set   *custom.Set
	dir   string
	tests []ruleTest
}

// ruleTest is one test. Given names fields of one event; Before and After are
// JWKS documents, compared as the daemon would.
type ruleTest struct {
	Name   string            `yaml:"name"`
	At     string            `yaml:"at"`
	Given  map[string]string `yaml:"given"`
	Before string            `yaml:"before"`
	After  string            `yaml:"after"`
	Expect struct {
		Severity string   `yaml:"severity"`
		Verdict  string   `yaml:"verdict"`
		Rules    []string `yaml:"rules"`
		Events   []string `yaml:"events"` // "severity type", of Before and After
	} `yaml:"expect"`

	place string
}

// readRuleTests reads a file of tests and the rules that it names.
func readRuleTests(file string) (*ruleTests, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, &ended{exitBlind, err}
	}
	bad := func(line int, format string, args ...any) error {
		return &ended{exitConfig, fmt.Errorf("%s:%d: error: %s", file, max(line, 1), fmt.Sprintf(format, args...))}
	}
	var root yaml.Node
	if err := yaml.Unmarshal(src, &root); err != nil {
		return nil, bad(1, "%v", err)
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, bad(1, "want a mapping with version, rule_files and tests")
	}
	out := &ruleTests{dir: filepath.Dir(file), set: &custom.Set{}}
	var files []string
	for i, top := 0, root.Content[0]; i+1 < len(top.Content); i += 2 {
		key, node := top.Content[i], top.Content[i+1]
		switch key.Value {
		case "version":
			if node.Value != "1" {
				return nil, bad(node.Line, "version wants 1")
			}
		case "rule_files":
			if err := node.Decode(&files); err != nil {
				return nil, bad(node.Line, "rule_files wants a list of paths")
			}
		case "tests":
			for _, n := range node.Content {
				t, err := readRuleTest(n)
				if err != nil {
					return nil, bad(n.Line, "%v", err)
				}
				t.place = fmt.Sprintf("%s:%d", file, n.Line)
				out.tests = append(out.tests, t)
			}
		default:
			return nil, bad(key.Line, "unknown key %q; known keys: version, rule_files, tests", event.Text(key.Value))
		}
	}
	if out.set, _, err = configs.LoadRules(configs.Options{Dir: out.dir}, under(out.dir, files)...); err != nil {
		return nil, &ended{exitConfig, err}
	}
	return out, nil
}

func under(dir string, files []string) []string {
	var out []string
	for _, f := range files {
		if !filepath.IsAbs(f) {
			f = filepath.Join(dir, f)
		}
		out = append(out, f)
	}
	return out
}

// readRuleTest refuses keys that it does not know: a test whose key is
// misspelt would pass.
func readRuleTest(n *yaml.Node) (ruleTest, error) {
	var t ruleTest
	if n.Kind != yaml.MappingNode {
		return t, errors.New("a test wants a mapping")
	}
	known := map[string][]string{"": {"name", "at", "given", "before", "after", "expect"}, "expect": {"severity", "verdict", "rules", "events"}}
	check := func(where string, m *yaml.Node) error {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if k := m.Content[i].Value; !slices.Contains(known[where], k) {
				return fmt.Errorf("unknown key %q in a test; known keys: %s", event.Text(k), strings.Join(known[where], ", "))
			}
		}
		return nil
	}
	if err := check("", n); err != nil {
		return t, err
	}
	given := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key, node := n.Content[i].Value, n.Content[i+1]; key {
		case "expect":
			if err := check("expect", node); err != nil {
				return t, err
			}
		case "given":
			if err := flatten(given, "", node); err != nil {
				return t, err
			}
			n.Content[i+1] = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: node.Line}
		}
	}
	if err := n.Decode(&t); err != nil {
		return t, fmt.Errorf("a test that cannot be read: %w", err)
	}
	t.Given = given
	x := &t.Expect
	switch {
	case t.Name == "":
		return t, errors.New("a test without a name")
	case (t.Before == "") != (t.After == ""), t.Before != "" && len(given) > 0, t.Before == "" && len(given) == 0:
		return t, errors.New("a test needs given, or before and after")
	case x.Severity == "" && x.Verdict == "" && x.Rules == nil && x.Events == nil:
		return t, errors.New("a test that expects nothing cannot fail")
	}
	return t, nil
}

// flatten makes one level of a mapping: endpoint: { name: x } is endpoint.name.
func flatten(out map[string]string, prefix string, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return errors.New("given wants a mapping of fields")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := prefix + n.Content[i].Value
		switch v := n.Content[i+1]; v.Kind {
		case yaml.MappingNode:
			if err := flatten(out, name+".", v); err != nil {
				return err
			}
		case yaml.ScalarNode:
			out[name] = v.Value
		default:
			var list []string
			if err := v.Decode(&list); err != nil {
				return fmt.Errorf("%s wants a text or a list of texts", name)
			}
			out[name] = strings.Join(list, ",")
		}
	}
	return nil
}

// play makes the events of a test and lets the rules judge them.
func (t *ruleTest) play(f *ruleTests) ([]event.Event, error) {
	at := time.Now().UTC()
	if t.At != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, t.At); err != nil {
			return nil, fmt.Errorf("at wants a time such as 2027-03-31T12:00:00Z, got %q", event.Text(t.At))
		}
	}
	if t.Before != "" || t.After != "" {
		return t.documents(f, at)
	}
	e, err := given(t.Given, at)
	if err != nil {
		return nil, err
	}
	return []event.Event{applied(f.set, e)}, nil
}

// documents compares two JWKS files.
func (t *ruleTest) documents(f *ruleTests, at time.Time) ([]event.Event, error) {
	var sets []*jwks.Set
	for _, name := range under(f.dir, []string{t.Before, t.After}) {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		set := jwks.Parse(b)
		if !set.Usable() {
			return nil, fmt.Errorf("%s is no JWK Set: %s", name, set.Reason)
		}
		sets = append(sets, set)
	}
	var out []event.Event
	for _, found := range rules.Compare(rules.Book(), sets[0], sets[1]) {
		e := event.Event{Time: event.At(at), Type: found.Type.CloudEvent(), Data: found.Data()}
		out = append(out, applied(f.set, e))
	}
	return out, nil
}

// given makes an event of fields. What is not given is as the built-in rule of the
// type has it.
func given(fields map[string]string, at time.Time) (event.Event, error) {
	typ := event.Type(fields["on"])
	e := event.Event{Time: event.At(at), Type: typ.CloudEvent(), Data: event.Data{Endpoint: &event.Endpoint{Name: "test", Tier: "standard", Labels: map[string]string{}}}}
	d := &e.Data
	if !slices.Contains(event.Types(), typ) {
		return e, fmt.Errorf("on: no event has the type %q", event.Text(string(typ)))
	}
	d.Event = event.Facts{Type: typ, Severity: event.SeverityInformational, Verdict: event.Informational, Count: 1}
	for _, r := range rules.Book() {
		if r.Type == typ {
			d.Event.Severity, d.Event.Verdict = r.Severity, r.Verdict
			d.Rules = []event.Rule{{ID: r.ID, Title: r.Title, Severity: r.Severity}}
			break
		}
	}
	details := map[string]any{}
	for name, value := range fields {
		if name == "on" {
			continue
		}
		field, ok := custom.FieldOf(name, []event.Type{typ})
		if !ok {
			return e, fmt.Errorf("no event of type %s has a field %q", typ, event.Text(name))
		}
		if err := give(&e, field, value, details); err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
	}
	encoded, err := json.Marshal(details)
	if err != nil {
		return e, err
	}
	d.Details = event.NewDetails(typ)
	return e, json.Unmarshal(encoded, d.Details)
}

// give sets one field.
func give(e *event.Event, f custom.Field, value string, details map[string]any) error {
	d := &e.Data
	key := func() *event.Key {
		to := &d.Key
		if strings.HasPrefix(f.Name, "previous_key.") {
			to = &d.PreviousKey
		}
		if *to == nil {
			*to = &event.Key{}
		}
		return *to
	}
	object, member, _ := strings.Cut(f.Name, ".")
	switch {
	case object == "details":
		return giveDetail(details, member, f.Kind, value)
	case f.Name == "event.severity":
		return d.Event.Severity.UnmarshalText([]byte(value))
	case f.Name == "event.verdict":
		d.Event.Verdict = event.Verdict(value)
	case f.Name == "event.confirmed":
		d.Event.Confirmed = value == "true"
	case f.Name == "event.count":
		n, err := strconv.Atoi(value)
		d.Event.Count = n
		return err
	case f.Name == "event.reasons":
		d.Event.Reasons = strings.Split(value, ",")
	case strings.HasPrefix(f.Name, "endpoint.labels."):
		d.Endpoint.Labels[strings.TrimPrefix(f.Name, "endpoint.labels.")] = value
	case object == "endpoint":
		to := map[string]*string{"name": &d.Endpoint.Name, "tier": &d.Endpoint.Tier}[member]
		if to == nil {
			*map[string]**string{"issuer": &d.Endpoint.Issuer, "jwks_uri": &d.Endpoint.JWKSURI, "owner": &d.Endpoint.Owner, "group": &d.Endpoint.Group}[member] = &value
			return nil
		}
		*to = value
	case member == "bits":
		n, err := strconv.Atoi(value)
		key().Bits = &n
		return err
	case member == "age":
		age, ok := configs.ParseDuration(value)
		if !ok {
			return errors.New("wants a duration such as 90d")
		}
		key().FirstSeen = event.AtOrNil(e.Time.Add(-age))
	case object == "key" || object == "previous_key":
		k := key()
		*map[string]**string{"kid": &k.Kid, "thumbprint": &k.Thumbprint, "kty": &k.Kty, "crv": &k.Crv, "alg": &k.Alg, "use": &k.Use}[member] = &value
	case f.Name == "observed.uncertain":
		d.Observed = &event.Observed{Before: e.Time, Uncertain: value == "true"}
	case f.Name == "change.fields":
		d.Change.Fields = strings.Split(value, ",")
	case f.Name == "failure.phase":
		d.Failure = &event.Failure{Phase: value, Since: e.Time}
	default:
		return errors.New("cannot be given")
	}
	return nil
}

func giveDetail(details map[string]any, member string, kind custom.Kind, value string) error {
	switch kind {
	case custom.Number:
		n, err := strconv.ParseInt(value, 10, 64)
		details[member] = n
		return err
	case custom.Duration:
		d, ok := configs.ParseDuration(value)
		if !ok {
			return errors.New("wants a duration such as 90d")
		}
		details[member] = int64(d / time.Second)
	case custom.Bool:
		details[member] = value == "true"
	case custom.Texts:
		details[member] = strings.Split(value, ",")
	default:
		details[member] = value
	}
	return nil
}

// compare says what was wanted and what came, in the same words.
func (t *ruleTest) compare(got []event.Event) (want, is string) {
	if t.Before != "" || t.After != "" {
		var have []string
		for i := range got {
			have = append(have, got[i].Data.Event.Severity.String()+" "+string(got[i].Data.Event.Type))
		}
		slices.Sort(have)
		wanted := slices.Sorted(slices.Values(t.Expect.Events))
		return strings.Join(wanted, ", "), strings.Join(have, ", ")
	}
	f := got[0].Data.Event
	var wants, has []string
	add := func(name, w, h string) {
		if w != "" {
			wants, has = append(wants, name+" "+w), append(has, name+" "+h)
		}
	}
	severity := t.Expect.Severity
	if severity == "info" {
		severity = "informational"
	}
	add("severity", severity, f.Severity.String())
	add("verdict", t.Expect.Verdict, string(f.Verdict))
	if t.Expect.Rules != nil {
		var fired []string
		for _, r := range got[0].Data.Rules[min(1, len(got[0].Data.Rules)):] {
			fired = append(fired, r.ID)
		}
		slices.Sort(fired)
		wants = append(wants, "rules "+strings.Join(slices.Sorted(slices.Values(t.Expect.Rules)), " "))
		has = append(has, "rules "+strings.Join(fired, " "))
	}
	return strings.Join(wants, ", "), strings.Join(has, ", ")
}
