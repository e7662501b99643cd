package event_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
)

// The structs and the schema name the same members, with the same types and
// the same nulls.
func TestSchemaIsTheStructs(t *testing.T) {
	t.Parallel()
	root := instance(t, event.Schema()).(map[string]any)
	d := drift{t: t, defs: root["$defs"].(map[string]any)}
	d.compare("event", reflect.TypeFor[event.Event](), root)
	for _, typ := range event.Types() {
		name := "details." + string(typ)
		def, ok := d.defs[name].(map[string]any)
		if !ok {
			t.Errorf("the schema has no definition %s", name)
			continue
		}
		d.compare(name, reflect.TypeOf(event.NewDetails(typ)).Elem(), def)
	}
	for name := range d.defs {
		if typ, ok := strings.CutPrefix(name, "details."); ok && !slices.Contains(event.Types(), event.Type(typ)) {
			t.Errorf("the schema defines %s, and there is no such type", name)
		}
	}
	var types []event.Type
	enum := root["properties"].(map[string]any)["data"].(map[string]any)["properties"].(map[string]any)["event"].(map[string]any)["properties"].(map[string]any)["type"].(map[string]any)["enum"]
	for _, v := range enum.([]any) {
		types = append(types, event.Type(v.(string)))
	}
	if !slices.Equal(types, event.Types()) {
		t.Errorf("types in the schema %q, in the package %q", types, event.Types())
	}
	if root["$id"] != event.DataSchema {
		t.Errorf("$id is %s", root["$id"])
	}
}

type drift struct {
	t    *testing.T
	defs map[string]any
}

// resolve follows $ref and takes null out of a schema.
func (d drift) resolve(s map[string]any) (schema map[string]any, null bool) {
	if ref, ok := s["$ref"].(string); ok {
		return d.resolve(d.defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any))
	}
	if either, ok := s["anyOf"].([]any); ok && len(either) == 2 && either[1].(map[string]any)["type"] == "null" {
		schema, _ = d.resolve(either[0].(map[string]any))
		return schema, true
	}
	if list, ok := s["type"].([]any); ok && len(list) == 2 && list[1] == "null" {
		s = maps.Clone(s)
		s["type"] = list[0]
		return s, true
	}
	return s, false
}

func (d drift) compare(path string, typ reflect.Type, raw map[string]any) {
	d.t.Helper()
	s, null := d.resolve(raw)
	if null != (typ.Kind() == reflect.Pointer) {
		d.t.Errorf("%s: null in the schema is %v, the Go type is %s", path, null, typ)
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := map[reflect.Kind]string{
		reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer", reflect.Uint64: "integer",
		reflect.String: "string", reflect.Uint8: "string", reflect.Slice: "array",
		reflect.Struct: "object", reflect.Map: "object", reflect.Interface: "object",
	}[typ.Kind()]
	if typ == reflect.TypeFor[event.Time]() {
		want = "string"
	}
	if s["type"] != want {
		d.t.Errorf("%s: %v in the schema, %s in Go", path, s["type"], typ)
		return
	}
	switch {
	case want == "array":
		d.compare(path+"[]", typ.Elem(), s["items"].(map[string]any))
	case want == "object" && typ.Kind() == reflect.Struct:
		d.members(path, typ, s)
	}
}

func (d drift) members(path string, typ reflect.Type, s map[string]any) {
	d.t.Helper()
	props := s["properties"].(map[string]any)
	var names, required []string
	for f := range typ.Fields() {
		name := f.Tag.Get("json")
		names = append(names, name)
		prop, ok := props[name].(map[string]any)
		if !ok {
			d.t.Errorf("%s: the schema does not list %q", path, name)
			continue
		}
		d.compare(path+"."+name, f.Type, prop)
	}
	for _, v := range s["required"].([]any) {
		required = append(required, v.(string))
	}
	if !slices.Equal(required, names) {
		d.t.Errorf("%s: required are %q, the struct has %q", path, required, names)
	}
	if len(props) != len(names) {
		d.t.Errorf("%s: %d properties, the struct has %d members", path, len(props), len(names))
	}
}
