package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
)

// TestNewsOfAnUnstableEndpoint holds that what was never seen is judged in full
// while answers alternate.
func TestNewsOfAnUnstableEndpoint(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  []byte
		want []string
	}{
		{"a key", doc("A:a", "C:c", "R:r"), []string{"low key.added r"}},
		{"other material", doc("A:a", "R:c"), []string{"critical key.mutated c"}},
		{"of the other set", doc("A:a", "R:b"), []string{"critical key.mutated b"}},
		{"a private half", doc("A:a", "C:c:d=AQAB"), []string{"critical key.private c"}},
		{"all keys", doc("R:r"), []string{"high set.replaced", "low key.added r", "informational key.removed a", "informational key.removed c"}},
		{"a value", doc("A:a", "C:c:use=sig"), []string{"low key.altered c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := unsteady(t)
			later(time.Hour)(s)
			got := slices.DeleteFunc(s.poll(tt.set), func(s string) bool { return strings.Contains(s, "set.ambiguous") || strings.Contains(s, "breaks") })
			s.expect(got, tt.want...)
			if s.memory().Stability.Phase != history.Unstable {
				t.Error("no longer unstable")
			}
		})
	}
}

// TestNewsOfTheWayOfAnUnstableEndpoint: a set that is known may come in a new way.
func TestNewsOfTheWayOfAnUnstableEndpoint(t *testing.T) {
	s := newSim(t)
	s.facts = way("https://idp.example/jwks", "aa", "")
	polls(one, two)(s)
	for i := range 3 {
		later(3 * time.Hour)(s)
		s.poll([][]byte{one, two}[i%2])
	}
	if s.memory().Stability.Phase != history.Unstable {
		t.Fatalf("%q", tell(s.all))
	}
	later(time.Hour)(s)
	s.facts = way("https://idp.example/jwks", "bb", "")
	s.expect(s.poll(two), "low endpoint.certificate_changed")
	later(time.Hour)(s)
	s.facts.ContentType = "text/html"
	s.expect(s.poll(one), "low endpoint.content_type")
	later(time.Hour)(s)
	s.facts = way("https://idp.example/jwks", "bb", "")
	s.expect(s.poll(two), "informational endpoint.content_type closed")
}

// TestWhatGoesBesideNewsOfAnUnstableEndpoint is told when no answer shows it for
// long, as all else.
func TestWhatGoesBesideNewsOfAnUnstableEndpoint(t *testing.T) {
	s := unsteady(t)
	later(time.Hour)(s)
	flips := s.memory().Stability.Flips
	s.expect(s.poll(doc("A:a", "R:r")), "low key.added r")
	if got := s.memory().Stability.Flips; got != flips {
		t.Errorf("news counts as %d flips", got-flips)
	}
	gone := s.now
	s.at(gone, 23*time.Hour+30*time.Minute)
	s.expect(s.poll(doc("A:a", "R:r")), "informational key.removed b once")
	s.at(gone, 25*time.Hour)
	s.expect(s.poll(doc("A:a", "R:r")), "informational key.removed c once")
}

// TestMembersBesideTheDigest: a set that was here before may name another place for
// its certificates. That is told, and only once where such values alternate.
func TestMembersBesideTheDigest(t *testing.T) {
	x := func(host, kid string) []byte { return doc("A:a:x5u="+host, kid) }
	s := newSim(t)
	polls(x("idp", "B:b"), x("idp", "C:c"))(s)
	for i := range 3 {
		later(3 * time.Hour)(s)
		s.poll(x("idp", []string{"B:b", "C:c"}[i%2]))
	}
	if s.count("set.unstable") != 1 {
		t.Fatalf("%q", tell(s.all))
	}
	later(time.Hour)(s)
	s.expect(s.poll(x("other", "C:c")), "high key.altered a")
	for range 3 {
		later(time.Hour)(s)
		s.expect(s.poll(x("idp", "B:b")))
		later(time.Hour)(s)
		s.expect(s.poll(x("other", "C:c")))
	}
	later(time.Hour)(s)
	s.expect(s.poll(x("third", "B:b")), "high key.altered a")
}

// TestAKeyThatNoAnswerShows tells of a removal only when no answer showed the key
// for long.
func TestAKeyThatNoAnswerShows(t *testing.T) {
	for _, tt := range []struct{ interval, long time.Duration }{{time.Minute, day}, {3 * time.Hour, 30 * time.Hour}} {
		s := unsteady(t)
		s.policy.Interval = tt.interval
		var last time.Time
		for _, sight := range s.memory().Sightings {
			if sight.Untold {
				last = sight.LastSeen
			}
		}
		s.now = last.Add(tt.long - time.Second)
		s.good = s.now.Add(-tt.interval)
		s.expect(s.answer(two))
		if want := last.Add(tt.long); s.review.After(want) || s.review.Before(want.Add(-time.Minute)) {
			t.Errorf("review at %s, want %s", s.review, want)
		}
		s.now = s.now.Add(time.Minute)
		s.expect(s.answer(two), "informational key.removed b once")
		s.now = s.now.Add(time.Minute)
		s.expect(s.answer(two))
	}
}
