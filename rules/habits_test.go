package rules_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
)

// exchanges replaces all keys after each of these times. It returns the severities
// of the exchanges.
func (s *sim) exchanges(pauses ...time.Duration) (out []string) {
	s.t.Helper()
	if s.row == 0 && s.stored == nil {
		s.poll(doc("R0:r0"))
	}
	for _, d := range pauses {
		out = append(out, s.exchangesAt(s.now.Add(d)))
	}
	return out
}

func (s *sim) exchangesAt(at time.Time) string {
	s.t.Helper()
	n := len(s.memory().Sightings)
	s.at(at, 0)
	for _, f := range s.replace(doc(fmt.Sprintf("R%d:r%d", n, n))) {
		if f.Type == event.SetReplaced {
			return f.Severity.String()
		}
	}
	return ""
}

// replace polls, and takes the second look at the same moment.
func (s *sim) replace(body []byte) []rules.Finding {
	s.t.Helper()
	s.now = s.now.Add(s.policy.Interval)
	s.answer(body)
	s.answer(body)
	return s.findings
}

func (s *sim) open(t event.Type) bool {
	for _, c := range s.memory().Conditions {
		if c.Type == string(t) {
			return true
		}
	}
	return false
}

func TestExchangesBecomeAHabit(t *testing.T) {
	const m = 30 * day
	for _, tt := range []struct {
		name   string
		pauses []time.Duration
		want   []string
		open   bool
	}{
		{"twice", []time.Duration{m, m}, []string{"high", "high"}, false},
		{"the third time", []time.Duration{m, m, m}, []string{"high", "high", "medium"}, true},
		{"from then on", []time.Duration{m, m, m, m, m}, []string{"high", "high", "medium", "low", "low"}, true},
		{"within two days", []time.Duration{m, day, day - time.Minute - time.Second}, []string{"high", "high", "high"}, false},
		{"of two days", []time.Duration{m, day, day}, []string{"high", "high", "medium"}, true},
		// Steady gaps: a tenth before the usual one is out of habit.
		{"nine tenths of the gap", []time.Duration{m, m, m, 27*day - time.Minute}, []string{"high", "high", "medium", "low"}, true},
		{"less than nine tenths", []time.Duration{m, m, m, 27*day - time.Minute - time.Second}, []string{"high", "high", "medium", "high"}, true},
		// Gaps that are not: half of the shortest.
		{"half of the shortest", []time.Duration{m, m, 10 * day, 50 * day, 5*day - time.Minute}, []string{"high", "high", "medium", "low", "low"}, true},
		{"less than half of the shortest", []time.Duration{m, m, 10 * day, 50 * day, 5*day - time.Minute - time.Second}, []string{"high", "high", "medium", "low", "high"}, true},
		{"nodes by turns", []time.Duration{m, 2 * day, time.Hour, 2 * day, time.Hour, 2 * day, 40 * time.Minute}, []string{"high", "high", "medium", "low", "low", "low", "low"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t)
			if got := s.exchanges(tt.pauses...); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if got := s.open(event.RotationNoOverlap); got != tt.open {
				t.Errorf("no_overlap open: %t", got)
			}
			if s.open(event.SetUnstable) {
				t.Error("unstable")
			}
		})
	}
}

// TestHowRegularAHabitIs pins how far gaps may scatter for the usual one to count,
// rather than half of the shortest.
func TestHowRegularAHabitIs(t *testing.T) {
	for _, tt := range []struct {
		off  time.Duration // of the gaps, from 30 days
		next time.Duration
		want string
	}{
		{3 * day, 15 * day, "high"},          // 14.8 % of the median: 16.6 days at least
		{3 * day, 17 * day, "low"},           //
		{76 * time.Hour, 15 * day, "low"},    // 15.7 %: half of 26.8 days at least
		{76 * time.Hour, 13 * day, "high"},   //
		{day, 25*day + 14*time.Hour, "low"},  // three times the spread, 4.4 days,
		{day, 25*day + 13*time.Hour, "high"}, // is more than a tenth
		{0, 27*day - time.Minute, "low"},     // a tenth
		{0, 27*day - time.Minute - time.Second, "high"},
	} {
		s := newSim(t)
		got := s.exchanges(30*day, 30*day, 30*day+tt.off, 30*day-tt.off, tt.next)
		if got[len(got)-1] != tt.want {
			t.Errorf("off by %s, after %s: %v", tt.off, tt.next, got)
		}
	}
	// Polls that are far apart see nothing as surely.
	for _, tt := range []struct {
		interval, next time.Duration
		want           string
	}{{6 * time.Hour, 11 * time.Hour, "low"}, {5 * time.Hour, 15 * time.Hour, "low"}, {5 * time.Hour, 14 * time.Hour, "high"}} {
		s := newSim(t)
		s.policy.Interval = tt.interval
		got := s.exchanges(30*time.Hour, 30*time.Hour, 30*time.Hour, 30*time.Hour, tt.next)
		if got[len(got)-1] != tt.want {
			t.Errorf("polled each %s, after %s: %v", tt.interval, tt.next, got)
		}
	}
}

func TestWhatIsNoHabit(t *testing.T) {
	const m = 30 * day
	t.Run("out of habit", func(t *testing.T) {
		s := newSim(t)
		s.exchanges(m, m, m, m, 10*day)
		if f := s.findings[0]; f.Type != event.SetReplaced || !slices.Equal(f.Reasons, []string{"off_habit"}) || f.Severity != event.SeverityHigh {
			t.Errorf("%s %v", f.Type, f.Reasons)
		}
	})
	t.Run("in habit", func(t *testing.T) {
		s := newSim(t)
		s.exchanges(m, m, m, m)
		f := s.findings[0]
		if !slices.Contains(f.Reasons, "in_habit") || len(f.Adjusted) != 1 || f.Adjusted[0].Kind != "learned" || f.Base != event.SeverityHigh {
			t.Errorf("%v %+v", f.Reasons, f.Adjusted)
		}
	})
	t.Run("learning is refused", func(t *testing.T) {
		s := newSim(t)
		s.policy.Expect.NoLearning = true
		if got := s.exchanges(m, m, m, m); !slices.Equal(got, []string{"high", "high", "high", "high"}) || s.open(event.RotationNoOverlap) {
			t.Errorf("%v", got)
		}
	})
	t.Run("tier critical", func(t *testing.T) {
		s := newSim(t)
		s.policy.Tier = "critical"
		if got := s.exchanges(m, m, m, m); !slices.Equal(got, []string{"high", "high", "medium", "medium"}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("another kind of key", func(t *testing.T) {
		s := newSim(t)
		s.exchanges(m, m, m)
		later(m)(s)
		s.expect(s.poll(doc("X0:x:alg=PS512"))[:1], "high set.replaced")
	})
	t.Run("another kind of key, the third time", func(t *testing.T) {
		s := newSim(t)
		s.exchanges(m, m)
		later(m)(s)
		s.expect(s.poll(doc("X0:x:alg=PS512"))[:1], "high set.replaced")
		if s.open(event.RotationNoOverlap) {
			t.Error("opened")
		}
	})
	for before, want := range map[time.Duration]string{0: "high", time.Hour: "high", time.Hour + time.Second: "low"} {
		t.Run(fmt.Sprint("with a certificate of ", before), func(t *testing.T) {
			s := newSim(t)
			s.facts = way("https://idp.example/jwks", "aa", "")
			s.exchanges(m, m, m)
			start, live := s.now, s.memory().Live[0].Kid
			s.facts = way("https://idp.example/jwks", "bb", "")
			if before > 0 {
				s.at(start, m-before)
				s.replace(doc("R" + live[1:] + ":" + live))
			}
			if got := s.exchangesAt(start.Add(m)); got != want {
				t.Errorf("%s: %q", got, tell(s.findings))
			}
		})
	}
	t.Run("another place", func(t *testing.T) {
		s := newIssuer(t)
		s.exchanges(m, m, m, m)
		s.facts = way("https://idp.example/jwks", "aa", "https://idp.example/new")
		if got := s.exchangesAt(s.now.Add(m)); got != "high" {
			t.Errorf("%s: %q", got, tell(s.findings))
		}
	})
	t.Run("over a year apart", func(t *testing.T) {
		s := newSim(t)
		if got := s.exchanges(m, 200*day, 200*day); !slices.Equal(got, []string{"high", "high", "medium"}) {
			t.Errorf("%v", got)
		}
		s = newSim(t)
		if got := s.exchanges(m, 200*day, 200*day+time.Second); !slices.Equal(got, []string{"high", "high", "high"}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("material under a kid", func(t *testing.T) {
		s := newSim(t)
		s.exchanges(m, m, m)
		later(m)(s)
		kid := s.memory().Live[0].Kid
		s.expect(s.poll(doc("X0:" + kid))[:1], "critical key.mutated "+kid)
	})
}

// TestOverlapEndsAHabit: two rotations with an overlap close the condition, and
// the next exchange is no habit any more.
func TestOverlapEndsAHabit(t *testing.T) {
	const m = 30 * day
	for _, tt := range []struct {
		exchanges, overlaps int
		want                string
	}{{4, 1, "low"}, {4, 2, "high"}, {3, 2, "high"}, {2, 2, "medium"}} { // the last of no habit yet
		overlaps, want := tt.overlaps, tt.want
		s := newSim(t)
		s.exchanges(slices.Repeat([]time.Duration{m}, tt.exchanges)...)
		for i := range overlaps {
			later(m)(s)
			live := s.memory().Live[0].Kid
			old, next := "R"+live[1:]+":"+live, fmt.Sprintf("O%d:o%d", i, i)
			if live[0] == 'o' {
				old = "O" + live[1:] + ":" + live
			}
			s.poll(doc(old, next))
			later(3 * day)(s)
			s.poll(doc(next))
		}
		if s.open(event.RotationNoOverlap) != (overlaps < 2) {
			t.Errorf("%d rotations with overlap: %q", overlaps, tell(s.all))
		}
		if got := s.exchanges(m); !slices.Equal(got, []string{want}) {
			t.Errorf("after %d rotations with overlap: %v", overlaps, got)
		}
		if !s.open(event.RotationNoOverlap) {
			t.Error("not open again")
		}
	}
}

// TestHurriedRotationsAreExchanges: a key that goes too early breaks verifiers as
// if there had been no overlap.
func TestHurriedRotationsAreExchanges(t *testing.T) {
	s := newSim(t)
	s.poll(doc("R0:r0"))
	for i := range 2 {
		later(20 * day)(s)
		old, next := fmt.Sprintf("R%d:r%d", i, i), fmt.Sprintf("R%d:r%d", i+1, i+1)
		s.poll(doc(old, next))
		later(2 * time.Hour)(s)
		s.poll(doc(next))
	}
	if n := len(s.memory().Habit.Replacements); n != 2 || s.count("high rotation.removed_early") != 2 || s.memory().Habit.Overlaps != 0 {
		t.Errorf("%d exchanges: %q", n, tell(s.all))
	}
	later(20 * day)(s)
	f := s.replace(doc("Z0:z"))
	s.expect(tell(f)[:2], "medium set.replaced", "medium rotation.no_overlap")
}

// TestPerhapsHurriedIsNoExchange: what polls cannot tell is no habit.
func TestPerhapsHurriedIsNoExchange(t *testing.T) {
	s := newSim(t)
	s.policy.Interval = 6 * time.Hour
	s.poll(doc("A:a"))
	s.poll(doc("A:a", "B:b"))
	later(12 * time.Hour)(s)
	s.poll(doc("B:b"))
	if s.count("informational rotation.removed_early") != 1 || len(s.memory().Habit.Replacements) != 0 {
		t.Errorf("%v: %q", s.memory().Habit.Replacements, tell(s.all))
	}
}

// TestKeysOfTheUnsteadyEndNoHabit: that a node has one more is no overlap.
func TestKeysOfTheUnsteadyEndNoHabit(t *testing.T) {
	s := newSim(t)
	s.exchanges(20*day, 20*day, 20*day)
	live := "R" + s.memory().Live[0].Kid[1:] + ":" + s.memory().Live[0].Kid
	s.poll(doc(live, "N0:n"))
	for i := range 4 {
		later(3 * time.Hour)(s)
		s.poll([][]byte{doc(live), doc(live, "N0:n")}[i%2])
	}
	if s.memory().Stability.Phase != history.Unstable {
		t.Fatalf("%q", tell(s.all))
	}
	for i := range 3 {
		later(time.Hour)(s)
		s.poll(doc(live, fmt.Sprintf("M%d:m%d", i, i)))
	}
	if !s.open(event.RotationNoOverlap) {
		t.Errorf("%q", tell(s.all))
	}
}

// TestExchangeWhileNobodyLooked: keys that rotate may all have gone meanwhile.
func TestExchangeWhileNobodyLooked(t *testing.T) {
	for gap, want := range map[time.Duration]string{20*day + time.Minute: "medium", 20*day - time.Hour: "high", 3 * time.Minute: "high"} {
		s := newSim(t)
		turning(5, 20*day)(s) // two keys that slide
		s.wait(gap - s.policy.Interval)
		s.expect(s.poll(doc("Y0:y", "Z0:z"))[:1], want+" set.replaced")
	}
	three, single := []string{"A:a", "B:b", "C:c"}, []string{"A:a"}
	for _, tt := range []struct {
		keys []string
		gap  time.Duration
		by   string
		want string
	}{
		{three, 20 * day, "Z:z", "high"},
		{three, 40 * day, "Z:z", "medium"},
		{three, 40 * day, "Z:z:alg=PS512", "high"},
		{single, 20 * day, "Z:z", "medium"},
		{single, 20*day - time.Second, "Z:z", "high"},
	} {
		s := newSim(t)
		s.policy.Expect.Cadence = 20 * day
		s.poll(doc(tt.keys...))
		later(40 * day)(s)
		s.poll(doc(tt.keys...))
		s.wait(tt.gap - s.policy.Interval)
		told := s.replace(doc("Y:y", tt.by))
		i := slices.IndexFunc(told, func(f rules.Finding) bool { return f.Type == event.SetReplaced })
		if got := told[i].Severity.String(); got != tt.want {
			t.Errorf("%v after %s by %s: %s", tt.keys, tt.gap, tt.by, got)
		}
	}
}
