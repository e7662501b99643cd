package rules_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// Two sets of two nodes that are not equal.
var (
	one = doc("A:a", "B:b")
	two = doc("A:a", "C:c")
)

// types counts what was told, "medium set.unstable" or "set.unstable".
func (s *sim) count(what string) (n int) {
	for _, f := range s.all {
		if !f.Closing && (string(f.Type) == what || f.Severity.String()+" "+string(f.Type) == what) {
			n++
		}
	}
	return n
}

// at lets time pass with good polls until so long after the start.
func (s *sim) at(start time.Time, d time.Duration) {
	s.t.Helper()
	wait := start.Add(d).Sub(s.now) - s.policy.Interval
	if wait < 0 {
		s.t.Fatalf("%s is over", d)
	}
	later(wait)(s)
}

func TestAnOlderSetReturnsTheNextDay(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	s.expect(s.poll(doc("B:b")), "high set.replaced", "low key.added b", "informational key.removed a")
	later(day)(s)
	start := s.now
	s.expect(s.poll(doc("A:a")))
	s.at(start.Add(time.Minute), 2*time.Hour)
	s.expect(s.poll(doc("A:a")), "medium set.rolled_back a once")
	d := s.findings[0].Details.(*event.SetRolledBackDetails)
	if d.Returned != 1 || d.Retired || d.FirstObserved == nil || d.Code != "older_set" {
		t.Errorf("%+v", d)
	}
	s.expect(s.poll(doc("A:a")))
	if !s.review.IsZero() && s.review.Before(s.now) {
		t.Errorf("a review at %s, now it is %s", s.review, s.now)
	}
}

// TestHowLongALaggingNodeHas pins the time within which an older set may still be
// served, from both sides.
func TestHowLongALaggingNodeHas(t *testing.T) {
	for _, tt := range []struct{ interval, age, g time.Duration }{
		{time.Minute, -1, 15 * time.Minute},
		{20 * time.Second, -1, 5 * time.Minute},
		{2 * time.Minute, -1, 15 * time.Minute},
		{time.Minute, 30 * time.Minute, time.Hour},
		{time.Minute, 5 * time.Hour, 2 * time.Hour},
		{10 * time.Minute, 10 * time.Minute, 20 * time.Minute},
	} {
		for _, in := range []bool{true, false} {
			s := newSim(t)
			s.policy.Interval, s.age = tt.interval, tt.age
			polls(one, two, one)(s)
			m := s.memory()
			if m.Stability.Phase != history.Suspect {
				t.Fatalf("phase %d", m.Stability.Phase)
			}
			end := m.Stability.Since.Add(tt.g)
			if !s.review.Equal(end) {
				t.Errorf("%v: review at %s, want %s", tt, s.review, end)
			}
			s.now = end
			if in {
				s.now = end.Add(-time.Second)
			}
			s.good = s.now.Add(-tt.interval)
			s.answer(one)
			if got := s.count("set.rolled_back"); (got == 0) != in {
				t.Errorf("%v, within %t: %d times", tt, in, got)
			}
		}
	}
}

func TestALaggingNodeIsSilent(t *testing.T) {
	s := newSim(t)
	polls(doc("A:a", "B:b"), doc("B:b", "C:c"))(s)
	told := len(s.all)
	later(10 * time.Minute)(s)
	s.expect(s.poll(doc("A:a", "B:b")))
	later(10 * time.Minute)(s)
	s.expect(s.poll(doc("B:b", "C:c")))
	later(5 * day)(s)
	s.expect(s.poll(doc("B:b", "C:c")))
	if len(s.all) != told {
		t.Errorf("%q", tell(s.all[told:]))
	}
	for _, sight := range s.memory().Sightings {
		if sight.Untold || sight.Key.Kid == "c" && !sight.FirstSeen.Equal(s.all[1].At) {
			t.Errorf("%+v", sight) // c was there all the time
		}
	}
	later(20 * day)(s)
	s.expect(s.poll(doc("C:c")), "informational key.removed b", "informational rotation.completed")
	d := s.findings[1].Details.(*event.RotationCompletedDetails)
	if d.SettlingS == nil || *d.SettlingS < 600 || *d.SettlingS > 720 {
		t.Errorf("settling %v", d.SettlingS)
	}
	s.poll(doc("C:c", "D:d"))
	later(20 * day)(s)
	s.expect(s.poll(doc("D:d")), "informational key.removed c", "informational rotation.completed")
	if d := s.findings[1].Details.(*event.RotationCompletedDetails); d.SettlingS != nil {
		t.Errorf("settling %d s of the rotation before", *d.SettlingS)
	}
	s.poll(doc("D:d", "E:e"))
	s.poll(doc("E:e", "F:f"))
	later(10 * time.Minute)(s)
	s.expect(s.poll(doc("D:d", "E:e")))
	s.expect(s.poll(doc("E:e", "F:f")))
	if phase := s.memory().Stability.Phase; phase != history.Stable {
		t.Errorf("phase %d when the newest is back", phase)
	}
	later(day)(s)
	s.expect(s.poll(doc("E:e", "F:f")))
}

// TestWhenAnswersAreUnstable pins from both sides how many flips, and how far
// apart, make an endpoint unstable. A rollout's flips count once.
func TestWhenAnswersAreUnstable(t *testing.T) {
	const g, m = 2 * time.Hour, time.Minute
	tests := []struct {
		name  string
		flips []time.Duration // starts of flips
		want  bool
	}{
		{"one", []time.Duration{0}, false},
		{"a second, within the rollout", []time.Duration{0, g - m}, false},
		{"a second, after it", []time.Duration{0, g}, true},
		{"a second, a week after", []time.Duration{0, 7 * day}, true},
		{"a second, over a week after", []time.Duration{0, 7*day + m}, false},
		// Back within a minute each time.
		{"the third in a quarter", []time.Duration{0, m, 8 * day, 8*day + m, 16 * day}, false},
		{"the fourth in a quarter", []time.Duration{0, m, 30 * day, 30*day + m, 60 * day, 60*day + m, 90*day + m}, true},
		{"the fourth, over a quarter", []time.Duration{0, m, 30 * day, 30*day + m, 60 * day, 60*day + m, 90*day + 2*m}, false},
		{"the fourth, but for two of one rollout", []time.Duration{0, m, 30 * day, 30*day + g - m, 60 * day}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t)
			polls(one, two)(s)
			later(time.Hour)(s)
			start := s.now.Add(s.policy.Interval)
			next, other := one, two
			for _, at := range tt.flips {
				s.at(start, at)
				s.poll(next)
				s.now = start.Add(at) // without the time of the second look
				next, other = other, next
			}
			if got := s.count("set.unstable") > 0; got != tt.want {
				t.Errorf("%t: %q\n%v", got, tell(s.all), s.memory().Flips)
			}
		})
	}
}

// unsteady is an endpoint whose answers alternate, the last flip a moment ago.
func unsteady(t *testing.T) *sim {
	s := newSim(t)
	polls(one, two)(s)
	later(3 * time.Hour)(s)
	s.poll(one)
	later(3 * time.Hour)(s)
	s.poll(one)
	later(3 * time.Hour)(s)
	s.poll(two)
	if got := s.count("medium set.unstable"); got != 1 {
		t.Fatalf("%q", tell(s.all))
	}
	s.all = nil
	return s
}

// TestWhatIsToldOfAlternatingSets holds the details of set.unstable.
func TestWhatIsToldOfAlternatingSets(t *testing.T) {
	s := newSim(t)
	polls(one, two)(s)
	later(3 * time.Hour)(s)
	s.poll(one)
	first := s.flipped()
	later(3 * time.Hour)(s)
	s.poll(two)
	d, ok := s.findings[0].Details.(*event.SetUnstableDetails)
	if !ok || len(d.Sets) != 2 || d.Sets[0].Answers != 2 || d.Sets[1].Answers != 1 || d.Flips != 2 || d.Sets[0].Keys != 2 || !d.Since.Equal(first) {
		t.Errorf("%+v", d)
	}
	later(time.Hour)(s)
	s.poll(one)
	last := s.memory().Stability.Last
	s.closes(10 * s.memory().Stability.Longest)
	d, ok = s.findings[0].Details.(*event.SetUnstableDetails)
	if !ok || d.Flips != 3 || !d.Last.Equal(last) || !d.Since.Equal(first) {
		t.Errorf("at its end %+v", d)
	}
}

// flipped is the time of the last flip.
func (s *sim) flipped() time.Time { f := s.memory().Flips; return f[len(f)-1] }

func TestAlternatingSetsAreOneCondition(t *testing.T) {
	s := unsteady(t)
	for range 200 {
		later(time.Hour)(s)
		s.expect(s.poll(one))
		later(time.Hour)(s)
		s.expect(s.poll(two))
	}
	st := s.memory().Stability
	if st.Flips < 400 || len(st.Shares) != 2 || st.Shares[0].Count < 200 || st.Shares[1].Count < 200 {
		t.Errorf("%+v", st)
	}
}

// TestFlipsOfEachPollCostNoWrite polls nodes by turns, each minute of an hour.
func TestFlipsOfEachPollCostNoWrite(t *testing.T) {
	s := unsteady(t)
	s.stores = 0
	for range 30 {
		s.expect(s.poll(one))
		s.expect(s.poll(two))
	}
	if s.stores > 7 || s.stores < 5 {
		t.Errorf("%d writes", s.stores)
	}
	s.now = s.now.Add(time.Minute)
	if s.answer(one); s.look != 0 {
		t.Error("a second look at what is known")
	}
}

// TestRetired pins what makes a key retired: seven days there, seven days gone.
func TestRetired(t *testing.T) {
	for _, tt := range []struct {
		there, gone time.Duration
		want        string
	}{
		{7 * day, 7 * day, "high"},
		{7*day - time.Minute, 7 * day, "medium"},
		{7 * day, 7*day - time.Minute, "medium"},
	} {
		s := newSim(t)
		s.poll(doc("A:a", "X:x"))
		start := s.now
		s.at(start, tt.there)
		s.poll(doc("A:a", "X:x"))
		s.poll(doc("A:a"))
		start = s.memory().Sightings[s.findings[0].Key.Key.ID].GoneBy
		s.at(start, tt.gone)
		s.poll(doc("A:a", "X:x"))
		later(3 * time.Hour)(s)
		s.poll(doc("A:a", "X:x"))
		if s.count(tt.want+" set.rolled_back") != 1 {
			t.Errorf("%v: %q", tt, tell(s.all))
		}
	}
}

// TestNodesThatRestart has two nodes with keys of their own, asked by chance, that
// make new keys when they are started anew every two days, for twelve days.
func TestNodesThatRestart(t *testing.T) {
	for seed := range uint64(4) {
		for _, stagger := range []int{0, 20} { // intervals
			s := newSim(t)
			s.policy.Interval = 20 * time.Minute
			coin := rand.New(rand.NewPCG(seed, 1))
			for i := range 12 * 24 * 3 {
				n := coin.IntN(2)
				s.poll(doc(node((i-10-n*stagger)/(2*24*3), n)))
			}
			if s.count("high set.replaced") != 2 || s.count("set.unstable") != 1 {
				t.Errorf("seed %d, %d: %q", seed, stagger, tell(s.all))
			}
		}
	}
}

func node(boot, n int) string { return fmt.Sprintf("N%d-%d:n%d-%d", boot, n, boot, n) }

func TestNothingIsRemovedEarlyOnTheFirstDay(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b", "C:c"))
	later(time.Hour)(s)
	s.poll(doc("A:a", "B:b"))
	later(3 * time.Hour)(s)
	s.poll(doc("A:a", "B:b"))
	for _, f := range s.all {
		if f.Severity > event.SeverityInformational {
			t.Errorf("%q", tell(s.all))
		}
	}
}
