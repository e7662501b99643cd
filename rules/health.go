package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
)

// Health is what was found of keys apart from the polls: checks that are too dear
// to be made at each of them.
type Health struct {
	Keys map[jwks.Identity]*history.Health
	// Factors are keys whose modulus turned out to share a prime with that of the
	// endpoint named.
	Factors map[jwks.Identity]string
	// Sets is what others make of a set, by its digest.
	Sets map[[32]byte]history.Verdict
}

// Empty reports whether nothing was found.
func (h *Health) Empty() bool {
	return h == nil || len(h.Keys) == 0 && len(h.Factors) == 0 && len(h.Sets) == 0
}

// Recalled is one complete answer and what is remembered, as the rules see it
// that need both.
type Recalled struct {
	Policy Policy
	Before *history.Memory
	At     time.Time // of the answer
	Set    *jwks.Set
	Facts  *Facts // may be nil
	// Peers are the other endpoints at which a key stands; nil: not known.
	Peers func(jwks.Identity) []Peer
	// Views are what single addresses showed; nil: not known.
	Views *Views

	known []known // of each, once asked for
}

// known is a key of the set and what was found of it.
type known struct {
	key    *jwks.Key
	health *history.Health
}

// Recall returns the flaws of an answer by what is remembered, by the book and in
// its order.
func Recall(book []Rule, r *Recalled) []Flaw {
	var out []Flaw
	for i := range book {
		if book[i].Recall == nil {
			continue
		}
		for _, f := range book[i].Recall(r) {
			f.Rule = &book[i]
			if f.Severity == 0 {
				f.Severity = book[i].Severity
			}
			out = append(out, f)
		}
	}
	return out
}

func (s *step) recalled(x *answer) []Flaw {
	return Recall(s.book, &Recalled{Policy: s.p, Before: s.m, At: x.at, Set: x.set, Facts: x.facts, Peers: s.o.Peers, Views: s.o.Views})
}

// Checks identifies the checks of this version with these lists: what was checked
// by others is checked once more.
func Checks(lists []*keyhealth.Blocklist) uint64 {
	b := []byte{keyhealth.Version}
	for _, l := range lists {
		b = append(append(b, l.Sum[:]...), l.Name...)
	}
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8]) | 1 // never 0, which says that nothing was checked
}

// CheckUp makes all checks of the key of entry i, whose public material is p. That
// takes some 10 ms of an RSA key of 2,048 bits.
func CheckUp(set *jwks.Set, i int, p *jwks.Public, lists []*keyhealth.Blocklist) *history.Health {
	h := &history.Health{Checked: Checks(lists)}
	for _, w := range keyhealth.Check(*p) {
		h.Weak = append(h.Weak, history.Weakness{Code: w.Code, Severity: uint8(w.Grade)})
	}
	for _, l := range lists {
		if source, ok := l.Find(*p); ok {
			h.List, h.Source = limit(event.Text(l.Name), 100), limit(event.Text(source), 100)
			break
		}
	}
	certify(h, set, i, p)
	return h
}

// certify holds the certificates of all entries of the key against it. Of several
// that differ the time is that in which all are valid, and the names are the first's.
func certify(h *history.Health, set *jwks.Set, i int, p *jwks.Public) {
	id, own := set.Keys[i].ID, set.Keys[i].Cert
	add := func(p *jwks.Public) {
		c, ok := keyhealth.CheckCertificate(*p)
		if !ok {
			return
		}
		from, until := c.NotBefore.Truncate(time.Millisecond), c.NotAfter.Truncate(time.Millisecond)
		if from.After(h.NotBefore) {
			h.NotBefore = from
		}
		if h.NotAfter.IsZero() || !until.IsZero() && until.Before(h.NotAfter) {
			h.NotAfter = until
		}
		for _, code := range c.Codes {
			if !slices.Contains(h.CertCodes, code) {
				h.CertCodes = append(h.CertCodes, code)
			}
		}
		if h.Issuer == [8]byte{} && h.Subject == [8]byte{} {
			h.Issuer, h.Subject = shortSum(c.Issuer), shortSum(c.Subject)
		}
	}
	add(p)
	done := [][32]byte{own}
	also := func(k *jwks.Key) bool {
		return k.ID == id && k.Cert != [32]byte{} && !slices.Contains(done, k.Cert)
	}
	if slices.ContainsFunc(set.Keys, func(k jwks.Key) bool { return also(&k) }) {
		for j, other := range set.Publics() {
			if k := &set.Keys[j]; also(k) {
				add(&other)
				done = append(done, k.Cert)
			}
		}
	}
	h.Cert = history.CertOf(set.Keys, id)
}

// shortSum is what is remembered of a name, zero for none.
func shortSum(name string) (out [8]byte) {
	if name != "" {
		sum := sha256.Sum256([]byte(name))
		copy(out[:], sum[:])
	}
	return out
}

// ReadBy is what go-jose makes of the set, as Digest.Verdict keeps it. It is slow.
func ReadBy(set *jwks.Set) history.Verdict {
	v := history.Verdict{Read: history.Reads}
	for _, d := range set.Oracle() {
		if strings.HasPrefix(d.Text, "not tried") {
			continue
		}
		switch d.Code {
		case jwks.OracleRefuses:
			v.Entries++
		case jwks.OracleRefusesSet:
			v.Read, v.Reason = history.Rejects, d.Text
		case jwks.OracleDiffersSet:
			v.Read, v.Reason = history.Misreads, d.Text
		}
	}
	return v
}

// Examine returns all flaws of one document of which nothing is remembered, with
// every check made at once.
func Examine(book []Rule, set *jwks.Set, p Policy, lists []*keyhealth.Blocklist, at time.Time) []Flaw {
	out := Inspect(book, set)
	if !set.Usable() {
		return out
	}
	m := &history.Memory{}
	m.Accept(set.Keys, time.Time{}, at)
	m.Digests = []history.Digest{{Sum: set.Digest, At: at, Verdict: ReadBy(set)}}
	for i, pub := range set.Publics() {
		k := &set.Keys[i]
		if s := m.Sightings[k.ID]; s.Health == nil {
			s.Health = CheckUp(set, i, &pub, lists)
		}
	}
	return append(out, Recall(book, &Recalled{Policy: p, Before: m, At: at, Set: set})...)
}

// checked takes in what was found of keys since the last observation.
func (s *step) checked() {
	found := s.o.Health
	if found.Empty() {
		return
	}
	for id, h := range found.Keys {
		if k := s.m.Sightings[id]; k != nil {
			s.found(k, h)
		}
	}
	for id, peer := range found.Factors {
		k := s.m.Sightings[id]
		if k == nil {
			continue
		}
		h := history.Health{}
		if k.Health != nil {
			h = *k.Health
		}
		h.Weak = append(slices.Clone(h.Weak), history.Weakness{Code: keyhealth.RSASharedFactor, Severity: uint8(event.SeverityCritical)})
		h.Peer = peer
		s.found(k, &h)
	}
	for i := range s.m.Digests {
		d := &s.m.Digests[i]
		if v, ok := found.Sets[d.Sum]; ok && d.Verdict != v {
			d.Verdict = v
			s.out.Store = true
		}
	}
}

// found makes h what is known of the key. A factor that was found once stays found.
func (s *step) found(k *history.Sighting, h *history.Health) {
	shared := func(w history.Weakness) bool { return w.Code == keyhealth.RSASharedFactor }
	if k.Health != nil && slices.ContainsFunc(k.Health.Weak, shared) {
		n := *h
		n.Weak = slices.DeleteFunc(slices.Clone(n.Weak), shared)
		n.Weak = append(n.Weak, history.Weakness{Code: keyhealth.RSASharedFactor, Severity: uint8(event.SeverityCritical)})
		n.Peer = k.Health.Peer
		h = &n
	}
	if !reflect.DeepEqual(k.Health, h) {
		k.Health = h
		s.out.Store = true
	}
}

// healthReview is when a certificate begins or ceases to be valid.
func (s *step) healthReview() time.Time {
	var next time.Time
	for _, k := range s.m.Sightings {
		if !k.Live() || k.Health == nil {
			continue
		}
		for _, t := range [...]time.Time{k.Health.NotBefore, k.Health.NotAfter} {
			if t.After(s.o.At) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return next
}

// each yields the first entry of each key of the set that was decoded, and what
// was found of it; nil when nothing was yet.
func (r *Recalled) each(yield func(*jwks.Key, *history.Health) bool) {
	if r.known == nil {
		r.known = make([]known, 0, len(r.Set.Keys))
		seen := make(map[jwks.Identity]bool, len(r.Set.Keys))
		for i := range r.Set.Keys {
			k := &r.Set.Keys[i]
			if !k.Decoded() || seen[k.ID] {
				continue
			}
			seen[k.ID] = true
			n := known{key: k}
			if s := r.Before.Sightings[k.ID]; s != nil {
				n.health = s.Health
			}
			r.known = append(r.known, n)
		}
	}
	for _, n := range r.known {
		if !yield(n.key, n.health) {
			return
		}
	}
}

// signs reports whether any of the keys can verify a signature.
func signs(keys []jwks.Key) bool {
	return slices.ContainsFunc(keys, func(k jwks.Key) bool { return k.Class() == jwks.ClassSignature })
}
