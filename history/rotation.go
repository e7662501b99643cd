package history

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// Bounds of what is remembered of how keys followed each other.
const (
	MaxProfile = 32 // an issuer that uses more kinds of keys is not learned further
	MaxSteps   = 12
	MaxTurns   = 12
)

// Rotation is how the signing keys of an endpoint followed each other since its
// baseline.
type Rotation struct {
	// Since is the time of that baseline; zero in a memory from before there was
	// a Rotation.
	Since   time.Time
	Profile []Profile // of all signing keys seen
	Steps   []int     // new signing keys of the last steps that brought any
	Turns   []Turn    // the last rotations
	// Stirred is the last time at which signing keys came or went, and Quiet the
	// longest time without.
	Stirred time.Time
	Quiet   time.Duration
	// Outside is since when the number of signing keys is not the declared one;
	// zero while it is.
	Outside time.Time
	// Beside says that Live was read with issuer, x5u, exp and nbf; memories from
	// before have none of them.
	Beside bool
	// Moves counts the steps in which exp or nbf of keys changed and nothing else
	// of them.
	Moves int
}

// Profile is what kind of signing key an issuer uses. Texts are the issuer's.
type Profile struct {
	Kty, Crv, Alg string
	Bits          int
}

// Turn is one rotation: after the last good poll without the new key, and at the
// first with it.
type Turn struct{ After, At time.Time }

// ProfileOf returns what kind of key it is; ok is false when nobody can tell.
func ProfileOf(k *jwks.Key) (p Profile, ok bool) {
	return Profile{k.Kty, k.Crv, k.Alg, k.Bits}, k.Decoded()
}

// Learn notes the kinds of the signing keys among these.
func (r *Rotation) Learn(keys []jwks.Key) {
	for i := range keys {
		p, ok := ProfileOf(&keys[i])
		if ok && keys[i].Class() == jwks.ClassSignature && len(r.Profile) < MaxProfile && !slices.Contains(r.Profile, p) {
			r.Profile = append(r.Profile, p)
		}
	}
}

// Add notes a step that brought so many new signing keys.
func (r *Rotation) Add(n int) { r.Steps = last(append(r.Steps, n), MaxSteps) }

// Turned notes a rotation. One that comes within the time belongs to the last.
func (r *Rotation) Turned(t Turn, within time.Duration) {
	if n := len(r.Turns); n > 0 && t.At.Sub(r.Turns[n-1].At) <= within {
		return
	}
	r.Turns = last(append(r.Turns, t), MaxTurns)
}

// Stir notes that signing keys came or went.
func (r *Rotation) Stir(at time.Time) {
	if !r.Stirred.IsZero() {
		r.Quiet = max(r.Quiet, at.Sub(r.Stirred))
	}
	r.Stirred = at
}

// Clone returns a copy that shares nothing that a step changes.
func (r Rotation) Clone() Rotation {
	r.Profile, r.Steps = slices.Clone(r.Profile), slices.Clone(r.Steps)
	r.Turns = slices.Clone(r.Turns)
	return r
}

// Seed makes up for a memory from before there was a Rotation: what kinds of keys
// it saw stands in it, how they followed each other does not. It reports whether
// there was anything to do.
func (m *Memory) Seed() bool {
	if m.Baseline.IsZero() || !m.Rotation.Since.IsZero() {
		return false
	}
	m.Rotation.Since, m.Rotation.Stirred = m.Baseline, m.Changed
	m.Rotation.Learn(m.Live)
	var gone []*Sighting
	for _, s := range m.Sightings {
		if !s.Live() {
			gone = append(gone, s)
		}
	}
	slices.SortFunc(gone, byGone)
	for _, s := range gone {
		m.Rotation.Learn([]jwks.Key{s.Key})
	}
	return true
}

type (
	rotationV1 struct {
		Since   int64       `json:"since,omitzero"`
		Profile []profileV1 `json:"prof,omitempty"`
		Steps   []int       `json:"steps,omitempty"`
		Turns   [][2]int64  `json:"turns,omitempty"`
		Stirred int64       `json:"stir,omitzero"`
		Quiet   int64       `json:"quiet,omitzero"`
		Outside int64       `json:"out,omitzero"`
		Beside  bool        `json:"bes,omitempty"`
		Moves   int         `json:"moves,omitzero"`
	}
	profileV1 struct {
		Kty  []byte `json:"t,omitempty"`
		Crv  []byte `json:"c,omitempty"`
		Alg  []byte `json:"a,omitempty"`
		Bits int    `json:"b,omitempty"`
	}
)

// pack returns nil when there is nothing to remember.
func (r *Rotation) pack() *rotationV1 {
	if r.Since.IsZero() {
		return nil
	}
	out := &rotationV1{
		Since: ms(r.Since), Steps: r.Steps, Stirred: ms(r.Stirred), Quiet: r.Quiet.Milliseconds(),
		Outside: ms(r.Outside), Beside: r.Beside, Moves: r.Moves,
	}
	for _, p := range r.Profile {
		out.Profile = append(out.Profile, profileV1{[]byte(p.Kty), []byte(p.Crv), []byte(p.Alg), p.Bits})
	}
	for _, t := range r.Turns {
		out.Turns = append(out.Turns, [2]int64{ms(t.After), ms(t.At)})
	}
	return out
}

func (v *rotationV1) unpack() Rotation {
	if v == nil {
		return Rotation{}
	}
	r := Rotation{
		Since: when(v.Since), Steps: v.Steps, Stirred: when(v.Stirred), Quiet: time.Duration(v.Quiet) * time.Millisecond,
		Outside: when(v.Outside), Beside: v.Beside, Moves: v.Moves,
	}
	for _, p := range v.Profile {
		r.Profile = append(r.Profile, Profile{string(p.Kty), string(p.Crv), string(p.Alg), p.Bits})
	}
	for _, t := range v.Turns {
		r.Turns = append(r.Turns, Turn{when(t[0]), when(t[1])})
	}
	return r
}

func octetsOfRotation(r *Rotation) int {
	n := 400 + 12*len(r.Steps) + 60*len(r.Turns)
	for _, p := range r.Profile {
		n += 60 + text(len(p.Kty)) + text(len(p.Crv)) + text(len(p.Alg))
	}
	return n
}
