package rules_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

func TestAKeyForTenMinutes(t *testing.T) {
	s := newSim(t)
	polls(doc("A:a"), doc("A:a", "R:r"))(s)
	later(9 * time.Minute)(s)
	s.expect(s.poll(doc("A:a")), "informational key.removed r")
	gone := s.now
	for range 58 {
		s.expect(s.poll(doc("A:a")))
	}
	s.at(gone, time.Hour)
	s.expect(s.poll(doc("A:a")), "high key.ephemeral r")
	d := s.findings[0].Details.(*event.KeyEphemeralDetails)
	if d.LifeMinS < 540 || d.LifeMinS > 600 || d.LifeMaxS < 660 || d.LifeMaxS > 780 || d.Class != "sig" {
		t.Errorf("%+v", d)
	}
	later(day)(s)
	s.expect(s.poll(doc("A:a")))
}

// TestHowLongAMomentIs pins the longest life of a key that is ephemeral, and how
// long its absence must last, for short intervals and long ones.
func TestHowLongAMomentIs(t *testing.T) {
	for _, tt := range []struct{ interval, life, wait time.Duration }{
		{time.Minute, day, time.Hour},
		{30 * time.Minute, day, 150 * time.Minute},
		{59 * time.Minute, day, 295 * time.Minute},
		{time.Hour, day, 2 * time.Hour},
		{12 * time.Hour, 36 * time.Hour, day},
	} {
		for _, over := range []time.Duration{0, time.Second} {
			s := newSim(t)
			s.policy.Interval = tt.interval
			s.poll(doc("A:a"))
			start := s.now // the last poll without it
			s.poll(doc("A:a", "R:r"))
			s.at(start, tt.life+over)
			s.poll(doc("A:a"))
			w := s.memory().Waiting
			if (len(w) == 1) != (over == 0) {
				t.Errorf("%v, %s over: %d waiting", tt, over, len(w))
				continue
			}
			if over > 0 {
				continue
			}
			if w[0].Due.Sub(start) != tt.life+tt.wait || !s.review.Equal(w[0].Due) {
				t.Errorf("%v: due after %s", tt, w[0].Due.Sub(start)-tt.life)
			}
			s.at(w[0].Due, -time.Second)
			s.good = s.now
			s.expect(s.poll(doc("A:a")))
			s.now = w[0].Due
			s.expect(s.answer(doc("A:a")), "high key.ephemeral r")
		}
	}
}

func TestWhatIsNoMoment(t *testing.T) {
	a := doc("A:a", "B:b", "C:c")
	for _, tt := range []struct {
		name string
		play play
		want int
	}{
		{"it was there from the start", scene(polls(doc("A:a", "R:r"), doc("A:a")), later(2*time.Hour), polls(doc("A:a"))), 0},
		{"it comes back", scene(polls(a, doc("A:a", "B:b", "C:c", "R:r"), a), later(30*time.Minute), polls(doc("A:a", "B:b", "C:c", "R:r")), later(5*time.Hour), polls(doc("A:a", "B:b", "C:c", "R:r"))), 0},
		{"no signing key", scene(polls(a, doc("A:a", "B:b", "C:c", "R:r:use=enc"), a), later(2*time.Hour), polls(a)), 0},
		{"one of three", scene(polls(doc("A:a", "B:b"), doc("A:a", "B:b", "R:r"), doc("A:a", "B:b")), later(2*time.Hour), polls(doc("A:a", "B:b"))), 1},
		{"one that goes with an old one", scene(polls(doc("A:a", "B:b"), doc("A:a", "B:b", "R:r"), doc("A:a")), later(2*time.Hour), polls(doc("A:a"))), 1},
		{"two of five", scene(polls(a, doc("A:a", "B:b", "C:c", "R:r", "S:s"), a), later(2*time.Hour), polls(a)), 0},
		{"two of six", scene(polls(doc("A:a", "B:b", "C:c", "D:d"), doc("A:a", "B:b", "C:c", "D:d", "R:r", "S:s"), doc("A:a", "B:b", "C:c", "D:d")), later(2*time.Hour), polls(doc("A:a", "B:b", "C:c", "D:d"))), 2},
		{"an exchange of all", scene(polls(doc("A:a"), doc("A:a", "R:r"), doc("S:s")), later(2*time.Hour), polls(doc("S:s"))), 0},
		{"an exchange of the only one", scene(polls(doc("A:a"), doc("A:a", "R:r")), later(day+time.Hour), polls(doc("R:r"), doc("R:r", "S:s"), doc("S:s"), doc("T:t")), later(2*time.Hour), polls(doc("T:t"))), 0},
		{"beside a retired key", func(s *sim) {
			*s = *retiredX(s.t)
			polls(doc("A:a", "B:b", "R:r"), doc("A:a", "B:b", "X:x"))(s)
			later(2 * time.Hour)(s)
			s.poll(doc("A:a", "B:b", "X:x"))
		}, 0},
		{"of the keys of an exchange", scene(polls(doc("A:a"), doc("A:a", "R:r")), later(2*time.Hour), polls(doc("B:b", "C:c", "D:d")), later(2*time.Hour), polls(doc("B:b", "C:c", "D:d"))), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t)
			tt.play(s)
			if n := s.count("key.ephemeral"); n != tt.want {
				t.Errorf("%d times: %q", n, tell(s.all))
			}
		})
	}
}

// TestLivesOfUnknownLength: how long keys of the baseline lived says nothing.
func TestLivesOfUnknownLength(t *testing.T) {
	s := newSim(t)
	polls(doc("A:a", "B:b"), doc("A:a", "R:r"))(s)
	if l := s.memory().Habit.Lives; len(l) != 0 {
		t.Errorf("%v", l)
	}
	later(3 * day)(s)
	s.poll(doc("A:a"))
	if l := s.memory().Habit.Lives; len(l) != 1 || l[0] < 3*day || l[0] > 3*day+5*time.Minute {
		t.Errorf("%v", l)
	}
}

// TestALifeBefore: a key that was there for long, and is back for a moment, is
// told by its return.
func TestALifeBefore(t *testing.T) {
	s := newSim(t)
	polls(doc("A:a", "B:b"), doc("A:a", "B:b", "C:c"))(s)
	later(5 * day)(s)
	polls(doc("A:a", "B:b"))(s)
	later(day)(s)
	polls(doc("A:a", "B:b", "C:c", "D:d"))(s)
	later(time.Hour)(s)
	polls(doc("A:a", "B:b", "D:d"))(s)
	later(2 * time.Hour)(s)
	s.poll(doc("A:a", "B:b", "D:d"))
	if s.count("key.ephemeral") != 0 || s.count("medium key.reappeared") != 1 {
		t.Errorf("%q", tell(s.all))
	}
}

// TestShortLivesAreUsual: where keys live for hours, one that did is no news; one
// that lived half as long, or less, is. That takes three lives.
func TestShortLivesAreUsual(t *testing.T) {
	const hours = 20 * time.Hour
	for known, want := range map[int]map[time.Duration]int{
		2: {10 * time.Hour: 1, 10*time.Hour + time.Second: 1, 20 * time.Hour: 1},
		3: {10 * time.Hour: 1, 10*time.Hour + time.Second: 0, 20 * time.Hour: 0},
	} {
		for life, told := range want {
			s := newSim(t)
			s.poll(doc("A:a", "B:b"))
			lives := func(kid string, life time.Duration) {
				later(3 * time.Hour)(s)
				s.poll(doc("A:a", "B:b"))
				start := s.now
				s.poll(doc("A:a", "B:b", kid+":"+kid))
				s.at(start, life)
				s.poll(doc("A:a", "B:b"))
			}
			for i := range known {
				lives(fmt.Sprint("K", i), hours)
			}
			later(3 * time.Hour)(s)
			s.poll(doc("A:a", "B:b"))
			s.all = nil
			lives("R", life)
			later(3 * time.Hour)(s)
			s.poll(doc("A:a", "B:b"))
			if n := s.count("key.ephemeral"); n != told {
				t.Errorf("after %d lives, of %s: %d", known, life, n)
			}
		}
	}
}

// TestMomentsOfTheUnsteady are low: while answers alternate, a quarter after, and
// where all keys are exchanged by habit.
func TestMomentsOfTheUnsteady(t *testing.T) {
	moment := func(s *sim) string {
		s.t.Helper()
		s.all = nil
		start := s.now
		live := s.memory().Live
		var words []string
		for _, k := range live {
			words = append(words, k.Kid)
		}
		base := func(more ...string) []byte {
			var all []string
			for _, kid := range append(slices.Clone(words), more...) {
				all = append(all, map[string]string{"a": "A", "b": "B", "c": "C", "r": "R", "r0": "R0", "r1": "R1", "r2": "R2", "r3": "R3"}[kid]+":"+kid)
			}
			return doc(all...)
		}
		s.poll(base("r"))
		s.at(start, time.Hour)
		s.poll(base())
		s.at(start, 3*time.Hour)
		s.poll(base())
		for _, f := range s.all {
			if f.Type == event.KeyEphemeral {
				return f.Severity.String()
			}
		}
		return fmt.Sprintf("%q", tell(s.all))
	}
	was := unsteady(t)
	was.closes(10 * was.memory().Stability.Longest)
	opened := was.memory().Stability.Openings[0]
	state := was.stored
	for after, want := range map[time.Duration]string{80 * day: "low", 90*day - time.Hour: "low", 90*day + time.Hour: "high"} {
		s := newSim(t)
		s.stored = state
		s.now = opened.Add(after - time.Hour)
		s.good = s.now.Add(-time.Minute)
		s.poll(two)
		if got := moment(s); got != want {
			t.Errorf("%s after: %s", after, got)
		}
	}
	habit := newSim(t)
	historyScenes()["rotation-no-overlap"].fires(habit)
	later(10 * day)(habit)
	habit.poll(doc("R3:r3"))
	if got := moment(habit); got != "low" {
		t.Errorf("where it is habit: %s", got)
	}
}

// TestAMomentWhileNobodyLooks waits for what could not be seen.
func TestAMomentWhileNobodyLooks(t *testing.T) {
	s := newSim(t)
	polls(doc("A:a"), doc("A:a", "R:r"))(s)
	later(9 * time.Minute)(s)
	s.expect(s.poll(doc("A:a")), "informational key.removed r")
	s.poll(doc("A:a"))
	due := s.memory().Waiting[0].Due
	s.wait(3 * time.Hour)
	s.expect(s.poll(doc("A:a")))
	if moved := s.memory().Waiting[0].Due.Sub(due); moved < 3*time.Hour || moved > 3*time.Hour+2*time.Minute {
		t.Errorf("due %s later", moved)
	}
	s.expect(s.poll(doc("A:a", "R:r"))) // it was no moment, or a lagging node
	if w := s.memory().Waiting; w != nil {
		t.Errorf("%v", w)
	}
}
