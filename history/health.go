package history

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// Health is what was found of some material when it was checked. It is replaced,
// never changed: copies of a memory share it.
type Health struct {
	// Checked says which checks were made: with others, the material is checked
	// once more. 0: none were yet.
	Checked uint64
	Weak    []Weakness
	Peer    string // endpoint whose key shares a factor with this one
	// List and Source say where the private half is public, "" for nowhere known.
	List, Source string
	// Cert is the digest of the certificates that were checked, as CertOf has it;
	// with another, they are checked once more.
	Cert                [32]byte
	CertCodes           []string
	NotBefore, NotAfter time.Time // of the first certificate; zero without one
	// Issuer and Subject are the first octets of a hash of its names; zero when they
	// are not known.
	Issuer, Subject [8]byte
}

// Weakness is one thing wrong with material, and its severity as events count it.
type Weakness struct {
	Code     string
	Severity uint8
}

// The verdicts of Digest.Read.
const (
	Unread   = 0 // nobody tried
	Reads    = 1
	Rejects  = 2 // the whole set
	Misreads = 3 // it reads another number of keys
)

// Verdict is what a decoder of others made of a set.
type Verdict struct {
	Read    uint8
	Entries int    // that it refuses alone
	Reason  string // for people; quotes nothing of the document
}

type (
	healthV1 struct {
		Checked   uint64       `json:"c,omitzero"`
		Weak      []weaknessV1 `json:"w,omitempty"`
		Peer      string       `json:"p,omitempty"`
		List      string       `json:"l,omitempty"`
		Source    string       `json:"s,omitempty"`
		Cert      []byte       `json:"x,omitempty"`
		CertCodes []string     `json:"xc,omitempty"`
		NotBefore int64        `json:"nb,omitzero"`
		NotAfter  int64        `json:"na,omitzero"`
		Names     []byte       `json:"nm,omitempty"` // issuer and subject, 8 octets each
	}
	weaknessV1 struct {
		Code     string `json:"c"`
		Severity uint8  `json:"s"`
	}
	verdictV1 struct {
		Read    uint8  `json:"r"`
		Entries int    `json:"n,omitzero"`
		Reason  string `json:"t,omitempty"`
	}
)

func packHealth(h *Health) *healthV1 {
	if h == nil {
		return nil
	}
	out := &healthV1{
		Checked: h.Checked, Peer: h.Peer, List: h.List, Source: h.Source,
		Cert: packSum(h.Cert), CertCodes: h.CertCodes, NotBefore: ms(h.NotBefore), NotAfter: ms(h.NotAfter),
	}
	for _, w := range h.Weak {
		out.Weak = append(out.Weak, weaknessV1(w))
	}
	if h.Issuer != [8]byte{} || h.Subject != [8]byte{} {
		out.Names = append(append([]byte(nil), h.Issuer[:]...), h.Subject[:]...)
	}
	return out
}

func (r *reader) health(h *healthV1) *Health {
	if h == nil {
		return nil
	}
	out := &Health{
		Checked: h.Checked, Peer: h.Peer, List: h.List, Source: h.Source,
		Cert: r.sum(h.Cert), CertCodes: h.CertCodes, NotBefore: when(h.NotBefore), NotAfter: when(h.NotAfter),
	}
	for _, w := range h.Weak {
		out.Weak = append(out.Weak, Weakness(w))
	}
	switch len(h.Names) {
	case 0:
	case 16:
		out.Issuer, out.Subject = [8]byte(h.Names[:8]), [8]byte(h.Names[8:])
	default:
		r.err = fmt.Errorf("%w: names of %d octets", errEncoding, len(h.Names))
	}
	return out
}

func packVerdict(v Verdict) *verdictV1 {
	if v == (Verdict{}) {
		return nil
	}
	return new(verdictV1(v))
}

func (v *verdictV1) unpack() Verdict {
	if v == nil {
		return Verdict{}
	}
	return Verdict(*v)
}

// VerdictOf returns what is known of how others read the set of the digest.
func (m *Memory) VerdictOf(sum [32]byte) Verdict {
	for i := len(m.Digests) - 1; i >= 0; i-- {
		if m.Digests[i].Sum == sum && m.Digests[i].Verdict.Read != Unread {
			return m.Digests[i].Verdict
		}
	}
	return Verdict{}
}

// Unchecked lists the places in keys whose material, or whose certificates, were
// not checked by these checks, each material once.
func (m *Memory) Unchecked(keys []jwks.Key, checks uint64) []int {
	var out []int
	seen, certs := map[jwks.Identity]bool{}, Certified(keys)
	for i := range keys {
		k := &keys[i]
		s := m.Sightings[k.ID]
		if s == nil || !k.Decoded() || seen[k.ID] {
			continue
		}
		seen[k.ID] = true
		if h := s.Health; h == nil || h.Checked != checks || h.Cert != certs[k.ID] {
			out = append(out, i)
		}
	}
	return out
}

// CertOf identifies the certificates of all entries of a key: where they have one
// between them it is their jwks.Key.Cert, zero of none. Who looked at the first entry
// alone would be shown a good one there.
func CertOf(keys []jwks.Key, id jwks.Identity) [32]byte {
	var list [][32]byte
	for i := range keys {
		if k := &keys[i]; k.ID == id && k.Cert != [32]byte{} {
			list = append(list, k.Cert)
		}
	}
	return together(list)
}

// Certified is CertOf of each key that has certificates.
func Certified(keys []jwks.Key) map[jwks.Identity][32]byte {
	of := map[jwks.Identity][][32]byte{}
	for i := range keys {
		if k := &keys[i]; k.Cert != [32]byte{} {
			of[k.ID] = append(of[k.ID], k.Cert)
		}
	}
	out := make(map[jwks.Identity][32]byte, len(of))
	for id, list := range of {
		out[id] = together(list)
	}
	return out
}

// together is one digest for several, whatever their order.
func together(list [][32]byte) [32]byte {
	slices.SortFunc(list, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	switch list = slices.Compact(list); len(list) {
	case 0:
		return [32]byte{}
	case 1:
		return list[0]
	}
	h := sha256.New()
	for i := range list {
		h.Write(list[i][:])
	}
	return [32]byte(h.Sum(nil))
}

func octetsOfHealth(h *Health) int {
	if h == nil {
		return 0
	}
	n := 200 + text(32) + 6*(len(h.Peer)+len(h.List)+len(h.Source)) + texts(h.CertCodes)
	for _, w := range h.Weak {
		n += 20 + len(w.Code)
	}
	return n
}
