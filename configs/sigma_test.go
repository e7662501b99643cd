package configs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// sigma is one document of a rules file: a rule, or a correlation of rules.
type sigma struct {
	Title, ID, Name, Level string
	Detection              map[string]any
	Correlation            *struct {
		Type      string
		Rules     []string
		GroupBy   []string `yaml:"group-by"`
		Timespan  string
		Condition map[string]any
	}
}

// sigmaFiles reads the shipped rules; raw are the documents as JSON knows them.
func sigmaFiles(t *testing.T) (files map[string][]sigma, raw map[string][]any) {
	t.Helper()
	paths, err := filepath.Glob("sigma/*.yml")
	if err != nil || len(paths) < 16 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	files, raw = map[string][]sigma{}, map[string][]any{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yml")
		for part := range strings.SplitSeq(read(t, path), "\n---\n") {
			var s sigma
			var r any
			if err := yaml.Unmarshal([]byte(part), &s); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if err := yaml.Unmarshal([]byte(part), &r); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			files[name], raw[name] = append(files[name], s), append(raw[name], r)
		}
	}
	return files, raw
}

// TestSigmaSchemas holds the rules to the published schemas of Sigma.
func TestSigmaSchemas(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("JWKSWATCH_DATA")
	if dir == "" {
		dir = "../../shared/data"
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema := func(name string) *jsonschema.Schema {
		s, err := compiler.Compile(filepath.Join(dir, "siem", name))
		if err != nil {
			t.Skipf("SKIPPED: no schema of Sigma: %v", err)
		}
		return s
	}
	rule, correlation := schema("sigma-detection-rule-schema.json"), schema("sigma-correlation-rules-schema.json")
	_, raw := sigmaFiles(t)
	for name, docs := range raw {
		for i, doc := range docs {
			b, err := json.Marshal(doc)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			s := rule
			if _, is := doc.(map[string]any)["correlation"]; is {
				s = correlation
			}
			if err := s.Validate(v); err != nil {
				t.Errorf("%s, document %d: %v", name, i+1, err)
			}
		}
	}
	if rule.Validate(map[string]any{"title": "x"}) == nil {
		t.Error("the schema takes anything: this test holds nothing")
	}
}

// TestSigmaFires runs each rule over every golden event: it fires on those of its
// list, and on no other.
func TestSigmaFires(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"key_mutated": "key.mutated", "key_private": "key.private", "key_compromised": "key.compromised", "key_weak": "key.weak",
		"key_added_unannounced": "key.added", "key_returned": "key.kid_reused key.reappeared set.rolled_back", "set_replaced": "set.replaced",
		"set_emptied": "set.emptied set.no_signing_keys", "removed_early": "rotation.removed_early",
		"discovery_moved":   "discovery.endpoint_moved discovery.issuer_mismatch discovery.moved discovery.weakened",
		"endpoint_dangling": "endpoint.dangling", "endpoint_tls": "endpoint.redirected endpoint.tls_invalid", "set_split": "set.split",
		"approval_granted": "approval.granted", "watches_less": "agent.config_changed agent.config_changed.refused",
		"watcher_in_trouble": "agent.degraded agent.gap agent.stopped",
		"watcher_lost":       "agent.events_lost agent.state_lost agent.state_restored drill.failed",
		"key_suspicious":     "key.altered key.certificate_invalid key.ephemeral key.shared set.ambiguous set.breaks_verifiers",
	}
	files, _ := sigmaFiles(t)
	events := goldens(t)
	ids, covered := map[string]bool{}, map[string]bool{}
	for name, docs := range files {
		for i := range docs {
			d := &docs[i]
			if ids[d.ID] || d.ID == "" || ids[d.Name] || d.Name == "" {
				t.Errorf("%s: the id or name of %q stands twice, or is empty", name, d.Title)
			}
			ids[d.ID], ids[d.Name] = true, true
		}
		if strings.HasPrefix(name, "correlation_") || name == "other_alert" {
			continue // both are played below
		}
		var fired []string
		for event, e := range events {
			if docs[0].matches(t, e) {
				fired, covered[event] = append(fired, event), true
			}
			drill := clone(t, e)
			drill["data"].(map[string]any)["event"].(map[string]any)["drill"] = true
			if docs[0].matches(t, drill) {
				t.Errorf("%s fires on a drill of %s", name, event)
			}
		}
		slices.Sort(fired)
		if got := strings.Join(fired, " "); got != want[name] {
			t.Errorf("%s fires on %q, want %q", name, got, want[name])
		}
	}
	for name, e := range events {
		facts := e["data"].(map[string]any)["event"].(map[string]any)
		if level := facts["severity"]; (level == "high" || level == "critical") && !covered[name] {
			t.Errorf("%s is %s, and no rule fires on it", name, level)
		}
	}
	if len(files) < len(want)+5 {
		t.Errorf("%d files for %d rules, the one for all others and four correlations", len(files), len(want))
	}
}

// TestSigmaLeavesNothingOut raises each golden event to high, as reasons, tiers and
// rules of the operator may: some rule fires, and the one for all others when no other
// does. The end of a condition and a drill are no alert, nor is what was lowered, as an
// approval does; only an approval itself is told whatever its severity, and what nothing
// lowers.
func TestSigmaLeavesNothingOut(t *testing.T) {
	t.Parallel()
	files, _ := sigmaFiles(t)
	rest := &files["other_alert"][0]
	always := []string{"approval_granted", "key_compromised", "key_mutated", "key_private"}
	alone := 0
	for name, e := range goldens(t) {
		raised := clone(t, e)
		facts := raised["data"].(map[string]any)["event"].(map[string]any)
		facts["severity"], facts["severity_id"] = "high", 4
		by := 0
		for file, docs := range files {
			if !strings.HasPrefix(file, "correlation_") && file != "other_alert" && docs[0].matches(t, raised) {
				by++
			}
		}
		others := rest.matches(t, raised)
		if others {
			alone++
		}
		if ends := strings.HasSuffix(name, ".closed"); ends && (others || by > 0) || !ends && others == (by > 0) {
			t.Errorf("%s, raised to high: %d rules fire, and the one for all others: %v", name, by, others)
		}
		if facts["drill"] = true; rest.matches(t, raised) {
			t.Errorf("%s: fires on a drill", name)
		}
		facts["drill"], facts["severity"], facts["severity_id"] = false, "informational", 1
		for file, docs := range files {
			switch {
			case strings.HasPrefix(file, "correlation_"), slices.Contains(always, file):
			case docs[0].matches(t, raised):
				t.Errorf("%s fires on %s, lowered to informational", file, name)
			}
		}
	}
	if alone == 0 {
		t.Error("the rule for all others never fires")
	}
}

// TestSigmaCorrelations plays events in time: each correlation fires on its story,
// and on none that only looks like it.
func TestSigmaCorrelations(t *testing.T) {
	t.Parallel()
	files, _ := sigmaFiles(t)
	events := goldens(t)
	at := func(minute int, typ, endpoint, thumbprint string) played {
		e := clone(t, events[typ])
		data := e["data"].(map[string]any)
		if endpoint != "" {
			data["endpoint"] = map[string]any{"name": endpoint}
		}
		if thumbprint != "" {
			data["key"] = map[string]any{"thumbprint": thumbprint}
		}
		return played{time.Duration(minute) * time.Minute, e}
	}
	many := func(n, apart int) (out []played) {
		for i := range n {
			out = append(out, at(i*apart, "set.replaced", fmt.Sprint("idp-", i), ""))
		}
		return out
	}
	for name, tt := range map[string]struct{ fires, quiet [][]played }{
		"correlation_added_then_removed": {
			[][]played{{at(0, "key.added", "a", "k"), at(59, "key.removed", "a", "k")}},
			[][]played{
				{at(0, "key.added", "a", "k"), at(61, "key.removed", "a", "k")},
				{at(0, "key.added", "a", "k"), at(5, "key.removed", "a", "other")},
				{at(0, "key.removed", "a", "k"), at(5, "key.added", "a", "k")},
				{at(0, "key.added", "a", "k"), at(5, "key.removed", "b", "k")},
			},
		},
		"correlation_key_with_certificate": {
			[][]played{
				{at(0, "endpoint.certificate_changed", "a", ""), at(14, "key.added", "a", "k")},
				{at(0, "set.replaced", "a", ""), at(14, "endpoint.tls_invalid", "a", "")},
			},
			[][]played{
				{at(0, "endpoint.certificate_changed", "a", ""), at(16, "key.added", "a", "k")},
				{at(0, "endpoint.certificate_changed", "a", ""), at(1, "key.added", "b", "k")},
				{at(0, "key.added", "a", "k"), at(1, "set.replaced", "a", "")},
			},
		},
		"correlation_many_issuers": {[][]played{many(5, 3)}, [][]played{many(4, 1), many(5, 4), {
			at(0, "set.replaced", "a", ""), at(1, "set.replaced", "a", ""), at(2, "set.replaced", "a", ""), at(3, "set.replaced", "a", ""), at(4, "set.replaced", "a", ""),
		}}},
		"correlation_watcher_silent": {
			[][]played{{at(0, "agent.heartbeat", "", ""), at(6, "agent.heartbeat", "", "")}},
			[][]played{{at(0, "agent.heartbeat", "", ""), at(4, "agent.heartbeat", "", ""), at(8, "agent.heartbeat", "", "")}},
		},
	} {
		docs, ok := files[name]
		if !ok {
			t.Errorf("%s is not there", name)
			continue
		}
		for i, story := range tt.fires {
			if !correlates(t, docs, story) {
				t.Errorf("%s stays quiet on story %d", name, i+1)
			}
		}
		for i, story := range tt.quiet {
			if correlates(t, docs, story) {
				t.Errorf("%s fires on quiet story %d", name, i+1)
			}
		}
		delete(files, name)
	}
	for name := range files {
		if strings.HasPrefix(name, "correlation_") {
			t.Errorf("%s has no story", name)
		}
	}
}

type played struct {
	at    time.Duration
	event map[string]any
}

func goldens(t *testing.T) map[string]map[string]any {
	t.Helper()
	paths, err := filepath.Glob("../event/testdata/golden/*.json")
	if err != nil || len(paths) < 50 {
		t.Fatalf("%d golden events, %v", len(paths), err)
	}
	out := map[string]map[string]any{}
	for _, path := range paths {
		var e map[string]any
		if err := json.Unmarshal([]byte(read(t, path)), &e); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out[strings.TrimSuffix(filepath.Base(path), ".json")] = e
	}
	return out
}

func clone(t *testing.T, e map[string]any) (out map[string]any) {
	t.Helper()
	b, err := json.Marshal(e)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// matches evaluates the part of Sigma that the rules use: maps of fields, all of
// which must have one of their values, and conditions of names joined by and, not
// and "1 of". Anything else fails the test.
func (s *sigma) matches(t *testing.T, e map[string]any) bool {
	t.Helper()
	holds := func(name string) bool {
		fields, ok := s.Detection[name].(map[string]any)
		if !ok {
			t.Fatalf("%s: no selection %s", s.Title, name)
		}
		for field, want := range fields {
			if strings.Contains(field, "|") {
				t.Fatalf("%s: the modifier of %s is not known here", s.Title, field)
			}
			values, ok := want.([]any)
			if !ok {
				values = []any{want}
			}
			if got, ok := lookup(e, field); !ok || !slices.ContainsFunc(values, func(v any) bool { return fmt.Sprint(v) == got }) {
				return false
			}
		}
		return true
	}
	for part := range strings.SplitSeq(s.Detection["condition"].(string), " and ") {
		part, negated := strings.CutPrefix(part, "not ")
		ok := false
		if prefix, one := strings.CutPrefix(part, "1 of "); one {
			for name := range s.Detection {
				if strings.HasPrefix(name, strings.TrimSuffix(prefix, "*")) && name != "condition" {
					ok = ok || holds(name)
				}
			}
		} else {
			ok = holds(part)
		}
		if ok == negated {
			return false
		}
	}
	return true
}

// lookup finds a field by its path; null and absent are none.
func lookup(e map[string]any, path string) (string, bool) {
	var v any = e
	for step := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return "", false
		}
		v = m[step]
	}
	return fmt.Sprint(v), v != nil
}

// correlates plays a story against the last document of a file.
func correlates(t *testing.T, docs []sigma, story []played) bool {
	t.Helper()
	c := docs[len(docs)-1].Correlation
	if c == nil {
		t.Fatalf("%s is no correlation", docs[len(docs)-1].Title)
	}
	span := timespan(t, c.Timespan)
	type hit struct {
		at    time.Duration
		rule  int
		value string
	}
	groups := map[string][]hit{}
	for _, p := range story {
		for i := range docs[:len(docs)-1] {
			if !slices.Contains(c.Rules, docs[i].Name) || !docs[i].matches(t, p.event) {
				continue
			}
			var key []string
			for _, field := range c.GroupBy {
				v, _ := lookup(p.event, field)
				key = append(key, v)
			}
			h := hit{at: p.at, rule: slices.Index(c.Rules, docs[i].Name)}
			if field, ok := c.Condition["field"].(string); ok {
				h.value, _ = lookup(p.event, field)
			}
			k := strings.Join(key, "\x00")
			groups[k] = append(groups[k], h)
		}
	}
	end := story[len(story)-1].at
	for _, hits := range groups {
		for i, first := range hits {
			in := slices.DeleteFunc(slices.Clone(hits[i:]), func(h hit) bool { return h.at-first.at > span })
			switch c.Type {
			case "temporal", "temporal_ordered":
				var order []int
				for _, h := range in {
					if !slices.Contains(order, h.rule) {
						order = append(order, h.rule)
					}
				}
				if len(order) == len(c.Rules) && (c.Type == "temporal" || slices.IsSorted(order)) {
					return true
				}
			case "value_count":
				values := map[string]bool{}
				for _, h := range in {
					values[h.value] = true
				}
				if len(values) >= c.Condition["gte"].(int) {
					return true
				}
			case "event_count": // fewer than so many: looked for after each of them
				after := slices.DeleteFunc(slices.Clone(hits), func(h hit) bool { return h.at <= first.at || h.at-first.at > span })
				if first.at+span <= end && len(after) < c.Condition["lt"].(int) {
					return true
				}
			default:
				t.Fatalf("correlation %s is not known here", c.Type)
			}
		}
	}
	return false
}

func timespan(t *testing.T, s string) time.Duration {
	t.Helper()
	n, err := strconv.Atoi(s[:len(s)-1])
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[s[len(s)-1]]
	if err != nil || unit == 0 {
		t.Fatalf("timespan %q", s)
	}
	return time.Duration(n) * unit
}
