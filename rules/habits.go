package rules

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Thresholds of the habit to exchange all keys at once.
const (
	habitAfter   = 3 // replacements
	habitSpan    = 48 * time.Hour
	habitMemory  = 400 * day
	habitRegular = 0.15 // spread of the gaps, of their median
	overlapsEnd  = 2    // rotations with overlap that end the habit
	sigma        = 1.4826
)

// habit is how an exchange of all keys lies to those before.
type habit struct {
	verdict string // "" for none; opens, reopens, habit, off_habit, uncertain
	opens   *event.RotationNoOverlapDetails
}

// replacing notes an exchange of all signing keys, and how it lies to the habit of
// the issuer. It runs before the keys are accepted.
func (s *step) replacing(c *Case) {
	h := &s.m.Habit
	h.Replacements = slices.DeleteFunc(h.Replacements, func(r history.Span) bool { return c.At.Sub(r.To) > habitMemory })
	before, ended := slices.Clone(h.Replacements), h.Overlaps >= overlapsEnd
	h.Replaced(history.Span{From: c.After, To: c.At})
	if s.p.Expect.NoLearning {
		return
	}
	if s.turnedOver(c) {
		c.habit.verdict = "uncertain"
		return
	}
	steady := s.inProfile(c) && !transportNovel(c) && !newWay(c) && !s.moves(c)
	open := s.open(event.RotationNoOverlap) != nil
	switch {
	case open && len(before) > 0 && steady && c.At.Sub(before[len(before)-1].From) >= leastGap(before, s.p.Interval):
		// The gap is at most so long: out of habit is only what surely is.
		c.habit.verdict = "habit"
	case open:
		c.habit.verdict = "off_habit"
	case len(before) >= habitAfter-1 && c.At.Sub(before[0].To) >= habitSpan && steady:
		c.habit.verdict = "opens"
		if ended && len(before) >= habitAfter {
			c.habit.verdict = "reopens" // who had learned to overlap is not expected to do that
		}
		c.habit.opens = &event.RotationNoOverlapDetails{
			Replacements: len(before) + 1, First: event.AtOrNil(before[0].To), Last: event.AtOrNil(c.At),
		}
	}
}

// turnedOver reports whether ordinary rotations in a time in which nobody looked
// may have exchanged every key.
func (s *step) turnedOver(c *Case) bool {
	gap := c.At.Sub(c.After)
	if c.After.IsZero() || gap <= uncertainAfter*s.p.Interval {
		return false
	}
	r, ok := rhythmOf(c.Before, &s.p, c.At)
	return ok && gap >= r.every && int(gap/r.every)+1 >= c.Replaced.Before && s.inProfile(c)
}

// leastGap is how long after the last replacement the next one is in habit.
func leastGap(list []history.Span, interval time.Duration) time.Duration {
	var gaps []time.Duration
	for i := range list[min(1, len(list)):] {
		gaps = append(gaps, list[i+1].To.Sub(list[i].To))
	}
	if len(gaps) == 0 {
		return 0
	}
	m := median(gaps)
	spread := time.Duration(sigma * float64(deviation(gaps, m)))
	if float64(spread) <= habitRegular*float64(m) && m > 5*interval && !scattered(gaps, m) {
		return m - max(3*spread, m/10, 2*interval)
	}
	return slices.Min(gaps) / 2
}

// deviation is the median of the distances from m.
func deviation(list []time.Duration, m time.Duration) time.Duration {
	var out []time.Duration
	for _, v := range list {
		out = append(out, time.Duration(math.Abs(float64(v-m))))
	}
	return median(out)
}

// inProfile reports whether every new signing key is of a kind that was seen here
// before.
func (s *step) inProfile(c *Case) bool {
	known := map[string]bool{}
	for id, sight := range c.Before.Sightings {
		if id.Kind == jwks.Thumbprint {
			known[kind(&sight.Key)] = true
		}
	}
	for _, ch := range c.Changes {
		if (ch.Kind == diff.Added || ch.Kind == diff.Mutated) && ch.Material.In(jwks.ClassSignature) && !known[kind(ch.Material.Key())] {
			return false
		}
	}
	return true
}

// newWay reports whether a certificate that was never seen came with the exchange,
// or within an hour before: who takes over an issuer has a new one.
func newWay(c *Case) bool {
	l := &c.Before.Learned
	return slices.ContainsFunc(c.looks, func(a *answer) bool { return a.facts != nil && newLeaf(l, a.facts) }) ||
		slices.ContainsFunc(l.SPKIs, func(v history.Value) bool { return c.At.Sub(v.First) <= besides })
}

func kind(k *jwks.Key) string { return history.FlawID(k.Kty, k.Crv, fmt.Sprint(k.Bits), k.Alg) }

// moves reports whether discovery led where it never led, in an answer of the
// case.
func (s *step) moves(c *Case) bool {
	return slices.ContainsFunc(c.looks, func(a *answer) bool {
		return a.facts != nil && believed(s.p, a.facts.Discovery) && newURI(&c.Before.Learned, a.facts.Discovery)
	})
}

// overlapping counts rotations with an overlap: two in a row end the habit.
func (s *step) overlapping(c *Case) {
	if c.Replaced != nil || s.unstable() || !slices.ContainsFunc(c.Changes, func(ch Change) bool {
		return ch.Kind == diff.Added && ch.Material.In(jwks.ClassSignature)
	}) || diff.SigningKeys(c.Before.Live) == 0 {
		return
	}
	if s.m.Habit.Overlaps++; s.m.Habit.Overlaps >= overlapsEnd {
		s.m.Habit.Overlaps = overlapsEnd
		s.close(c, event.RotationNoOverlap)
	}
}

// hurried counts a key that surely went too early as an exchange: verifiers fail
// as if there had been no overlap.
func (s *step) hurried(c *Case) {
	if slices.ContainsFunc(s.out.Findings, func(f Finding) bool {
		d, ok := f.Details.(*event.RotationRemovedEarlyDetails)
		return ok && d.Code == "early"
	}) {
		s.m.Habit.Replaced(history.Span{From: c.After, To: c.At})
	}
}

// learned lowers what an issuer does by habit. It never lowers what moved at the
// same time; where the tier is critical it is raised again to medium.
func learned(c *Case, list []Finding) {
	for i := range list {
		f := &list[i]
		if f.Type != event.SetReplaced || f.Closing {
			continue
		}
		switch c.habit.verdict {
		case "uncertain":
			f.because("uncertain_time")
			if f.overNewWay() {
				continue // nobody saw rotations, and the way to these keys is another
			}
			f.lower(event.SeverityMedium, "learned", "rotations_while_nobody_looked")
		case "opens":
			f.lower(event.SeverityMedium, "learned", "replaces_all_by_habit")
		case "habit":
			f.lower(event.SeverityLow, "learned", "replaces_all_by_habit")
			f.because("in_habit")
		case "off_habit":
			f.because("off_habit")
		}
	}
}

func rotationNoOverlap(c *Case) []Finding {
	d := c.habit.opens
	if d == nil {
		return nil
	}
	f := Finding{When: c.When, Confirmed: c.Seen.Agreed > 1, Details: d, opens: []string{history.FlawID(string(event.RotationNoOverlap))}}
	f.Message = c.message(&f, "", fmt.Sprintf("all signing keys are replaced at once, for the %d. time", d.Replacements), "tokens in flight fail at each rotation")
	return []Finding{f}
}
