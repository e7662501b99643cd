// Package sinks carries the journal outside. Each sink reads it with a cursor
// of its own, so a sink that is down delays only itself.
//
// A Delivery reads, retries, parks and moves the cursor; a Sink only sends. The
// order is send first, then move the cursor: after a crash events are sent
// again, never lost, and a receiver tells them apart by their id.
package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

// Sink delivers events. Send is called by one goroutine at a time.
type Sink interface {
	// Name names the cursor of the sink.
	Name() string
	// Send delivers the batch in order. The first sent entries are durably
	// delivered, even when err is not nil. An error that wraps ErrRejected is
	// about batch[sent] and is for good; any other is temporary, and one that
	// wraps ErrMisconfigured waits for an operator.
	Send(ctx context.Context, batch []state.Entry) (sent int, err error)
}

var (
	// ErrRejected wraps the reason for which an event can never be delivered.
	// Delivery parks the event and goes on with the next.
	ErrRejected = errors.New("event rejected")
	// ErrMisconfigured wraps an error that another attempt alone will not mend.
	// Delivery goes on trying, at the longest interval.
	ErrMisconfigured = errors.New("sink misconfigured")
)

// facts are the members of a stored event that a sink shows outside of it.
type facts struct {
	time     string // in event.TimeLayout
	severity event.Severity
	message  string
}

// read takes the facts out of the stored event. The severity is the event's
// own: Entry.Severity is what filters judge by, and differs on a closing event.
// The error wraps ErrRejected: stored bytes do not get better.
func read(e *state.Entry) (facts, error) {
	// A sink frames events by lines, and the bytes go out as they are stored.
	if bytes.ContainsAny(e.JSON, "\r\n") {
		return facts{}, fmt.Errorf("%w: the stored JSON holds a line break", ErrRejected)
	}
	var stored struct {
		Time string `json:"time"`
		Data struct {
			Event struct {
				Severity event.Severity `json:"severity"`
				Message  string         `json:"message"`
			} `json:"event"`
		} `json:"data"`
	}
	if err := json.Unmarshal(e.JSON, &stored); err != nil {
		return facts{}, fmt.Errorf("%w: the stored JSON cannot be read: %w", ErrRejected, err)
	}
	f := facts{time: stored.Time, severity: stored.Data.Event.Severity, message: stored.Data.Event.Message}
	if f.severity == 0 {
		return facts{}, fmt.Errorf("%w: the stored event has no severity", ErrRejected)
	}
	if _, err := time.Parse(event.TimeLayout, f.time); err != nil {
		return facts{}, fmt.Errorf("%w: the stored event has no time of the form %s", ErrRejected, event.TimeLayout)
	}
	return f, nil
}

// encoded is the event as the sink writes it. Errors wrap ErrRejected: stored octets
// do not get better.
func encoded(f format.Format, e *state.Entry) ([]byte, error) {
	b, err := f.Encode(e.JSON)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRejected, err)
	}
	return b, nil
}

// endpointOf is the endpoint's name, or that of the agent's own stream.
func endpointOf(e *state.Entry) string {
	if e.Endpoint == "" {
		return event.AgentStream
	}
	return e.Endpoint
}
