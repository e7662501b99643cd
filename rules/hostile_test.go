package rules_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// looks serves the documents in turn, each when the last step asked for a look
// or an interval later, and returns what was told.
func (s *sim) looks(n int, docs ...[]byte) []string {
	s.t.Helper()
	var got []string
	for i := range n {
		wait := s.look
		if wait == 0 {
			wait = s.policy.Interval
		}
		s.wait(wait)
		got = append(got, s.answer(docs[i%len(docs)])...)
	}
	return got
}

func TestEmptyAnswersStarveNoVerdict(t *testing.T) {
	t.Run("in turn with a rogue set", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a", "B:b"))
		start := s.now
		s.expect(s.looks(3, doc("R:r"), doc()), "low key.added r once",
			"high set.replaced", "informational key.removed a", "informational key.removed b")
		if took := s.now.Sub(start); took > 2*s.policy.Interval+5*time.Second {
			t.Errorf("told after %v", took)
		}
		if f := s.findings[1]; !f.After.Equal(start) {
			t.Errorf("removed after %v, the last poll that showed it was at %v", f.After, start)
		}
	})
	t.Run("a new rogue key each time", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a", "B:b"))
		got := s.looks(3, doc("R:r"), doc(), doc("Q:q"))
		if count(got, "high set.replaced") != 1 || count(got, "informational key.removed a") != 1 || count(got, "low key.added q once") != 1 {
			t.Errorf("told %q", got)
		}
	})
	t.Run("and stay", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a", "B:b"))
		s.expect(s.looks(1, doc("R:r")))
		s.expect(s.looks(3, doc()), "low key.added r once", "critical set.emptied")
		s.expect(s.looks(20, doc()))
		s.expect(s.poll(doc("R:r")), "informational set.emptied closed", "high set.replaced",
			"informational key.removed a", "informational key.removed b")
	})
	t.Run("the known keys were only away", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a", "B:b"))
		s.expect(s.looks(3, doc("A:a"), doc(), doc("A:a", "B:b")))
		s.expect(s.poll(doc("A:a", "B:b")))
		if s.pending {
			t.Error("a claim still waits")
		}
	})
}

func TestAnEmptySetIsToldOnceWhateverItsURL(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	s.expect(s.poll(doc()), "critical set.emptied")
	s.policy.URL = "https://new.example/jwks"
	s.expect(s.poll(doc()), "medium baseline.established once")
	s.expect(s.poll(doc()))
	s.expect(s.poll(doc("C:c")), "informational set.emptied closed", "low key.added c")
}

func TestAgeOfAKeyOfANewBaselineIsUnknown(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	s.policy.URL = "https://new.example/jwks"
	s.poll(doc("B:b", "C:c"))
	s.expect(s.poll(doc("C:c")), "informational key.removed b")
	if k := s.findings[0].Key; !k.FirstSeen.IsZero() {
		t.Errorf("first seen %v, want unknown", k.FirstSeen)
	}
}

func TestKeysWereLastSeenBeforeTheSetWasEmpty(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b"))
	last := s.now
	s.poll(doc())
	for range 3 * 24 * 60 / 7 {
		s.wait(6 * time.Minute)
		s.expect(s.poll(doc()))
	}
	s.expect(s.poll(doc("A:a")), "informational set.emptied closed", "informational key.removed b")
	f := s.findings[1]
	if !f.Key.LastSeen.Equal(last) || !f.After.Equal(last) {
		t.Errorf("last seen %v, gone after %v, want %v", f.Key.LastSeen, f.After, last)
	}
	m, _ := history.Decode(s.stored)
	if got := m.Sightings[f.Key.Key.ID].LastSeen; !got.Equal(last) {
		t.Errorf("remembered as last seen %v, want %v", got, last)
	}
	if got := m.Bindings["b"].Gone; !got.Equal(last) {
		t.Errorf("kid gone since %v, want %v", got, last)
	}
	if !m.Shown.IsZero() {
		t.Error("the empty time is not over")
	}
}

func TestJunkThatStaysHidesNoReplacement(t *testing.T) {
	replaced := "high set.replaced"
	for name, tt := range map[string]struct {
		before, after []byte
		want          int
	}{
		"left standing":             {doc("A:a", "B:b", "!J:j"), doc("C:c", "!J:j"), 1},
		"the only key exchanged":    {doc("A:a", "!J:j"), doc("C:a", "!J:j"), 0}, // key.mutated alone
		"a real key stays":          {doc("A:a", "B:b", "!J:j"), doc("C:c", "B:b", "!J:j"), 0},
		"nothing was readable":      {doc("!J:j", "!K:k"), doc("!J:j", "!K:k", "A:a"), 0},
		"nothing readable survives": {doc("!J:j", "!K:k"), doc("A:a"), 1},
		"junk alone is left":        {doc("A:a", "B:b", "!J:j"), doc("!J:j"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			s.poll(tt.before)
			if got := s.poll(tt.after); count(got, replaced) != tt.want {
				t.Errorf("told %q", got)
			}
		})
	}
	s := newSim(t)
	s.poll(doc("A:a", "B:b", "!J:j"))
	s.poll(doc("C:c", "!J:j"))
	if d := s.findings[0].Details.(*event.SetReplacedDetails); d.Before != 2 || d.After != 1 {
		t.Errorf("%d before, %d after, want the two that are gone and the one that came", d.Before, d.After)
	}
}

func TestJoinedFindingsNameNoKeyForAll(t *testing.T) {
	s := newSim(t)
	s.poll(doc("S:s"))
	words := []string{"S:s"}
	for i := range 12 {
		words = append(words, fmt.Sprintf("A%d:k%d", i, i), fmt.Sprintf("B%d:k%d:use=enc", i, i))
	}
	s.expect(s.poll(doc(words...)), "medium set.ambiguous x12", "low key.added x24")
	d := s.findings[0].Details.(*event.SetAmbiguousDetails)
	if d.Kid != nil || d.Keys != 24 || len(d.Pointers) != 12 {
		t.Errorf("%+v", d)
	}
}

// TestEachConditionHasAnEndOfItsOwn closes more of them in one step than are told
// one by one when they open: a condition that a SIEM saw open must not stay so.
func TestEachConditionHasAnEndOfItsOwn(t *testing.T) {
	s := newSim(t)
	s.poll(doc("S:s"))
	words := []string{"S:s"}
	for i := range 12 { // one condition after the other
		words = append(words, fmt.Sprintf("!%d:k%d", i, i), fmt.Sprintf("L%d:l%d:d=x", i, i))
		s.poll(doc(words...))
	}
	open := s.memory().Conditions
	s.poll(doc("S:s"))
	for _, c := range open {
		ends := 0
		for _, f := range s.findings {
			if f.Closing && slices.Equal(f.Condition.Flaws, c.Flaws) {
				ends++
			}
		}
		if ends != 1 {
			t.Errorf("%s of %v ended %d times", c.Type, c.Flaws, ends)
		}
	}
	if len(open) < 24 || len(s.memory().Conditions) != 0 {
		t.Errorf("%d conditions were open, %d are", len(open), len(s.memory().Conditions))
	}
}
