package rules

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Thresholds of what is learned of how keys follow each other.
const (
	// learnFor is how long an endpoint is watched before what it did counts.
	learnFor = 30 * day
	// sameRotation is the time within which additions belong to one rotation, if
	// a tenth of the rhythm is not longer.
	sameRotation = 6 * time.Hour
	// leastTurns make a rhythm, surelyTurns a rhythm that is trusted.
	leastTurns  = 4
	surelyTurns = 6
	// steady is the share of the median that a regular rhythm may scatter.
	steady = 0.15
	// movesOf exp or nbf alone are the habit of an issuer that writes them anew.
	movesOf = 3
)

// rhythm is when rotations are to be expected.
type rhythm struct {
	every, within time.Duration
	declared      bool
	turns         int // rotations that were seen
}

// name is how events call it: what was learned stays here.
func (r rhythm) name() string {
	if r.declared {
		return "declared"
	}
	return "learned"
}

// rhythmOf is the declared rhythm, else the learned one; ok is false for none.
func rhythmOf(m *history.Memory, p *Policy, now time.Time) (r rhythm, ok bool) {
	r.turns = len(m.Rotation.Turns)
	if c := p.Expect.Cadence; c > 0 {
		r.every, r.within, r.declared = c, max(c/10, day), true
		return r, true
	}
	if r.turns < leastTurns || now.Sub(m.Rotation.Since) < learnFor {
		return r, false
	}
	gaps := gapsOf(m.Rotation.Turns)
	r.every = median(gaps)
	scatter := time.Duration(sigma * float64(deviation(gaps, r.every)))
	if float64(scatter) > steady*float64(r.every) || scattered(gaps, r.every) {
		return r, false
	}
	r.within = max(3*scatter, r.every/10, 2*p.Interval)
	return r, true
}

// scattered reports whether more than a quarter of the gaps are not nearly the
// usual one: of nodes that rotate one after the other every second gap is short.
func scattered(gaps []time.Duration, usual time.Duration) bool {
	outside := 0
	for _, g := range gaps {
		if g < usual/2 || g > usual*3/2 {
			outside++
		}
	}
	return 4*outside > len(gaps)
}

func gapsOf(turns []history.Turn) []time.Duration {
	var out []time.Duration
	for i := range turns[min(1, len(turns)):] {
		out = append(out, turns[i+1].At.Sub(turns[i].At))
	}
	return out
}

// seed makes up for a memory from before rotations were remembered.
func (s *step) seed() {
	if s.m.Seed() {
		s.out.Store = true
	}
}

// based begins to learn anew: what another URL served is no measure.
func (s *step) based(x *answer) {
	s.m.Rotation = history.Rotation{Since: x.at, Stirred: x.at, Beside: true}
	s.m.Rotation.Learn(x.set.Keys)
}

// rotated remembers how the signing keys of a case follow the last ones. The case
// is about to become the baseline.
func (s *step) rotated(c *Case) {
	r := &s.m.Rotation
	r.Learn(c.Keys)
	r.Beside = true
	come, gone, moved := 0, 0, false
	for _, ch := range c.Changes {
		switch {
		case ch.Kind == diff.Altered:
			moved = moved || onlyTimes(ch.Change)
		case !ch.Material.In(jwks.ClassSignature):
		case ch.Kind == diff.Removed:
			gone++
		case ch.Kind == diff.Added: // a key exchanged under its kid is no turn: it would shift the rhythm
			come++
		}
	}
	if moved {
		r.Moves++
	}
	if come+gone > 0 {
		r.Stir(c.At)
	}
	if come == 0 {
		return
	}
	r.Add(come)
	if !s.unstable() { // who takes turns has no rhythm
		r.Turned(history.Turn{After: c.After, At: c.At}, sameTurn(r.Turns))
	}
}

// sameTurn is the time within which an addition belongs to the last rotation.
func sameTurn(turns []history.Turn) time.Duration {
	return max(sameRotation, median(gapsOf(turns))/10)
}

// onlyTimes reports whether nothing but exp and nbf of a key changed.
func onlyTimes(ch diff.Change) bool {
	return ch.Kind == diff.Altered && !slices.ContainsFunc(ch.Fields, func(f diff.Field) bool { return f.Name != "exp" && f.Name != "nbf" })
}

// known leaves out of changes what the memory cannot tell: of members that were
// not read when it was made, and of times that an issuer writes anew each time.
func (s *step) known(list []diff.Change) []diff.Change {
	r := &s.m.Rotation
	if r.Beside && r.Moves < movesOf {
		return list
	}
	return slices.DeleteFunc(list, func(ch diff.Change) bool {
		if ch.Kind != diff.Altered {
			return false
		}
		return r.Moves >= movesOf && onlyTimes(ch) ||
			!r.Beside && !slices.ContainsFunc(ch.Fields, func(f diff.Field) bool { return !diff.Beside(f.Name) })
	})
}

// refresh reads the members beside the material into a memory that has none.
func (s *step) refresh(x *answer) {
	if s.m.Rotation.Beside || len(s.changes(x.set.Keys)) > 0 {
		return
	}
	s.m.Live = slices.Clone(x.set.Keys)
	for i := range s.m.Live {
		s.m.Live[i].Defects = nil
	}
	s.m.Rotation.Beside, s.out.Store = true, true
}
