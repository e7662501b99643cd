// Package format writes a stored event in the words of those who read it: as it
// is (CloudEvents), for OCSF, for the Elastic Common Schema, and as CEF.
//
// What a schema has no place for is carried beside it, whole, so that nothing is
// lost on the way: OCSF under unmapped, ECS under jwkswatch. CEF has no such place
// and holds what an analyst sorts by; the id leads to the rest.
//
// The package is pure, and the same event always makes the same octets.
package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Format is how an event is written. The zero value is CloudEvents.
type Format string

// The formats.
const (
	CloudEvents Format = "cloudevents" // the canonical event, octet by octet as stored
	OCSF        Format = "ocsf"        // 1.8.0: Detection Finding, Entity Management, Application Lifecycle
	ECS         Format = "ecs"         // 9.4.0
	CEF         Format = "cef"         // 0, one line
)

// All are the formats, in the order of the reference.
func All() []Format { return []Format{CloudEvents, OCSF, ECS, CEF} }

// ContentType is the media type of what Encode returns.
func (f Format) ContentType() string {
	switch f {
	case OCSF, ECS:
		return "application/json"
	case CEF:
		return "text/plain; charset=utf-8"
	}
	return "application/cloudevents+json"
}

// Encode writes a stored event, without a line break in it or at its end. Errors:
// what is stored cannot be read, or the format is none.
func (f Format) Encode(stored []byte) ([]byte, error) {
	if f == CloudEvents || f == "" {
		return stored, nil
	}
	d, err := read(stored)
	if err != nil {
		return nil, fmt.Errorf("format %s: %w", f, err)
	}
	switch f {
	case OCSF:
		return encode(d.ocsf())
	case ECS:
		return encode(d.ecs())
	case CEF:
		return d.cef(), nil
	}
	return nil, fmt.Errorf("format %q is not known", string(f))
}

// encode leaves <, > and & as they are, as the stored event does: six octets for one would
// let an issuer make an event larger than what receivers take.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("writing the event: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// document is a stored event as far as the formats read it.
type document struct {
	ID      string          `json:"id"`
	Subject string          `json:"subject"`
	Time    time.Time       `json:"time"`
	Data    json.RawMessage `json:"data"` // as stored

	data     `json:"-"`
	approval *approval // of an event about one, nil of others
}

// approval is of the details of an event about an approval: it stands in the stream of
// the agent, and who asks for an endpoint or a key wants to see it.
type approval struct {
	ID         string   `json:"id"`
	Endpoint   string   `json:"endpoint"`
	Thumbprint *string  `json:"thumbprint"`
	Kid        *string  `json:"kid"`
	Keys       []string `json:"keys"`
}

type data struct {
	Event     event.Facts      `json:"event"`
	Endpoint  *event.Endpoint  `json:"endpoint"`
	Rules     []event.Rule     `json:"rules"`
	Key       *event.Key       `json:"key"`
	Previous  *event.Key       `json:"previous_key"`
	Keys      []event.Key      `json:"keys"`
	Transport *event.Transport `json:"transport"`
	Standards event.Standards  `json:"standards"`
	Observer  event.Observer   `json:"observer"`
	Integrity event.Integrity  `json:"integrity"`
}

func read(stored []byte) (*document, error) {
	d := new(document)
	if err := json.Unmarshal(stored, d); err != nil {
		return nil, fmt.Errorf("the stored event cannot be read: %w", err)
	}
	if err := json.Unmarshal(d.Data, &d.data); err != nil {
		return nil, fmt.Errorf("the data of the stored event cannot be read: %w", err)
	}
	if d.ID == "" || d.Event.Type == "" || d.Event.Severity == 0 || d.Time.IsZero() {
		return nil, fmt.Errorf("the stored event has no id, type, severity or time")
	}
	if d.object() == "approval" {
		about := struct {
			Details approval `json:"details"`
		}{}
		if err := json.Unmarshal(d.Data, &about); err != nil {
			return nil, fmt.Errorf("the details of the stored event cannot be read: %w", err)
		}
		d.approval = &about.Details
	}
	return d, nil
}

// object is what the event is about by its type: key, set, endpoint, agent, …
func (d *document) object() string {
	object, _, _ := strings.Cut(string(d.Event.Type), ".")
	return object
}

// closes reports whether the event ends a condition.
func (d *document) closes() bool {
	return d.Event.Condition != nil && d.Event.Condition.State == event.Closed
}

// finding reports whether somebody should look at it: what was not expected, what
// lasts and its end, and what is medium or worse.
func (d *document) finding() bool {
	return d.Event.Condition != nil || d.Event.Verdict == event.Unexpected || d.Event.Severity >= event.SeverityMedium
}

// alert reports whether somebody is to be called.
func (d *document) alert() bool {
	return d.finding() && !d.closes() && d.Event.Severity >= event.SeverityMedium
}

// incident is one id for all that is told of one thing: of a condition its own.
func (d *document) incident() string {
	if d.Event.Condition != nil {
		return d.Event.Condition.ID
	}
	return d.ID
}

// rule is the one that decided: the first of those with the highest severity.
func (d *document) rule() event.Rule {
	if len(d.Rules) == 0 {
		return event.Rule{ID: strings.NewReplacer(".", "-", "_", "-").Replace(string(d.Event.Type)), Title: string(d.Event.Type), Severity: d.Event.Severity}
	}
	return slices.MaxFunc(d.Rules, func(a, b event.Rule) int { return int(a.Severity) - int(b.Severity) })
}

// name is the endpoint, or the stream of the agent.
func (d *document) name() string {
	switch {
	case d.Endpoint != nil:
		return d.Endpoint.Name
	case d.approval != nil && d.approval.Endpoint != "":
		return d.approval.Endpoint
	}
	return event.AgentStream
}

// remote is the address that answered; ok is false when there is none. A zone is of
// the host that looked, and receivers refuse an event for it.
func (d *document) remote() (a netip.AddrPort, ok bool) {
	if d.Transport == nil {
		return a, false
	}
	a, err := netip.ParseAddrPort(text(d.Transport.RemoteAddr))
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), err == nil
}

// url is what was asked, masked.
func (d *document) url() string {
	if d.Transport != nil && d.Transport.URL != "" {
		return d.Transport.URL
	}
	if d.Endpoint != nil {
		return text(d.Endpoint.JWKSURI)
	}
	return ""
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
