package format_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/sinks/format"
)

// ocsfSchema is the published schema: classes and objects with their attributes,
// inherited ones included, and the dictionary that gives attributes their types.
type ocsfSchema struct {
	files      map[string]map[string]any // by path
	classes    map[string]map[string]any // by name
	objects    map[string]map[string]any
	dictionary map[string]any
}

func readOCSF(t *testing.T) *ocsfSchema {
	t.Helper()
	f, err := os.Open(filepath.Join(dataDir(), "siem", "ocsf-schema-1.8.0.tgz"))
	if err != nil {
		t.Skipf("SKIPPED: no schema of OCSF: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	s := &ocsfSchema{files: map[string]map[string]any{}, classes: map[string]map[string]any{}, objects: map[string]map[string]any{}}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean(h.Name)
		if !strings.HasSuffix(name, ".json") || strings.HasPrefix(name, "extensions/") || strings.HasPrefix(name, "metaschema/") {
			continue
		}
		var j map[string]any
		if err := json.NewDecoder(r).Decode(&j); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.files[name] = j
		own, _ := j["name"].(string)
		switch {
		case name == "dictionary.json":
			s.dictionary = j["attributes"].(map[string]any)
		case strings.HasPrefix(name, "events/"):
			s.classes[own] = j
		case strings.HasPrefix(name, "objects/"):
			s.objects[own] = j
		}
	}
	if s.dictionary == nil || s.classes["detection_finding"] == nil {
		t.Fatal("the schema is not as it was")
	}
	return s
}

// attributes of a class or an object. Those of profiles are left out: none is used.
func (s *ocsfSchema) attributes(table map[string]map[string]any, name string) map[string]map[string]any {
	out := map[string]map[string]any{}
	def := table[name]
	if base, ok := def["extends"].(string); ok {
		out = s.attributes(table, base)
	}
	own, _ := def["attributes"].(map[string]any)
	for key, v := range own {
		a, ok := v.(map[string]any)
		if !ok || key == "$include" {
			continue
		}
		merged := maps.Clone(out[key])
		if merged == nil {
			merged = map[string]any{}
		}
		for k, v := range a {
			if k == "enum" {
				enum := map[string]any{}
				if before, ok := merged["enum"].(map[string]any); ok {
					maps.Copy(enum, before)
				}
				maps.Copy(enum, v.(map[string]any))
				v = enum
			}
			merged[k] = v
		}
		out[key] = merged
	}
	// Includes hold profiles, and attributes that all classes have.
	var includes []string
	switch v := own["$include"].(type) {
	case string:
		includes = []string{v}
	case []any:
		for _, one := range v {
			includes = append(includes, one.(string))
		}
	}
	for _, file := range includes {
		if strings.HasPrefix(file, "profiles/") {
			continue
		}
		if shared, ok := s.files[file]["attributes"].(map[string]any); ok {
			for key, v := range shared {
				if a, ok := v.(map[string]any); ok && out[key] == nil {
					out[key] = a
				}
			}
		}
	}
	return out
}

// check holds a value to an object of the schema and returns what is wrong.
func (s *ocsfSchema) check(table map[string]map[string]any, name, at string, v map[string]any) (errs []error) {
	attributes := s.attributes(table, name)
	if len(attributes) == 0 {
		return nil // an object of any members
	}
	for key, a := range attributes {
		if _, given := v[key]; a["requirement"] == "required" && a["profile"] == nil && !given {
			errs = append(errs, fmt.Errorf("%s.%s is required", at, key))
		}
	}
	if c, ok := table[name]["constraints"].(map[string]any); ok {
		if list, ok := c["at_least_one"].([]any); ok && !slices.ContainsFunc(list, func(k any) bool { return v[k.(string)] != nil }) {
			errs = append(errs, fmt.Errorf("%s has none of %v", at, list))
		}
	}
	for key, member := range v {
		a, ok := attributes[key]
		if !ok {
			errs = append(errs, fmt.Errorf("%s.%s is not in %s", at, key, name))
			continue
		}
		errs = append(errs, s.value(at+"."+key, key, a, member)...)
	}
	return errs
}

func (s *ocsfSchema) value(at, key string, a map[string]any, v any) (errs []error) {
	entry, ok := s.dictionary[key].(map[string]any)
	if !ok {
		return []error{fmt.Errorf("%s is not in the dictionary", at)}
	}
	list := []any{v}
	if entry["is_array"] == true {
		if list, ok = v.([]any); !ok {
			return []error{fmt.Errorf("%s wants a list", at)}
		}
	}
	typ, _ := entry["type"].(string)
	enum := map[string]any{}
	for _, from := range []map[string]any{entry, a} {
		if own, ok := from["enum"].(map[string]any); ok {
			maps.Copy(enum, own)
		}
	}
	switch {
	case key == "class_uid", key == "category_uid", key == "type_uid":
		clear(enum) // made of the classes when the schema is compiled; see TestOCSF
	case strings.HasSuffix(at, "observables.type_id"):
		enum = s.observables()
	}
	for _, one := range list {
		if len(enum) > 0 && enum[fmt.Sprint(one)] == nil {
			errs = append(errs, fmt.Errorf("%s: %v is not among its values", at, one))
		}
		if m, is := one.(map[string]any); is && typ != "json_t" {
			errs = append(errs, s.check(s.objects, typ, at, m)...)
		} else if err := ocsfType(typ, one); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		}
	}
	return errs
}

// observables are the types of observables, of which each stands where it is used.
func (s *ocsfSchema) observables() map[string]any {
	out := map[string]any{}
	add := func(j map[string]any) {
		if n, ok := j["observable"].(float64); ok {
			out[fmt.Sprint(n)] = true
		}
	}
	types, _ := s.files["dictionary.json"]["types"].(map[string]any)["attributes"].(map[string]any)
	for _, table := range []map[string]any{s.dictionary, types} {
		for _, v := range table {
			if j, ok := v.(map[string]any); ok {
				add(j)
			}
		}
	}
	for _, j := range s.objects {
		add(j)
	}
	return out
}

func ocsfType(typ string, v any) error {
	s, isText := v.(string)
	n, isNumber := v.(float64)
	ok := true
	switch typ {
	case "string_t", "url_t", "hostname_t", "resource_uid_t", "datetime_t":
		ok = isText
	case "integer_t", "long_t", "port_t", "timestamp_t":
		ok = isNumber && n == float64(int64(n))
	case "boolean_t":
		_, ok = v.(bool)
	case "ip_t":
		_, err := netip.ParseAddr(s)
		ok = err == nil
	case "json_t":
	default:
		return fmt.Errorf("type %s is not known here", typ)
	}
	if !ok {
		return fmt.Errorf("%v is no %s", v, typ)
	}
	return nil
}

// TestOCSF holds every golden event, and its drill, to the published schema of its
// class.
func TestOCSF(t *testing.T) {
	t.Parallel()
	s := readOCSF(t)
	names := map[float64]string{2004: "detection_finding", 3004: "entity_management", 6002: "application_lifecycle"}
	seen := map[string]int{}
	for name, stored := range goldens(t) {
		for _, b := range [][]byte{stored, drilled(t, stored)} {
			e := decoded(t, format.OCSF, b)
			class, ok := names[e["class_uid"].(float64)]
			if !ok {
				t.Fatalf("%s: class %v", name, e["class_uid"])
			}
			seen[class]++
			if e["type_uid"].(float64) != e["class_uid"].(float64)*100+e["activity_id"].(float64) {
				t.Errorf("%s: type_uid %v", name, e["type_uid"])
			}
			uid, _ := s.classes[class]["uid"].(float64)
			if category := e["category_uid"].(float64); e["class_uid"].(float64) != category*1000+uid {
				t.Errorf("%s: class %v of category %v, the schema has %v", name, e["class_uid"], category, uid)
			}
			for _, err := range s.check(s.classes, class, class, e) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("classes: %v", seen)
	}
	if bad := s.check(s.classes, "detection_finding", "x", map[string]any{"severity_id": "high", "nonsense": 1}); len(bad) < 5 {
		t.Errorf("the check takes nearly anything: %v", bad)
	}
}

// TestOCSFStories holds which class an event is of, and that an opening and its
// closing are one finding.
func TestOCSFStories(t *testing.T) {
	t.Parallel()
	events := goldens(t)
	for name, want := range map[string]float64{
		"key.mutated": 200401, "key.added": 200401, "key.private": 200401, "key.private.closed": 200403, "key.removed": 300404, "key.added.rolled_up": 300401,
		"key.relabelled": 200401, "baseline.established": 300401, "approval.granted": 300401, "approval.used": 300403, "approval.revoked": 300404, "drill.passed": 600299, "drill.failed": 200401, "agent.started": 600203, "agent.stopped": 600204, "agent.degraded": 600299, "agent.heartbeat": 600299,
	} {
		if got := decoded(t, format.OCSF, events[name])["type_uid"]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	uid := func(name string) any {
		return decoded(t, format.OCSF, events[name])["finding_info"].(map[string]any)["uid"]
	}
	if uid("key.private") != uid("key.private.closed") || uid("key.private") == uid("key.mutated") {
		t.Error("an opening and its closing are not one finding")
	}
	correlation := func(name string) any {
		return decoded(t, format.OCSF, events[name])["metadata"].(map[string]any)["correlation_uid"]
	}
	end := decoded(t, format.OCSF, events["agent.degraded.closed"])
	if correlation("agent.degraded") != correlation("agent.degraded.closed") || end["status"] != "closed" {
		t.Errorf("the end of a trouble of the agent is %v, and tied to %v", end["status"], correlation("agent.degraded.closed"))
	}
	failed := decoded(t, format.OCSF, events["drill.failed"])["resources"].([]any)[0].(map[string]any)
	if failed["name"] != "soc-1" || failed["type"] != "Watcher of JSON Web Key Sets" {
		t.Errorf("a drill that failed is about %v", failed)
	}
	if alert := decoded(t, format.OCSF, events["key.private.closed"])["is_alert"]; alert != false {
		t.Error("a closing is an alert")
	}
}
