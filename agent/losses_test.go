package agent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

func TestEventsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		f := &faulty{}
		f.mode.Store("")
		s.wrap = func(st state.Store) state.Store { f.Store = st; return f }
		s.start()
		since := time.Now().Add(-time.Hour)
		tell := func(d event.AgentEventsLostDetails) error { return s.voice.EventsLost(t.Context(), time.Now(), d) }
		lost := event.AgentEventsLostDetails{
			Sink: "siem", Cause: "receiver_lost", Count: 41, Resent: true, Since: new(event.At(since)), Until: new(event.At(time.Now())), First: new("jw1-a"), Last: new("jw1-b"),
		}
		if err := tell(lost); err != nil {
			t.Fatal(err)
		}
		s.expect("informational started", "high events_lost receiver_lost")
		e, d := last[event.AgentEventsLostDetails](s)
		if d.Count != 41 || !d.Resent || !strings.Contains(e.Data.Event.Message, "sink siem has lost 41 events that it had acknowledged, of "+since.UTC().Format("2006-01-02 15:04 UTC")) {
			t.Errorf("%+v %s", d, e.Data.Event.Message)
		}
		if err := tell(event.AgentEventsLostDetails{Sink: "siem", Cause: "max_backlog", Count: 1}); err != nil {
			t.Fatal(err)
		}
		if e, _ := last[event.AgentEventsLostDetails](s); !strings.Contains(e.Data.Event.Message, "the oldest 1 event will never reach it") {
			t.Error(e.Data.Event.Message)
		}
		// What could not be stored was not told: the sink has to know.
		f.mode.Store("not stored")
		if err := tell(lost); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		f.mode.Store("")
	})
}

// A sink that has what it was never sent is told of once, and no more when all
// was new to it for an hour; also over a restart.
func TestSinkSuppressed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.sinks = []agent.SinkState{{Name: "siem", Connected: true}}
		s.start()
		s.pass(2 * time.Second)
		s.set(func() { s.sinks[0].Suspicious = 2 })
		s.pass(2 * time.Second)
		s.set(func() { s.sinks[0].Suspicious = 3 })
		s.pass(59 * time.Minute)
		want := []string{"informational started", "high degraded sink_suppressed"}
		s.expect(want...)
		if e, d := last[event.AgentDegradedDetails](s); *d.Subject != "siem" || !strings.Contains(e.Data.Event.Message, "2 events") {
			t.Errorf("%+v %s", d, e.Data.Event.Message)
		}
		s.end()
		s.sinks[0].Suspicious = 0
		s.start()
		want = append(want, "low stopped signal", "informational started")
		s.pass(59 * time.Minute)
		s.expect(want...)
		s.pass(2 * time.Minute)
		s.expect(append(want, "informational degraded condition_closed sink_suppressed")...)
	})
}

// A sink that refuses events for good is told of, in the sinks that are left.
func TestSinkParked(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.sinks = []agent.SinkState{{Name: "hook", Connected: true}, {Name: "siem", Connected: true}}
		s.start()
		s.pass(2 * time.Second)
		s.set(func() { s.sinks[0].Parked = 1 })
		s.pass(2 * time.Second)
		want := []string{"informational started", "high degraded sink_parked"}
		s.expect(want...)
		if e, d := last[event.AgentDegradedDetails](s); *d.Subject != "hook" || !strings.Contains(e.Data.Event.Message, "refused 1 event for good") {
			t.Errorf("%+v %s", d, e.Data.Event.Message)
		}
		s.set(func() { s.sinks[0].Parked = 7 })
		s.pass(59 * time.Minute)
		s.expect(want...)
		s.pass(2 * time.Minute)
		s.expect(append(want, "informational degraded condition_closed sink_parked")...)
	})
}

// What a sink refuses while the state takes nothing is told when it takes it again.
func TestSinkParkedWhileNothingIsStored(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		f := &faulty{}
		f.mode.Store("")
		s.wrap = func(st state.Store) state.Store { f.Store = st; return f }
		s.sinks = []agent.SinkState{{Name: "hook", Connected: true}}
		s.start()
		s.pass(2 * time.Second)
		f.stuck.Store(true)
		s.set(func() { s.sinks[0].Parked, s.sinks[0].Suspicious = 2, 1 })
		s.pass(10 * time.Second)
		s.expect("informational started")
		f.stuck.Store(false)
		f.mode.Store("")
		s.pass(2 * time.Second)
		s.expect("informational started", "high degraded sink_suppressed", "high degraded sink_parked")
		if e, _ := last[event.AgentDegradedDetails](s); !strings.Contains(e.Data.Event.Message, "refused 2 events for good") {
			t.Error(e.Data.Event.Message)
		}
	})
}

// A receiver that is badly set up is told of when it stays so; what nobody has
// looked at yet closes nothing.
func TestSinkUnsafe(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		bad := []agent.SinkState{{Name: "siem", Connected: true, Judged: true, Problem: "it is in memory"}}
		s.sinks = bad
		s.start()
		s.pass(time.Minute)
		s.set(func() { s.sinks = []agent.SinkState{{Name: "siem", Judged: true}} })
		s.pass(time.Second)
		s.set(func() { s.sinks = bad })
		s.pass(80 * time.Second)
		s.expect("informational started")
		s.pass(time.Minute)
		want := []string{"informational started", "high degraded sink_unsafe"}
		s.expect(want...)
		if _, d := last[event.AgentDegradedDetails](s); *d.Error != "it is in memory" {
			t.Errorf("%+v", d)
		}
		s.end()
		s.set(func() { s.sinks = []agent.SinkState{{Name: "siem"}} })
		s.start()
		want = append(want, "low stopped signal", "informational started")
		s.pass(10 * time.Minute)
		s.expect(want...)
		s.set(func() { s.sinks = []agent.SinkState{{Name: "siem", Judged: true}} })
		s.pass(2 * time.Second)
		s.expect(append(want, "informational degraded condition_closed sink_unsafe")...)
	})
}
