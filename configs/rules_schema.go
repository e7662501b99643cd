package configs

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// RulesSchemaID identifies the schema of files of rules.
const RulesSchemaID = "urn:jwkswatch:schema:rules:v1"

// RulesSchema returns the JSON Schema of a file of rules, for editors. It is made of
// the tables that the loader and the rules read. What lies between values, such as
// names of lists, fields of a type's details and rules that exclude themselves, is
// the loader's alone.
func RulesSchema() []byte {
	b := newBookReader(nil)
	where, each := ref("where"), func(name string) *schema { return &schema{Type: "array", Items: ref(name)} }
	words := &schema{Type: "array", MinItems: 1, Items: plain()}
	var p ruleParts
	root := described(b.top(), map[string]*schema{
		"lists":  {Type: "object", AdditionalProperties: words},
		"macros": {Type: "object", AdditionalProperties: where},
		"rules":  each("rule"), "overrides": each("override"),
	})
	root.Schema, root.ID, root.Title = "https://json-schema.org/draft/2020-12/schema", RulesSchemaID, "Rules of jwkswatch"
	root.Defs = map[string]*schema{
		"expansion": {Type: "string", Pattern: expansionPattern(), Description: "A value that comes from the environment or a file."},
		"rule": described(b.ruleFields(&p), map[string]*schema{
			"on": onSchema(), "where": where, "escalate": each("escalation"), "tags": {AnyOf: []*schema{plain(), words}},
		}),
		"escalation": described(b.escalationFields(new(custom.Escalation), func(value) {}), map[string]*schema{"where": where}),
		"override":   described(b.overrideFields(new(custom.Override), new(bool), nil), map[string]*schema{"where": where}),
	}
	root.Defs["where"] = whereSchema(root.Defs)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		panic("writing the schema: " + err.Error()) // texts, numbers and lists of them
	}
	return out.Bytes()
}

func ref(name string) *schema { return &schema{Ref: "#/$defs/" + name} }

// plain is any scalar: the loader reads its text.
func plain() *schema { return &schema{Type: []string{"string", "number", "boolean"}} }

// described is mapping for fields of which some have a shape of their own.
func described(fields []field, own map[string]*schema) *schema {
	s := &schema{Type: "object", Properties: map[string]any{}, AdditionalProperties: false}
	for i := range fields {
		f := &fields[i]
		if f.required {
			s.Required = append(s.Required, f.key)
		}
		if f.node == nil {
			s.Properties[f.key] = f.schema()
			continue
		}
		part := *own[f.key]
		part.Description = f.doc
		s.Properties[f.key] = &part
	}
	return s
}

func onSchema() *schema {
	one := &schema{}
	objects := map[string]bool{}
	one.Enum = append(one.Enum, "*")
	for _, t := range event.Types() {
		object, _, _ := strings.Cut(string(t), ".")
		object += ".*"
		if !objects[object] {
			objects[object] = true
			one.Enum = append(one.Enum, object)
		}
		one.Enum = append(one.Enum, string(t))
	}
	return &schema{AnyOf: []*schema{one, {Type: "array", MinItems: 1, Items: one}}}
}

// whereSchema is the schema of a matcher; what its fields may be compared with goes
// into defs, once for each kind.
func whereSchema(defs map[string]*schema) *schema {
	parts := &schema{Type: "array", MinItems: 1, Items: ref("where")}
	s := &schema{
		Type: "object", MinProperties: 1, AdditionalProperties: false,
		Properties: map[string]any{
			"any": parts, "all": parts, "not": ref("where"),
			"use": &schema{AnyOf: []*schema{plain(), {Type: "array", MinItems: 1, Items: plain()}}},
		},
		PatternProperties: map[string]*schema{
			`^endpoint\.labels\.` + labelKeyPattern + `$`: testSchema(&custom.Field{Kind: custom.Text, Doc: "a label of the endpoint"}, defs),
			`^details\.[a-z0-9_]+$`:                       {Description: "a member of the details of the types in on"},
		},
	}
	for _, f := range custom.Fields() {
		s.Properties[f.Name] = testSchema(&f, defs)
	}
	return s
}

// testSchema is what one field may be compared with.
func testSchema(f *custom.Field, defs map[string]*schema) *schema {
	name := strings.ReplaceAll(string(f.Kind), " ", "_")
	if f.Values != nil {
		name = f.Name
	}
	out := ref("test:" + name)
	out.Description = f.Doc
	if f.Example != "" {
		out.Examples = []any{f.Example}
	}
	if defs["test:"+name] != nil {
		return out
	}
	defs["value:"+name] = valueSchema(f)
	one := ref("value:" + name)
	several := &schema{Type: "array", MinItems: 1, Items: one}
	ops := &schema{Type: "object", MinProperties: 1, AdditionalProperties: false, Properties: map[string]any{}}
	for _, op := range custom.Ops(f.Kind) {
		switch op {
		case custom.In, custom.NotIn:
			ops.Properties[string(op)] = &schema{AnyOf: []*schema{one, several}}
		case custom.Exists:
			ops.Properties[string(op)] = &schema{Enum: []any{true, false}}
		case custom.InList, custom.Prefix, custom.Suffix, custom.Glob, custom.CIDR:
			ops.Properties[string(op)] = plain()
		default:
			ops.Properties[string(op)] = one
		}
	}
	defs["test:"+name] = &schema{AnyOf: []*schema{one, several, ops}}
	return out
}

// valueSchema is one value of a field.
func valueSchema(f *custom.Field) *schema {
	switch {
	case f.Kind == custom.Severity:
		return &schema{Enum: append(anys(f.Values), "info")}
	case f.Values != nil:
		return &schema{Enum: anys(f.Values)}
	case f.Kind == custom.Bool:
		return &schema{Enum: []any{true, false}}
	case f.Kind == custom.Number:
		return &schema{Type: []string{"number", "string"}}
	case f.Kind == custom.Duration:
		return &schema{Type: "string", Pattern: `^([0-9]+(d|h|ms|m|s))+$`}
	case f.Kind == custom.Thumbprint:
		return &schema{Type: "string", Pattern: `^[A-Za-z0-9_-]{43}$`}
	case f.Kind == custom.Time:
		return &schema{Type: "string", Pattern: momentPattern}
	}
	return plain()
}

func anys(list []string) []any {
	var out []any
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

const momentPattern = `^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+))?$`

func momentShape() shape {
	return shape{pattern: `[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+))?`}
}
