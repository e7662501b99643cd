package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// clockSlack is how far the times of neighbours in the journal may be out of
// order before a search by time misses one: clocks are set, and set back.
const clockSlack = 48 * time.Hour

// Filter says which events are asked for. The zero value asks for all.
type Filter struct {
	Endpoint string // exact name; event.AgentStream for the agent's own
	// Type is a type, the object of one ("key" is all of key.*) or a pattern as
	// of path.Match ("*.removed").
	Type string
	// MinSeverity is compared as sinks do: a closing event has the severity of
	// its opening. But signs of life, which every sink gets, are left out: a
	// thousand a day would hide the events that are asked for.
	MinSeverity event.Severity
	Since       time.Time // not before; zero: no bound
	Until       time.Time // before; zero: no bound
	Limit       int       // the newest so many of those that match; 0: all
	After       string    // id of an event: only what the journal has after it
}

// Events yields the events that match, as stored, oldest first, up to the head
// of the journal at the time of the call. After an error the iteration ends.
func (s *State) Events(ctx context.Context, f Filter) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if err := s.events(ctx, f, yield); err != nil {
			yield(nil, fmt.Errorf("reading events: %w", err))
		}
	}
}

func (s *State) events(ctx context.Context, f Filter, yield func(json.RawMessage, error) bool) error {
	if err := s.checkFilter(ctx, f); err != nil {
		return err
	}
	after, head, err := s.bounds(ctx, f)
	if err != nil || head == "" {
		return err
	}
	_, _, err = s.forwards(ctx, f, after, head, yield)
	return err
}

// Follow yields what Events yields, and then goes on with what comes, until
// the context ends. It ends with an error only. Errors: as Events, and
// NotRunning: nothing comes to a state at rest.
func (s *State) Follow(ctx context.Context, f Filter) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if err := s.follow(ctx, f, yield); err != nil {
			yield(nil, fmt.Errorf("following events: %w", err))
		}
	}
}

func (s *State) follow(ctx context.Context, f Filter, yield func(json.RawMessage, error) bool) error {
	if s.Live == nil {
		return &Problem{Code: NotRunning, Message: "no daemon runs: no events will come"}
	}
	if !f.Until.IsZero() {
		return bad("events until a time have an end: they cannot be followed")
	}
	if err := s.checkFilter(ctx, f); err != nil {
		return err
	}
	at, _, err := s.bounds(ctx, f)
	for more := true; err == nil; {
		if at, more, err = s.forwards(ctx, f, at, "", yield); !more {
			return nil
		}
		if err == nil {
			err = s.Source.Wait(ctx, at)
		}
	}
	return err
}

// checkFilter refuses a filter that nothing can ever match: most often it is
// misspelt.
func (s *State) checkFilter(ctx context.Context, f Filter) error {
	if f.Limit < 0 {
		return bad("the limit is negative")
	}
	if !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return bad("the time to begin with is not before the time to end with")
	}
	if f.MinSeverity > event.SeverityCritical {
		return bad("no such severity")
	}
	if f.Endpoint != "" && f.Endpoint != event.AgentStream {
		if err := s.checkEndpoint(ctx, f.Endpoint, s.live()); err != nil {
			return err
		}
	}
	return checkType(f.Type)
}

func checkType(pattern string) error {
	if pattern == "" {
		return nil
	}
	if _, err := path.Match(pattern, ""); err != nil || len(pattern) > 128 {
		return bad("%s is no pattern of event types", quote(pattern))
	}
	var names []string
	for _, t := range event.Types() {
		object, _ := event.SubjectTokens(t)
		names = append(names, string(t), object)
	}
	if slices.ContainsFunc(event.Types(), func(t event.Type) bool { return matchType(pattern, string(t)) }) {
		return nil
	}
	return &Problem{BadQuestion, "no event has a type like " + quote(pattern), nearest(pattern, names)}
}

func matchType(pattern, t string) bool {
	if pattern == "" || pattern == t || strings.HasPrefix(t, pattern+".") {
		return true
	}
	ok, err := path.Match(pattern, t)
	return err == nil && ok
}

// signOfLife reports whether events of the type say that the agent lives, and no
// more.
func signOfLife(t string) bool {
	return t == string(event.AgentHeartbeat) || t == string(event.AgentCheckpoint)
}

func (f *Filter) match(e *state.Entry) bool {
	switch {
	case f.Endpoint == event.AgentStream && e.Endpoint != "" && e.Endpoint != event.AgentStream,
		f.Endpoint != event.AgentStream && f.Endpoint != "" && f.Endpoint != e.Endpoint,
		e.Severity < uint8(f.MinSeverity),
		f.MinSeverity > event.SeverityInformational && signOfLife(e.Type),
		!f.Since.IsZero() && e.At.Before(f.Since),
		!f.Until.IsZero() && !e.At.Before(f.Until):
		return false
	}
	return matchType(f.Type, e.Type)
}

// bounds returns between which positions, after and up to, the events lie; head
// is "" when there are none. It looks backwards and keeps nothing, so that the
// newest few of a long journal are found at once, and many need no room.
func (s *State) bounds(ctx context.Context, f Filter) (after, head string, err error) {
	floor := ""
	if f.After != "" {
		e, err := s.entry(ctx, f.After)
		if err != nil {
			return "", "", err
		}
		floor = e.Position
	}
	n := 0
	for e, err := range s.Source.EventsBackwards(ctx, "") {
		if err != nil {
			return "", "", err
		}
		if head == "" {
			head = e.Position
		}
		if e.Position <= floor || !f.Since.IsZero() && e.At.Before(f.Since.Add(-clockSlack)) ||
			f.Limit > 0 && n == f.Limit {
			return e.Position, head, nil
		}
		if f.match(&e) {
			n++
		}
		if f.Limit == 0 && f.Since.IsZero() {
			return floor, head, nil // all of them
		}
	}
	return floor, head, nil
}

// forwards yields what matches after a position, up to another or, when that is
// "", to the head. It returns the position that was looked at last, and whether
// the caller wants more.
func (s *State) forwards(ctx context.Context, f Filter, after, to string, yield func(json.RawMessage, error) bool) (at string, more bool, err error) {
	at = after
	for e, err := range s.Source.Events(ctx, after) {
		if err != nil {
			return at, true, err
		}
		if to != "" && e.Position > to {
			break
		}
		at = e.Position
		if f.match(&e) && !yield(e.JSON, nil) {
			return at, false, nil
		}
	}
	return at, true, nil
}

// Event returns an event as stored. Errors: a Problem UnknownEvent.
func (s *State) Event(ctx context.Context, id string) (json.RawMessage, error) {
	e, err := s.entry(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("looking for an event: %w", err)
	}
	return e.JSON, nil
}

func (s *State) entry(ctx context.Context, id string) (state.Entry, error) {
	e, err := s.Source.EventByID(ctx, id)
	if errors.Is(err, bolt.ErrNotFound) {
		err = &Problem{Code: UnknownEvent, Message: "no event with the id " + quote(id) + " is in the journal: it never was, or retention has dropped it"}
	}
	return e, err
}
