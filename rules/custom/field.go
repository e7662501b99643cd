package custom

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Kind is what the values of a field are.
type Kind string

// The kinds.
const (
	Text     Kind = "text"
	Number   Kind = "number"
	Duration Kind = "duration"
	Bool     Kind = "bool"
	Time     Kind = "time"
	Severity Kind = "severity"
	Texts    Kind = "list of texts"
)

// Field is one entry of the closed vocabulary of rules.
type Field struct {
	Name string
	Kind Kind
	Doc  string

	get func(*event.Event) any // nil: absent; else string, float64, time.Duration, bool, time.Time, event.Severity, []string
}

// Fields is the whole vocabulary, but for endpoint.labels.NAME and details.NAME.
func Fields() []Field {
	text := func(name, doc string, get func(*event.Event) string) Field {
		return Field{name, Text, doc, func(e *event.Event) any {
			if s := get(e); s != "" {
				return s
			}
			return nil
		}}
	}
	endpoint := func(name, doc string, get func(*event.Endpoint) string) Field {
		return text("endpoint."+name, doc, func(e *event.Event) string {
			if e.Data.Endpoint == nil {
				return ""
			}
			return get(e.Data.Endpoint)
		})
	}
	out := []Field{
		text("event.type", "type of the event", func(e *event.Event) string { return string(e.Data.Event.Type) }),
		{"event.severity", Severity, "severity, as it stands when the rule is asked", func(e *event.Event) any { return e.Data.Event.Severity }},
		text("event.verdict", "expected, unexpected or informational", func(e *event.Event) string { return string(e.Data.Event.Verdict) }),
		{"event.confirmed", Bool, "whether a second look showed it too", func(e *event.Event) any { return e.Data.Event.Confirmed }},
		{"event.count", Number, "changes that the event stands for", func(e *event.Event) any { return float64(e.Data.Event.Count) }},
		{"event.reasons", Texts, "why it is as severe as it is", func(e *event.Event) any { return list(e.Data.Event.Reasons) }},
		{"event.rules", Texts, "ids of the rules that fired", func(e *event.Event) any {
			var ids []string
			for _, r := range e.Data.Rules {
				ids = append(ids, r.ID)
			}
			return list(ids)
		}},
		endpoint("name", "name of the endpoint", func(e *event.Endpoint) string { return e.Name }),
		endpoint("tier", "low, standard or critical", func(e *event.Endpoint) string { return e.Tier }),
		endpoint("issuer", "configured issuer", func(e *event.Endpoint) string { return value(e.Issuer) }),
		endpoint("jwks_uri", "URL of the key set", func(e *event.Endpoint) string { return value(e.JWKSURI) }),
		endpoint("owner", "whom to ask", func(e *event.Endpoint) string { return value(e.Owner) }),
		endpoint("group", "endpoints that may share keys", func(e *event.Endpoint) string { return value(e.Group) }),
		{"observed.uncertain", Bool, "whether nobody looked for more than three intervals", func(e *event.Event) any {
			if e.Data.Observed == nil {
				return nil
			}
			return e.Data.Observed.Uncertain
		}},
		{"change.fields", Texts, "members that changed", func(e *event.Event) any { return list(e.Data.Change.Fields) }},
		text("failure.phase", "resolve, dial, refused, tls, status, read, size, timeout, discovery", func(e *event.Event) string {
			if e.Data.Failure == nil {
				return ""
			}
			return e.Data.Failure.Phase
		}),
		text("transport.remote_addr", "address that answered", func(e *event.Event) string {
			if e.Data.Transport == nil {
				return ""
			}
			return value(e.Data.Transport.RemoteAddr)
		}),
		text("transport.leaf_issuer", "issuer of the certificate", func(e *event.Event) string {
			if e.Data.Transport == nil {
				return ""
			}
			return value(e.Data.Transport.LeafIssuer)
		}),
	}
	return append(append(out, keyFields("key", "the key", func(e *event.Event) *event.Key { return e.Data.Key })...),
		keyFields("previous_key", "the key before", func(e *event.Event) *event.Key { return e.Data.PreviousKey })...)
}

func keyFields(prefix, what string, of func(*event.Event) *event.Key) []Field {
	text := func(name string, get func(*event.Key) *string) Field {
		return Field{prefix + "." + name, Text, name + " of " + what, func(e *event.Event) any {
			if k := of(e); k != nil && get(k) != nil {
				return *get(k)
			}
			return nil
		}}
	}
	return []Field{
		text("kid", func(k *event.Key) *string { return k.Kid }), text("thumbprint", func(k *event.Key) *string { return k.Thumbprint }),
		text("kty", func(k *event.Key) *string { return k.Kty }), text("crv", func(k *event.Key) *string { return k.Crv }),
		text("alg", func(k *event.Key) *string { return k.Alg }), text("use", func(k *event.Key) *string { return k.Use }),
		{prefix + ".bits", Number, "size of " + what + ", in bits", func(e *event.Event) any {
			if k := of(e); k != nil && k.Bits != nil {
				return float64(*k.Bits)
			}
			return nil
		}},
		{prefix + ".age", Duration, "how long " + what + " is surely published; absent when its age is unknown", func(e *event.Event) any {
			if k := of(e); k != nil && k.FirstSeen != nil {
				return e.Time.Sub(k.FirstSeen.Time)
			}
			return nil
		}},
	}
}

// FieldOf finds a field by name, for rules on these types: details have members of
// their own in each of them.
func FieldOf(name string, types []event.Type) (Field, bool) {
	if label, ok := strings.CutPrefix(name, "endpoint.labels."); ok && label != "" {
		return Field{name, Text, "label of the endpoint", func(e *event.Event) any {
			if e.Data.Endpoint == nil {
				return nil
			}
			if s, ok := e.Data.Endpoint.Labels[label]; ok {
				return s
			}
			return nil
		}}, true
	}
	if member, ok := strings.CutPrefix(name, "details."); ok {
		return detail(name, member, types)
	}
	for _, f := range Fields() {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// detail finds a member that details of one of the types have.
func detail(name, member string, types []event.Type) (Field, bool) {
	for _, t := range types {
		for m, k := range Details(t) {
			if m == member {
				return Field{name, k, "member of the details", func(e *event.Event) any { return read(e.Data.Details, member) }}, true
			}
		}
	}
	return Field{}, false
}

// Details lists the members of a type's details that rules may name.
func Details(t event.Type) map[string]Kind {
	out := map[string]Kind{}
	d := event.NewDetails(t)
	if d == nil {
		return out
	}
	st := reflect.TypeOf(d).Elem()
	for field := range st.Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		ft := field.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		switch {
		case ft == reflect.TypeFor[event.Time]():
			out[tag] = Time
		case ft.Kind() == reflect.String:
			out[tag] = Text
		case ft.Kind() == reflect.Bool:
			out[tag] = Bool
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.String:
			out[tag] = Texts
		case ft.Kind() >= reflect.Int && ft.Kind() <= reflect.Uint64 && strings.HasSuffix(tag, "_s"):
			out[tag] = Duration
		case ft.Kind() >= reflect.Int && ft.Kind() <= reflect.Uint64:
			out[tag] = Number
		}
	}
	return out
}

// read reads a member of details by its name in JSON.
func read(details any, member string) any {
	v := reflect.ValueOf(details)
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if tag != member {
			continue
		}
		f := v.Field(i)
		if f.Kind() == reflect.Pointer {
			if f.IsNil() {
				return nil
			}
			f = f.Elem()
		}
		switch x := f.Interface().(type) {
		case event.Time:
			return x.Time
		case []string:
			return list(x)
		}
		switch {
		case f.Kind() == reflect.String:
			return f.String()
		case f.Kind() == reflect.Bool:
			return f.Bool()
		case f.CanInt():
			return number(member, float64(f.Int()))
		case f.CanUint():
			return number(member, float64(f.Uint()))
		}
	}
	return nil
}

func number(member string, n float64) any {
	if strings.HasSuffix(member, "_s") {
		return time.Duration(n * float64(time.Second))
	}
	return n
}

func list(l []string) any {
	if len(l) == 0 {
		return nil
	}
	return slices.Clone(l)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
