// Package query answers questions from a state: what the command line and the
// socket want to know, they all ask here, so that they can never
// disagree. It only reads, and it reads no clock: what only a running daemon
// knows comes in as Live.
//
// All text in an answer that an issuer controls has passed event.Text; the text
// renderers in print.go are fit for a terminal besides. Members of the result
// structs are public surface (-o json): each is always present, null where it
// does not apply. They are added and never renamed.
package query

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// Source is a state to ask, as *bolt.DB is one. It is wider than an interface
// should be, because it stands for one thing only: the same file, held by the
// daemon or copied while it rests.
type Source interface {
	Latest(ctx context.Context, endpoint string) (state.Record, error)
	LastSeen(ctx context.Context, endpoint string) (time.Time, error)
	Snapshots(ctx context.Context, endpoint string) iter.Seq2[state.Record, error]
	Endpoints(ctx context.Context) ([]string, error)
	Heads(ctx context.Context) iter.Seq2[bolt.NamedHead, error]
	Events(ctx context.Context, after string) iter.Seq2[state.Entry, error]
	EventsBackwards(ctx context.Context, before string) iter.Seq2[state.Entry, error]
	EventByID(ctx context.Context, id string) (state.Entry, error)
	Wait(ctx context.Context, after string) error
	Cursors(ctx context.Context) ([]string, error)
	Pending(ctx context.Context, sink string) (n uint64, oldest time.Time, err error)
	Size() (int64, error)
}

var _ Source = (*bolt.DB)(nil)

// Live is what only a running daemon knows. Times are zero when there was none.
type Live struct {
	Version      string
	Started      time.Time
	ConfigDigest string         // sha256:<hex>
	Refused      string         // the first problem of the file on disk, when it was refused
	Endpoints    []LiveEndpoint // those that are watched
	Sinks        []LiveSink
	Degraded     []string // codes of the open conditions of the agent itself
}

// LiveEndpoint is how it stands with an endpoint that is watched.
type LiveEndpoint struct {
	Name     string
	Issuer   string // masked; "" without discovery
	URL      string // of the key set, masked; "" while discovery has not led to one
	Tier     string
	LastPoll time.Time
	LastGood time.Time
	NextPoll time.Time
	Failures int       // polls that failed in a row
	Since    time.Time // the first of them
	Phase    string    // of the last failure
	Code     string
}

// LiveSink is how it stands with a sink.
type LiveSink struct {
	Name      string
	Type      string
	Connected bool
	LastError string // "" when the last attempt went well
	Parked    uint64 // events that it refused for good, since the start
	Lost      uint64 // events that were found not to be there any more, since the start
}

// Answers are the questions that can be asked, of a running daemon or of a
// state at rest. Errors that say something about the question are *Problem.
type Answers interface {
	Status(ctx context.Context) (StatusReport, error)
	Endpoints(ctx context.Context) ([]EndpointRow, error)
	// Events yields events as stored, oldest first.
	Events(ctx context.Context, f Filter) iter.Seq2[json.RawMessage, error]
	// Follow is Events, and then goes on with what comes, until the context
	// ends. It ends with an error only.
	Follow(ctx context.Context, f Filter) iter.Seq2[json.RawMessage, error]
	Event(ctx context.Context, id string) (json.RawMessage, error)
	// History yields the newest steps of an endpoint, newest first; at most
	// limit, 0 means 20.
	History(ctx context.Context, endpoint string, limit int) ([]HistoryRow, error)
	// Show is the set as it was at a time, the zero time means now.
	Show(ctx context.Context, endpoint string, at time.Time) (Shown, error)
	// Keys lists keys that were ever published, the live ones first.
	Keys(ctx context.Context, f KeyFilter) ([]PublishedKey, error)
	Close() error
}

// State answers from a Source. Its methods are safe for concurrent use.
type State struct {
	Source Source
	// Live tells what only the running daemon knows; nil when none runs. It is
	// called once for each question.
	Live func() Live
	// OnClose is called by Close; nil does nothing.
	OnClose func() error
}

var _ Answers = (*State)(nil)

// Close ends the use of the source.
func (s *State) Close() error {
	if s.OnClose == nil {
		return nil
	}
	return s.OnClose()
}

// live returns nil when no daemon runs.
func (s *State) live() *Live {
	if s.Live == nil {
		return nil
	}
	return new(s.Live())
}

// text is nil for the empty string and safe to show otherwise.
func text(s string) *string { return event.TextOrNil(s) }
