package configs

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
)

// schema is a JSON Schema, draft 2020-12, or the part of one.
type schema struct {
	Schema      string `json:"$schema,omitempty"`
	ID          string `json:"$id,omitempty"`
	Ref         string `json:"$ref,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	Default     any    `json:"default,omitempty"`
	Examples    []any  `json:"examples,omitempty"`
	Type        any    `json:"type,omitempty"` // a string, or a list of strings

	Enum      []any  `json:"enum,omitempty"`
	Pattern   string `json:"pattern,omitempty"`
	MinLength int    `json:"minLength,omitempty"`
	MaxLength int    `json:"maxLength,omitempty"`
	Minimum   *int64 `json:"minimum,omitempty"`
	Maximum   *int64 `json:"maximum,omitempty"`

	Items       *schema `json:"items,omitempty"`
	MinItems    int     `json:"minItems,omitempty"`
	UniqueItems bool    `json:"uniqueItems,omitempty"`

	Properties           map[string]any      `json:"properties,omitempty"` // *schema, or false
	Required             []string            `json:"required,omitempty"`
	PatternProperties    map[string]*schema  `json:"patternProperties,omitempty"`
	AdditionalProperties any                 `json:"additionalProperties,omitempty"` // *schema, or false
	PropertyNames        *schema             `json:"propertyNames,omitempty"`
	MinProperties        int                 `json:"minProperties,omitempty"`
	MaxProperties        int                 `json:"maxProperties,omitempty"`
	DependentRequired    map[string][]string `json:"dependentRequired,omitempty"`

	AllOf []*schema `json:"allOf,omitempty"`
	AnyOf []*schema `json:"anyOf,omitempty"`
	OneOf []*schema `json:"oneOf,omitempty"`
	Not   *schema   `json:"not,omitempty"`
	If    *schema   `json:"if,omitempty"`
	Then  *schema   `json:"then,omitempty"`
	Else  *schema   `json:"else,omitempty"`

	Defs map[string]*schema `json:"$defs,omitempty"`
}

// SchemaID identifies the schema.
const SchemaID = "urn:jwkswatch:schema:config:v1"

// Schema returns the JSON Schema of a configuration, for editors and for checks
// without the agent. It is made of the catalogue. What no schema can say is the
// loader's alone: repeated names and keys, names that stand for nothing, days and zones that there are
// not, other files, what a variable holds,
// and the rarer forms of IPv6 addresses. Its part included is for included files.
func Schema() []byte {
	c := new(Config)
	fields := c.fields(nil)
	root := mapping(fields)
	root.Schema, root.ID, root.Title = "https://json-schema.org/draft/2020-12/schema", SchemaID, "Configuration of jwkswatch"
	root.AnyOf = []*schema{{Required: []string{"endpoints"}}, {Required: []string{"include"}}}
	included := &schema{Type: "object", Title: "Included file", AdditionalProperties: false, Properties: map[string]any{}}
	root.Defs = map[string]*schema{
		"expansion": {Type: "string", Pattern: expansionPattern(), Description: "A value that comes from the environment or a file."},
		"included":  included,
	}
	for _, key := range []string{"endpoints", "sinks"} {
		root.Defs[key] = root.Properties[key].(*schema)
		ref := &schema{Ref: "#/$defs/" + key}
		root.Properties[key], included.Properties[key] = ref, ref
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // < and > of patterns and sentences
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		// Texts, numbers and lists of them can always be written.
		panic("writing the schema: " + err.Error())
	}
	return b.Bytes()
}

// mapping is the schema of a mapping with these keys.
func mapping(fields []field) *schema {
	s := &schema{Type: "object", Properties: map[string]any{}, AdditionalProperties: false}
	for i := range fields {
		f := &fields[i]
		if !f.built() {
			continue
		}
		one := f.schema()
		if other, again := s.Properties[f.key].(*schema); again { // of another type; see relations
			one = &schema{AnyOf: append(alternatives(other), one)}
		}
		s.Properties[f.key] = one
		if f.required && f.only == "" {
			s.Required = append(s.Required, f.key)
		}
	}
	return s
}

// alternatives are those that a schema was joined of.
func alternatives(s *schema) []*schema {
	if s.Type == nil && s.Enum == nil && s.Description == "" && s.AnyOf != nil {
		return s.AnyOf
	}
	return []*schema{s}
}

func (f *field) schema() *schema {
	var s *schema
	switch {
	case f.one != nil:
		s = f.one.shape().schema()
	case f.section != nil:
		s = mapping(f.section)
		s.AllOf = append(s.AllOf, relations(f.key, f.section)...)
	case f.table != nil:
		s = &schema{
			Type: "object", MaxProperties: f.table.limit, AdditionalProperties: f.table.values().schema(),
			PropertyNames: f.table.keys().text(),
		}
	case f.texts != nil:
		s = &schema{Type: "array", MinItems: 1, UniqueItems: !f.texts.merged, Items: f.texts.shape().schema()}
	case f.list != nil:
		element := mapping(f.list.element)
		element.AllOf = append(element.AllOf, relations(f.key, f.list.element)...)
		if f.list.keyed {
			s = &schema{Type: "object", AdditionalProperties: element, PropertyNames: &schema{Pattern: anchored(namePattern)}}
			break
		}
		s = &schema{Type: "array", MinItems: 1, Items: element}
	}
	s.Description = f.described()
	switch {
	case f.def == "true", f.def == "false":
		s.Default = f.def == "true"
	case f.def != "":
		s.Default = f.def
	}
	return s
}

// described is the sentence of the reference, with what is the default in words.
func (f *field) described() string {
	doc := f.doc
	if f.only != "" {
		doc = "Of type " + f.only + ". " + doc
	}
	switch {
	case f.need != "":
		doc += " " + strings.ToUpper(f.need[:1]) + f.need[1:] + "."
	case f.defDoc != "":
		doc += " Default: " + f.defDoc + "."
	}
	return strings.ReplaceAll(doc, "`", "")
}

// schema of a scalar: its own form, or an expansion whose value nobody knows yet.
func (s shape) schema() *schema {
	if s.pattern == "" && s.enum == nil || strings.Contains(s.pattern, expandOne) {
		return s.text() // expansions are part of the pattern
	}
	return &schema{AnyOf: []*schema{s.text(), {Ref: "#/$defs/expansion"}}}
}

// text is the schema of the scalar itself.
func (s shape) text() *schema {
	if s.enum != nil {
		out := &schema{}
		for _, e := range s.enum {
			out.Enum = append(out.Enum, e)
		}
		return out
	}
	pattern := s.pattern
	if pattern == "" {
		pattern = literal(invisible)
	}
	out := &schema{Type: "string", Pattern: anchored(pattern), MinLength: s.short, MaxLength: s.long}
	if s.not != "" {
		out.Not = &schema{Pattern: s.not}
	}
	if s.plain != nil {
		out.Type = append([]string{"string"}, s.plain...)
	}
	if s.least != 0 || s.most != 0 {
		out.Minimum = &s.least
		if s.most != math.MaxInt64 {
			out.Maximum = &s.most
		}
	}
	return out
}
