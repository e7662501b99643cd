package rules_test

import (
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// flips lets the answers of an unsteady endpoint alternate, so long apart.
func (s *sim) flips(pauses ...time.Duration) {
	s.t.Helper()
	for i, d := range pauses {
		s.at(s.memory().Stability.Last, d)
		s.expect(s.poll([][]byte{one, two}[i%2]))
	}
}

// closes holds that the condition ends so long after the last flip, not before.
func (s *sim) closes(calm time.Duration) {
	s.t.Helper()
	last := s.memory().Stability.Last
	live := two
	if s.memory().Live[1].Kid == "b" {
		live = one
	}
	s.at(last, calm-time.Second)
	s.poll(live)
	if s.memory().Stability.Phase != history.Unstable {
		s.t.Fatalf("closed before %s: %q", calm, tell(s.findings))
	}
	// A key that none showed may have been told meanwhile.
	if want := last.Add(calm); s.review.After(want) {
		s.t.Errorf("review at %s, want %s", s.review, want)
	}
	s.at(last, calm+s.policy.Interval)
	s.poll(live)
	if n := len(s.findings); n == 0 || !s.findings[0].Closing || s.findings[0].Type != event.SetUnstable {
		s.t.Fatalf("%q, not closed after %s", tell(s.findings), calm)
	}
}

// TestHowLongAnswersMustBeSteady pins how long set.unstable stays open without a
// flip: ten times the longest time between two, a day at least, 28 at most, and
// twice as long for each time it opened within a quarter.
func TestHowLongAnswersMustBeSteady(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pauses []time.Duration
		want   time.Duration
	}{
		{"ten times the longest", nil, 60 * time.Hour}, // of the six hours of unsteady
		{"of this condition", []time.Duration{time.Hour, 8 * time.Hour, time.Hour}, 80 * time.Hour},
		{"28 days at most", []time.Duration{3 * day}, 28 * day},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := unsteady(t)
			s.flips(tt.pauses...)
			longest := s.memory().Stability.Longest
			s.closes(min(max(10*longest, day), 28*day))
			if d := max(10*longest, day) - tt.want; tt.want < 28*day && (d < -time.Hour || d > time.Hour) {
				t.Errorf("longest %s, want a tenth of %s", longest, tt.want)
			}
		})
	}
}

func TestADayAtLeast(t *testing.T) {
	s := newSim(t)
	s.policy.Interval, s.age = time.Minute, -1 // settling takes a quarter of an hour
	polls(one, two)(s)
	for i := range 4 {
		later(20 * time.Minute)(s)
		s.poll([][]byte{one, two}[i%2])
	}
	if s.count("set.unstable") != 1 {
		t.Fatalf("%q", tell(s.all))
	}
	s.closes(day)
}

func TestAgainUnstableTakesTwiceAsLong(t *testing.T) {
	for after, times := range map[time.Duration]time.Duration{20 * day: 2, 90 * day: 2, 90*day + time.Second: 1} {
		s := unsteady(t)
		s.closes(10 * s.memory().Stability.Longest)
		opened := s.memory().Stability.Openings[0]
		s.at(opened, after-3*time.Hour)
		s.poll(one)
		s.at(opened, after)
		s.poll(two)
		if n := len(s.memory().Stability.Openings); n != 2 || s.memory().Stability.Slow {
			t.Fatalf("%d openings: %q", n, tell(s.all))
		}
		s.closes(times * 10 * s.memory().Stability.Longest)
	}
}

// TestSlowFlipsCloseSlowly opens by the fourth flip in a quarter.
func TestSlowFlipsCloseSlowly(t *testing.T) {
	s := newSim(t)
	polls(one, two)(s)
	for range 4 {
		later(20 * day)(s)
		s.poll(one)
		later(0)(s)
		s.poll(two)
	}
	if s.count("set.unstable") != 1 || !s.memory().Stability.Slow {
		t.Fatalf("%q", tell(s.all))
	}
	s.closes(90 * day)
}

// TestThreePollsBeforeItCloses: what answered badly is not calm.
func TestThreePollsBeforeItCloses(t *testing.T) {
	s := unsteady(t)
	s.at(s.memory().Stability.Last, 20*day)
	s.goods = 0
	for i := range 3 {
		s.poll(two)
		if closed := s.memory().Stability.Phase == history.Stable; closed != (i == 2) {
			t.Errorf("after %d good polls: %q", i+1, tell(s.findings))
		}
	}
}

// TestClocksStandStill: time in which nobody could look closes nothing, and tells
// of no key.
func TestClocksStandStill(t *testing.T) {
	s := unsteady(t)
	last, calm := s.memory().Stability.Last, 10*s.memory().Stability.Longest
	down := func(d time.Duration) { s.wait(d) } // no good poll
	down(5 * day)
	for range 5 {
		s.expect(s.poll(two))
	}
	if got := s.review.Sub(last); got < 6*day || got > 6*day+time.Hour {
		t.Errorf("review %s after the last flip", got) // of the key that no answer shows
	}
	// A day after the key was seen, the outage aside.
	s.at(last, 6*day-5*time.Minute)
	s.expect(s.poll(two))
	s.at(last, 6*day+10*time.Minute)
	s.expect(s.poll(two), "informational key.removed b once")
	down(2 * day)
	s.poll(two)
	s.at(last, 7*day+calm-10*time.Minute)
	s.expect(s.poll(two))
	s.at(last, 7*day+calm+10*time.Minute)
	s.expect(s.poll(two), "informational set.unstable closed")
	if g := s.memory().Stability.Gaps; g != nil {
		t.Errorf("gaps %v", g)
	}
}

// TestWhatIsAnOutage pins how long nobody must have looked for a clock to stand.
func TestWhatIsAnOutage(t *testing.T) {
	for pause, want := range map[time.Duration]int{3 * time.Minute: 0, 3*time.Minute + time.Second: 1} {
		s := unsteady(t)
		s.wait(pause - time.Minute)
		s.poll(two)
		if n := len(s.memory().Stability.Gaps); n != want {
			t.Errorf("after %s: %d gaps", pause, n)
		}
	}
	s := unsteady(t)
	s.good = time.Time{} // nobody knows when
	if s.poll(two); s.memory().Stability.Gaps != nil {
		t.Error("a gap since no time")
	}
}

// TestManyOutages: of many gaps those that matter are remembered.
func TestManyOutages(t *testing.T) {
	s := unsteady(t)
	for range 40 {
		s.wait(2 * time.Hour)
		s.poll(two)
	}
	if n := len(s.memory().Stability.Gaps); n != 16 {
		t.Errorf("%d gaps", n)
	}
	var st history.Stability
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 20 {
		st.Missed(history.Span{From: from.Add(time.Duration(i) * day), To: from.Add(time.Duration(i)*day + time.Duration(20-i)*time.Minute)}, from)
	}
	if d := st.Blind(from); d != (5+20)*16/2*time.Minute {
		t.Errorf("blind for %s: not the longest", d)
	}
	if d := st.Blind(from.Add(10 * time.Minute)); d != (5+20)*16/2*time.Minute-10*time.Minute {
		t.Errorf("blind for %s since within a gap", d)
	}
	st.Missed(history.Span{From: from.Add(90 * day), To: from.Add(91 * day)}, from.Add(89*day))
	if len(st.Gaps) != 1 {
		t.Errorf("%v", st.Gaps)
	}
}
