package event

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// shrink cuts an event that is over MaxBytes and returns it encoded. It goes
// over the members that may be cut in four rounds, each stricter, and stops at
// the first that makes the event fit:
//
//	round      list or map keeps   text keeps
//	  1            32 entries      512 octets
//	  2            16              256
//	  3             8              128
//	  4             1               80
//
// The order within a round is that of cuttable: what is listed elsewhere or can
// be looked up goes first. The facts, the observed times, the snapshots, the
// standards, the observer and the integrity are never cut. No digest is either:
// the longest, sha256: with 64 digits, has 71 octets.
func shrink(e *Event) ([]byte, error) {
	size := 0
	for _, l := range [...]limits{{32, 512}, {16, 256}, {8, 128}, {1, 80}} {
		for _, part := range e.Data.cuttable() {
			if !l.cut(reflect.ValueOf(part.at).Elem()) {
				continue
			}
			e.Data.note(part.name)
			b, err := marshal(e)
			if err != nil {
				return nil, err
			}
			if len(b) <= MaxBytes {
				return b, nil
			}
			size = len(b)
		}
	}
	return nil, fmt.Errorf("%d octets when cut, over the limit of %d", size, MaxBytes)
}

type part struct {
	name string // the member of data, as in Data.Truncated
	at   any    // a pointer to it
}

// cuttable lists what may be cut, in this order.
func (d *Data) cuttable() []part {
	return []part{
		{"keys", &d.Keys},
		{"details", &d.Details},
		{"change", &d.Change},
		{"endpoint", &d.Endpoint}, // its labels, above all
		{"rules", &d.Rules},
		{"judgement", &d.Judgement},
		{"transport", &d.Transport},
		{"failure", &d.Failure},
		{"previous_key", &d.PreviousKey},
		{"key", &d.Key},
	}
}

// note adds a name to Truncated, once.
func (d *Data) note(name string) {
	if !slices.Contains(d.Truncated, name) {
		d.Truncated = append(d.Truncated, name)
	}
}

// limits is what one round leaves standing.
type limits struct{ entries, octets int }

// cut shortens every list, map and text in v, which can be set, and reports
// whether it did. Of a map the first names in order are kept.
func (l limits) cut(v reflect.Value) bool {
	did := false
	if leaf(v.Type()) {
		return false
	}
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && l.cut(v.Elem())
	case reflect.Interface:
		if v.IsNil() {
			return false
		}
		c := settable(v.Elem())
		if did = l.cut(c); did {
			v.Set(c)
		}
	case reflect.Struct:
		for _, f := range v.Fields() {
			did = l.cut(f) || did
		}
	case reflect.Slice:
		if v.Len() > l.entries {
			v.SetLen(l.entries)
			did = true
		}
		for i := range v.Len() {
			did = l.cut(v.Index(i)) || did
		}
	case reflect.Map:
		did = l.cutMap(v)
	case reflect.String:
		if s := v.String(); len(s) > l.octets {
			v.SetString(limit(s, l.octets))
			did = true
		}
	}
	return did
}

func (l limits) cutMap(v reflect.Value) bool {
	did := false
	for i, k := range sortedKeys(v) {
		if i >= l.entries {
			v.SetMapIndex(k, reflect.Value{})
			did = true
			continue
		}
		if c := settable(v.MapIndex(k)); l.cut(c) {
			v.SetMapIndex(k, c)
			did = true
		}
	}
	return did
}

func sortedKeys(v reflect.Value) []reflect.Value {
	byName := make(map[string]reflect.Value, v.Len())
	for _, k := range v.MapKeys() {
		byName[k.String()] = k
	}
	keys := make([]reflect.Value, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		keys = append(keys, byName[name])
	}
	return keys
}

func settable(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// normal returns a deep copy of v with clean texts and with empty lists and
// maps in place of nil ones, which JSON would write as null. It is done by
// reflection so that a member added later cannot be forgotten. The keys of maps
// stay as they are: they are names of members and the operator's labels.
func normal(v reflect.Value) reflect.Value {
	if leaf(v.Type()) {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		c.Set(reflect.New(v.Type().Elem()))
		c.Elem().Set(normal(v.Elem()))
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		c.Set(normal(v.Elem()))
	case reflect.Struct:
		c.Set(v)
		for i := range v.NumField() {
			if c.Field(i).CanSet() { // not so when it is unexported, and then it is not encoded
				c.Field(i).Set(normal(v.Field(i)))
			}
		}
	case reflect.Slice:
		c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			c.Index(i).Set(normal(v.Index(i)))
		}
	case reflect.Map:
		c.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for _, k := range v.MapKeys() {
			c.SetMapIndex(k, normal(v.MapIndex(k)))
		}
	case reflect.String:
		c.SetString(clean(v.String()))
	default:
		return v
	}
	return c
}

// leaf reports whether a type writes its own JSON, as times and severities do:
// what it holds is no business of ours.
func leaf(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}
