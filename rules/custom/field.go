package custom

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Kind is what the values of a field are.
type Kind string

// The kinds, and in Go: string for texts, thumbprints and addresses, float64,
// time.Duration, bool, time.Time, event.Severity, []string.
const (
	Text       Kind = "text"
	Thumbprint Kind = "thumbprint" // RFC 7638, SHA-256, base64url: 43 characters
	Address    Kind = "address"    // of the Internet, without a port
	Number     Kind = "number"
	Duration   Kind = "duration"
	Bool       Kind = "bool"
	Time       Kind = "time"
	Severity   Kind = "severity"
	Texts      Kind = "list of texts"
)

// Field is one entry of the closed vocabulary of rules. The table of them is the
// only place where a field is described: rules, their errors, tests, the JSON
// Schema, the reference and completion all read it.
type Field struct {
	Name    string
	Kind    Kind
	Doc     string
	Example string   // a value, as one writes it
	Values  []string // all that there are; nil: any
	Always  bool     // every event of an endpoint has it

	get func(*event.Event) any // nil: absent; else a value of the kind
	set func(*event.Event, any)
}

// Get reads the field; nil when the event lacks it.
func (f *Field) Get(e *event.Event) any { return f.get(e) }

// Set makes the event have the value, which must be of the kind of the field.
func (f *Field) Set(e *event.Event, v any) { f.set(e, v) }

// Fields is the whole vocabulary, but for endpoint.labels.NAME and details.NAME.
func Fields() []Field {
	return slices.Concat(factFields(), contextFields(), endpointFields(), keyFields("key", "the key", keyOf), keyFields("previous_key", "the key before", previousOf), wayFields())
}

// Severities are the names of severities, least first.
func Severities() []string { return []string{"informational", "low", "medium", "high", "critical"} }

// textField reads and writes a text that is empty when it is absent. at finds it, and
// makes what it stands in when grow says so.
func textField(f Field, at func(e *event.Event, grow bool) *string) Field {
	if f.Kind == "" {
		f.Kind = Text
	}
	f.get = func(e *event.Event) any {
		if p := at(e, false); p != nil && *p != "" {
			return *p
		}
		return nil
	}
	f.set = func(e *event.Event, v any) { *at(e, true) = v.(string) }
	return f
}

// nullField is textField for a text that may be null.
func nullField(f Field, at func(e *event.Event, grow bool) **string) Field {
	return textField(f, func(e *event.Event, grow bool) *string {
		p := at(e, grow)
		if p != nil && *p == nil && grow {
			*p = new("")
		}
		if p == nil {
			return nil
		}
		return *p
	})
}

func factFields() []Field {
	var types []string
	for _, t := range event.Types() {
		types = append(types, string(t))
	}
	return []Field{
		{
			Name: "event.type", Kind: Text, Doc: "type of the event", Example: "key.added", Values: types, Always: true,
			get: func(e *event.Event) any { return string(e.Data.Event.Type) },
			set: func(e *event.Event, v any) { e.Data.Event.Type = event.Type(v.(string)) },
		},
		{
			Name: "event.severity", Kind: Severity, Doc: "severity, as it stands when the rule is asked", Example: "medium", Values: Severities(), Always: true,
			get: func(e *event.Event) any { return e.Data.Event.Severity },
			set: func(e *event.Event, v any) { e.Data.Event.Severity = v.(event.Severity) },
		},
		{
			Name: "event.verdict", Kind: Text, Doc: "how it stands to what was declared", Example: "expected", Values: []string{"expected", "unexpected", "informational"}, Always: true,
			get: func(e *event.Event) any { return string(e.Data.Event.Verdict) },
			set: func(e *event.Event, v any) { e.Data.Event.Verdict = event.Verdict(v.(string)) },
		},
		{
			Name: "event.confirmed", Kind: Bool, Doc: "whether a second look showed it too", Example: "true", Always: true,
			get: func(e *event.Event) any { return e.Data.Event.Confirmed },
			set: func(e *event.Event, v any) { e.Data.Event.Confirmed = v.(bool) },
		},
		{
			Name: "event.count", Kind: Number, Doc: "changes that the event stands for", Example: "9", Always: true,
			get: func(e *event.Event) any { return float64(e.Data.Event.Count) },
			set: func(e *event.Event, v any) { e.Data.Event.Count = int(v.(float64)) },
		},
	}
}

// contextFields are about why an event is what it is.
func contextFields() []Field {
	return []Field{
		{
			Name: "event.reasons", Kind: Texts, Doc: "why it is as severe as it is", Example: "rider",
			get: func(e *event.Event) any { return list(e.Data.Event.Reasons) },
			set: func(e *event.Event, v any) { e.Data.Event.Reasons = v.([]string) },
		},
		{
			Name: "event.rules", Kind: Texts, Doc: "ids of the built-in rules that fired", Example: "key-added",
			get: func(e *event.Event) any {
				var ids []string
				for _, r := range e.Data.Rules {
					ids = append(ids, r.ID)
				}
				return list(ids)
			},
			set: func(e *event.Event, v any) {
				e.Data.Rules = nil
				for _, id := range v.([]string) {
					e.Data.Rules = append(e.Data.Rules, event.Rule{ID: id, Severity: e.Data.Event.Severity})
				}
			},
		},
		{
			Name: "event.drill", Kind: Bool, Doc: "whether it is a drill", Example: "false", Always: true,
			get: func(e *event.Event) any { return e.Data.Event.Drill },
			set: func(e *event.Event, v any) { e.Data.Event.Drill = v.(bool) },
		},
		{
			Name: "observed.uncertain", Kind: Bool, Doc: "whether nobody looked for more than three intervals", Example: "false",
			get: func(e *event.Event) any {
				if e.Data.Observed == nil {
					return nil
				}
				return e.Data.Observed.Uncertain
			},
			set: func(e *event.Event, v any) { e.Data.Observed = &event.Observed{Before: e.Time, Uncertain: v.(bool)} },
		},
		{
			Name: "change.fields", Kind: Texts, Doc: "members of the key that changed", Example: "alg",
			get: func(e *event.Event) any { return list(e.Data.Change.Fields) },
			set: func(e *event.Event, v any) { e.Data.Change.Fields = v.([]string) },
		},
	}
}

func endpointFields() []Field {
	of := func(e *event.Event, grow bool) *event.Endpoint {
		if e.Data.Endpoint == nil && grow {
			e.Data.Endpoint = &event.Endpoint{}
		}
		return e.Data.Endpoint
	}
	field := func(name, doc, example string, at func(*event.Endpoint) **string) Field {
		return nullField(Field{Name: "endpoint." + name, Doc: doc, Example: example}, func(e *event.Event, grow bool) **string {
			if p := of(e, grow); p != nil {
				return at(p)
			}
			return nil
		})
	}
	return []Field{
		textField(Field{Name: "endpoint.name", Doc: "name of the endpoint", Example: "corp-idp", Always: true}, func(e *event.Event, grow bool) *string {
			if p := of(e, grow); p != nil {
				return &p.Name
			}
			return nil
		}),
		textField(Field{Name: "endpoint.tier", Doc: "how much depends on it", Example: "critical", Values: []string{"low", "standard", "critical"}, Always: true}, func(e *event.Event, grow bool) *string {
			if p := of(e, grow); p != nil {
				return &p.Tier
			}
			return nil
		}),
		field("issuer", "configured issuer", "https://login.corp.example", func(p *event.Endpoint) **string { return &p.Issuer }),
		field("jwks_uri", "URL of the key set", "https://login.corp.example/keys", func(p *event.Endpoint) **string { return &p.JWKSURI }),
		field("owner", "whom to ask", "iam@corp.example", func(p *event.Endpoint) **string { return &p.Owner }),
		field("group", "endpoints that may share keys", "corp", func(p *event.Endpoint) **string { return &p.Group }),
	}
}

// labelField is a label of the operator's endpoints.
func labelField(name, label string) Field {
	return Field{
		Name: name, Kind: Text, Doc: "label of the endpoint", Example: "prod",
		get: func(e *event.Event) any {
			if e.Data.Endpoint == nil {
				return nil
			}
			if s, ok := e.Data.Endpoint.Labels[label]; ok {
				return s
			}
			return nil
		},
		set: func(e *event.Event, v any) {
			if e.Data.Endpoint == nil {
				e.Data.Endpoint = &event.Endpoint{}
			}
			if e.Data.Endpoint.Labels == nil {
				e.Data.Endpoint.Labels = map[string]string{}
			}
			e.Data.Endpoint.Labels[label] = v.(string)
		},
	}
}

func keyOf(e *event.Event) **event.Key      { return &e.Data.Key }
func previousOf(e *event.Event) **event.Key { return &e.Data.PreviousKey }

func keyFields(prefix, what string, at func(*event.Event) **event.Key) []Field {
	of := func(e *event.Event) *event.Key {
		p := at(e)
		if *p == nil {
			*p = &event.Key{}
		}
		return *p
	}
	field := func(name, doc, example string, get func(*event.Key) **string) Field {
		kind := Text
		if name == "thumbprint" {
			kind = Thumbprint
		}
		return nullField(Field{Name: prefix + "." + name, Kind: kind, Doc: doc + " of " + what, Example: example}, func(e *event.Event, grow bool) **string {
			switch {
			case grow:
				return get(of(e))
			case *at(e) == nil:
				return nil
			}
			return get(*at(e))
		})
	}
	return []Field{
		field("kid", "label (hostile text)", "2026-11-a", func(k *event.Key) **string { return &k.Kid }),
		field("thumbprint", "identity", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", func(k *event.Key) **string { return &k.Thumbprint }),
		field("kty", "kind", "RSA", func(k *event.Key) **string { return &k.Kty }),
		field("crv", "curve", "P-256", func(k *event.Key) **string { return &k.Crv }),
		field("alg", "declared algorithm", "RS256", func(k *event.Key) **string { return &k.Alg }),
		field("use", "declared use", "sig", func(k *event.Key) **string { return &k.Use }),
		{
			Name: prefix + ".bits", Kind: Number, Doc: "size of " + what + ", in bits", Example: "2048",
			get: func(e *event.Event) any {
				if k := *at(e); k != nil && k.Bits != nil {
					return float64(*k.Bits)
				}
				return nil
			},
			set: func(e *event.Event, v any) { of(e).Bits = new(int(v.(float64))) },
		},
		{
			Name: prefix + ".age", Kind: Duration, Doc: "how long " + what + " is surely published; absent when its age is unknown", Example: "90d",
			get: func(e *event.Event) any {
				if k := *at(e); k != nil && k.FirstSeen != nil {
					return e.Time.Sub(k.FirstSeen.Time)
				}
				return nil
			},
			set: func(e *event.Event, v any) { of(e).FirstSeen = event.AtOrNil(e.Time.Add(-v.(time.Duration))) },
		},
	}
}

// host takes the port off an address.
func host(s string) string {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().String()
	}
	return s
}

func list(l []string) any {
	if len(l) == 0 {
		return nil
	}
	return slices.Clone(l)
}

// FieldOf finds a field by name, for rules on these types: details have members of
// their own in each of them.
func FieldOf(name string, types []event.Type) (Field, bool) {
	if label, ok := strings.CutPrefix(name, "endpoint.labels."); ok && label != "" {
		return labelField(name, label), true
	}
	if member, ok := strings.CutPrefix(name, "details."); ok {
		return detailField(name, member, types)
	}
	for _, f := range Fields() {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}
