package agent_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
)

// TestDrills holds that each scenario is an event of its real type that the schema
// takes, is marked, passes every filter and stands in the agent's own stream.
func TestDrills(t *testing.T) {
	src, err := os.ReadFile("../event/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(src))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("event.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("event.json")
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		for _, name := range agent.Scenarios() {
			if got, ok := agent.Scenario(strings.Replace(name, "-", ".", 1)); !ok || got != name {
				t.Errorf("%s is not known by its type", name)
			}
			id, err := s.voice.Drill(t.Context(), time.Now(), "corp-idp", name)
			if err != nil {
				t.Fatal(err)
			}
			entry, err := s.db.EventByID(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(entry.JSON))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			e, err := event.Decode(entry.JSON)
			if err != nil {
				t.Fatal(err)
			}
			f := &e.Data.Event
			if !f.Drill || e.Data.Endpoint != nil || e.Data.Integrity.Stream != event.AgentStream || !strings.HasPrefix(f.Message, "DRILL: corp-idp: ") ||
				string(f.Type) != strings.Replace(name, "-", ".", 1) || entry.Severity != uint8(event.SeverityCritical) || e.Data.Rules[0].Title == "" {
				t.Errorf("%s: %s", name, entry.JSON)
			}
		}
		if _, err := s.voice.Drill(t.Context(), time.Now(), "corp-idp", "nonsense"); err == nil {
			t.Error("a drill that is none is said")
		}
		at := time.Now()
		if _, err := s.voice.Drill(t.Context(), at, "corp-idp", "set-emptied"); err != nil {
			t.Fatal(err)
		}
		s.end()
		s.pass(time.Hour)
		s.start()
		if last, err := s.voice.LastDrill(t.Context(), time.Now()); err != nil || !last.Equal(at) {
			t.Errorf("after a restart the last drill was at %s, %v", last, err)
		}
		before := len(s.events())
		for _, outcome := range []string{"delivered", "pending"} {
			d := event.DrillDetails{Drill: "jw1-x", Scenario: "key-mutated", Endpoint: "corp-idp", Sinks: []event.DrillOutcome{{Name: "siem", Outcome: outcome}}}
			if err := s.voice.Drilled(t.Context(), time.Now(), d); err != nil {
				t.Fatal(err)
			}
		}
		if told := s.events()[before:]; len(told) != 2 || told[0].Data.Event.Type != event.DrillPassed || told[1].Data.Event.Type != event.DrillFailed ||
			told[1].Data.Event.Severity != event.SeverityHigh || !strings.Contains(told[1].Data.Event.Message, "siem") || told[1].Data.Event.Drill {
			t.Errorf("outcomes: %+v", told)
		}
		if len(s.voice.Open()) > 0 {
			t.Error("a drill opens a condition")
		}
	})
}
