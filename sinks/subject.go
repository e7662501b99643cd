package sinks

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

// DefaultPrefix begins the subject of every event.
const DefaultPrefix = "jwkswatch.v1"

// message makes the NATS message of an event. Headers only mirror facts, for
// many consumers drop them: the payload stands alone. Errors wrap ErrRejected.
func message(prefix string, form format.Format, e *state.Entry) (*nats.Msg, error) {
	f, err := read(e)
	if err != nil {
		return nil, err
	}
	subject, err := subjectOf(prefix, f.severity, e)
	if err != nil {
		return nil, err
	}
	// Without an id there is no deduplication, and nats.go would quietly turn
	// line breaks in a header into spaces.
	if !token(e.ID) {
		return nil, fmt.Errorf("%w: the id of the event is no plain token", ErrRejected)
	}
	body, err := encoded(form, e)
	if err != nil {
		return nil, err
	}
	return &nats.Msg{
		Subject: subject,
		Data:    body,
		Header: nats.Header{ // keys are case-sensitive in NATS
			jetstream.MsgIDHeader:  {e.ID},
			"Content-Type":         {form.ContentType()},
			"Jwkswatch-Event-Type": {e.Type},
			"Jwkswatch-Severity":   {f.severity.String()},
			"Jwkswatch-Endpoint":   {endpointOf(e)},
		},
	}, nil
}

// subjectOf is <prefix>.<severity>.<object>.<action>.<endpoint>. The server
// takes * and > in the subject of a publish as they are, and text of any
// language: nothing may get here that is not a plain token.
func subjectOf(prefix string, severity event.Severity, e *state.Entry) (string, error) {
	object, action, ok := strings.Cut(e.Type, ".")
	if !ok || !token(object) || !token(action) {
		return "", fmt.Errorf("%w: its type is not of the form object.action", ErrRejected)
	}
	endpoint := endpointOf(e)
	if !token(endpoint) {
		return "", fmt.Errorf("%w: the name of its endpoint is no plain token", ErrRejected)
	}
	return strings.Join([]string{prefix, severity.String(), object, action, endpoint}, "."), nil
}

// token reports whether s is made of a-z, 0-9, _ and -, up to 63 of them.
func token(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// tokens reports whether s is made of tokens with dots between them.
func tokens(s string) bool {
	for t := range strings.SplitSeq(s, ".") {
		if !token(t) {
			return false
		}
	}
	return true
}
