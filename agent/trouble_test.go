package agent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
)

func TestClockJump(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.start()
		s.pass(10 * time.Minute)
		s.set(func() { s.skew = 29 * time.Second })
		s.pass(10 * time.Second)
		s.expect("informational started")
		s.set(func() { s.skew = 12 * time.Hour })
		s.pass(2 * time.Second)
		s.expect("informational started", "high degraded clock_jump")
		if _, d := last[event.AgentDegradedDetails](s); *d.JumpMS != (12*time.Hour - 29*time.Second).Milliseconds() {
			t.Errorf("%d ms", *d.JumpMS)
		}
		for range 20 { // a clock that goes back and forth is one condition
			s.pass(10 * time.Second)
			s.set(func() { s.skew = -s.skew })
		}
		s.set(func() { s.skew = 0 })
		s.pass(30 * time.Second)
		s.expect("informational started", "high degraded clock_jump")
		s.pass(time.Minute)
		s.expect("informational started", "high degraded clock_jump", "informational degraded condition_closed clock_jump")
		s.pass(time.Hour)
		s.expect("informational started", "high degraded clock_jump", "informational degraded condition_closed clock_jump")
	})
}

// A condition of the clock that a run before left open closes when this one has
// seen a calm minute.
func TestClockJumpOverARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		s.pass(time.Second)
		s.set(func() { s.skew = time.Hour })
		s.pass(2 * time.Second)
		s.end()
		s.start()
		s.pass(50 * time.Second)
		want := []string{"informational started", "high degraded clock_jump", "low stopped signal", "informational started"}
		s.expect(want...)
		s.pass(15 * time.Second)
		s.expect(append(want, "informational degraded condition_closed clock_jump")...)
	})
}

// A clock that is set back while nobody looks makes no times below zero.
func TestAClockThatWentBackBetweenRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		s.crash()
		s.open()
		s.halt = func() {}
		back := time.Now().Add(-time.Hour)
		if err := s.voice.Start(t.Context(), back, s.facts()); err != nil {
			t.Fatal(err)
		}
		list := s.events()
		d := list[1].Data.Details.(*event.AgentStoppedDetails)
		if *d.BlindS != 0 || d.UptimeS != 0 {
			t.Errorf("%+v", d)
		}
		s.halt = nil
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
		s.start() // now the record of the run is older than its start
		if err := s.voice.Stop(t.Context(), back, "signal"); err != nil {
			t.Fatal(err)
		}
		if _, d := last[event.AgentStoppedDetails](s); d.UptimeS != 0 {
			t.Errorf("%+v", d)
		}
		s.crash()
		s.start()
		if err := s.voice.ConfigChanged(t.Context(), back, event.AgentConfigChangedDetails{Outcome: "applied", Trigger: "file"}, false, s.facts()); err != nil {
			t.Fatal(err)
		}
		s.crash()
		s.start()
		list = s.events()
		if d := list[len(list)-2].Data.Details.(*event.AgentStoppedDetails); d.UptimeS != 0 || *d.BlindS != 0 || !d.LastAlive.Equal(d.StartedAt.Time) {
			t.Errorf("%+v", d)
		}
	})
}

// A clock that is set is no gap of the endpoints: their last good polls have the
// time of the clock before. Later gaps are told as ever.
func TestClockJumpIsNoGap(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(1, time.Minute)
		s.start()
		s.pass(10 * time.Minute)
		s.set(func() { s.skew, s.jump = 2*time.Hour, time.Now() })
		s.pass(30 * time.Minute)
		want := []string{"informational started", "high degraded clock_jump", "informational degraded condition_closed clock_jump"}
		s.expect(want...)
		s.down(s.nodes...)
		s.pass(2 * time.Hour)
		s.expect(append(want, "medium gap unreachable")...)
	})
}

func TestSinkBacklog(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		behind := func(pending uint64, ago time.Duration, connected bool) {
			s.set(func() {
				s.sinks = []agent.SinkState{{Name: "siem", Connected: connected, Pending: pending, Oldest: time.Now().Add(-ago)}, {Name: "stdout", Connected: true}}
			})
		}
		behind(40, time.Hour, false) // what waited while nobody ran
		s.pass(4 * time.Minute)
		s.expect("informational started")
		behind(0, 0, true)
		s.pass(2 * time.Second)
		behind(3, 0, false)
		s.pass(4*time.Minute + 59*time.Second)
		s.expect("informational started")
		s.pass(3 * time.Second)
		s.expect("informational started", "high degraded sink_backlog")
		if _, d := last[event.AgentDegradedDetails](s); *d.Subject != "siem" || *d.Pending != 3 || time.Since(d.Since.Time) < 5*time.Minute {
			t.Errorf("%+v", d)
		}
		behind(90, time.Hour, true) // connected, and not there yet
		s.pass(time.Hour)
		s.crash()
		s.start()
		s.pass(time.Hour)
		s.expect("informational started", "high degraded sink_backlog", "medium stopped unclean", "informational started")
		behind(1, time.Second, true) // there is always one under way
		s.pass(2 * time.Second)
		s.expect("informational started", "high degraded sink_backlog", "medium stopped unclean", "informational started",
			"informational degraded condition_closed sink_backlog")
		s.set(func() { s.sinks[0].Oldest = time.Now() })
		s.pass(6 * time.Minute)
		s.set(func() { s.sinks = s.sinks[1:] }) // taken out of the configuration
		s.pass(time.Minute)
		if got := tell(s.events())[5:]; len(got) != 2 || got[1] != "informational degraded condition_closed sink_backlog" {
			t.Errorf("a sink that is gone: %q", got)
		}
	})
}

// A stream of events that never ends is no backlog: the oldest is young.
func TestABusySinkIsNotBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		for range 900 {
			s.set(func() {
				s.sinks = []agent.SinkState{{Name: "siem", Connected: true, Pending: 5, Oldest: time.Now().Add(-time.Second)}}
			})
			s.pass(time.Second)
		}
		s.expect("informational started")
	})
}

// A state that cannot be written is logged at once, and told when it can be
// again.
func TestStateUnwritable(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		began := time.Now()
		s.set(func() { s.failing = began })
		s.pass(5 * time.Second)
		s.set(func() { s.cause = errors.New("no space left on device") })
		s.pass(10 * time.Minute)
		if n := s.logged("no space left on device"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		s.expect("informational started")
		s.set(func() { s.failing, s.cause = time.Time{}, nil })
		s.pass(2 * time.Second)
		want := []string{"informational started", "high degraded state_unwritable", "informational degraded condition_closed state_unwritable"}
		s.expect(want...)
		list := s.events()
		if d := list[1].Data.Details.(*event.AgentDegradedDetails); *d.Error != "no space left on device" || !d.Since.Equal(began) {
			t.Errorf("%+v", d)
		}
		if c := list[2].Data.Event.Condition; !c.OpenedAt.Equal(began) || c.ID != list[1].Data.Event.Condition.ID {
			t.Errorf("%+v", c)
		}
		s.pass(time.Hour)
		s.expect(want...)
	})
}

// Endpoints of which the state is damaged are told of once, with their names, also
// over a restart that did not mend them.
func TestStateDamaged(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		s.pass(2 * time.Second)
		s.set(func() { s.damaged = []string{"idp"} })
		s.pass(2 * time.Second)
		want := []string{"informational started", "high degraded state_damaged"}
		s.expect(want...)
		if e, d := last[event.AgentDegradedDetails](s); len(d.Endpoints) != 1 || d.Endpoints[0] != "idp" || *d.Error != "digest does not match" || !strings.Contains(e.Data.Event.Message, "of 1 endpoint is damaged") {
			t.Errorf("%+v %s", d, e.Data.Event.Message)
		}
		s.set(func() { s.damaged = []string{"idp", "other"} })
		s.pass(time.Hour)
		s.expect(want...)
		s.set(func() { s.damaged = nil })
		s.pass(2 * time.Second)
		s.expect(append(want, "informational degraded condition_closed state_damaged")...)
	})
}
