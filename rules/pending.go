package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Bounds of what one answer leaves in the memory. Labels that nobody uses like
// this are told apart by their hash from then on.
const (
	fatLabel = 64      // octets of kty, crv, alg, use, exp, nbf
	fatURL   = 160     // octets of issuer, x5u
	fatOps   = 256     // octets of all key_ops of an entry
	fatFacts = 1 << 20 // octets of Facts
)

// restore reads the pending answer back. It was stored redacted, and a
// redacted document parses to the same keys and flaws.
func (s *step) restore() *answer {
	p := s.m.Pending
	if p == nil {
		return nil
	}
	set := &jwks.Set{Shape: p.Shape, Reason: p.Reason, Offset: p.Offset, Keys: p.Keys, Defects: p.Defects, Digest: p.Digest}
	if p.Body != nil {
		set = jwks.Parse(p.Body)
	}
	var facts *Facts
	if p.Facts != nil {
		facts = new(Facts)
		if err := json.Unmarshal(p.Facts, facts); err != nil {
			facts = nil // of another version: the claim stands without its evidence
		}
	}
	return s.answer(set, facts, p.At, p.After, p.Remote)
}

// wait stores the answer as pending.
func (s *step) wait(x *answer) {
	s.m.Pending = &history.Pending{
		At: x.at, After: x.after, Shape: x.set.Shape, Reason: event.Text(x.set.Reason), Offset: x.set.Offset,
		Looks: 1, Remote: x.remote, Body: x.set.Body,
	}
	if len(x.set.Body) > history.MaxBody {
		keepRead(s.m.Pending, x.set)
	}
	if x.facts != nil {
		// Facts are texts, numbers and times: they always encode.
		s.m.Pending.Facts, _ = json.Marshal(x.facts)
		if len(s.m.Pending.Facts) > fatFacts {
			s.m.Pending.Facts, _ = json.Marshal(&Facts{Evidence: x.facts.Evidence})
		}
	}
	s.out.Store = true
	s.out.Look = LookAfter
}

// keepRead keeps what was read of a document instead of the document. Where in it
// the defects stood is the first that is given up.
func keepRead(p *history.Pending, set *jwks.Set) {
	p.Body = nil
	p.Keys, p.Defects, p.Digest = slices.Clone(set.Keys), slices.Clone(set.Defects), set.Digest
	for i := range p.Keys {
		var codes []jwks.Defect
		for _, d := range p.Keys[i].Defects {
			if len(codes) == 0 || codes[len(codes)-1].Code != d.Code {
				codes = append(codes, jwks.Defect{Code: d.Code, Kid: d.Kid})
			}
		}
		p.Keys[i].Defects = codes
	}
}

// thin returns the set with labels that can be remembered. Kids stay: they are
// names, and capped by the parser.
func thin(set *jwks.Set) *jwks.Set {
	if keys := thinKeys(set.Keys); keys != nil {
		n := *set
		n.Keys = keys
		return &n
	}
	return set
}

// thinKeys returns nil when no key is fat.
func thinKeys(keys []jwks.Key) []jwks.Key {
	var out []jwks.Key
	for i := range keys {
		k := keys[i]
		changed := false
		for _, label := range [...]*string{&k.Kty, &k.Crv, &k.Alg, &k.Use, &k.Exp, &k.Nbf, &k.Issuer, &k.X5U} {
			most := fatLabel
			if label == &k.Issuer || label == &k.X5U {
				most = fatURL
			}
			if len(*label) > most {
				*label, changed = hashed(*label), true
			}
		}
		n := 0
		for _, op := range k.Ops {
			n += len(op)
		}
		fat := n > fatOps
		if fat {
			k.Ops = thinOps(k.Ops)
		}
		if !fat && !changed {
			continue
		}
		if out == nil {
			out = slices.Clone(keys)
		}
		out[i] = k
	}
	return out
}

// thinOps keeps the operations of RFC 7517, section 4.3, and one value that
// stands for all others.
func thinOps(ops []string) []string {
	var out, rest []string
	for _, op := range ops {
		switch op {
		case "sign", "verify", "encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits":
			out = append(out, op)
		default:
			rest = append(rest, op)
		}
	}
	out = append(out, hashed(history.FlawID(rest...)))
	slices.Sort(out)
	return out
}

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:16])
}
