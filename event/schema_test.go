package event_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jwkswatch/jwkswatch/event"
)

func compile(t testing.TB, url string, doc any) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(url, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compiled(t testing.TB, schema []byte) *jsonschema.Schema {
	t.Helper()
	return compile(t, event.DataSchema, instance(t, schema))
}

func instance(t testing.TB, b []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// closedForm is the published schema with additionalProperties false in every
// object that lists its properties. The published one stays open, so that
// members can be added; the closed one holds struct and schema together. The
// conditions of if and then name no type, and that is how they are told apart.
func closedForm(t *testing.T) *jsonschema.Schema {
	t.Helper()
	n := 0
	var shut func(v any)
	shut = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				shut(x)
			}
		case map[string]any:
			if props, ok := v["properties"].(map[string]any); ok && v["type"] == "object" && v["required"] != nil {
				if _, ok := v["additionalProperties"]; ok {
					t.Errorf("the published schema is closed at %v", slices.Sorted(maps.Keys(props)))
				}
				v["additionalProperties"] = false
				n++
			}
			for _, x := range v {
				shut(x)
			}
		}
	}
	doc := instance(t, event.Schema())
	shut(doc)
	if want := 18 + len(event.Types()); n < want {
		t.Fatalf("%d objects closed, expected at least %d", n, want)
	}
	return compile(t, event.DataSchema, doc)
}

func TestGoldensMatchSchema(t *testing.T) {
	t.Parallel()
	open, shut := compiled(t, event.Schema()), closedForm(t)
	cloud, why := cloudEvents(t)
	if cloud == nil {
		t.Logf("NOT CHECKED against the schema of CloudEvents 1.0: %s", why)
	}
	for _, s := range samples() {
		file, err := os.ReadFile(goldenPath(s.name))
		if err != nil {
			t.Fatal(err)
		}
		v := instance(t, file)
		if err := open.Validate(v); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		if err := shut.Validate(v); err != nil {
			t.Errorf("%s: a member that the schema does not list: %v", s.name, err)
		}
		if cloud != nil {
			if err := cloud.Validate(v); err != nil {
				t.Errorf("%s: no CloudEvent: %v", s.name, err)
			}
		}
	}
}

func dataDir() string {
	if dir := os.Getenv("JWKSWATCH_DATA"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "shared", "data")
}

func cloudEvents(t *testing.T) (*jsonschema.Schema, error) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dataDir(), "siem", "cloudevents-1.0.schema.json"))
	if err != nil {
		return nil, err
	}
	return compile(t, "urn:cloudevents:1.0", instance(t, b)), nil
}

// The envelope rules of CloudEvents are proven by their own schema, which is
// not part of the repository.
func TestCloudEvents(t *testing.T) {
	t.Parallel()
	cloud, err := cloudEvents(t)
	if err != nil {
		t.Skipf("SKIPPED: no schema of CloudEvents 1.0, set JWKSWATCH_DATA: %v", err)
	}
	b := encode(t, golden("key.added"))
	if err := cloud.Validate(instance(t, b)); err != nil {
		t.Error(err)
	}
	bad := bytes.Replace(b, []byte(`"source":"urn:`), []byte(`"sauce":"urn:`), 1)
	if err := cloud.Validate(instance(t, bad)); err == nil {
		t.Error("the schema of CloudEvents accepts an event without source")
	}
}

func TestSchemaRejects(t *testing.T) {
	t.Parallel()
	schema := compiled(t, event.Schema())
	type object = map[string]any
	in := func(v object, path ...string) object {
		for _, name := range path {
			v = v[name].(object)
		}
		return v
	}
	for name, spoil := range map[string]func(e object){
		"id of another pattern": func(e object) { e["id"] = strings.ToUpper(e["id"].(string)) },
		"id too short":          func(e object) { e["id"] = e["id"].(string)[:29] },
		"envelope type":         func(e object) { e["type"] = "jwkswatch.key.removed.v1" },
		"version":               func(e object) { e["specversion"] = "1.1" },
		"time without decimals": func(e object) { e["time"] = "2026-11-22T18:49:03Z" },
		"time with an offset":   func(e object) { e["time"] = "2026-11-22T18:49:03.412+01:00" },
		"day that is none":      func(e object) { e["time"] = "2026-02-30T18:49:03.412Z" },
		"subject with text":     func(e object) { e["subject"] = "kid <b>" },
		"source":                func(e object) { e["source"] = "urn:jwkswatch:soc-1" },
		"unknown severity":      func(e object) { in(e, "data", "event")["severity"] = "fatal" },
		"severity mismatch":     func(e object) { in(e, "data", "event")["severity_id"] = json.Number("5") },
		"number mismatch":       func(e object) { in(e, "data", "event")["severity"] = "low" },
		"verdict":               func(e object) { in(e, "data", "event")["verdict"] = "benign" },
		"unknown type": func(e object) {
			e["type"], in(e, "data", "event")["type"] = "jwkswatch.key.odd.v1", "key.odd"
		},
		"details of another type":   func(e object) { in(e, "data")["details"] = object{"phase": "dial"} },
		"details without a member":  func(e object) { delete(in(e, "data", "details"), "class") },
		"details null":              func(e object) { in(e, "data")["details"] = nil },
		"details with another type": func(e object) { in(e, "data", "details")["class"] = json.Number("1") },
		"count of nothing":          func(e object) { in(e, "data", "event")["count"] = json.Number("0") },
		"no message":                func(e object) { in(e, "data", "event")["message"] = "" },
		"long message":              func(e object) { in(e, "data", "event")["message"] = strings.Repeat("m", 201) },
		"kid with an escape":        func(e object) { in(e, "data", "key")["kid"] = "a\x1b[1m" },
		"kid with an override":      func(e object) { in(e, "data", "key")["kid"] = "a\u202eb" },
		"kid too long":              func(e object) { in(e, "data", "key")["kid"] = strings.Repeat("k", 513) },
		"digest":                    func(e object) { in(e, "data", "snapshot", "current")["digest"] = "sha256:00" },
		"endpoint name":             func(e object) { in(e, "data", "endpoint")["name"] = "Corp IDP" },
		"tier":                      func(e object) { in(e, "data", "endpoint")["tier"] = "vital" },
		"null list":                 func(e object) { in(e, "data")["rules"] = nil },
		"label with an escape":      func(e object) { in(e, "data", "endpoint", "labels")["env"] = "\x1b[1m" },
		"null map":                  func(e object) { in(e, "data", "endpoint")["labels"] = nil },
		"too many keys": func(e object) {
			in(e, "data")["keys"] = slices.Repeat([]any{in(e, "data", "key")}, event.MaxKeys+1)
		},
		"sequence 0": func(e object) { in(e, "data", "integrity")["sequence"] = json.Number("0") },
		"closed, yet high": func(e object) {
			in(e, "data", "event")["condition"] = object{
				"id": "cn1-" + strings.Repeat("a", 26), "state": "closed", "opened_at": "2026-11-22T18:49:03.412Z", "opened_by": e["id"],
			}
		},
	} {
		e := instance(t, encode(t, golden("key.added"))).(object)
		spoil(e)
		if err := schema.Validate(e); err == nil {
			t.Errorf("accepted: %s", name)
		}
	}
	e := instance(t, encode(t, golden("key.mutated"))).(object)
	in(e, "data", "event")["count"] = json.Number("2")
	if err := schema.Validate(e); err == nil {
		t.Error("accepted: a rolled-up key.mutated")
	}
	e = instance(t, encode(t, golden("key.added"))).(object)
	e["later"], in(e, "data", "key")["later"] = "x", object{}
	if err := schema.Validate(e); err != nil {
		t.Errorf("members of a later version are not accepted: %v", err)
	}
}

// Every member of every golden event is required: without any one of them the
// event is rejected. Labels and the values of a change are no members.
func TestSchemaRequiresEveryMember(t *testing.T) {
	t.Parallel()
	schema := compiled(t, event.Schema())
	tried := map[string]bool{}
	for _, s := range samples() {
		e := instance(t, encode(t, &s.event))
		var walk func(v any, path string)
		walk = func(v any, path string) {
			switch v := v.(type) {
			case []any:
				for _, x := range v {
					walk(x, path+"[]")
				}
			case map[string]any:
				for name, x := range v {
					if strings.HasSuffix(path, "/labels") || strings.HasSuffix(path, "/change/before") || strings.HasSuffix(path, "/change/after") {
						return
					}
					walk(x, path+"/"+name)
					once := path + "/" + name
					if strings.HasPrefix(path, "/data/details") {
						once = string(s.event.Data.Event.Type) + once
					}
					if tried[once] {
						continue
					}
					tried[once] = true
					delete(v, name)
					if schema.Validate(e) == nil {
						t.Errorf("%s: accepted without %s/%s", s.name, path, name)
					}
					v[name] = x
				}
			}
		}
		walk(e, "")
	}
	if len(tried) < 200 {
		t.Errorf("only %d members tried", len(tried))
	}
}
