package query_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/state"
)

// hour is a journal of 60 events, one a minute: even minutes corp, odd ones
// partner; every tenth a removal of medium severity.
func hour(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for i := range 60 {
		e := told{event.KeyAdded, event.SeverityLow, fmt.Sprint("m", i), 0}
		if i%10 == 0 {
			e.typ, e.severity = event.KeyRemoved, event.SeverityMedium
		}
		if i == 31 { // a closing event passes what its opening passed
			e = told{event.SetAmbiguous, event.SeverityInformational, "m31", event.SeverityHigh}
		}
		w.step([]string{"corp", "partner"}[i%2], i, "", e)
	}
	w.step(event.AgentStream, 60, "", told{event.AgentStarted, event.SeverityInformational, "started", 0})
	return w
}

func TestEvents(t *testing.T) {
	t.Parallel()
	w := hour(t)
	s := w.resting()
	id := func(message string) string {
		for e, err := range w.db.Events(t.Context(), "") {
			if err == nil && strings.Contains(string(e.JSON), `"message":"`+message+`"`) {
				return e.ID
			}
		}
		t.Fatal("no event", message)
		return ""
	}
	for _, c := range []struct {
		what string
		f    query.Filter
		want string
	}{
		{"the newest three", query.Filter{Limit: 3}, "m58 m59 started"},
		{"of one endpoint", query.Filter{Endpoint: "corp", Limit: 2}, "m56 m58"},
		{"of the agent", query.Filter{Endpoint: event.AgentStream}, "started"},
		{"of a type", query.Filter{Type: "key.removed", Limit: 3}, "m30 m40 m50"},
		{"of an object", query.Filter{Type: "agent"}, "started"},
		{"of a pattern", query.Filter{Type: "*.removed"}, "m0 m10 m20 m30 m40 m50"},
		{"of an object by pattern", query.Filter{Type: "set.*"}, "m31"},
		{"of a severity", query.Filter{MinSeverity: event.SeverityMedium, Since: at(25)}, "m30 m31 m40 m50"},
		{"closing events too", query.Filter{MinSeverity: event.SeverityHigh}, "m31"},
		{"since", query.Filter{Since: at(58)}, "m58 m59 started"},
		{"until", query.Filter{Until: at(2)}, "m0 m1"},
		{"between", query.Filter{Since: at(10), Until: at(13)}, "m10 m11 m12"},
		{"between, the newest", query.Filter{Since: at(10), Until: at(20), Limit: 2}, "m18 m19"},
		{"after an event", query.Filter{After: id("m57")}, "m58 m59 started"},
		{"after an event, the newest", query.Filter{After: id("m50"), Limit: 2, Endpoint: "corp"}, "m56 m58"},
		{"after an event, more than there are", query.Filter{After: id("m57"), Limit: 9}, "m58 m59 started"},
		{"after the last", query.Filter{After: id("started")}, ""},
		{"all together", query.Filter{Endpoint: "corp", Type: "key.*", MinSeverity: event.SeverityMedium, Since: at(5), Until: at(45), Limit: 3}, "m20 m30 m40"},
		{"none", query.Filter{Since: at(1000)}, ""},
	} {
		if got := strings.Join(messages(t, s.Events(t.Context(), c.f)), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	if got := messages(t, s.Events(t.Context(), query.Filter{})); len(got) != 61 || got[0] != "m0" {
		t.Errorf("all are %v", got)
	}
	if got := messages(t, newWorld(t).resting().Events(t.Context(), query.Filter{Limit: 5})); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for range s.Events(t.Context(), query.Filter{}) { // may end early
		break
	}
}

// TestEventsAsStored holds that what is answered are the stored octets.
func TestEventsAsStored(t *testing.T) {
	t.Parallel()
	w := hour(t)
	next, stop := iter.Pull2(w.db.Events(t.Context(), ""))
	defer stop()
	for raw, err := range w.resting().Events(t.Context(), query.Filter{}) {
		e, _, ok := next()
		if err != nil || !ok || string(raw) != string(e.JSON) {
			t.Fatalf("%s, stored is %s (%v)", raw, e.JSON, err)
		}
		one, err := w.resting().Event(t.Context(), e.ID)
		if err != nil || string(one) != string(e.JSON) {
			t.Fatalf("%s, stored is %s (%v)", one, e.JSON, err)
		}
	}
}

func TestBadQuestions(t *testing.T) {
	t.Parallel()
	s := hour(t).running(query.Live{Endpoints: []query.LiveEndpoint{{Name: "watched-only"}}})
	for _, c := range []struct {
		f                query.Filter
		code             query.Code
		says, suggestion string
	}{
		{query.Filter{Endpoint: "crop"}, query.UnknownEndpoint, `"crop"`, "corp"},
		{query.Filter{Endpoint: "part"}, query.UnknownEndpoint, `"part"`, "partner"},
		{query.Filter{Endpoint: "a\x1b[2J\u202e"}, query.UnknownEndpoint, `no endpoint is named`, ""},
		{query.Filter{Type: "key.addded"}, query.BadQuestion, `"key.addded"`, "key.added"},
		{query.Filter{Type: "kye.*"}, query.BadQuestion, `"kye.*"`, ""},
		{query.Filter{Type: "[a"}, query.BadQuestion, "no pattern", ""},
		{query.Filter{Type: strings.Repeat("*", 500)}, query.BadQuestion, "no pattern", ""},
		{query.Filter{Limit: -1}, query.BadQuestion, "negative", ""},
		{query.Filter{MinSeverity: 9}, query.BadQuestion, "severity", ""},
		{query.Filter{Since: at(5), Until: at(5)}, query.BadQuestion, "before", ""},
		{query.Filter{After: "jw1-none"}, query.UnknownEvent, `"jw1-none"`, ""},
	} {
		for name, ask := range map[string]func(context.Context, query.Filter) iter.Seq2[json.RawMessage, error]{"events": s.Events, "follow": s.Follow} {
			for _, err := range ask(t.Context(), c.f) {
				p, says := problem(err), c.says
				if name == "follow" && !c.f.Until.IsZero() {
					says = "followed"
				}
				if p.Code != c.code || !strings.Contains(p.Message, says) || p.Suggestion != c.suggestion || strings.ContainsAny(p.Error(), "\x1b\u202e") {
					t.Errorf("%s of %+v: %+v (%v)", name, c.f, p, err)
				}
			}
		}
	}
	if got := messages(t, s.Events(t.Context(), query.Filter{Endpoint: "watched-only"})); len(got) != 0 {
		t.Errorf("of an endpoint that is only watched: %v", got)
	}
	if _, err := s.Event(t.Context(), "jw1-\nnone"); problem(err).Code != query.UnknownEvent || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v", err)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	w := hour(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next, stop := iter.Pull2(w.running(query.Live{}).Follow(ctx, query.Filter{Endpoint: "corp", Limit: 2}))
	defer stop()
	take := func() string {
		t.Helper()
		raw, err, ok := next()
		if err != nil || !ok {
			t.Fatalf("it ended: %v", err)
		}
		e, err := event.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		return e.Data.Event.Message
	}
	if got := []string{take(), take()}; !slices.Equal(got, []string{"m56", "m58"}) {
		t.Errorf("first are %v", got)
	}
	// What comes, and only what matches; what is not asked for does not stop it.
	for i := range 5 {
		w.step("partner", 100+i, "", told{event.KeyAdded, event.SeverityLow, "no", 0})
		w.step("corp", 100+i, "", told{event.KeyAdded, event.SeverityLow, fmt.Sprint("n", i), 0}, told{event.KeyRemoved, event.SeverityLow, fmt.Sprint("o", i), 0})
		if got := []string{take(), take()}; !slices.Equal(got, []string{fmt.Sprint("n", i), fmt.Sprint("o", i)}) {
			t.Errorf("then come %v", got)
		}
	}
	// Its end is an error, and only the context makes it.
	time.AfterFunc(5*time.Millisecond, cancel)
	if _, err, ok := next(); !ok || !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if _, _, ok := next(); ok {
		t.Error("it goes on after its error")
	}
}

// TestFollowWhileCommitted holds that none is lost and none is repeated, while
// others commit and thin.
func TestFollowWhileCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 200
	followed := make(chan error, 1)
	go func() {
		i := 0
		for raw, err := range w.running(query.Live{}).Follow(t.Context(), query.Filter{Type: "key.added"}) {
			if err == nil && !strings.Contains(string(raw), fmt.Sprintf(`"message":"%d"`, i)) {
				err = fmt.Errorf("event %d is %s", i, raw)
			}
			if i++; err != nil || i == n {
				followed <- err
				return
			}
		}
	}()
	for i := range n {
		w.step("corp", i, "", told{event.KeyAdded, event.SeverityLow, fmt.Sprint(i), 0})
		w.step(event.AgentStream, i, "", told{event.AgentHeartbeat, event.SeverityInformational, "alive", 0})
		if i%20 == 0 {
			if _, err := w.db.Thin(t.Context(), at(i), []string{string(event.AgentHeartbeat)}, nil); err != nil {
				t.Error(err)
			}
		}
	}
	if err := <-followed; err != nil {
		t.Error(err)
	}
}

// TestSignsOfLifeHideNothingSevere asks for the newest severe events of an agent
// that lives: what passes the filters of sinks is no answer.
func TestSignsOfLifeHideNothingSevere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.step("corp", 0, "", told{event.KeyMutated, event.SeverityCritical, "mutated", 0})
	for i := range 30 {
		w.step(event.AgentStream, i, "", told{event.AgentHeartbeat, event.SeverityInformational, "alive", event.SeverityCritical},
			told{event.AgentCheckpoint, event.SeverityInformational, "signed", event.SeverityCritical})
	}
	for severity, want := range map[event.Severity]int{event.SeverityHigh: 1, event.SeverityLow: 1, event.SeverityInformational: 20, 0: 20} {
		n := 0
		for _, err := range w.resting().Events(t.Context(), query.Filter{MinSeverity: severity, Limit: 20}) {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		if n != want {
			t.Errorf("of severity %s %d events, want %d", severity, n, want)
		}
	}
}

func TestNothingComesToAStateAtRest(t *testing.T) {
	t.Parallel()
	n := 0
	for _, err := range hour(t).resting().Follow(t.Context(), query.Filter{}) {
		if n++; problem(err).Code != query.NotRunning {
			t.Errorf("error is %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d answers", n)
	}
}

// TestClockSetBack holds that a clock that was wrong for a while does not hide
// what lies before.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	minutes := []int{0, 10, 20, -600, 30} // for one event the clock was ten hours back
	for i, m := range minutes {
		w.step("corp", m, "", told{event.KeyAdded, event.SeverityLow, fmt.Sprint(i), 0})
	}
	if got := messages(t, w.resting().Events(t.Context(), query.Filter{Since: at(5), Limit: 10})); !slices.Equal(got, []string{"1", "2", "4"}) {
		t.Errorf("events are %v", got)
	}
}

// failing is a source whose journal fails.
type failing struct{ query.Source }

func (failing) EventsBackwards(context.Context, string) iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) { yield(state.Entry{}, state.ErrCorrupt) }
}

func TestDamagedJournal(t *testing.T) {
	t.Parallel()
	s := &query.State{Source: failing{fleet(t).db}}
	for _, err := range s.Events(t.Context(), query.Filter{Limit: 1}) {
		if !errors.Is(err, state.ErrCorrupt) {
			t.Errorf("error is %v", err)
		}
	}
	// The status still tells all else.
	r, err := s.Status(t.Context())
	if err != nil || len(r.Problems) != 1 || r.Endpoints.Good != 2 {
		t.Errorf("report is %+v (%v)", r, err)
	}
}
