package event_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jwkswatch/jwkswatch/event"
)

// member returns the JSON at a path of member names.
func member(t *testing.T, encoded []byte, path ...string) string {
	t.Helper()
	v := json.RawMessage(encoded)
	for _, name := range path {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(v, &m); err != nil {
			t.Fatalf("%s in %q: %v", name, path, err)
		}
		var ok bool
		if v, ok = m[name]; !ok {
			t.Fatalf("no member %s of %q", name, path)
		}
	}
	return string(v)
}

// Nothing but the type and the severity given: lists and maps are there, the
// envelope is filled in, and what does not apply is null.
func TestEncodeFillsIn(t *testing.T) {
	t.Parallel()
	e := event.Event{Data: event.Data{
		Event:     event.Facts{Type: event.KeyPrivate, Severity: event.SeverityCritical},
		Endpoint:  &event.Endpoint{},
		Judgement: event.Judgement{BaseSeverity: event.SeverityCritical},
		Details:   &event.KeyPrivateDetails{},
	}}
	b := encode(t, &e)
	for _, c := range []struct{ path, want string }{
		{"specversion", `"1.0"`},
		{"type", `"jwkswatch.key.private.v1"`},
		{"datacontenttype", `"application/json"`},
		{"dataschema", `"urn:jwkswatch:schema:event:v1"`},
		{"data event severity", `"critical"`},
		{"data event severity_id", `5`},
		{"data event count", `1`},
		{"data event reasons", `[]`},
		{"data event change_set", `null`},
		{"data event condition", `null`},
		{"data endpoint labels", `{}`},
		{"data endpoint owner", `null`},
		{"data rules", `[]`},
		{"data judgement adjustments", `[]`},
		{"data key", `null`},
		{"data previous_key", `null`},
		{"data keys", `[]`},
		{"data change", `{"fields":[],"before":{},"after":{}}`},
		{"data observed", `null`},
		{"data snapshot", `null`},
		{"data transport", `null`},
		{"data failure", `null`},
		{"data details members", `[]`},
		{"data details confirmation addresses", `[]`},
		{"data truncated", `[]`},
		{"data standards", `{"attack":[],"nist_csf":[],"owasp_nhi":[]}`},
		{"data integrity previous", `null`},
	} {
		if got := member(t, b, strings.Fields(c.path)...); got != c.want {
			t.Errorf("%s is %s, want %s", c.path, got, c.want)
		}
	}
	if e.SpecVersion != "" || e.Data.Rules != nil || e.Data.Endpoint.Labels != nil {
		t.Error("Encode changed the event it was given")
	}
	e.Data.Endpoint = nil
	if got := member(t, encode(t, &e), "data", "endpoint"); got != "null" {
		t.Errorf("endpoint is %s", got)
	}
}

// Details may be a struct or a pointer to one, and lists inside of values too
// are never null.
func TestEncodeValues(t *testing.T) {
	t.Parallel()
	e := golden("key.altered")
	details := e.Data.Details.(event.KeyAlteredDetails)
	e.Data.Change.Before = map[string]any{"key_ops": []string(nil), "exp": 1764000000, "x5u": (*string)(nil), "at": now(), "raw": json.RawMessage(`[1]`)}
	b := encode(t, e)
	if got, want := member(t, b, "data", "change", "before"),
		`{"at":"2026-11-22T18:49:03.412Z","exp":1764000000,"key_ops":[],"raw":[1],"x5u":null}`; got != want {
		t.Errorf("before is %s, want %s", got, want)
	}
	e.Data.Details = &details
	if !bytes.Equal(encode(t, e), b) {
		t.Error("a pointer to details is encoded in another way")
	}
}

func TestEncodeIsPlain(t *testing.T) {
	t.Parallel()
	e := golden("key.added")
	e.Data.Endpoint.Owner = new("<iam> & co")
	e.Data.Key.Kid = new("a\x1b\u202eb\xff") // a forgotten call of Text
	e.Data.Event.Message = strings.Repeat("é", 199) + "\nnnn"
	b := encode(t, e)
	if bytes.HasSuffix(b, []byte("\n")) || !bytes.Contains(b, []byte(`"<iam> & co"`)) {
		t.Errorf("a newline at the end, or HTML escaped: %s", b)
	}
	if got := member(t, b, "data", "key", "kid"); got != "\"a\uFFFD\uFFFDb\uFFFD\"" {
		t.Errorf("kid is %s", got)
	}
	if got, want := member(t, b, "data", "event", "message"), `"`+strings.Repeat("é", 199)+`…"`; got != want {
		t.Errorf("message is %s", got)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil || !bytes.Equal(compact.Bytes(), b) {
		t.Errorf("not compact: %v", err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*event.Event)
		want  string
	}{
		"no severity":            {func(e *event.Event) { e.Data.Event.Severity = 0 }, "severity(0)"},
		"base severity":          {func(e *event.Event) { e.Data.Judgement.BaseSeverity = 9 }, "severity(9)"},
		"severity_id":            {func(e *event.Event) { e.Data.Event.SeverityID = 2 }, "severity_id is 2"},
		"envelope type":          {func(e *event.Event) { e.Type = event.KeyRemoved.CloudEvent() }, "type is not jwkswatch.key.added.v1"},
		"specversion":            {func(e *event.Event) { e.SpecVersion = "0.3" }, "specversion"},
		"schema":                 {func(e *event.Event) { e.DataSchema = "urn:other" }, "dataschema"},
		"no details":             {func(e *event.Event) { e.Data.Details = nil }, "details are missing"},
		"nil details":            {func(e *event.Event) { e.Data.Details = (*event.KeyAddedDetails)(nil) }, "details are missing"},
		"details of another":     {func(e *event.Event) { e.Data.Details = event.KeyRemovedDetails{} }, "details are event.KeyRemovedDetails, not event.KeyAddedDetails"},
		"details as a map":       {func(e *event.Event) { e.Data.Details = map[string]any{} }, "not event.KeyAddedDetails"},
		"unknown type":           {func(e *event.Event) { e.Data.Event.Type = "key.\x1bodd" }, "key.\uFFFDodd: unknown type"},
		"a year of five digits":  {func(e *event.Event) { e.Time = event.At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) }, "year 10000"},
		"no number":              {func(e *event.Event) { e.Data.Change.After = map[string]any{"bits": math.NaN()} }, "NaN"},
		"facts that never fit":   {func(e *event.Event) { e.Data.Event.Reasons = []string{strings.Repeat("r", event.MaxBytes)} }, "over the limit of 65536"},
		"observer that is huge":  {func(e *event.Event) { e.Data.Observer.Version = strings.Repeat("v", event.MaxBytes) }, "over the limit of 65536"},
		"before the year 0, UTC": {func(e *event.Event) { e.Time = event.At(time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))) }, "year -1"},
	} {
		e := golden("key.added")
		c.spoil(e)
		b, err := e.Encode()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q; %.80s", name, err, c.want, b)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		got, err := event.Decode(encode(t, &s.event))
		if err != nil {
			t.Fatal(err)
		}
		want := reflect.PointerTo(reflect.TypeOf(s.event.Data.Details))
		if reflect.TypeOf(got.Data.Details) != want {
			t.Errorf("%s: details are %T, want %s", s.name, got.Data.Details, want)
		}
	}
	b := encode(t, golden("key.added"))
	later := bytes.Replace(b, []byte(`"drill":`), []byte(`"later":{"x":1},"drill":`), 1)
	if got, err := event.Decode(later); err != nil || got.Data.Event.Type != event.KeyAdded {
		t.Errorf("a member of a later version: %v", err)
	}
	unknown := bytes.ReplaceAll(b, []byte("key.added"), []byte("key.later"))
	if got, err := event.Decode(unknown); err != nil || got.Data.Details.(map[string]any)["class"] != "sig" {
		t.Errorf("a type of a later version: %v", err)
	}
	for _, in := range []string{"", "[]", "{", `{"data":{"event":{"severity":"odd"}}}`, `{"time":"yesterday"}`, string(b) + "x"} {
		if _, err := event.Decode([]byte(in)); err == nil {
			t.Errorf("no error for %.40q", in)
		}
	}
}

func TestNewDetails(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]event.Type{}
	for _, typ := range event.Types() {
		d := reflect.TypeOf(event.NewDetails(typ))
		if d == nil || d.Kind() != reflect.Pointer {
			t.Errorf("%s has details %v", typ, d)
		}
		// Four moments of one thing, and two ends of others.
		shared := d == reflect.TypeFor[*event.ApprovalDetails]() || d == reflect.TypeFor[*event.AgentStateDetails]() ||
			d == reflect.TypeFor[*event.DrillDetails]()
		if other, ok := seen[d]; ok && !shared {
			t.Errorf("%s and %s share %v", typ, other, d)
		}
		seen[d] = typ
	}
	if d := event.NewDetails("key.odd"); d != nil {
		t.Errorf("an unknown type has details %v", d)
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ observer, endpoint, want string }{
		{"soc-1", "corp-idp", "urn:jwkswatch:soc-1:corp-idp"},
		{"soc-1", "", "urn:jwkswatch:soc-1:_agent"},
		{"soc-1", event.AgentStream, "urn:jwkswatch:soc-1:_agent"},
		{"Soc 1:é/?#", "corp-idp", "urn:jwkswatch:Soc%201%3A%C3%A9%2F%3F%23:corp-idp"},
		{"host.corp.example", "corp_idp", "urn:jwkswatch:host.corp.example:corp_idp"},
	} {
		if got := event.Source(c.observer, c.endpoint); got != c.want {
			t.Errorf("Source(%q, %q) = %s, want %s", c.observer, c.endpoint, got, c.want)
		}
	}
}

func TestSubjectTokens(t *testing.T) {
	t.Parallel()
	for _, typ := range event.Types() {
		object, action := event.SubjectTokens(typ)
		if object == "" || action == "" || object+"."+action != string(typ) || strings.ContainsAny(action, ". *>") {
			t.Errorf("%s has the tokens %q and %q", typ, object, action)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range samples() {
		f.Add(encode(f, &s.event))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := event.Decode(in)
		if err != nil {
			return
		}
		b, err := e.Encode()
		if err != nil {
			return
		}
		if len(b) > event.MaxBytes || !utf8.Valid(b) {
			t.Fatalf("%d octets, or no UTF-8", len(b))
		}
		again, err := event.Decode(b)
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v\n%s", err, b)
		}
		if c, err := again.Encode(); err != nil || !bytes.Equal(b, c) {
			t.Errorf("not stable: %v\n%s\n%s", err, b, c)
		}
	})
}
