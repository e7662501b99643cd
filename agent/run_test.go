package agent_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/watcher"
)

func TestTheFirstRun(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(3, time.Minute)
		s.start()
		e, d := last[event.AgentStartedDetails](s)
		if !d.NewState || d.Endpoints != 3 || d.Sinks != 1 || d.LastAlive != nil || d.BlindS != nil || d.Clean != nil {
			t.Errorf("%+v", d)
		}
		if e.Data.Event.Verdict != event.Informational || e.Data.Event.Message != "watching 3 endpoints from now on" {
			t.Errorf("%+v", e.Data.Event)
		}
		s.pass(90 * time.Second)
		s.end()
		s.open()
		_, stop := last[event.AgentStoppedDetails](s)
		if !stop.Clean || stop.Reason != "signal" || stop.UptimeS != 90 || stop.BlindS != nil || !stop.StartedAt.Equal(e.Time.Time) {
			t.Errorf("%+v", stop)
		}
		s.expect("informational started", "low stopped signal")
		s.halt = func() {}
	})
}

// A run that did not end in order is told by the next one, once, with the time
// that nobody watched: since the newest good poll or the newest word.
func TestARunThatDidNotEndInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(2, 10*time.Second)
		s.start()
		began := time.Now()
		s.pass(5*time.Minute + 7*time.Second)
		s.crash()
		s.pass(10 * time.Minute)
		s.start()
		s.expect("informational started", "medium stopped unclean", "informational started")
		list := s.events()
		stop, start := list[1].Data.Details.(*event.AgentStoppedDetails), list[2].Data.Details.(*event.AgentStartedDetails)
		alive := began.Add(5*time.Minute + 5*time.Second) // the last good poll
		if stop.Clean || stop.Reason != "unclean" || !stop.StartedAt.Equal(began) || !stop.LastAlive.Equal(alive) || stop.UptimeS != 305 || *stop.BlindS != 602 {
			t.Errorf("%+v", stop)
		}
		if *start.Clean || start.NewState || !start.LastAlive.Equal(alive) || *start.BlindS != 602 {
			t.Errorf("%+v", start)
		}
		if v := list[1].Data.Event.Verdict; v != event.Unexpected {
			t.Errorf("verdict %s", v)
		}
		if list[1].Data.Event.ChangeSet.ID != list[2].Data.Event.ChangeSet.ID || list[1].Data.Event.ChangeSet.Total != 2 {
			t.Error("the two are not one step")
		}
		s.end()
		s.pass(time.Minute)
		s.start()
		s.expect("informational started", "medium stopped unclean", "informational started", "low stopped signal", "informational started")
		if _, d := last[event.AgentStartedDetails](s); !*d.Clean || *d.BlindS != 60 {
			t.Errorf("%+v", d)
		}
	})
}

// A heartbeat is a sign of life too: a run without a good poll was alive.
func TestTheLastWordIsASignOfLife(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.beat = time.Minute
		s.start()
		began := time.Now()
		s.pass(5*time.Minute + 30*time.Second)
		s.crash()
		s.start()
		if _, d := last[event.AgentStartedDetails](s); d.LastAlive.Sub(began) != 5*time.Minute || *d.BlindS != 30 {
			t.Errorf("%+v", d)
		}
	})
}

// Who was not seen for longer than its limit, because nobody ran, is told at the
// start, once for each gap.
func TestGapOfAnAgentThatDidNotRun(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(3, time.Minute)
		s.nodes[0].tier = "critical"
		s.start()
		s.pass(10 * time.Minute)
		s.end()
		s.pass(30 * time.Minute)
		s.start()
		s.expect("informational started", "low stopped signal", "informational started", "medium gap not_running")
		_, d := last[event.AgentGapDetails](s)
		if d.Count != 1 || d.Total != 3 || d.LimitS != 900 || d.Endpoints[0].Name != "e000" || time.Since(d.Endpoints[0].LastGood.Time) < 30*time.Minute {
			t.Errorf("%+v", d)
		}
		s.crash() // before anything was polled
		s.start()
		s.expect("informational started", "low stopped signal", "informational started", "medium gap not_running",
			"medium stopped unclean", "informational started")
		s.pass(10 * time.Minute)
		s.crash()
		s.pass(2 * time.Hour)
		s.start()
		if got := tell(s.events())[6:]; !slices.Equal(got, []string{"medium stopped unclean", "informational started", "medium gap not_running"}) {
			t.Errorf("another gap: %q", got)
		}
		if _, d := last[event.AgentGapDetails](s); d.Count != 3 {
			t.Errorf("%+v", d)
		}
		s.pass(2 * time.Hour)
		if n := len(tell(s.events())); n != 9 {
			t.Errorf("told again while it runs: %q", tell(s.events())[9:])
		}
	})
}

// What is not seen by the new run either is not told twice.
func TestAGapGoesOnOverARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.every = 15 * time.Second
		s.start()
		s.pass(10 * time.Minute)
		s.down(s.nodes[4])
		s.pass(30 * time.Minute)
		s.end()
		s.pass(40 * time.Minute)
		s.start() // nine were away for 40 minutes, one for 70
		want := []string{"informational started", "low stopped signal", "informational started", "medium gap not_running"}
		s.expect(want...)
		if _, d := last[event.AgentGapDetails](s); d.Count != 1 || d.Endpoints[0].Name != "e004" {
			t.Errorf("%+v", d)
		}
		s.pass(5 * time.Hour)
		s.expect(want...)
	})
}

// Rules of the operator have the last word, and what is counted is what was said.
func TestOperatorAmendsTheWord(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.open()
		s.halt = func() {}
		s.voice.Amend = func(e *event.Event) {
			e.Data.Event.Severity = event.SeverityMedium
			e.Data.Judgement.Adjustments = []event.Adjustment{{Rule: "own", Kind: "raise", To: event.SeverityMedium, Reason: "operator"}}
		}
		if err := s.voice.Start(t.Context(), time.Now(), s.facts()); err != nil {
			t.Fatal(err)
		}
		s.expect("medium started")
		if n := s.voice.EventCounts()[watcher.EventCount{Type: event.AgentStarted, Severity: event.SeverityMedium}]; n != 1 {
			t.Errorf("counted %v", s.voice.EventCounts())
		}
	})
}
