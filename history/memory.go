// Package history is what an endpoint's past means: which material was seen
// and when, which kid was ever bound to what, which findings are open, and
// which claims of a last answer still wait for a second look.
//
// A Memory is a value. It is loaded, folded with one observation and stored
// again in the transaction that stores the events, so it can never say more or
// less than they do. The package is pure: time comes in as a value.
package history

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// Bounds of a memory. An issuer decides how much there is to remember, so
// each list has an end; what falls off is the oldest and least established.
const (
	MaxGone     = 65_536   // sightings of established material that is gone
	MaxKids     = 65_536   // kids with a remembered binding
	MaxBrief    = 4_096    // of each, those that were never established: junk costs an issuer nothing
	MaxPerKid   = 8        // identities bound to one kid
	maxGoneText = 64       // octets of kty, crv, alg and use of material that is gone
	MaxOctets   = 16 << 20 // of the encoding: what is gone makes room for what is live
	MaxBody     = 4 << 20  // octets of a pending answer that is kept whole
	MaxDigests  = 64       // recent digests
	MaxFlips    = 64       // times at which the set was not what it had just been
	KidGoneFor  = 7 * 24 * time.Hour
	Established = 7 * 24 * time.Hour // published at least this long
	RetiredFor  = 7 * 24 * time.Hour // and then absent at least this long
)

// Memory is all that is remembered of one endpoint.
type Memory struct {
	URL      string    // of the baseline; another URL is a new baseline
	Baseline time.Time // first good answer; zero: none yet
	Changed  time.Time // last accepted change

	// Live are the entries that stand as the baseline. They are what answers
	// agreed on, which need not be the body of any one of them.
	Live       []jwks.Key
	Sightings  map[jwks.Identity]*Sighting
	Bindings   map[string]*Binding
	Digests    []Digest
	Flips      []time.Time
	FlipCount  uint64 // of all times; Flips holds the last ones
	Conditions []*Condition
	Pending    *Pending
	Learned    Learned
	Flood      Flood
	Stability  Stability
	Habit      Habit
	Waiting    []Waiting
	Approved   []Approved
	Windowed   []Windowed // never changed in place
	Rotation   Rotation
	Sequence   Sequence
	// Told is what rules of the operator told that repeat: a custom.Told, JSON. It is
	// replaced and never changed.
	Told []byte
	// Shown is the last good poll that showed keys, while the answers since
	// hold none; else zero. The polls between were good, and showed nothing.
	Shown time.Time
}

// Sequence is what an issuer counts its sets by.
type Sequence struct {
	Highest uint64    // that was seen, as noted At
	At      time.Time // zero: none was seen
	Since   time.Time // since when lower ones are served; zero while none is
}

// Sighting is when some material was seen. Times are of good polls.
type Sighting struct {
	// FirstAfter is the last good poll without it, FirstSeen the first with
	// it. FirstAfter is zero for material of a baseline: its age is unknown.
	FirstAfter, FirstSeen time.Time
	// LastSeen is the last good poll with it and GoneBy the first without; both
	// zero while it is live.
	LastSeen, GoneBy time.Time
	// Published is the time it was surely there, over all its lives, the
	// present one excluded.
	Published time.Duration
	Key       jwks.Key // as last seen, without defects, for telling of it later
	// Untold says that it is gone while the endpoint is unsteady: its removal is no
	// news until no answer showed it for long.
	Untold bool
	Health *Health // of the material; nil: not checked yet
}

// Live reports whether the material stands in the baseline.
func (s *Sighting) Live() bool { return s.GoneBy.IsZero() }

// Retired reports whether the material was established and then surely absent
// for so long that its return is no hiccup.
func (s *Sighting) Retired(now time.Time) bool {
	return !s.Live() && s.Published >= Established && now.Sub(s.GoneBy) >= RetiredFor
}

// Binding is what a kid ever stood for. It is kept for ever.
type Binding struct {
	IDs  []jwks.Identity // in order of first sight
	Gone time.Time       // last good poll with the kid; zero while it is live
}

// Digest is a set that was accepted.
type Digest struct {
	Sum  [32]byte
	At   time.Time // first time it was accepted in a row
	Keys int       // entries of the set

	Verdict Verdict // of the decoder that stands for all others
}

// Condition is a finding that lasts.
type Condition struct {
	ID       string // given when the opening event gets its id
	Type     string
	Flaws    []string // Flaw.ID; it closes when none of them is left
	OpenedAt time.Time
	OpenedBy string
	Severity uint8 // of the opening: its closing passes the same filters
	Key      *jwks.Key
	Details  []byte // of the opening, JSON
	Rule     string // that opened it
	// Untold says that its opening was withheld: it has no id yet, and is told
	// when there is room again.
	Untold bool
}

// Pending are claims of one answer that wait for a second look. It is stored
// before the second look is taken, so that a crash between the two forgets
// nothing that was seen.
type Pending struct {
	At    time.Time
	After time.Time // the last good poll before
	Body  []byte    // redacted; nil when the answer was no JSON, or too large to be kept twice
	// Keys, Defects and Digest are what was read of a Body that is not kept.
	Keys    []jwks.Key
	Defects []jwks.Defect
	Digest  [32]byte
	// Shape, Reason and Offset say what the answer was when it was no set.
	Shape  jwks.Shape
	Reason string
	Offset int64
	Looks  int // answers that claimed it, this one included
	// Told says that the claims of presence were published because the second
	// look failed; Old is then the baseline from before.
	Told bool
	Old  []jwks.Key
	// Replaced is material whose exchange was already told, so that its
	// removal is no news.
	Replaced []jwks.Identity
	Remote   string // address that answered
	Facts    []byte // of the answer, JSON; the rules' own
	// Aside is a claim that was told and whose absences are still to be
	// decided, while this one counts empty answers: an empty answer between two
	// looks must not make the first of them forgotten.
	Aside *Pending
}

func (p *Pending) clone() *Pending {
	if p == nil {
		return nil
	}
	c := *p
	c.Replaced = slices.Clone(p.Replaced)
	c.Aside = p.Aside.clone()
	return &c
}

// Clone returns a copy that shares nothing that a step changes.
func (m *Memory) Clone() *Memory {
	c := *m
	c.Live = slices.Clone(m.Live)
	c.Sightings = make(map[jwks.Identity]*Sighting, len(m.Sightings))
	for id, s := range m.Sightings {
		c.Sightings[id] = new(*s)
	}
	c.Bindings = make(map[string]*Binding, len(m.Bindings))
	for kid, b := range m.Bindings {
		c.Bindings[kid] = &Binding{slices.Clone(b.IDs), b.Gone}
	}
	c.Digests = slices.Clone(m.Digests)
	c.Flips = slices.Clone(m.Flips)
	c.Conditions = nil
	for _, cond := range m.Conditions {
		n := *cond
		n.Flaws = slices.Clone(cond.Flaws)
		c.Conditions = append(c.Conditions, &n)
	}
	c.Pending = m.Pending.clone()
	c.Learned = m.Learned.Clone()
	c.Flood.Withheld = slices.Clone(m.Flood.Withheld)
	c.Stability, c.Habit, c.Waiting = m.Stability.clone(), m.Habit.clone(), slices.Clone(m.Waiting)
	c.Approved = slices.Clone(m.Approved)
	c.Rotation = m.Rotation.Clone()
	return &c
}

// Clone returns a copy that shares nothing that learning changes.
func (l Learned) Clone() Learned {
	l.URIs, l.SPKIs, l.Issuers = slices.Clone(l.URIs), slices.Clone(l.SPKIs), slices.Clone(l.Issuers)
	l.Algs, l.Weak = slices.Clone(l.Algs), slices.Clone(l.Weak)
	l.Places, l.Others = slices.Clone(l.Places), slices.Clone(l.Others)
	return l
}

// Past is a memory at a moment. It implements diff.Past.
type Past struct {
	Memory *Memory
	Now    time.Time
}

// Known reports whether the material was ever seen.
func (p Past) Known(id jwks.Identity) bool {
	_, ok := p.Memory.Sightings[id]
	return ok
}

// Bound returns the identities ever seen under the kid.
func (p Past) Bound(kid string) []jwks.Identity {
	if b := p.Memory.Bindings[kid]; b != nil {
		return b.IDs
	}
	return nil
}

// LongGone reports whether the kid was surely in no set for KidGoneFor.
func (p Past) LongGone(kid string) bool {
	b := p.Memory.Bindings[kid]
	return b != nil && !b.Gone.IsZero() && p.Now.Sub(b.Gone) >= KidGoneFor
}

// Note remembers a set that was accepted.
func (m *Memory) Note(d Digest) {
	if n := len(m.Digests); n == 0 || m.Digests[n-1].Sum != d.Sum {
		d.Verdict = m.VerdictOf(d.Sum)
		// Sets that take turns must not push out all others.
		m.Digests = slices.DeleteFunc(m.Digests, func(o Digest) bool { return o.Sum == d.Sum })
		m.Digests = last(append(m.Digests, d), MaxDigests)
	}
	m.Changed = d.At
}

// Accept makes the keys the baseline. At is the time of the answer that showed
// them, after the last good poll before it.
func (m *Memory) Accept(keys []jwks.Key, after, at time.Time) {
	if m.Sightings == nil {
		m.Sightings, m.Bindings = map[jwks.Identity]*Sighting{}, map[string]*Binding{}
	}
	if m.Baseline.IsZero() {
		m.Baseline, after = at, time.Time{}
	}
	here := map[jwks.Identity]bool{}
	kids := map[string]bool{}
	for i := range keys {
		k := keys[i]
		if !here[k.ID] || k.Class() == jwks.ClassSignature { // of its entries one that signs, if any does
			m.see(k, after, at)
		}
		here[k.ID] = true
		if k.Kid != "" {
			kids[k.Kid] = true
			m.bind(k.Kid, k.ID)
		}
	}
	shown := after
	if !m.Shown.IsZero() && m.Shown.Before(after) {
		shown = m.Shown
	}
	for _, s := range m.Sightings {
		if s.Live() && !here[s.Key.ID] {
			s.LastSeen, s.GoneBy = shown, at
			s.Key = Slim(s.Key)
			if s.LastSeen.Before(s.FirstSeen) {
				s.LastSeen = s.FirstSeen
			}
			s.Published += s.LastSeen.Sub(s.FirstSeen)
		}
	}
	for kid, b := range m.Bindings {
		if !kids[kid] && b.Gone.IsZero() {
			b.Gone = shown
			if shown.IsZero() {
				b.Gone = at
			}
		}
	}
	m.Live = slices.Clone(keys)
	for i := range m.Live {
		m.Live[i].Defects = nil // of the answer; here nobody asks for them
	}
	m.forget()
}

// Rebase makes the keys a new baseline, which is taken as given: how long those
// that were not here before have been published nobody knows.
func (m *Memory) Rebase(keys []jwks.Key, after, at time.Time) {
	m.Accept(keys, after, at)
	for i := range keys {
		if s := m.Sightings[keys[i].ID]; s.FirstSeen.Equal(at) {
			s.FirstAfter = time.Time{}
		}
	}
	m.Shown = time.Time{}
}

// Later corrects the sightings of material that only the second of two looks
// showed.
func (m *Memory) Later(first, second []jwks.Key, firstAt, secondAt time.Time) {
	shown := map[jwks.Identity]bool{}
	for _, k := range first {
		shown[k.ID] = true
	}
	for _, k := range second {
		if s := m.Sightings[k.ID]; s != nil && !shown[k.ID] && s.FirstSeen.Equal(firstAt) {
			s.FirstAfter, s.FirstSeen = firstAt, secondAt
		}
	}
}

// see notes one entry of the answer.
func (m *Memory) see(k jwks.Key, after, at time.Time) {
	k.Defects = nil
	k.Issuer, k.X5U, k.Exp, k.Nbf = "", "", "", "" // asked of live entries only
	s := m.Sightings[k.ID]
	switch {
	case s == nil:
		m.Sightings[k.ID] = &Sighting{FirstAfter: after, FirstSeen: at, Key: k}
	case s.Untold && !s.Live():
		// It never went, as far as anybody was told: this is one life.
		s.Published -= s.LastSeen.Sub(s.FirstSeen)
		s.LastSeen, s.GoneBy, s.Key, s.Untold = time.Time{}, time.Time{}, k, false
	case !s.Live():
		s.FirstAfter, s.FirstSeen, s.LastSeen, s.GoneBy, s.Key, s.Untold = after, at, time.Time{}, time.Time{}, k, false
	default:
		s.Key = k
	}
}

func (m *Memory) bind(kid string, id jwks.Identity) {
	b := m.Bindings[kid]
	if b == nil {
		b = &Binding{}
		m.Bindings[kid] = b
	}
	b.Gone = time.Time{}
	if !slices.Contains(b.IDs, id) {
		b.IDs = last(append(b.IDs, id), MaxPerKid)
	}
}

// Flip notes that an answer was not confirmed by the next.
func (m *Memory) Flip(at time.Time) {
	m.Flips = last(append(m.Flips, at), MaxFlips)
	m.FlipCount++
}
