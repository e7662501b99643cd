package rules_test

import (
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
)

// retiredX is an endpoint that serves a and b, and long ago served x for long.
func retiredX(t *testing.T) *sim {
	s := newSim(t)
	polls(doc("A:a", "B:b", "X:x"))(s)
	later(10 * day)(s)
	polls(doc("A:a", "B:b"))(s)
	later(29 * day)(s)
	return s
}

func TestARetiredKeyReturnsWhileUnstable(t *testing.T) {
	for name, play := range map[string]play{"later": later(5 * time.Hour), "a minute after a flip": later(0)} {
		s := retiredX(t)
		polls(doc("A:a", "C:c"))(s)
		later(5 * time.Hour)(s)
		for range 3 {
			polls(doc("A:a", "B:b"))(s)
			later(5 * time.Hour)(s)
			polls(doc("A:a", "C:c"))(s)
			play(s)
		}
		if s.count("set.unstable") != 1 && s.count("medium set.unstable") != 1 {
			t.Fatalf("%s: %q", name, tell(s.all))
		}
		flips := s.memory().Stability.Flips
		s.expect(s.poll(doc("A:a", "C:c", "X:x")), "high key.reappeared x once")
		s.expect(s.poll(doc("A:a", "C:c", "X:x")))
		if got := s.memory().Stability.Flips; got != flips+1 || s.memory().Stability.Phase != history.Unstable {
			t.Errorf("%s: %d flips, %d before", name, got, flips)
		}
	}
}

// TestARetiredKeyExplainsWhatGoes: one event says what happened, unless something
// new comes with it.
func TestARetiredKeyExplainsWhatGoes(t *testing.T) {
	s := retiredX(t)
	s.expect(s.poll(doc("A:a", "X:x")), "high key.reappeared x")
	s = retiredX(t)
	s.expect(s.poll(doc("A:a", "X:x", "N:n")), "low key.added n", "high key.reappeared x", "informational key.removed b")
	s = retiredX(t)
	s.expect(s.poll(doc("A:a", "B:b", "X:x")), "high set.rolled_back x")
}

// TestNewsWhileInDoubt: what comes beside something new is told at once, and so is
// what was still to be decided; what nobody was told had gone does not come back.
func TestNewsWhileInDoubt(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  []byte
		want []string
		then []string
	}{
		{"the newest grows", doc("B:b", "C:c", "D:d"), []string{"low key.added d", "informational key.removed a"}, nil},
		{"the older grows", doc("A:a", "B:b", "D:d"), []string{"low key.added d", "medium key.reappeared a once", "informational key.removed c once"}, nil},
		{"another", doc("B:b", "D:d"), []string{"low key.added d", "informational key.removed a", "informational key.removed c once"}, []string{"high key.ephemeral c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t)
			polls(doc("A:a", "B:b"), doc("B:b", "C:c"))(s)
			s.expect(s.poll(doc("A:a", "B:b")))
			s.expect(s.poll(tt.set), tt.want...)
			st := s.memory().Stability
			if st.Phase != history.Stable {
				t.Errorf("phase %d", st.Phase)
			}
			later(3 * time.Hour)(s)
			s.expect(s.poll(tt.set), tt.then...)
		})
	}
}

// TestNewsAtTheEndOfDoubt: a first look at something new decides nothing yet.
func TestNewsAtTheEndOfDoubt(t *testing.T) {
	s := newSim(t)
	polls(doc("A:a", "B:b"), doc("B:b", "C:c"), doc("A:a", "B:b"))(s)
	later(3 * time.Hour)(s)
	s.expect(s.poll(doc("B:b", "C:c", "D:d")), "low key.added d", "informational key.removed a")
}

// TestWhatStaysIsTheNewest: a return from it is a roll-back of its own.
func TestWhatStaysIsTheNewest(t *testing.T) {
	s := newSim(t)
	polls(one, two, one)(s)
	later(3 * time.Hour)(s)
	s.expect(s.poll(one), "medium set.rolled_back b once")
	later(8 * day)(s)
	s.expect(s.poll(two))
	later(3 * time.Hour)(s)
	s.expect(s.poll(two), "medium set.rolled_back c once")

	s = unsteady(t)
	later(time.Hour)(s)
	s.poll(one)
	s.closes(10 * s.memory().Stability.Longest)
	later(91 * day)(s)
	s.expect(s.poll(two))
	later(3 * time.Hour)(s)
	s.expect(s.poll(two), "medium set.rolled_back c once")
}

// TestAFlawWhileInDoubt: that an older set is found to be wrong in some way decides
// nothing.
func TestAFlawWhileInDoubt(t *testing.T) {
	s := newSim(t)
	s.facts = way("https://idp.example/jwks", "aa", "")
	polls(doc("A:a", "B:b"), doc("B:b", "C:c"), doc("A:a", "B:b"))(s)
	start := s.memory().Stability.Since
	later(time.Hour)(s)
	s.facts.ContentType = "text/html"
	s.expect(s.poll(doc("A:a", "B:b")), "low endpoint.content_type")
	s.at(start, 2*time.Hour)
	s.facts = way("https://idp.example/jwks", "aa", "")
	s.expect(s.poll(doc("A:a", "B:b")), "informational endpoint.content_type closed", "medium set.rolled_back a once")
}
