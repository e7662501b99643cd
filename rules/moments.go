package rules

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Thresholds of keys that were there for a moment only.
const (
	momentLeast = day // and three intervals
	livesKnown  = 3   // lives from which on the usual one counts
	momentWait  = time.Hour
)

// depart looks at keys that go: how long each was there, and whether that was a
// moment only. It runs after the keys were accepted. Keys of a baseline have an
// unknown age: never young, never ephemeral.
func (s *step) depart(c *Case) {
	if c.Replaced != nil || c.resurrection != nil {
		return
	}
	var gone []Change
	before := 0
	for _, m := range diff.Group(c.Before.Live) {
		if m.In(jwks.ClassSignature) {
			before++
		}
	}
	for _, ch := range c.Changes {
		if ch.Kind == diff.Removed && ch.Material.In(jwks.ClassSignature) && !slices.Contains(c.doubted, ch.ID) {
			gone = append(gone, ch)
		}
	}
	var waiting []history.Waiting
	for _, ch := range gone {
		sight := s.m.Sightings[ch.ID]
		if sight == nil || sight.Live() || sight.FirstAfter.IsZero() || sight.Published > sight.LastSeen.Sub(sight.FirstSeen) {
			continue // or it had a life before: not young
		}
		life := sight.GoneBy.Sub(sight.FirstAfter)
		usual := median(s.m.Habit.Lives)
		short := life <= max(momentLeast, 3*s.p.Interval) && (len(s.m.Habit.Lives) < livesKnown || life <= usual/2)
		s.m.Habit.Lives = lastOf(append(s.m.Habit.Lives, life), history.MaxLives)
		if !short {
			continue
		}
		wait := 2 * s.p.Interval
		if s.p.Interval < time.Hour {
			wait = max(momentWait, 5*s.p.Interval)
		}
		waiting = append(waiting, history.Waiting{
			ID: ch.ID, Due: c.At.Add(wait), Min: max(0, sight.LastSeen.Sub(sight.FirstSeen)), Max: life, Low: s.habitual(),
		})
	}
	// Many that were young are how this issuer lives. Old ones that go with one that was
	// young are a rotation, behind which it could hide.
	if len(waiting) <= max(1, before/3) {
		s.m.Waiting = lastOf(append(s.m.Waiting, waiting...), history.MaxWaiting)
	}
}

// habitual reports whether the issuer was unsteady of late, or exchanges its keys
// by habit: then a key that comes and goes is no alarm.
func (s *step) habitual() bool {
	if s.m.Stability.Phase != history.Stable || s.open(event.RotationNoOverlap) != nil {
		return true
	}
	return slices.ContainsFunc(s.m.Stability.Openings, func(t time.Time) bool { return s.o.At.Sub(t) <= flipsOver })
}

// moments tells of keys that were there for a moment and did not return.
func (s *step) moments(x *answer) {
	var due []history.Waiting
	rest := slices.DeleteFunc(slices.Clone(s.m.Waiting), func(w history.Waiting) bool {
		sight := s.m.Sightings[w.ID]
		if sight == nil || sight.Live() {
			return true // it is back, and was no moment
		}
		if s.o.At.Before(w.Due) {
			return false
		}
		due = append(due, w)
		return true
	})
	if len(rest) == len(s.m.Waiting) {
		return
	}
	s.m.Waiting, s.out.Store = rest, true
	if len(rest) == 0 {
		s.m.Waiting = nil
	}
	if len(due) == 0 {
		return
	}
	c := s.passingCase(x)
	c.moments = due
	s.judge(c)
}

func (s *step) momentsReview() time.Time {
	var next time.Time
	for _, w := range s.m.Waiting {
		if next.IsZero() || w.Due.Before(next) {
			next = w.Due
		}
	}
	return next
}

func keyEphemeral(c *Case) []Finding {
	var out []Finding
	for _, w := range c.moments {
		sight, ok := c.sighting(w.ID)
		if !ok {
			continue
		}
		m := diff.Group([]jwks.Key{sight.Key})[0]
		f := Finding{
			Confirmed: true, When: When{sight.FirstAfter, sight.GoneBy},
			Details: &event.KeyEphemeralDetails{Class: class(m), LifeMinS: int64(w.Min / time.Second), LifeMaxS: int64(w.Max / time.Second)},
		}
		if w.Low {
			f.Severity, f.Verdict, f.Reasons = event.SeverityLow, event.Informational, []string{"unsteady_issuer"}
		}
		f.Key = new(c.fact(sight.Key, f.When))
		f.Message = c.message(&f, noun(m), "was there for "+w.Max.Round(time.Second).String()+" at most and is gone", "who held it could sign meanwhile")
		out = append(out, f)
	}
	return out
}

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// lastOf keeps the newest n of a list.
func lastOf[T any](list []T, n int) []T {
	if len(list) > n {
		return slices.Clone(list[len(list)-n:])
	}
	return list
}
