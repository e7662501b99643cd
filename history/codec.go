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

// The stored form: JSON with short names. Text of the issuer is kept as base64
// octets, since JSON strings cannot hold all that a kid can; times are
// milliseconds since 1970, 0 for none; an identity is its kind octet and sum.
type (
	memoryV1 struct {
		Version    int           `json:"v"`
		URL        string        `json:"url"`
		Baseline   int64         `json:"base,omitzero"`
		Changed    int64         `json:"chg,omitzero"`
		Live       []keyV1       `json:"live,omitempty"`
		Sightings  []sightingV1  `json:"seen,omitempty"`
		Bindings   []bindingV1   `json:"kids,omitempty"`
		Digests    []digestV1    `json:"digs,omitempty"`
		Flips      []int64       `json:"flips,omitempty"`
		FlipCount  uint64        `json:"nflip,omitzero"`
		Conditions []conditionV1 `json:"cond,omitempty"`
		Pending    *pendingV1    `json:"pend,omitempty"`
	}
	keyV1 struct {
		ID       []byte     `json:"i"`
		Kid      []byte     `json:"k,omitempty"`
		Kty      []byte     `json:"t,omitempty"`
		Crv      []byte     `json:"c,omitempty"`
		Alg      []byte     `json:"a,omitempty"`
		Use      []byte     `json:"u,omitempty"`
		Ops      [][]byte   `json:"o,omitempty"`
		HasOps   bool       `json:"ho,omitempty"`
		Bits     int        `json:"b,omitempty"`
		Cert     []byte     `json:"x,omitempty"`
		Form     []byte     `json:"f,omitempty"`
		Encoding []string   `json:"e,omitempty"`
		Private  []string   `json:"p,omitempty"`
		Defects  []defectV1 `json:"d,omitempty"`
		Index    int        `json:"n,omitempty"`
	}
	defectV1 struct {
		Code    string `json:"c"`
		Pointer []byte `json:"p,omitempty"`
		Kid     []byte `json:"k,omitempty"`
		Text    string `json:"t,omitempty"`
	}
	sightingV1 struct {
		FirstAfter int64 `json:"fa,omitzero"`
		FirstSeen  int64 `json:"fs"`
		LastSeen   int64 `json:"ls,omitzero"`
		GoneBy     int64 `json:"gb,omitzero"`
		Published  int64 `json:"pub,omitzero"`
		Key        keyV1 `json:"key"`
	}
	bindingV1 struct {
		Kid  []byte   `json:"k"`
		IDs  [][]byte `json:"i"`
		Gone int64    `json:"g,omitzero"`
	}
	digestV1 struct {
		Sum  []byte `json:"s"`
		At   int64  `json:"at"`
		Keys int    `json:"n"`
	}
	conditionV1 struct {
		ID       string   `json:"id"`
		Type     string   `json:"t"`
		Flaws    [][]byte `json:"f"`
		OpenedAt int64    `json:"at"`
		OpenedBy string   `json:"by"`
		Severity uint8    `json:"sev"`
		Key      *keyV1   `json:"key,omitempty"`
		Details  []byte   `json:"det,omitempty"`
		Rule     string   `json:"rule,omitempty"`
	}
	pendingV1 struct {
		At       int64    `json:"at"`
		After    int64    `json:"after,omitzero"`
		Body     []byte   `json:"body,omitempty"`
		Shape    string   `json:"shape"`
		Reason   string   `json:"why,omitempty"`
		Offset   int64    `json:"off,omitzero"`
		Looks    int      `json:"looks"`
		Told     bool     `json:"told,omitempty"`
		Old      []keyV1  `json:"old,omitempty"`
		Replaced [][]byte `json:"repl,omitempty"`
		Remote   string   `json:"from,omitempty"`
	}
)

// Encode writes a memory. The same memory gives the same octets.
func (m *Memory) Encode() ([]byte, error) {
	out := memoryV1{
		Version: Version, URL: m.URL, Baseline: ms(m.Baseline), Changed: ms(m.Changed), FlipCount: m.FlipCount,
	}
	for i := range m.Live {
		out.Live = append(out.Live, packKey(&m.Live[i]))
	}
	ids := slices.SortedFunc(maps.Keys(m.Sightings), func(a, b jwks.Identity) int {
		return bytes.Compare(packID(a), packID(b))
	})
	for _, id := range ids {
		s := m.Sightings[id]
		out.Sightings = append(out.Sightings, sightingV1{
			ms(s.FirstAfter), ms(s.FirstSeen), ms(s.LastSeen), ms(s.GoneBy), s.Published.Milliseconds(), packKey(&s.Key),
		})
	}
	for _, kid := range slices.Sorted(maps.Keys(m.Bindings)) {
		b := m.Bindings[kid]
		out.Bindings = append(out.Bindings, bindingV1{[]byte(kid), packIDs(b.IDs), ms(b.Gone)})
	}
	for _, d := range m.Digests {
		out.Digests = append(out.Digests, digestV1{d.Sum[:], ms(d.At), d.Keys})
	}
	for _, t := range m.Flips {
		out.Flips = append(out.Flips, ms(t))
	}
	for _, c := range m.Conditions {
		n := conditionV1{c.ID, c.Type, packAll(c.Flaws), ms(c.OpenedAt), c.OpenedBy, c.Severity, nil, c.Details, c.Rule}
		if c.Key != nil {
			n.Key = new(packKey(c.Key))
		}
		out.Conditions = append(out.Conditions, n)
	}
	if p := m.Pending; p != nil {
		out.Pending = &pendingV1{
			At: ms(p.At), After: ms(p.After), Body: p.Body, Shape: string(p.Shape), Reason: p.Reason, Offset: p.Offset,
			Looks: p.Looks, Told: p.Told, Replaced: packIDs(p.Replaced), Remote: p.Remote,
		}
		for i := range p.Old {
			out.Pending.Old = append(out.Pending.Old, packKey(&p.Old[i]))
		}
	}
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
	for _, k := range in.Live {
		m.Live = append(m.Live, r.key(k))
	}
	for _, s := range in.Sightings {
		k := r.key(s.Key)
		m.Sightings[k.ID] = &Sighting{
			when(s.FirstAfter), when(s.FirstSeen), when(s.LastSeen), when(s.GoneBy),
			time.Duration(s.Published) * time.Millisecond, k,
		}
	}
	for _, b := range in.Bindings {
		m.Bindings[string(b.Kid)] = &Binding{r.ids(b.IDs), when(b.Gone)}
	}
	for _, d := range in.Digests {
		m.Digests = append(m.Digests, Digest{r.sum(d.Sum), when(d.At), d.Keys})
	}
	for _, t := range in.Flips {
		m.Flips = append(m.Flips, when(t))
	}
	for _, c := range in.Conditions {
		n := &Condition{c.ID, c.Type, unpackAll(c.Flaws), when(c.OpenedAt), c.OpenedBy, c.Severity, nil, c.Details, c.Rule}
		if c.Key != nil {
			n.Key = new(r.key(*c.Key))
		}
		m.Conditions = append(m.Conditions, n)
	}
	if p := in.Pending; p != nil {
		m.Pending = &Pending{
			At: when(p.At), After: when(p.After), Body: p.Body, Shape: jwks.Shape(p.Shape), Reason: p.Reason, Offset: p.Offset,
			Looks: p.Looks, Told: p.Told, Replaced: r.ids(p.Replaced), Remote: p.Remote,
		}
		for _, k := range p.Old {
			m.Pending.Old = append(m.Pending.Old, r.key(k))
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

func packKey(k *jwks.Key) keyV1 {
	out := keyV1{
		ID: packID(k.ID), Kid: []byte(k.Kid), Kty: []byte(k.Kty), Crv: []byte(k.Crv), Alg: []byte(k.Alg), Use: []byte(k.Use),
		Ops: packAll(k.Ops), HasOps: k.HasOps, Bits: k.Bits, Cert: packSum(k.Cert), Form: packSum(k.Form),
		Encoding: k.Encoding, Private: k.Private, Index: k.Index,
	}
	for _, d := range k.Defects {
		out.Defects = append(out.Defects, defectV1{string(d.Code), []byte(d.Pointer), []byte(d.Kid), d.Text})
	}
	return out
}

func packID(id jwks.Identity) []byte { return append([]byte{byte(id.Kind)}, id.Sum[:]...) }

func packIDs(ids []jwks.Identity) [][]byte {
	var out [][]byte
	for _, id := range ids {
		out = append(out, packID(id))
	}
	return out
}

func packAll(list []string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

func unpackAll(list [][]byte) []string {
	var out []string
	for _, b := range list {
		out = append(out, string(b))
	}
	return out
}

func packSum(sum [32]byte) []byte {
	if sum == ([32]byte{}) {
		return nil
	}
	return sum[:]
}

// reader turns stored octets back and remembers the first that were wrong.
type reader struct{ err error }

func (r *reader) key(k keyV1) jwks.Key {
	out := jwks.Key{
		ID: r.id(k.ID), Kid: string(k.Kid), Kty: string(k.Kty), Crv: string(k.Crv), Alg: string(k.Alg), Use: string(k.Use),
		Ops: unpackAll(k.Ops), HasOps: k.HasOps, Bits: k.Bits, Cert: r.sum(k.Cert), Form: r.sum(k.Form),
		Encoding: k.Encoding, Private: k.Private, Index: k.Index,
	}
	for _, d := range k.Defects {
		out.Defects = append(out.Defects, jwks.Defect{Code: jwks.Code(d.Code), Pointer: string(d.Pointer), Kid: string(d.Kid), Text: d.Text})
	}
	return out
}

func (r *reader) id(b []byte) jwks.Identity {
	if len(b) != 33 || b[0] > byte(jwks.Secret) {
		r.err = fmt.Errorf("%w: an identity of %d octets", errEncoding, len(b))
		return jwks.Identity{}
	}
	return jwks.Identity{Kind: jwks.IdentityKind(b[0]), Sum: [32]byte(b[1:])}
}

func (r *reader) ids(list [][]byte) []jwks.Identity {
	var out []jwks.Identity
	for _, b := range list {
		out = append(out, r.id(b))
	}
	return out
}

func (r *reader) sum(b []byte) [32]byte {
	switch len(b) {
	case 0:
		return [32]byte{}
	case 32:
		return [32]byte(b)
	}
	r.err = fmt.Errorf("%w: a digest of %d octets", errEncoding, len(b))
	return [32]byte{}
}

func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func when(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
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
