package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// sleep lets the machine sleep: the wall clock goes on, and nothing else.
func (s *scene) sleep(d time.Duration) {
	s.set(func() { s.skew, s.slept, s.jump = s.skew+d, s.slept+d, time.Now() })
}

// A machine that slept is one gap of all that were not seen meanwhile, told at
// once; the clock that went on is no jump.
func TestGapOfAMachineThatSlept(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.start()
		s.pass(10 * time.Minute)
		s.sleep(30 * time.Second) // shorter than any limit
		s.pass(10 * time.Minute)
		s.expect("informational started")
		s.sleep(8 * time.Hour)
		s.pass(2 * time.Second)
		want := []string{"informational started", "medium gap suspended"}
		s.expect(want...)
		e, d := last[event.AgentGapDetails](s)
		if d.Count != 10 || d.Total != 10 || !strings.Contains(e.Data.Event.Message, "the machine slept") {
			t.Errorf("%s: %+v", e.Data.Event.Message, d)
		}
		s.pass(2 * time.Hour)
		s.expect(want...)
	})
}

// What cannot be told while the state takes nothing is told when it does, though
// all endpoints were seen again meanwhile.
func TestSleepIsToldLater(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(3, time.Minute)
		var f *faulty
		s.wrap = func(st state.Store) state.Store { f = &faulty{Store: st}; f.mode.Store(""); return f }
		s.start()
		s.pass(10 * time.Minute)
		f.stuck.Store(true)
		s.sleep(8 * time.Hour)
		s.pass(20 * time.Minute)
		f.stuck.Store(false)
		f.mode.Store("")
		s.pass(2 * time.Second)
		s.expect("informational started", "medium gap suspended")
	})
}

// An endpoint that does not answer any more is a gap too when the clock was set
// back by a year, and its last good poll lies a year ahead.
func TestGapUnderAClockThatWentBack(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.nodes[3].phase = "status"
		s.every = 15 * time.Second
		s.start()
		s.pass(10 * time.Minute)
		s.down(s.nodes[3])
		s.pass(time.Minute)
		s.set(func() { s.skew, s.jump = -365*24*time.Hour, time.Now() })
		s.pass(2 * time.Hour)
		s.expect("informational started", "high degraded clock_jump", "informational degraded condition_closed clock_jump", "medium gap unreachable")
		s.pass(5 * time.Hour)
		s.expect("informational started", "high degraded clock_jump", "informational degraded condition_closed clock_jump", "medium gap unreachable")
	})
}

// A start with a clock that is behind the last good polls does not know how long
// nobody watched, and says so.
func TestStartWithAClockThatIsBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(3, time.Minute)
		s.start()
		s.pass(10 * time.Minute)
		s.end()
		s.open()
		s.halt = func() {}
		if err := s.voice.Start(t.Context(), time.Now().Add(-365*24*time.Hour), s.facts()); err != nil {
			t.Fatal(err)
		}
		s.expect("informational started", "low stopped signal", "informational started", "medium gap not_running")
		if e, d := last[event.AgentGapDetails](s); d.Count != 3 || !strings.Contains(e.Data.Event.Message, "is not known") {
			t.Errorf("%s: %+v", e.Data.Event.Message, d)
		}
	})
}
