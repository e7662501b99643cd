package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// Bounds of what is remembered of how a set changes.
const (
	MaxReplacements = 12
	MaxLives        = 12
	MaxShares       = 8
	MaxWaiting      = 256
	maxOpenings     = 8
	maxGaps         = 16
	maxPlaces       = 64
)

// Phase is how steady the answers of an endpoint are.
type Phase uint8

// The phases.
const (
	Stable  Phase = iota
	Suspect       // an older state came back: a lagging node, or a roll-back
	Unstable
)

// Stability is the state of that machine, and what it counts.
type Stability struct {
	Phase  Phase
	Since  time.Time // of the phase
	Newest [32]byte  // the last accepted set that held something new
	// Back is what returned when the phase Suspect began, and OlderAt when the set
	// that came back was first accepted; zero when it equals none.
	Back    []jwks.Identity
	OlderAt time.Time
	// Of the open condition: its flips, the longest time between two of them, and
	// how often each set was served.
	Flips       uint64
	First, Last time.Time
	Longest     time.Duration
	Slow        bool // opened by few flips over a long time
	Shares      []Share
	Openings    []time.Time // of the last conditions
	// Gaps are times in which there was no good poll, while the condition is open:
	// its clocks stand still then.
	Gaps []Span
	// Places are digests of values that keys had beside the digest of their set and
	// that changed: issuer, x5u. Only a value that is not among them is news while
	// sets alternate.
	Places [][8]byte
	// Settled is how long answers went to and fro after the last rotation.
	Settled time.Duration
}

// Share counts the answers with one of the sets that alternate.
type Share struct {
	Sum   [32]byte
	Keys  int
	Count uint64
}

// Habit is what an issuer does again and again.
type Habit struct {
	// Replacements are the times at which all signing keys were exchanged, as
	// bounds.
	Replacements []Span
	Overlaps     int // rotations in a row, since the last of them, that had an overlap
	// Lives are how long the last keys were published that are gone, at most.
	Lives []time.Duration
}

// Span bounds a moment: after From, not after To.
type Span struct{ From, To time.Time }

// Waiting is a claim that time must confirm: a key that was there for a moment
// only, unless it returns.
type Waiting struct {
	ID       jwks.Identity
	Due      time.Time
	Min, Max time.Duration // its life
	Low      bool          // of a habit: worth no alarm
}

// Replaced notes an exchange of all signing keys.
func (h *Habit) Replaced(at Span) {
	h.Replacements = last(append(h.Replacements, at), MaxReplacements)
	h.Overlaps = 0
}

// Settle ends a phase.
func (s *Stability) Settle() {
	s.Phase, s.Since, s.Back, s.OlderAt, s.Gaps = Stable, time.Time{}, nil, time.Time{}, nil
}

// Missed notes a time without good polls. Of too many those that ended before are
// forgotten, then the shortest.
func (s *Stability) Missed(gap Span, before time.Time) {
	s.Gaps = slices.DeleteFunc(s.Gaps, func(g Span) bool { return g.To.Before(before) })
	if s.Gaps = append(s.Gaps, gap); len(s.Gaps) > maxGaps {
		shortest := slices.MinFunc(s.Gaps, func(a, b Span) int { return cmp.Compare(a.To.Sub(a.From), b.To.Sub(b.From)) })
		s.Gaps = slices.DeleteFunc(s.Gaps, func(g Span) bool { return g == shortest })
	}
}

// Place notes such a value.
func (s *Stability) Place(v [8]byte) {
	s.Places = slices.DeleteFunc(s.Places, func(o [8]byte) bool { return o == v })
	s.Places = last(append(s.Places, v), maxPlaces)
}

// Blind is how long there were no good polls since.
func (s *Stability) Blind(since time.Time) (d time.Duration) {
	for _, g := range s.Gaps {
		if g.To.After(since) {
			d += min(g.To.Sub(g.From), g.To.Sub(since))
		}
	}
	return d
}

// Shown counts an answer of an unsteady endpoint.
func (s *Stability) Shown(sum [32]byte, keys int) {
	if i := slices.IndexFunc(s.Shares, func(h Share) bool { return h.Sum == sum }); i >= 0 {
		s.Shares[i].Count++
		return
	}
	if len(s.Shares) >= MaxShares {
		least := 0
		for i := range s.Shares {
			if s.Shares[i].Count < s.Shares[least].Count {
				least = i
			}
		}
		s.Shares = slices.Delete(s.Shares, least, least+1)
	}
	s.Shares = append(s.Shares, Share{sum, keys, 1})
}

// Opened notes that the condition opened, and returns how often it did within the
// time before.
func (s *Stability) Opened(at time.Time, within time.Duration) int {
	n := 0
	for _, t := range s.Openings {
		if at.Sub(t) <= within {
			n++
		}
	}
	s.Openings = last(append(s.Openings, at), maxOpenings)
	return n
}

func (s Stability) clone() Stability {
	s.Back, s.Shares, s.Openings, s.Gaps = slices.Clone(s.Back), slices.Clone(s.Shares), slices.Clone(s.Openings), slices.Clone(s.Gaps)
	s.Places = slices.Clone(s.Places)
	return s
}

func (h Habit) clone() Habit {
	h.Replacements, h.Lives = slices.Clone(h.Replacements), slices.Clone(h.Lives)
	return h
}

// The stored forms.
type (
	stabilityV1 struct {
		Phase    uint8     `json:"p,omitzero"`
		Since    int64     `json:"at,omitzero"`
		Newest   []byte    `json:"n,omitempty"`
		Back     [][]byte  `json:"b,omitempty"`
		OlderAt  int64     `json:"o,omitzero"`
		Flips    uint64    `json:"c,omitzero"`
		First    int64     `json:"f,omitzero"`
		Last     int64     `json:"l,omitzero"`
		Longest  int64     `json:"g,omitzero"`
		Slow     bool      `json:"s,omitempty"`
		Shares   []shareV1 `json:"h,omitempty"`
		Openings []int64   `json:"op,omitempty"`
		Settled  int64     `json:"set,omitzero"`

		Gaps   [][2]int64 `json:"gap,omitempty"`
		Places [][]byte   `json:"pl,omitempty"`
	}
	shareV1 struct {
		Sum   []byte `json:"s"`
		Keys  int    `json:"k"`
		Count uint64 `json:"n"`
	}
	habitV1 struct {
		Replacements [][2]int64 `json:"r,omitempty"`
		Overlaps     int        `json:"o,omitzero"`
		Lives        []int64    `json:"l,omitempty"`
	}
	waitingV1 struct {
		ID  []byte `json:"i"`
		Due int64  `json:"at"`
		Min int64  `json:"a"`
		Max int64  `json:"b"`
		Low bool   `json:"l,omitempty"`
	}
)

func packStability(s *Stability) *stabilityV1 {
	if s.Phase == Stable && s.Newest == [32]byte{} && len(s.Openings)+len(s.Places) == 0 {
		return nil
	}
	out := &stabilityV1{
		Phase: uint8(s.Phase), Since: ms(s.Since), Newest: packSum(s.Newest), Back: packIDs(s.Back), OlderAt: ms(s.OlderAt), Flips: s.Flips,
		First: ms(s.First), Last: ms(s.Last), Longest: s.Longest.Milliseconds(), Slow: s.Slow, Settled: s.Settled.Milliseconds(),
	}
	for _, h := range s.Shares {
		out.Shares = append(out.Shares, shareV1{packSum(h.Sum), h.Keys, h.Count})
	}
	for _, t := range s.Openings {
		out.Openings = append(out.Openings, ms(t))
	}
	out.Gaps = packSpans(s.Gaps)
	for _, v := range s.Places {
		out.Places = append(out.Places, v[:])
	}
	return out
}

func (r *reader) stability(s *stabilityV1) Stability {
	if s == nil {
		return Stability{}
	}
	out := Stability{
		Phase: Phase(s.Phase), Since: when(s.Since), Newest: r.sum(s.Newest), Back: r.ids(s.Back), OlderAt: when(s.OlderAt), Flips: s.Flips,
		First: when(s.First), Last: when(s.Last), Longest: time.Duration(s.Longest) * time.Millisecond, Slow: s.Slow,
		Settled: time.Duration(s.Settled) * time.Millisecond,
	}
	for _, h := range s.Shares {
		out.Shares = append(out.Shares, Share{r.sum(h.Sum), h.Keys, h.Count})
	}
	for _, t := range s.Openings {
		out.Openings = append(out.Openings, when(t))
	}
	out.Gaps = unpackSpans(s.Gaps)
	for _, v := range s.Places {
		if len(v) != 8 {
			r.err = fmt.Errorf("%w: a value of %d octets", errEncoding, len(v))
			return out
		}
		out.Places = append(out.Places, [8]byte(v))
	}
	return out
}

func packHabit(h *Habit) *habitV1 {
	if len(h.Replacements) == 0 && len(h.Lives) == 0 && h.Overlaps == 0 {
		return nil
	}
	out := &habitV1{Overlaps: h.Overlaps, Replacements: packSpans(h.Replacements)}
	for _, l := range h.Lives {
		out.Lives = append(out.Lives, l.Milliseconds())
	}
	return out
}

func unpackHabit(h *habitV1) Habit {
	if h == nil {
		return Habit{}
	}
	out := Habit{Overlaps: h.Overlaps, Replacements: unpackSpans(h.Replacements)}
	for _, l := range h.Lives {
		out.Lives = append(out.Lives, time.Duration(l)*time.Millisecond)
	}
	return out
}

func packSpans(list []Span) [][2]int64 {
	var out [][2]int64
	for _, s := range list {
		out = append(out, [2]int64{ms(s.From), ms(s.To)})
	}
	return out
}

func unpackSpans(list [][2]int64) []Span {
	var out []Span
	for _, s := range list {
		out = append(out, Span{when(s[0]), when(s[1])})
	}
	return out
}

func packWaiting(list []Waiting) []waitingV1 {
	var out []waitingV1
	for _, w := range list {
		out = append(out, waitingV1{packID(w.ID), ms(w.Due), w.Min.Milliseconds(), w.Max.Milliseconds(), w.Low})
	}
	return out
}

func (r *reader) waiting(list []waitingV1) []Waiting {
	var out []Waiting
	for _, w := range list {
		out = append(out, Waiting{r.id(w.ID), when(w.Due), time.Duration(w.Min) * time.Millisecond, time.Duration(w.Max) * time.Millisecond, w.Low})
	}
	return out
}
