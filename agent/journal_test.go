package agent_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// schema is the published one.
var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(event.Schema()))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("event.json")
})

// events reads the journal, and holds each event to the schema, to the form that
// all events of the agent have, and to its place in the chain.
func (s *scene) events() []*event.Event {
	s.t.Helper()
	return journal(s.t, s.db)
}

func journal(t testing.TB, db *bolt.DB) []*event.Event {
	t.Helper()
	valid, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	var out []*event.Event
	var before *string
	ids, open := map[string]bool{}, map[string]string{}
	for entry, err := range db.Events(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Endpoint != "" { // not the agent's word; one that is missing shows in the chain
			continue
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(entry.JSON))
		if err != nil {
			t.Fatal(err)
		}
		if err := valid.Validate(v); err != nil {
			t.Errorf("%s is not valid: %v", entry.Type, err)
		}
		e, err := event.Decode(entry.JSON)
		if err != nil {
			t.Fatal(err)
		}
		in := e.Data.Integrity
		if in.Stream != event.AgentStream || in.Epoch != db.Installation().Epoch || in.Sequence != uint64(len(out)+1) ||
			(in.Previous == nil) != (before == nil) || before != nil && *in.Previous != *before {
			t.Errorf("%s: not at its place in the chain: %+v, before it %v", entry.Type, in, before)
		}
		h, err := event.Hash(entry.JSON)
		if err != nil {
			t.Fatal(err)
		}
		before = new(fmt.Sprintf("sha256:%x", h))
		if e.ID != entry.ID || ids[e.ID] || entry.Endpoint != "" || e.Data.Endpoint != nil || e.Subject != event.AgentStream ||
			e.Source != "urn:jwkswatch:soc-1:_agent" || !e.Time.Equal(entry.At) {
			t.Errorf("%s: %+v in %+v", entry.Type, e, entry)
		}
		ids[e.ID] = true
		judged(t, e, open, event.Severity(entry.Severity))
		out = append(out, e)
	}
	return out
}

// judged holds that severity, rule and judgement tell the same, and that
// conditions open once and close once.
func judged(t testing.TB, e *event.Event, open map[string]string, filter event.Severity) {
	t.Helper()
	f, r := e.Data.Event, e.Data.Rules[0]
	is := e.Data.Judgement.BaseSeverity
	closing := f.Condition != nil && f.Condition.State == event.Closed
	if r.Title == "" || r.Severity != is && !closing {
		t.Errorf("%s: rule %+v, base severity %s", f.Type, r, is)
	}
	for _, a := range e.Data.Judgement.Adjustments {
		is = a.To
	}
	if is != f.Severity {
		t.Errorf("%s is %s, the judgement says %s", f.Type, f.Severity, is)
	}
	want := f.Severity
	switch {
	case f.Type == event.AgentHeartbeat, f.Type == event.AgentCheckpoint, f.Drill:
		want = event.SeverityCritical // passes every filter
	case f.Condition == nil:
	case closing:
		if want = event.SeverityHigh; open[f.Condition.ID] != f.Condition.OpenedBy || f.Severity != event.SeverityInformational {
			t.Errorf("%s closes what is not open: %+v", f.Message, f.Condition)
		}
		open[f.Condition.ID] = "closed"
	default:
		if open[f.Condition.ID] != "" || f.Condition.OpenedBy != e.ID {
			t.Errorf("%s opens again: %+v", f.Message, f.Condition)
		}
		open[f.Condition.ID] = e.ID
	}
	if filter != want {
		t.Errorf("%s: filters judge by %s, want %s", f.Type, filter, want)
	}
}

// tell names events in short, heartbeats left out.
func tell(list []*event.Event) []string {
	out := []string{}
	for _, e := range list {
		if f := e.Data.Event; f.Type != event.AgentHeartbeat {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Severity, strings.TrimPrefix(string(f.Type), "agent."), strings.Join(f.Reasons, " "))))
		}
	}
	return out
}

func (s *scene) expect(want ...string) {
	s.t.Helper()
	if got := tell(s.events()); !slices.Equal(got, want) {
		s.t.Fatalf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// last is the newest event and its details.
func last[T any](s *scene) (*event.Event, *T) {
	s.t.Helper()
	list := s.events()
	e := list[len(list)-1]
	d, ok := e.Data.Details.(*T)
	if !ok {
		s.t.Fatalf("the last event is %s", e.Data.Event.Type)
	}
	return e, d
}
