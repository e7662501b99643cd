package rules_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// numbered is a set with a sequence number, as SPIFFE bundles have one.
func numbered(n int, words ...string) []byte {
	return bytes.Replace(doc(words...), []byte(`{"keys"`), fmt.Appendf(nil, `{"spiffe_sequence":%d,"keys"`, n), 1)
}

// TestSequenceThatWentDown pins how long a lower number must stand, from both sides,
// and that it is told once.
func TestSequenceThatWentDown(t *testing.T) {
	t.Parallel()
	const lag = 2 * time.Hour // twice max-age
	for name, c := range map[string]struct {
		then play
		want int
	}{
		"lower for long":            {scene(polls(numbered(6, "A:a")), later(lag-time.Minute), polls(numbered(6, "A:a"))), 1},
		"lower, not for so long":    {scene(polls(numbered(6, "A:a")), later(lag-2*time.Minute), polls(numbered(6, "A:a"))), 0},
		"a lagging node":            {scene(polls(numbered(6, "A:a")), later(time.Hour), polls(numbered(7, "A:a")), later(time.Hour), polls(numbered(6, "A:a"))), 0},
		"higher and higher":         {scene(polls(numbered(8, "A:a")), later(lag), polls(numbered(9, "A:a"))), 0},
		"none any more":             {scene(polls(doc("A:a")), later(lag), polls(doc("A:a"))), 0},
		"told once":                 {scene(polls(numbered(6, "A:a")), later(lag), polls(numbered(6, "A:a")), later(lag), polls(numbered(6, "A:a"))), 1},
		"lower still, told again":   {scene(polls(numbered(6, "A:a")), later(lag), polls(numbered(6, "A:a"), numbered(5, "A:a")), later(lag), polls(numbered(5, "A:a"))), 2},
		"lower with another change": {scene(polls(numbered(6, "A:a", "B:b")), later(lag), polls(numbered(6, "A:a", "B:b"))), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSim(t)
			s.poll(numbered(7, "A:a"))
			c.then(s)
			list := s.openings(event.SetRolledBack)
			if len(list) != c.want {
				t.Fatalf("%q", tell(s.all))
			}
			for _, f := range list {
				if d := f.Details.(*event.SetRolledBackDetails); d.Code != "sequence_regressed" || d.FirstObserved != nil || f.Severity != event.SeverityHigh || !f.Confirmed {
					t.Errorf("%s %+v: %s", f.Severity, d, f.Message)
				}
			}
		})
	}
}

// TestSequenceIsReviewed holds that an answer which stays the same is judged when the
// time has come, and never again for its sake; and that a rising number alone is
// stored every ten minutes and not at each poll.
func TestSequenceIsReviewed(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	polls(numbered(7, "A:a"), numbered(6, "A:a"))(s)
	if want := s.now.Add(2 * time.Hour); !s.review.Equal(want) {
		t.Errorf("review at %s, want %s", s.review, want)
	}
	later(2 * time.Hour)(s)
	if s.poll(numbered(6, "A:a")); s.count("set.rolled_back") != 1 || !s.review.IsZero() {
		t.Errorf("%q, review at %s", tell(s.all), s.review)
	}
	stores := s.stores
	for i := range 30 {
		s.poll(numbered(7+i, "A:a"))
	}
	if got := s.stores - stores; got < 2 || got > 4 {
		t.Errorf("%d writes in half an hour", got)
	}
	s.policy.URL = "https://other.example/jwks"
	polls(numbered(1, "A:a"))(s)
	later(3 * time.Hour)(s)
	if s.poll(numbered(1, "A:a")); s.count("set.rolled_back") != 1 {
		t.Errorf("another URL counts for itself: %q", tell(s.all))
	}
}
