package agent_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

func TestOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.start()
		s.pass(10 * time.Minute)
		s.expect("informational started")
		s.down(s.nodes[:4]...)
		began := time.Now()
		s.pass(2 * time.Minute)
		s.expect("informational started", "high degraded outage")
		e, d := last[event.AgentDegradedDetails](s)
		if d.Code != "outage" || d.Failing != 2 || d.Due != 10 || d.Hosts != 2 || !slices.Equal(d.Endpoints, []string{"e000", "e001"}) || d.Since.Before(began) {
			t.Errorf("%+v", d)
		}
		if f := e.Data.Event; f.Verdict != event.Unexpected || f.Condition.State != event.Open || !s.isDegraded() {
			t.Errorf("%+v, told to the watcher: %v", f, s.isDegraded())
		}
		if got := s.voice.Open(); !slices.Equal(got, []string{"outage"}) {
			t.Errorf("open are %q", got)
		}
		s.up(s.nodes...)
		s.pass(time.Minute)
		s.expect("informational started", "high degraded outage", "informational degraded condition_closed outage")
		if s.isDegraded() || len(s.voice.Open()) != 0 {
			t.Error("the watcher was not told that it is over")
		}
	})
}

// A condition that is open survives a crash. Nothing has failed or answered yet
// when the next run begins, and that closes nothing.
func TestOutageOverARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.start()
		s.pass(10 * time.Minute)
		s.down(s.nodes...)
		s.pass(3 * time.Minute)
		s.crash()
		s.start()
		s.pass(2 * time.Second)
		if !s.isDegraded() {
			t.Error("the watcher was not told of the outage that goes on")
		}
		s.pass(5 * time.Minute)
		want := []string{"informational started", "high degraded outage", "medium stopped unclean", "informational started"}
		s.expect(want...)
		s.crash()
		s.up(s.nodes...)
		s.start()
		s.pass(2 * time.Minute)
		s.expect(append(want, "medium stopped unclean", "informational started", "informational degraded condition_closed outage")...)
		s.end()
		s.start()
		s.pass(time.Hour)
		s.expect(append(want, "medium stopped unclean", "informational started", "informational degraded condition_closed outage",
			"low stopped signal", "informational started")...)
	})
}

// An endpoint that does not answer is told at its limit, once for each gap.
func TestGapOfOneEndpoint(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.every = 5 * time.Second
		s.nodes[7].tier = "critical"
		s.nodes[3].phase, s.nodes[7].phase = "status", "status" // theirs, not our network
		s.start()
		s.pass(10 * time.Minute)
		s.down(s.nodes[3], s.nodes[7])
		s.pass(14 * time.Minute)
		s.expect("informational started")
		s.pass(time.Minute + 10*time.Second)
		s.expect("informational started", "medium gap unreachable")
		e, d := last[event.AgentGapDetails](s)
		if d.Cause != "unreachable" || d.Count != 1 || d.Total != 10 || d.LimitS != 900 || d.Endpoints[0].Name != "e007" || e.Data.Event.Verdict != event.Unexpected {
			t.Errorf("%+v", d)
		}
		s.pass(time.Hour)
		s.expect("informational started", "medium gap unreachable", "medium gap unreachable")
		if _, d := last[event.AgentGapDetails](s); d.LimitS != 3600 || d.Endpoints[0].Name != "e003" {
			t.Errorf("%+v", d)
		}
		s.pass(8 * time.Hour)
		s.up(s.nodes...)
		s.pass(10 * time.Minute)
		s.expect("informational started", "medium gap unreachable", "medium gap unreachable")
		s.down(s.nodes[3])
		s.pass(2 * time.Hour)
		s.expect("informational started", "medium gap unreachable", "medium gap unreachable", "medium gap unreachable")
	})
}

// When all are lost at once, their limits pass one after the other for an
// interval. That is one gap of the agent, not one of each endpoint.
func TestGapOfManyIsOne(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(100, 5*time.Minute)
		s.every = 15 * time.Second
		s.start()
		s.pass(time.Hour)
		s.down(s.nodes...)
		s.pass(3 * time.Hour)
		s.expect("informational started", "high degraded outage", "medium gap unreachable")
		if _, d := last[event.AgentGapDetails](s); d.Count != 100 || d.Total != 100 || len(d.Endpoints) != 64 || d.LimitS != 3600 {
			t.Errorf("%d of %d, %d listed", d.Count, d.Total, len(d.Endpoints))
		}
		s.up(s.nodes...)
		s.pass(time.Hour)
		s.down(s.nodes[:30]...)
		s.pass(3 * time.Hour)
		if _, d := last[event.AgentGapDetails](s); d.Count != 30 {
			t.Errorf("%d in the second gap", d.Count)
		}
		if n := len(tell(s.events())); n != 6 { // outage closed, opened again, gap
			t.Errorf("told %q", tell(s.events()))
		}
	})
}

// More than eight in the same moment are one event, like all that repeats.
func TestGapsAreRolledUp(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(100, time.Minute)
		s.every = 15 * time.Second
		for _, n := range s.nodes[:9] {
			n.offset = 0
		}
		s.start()
		s.pass(10 * time.Minute)
		s.down(s.nodes[:9]...)
		s.pass(2 * time.Hour)
		s.expect("informational started", "medium gap unreachable")
	})
}
