package custom

import (
	"reflect"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Details lists the members of a type's details that rules may name.
func Details(t event.Type) map[string]Kind {
	out := map[string]Kind{}
	d := event.NewDetails(t)
	if d == nil {
		return out
	}
	st := reflect.TypeOf(d).Elem()
	for field := range st.Fields() {
		tag := member(field)
		if k := kindOf(field.Type, tag); k != "" {
			out[tag] = k
		}
	}
	return out
}

// Kinds are the kinds that a member has in the details of these types. Of more than
// one no rule can ask.
func Kinds(name string, types []event.Type) []Kind {
	var out []Kind
	for _, t := range types {
		k, ok := Details(t)[name]
		for _, other := range out {
			ok = ok && other != k
		}
		if ok {
			out = append(out, k)
		}
	}
	return out
}

func member(f reflect.StructField) string {
	tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return tag
}

// kindOf is the kind of a member of this type; "" for what no rule can ask. Seconds
// are durations, by their name.
func kindOf(t reflect.Type, tag string) Kind {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	whole := t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64
	switch {
	case t == reflect.TypeFor[event.Time]():
		return Time
	case tag == "thumbprint" && t.Kind() == reflect.String:
		return Thumbprint
	case t.Kind() == reflect.String:
		return Text
	case t.Kind() == reflect.Bool:
		return Bool
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return Texts
	case whole && strings.HasSuffix(tag, "_s"):
		return Duration
	case whole:
		return Number
	}
	return ""
}

// detailField finds a member that details of one of the types have. Where it is of
// another kind in the details of another type, that type is left out.
func detailField(name, tag string, types []event.Type) (Field, bool) {
	at := map[reflect.Type]int{} // of the structs that have it
	f := Field{Name: name, Doc: "member of the details"}
	for _, t := range types {
		d := event.NewDetails(t)
		if d == nil {
			continue
		}
		st := reflect.TypeOf(d).Elem()
		for i := range st.NumField() {
			kind := kindOf(st.Field(i).Type, tag)
			if member(st.Field(i)) != tag || kind == "" || f.Kind != "" && kind != f.Kind {
				continue
			}
			f.Kind, at[st] = kind, i
		}
	}
	if f.Kind == "" {
		return Field{}, false
	}
	f.Example = map[Kind]string{Number: "2", Duration: "1h", Bool: "true", Time: "2026-11-22T18:49:03Z", Thumbprint: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}[f.Kind]
	find := func(e *event.Event) (v reflect.Value, ok bool) {
		v = reflect.ValueOf(e.Data.Details)
		for v.Kind() == reflect.Pointer {
			v = v.Elem() // of nil: no value
		}
		if !v.IsValid() {
			return v, false
		}
		i, ok := at[v.Type()]
		if !ok {
			return v, false
		}
		return v.Field(i), true
	}
	f.get = func(e *event.Event) any {
		v, ok := find(e)
		if ok && v.Kind() == reflect.Pointer {
			ok, v = !v.IsNil(), v.Elem()
		}
		if !ok {
			return nil
		}
		return read(v, f.Kind)
	}
	f.set = func(e *event.Event, x any) {
		if reflect.ValueOf(e.Data.Details).Kind() != reflect.Pointer { // none, or one that cannot be set
			e.Data.Details = event.NewDetails(e.Data.Event.Type)
		}
		v, ok := find(e)
		if !ok {
			return
		}
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		write(v, x)
	}
	return f, true
}

// read is a value in the form of its kind; nil when it is empty.
func read(v reflect.Value, k Kind) any {
	n := 0.0
	switch {
	case k == Time:
		return v.Interface().(event.Time).Time
	case k == Texts:
		l, _ := v.Interface().([]string)
		return list(l)
	case k == Bool:
		return v.Bool()
	case v.Kind() == reflect.String:
		if v.Len() == 0 {
			return nil
		}
		return v.String()
	case v.CanInt():
		n = float64(v.Int())
	case v.CanUint():
		n = float64(v.Uint())
	}
	if k == Duration {
		return seconds(n)
	}
	return n
}

func write(v reflect.Value, x any) {
	switch x := x.(type) {
	case time.Time:
		v.Set(reflect.ValueOf(event.At(x)))
	case []string:
		v.Set(reflect.ValueOf(x))
	case bool:
		v.SetBool(x)
	case string:
		v.SetString(x)
	case time.Duration:
		write(v, x.Seconds())
	case float64:
		if v.CanUint() {
			v.SetUint(uint64(max(x, 0)))
		} else {
			v.SetInt(int64(x))
		}
	}
}
