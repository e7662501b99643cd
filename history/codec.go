package history

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// Version of the encoding. A stored memory is read for ever: a change of
// meaning is a new number with a migration in Decode, never a new reading of
// an old one.
const Version = 1

// Encode writes a memory. The same memory gives the same octets.
func (m *Memory) Encode() ([]byte, error) {
	out := memoryV1{
		Version: Version, URL: m.URL, Baseline: ms(m.Baseline), Changed: ms(m.Changed), FlipCount: m.FlipCount,
	}
	out.Live = packKeys(m.Live)
	ids := slices.SortedFunc(maps.Keys(m.Sightings), func(a, b jwks.Identity) int {
		return bytes.Compare(packID(a), packID(b))
	})
	for _, id := range ids {
		s := m.Sightings[id]
		out.Sightings = append(out.Sightings, sightingV1{
			ms(s.FirstAfter), ms(s.FirstSeen), ms(s.LastSeen), ms(s.GoneBy), s.Published.Milliseconds(), packKey(&s.Key), packHealth(s.Health), s.Untold,
		})
	}
	for _, kid := range slices.Sorted(maps.Keys(m.Bindings)) {
		b := m.Bindings[kid]
		out.Bindings = append(out.Bindings, bindingV1{[]byte(kid), packIDs(b.IDs), ms(b.Gone)})
	}
	for _, d := range m.Digests {
		out.Digests = append(out.Digests, digestV1{d.Sum[:], ms(d.At), d.Keys, packVerdict(d.Verdict)})
	}
	for _, t := range m.Flips {
		out.Flips = append(out.Flips, ms(t))
	}
	for _, c := range m.Conditions {
		n := conditionV1{c.ID, c.Type, packAll(c.Flaws), ms(c.OpenedAt), c.OpenedBy, c.Severity, nil, c.Details, c.Rule, c.Untold}
		if c.Key != nil {
			n.Key = new(packKey(c.Key))
		}
		out.Conditions = append(out.Conditions, n)
	}
	out.Pending, out.Learned, out.Shown = packPending(m.Pending), packLearned(&m.Learned), ms(m.Shown)
	out.Flood = m.Flood.pack()
	out.Stability, out.Habit, out.Waiting = packStability(&m.Stability), packHabit(&m.Habit), packWaiting(m.Waiting)
	out.Approved = packApproved(m.Approved)
	out.Windowed = packWindowed(m.Windowed)
	out.Rotation = m.Rotation.pack()
	if q := m.Sequence; !q.At.IsZero() {
		out.Sequence = &sequenceV1{q.Highest, ms(q.At), ms(q.Since)}
	}
	out.Told = m.Told
	return json.Marshal(out)
}

var errEncoding = errors.New("history: stored memory")

// Decode reads a memory. No octets are a new memory.
func Decode(b []byte) (*Memory, error) {
	m := &Memory{Sightings: map[jwks.Identity]*Sighting{}, Bindings: map[string]*Binding{}}
	if len(b) == 0 {
		return m, nil
	}
	var in memoryV1
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", errEncoding, err)
	}
	if in.Version != Version {
		return nil, fmt.Errorf("%w: version %d, this program reads %d", errEncoding, in.Version, Version)
	}
	m.URL, m.Baseline, m.Changed, m.FlipCount = in.URL, when(in.Baseline), when(in.Changed), in.FlipCount
	var r reader
	m.Live = r.keys(in.Live)
	for _, s := range in.Sightings {
		k := r.key(s.Key)
		m.Sightings[k.ID] = &Sighting{
			when(s.FirstAfter), when(s.FirstSeen), when(s.LastSeen), when(s.GoneBy),
			time.Duration(s.Published) * time.Millisecond, k, s.Untold, r.health(s.Health),
		}
	}
	for _, b := range in.Bindings {
		m.Bindings[string(b.Kid)] = &Binding{r.ids(b.IDs), when(b.Gone)}
	}
	for _, d := range in.Digests {
		m.Digests = append(m.Digests, Digest{r.sum(d.Sum), when(d.At), d.Keys, d.Verdict.unpack()})
	}
	for _, t := range in.Flips {
		m.Flips = append(m.Flips, when(t))
	}
	for _, c := range in.Conditions {
		n := &Condition{c.ID, c.Type, unpackAll(c.Flaws), when(c.OpenedAt), c.OpenedBy, c.Severity, nil, c.Details, c.Rule, c.Untold}
		if c.Key != nil {
			n.Key = new(r.key(*c.Key))
		}
		m.Conditions = append(m.Conditions, n)
	}
	m.Pending, m.Learned, m.Shown = r.pending(in.Pending), unpackLearned(in.Learned), when(in.Shown)
	m.Flood = in.Flood.unpack()
	m.Stability, m.Habit, m.Waiting = r.stability(in.Stability), unpackHabit(in.Habit), r.waiting(in.Waiting)
	m.Approved = unpackApproved(in.Approved)
	m.Windowed = unpackWindowed(in.Windowed)
	m.Rotation = in.Rotation.unpack()
	if q := in.Sequence; q != nil {
		m.Sequence = Sequence{q.Highest, when(q.At), when(q.Since)}
	}
	m.Told = in.Told
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

// FlawID makes the id of a finding from its type, code and what it is about.
// The parts are length-prefixed, since the last is the issuer's text.
func FlawID(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return string(b)
}
