package web

import (
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Metrics is what the agent counts, as plain values. Counts are since its
// start. No text here may come from an issuer: names of endpoints and sinks are
// the operator's.
type Metrics struct {
	Version string
	Started time.Time

	Polls       Polls
	Parses      uint64        // documents read
	Commits     uint64        // steps stored
	StoreErrors uint64        // writes that failed
	Degraded    []string      // codes of agent.degraded that are open
	ScheduleLag time.Duration // how late the most overdue poll is

	Fleet     Fleet
	Endpoints []Endpoint // each name once

	Events     map[EventKind]uint64
	Conditions map[event.Severity]int // open now

	Sinks []Sink // each name once

	JournalHead uint64 // position of the newest event
	StateBytes  int64

	Config Config
}

// Polls counts fetches that ended, second looks included; each is one of these.
type Polls struct {
	Unchanged uint64 // the answer was what the last one was
	Changed   uint64 // it was not
	Failed    uint64
}

// Fleet counts endpoints; each is one of these.
type Fleet struct {
	Good    int // the last poll was good
	Failing int // the last poll failed
	Unseen  int // never a good poll
}

// Endpoint is what is known of one endpoint.
type Endpoint struct {
	Name        string
	LastSuccess time.Time // zero: never
	Failures    int       // in a row
	Keys        int       // in the last set
	Interval    time.Duration
}

// EventKind is a type of event with a severity.
type EventKind struct {
	Type     event.Type
	Severity event.Severity
}

// Sink is what is known of one sink.
type Sink struct {
	Name    string
	Type    string // log, nats, …
	Sent    uint64
	Retries uint64 // failed attempts
	Parked  uint64 // rejected for good
	Lost    uint64 // told of by agent.events_lost
	// Suspicious counts answers that the sink had an event which was never sent.
	Suspicious uint64
	Connected  bool
	Pending    uint64        // events in the journal that it does not have
	Oldest     time.Duration // age of the oldest of them; 0 when there is none
}

// Config counts loads of the configuration while running.
type Config struct {
	Applied uint64
	Refused uint64
	// Loaded is when the configuration in use was loaded; that of the start
	// counts.
	Loaded time.Time
	Failed bool // the last reload was refused
}
