package jwks

import (
	"bytes"
	"iter"
	"math/big"
)

// Bounds of what Public decodes. What is over them is left out.
const (
	maxChain       = 8        // certificates of x5c
	maxCertificate = 64 << 10 // octets of one
)

// Public is the public material of one entry as it was served, decoded as
// leniently as its identity was. Private members are never looked at. Texts are
// the issuer's, capped as those of Key.
type Public struct {
	Kty, Crv, Alg string
	N, E          *big.Int // of RSA, else nil; neither is zero
	X, Y          []byte   // of EC, at the full length of a coordinate; X alone of OKP
	Pub           []byte   // of AKP
	// X5C are the certificates of x5c in DER, whatever they hold: at most eight,
	// of at most 64 KiB. An entry that is no base64 is nil.
	X5C [][]byte
	// X5T and X5TS256 are x5t and x5t#S256 as text; "" when absent.
	X5T, X5TS256 string
	X5U          string
}

// Public returns the public material of entry i of Keys. It is false for an entry
// that could not be decoded, and for symmetric keys. It reads the document up to
// the entry: who wants all of them takes Publics.
func (s *Set) Public(i int) (Public, bool) {
	for at, p := range s.Publics() {
		if at == i {
			return p, true
		}
	}
	return Public{}, false
}

// Publics yields the place in Keys and the public material of each entry that
// could be decoded, in order. It yields nothing when the document was not kept.
func (s *Set) Publics() iter.Seq2[int, Public] {
	return func(yield func(int, Public) bool) {
		if !s.Usable() || s.Body == nil {
			return
		}
		i := -1
		for raw := range s.entries() {
			if i++; i >= len(s.Keys) || !s.Keys[i].Decoded() {
				continue
			}
			if p, ok := public(raw, &s.Keys[i]); ok && !yield(i, p) {
				return
			}
		}
	}
}

// entries yields the octets of each element of the keys array.
func (s *Set) entries() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		at := skipSpace(s.Body, skipSpace(s.Body, 0)+1)
		for s.Body[at] != '}' {
			end := skipValue(s.Body, at)
			name := unquote(s.Body[at:end])
			at = skipSpace(s.Body, skipSpace(s.Body, end)+1) // the colon
			end = skipValue(s.Body, at)
			if string(name) == "keys" {
				elements(s.Body[at:end])(yield)
				return // a usable set has one such member
			}
			if at = skipSpace(s.Body, end); s.Body[at] == ',' {
				at = skipSpace(s.Body, at+1)
			}
		}
	}
}

// public decodes one entry that is known to decode.
func public(raw []byte, k *Key) (p Public, ok bool) {
	w := newWalker(raw)
	e := &entry{w: w}
	w.sink, w.entry = &e.notes, e
	w.object(func(name []byte) { e.member(name) })
	p = Public{Kty: k.Kty, Crv: k.Crv, Alg: k.Alg}
	m := material{e: e}
	switch k.Kty {
	case "RSA":
		n, okN := m.number("n")
		x, okE := m.number("e")
		if !okN || !okE {
			return p, false
		}
		p.N, p.E = new(big.Int).SetBytes(n), new(big.Int).SetBytes(x)
	case "EC":
		size := coordinates(k.Crv)
		var okX, okY bool
		p.X, okX = m.coordinate("x", size)
		p.Y, okY = m.coordinate("y", size)
		if size == 0 || !okX || !okY {
			return p, false
		}
	case "OKP":
		if p.X, ok = m.octets("x"); !ok {
			return p, false
		}
	case "AKP":
		if p.Pub, ok = m.octets("pub"); !ok {
			return p, false
		}
	default:
		return p, false
	}
	p.X5C = e.der()
	p.X5T, p.X5TS256, p.X5U = e.plain("x5t"), e.plain("x5t#S256"), e.plain("x5u")
	return p, true
}

// der decodes the certificates of x5c.
func (e *entry) der() [][]byte {
	f := e.field("x5c")
	if f == nil || f.raw[0] != '[' {
		return nil
	}
	var out [][]byte
	for item := range elements(f.raw) {
		if len(out) == maxChain {
			break
		}
		var octets []byte
		if item[0] == '"' && len(item) <= 2*maxCertificate {
			octets, _, _ = decodeBase64(unquote(item))
		}
		if len(octets) > maxCertificate {
			octets = nil
		}
		out = append(out, bytes.Clone(octets))
	}
	return out
}

// plain is the text of a member, "" when it is no string or absent.
func (e *entry) plain(name string) string {
	f := e.field(name)
	if f == nil || f.raw[0] != '"' {
		return ""
	}
	text, _ := capText(string(unquote(f.raw)))
	return text
}
