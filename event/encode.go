package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Encode returns the event as compact JSON of at most MaxBytes octets, with its
// members in the order of the structs and without a newline. Equal events have
// equal octets. The event itself is not touched.
//
// The constants of the envelope, the CloudEvents type, the severity's number
// and a count of 1 are filled in where they are left zero. Nil lists and maps
// become [] and {}. Every text is cleaned as Text does, and the message cut to
// MaxMessage: a forgotten call must not put a control character into a SIEM.
//
// An event that is too large is cut as shrink.go says, and data.truncated names
// the members that lost something. Errors: a member that contradicts another,
// details that are not those of the type, a severity that is none, and an event
// that does not fit even when cut.
func (e *Event) Encode() ([]byte, error) {
	c, err := e.complete()
	if err != nil {
		return nil, fmt.Errorf("event: encoding %s: %w", clean(string(e.Data.Event.Type)), err)
	}
	b, err := marshal(c)
	if err == nil && len(b) > MaxBytes {
		b, err = shrink(c)
	}
	if err != nil {
		return nil, fmt.Errorf("event: encoding %s: %w", clean(string(e.Data.Event.Type)), err)
	}
	return b, nil
}

// complete returns a deep copy that is ready to be marshalled.
func (e *Event) complete() (*Event, error) {
	c := normal(reflect.ValueOf(*e)).Interface().(Event)
	facts := &c.Data.Event
	for _, m := range []struct {
		name string
		has  *string
		want string
	}{
		{"specversion", &c.SpecVersion, SpecVersion},
		{"type", &c.Type, facts.Type.CloudEvent()},
		{"datacontenttype", &c.DataContentType, DataContentType},
		{"dataschema", &c.DataSchema, DataSchema},
	} {
		if *m.has == "" {
			*m.has = m.want
		}
		if *m.has != m.want {
			return nil, fmt.Errorf("%s is not %s", m.name, m.want)
		}
	}
	if facts.SeverityID == 0 {
		facts.SeverityID = int(facts.Severity)
	}
	if facts.SeverityID != int(facts.Severity) {
		return nil, fmt.Errorf("severity_id is %d, but the severity is %s", facts.SeverityID, facts.Severity)
	}
	if facts.Count == 0 {
		facts.Count = 1
	}
	facts.Message = cutRunes(facts.Message, MaxMessage)
	if len(c.Data.Keys) > MaxKeys {
		c.Data.Keys = c.Data.Keys[:MaxKeys]
		c.Data.note("keys")
	}
	return &c, facts.Type.check(c.Data.Details)
}

// check reports whether details are those of the type, as a struct or a pointer
// to one.
func (t Type) check(details any) error {
	want := NewDetails(t)
	if want == nil {
		return errors.New("unknown type")
	}
	has := reflect.TypeOf(details)
	if has == nil {
		return errors.New("details are missing")
	}
	if has.Kind() == reflect.Pointer {
		if reflect.ValueOf(details).IsNil() {
			return errors.New("details are missing")
		}
		has = has.Elem()
	}
	if has != reflect.TypeOf(want).Elem() {
		return fmt.Errorf("details are %s, not %s", has, reflect.TypeOf(want).Elem())
	}
	return nil
}

func marshal(e *Event) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode reads an encoded event, for tools. Members it does not know are
// ignored: a later version may have added them. Details are a pointer to the
// struct of the type (see NewDetails), and a map when the type is unknown.
func Decode(encoded []byte) (*Event, error) {
	var head struct {
		Data struct {
			Event struct {
				Type Type `json:"type"`
			} `json:"event"`
		} `json:"data"`
	}
	if err := json.Unmarshal(encoded, &head); err != nil {
		return nil, fmt.Errorf("event: decoding: %w", err)
	}
	var e Event
	// A pointer in an interface is decoded into, not replaced.
	e.Data.Details = NewDetails(head.Data.Event.Type)
	if err := json.Unmarshal(encoded, &e); err != nil {
		return nil, fmt.Errorf("event: decoding: %w", err)
	}
	return &e, nil
}

// Source is the CloudEvents source of an observer's endpoint, a URN. For the
// agent's own events the endpoint is "" or AgentStream.
func Source(observer, endpoint string) string {
	if endpoint == "" {
		endpoint = AgentStream
	}
	return "urn:jwkswatch:" + escape(observer) + ":" + escape(endpoint)
}

// escape percent-encodes everything but the unreserved characters of RFC 3986,
// the colon too: it divides observer from endpoint.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// SubjectTokens splits a type into the two tokens it has in a NATS subject:
// key.added is key and added.
func SubjectTokens(t Type) (object, action string) {
	object, action, _ = strings.Cut(string(t), ".")
	return object, action
}
